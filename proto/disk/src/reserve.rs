//! Room on a disk that is held for rows and audit: a file that nobody writes into. It is given back before a write that might not fit, when
//! other programs have taken all the rest, and is held again when there is room.

use std::fs::{File, OpenOptions, remove_file};
use std::io::{ErrorKind, Result, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

/// Its name in the folder of the rows.
const FILE: &str = "reserve";
/// It is given back when less than this is free, in bytes: more than any write of ours takes.
const NEXT_TO_NOTHING: u64 = 16 << 20;
/// So much is written at once, in bytes, where a file system takes no room without that.
const PIECE: usize = 1 << 20;

/// The reserve. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reserve(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: PathBuf,
    folder: PathBuf,
    bytes: u64,
    turn: Mutex<()>,
}

impl Reserve {
    /// Of so many bytes, more than 0, on the disk of `folder`; not held yet.
    #[must_use]
    pub fn new(folder: &Path, bytes: u64) -> Self {
        Self(Arc::new(Inner {
            file: folder.join(FILE),
            folder: folder.to_owned(),
            bytes,
            turn: Mutex::new(()),
        }))
    }

    fn free(&self) -> Result<u64> {
        let found = statvfs(&self.0.folder)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Whether it is held, by this process or by one before it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        std::fs::metadata(&self.0.file).is_ok_and(|it| it.len() >= self.0.bytes)
    }

    /// Holds it where `spare` bytes stay free beside it; answers whether it is held. Blocks.
    ///
    /// # Errors
    /// As the disk says; nothing is held then.
    pub fn hold(&self, spare: u64) -> Result<bool> {
        let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_held() {
            return Ok(true);
        }
        let needed = [self.0.bytes, spare, NEXT_TO_NOTHING];
        if self.free()? < needed.into_iter().fold(0, u64::saturating_add) {
            return Ok(false);
        }
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(true).write(true);
        let held = file.open(&self.0.file).and_then(|file| {
            take(&file, self.0.bytes)?;
            file.sync_all()
        });
        if held.is_err() {
            self.remove()?;
        }
        held.map(|()| true)
    }

    /// Before a write: gives it back when next to nothing is left.
    pub fn make_way(&self) {
        if !self.free().is_ok_and(|free| free < NEXT_TO_NOTHING) {
            return;
        }
        let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        match self.remove() {
            Ok(true) => tracing::error!(
                "the disk is full: rows and audit live on what was held for them; make room"
            ),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "what is held for rows and audit stays"),
        }
    }

    /// Answers whether there was one.
    fn remove(&self) -> Result<bool> {
        match remove_file(&self.0.file) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Takes room for so many bytes: blocks of the disk, not only a length.
fn take(mut file: &File, bytes: u64) -> Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
        done => return Ok(done?),
    }
    let zeros = vec![0; PIECE];
    let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
    while left > 0 {
        let now = left.min(zeros.len());
        file.write_all(zeros.get(..now).unwrap_or_default())?;
        left -= now;
    }
    Ok(())
}
