//! Room on the disk that is held for rows and audit, in a file that nothing is written into: given back when nothing else is left, and
//! held again when there is room.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

/// With less than this free before a transaction, in bytes, the reserve is given back: no transaction of ours is longer.
const TIGHT: u64 = 16 << 20;
/// How much is written at once where a file system cannot hold room without that.
const PIECE: usize = 1 << 20;

/// The reserve. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reserve(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    bytes: u64,
    /// Whoever changes whether it is held is alone.
    turn: Mutex<()>,
}

impl Reserve {
    /// So many bytes, more than 0, on the disk of `folder`; not held yet.
    #[must_use]
    pub fn new(folder: &Path, bytes: u64) -> Self {
        Self(Arc::new(Inner {
            folder: folder.to_owned(),
            bytes,
            turn: Mutex::new(()),
        }))
    }

    fn path(&self) -> PathBuf {
        self.0.folder.join("reserve")
    }

    fn free(&self) -> Result<u64> {
        let found = statvfs(&self.0.folder)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn length(&self) -> u64 {
        std::fs::metadata(self.path()).map_or(0, |facts| facts.len())
    }

    /// Whether it is held, by this process or by one before it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.length() >= self.0.bytes
    }

    /// Holds it when `spare` bytes stay free beside it; says whether it is held now. Called by who may wait for the disk.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn hold(&self, spare: u64) -> Result<bool> {
        let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_held() {
            return Ok(true);
        }
        let path = self.path();
        let wanted = spare.saturating_add(self.0.bytes).saturating_add(TIGHT);
        if self.free()? < wanted {
            return Ok(false);
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)?;
        let done = allocate(&file, self.0.bytes).and_then(|()| file.sync_all());
        if let Err(error) = done {
            drop(std::fs::remove_file(&path));
            return Err(error);
        }
        Ok(true)
    }

    /// Gives it back when next to nothing else is left.
    pub(super) fn look(&self) {
        if !self.free().is_ok_and(|free| free < TIGHT) {
            return;
        }
        let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        match std::fs::remove_file(self.path()) {
            Ok(()) => {
                let bytes = self.0.bytes;
                tracing::error!(
                    bytes,
                    "the disk is full: what was held for rows and audit is given back to them"
                );
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                tracing::error!(%error, "what is held for rows and audit could not be given back");
            }
        }
    }
}

/// Room that is really taken: a file that is only long takes none.
fn allocate(file: &File, bytes: u64) -> Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => return Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
        Err(error) => return Err(Error::from(error)),
    }
    let piece = vec![0; PIECE];
    let (mut file, mut left) = (file, bytes);
    while left > 0 {
        let step = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        file.write_all(piece.get(..step).unwrap_or_default())?;
        left -= u64::try_from(step).unwrap_or(left);
    }
    Ok(())
}
