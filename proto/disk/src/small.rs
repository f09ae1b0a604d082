//! For tests: a disk of its own that is small, and can be filled. It is mounted, which needs root.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FallocateFlags, StatVfs, fallocate, statvfs};
use rustix::io::Errno;

/// A small disk; gone with this, whatever still uses it.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

fn run(program: &str, arguments: &[&str]) -> io::Result<()> {
    let said = Command::new(program).args(arguments).output()?;
    if said.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&said.stderr);
    Err(io::Error::other(format!(
        "{program} {arguments:?}, which needs root: {words}"
    )))
}

fn text(path: &Path) -> io::Result<&str> {
    path.to_str()
        .ok_or_else(|| io::Error::other("a folder whose name is no text"))
}

impl SmallDisk {
    /// Over an empty folder that is there; `options` are those of tmpfs, such as `size=64m,nr_inodes=400`.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn over(folder: &Path, options: &str) -> io::Result<Self> {
        let at = text(folder)?;
        run("mount", &["-t", "tmpfs", "-o", options, "tmpfs", at])?;
        Ok(Self(folder.to_owned()))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn left(&self) -> io::Result<StatVfs> {
        Ok(statvfs(&self.0)?)
    }

    /// Bytes that are left.
    ///
    /// # Errors
    /// As the disk says.
    pub fn free(&self) -> io::Result<u64> {
        let left = self.left()?;
        Ok(left.f_bavail.saturating_mul(left.f_frsize))
    }

    /// Files that can still be made.
    ///
    /// # Errors
    /// As the disk says.
    pub fn free_files(&self) -> io::Result<u64> {
        Ok(self.left()?.f_favail)
    }

    fn filler(&self) -> PathBuf {
        self.0.join("others")
    }

    fn many(&self) -> PathBuf {
        self.0.join("many")
    }

    /// Another program takes all but so many bytes.
    ///
    /// # Errors
    /// As the disk says.
    pub fn leave(&self, bytes: u64) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let others = options.create(true).append(true).open(self.filler())?;
        // what the program under test gives back meanwhile is not taken
        let mut more = self.free()?.saturating_sub(bytes);
        while more > 0 {
            let at = others.metadata()?.len();
            match fallocate(&others, FallocateFlags::empty(), at, more) {
                Err(Errno::NOSPC) => more = more.min(self.free()?.saturating_sub(bytes)),
                done => return Ok(done?),
            }
        }
        Ok(())
    }

    /// Another program makes files until only so many can be made.
    ///
    /// # Errors
    /// As the disk says.
    pub fn leave_files(&self, files: u64) -> io::Result<()> {
        fs::create_dir_all(self.many())?;
        loop {
            let left = self.free_files()?;
            if left <= files {
                return Ok(());
            }
            File::create(self.many().join(left.to_string()))?;
        }
    }

    /// The other program has ended, and what it took is free.
    ///
    /// # Errors
    /// As the disk says.
    pub fn clear(&self) -> io::Result<()> {
        let gone = |done: io::Result<()>| match done {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        gone(fs::remove_file(self.filler()))?;
        gone(fs::remove_dir_all(self.many()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = text(&self.0).and_then(|at| run("umount", &["--lazy", at]));
        if let Err(error) = unmounted {
            tracing::error!(%error, "a small disk stays");
        }
    }
}
