//! The bytes of a dataset as they stream by: peeked at, copied in small pieces, or passed over and perhaps hashed.

use std::fmt;
use std::io::{self, ErrorKind, Read};

use aws_lc_rs::digest::{Context, SHA256};

use crate::digest::Digest;

const BUFFER: usize = 64 << 10;

/// A reader with a position and one buffer.
pub(super) struct Source<R> {
    read: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    position: u64,
    hash: Option<Context>,
}

impl<R: Read> Source<R> {
    pub(super) fn new(read: R) -> Self {
        Self {
            read,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            position: 0,
            hash: None,
        }
    }

    /// How many bytes have been taken or passed over.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next `wanted` bytes (at most the buffer), fewer only at the end of the data.
    pub(super) fn peek(&mut self, wanted: usize) -> io::Result<&[u8]> {
        if self.end - self.start < wanted {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            while self.end < wanted && self.fill()? {}
        }
        let end = self.end.min(self.start + wanted);
        Ok(self.buffer.get(self.start..end).unwrap_or_default())
    }

    /// Passes over up to `length` bytes and says how many there were.
    pub(super) fn skip(&mut self, length: u64) -> io::Result<u64> {
        let mut left = length;
        while left > 0 {
            if self.start == self.end {
                self.start = 0;
                self.end = 0;
                if !self.fill()? {
                    break;
                }
            }
            let here = self.end - self.start;
            let step = usize::try_from(left).map_or(here, |left| left.min(here));
            if let Some(hash) = &mut self.hash {
                hash.update(
                    self.buffer
                        .get(self.start..self.start + step)
                        .unwrap_or_default(),
                );
            }
            self.start += step;
            let step = step as u64;
            self.position += step;
            left -= step;
        }
        Ok(length - left)
    }

    /// From here on everything that is passed over is hashed.
    pub(super) fn start_hash(&mut self) {
        self.hash = Some(Context::new(&SHA256));
    }

    /// The digest of what was passed over since [`Self::start_hash`].
    pub(super) fn finish_hash(&mut self) -> Option<Digest> {
        let value = self.hash.take()?.finish();
        value.as_ref().try_into().ok().map(Digest)
    }

    /// Reads more behind what is buffered; `false` at the end of the data.
    fn fill(&mut self) -> io::Result<bool> {
        loop {
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.read.read(room) {
                Ok(0) => return Ok(false),
                Ok(read) => {
                    self.end = (self.end + read).min(BUFFER);
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<R> fmt::Debug for Source<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source at {}", self.position)
    }
}
