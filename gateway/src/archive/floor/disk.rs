//! For tests: a disk of its own that is small, and can be filled. It is mounted, which needs root.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A small disk; gone with this.
pub(crate) struct SmallDisk(TempDir);

fn run(program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).output().unwrap();
    assert!(
        done.status.success(),
        "a test of a full disk mounts a disk of its own, which needs root: {program} {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

impl SmallDisk {
    /// With options of tmpfs, such as `size=64m,nr_inodes=400`.
    pub(crate) fn new(options: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        run("mount", &["-t", "tmpfs", "-o", options, "tmpfs", path]);
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A folder on it.
    pub(crate) fn folder(&self) -> TempDir {
        tempfile::tempdir_in(self.path()).unwrap()
    }

    pub(crate) fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(self.path()).unwrap();
        found.f_bavail * found.f_frsize
    }

    pub(crate) fn free_files(&self) -> u64 {
        rustix::fs::statvfs(self.path()).unwrap().f_favail
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Somebody else takes everything but so much.
    pub(crate) fn leave(&self, bytes: u64) {
        let mut filler = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.filler())
            .unwrap();
        while self.free() > bytes {
            let step = usize::try_from((self.free() - bytes).min(1 << 20)).unwrap();
            if filler.write_all(&vec![0; step]).is_err() {
                break;
            }
        }
    }

    /// Somebody else makes files until only so many can be made.
    pub(crate) fn leave_files(&self, files: u64) {
        std::fs::create_dir_all(self.path().join("many")).unwrap();
        while self.free_files() > files {
            let name = self.free_files().to_string();
            File::create(self.path().join("many").join(name)).unwrap();
        }
    }

    /// Somebody else takes away what was in the way.
    pub(crate) fn clear(&self) {
        drop(std::fs::remove_file(self.filler()));
        drop(std::fs::remove_dir_all(self.path().join("many")));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path = self.path().to_str().unwrap();
        run("umount", &["--lazy", path]);
    }
}
