//! Kept bytes, read from their beginning to their end and compared with the checksum that they got when they came.
//!
//! Whoever names bytes by their digest reads them through this, and asks at the end: a digest of bytes that have changed on the disk
//! would make them genuine.

use std::io::{self, Read, Seek, SeekFrom};

use bytes::Bytes;
use causeway_proto::digest::{ContentHasher, Digest};
use causeway_proto::ids::TransferSyntaxUid;
use flate2::Crc;
use thiserror::Error;

use super::{Disk, Handle, Place};

/// So much is read at once.
const PIECE: usize = 256 << 10;

#[derive(Debug, Error)]
#[error("bytes on the agent's disk are not those that were received")]
struct Rotten;

/// What reading bytes answers that are not what they were.
pub(super) fn rotten() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Rotten)
}

/// Whether an error says that bytes are not what they were: reading them again will not help.
#[must_use]
pub fn is_rotten(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Rotten>())
}

/// Kept bytes that are compared as they are read. Seeking is free; what is passed over is compared all the same. Blocks.
#[derive(Debug)]
pub struct Checked {
    disk: Disk,
    handle: Handle,
    length: u64,
    /// Of the whole; none where it was compared already, and where an earlier version kept none.
    expected: Option<u32>,
    sum: Crc,
    /// Everything before this is in `sum`.
    summed: u64,
    /// What was read last, from `base` on.
    buffer: Bytes,
    base: u64,
    at: u64,
}

impl Disk {
    /// Kept bytes, to be compared as they are read. An object of a segment is read and compared here and now.
    ///
    /// # Errors
    /// As the disk says, and [`is_rotten`].
    pub fn checked(&self, handle: &Handle, length: u64) -> io::Result<Checked> {
        let (buffer, expected) = match handle.place() {
            Place::Packed {
                segment, offset, ..
            } => (self.packed(segment, offset, length)?, None),
            Place::File(_) => (Bytes::new(), handle.checksum()),
        };
        let summed = buffer.len() as u64;
        Ok(Checked {
            disk: self.clone(),
            handle: handle.clone(),
            length,
            expected,
            sum: Crc::new(),
            summed,
            buffer,
            base: 0,
            at: 0,
        })
    }

    /// The content digest of kept bytes that are what they were.
    ///
    /// # Errors
    /// As the disk says, and [`is_rotten`].
    pub fn digest_of(
        &self,
        handle: &Handle,
        length: u64,
        syntax: &TransferSyntaxUid,
    ) -> io::Result<Digest> {
        let mut checked = self.checked(handle, length)?;
        let mut hasher = ContentHasher::new(syntax);
        hasher.update(&checked.buffer);
        while checked.summed < length {
            checked.advance()?;
            hasher.update(&checked.buffer);
        }
        checked.end()?;
        Ok(hasher.finish())
    }
}

impl Checked {
    /// Reads the next piece that is not in the sum.
    fn advance(&mut self) -> io::Result<()> {
        let left = usize::try_from(self.length.saturating_sub(self.summed)).unwrap_or(PIECE);
        self.buffer = self.disk.read(&self.handle, self.summed, left.min(PIECE))?;
        if self.buffer.is_empty() {
            return Err(rotten());
        }
        self.sum.update(&self.buffer);
        self.base = self.summed;
        self.summed = self.summed.saturating_add(self.buffer.len() as u64);
        Ok(())
    }

    /// What was read, from `at` on.
    fn here(&self) -> &[u8] {
        let offset = self.at.checked_sub(self.base);
        let offset = offset.and_then(|offset| usize::try_from(offset).ok());
        offset
            .and_then(|offset| self.buffer.get(offset..))
            .unwrap_or_default()
    }

    /// Reads whatever was not, and compares the whole.
    ///
    /// # Errors
    /// As the disk says, and [`is_rotten`].
    pub fn end(mut self) -> io::Result<()> {
        while self.summed < self.length {
            self.advance()?;
        }
        match self.expected {
            Some(expected) if expected != self.sum.sum() => Err(rotten()),
            _ => Ok(()),
        }
    }
}

impl Read for Checked {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.length || out.is_empty() {
            return Ok(0);
        }
        while self.summed < self.at {
            self.advance()?;
        }
        if self.here().is_empty() {
            match usize::try_from(self.summed.saturating_sub(self.at)) {
                Ok(0) => self.advance()?,
                // it was compared before, and is no more in hand
                behind => {
                    let most = behind.unwrap_or(PIECE).min(PIECE);
                    self.buffer = self.disk.read(&self.handle, self.at, most)?;
                    self.base = self.at;
                }
            }
        }
        let here = self.here();
        let length = here.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..length), here.get(..length)) {
            to.copy_from_slice(from);
        }
        self.at = self.at.saturating_add(length as u64);
        Ok(length)
    }
}

impl Seek for Checked {
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
