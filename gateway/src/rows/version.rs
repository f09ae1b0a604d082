//! Whether anything was committed since a look before, told without asking the database.
//!
//! SQLite in WAL mode keeps the beginning of its index in the first 96 bytes of the `-shm` file beside the database: 48 bytes, twice, with
//! a counter of commits, the number of frames, their checksum and the salts of the log (sqlite.org/walformat.html, 2.1). Every commit of
//! every process rewrites them before it is seen by anybody. Equal bytes are an equal database.
//!
//! What some transactions write is remembered by nobody: that it can be written, for instance. When such a one was the only one since a
//! header was read, which the counter tells, the header after it is told as the one before.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A state of the database. Equal versions mean that nothing was committed between them, by whomever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Which file it was: one that was made anew may begin as the one before it did.
    file: u64,
    header: [u8; 48],
}

impl Version {
    /// How many transactions have been committed, in some count that may begin anew.
    fn commits(&self) -> u32 {
        let counter = self.header.get(8..12).and_then(|it| it.try_into().ok());
        u32::from_ne_bytes(counter.unwrap_or_default())
    }
}

/// Tells versions. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Versions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    number: u64,
    file: Option<File>,
    /// A state that is told as another one, from which it differs in nothing that anybody remembers.
    same: Option<(Version, Version)>,
}

impl Open {
    fn told(&self, version: Version) -> Version {
        match self.same {
            Some((other, told)) if other == version => told,
            _ => version,
        }
    }
}

impl Versions {
    pub(super) fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-shm");
        Self(Arc::new(Inner {
            path: path.into(),
            open: Mutex::default(),
        }))
    }

    /// The version now; none when it cannot be told, in the middle of a commit for instance.
    pub(super) fn now(&self) -> Option<Version> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let version = self.read(&mut open)?;
        Some(open.told(version))
    }

    /// The version now as it is, for [`Self::nothing_new_since`]. Asked under the write lock: then it is of the last commit.
    pub(super) fn bare(&self) -> Option<Version> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        self.read(&mut open)
    }

    /// A transaction that nobody has to hear of was committed in the state `before`. Where others were committed too since, its version is
    /// another one.
    pub(super) fn nothing_new_since(&self, before: Version) {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(now) = self.read(&mut open) else {
            return;
        };
        if now.file == before.file && now.commits() == before.commits().wrapping_add(1) {
            let told = open.told(before);
            open.same = Some((now, told));
        }
    }

    fn read(&self, open: &mut Open) -> Option<Version> {
        // the last connection to be closed takes the file away, and the next one makes another
        let there = |file: &File| file.metadata().is_ok_and(|facts| facts.nlink() > 0);
        if !open.file.as_ref().is_some_and(there) {
            open.number += 1;
            open.file = File::open(&self.0.path).ok();
        }
        let mut bytes = [0; 96];
        open.file.as_ref()?.read_exact_at(&mut bytes, 0).ok()?;
        let (one, other) = bytes.split_first_chunk::<48>()?;
        let version = Version {
            file: open.number,
            header: *one,
        };
        // a header that was never written is no state
        (one == other && one.iter().any(|byte| *byte != 0)).then_some(version)
    }
}
