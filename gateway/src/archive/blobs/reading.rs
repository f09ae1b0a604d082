//! Reading blobs in large pieces into buffers that are used again. What the kernel has in memory is read at once; only what has to come
//! from the disk is left to a thread that may wait.

use std::fs::File;
use std::io::{ErrorKind, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use rustix::fs::{Advice, CWD, Mode, OFlags, ResolveFlags, fadvise, openat2};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::time::Instant;

use super::{BlobError, BlobKey, Blobs};

/// A piece: a frame of 512 by 512 samples of two bytes.
const PIECE: usize = 512 << 10;
/// So many pieces are kept for the next reader: 16 MiB.
const MOST: usize = 32;
/// What is shorter gets no piece, which would hold the rest of it for nothing, but room of its own.
const SMALL: usize = PIECE / 8;

/// Pieces that nobody uses at the moment, and when somebody read last. All that read share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces(Arc<Mutex<Vec<Box<[u8]>>>>, Arc<Mutex<Option<Instant>>>);

/// A piece with bytes in it; goes back when the last who reads it is done.
struct Lent {
    buffer: Box<[u8]>,
    length: usize,
    home: Pieces,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        let mut free = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.len() == PIECE && free.len() < MOST {
            free.push(buffer);
        }
    }
}

impl Pieces {
    /// Room for `length` bytes; what is small, and more than a piece, is made for the occasion.
    fn take(&self, length: usize) -> Lent {
        let buffer = if (SMALL..=PIECE).contains(&length) {
            let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let used = free.pop();
            drop(free);
            used.unwrap_or_else(|| vec![0; PIECE].into_boxed_slice())
        } else {
            vec![0; length].into_boxed_slice()
        };
        Lent {
            buffer,
            length,
            home: self.clone(),
        }
    }
}

fn failed(source: std::io::Error) -> BlobError {
    BlobError::File {
        tried: "reading a blob",
        source,
    }
}

/// Opens a file when everything on its way is in the kernel's memory; none when that cannot be said without waiting.
fn open_now(path: &Path) -> Option<Result<File, std::io::Error>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED) {
        Ok(file) => Some(Ok(File::from(file))),
        Err(Errno::NOENT) => Some(Err(ErrorKind::NotFound.into())),
        Err(_) => None,
    }
}

/// Fills what can be filled without waiting for the disk, and says how much that is.
fn read_now(file: &File, buffer: &mut [u8], offset: u64) -> usize {
    let mut slices = [IoSliceMut::new(buffer)];
    // what cannot be had so, for whatever reason, is read in the plain way, which tells the reason
    preadv2(file, &mut slices, offset, ReadWriteFlags::NOWAIT).unwrap_or(0)
}

