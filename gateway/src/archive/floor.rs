//! How much room must be left on the disk of the data folder, in bytes and in names for files, before less is taken: two floors, one
//! polite and one hard.
//!
//! | left | what happens |
//! |---|---|
//! | less than the soft floor | what was made of blobs is thrown away; if that does not help, new instances are asked to come back, those that have begun go on |
//! | less than the hard floor | every instance is cut off, and what came of it is kept; what is left is for rows, audit and reports |
//!
//! Whatever is there stays readable, and reports are signed. Nothing but room is needed to go on.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::BlobError;

/// `[archive.disk]` of gateway.toml.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Free bytes below which new instances are asked to come back.
    pub soft_floor_bytes: u64,
    /// Free bytes below which every instance is cut off.
    pub hard_floor_bytes: u64,
    /// Files that can still be made, below which new instances are asked to come back; of no account where the file system has no such
    /// bound.
    pub soft_floor_files: u64,
    /// Files that can still be made, below which every instance is cut off.
    pub hard_floor_files: u64,
    /// How many bytes are held for rows and audit, in a file that is given back when nothing else is left; 0 holds none. Of no account
    /// with PostgreSQL.
    pub reserve_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            soft_floor_bytes: 4 << 30,
            hard_floor_bytes: 1 << 30,
            soft_floor_files: 100_000,
            hard_floor_files: 20_000,
            reserve_bytes: 64 << 20,
        }
    }
}

/// Which floor is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// None.
    Room,
    /// The soft one.
    Low,
    /// The hard one.
    Full,
}

/// What is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Bytes.
    pub bytes: u64,
    /// Files that can still be made; none where there is no such bound.
    pub files: Option<u64>,
}

/// The floors of one folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Floor {
    folder: PathBuf,
    config: Config,
}

impl Config {
    /// Which floor is passed when so much is left.
    #[must_use]
    pub fn level(&self, left: Left) -> Level {
        let files = left.files.unwrap_or(u64::MAX);
        if left.bytes < self.hard_floor_bytes || files < self.hard_floor_files {
            Level::Full
        } else if left.bytes < self.soft_floor_bytes || files < self.soft_floor_files {
            Level::Low
        } else {
            Level::Room
        }
    }

    /// Whether both soft floors lie above the hard ones.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.soft_floor_bytes >= self.hard_floor_bytes
            && self.soft_floor_files >= self.hard_floor_files
    }
}

impl Floor {
    /// The floors of the disk that `folder` is on.
    #[must_use]
    pub fn new(folder: &Path, config: Config) -> Self {
        Self {
            folder: folder.to_owned(),
            config,
        }
    }

    /// What is left now.
    ///
    /// # Errors
    /// When the file system cannot say.
    pub fn left(&self) -> Result<Left, BlobError> {
        let found = rustix::fs::statvfs(&self.folder).map_err(|error| BlobError::File {
            tried: "asking how much room is left",
            source: error.into(),
        })?;
        Ok(Left {
            bytes: found.f_bavail.saturating_mul(found.f_frsize),
            // a file system without such a bound says that it has no files at all
            files: (found.f_files > 0).then_some(found.f_favail),
        })
    }

    /// What is below the hard floor: nothing of it is for images.
    #[must_use]
    pub fn hard_bytes(&self) -> u64 {
        self.config.hard_floor_bytes
    }

    /// Which floor is passed now. A disk that cannot say how full it is counts as full.
    #[must_use]
    pub fn level(&self) -> Level {
        match self.left() {
            Ok(left) => self.config.level(left),
            Err(error) => {
                tracing::error!(%error, "the disk does not say how full it is");
                Level::Full
            }
        }
    }

    /// Which floor is passed, and in a sentence what is left.
    ///
    /// # Errors
    /// When the file system cannot say.
    pub fn told(&self) -> Result<(Level, String), BlobError> {
        let left = self.left()?;
        let config = &self.config;
        let level = config.level(left);
        let (what, bytes, files) = match level {
            Level::Room => ("", 0, 0),
            Level::Low => (
                ": new instances are asked to come back",
                config.soft_floor_bytes,
                config.soft_floor_files,
            ),
            Level::Full => (
                ": no instances are taken",
                config.hard_floor_bytes,
                config.hard_floor_files,
            ),
        };
        let few = left.files.filter(|left| *left < files);
        let sentence = match few {
            Some(few) => format!("{few} files can still be made, and {files} are to be{what}"),
            None if level == Level::Room => format!("{} free", megabytes(left.bytes)),
            None => format!(
                "{} are free, and {} are to be{what}",
                megabytes(left.bytes),
                megabytes(bytes)
            ),
        };
        Ok((level, sentence))
    }

    /// Writes a few bytes into the folder and waits until they are on the disk.
    ///
    /// # Errors
    /// When that does not succeed.
    pub async fn try_to_write(&self) -> Result<(), BlobError> {
        let path = self.folder.join("probe");
        let work = tokio::task::spawn_blocking(move || {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)?;
            file.write_all(b"written and synced to see whether it can be\n")?;
            file.sync_all()
        });
        let done = work.await.unwrap_or_else(|error| Err(error.into()));
        done.map_err(|source| BlobError::File {
            tried: "writing into the data folder",
            source,
        })
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_count_bytes_and_files_and_a_disk_without_a_bound_on_files_has_enough() {
        let config = Config {
            soft_floor_bytes: 20,
            hard_floor_bytes: 10,
            soft_floor_files: 6,
            hard_floor_files: 3,
            reserve_bytes: 0,
        };
        assert!(config.holds());
        for (bytes, files, expect) in [
            (20, Some(6), Level::Room),
            (20, None, Level::Room),
            (19, None, Level::Low),
            (10, Some(6), Level::Low),
            (20, Some(5), Level::Low),
            (9, Some(6), Level::Full),
            (20, Some(2), Level::Full),
            (9, None, Level::Full),
        ] {
            assert_eq!(
                config.level(Left { bytes, files }),
                expect,
                "{bytes} {files:?}"
            );
        }
    }

    #[test]
    fn a_disk_that_cannot_say_is_full() {
        let floor = Floor::new(Path::new("/nowhere/at/all"), Config::default());
        assert_eq!(floor.level(), Level::Full);
        assert!(floor.told().is_err());
    }
}
