//! The real disk: two folders under the spool folder, files 0600, data synced with fdatasync.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Appending, Folder, Found, Seam};

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

impl Seam for RealDisk {
    fn open(&self, folder: Folder, name: &str) -> io::Result<Box<dyn Appending>> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.path(folder, name))?;
        Ok(Box::new(RealFile(file)))
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

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}
