//! The real disk: three folders under the spool folder, files 0600, data synced with fdatasync.
//!
//! A segment has its room from the start and is written past the page cache: what a sync then has to wait for is the data alone,
//! and not the journal of a file that grows. Where the file system cannot do one or the other, it is written like any file.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags, fallocate};
use rustix::io::Errno;

use super::pack::SEGMENT;
use super::{Appending, Folder, Found, Left, Seam};

/// The folders of a spool on a real file system.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    /// Makes the folders under `root` when they are missing.
    ///
    /// # Errors
    /// As the file system says.
    pub fn open(root: &Path) -> io::Result<Self> {
        for folder in Folder::ALL {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(root.join(folder.name()))?;
        }
        File::open(root)?.sync_all()?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    fn path(&self, folder: Folder, name: &str) -> PathBuf {
        self.root.join(folder.name()).join(name)
    }
}

#[derive(Debug)]
struct RealFile(File);

impl Appending for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// A segment: written at its own position, so that its length does not tell how far.
#[derive(Debug)]
struct RealSegment {
    file: File,
    path: PathBuf,
    at: u64,
}

impl RealSegment {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = new_file().open(&path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, SEGMENT) {
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(error) => {
                drop(fs::remove_file(&path));
                return Err(error.into());
            }
        }
        let direct = i32::try_from(OFlags::DIRECT.bits()).unwrap_or(0);
        let direct = OpenOptions::new()
            .write(true)
            .custom_flags(direct)
            .open(&path);
        Ok(Self {
            file: direct.unwrap_or(file),
            path,
            at: 0,
        })
    }
}

impl Appending for RealSegment {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut written = self.file.write_all_at(bytes, self.at);
        if let Err(error) = &written
            && error.kind() == io::ErrorKind::InvalidInput
        {
            self.file = OpenOptions::new().write(true).open(&self.path)?;
            written = self.file.write_all_at(bytes, self.at);
        }
        self.at = self.at.saturating_add(bytes.len() as u64);
        written
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options
}

impl Seam for RealDisk {
    fn open(&self, folder: Folder, name: &str) -> io::Result<Box<dyn Appending>> {
        let path = self.path(folder, name);
        match folder {
            Folder::Packed => Ok(Box::new(RealSegment::open(path)?)),
            Folder::Partial | Folder::Kept => Ok(Box::new(RealFile(new_file().open(path)?))),
        }
    }

    fn rename(
        &self,
        name: &str,
        to: &str,
        from_folder: Folder,
        to_folder: Folder,
    ) -> io::Result<()> {
        fs::rename(self.path(from_folder, name), self.path(to_folder, to))
    }

    fn sync_dir(&self, folder: Folder) -> io::Result<()> {
        File::open(self.root.join(folder.name()))?.sync_all()
    }

    fn remove(&self, folder: Folder, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(folder, name))
    }

    fn punch(&self, folder: Folder, name: &str, offset: u64, length: u64) -> io::Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .open(self.path(folder, name))?;
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&file, hole, offset, length) {
            Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn shorten(&self, folder: Folder, name: &str, length: u64) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options
            .write(true)
            .open(self.path(folder, name))?
            .set_len(length)
    }

    fn list(&self, folder: Folder) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join(folder.name()))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            found.push(Found {
                name,
                length: entry.metadata()?.len(),
            });
        }
        Ok(found)
    }

    fn read(&self, folder: Folder, name: &str, offset: u64, max: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.path(folder, name))?;
        let left = file.metadata()?.len().saturating_sub(offset);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(max);
        let mut out = vec![0; length];
        file.read_exact_at(&mut out, offset)?;
        Ok(out)
    }

    fn left(&self) -> io::Result<Left> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(Left {
            bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            // a file system without such a bound says that it has no files at all
            files: (stat.f_files > 0).then_some(stat.f_favail),
        })
    }
}
