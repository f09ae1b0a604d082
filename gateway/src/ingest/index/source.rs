//! The bytes that are indexed: from memory, from a file, or inflated under a bound; large values are skipped, not read.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use causeway_proto::element::HEADER_MAX;
use flate2::read::DeflateDecoder;

/// How much of a value is asked for at once, so that a length is believed only as far as there are bytes.
const STEP: u64 = 1 << 20;

/// What is read.
#[derive(Debug)]
pub(crate) enum Content {
    /// All of it.
    Memory(bytes::Bytes),
    /// A file, from its beginning.
    File(File),
}

impl Read for Content {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => {
                let count = out.len().min(bytes.len());
                let (from, to) = (bytes.split_to(count), out.get_mut(..count));
                to.unwrap_or_default().copy_from_slice(&from);
                Ok(count)
            }
            Self::File(file) => file.read(out),
        }
    }
}

enum Reader {
    Memory(bytes::Bytes),
    File(BufReader<File>),
    Inflate(Box<io::Take<DeflateDecoder<Content>>>),
}

/// A position in the content and the few bytes that were looked at ahead of it.
pub(super) struct Source {
    reader: Reader,
    position: u64,
    ahead: Vec<u8>,
}

impl Source {
    /// Reads plain content.
    pub(super) fn plain(content: Content) -> Self {
        Self::over(match content {
            Content::Memory(bytes) => Reader::Memory(bytes),
            Content::File(file) => Reader::File(BufReader::new(file)),
        })
    }

    /// Reads deflated content (PS3.5 A.5), at most `limit` bytes of what it inflates to.
    pub(super) fn deflated(content: Content, limit: u64) -> Self {
        let inflate = DeflateDecoder::new(content).take(limit);
        Self::over(Reader::Inflate(Box::new(inflate)))
    }

    fn over(reader: Reader) -> Self {
        Self {
            reader,
            position: 0,
            ahead: Vec::with_capacity(HEADER_MAX),
        }
    }

    /// Bytes before the next one.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Up to 12 of the next bytes, fewer only at the end.
    pub(super) fn peek(&mut self) -> io::Result<&[u8]> {
        let want = HEADER_MAX.saturating_sub(self.ahead.len());
        if want > 0 {
            let want = u64::try_from(want).unwrap_or(0);
            Read::take(&mut self.reader, want).read_to_end(&mut self.ahead)?;
        }
        Ok(&self.ahead)
    }

    /// The next `length` bytes.
    pub(super) fn take(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let from_ahead = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(self.ahead.len());
        let mut out: Vec<u8> = self.ahead.drain(..from_ahead).collect();
        let mut left = length - u64::try_from(from_ahead).unwrap_or(0);
        while left > 0 {
            let step = left.min(STEP);
            let got = Read::take(&mut self.reader, step).read_to_end(&mut out)?;
            if u64::try_from(got).unwrap_or(0) < step {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= step;
        }
        self.position += length;
        Ok(out)
    }

    /// Passes over the next `length` bytes.
    pub(super) fn skip(&mut self, length: u64) -> io::Result<()> {
        let from_ahead = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(self.ahead.len());
        self.ahead.drain(..from_ahead);
        let left = length - u64::try_from(from_ahead).unwrap_or(0);
        self.reader.skip(left)?;
        self.position += length;
        Ok(())
    }
}

impl Reader {
    fn skip(&mut self, length: u64) -> io::Result<()> {
        let there = match self {
            Self::Memory(bytes) => {
                let count = usize::try_from(length).unwrap_or(usize::MAX);
                let there = count <= bytes.len();
                if there {
                    bytes::Buf::advance(bytes, count);
                }
                there
            }
            Self::File(file) => {
                let end = file.get_ref().metadata()?.len();
                let at = file.stream_position()?;
                let there = at.saturating_add(length) <= end;
                if there {
                    match i64::try_from(length) {
                        Ok(offset) => file.seek_relative(offset)?,
                        Err(_) => {
                            file.seek(SeekFrom::Start(at + length))?;
                        }
                    }
                }
                there
            }
            Self::Inflate(inflate) => {
                let passed = io::copy(&mut inflate.take(length), &mut io::sink())?;
                passed == length
            }
        };
        if there {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => {
                let count = out.len().min(bytes.len());
                let (from, to) = (bytes.split_to(count), out.get_mut(..count));
                to.unwrap_or_default().copy_from_slice(&from);
                Ok(count)
            }
            Self::File(file) => file.read(out),
            Self::Inflate(inflate) => inflate.read(out),
        }
    }
}
