//! One instance on its way to the disk: buffered, hashed, bounded, and readable before it is kept.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use causeway_proto::digest::{ContentHasher, Digest};

use super::disk::{Disk, Handle, Partial};
use super::entry::{Arrival, Kept};
use super::{StoreError, off_runtime};

/// Bytes gathered before one write.
const PIECE: usize = 256 * 1024;

/// One instance on its way to the disk. Dropped without [`super::Spool::commit`], nothing of it is kept.
#[derive(Debug)]
pub struct Writer {
    disk: Disk,
    arrival: Arrival,
    limit: u64,
    length: u64,
    buffer: Vec<u8>,
    hasher: ContentHasher,
    partial: Option<Partial>,
    failed: bool,
}

impl Writer {
    pub(super) fn new(disk: Disk, arrival: Arrival, limit: u64) -> Self {
        Self {
            disk,
            limit,
            length: 0,
            buffer: Vec::new(),
            hasher: ContentHasher::new(&arrival.syntax),
            arrival,
            partial: None,
            failed: false,
        }
    }

    pub(super) fn arrival(&self) -> &Arrival {
        &self.arrival
    }

    /// Takes the next bytes of the dataset, as they came. Writes in pieces of 256 KiB and hashes as it goes.
    ///
    /// # Errors
    /// When the disk refuses, or the instance is larger than the site allows. The writer is then of no more use.
    pub async fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.length = self.length.saturating_add(bytes.len() as u64);
        if self.length > self.limit {
            self.failed = true;
            return Err(StoreError::TooLarge(self.limit));
        }
        let mut rest = bytes;
        while self.buffer.len() + rest.len() >= PIECE {
            let (now, later) =
                rest.split_at(PIECE.saturating_sub(self.buffer.len()).min(rest.len()));
            self.buffer.extend_from_slice(now);
            self.flush().await?;
            rest = later;
        }
        self.buffer.extend_from_slice(rest);
        Ok(())
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Everything taken so far, to be read from the beginning, on a blocking thread. Wrap it in a `BufReader`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn reader(&mut self) -> Result<Reader, StoreError> {
        if self.partial.is_some() && !self.buffer.is_empty() {
            self.flush().await?;
        }
        let source = match &self.partial {
            Some(partial) => Source::File(self.disk.clone(), partial.name().to_owned()),
            None => Source::Memory(Arc::from(self.buffer.as_slice())),
        };
        Ok(Reader {
            source,
            length: self.length,
            at: 0,
        })
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Full("an earlier write of this instance failed"));
        }
        let partial = self.partial.take();
        let buffer = std::mem::take(&mut self.buffer);
        let disk = self.disk.clone();
        let mut hasher = self.hasher.clone();
        self.failed = true;
        let (partial, mut buffer, hasher) = off_runtime(move || {
            let mut partial = match partial {
                Some(partial) => partial,
                None => disk.begin()?,
            };
            hasher.update(&buffer);
            if let Err(error) = partial.append(&buffer) {
                disk.discard(partial.name());
                return Err(error);
            }
            Ok((partial, buffer, hasher))
        })
        .await?
        .map_err(|source| StoreError::Disk {
            tried: "writing an instance",
            source,
        })?;
        buffer.clear();
        self.buffer = buffer;
        self.hasher = hasher;
        self.partial = Some(partial);
        self.failed = false;
        Ok(())
    }

    /// The digest over everything taken.
    pub(super) fn digest(&self) -> Digest {
        let mut hasher = self.hasher.clone();
        hasher.update(&self.buffer);
        hasher.finish()
    }

    /// Makes everything taken durable under its final name.
    pub(super) async fn keep(mut self, digest: Digest) -> Result<Handle, StoreError> {
        if self.failed {
            return Err(StoreError::Full("an earlier write of this instance failed"));
        }
        let partial = self.partial.take();
        let buffer = std::mem::take(&mut self.buffer);
        let disk = self.disk.clone();
        off_runtime(move || {
            let mut partial = match partial {
                Some(partial) => partial,
                None => disk.begin()?,
            };
            if !buffer.is_empty()
                && let Err(error) = partial.append(&buffer)
            {
                disk.discard(partial.name());
                return Err(error);
            }
            disk.keep(partial, &digest)
        })
        .await?
        .map_err(|source| StoreError::Disk {
            tried: "making an instance durable",
            source,
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(partial) = self.partial.take() {
            self.disk.discard(partial.name());
        }
    }
}

#[derive(Debug)]
enum Source {
    Memory(Arc<[u8]>),
    File(Disk, String),
    Kept(Disk, Handle),
}

/// Reads back what a writer has taken, or what is kept, from the beginning. Blocks: not for an async thread.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    length: u64,
    at: u64,
}

impl Reader {
    pub(super) fn of_kept(disk: Disk, kept: &Kept) -> Self {
        Self::of_handle(disk, &kept.handle, kept.length)
    }

    pub(super) fn of_handle(disk: Disk, handle: &Handle, length: u64) -> Self {
        Self {
            source: Source::Kept(disk, handle.clone()),
            length,
            at: 0,
        }
    }
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let got = match &self.source {
            Source::Memory(bytes) => {
                let from = usize::try_from(self.at)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                let to = from.saturating_add(out.len()).min(bytes.len());
                copy(bytes.get(from..to).unwrap_or_default(), out)
            }
            Source::File(disk, name) => copy(&disk.read_partial(name, self.at, out.len())?, out),
            Source::Kept(disk, handle) => copy(&disk.read(handle, self.at, out.len())?, out),
        };
        self.at = self.at.saturating_add(got as u64);
        Ok(got)
    }
}

fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let length = from.len().min(to.len());
    if let (Some(to), Some(from)) = (to.get_mut(..length), from.get(..length)) {
        to.copy_from_slice(from);
    }
    length
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "a seek before the beginning")
        })?;
        Ok(self.at)
    }
}
