//! One instance on its way to the disk: gathered in memory as long as it is short, bounded, and readable before it is kept.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use causeway_proto::digest::{ContentHasher, Digest};

use super::disk::{Block, Disk, Handle, Partial};
use super::entry::{Arrival, Kept};
use super::pressure::Pressure;
use super::receive::BELOW;
use super::{StoreError, floor, off_runtime};

/// One instance on its way to the disk. Dropped without [`super::Spool::commit`], nothing of it is kept.
#[derive(Debug)]
pub struct Writer {
    disk: Disk,
    pressure: Arc<Pressure>,
    arrival: Arrival,
    bounds: floor::Config,
    length: u64,
    block: Option<Block>,
    /// Only where the digest is needed at once; else the protection computes it when it reads the object.
    hasher: Option<ContentHasher>,
    partial: Option<Partial>,
    failed: bool,
}

impl Writer {
    pub(super) fn new(
        disk: Disk,
        pressure: Arc<Pressure>,
        arrival: Arrival,
        bounds: floor::Config,
        hashed: bool,
    ) -> Self {
        Self {
            bounds,
            length: 0,
            block: Some(disk.block()),
            disk,
            pressure,
            hasher: hashed.then(|| ContentHasher::new(&arrival.syntax)),
            arrival,
            partial: None,
            failed: false,
        }
    }

    pub(super) fn arrival(&self) -> &Arrival {
        &self.arrival
    }

    /// Takes the next bytes of the dataset, as they came. What does not fit into memory is written in pieces of a mebibyte.
    ///
    /// # Errors
    /// When the disk refuses, or the instance is larger than the site allows. The writer is then of no more use.
    pub async fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.pressure.brought(bytes.len());
        self.length = self.length.saturating_add(bytes.len() as u64);
        let limit = self.bounds.max_instance_bytes;
        if self.length > limit {
            self.failed = true;
            return Err(StoreError::TooLarge(limit));
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.block.as_ref().is_none_or(|block| block.room() == 0) {
                self.flush().await?;
            }
            let Some(block) = &mut self.block else {
                return Err(StoreError::Full(EARLIER));
            };
            let (now, later) = rest.split_at(block.room().min(rest.len()));
            block.push(now);
            rest = later;
        }
        Ok(())
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Everything taken so far, while that is in memory.
    #[must_use]
    pub fn content(&self) -> Option<&[u8]> {
        match (&self.partial, &self.block) {
            (None, Some(block)) => Some(block.content()),
            _ => None,
        }
    }

    /// The memory of an instance that is all in it, and may go into a segment.
    pub(super) fn take_block(&mut self) -> Option<Block> {
        if self.failed || self.partial.is_some() {
            return None;
        }
        self.block.take()
    }

    /// Gives back what [`Self::take_block`] took.
    pub(super) fn put_back(&mut self, block: Block) {
        self.block = Some(block);
    }

    /// Everything taken so far, to be read from the beginning, on a blocking thread. Wrap it in a `BufReader`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn reader(&mut self) -> Result<Reader, StoreError> {
        let more = self.block.as_ref().is_some_and(|b| !b.content().is_empty());
        if self.partial.is_some() && more {
            self.flush().await?;
        }
        let source = match &self.partial {
            Some(partial) => Source::File(self.disk.clone(), partial.name().to_owned()),
            None => Source::Memory(Arc::from(self.content().unwrap_or_default())),
        };
        Ok(Reader {
            source,
            length: self.length,
            at: 0,
        })
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        let (false, Some(mut block)) = (self.failed, self.block.take()) else {
            return Err(StoreError::Full(EARLIER));
        };
        let partial = self.partial.take();
        let (disk, bounds) = (self.disk.clone(), self.bounds.clone());
        let mut hasher = self.hasher.clone();
        self.failed = true;
        let (partial, block, hasher) = off_runtime(move || {
            let mut partial = match partial {
                Some(partial) => partial,
                None => disk.begin()?,
            };
            if let Some(hasher) = &mut hasher {
                hasher.update(block.content());
            }
            // one that began when there was room takes no more than there is
            let looked = bounds.look(&disk);
            if let Err(error) = looked.and_then(|()| partial.append_block(&block)) {
                disk.discard(partial.name());
                return Err(error);
            }
            block.clear();
            Ok((partial, block, hasher))
        })
        .await?
        .map_err(|source| match source.kind() {
            io::ErrorKind::StorageFull => StoreError::Full(BELOW),
            _ => StoreError::Disk {
                tried: "writing an instance",
                source,
            },
        })?;
        self.block = Some(block);
        self.hasher = hasher;
        self.partial = Some(partial);
        self.failed = false;
        Ok(())
    }

    /// The digest over everything taken, where it was computed while the bytes came.
    pub(super) fn digest(&self) -> Option<Digest> {
        let mut hasher = self.hasher.clone()?;
        hasher.update(self.block.as_ref().map_or(&[], Block::content));
        Some(hasher.finish())
    }

    /// Makes everything taken durable in a file of its own.
    pub(super) async fn keep(mut self, digest: Option<Digest>) -> Result<Handle, StoreError> {
        let (false, Some(block)) = (self.failed, self.block.take()) else {
            return Err(StoreError::Full(EARLIER));
        };
        let partial = self.partial.take();
        let disk = self.disk.clone();
        off_runtime(move || {
            let mut partial = match partial {
                Some(partial) => partial,
                None => disk.begin()?,
            };
            if !block.content().is_empty()
                && let Err(error) = partial.append_block(&block)
            {
                disk.discard(partial.name());
                return Err(error);
            }
            match digest {
                Some(digest) => disk.keep(partial, &digest),
                None => disk.keep_unnamed(partial),
            }
        })
        .await?
        .map_err(|source| StoreError::Disk {
            tried: "making an instance durable",
            source,
        })
    }
}

const EARLIER: &str = "an earlier write of this instance failed";

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
        Self {
            source: Source::Kept(disk, kept.handle.clone()),
            length: kept.length,
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
