//! A small disk that only one test writes to. It is mounted, which needs root.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use rustix::fs::statvfs;
use tempfile::TempDir;

/// Unmounted when dropped.
pub(super) struct SmallDisk(TempDir);

fn run(program: &str, arguments: &[&str]) {
    let said = Command::new(program).args(arguments).output().unwrap();
    let words = String::from_utf8_lossy(&said.stderr);
    assert!(
        said.status.success(),
        "{program} {arguments:?}, which needs root: {words}"
    );
}

impl SmallDisk {
    /// `options` are those of tmpfs.
    pub(super) fn new(options: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().to_str().unwrap();
        run("mount", &["-t", "tmpfs", "-o", options, "tmpfs", at]);
        Self(folder)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn free(&self) -> u64 {
        let found = statvfs(self.path()).unwrap();
        found.f_bavail * found.f_frsize
    }

    /// Another program takes all but so many bytes.
    pub(super) fn leave(&self, bytes: u64) {
        let path = self.path().join("others");
        let mut others = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        while let Some(more) = self.free().checked_sub(bytes).filter(|more| *more > 0) {
            let piece = vec![1; usize::try_from(more.min(1 << 20)).unwrap()];
            if others.write_all(&piece).is_err() {
                return;
            }
        }
    }

    /// Another program makes files until so many are left.
    pub(super) fn leave_files(&self, files: u64) {
        let folder = self.path().join("many");
        fs::create_dir_all(&folder).unwrap();
        loop {
            let left = statvfs(self.path()).unwrap().f_favail;
            if left <= files {
                return;
            }
            File::create(folder.join(left.to_string())).unwrap();
        }
    }

    /// The other program has ended.
    pub(super) fn clear(&self) {
        drop(fs::remove_file(self.path().join("others")));
        drop(fs::remove_dir_all(self.path().join("many")));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["--lazy", self.path().to_str().unwrap()]);
    }
}