/// Fills the rest of a piece, from the disk if need be; it is shorter where the file ends.
fn read_all(file: &File, lent: &mut Lent, mut done: usize, offset: u64) -> std::io::Result<()> {
    while let Some(rest) = lent
        .buffer
        .get_mut(done..lent.length)
        .filter(|rest| !rest.is_empty())
    {
        let at = offset.saturating_add(u64::try_from(done).unwrap_or(0));
        match file.read_at(rest, at) {
            Ok(0) => lent.length = done,
            Ok(more) => done += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn waiting<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, BlobError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(failed),
        Err(_) => Err(BlobError::Short),
    }
}

/// Reads a piece for somebody who reads everything: what the kernel did not have in memory before it has not afterwards, so that what
/// readers use stays there.
pub(in crate::archive) fn read_quietly(
    file: &File,
    at: u64,
    most: u64,
) -> std::io::Result<Vec<u8>> {
    let mut buffer = vec![0; usize::try_from(most).unwrap_or(0)];
    let mut done = read_now(file, &mut buffer, at);
    let from_memory = done == buffer.len();
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at.saturating_add(u64::try_from(done).unwrap_or(0))) {
            Ok(0) => break,
            Ok(more) => done += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(done);
    if !from_memory {
        let length = std::num::NonZeroU64::new(u64::try_from(done).unwrap_or(0));
        // only advice: where it is not taken the kernel forgets by itself
        fadvise(file, at, length, Advice::DontNeed).ok();
    }
    Ok(buffer)
}

impl Blobs {
    /// How long it takes until nobody has read for `quiet`; none when nobody has.
    pub(in crate::archive) fn quiet_for(&self, quiet: Duration) -> Option<Duration> {
        let last = self.pieces.1.lock().unwrap_or_else(PoisonError::into_inner);
        let left = quiet.saturating_sub((*last)?.elapsed());
        (!left.is_zero()).then_some(left)
    }

    fn is_read(&self) {
        let mut last = self.pieces.1.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(Instant::now());
    }

    async fn open_blob(&self, key: &BlobKey) -> Result<Arc<File>, BlobError> {
        Self::open_file(self.root.join(key.as_str())).await
    }

    async fn open_file(path: PathBuf) -> Result<Arc<File>, BlobError> {
        let file = match open_now(&path) {
            Some(opened) => opened.map_err(failed)?,
            None => waiting(move || File::open(path)).await?,
        };
        Ok(Arc::new(file))
    }

    async fn piece(&self, file: &Arc<File>, range: Range<u64>) -> Result<Bytes, BlobError> {
        self.is_read();
        let length = range.end.saturating_sub(range.start);
        let mut lent = self.pieces.take(usize::try_from(length).unwrap_or(0));
        let whole = lent.length;
        let now = lent.buffer.get_mut(..whole).unwrap_or_default();
        let done = read_now(file, now, range.start);
        if done < whole {
            let file = file.clone();
            lent = waiting(move || {
                read_all(&file, &mut lent, done, range.start)?;
                Ok(lent)
            })
            .await?;
        }
        Ok(Bytes::from_owner(lent))
    }

    /// A part of the blob; shorter when the blob ends before `range` does.
    ///
    /// # Errors
    /// When it is missing, `range` begins beyond its end, or it cannot be read.
    pub async fn range(&self, key: &BlobKey, range: Range<u64>) -> Result<Bytes, BlobError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.file(self.root.join(key.as_str()), range).await
    }

    /// Several parts of the blob one after the other, in one piece of memory.
    ///
    /// # Errors
    /// When it is missing, ends before one of the parts does, or cannot be read.
    pub async fn joined(&self, key: &BlobKey, parts: Vec<Range<u64>>) -> Result<Bytes, BlobError> {
        self.is_read();
        let file = self.open_blob(key).await?;
        waiting(move || {
            let length = |part: &Range<u64>| part.end.saturating_sub(part.start);
            let total = parts.iter().map(length).fold(0, u64::saturating_add);
            let mut out = vec![0; usize::try_from(total).unwrap_or(0)];
            let mut rest = out.as_mut_slice();
            for part in &parts {
                let more = usize::try_from(length(part)).unwrap_or(0);
                let Some((now, later)) = rest.split_at_mut_checked(more) else {
                    return Err(ErrorKind::UnexpectedEof.into());
                };
                file.read_exact_at(now, part.start)?;
                rest = later;
            }
            Ok(Bytes::from(out))
        })
        .await
    }

    /// A part of a file of this room.
    pub(in crate::archive) async fn file(
        &self,
        path: PathBuf,
        range: Range<u64>,
    ) -> Result<Bytes, BlobError> {
        let file = Self::open_file(path).await?;
        let bytes = self.piece(&file, range).await?;
        if bytes.is_empty() {
            return Err(failed(ErrorKind::UnexpectedEof.into()));
        }
        Ok(bytes)
    }

    /// A part of the blob in pieces of at most 512 KiB, read as they are asked for.
    #[must_use]
    pub fn stream(
        &self,
        key: &BlobKey,
        range: Range<u64>,
    ) -> BoxStream<'static, Result<Bytes, BlobError>> {
        let state = (self.clone(), key.clone(), None, range);
        stream::try_unfold(state, |(blobs, key, file, left)| async move {
            if left.is_empty() {
                return Ok(None);
            }
            let file = match file {
                Some(file) => file,
                None => blobs.open_blob(&key).await?,
            };
            let most = left.start.saturating_add(u64::try_from(PIECE).unwrap_or(0));
            let bytes = blobs.piece(&file, left.start..left.end.min(most)).await?;
            if bytes.is_empty() {
                return Err(BlobError::Short);
            }
            let next = left
                .start
                .saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
            Ok(Some((bytes, (blobs, key, Some(file), next..left.end))))
        })
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_holds_no_piece() {
        let pieces = Pieces::default();
        let room = |length| pieces.take(length).buffer.len();
        assert_eq!((room(8), room(SMALL - 1)), (8, SMALL - 1));
        assert_eq!(room(SMALL), PIECE);
        assert_eq!((room(PIECE), room(PIECE + 1)), (PIECE, PIECE + 1));
        assert_eq!(pieces.0.lock().unwrap().len(), 1, "used again");
    }

    #[tokio::test]
    async fn parts_are_joined_and_one_beyond_the_end_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let key: BlobKey = format!("s1/g1/aa/{}", "a".repeat(64)).parse().unwrap();
        blobs.put(&key, b"abcdefgh".to_vec()).await.unwrap();
        let joined = async |parts| blobs.joined(&key, parts).await;
        let found = joined(vec![6..8, 0..1, 3..3, 1..4]).await.unwrap();
        assert_eq!(&found[..], b"ghabcd");
        assert!(joined(Vec::new()).await.unwrap().is_empty());
        assert!(joined(vec![0..2, 7..9]).await.is_err());
    }
}
