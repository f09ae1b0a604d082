//! A received dataset, walked header by header: values are passed over without being read, and every length is checked against
//! what encloses it.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;

use causeway_proto::element::{
    Encoding, HEADER_MAX, Header, ITEM, ITEM_END, PIXEL_DATA, SEQUENCE_END, encoding_inside_unknown,
};
use dicom_core::VR;
use thiserror::Error;

/// Why a dataset cannot be walked to its end. Nothing received is repeated.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// The disk failed.
    #[error("the received object cannot be read")]
    Read(#[source] io::Error),
    /// The framing is broken.
    #[error("the dataset is malformed")]
    Malformed,
    /// Deeper or longer than is walked.
    #[error("the dataset is nested too deeply or has too many elements")]
    Limit,
    /// A syntax that has to be undone first, or is retired.
    #[error("the dataset is in a transfer syntax that is not protected")]
    Syntax,
    /// Too much would have to be held in memory.
    #[error("a value is too long to be looked through")]
    TooLong,
}

/// Levels of sequences.
pub(super) const DEPTH: usize = 64;
const ELEMENTS: u64 = 2_000_000;
const BUFFER: usize = 64 << 10;

/// What follows a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A value that ends here.
    Value(u64),
    /// Items, up to a declared end or a delimiter, in an encoding.
    Items(Option<u64>, Encoding),
    /// Fragments of encapsulated pixel data.
    Fragments,
}

/// The bytes of a dataset with a position.
pub(super) struct Source<'s, S> {
    source: &'s mut S,
    length: u64,
    buffer: Vec<u8>,
    base: u64,
    at: u64,
    elements: u64,
}

impl<'s, S: Read + Seek> Source<'s, S> {
    /// `length` is that of the dataset.
    pub(super) fn new(source: &'s mut S, length: u64) -> Self {
        Self {
            source,
            length,
            buffer: Vec::new(),
            base: 0,
            at: 0,
            elements: 0,
        }
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Goes to a place that was passed or found before.
    pub(super) fn go(&mut self, at: u64) {
        self.at = at;
    }

    /// Up to `wanted` bytes from here, fewer only at the end.
    fn peek(&mut self, wanted: usize) -> Result<&[u8], Unreadable> {
        let offset = self.at.checked_sub(self.base);
        let inside = offset.and_then(|offset| usize::try_from(offset).ok());
        let enough = inside.is_some_and(|offset| {
            offset
                .checked_add(wanted)
                .is_some_and(|end| end <= self.buffer.len())
        });
        if !enough {
            let left = self.length.saturating_sub(self.at);
            let size = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
            self.buffer = self.read(self.at..self.at + size as u64)?;
            self.base = self.at;
        }
        let offset = usize::try_from(self.at - self.base).unwrap_or(usize::MAX);
        let here = self.buffer.get(offset..).unwrap_or_default();
        Ok(here.get(..wanted).unwrap_or(here))
    }

    /// The bytes of a range, which the caller has bounded.
    pub(super) fn read(&mut self, range: Range<u64>) -> Result<Vec<u8>, Unreadable> {
        let offset = range.start.checked_sub(self.base);
        let offset = offset.and_then(|offset| usize::try_from(offset).ok());
        let size = usize::try_from(range.end.saturating_sub(range.start))
            .ok()
            .ok_or(Unreadable::TooLong)?;
        let buffered = offset
            .and_then(|offset| self.buffer.get(offset..))
            .and_then(|rest| rest.get(..size));
        if let Some(bytes) = buffered {
            return Ok(bytes.to_vec());
        }
        let mut bytes = vec![0; size];
        self.source
            .seek(SeekFrom::Start(range.start))
            .map_err(Unreadable::Read)?;
        self.source
            .read_exact(&mut bytes)
            .map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => Unreadable::Malformed,
                _ => Unreadable::Read(error),
            })?;
        Ok(bytes)
    }

    /// Takes a header that stands wholly before `limit`.
    pub(super) fn header(&mut self, encoding: Encoding, limit: u64) -> Result<Header, Unreadable> {
        self.elements += 1;
        if self.elements > ELEMENTS {
            return Err(Unreadable::Limit);
        }
        let bytes = self.peek(HEADER_MAX)?;
        let header = Header::read(bytes, encoding).ok_or(Unreadable::Malformed)?;
        let end = self.at + u64::from(header.size);
        if end > limit {
            return Err(Unreadable::Malformed);
        }
        self.at = end;
        Ok(header)
    }

    /// What follows a header that was just taken.
    pub(super) fn kind(
        &mut self,
        header: &Header,
        encoding: Encoding,
        limit: u64,
    ) -> Result<Kind, Unreadable> {
        let end = match header.length {
            Some(length) => {
                let end = self.at + u64::from(length);
                if end > limit {
                    return Err(Unreadable::Malformed);
                }
                Some(end)
            }
            None => None,
        };
        match end {
            None if header.tag == PIXEL_DATA => Ok(Kind::Fragments),
            Some(end) if header.vr != VR::SQ => Ok(Kind::Value(end)),
            end => {
                let unknown = header.vr == VR::UN && encoding != Encoding::ImplicitLittle;
                let inside = if unknown {
                    encoding_inside_unknown(self.peek(8 + HEADER_MAX)?)
                } else {
                    encoding
                };
                Ok(Kind::Items(end, inside))
            }
        }
    }

    /// Takes the header of the next item, and says where it ends if it does; none at the end of the items.
    pub(super) fn item(
        &mut self,
        end: Option<u64>,
        encoding: Encoding,
        limit: u64,
    ) -> Result<Option<Option<u64>>, Unreadable> {
        if end == Some(self.at) {
            return Ok(None);
        }
        let header = self.header(encoding, limit)?;
        if header.tag == SEQUENCE_END && end.is_none() {
            return Ok(None);
        }
        if header.tag != ITEM {
            return Err(Unreadable::Malformed);
        }
        let Some(length) = header.length else {
            return Ok(Some(None));
        };
        let end = self.at + u64::from(length);
        if end > limit {
            return Err(Unreadable::Malformed);
        }
        Ok(Some(Some(end)))
    }

    /// Takes the header of the next element of a dataset or item; none at its end, whose delimiter is taken.
    pub(super) fn element(
        &mut self,
        end: Option<u64>,
        encoding: Encoding,
        limit: u64,
    ) -> Result<Option<Header>, Unreadable> {
        if end == Some(self.at) {
            return Ok(None);
        }
        let header = self.header(encoding, limit)?;
        if header.tag == ITEM_END && end.is_none() {
            return Ok(None);
        }
        if header.tag.0 == 0xFFFE {
            return Err(Unreadable::Malformed);
        }
        Ok(Some(header))
    }

    /// Passes over what follows a header.
    pub(super) fn pass(&mut self, kind: Kind, limit: u64, depth: usize) -> Result<(), Unreadable> {
        match kind {
            Kind::Value(end) => {
                self.at = end;
                Ok(())
            }
            Kind::Fragments => self.pass_fragments(limit),
            Kind::Items(end, encoding) => {
                let depth = depth.checked_sub(1).ok_or(Unreadable::Limit)?;
                let limit = end.unwrap_or(limit);
                while let Some(item) = self.item(end, encoding, limit)? {
                    let limit = item.unwrap_or(limit);
                    while let Some(header) = self.element(item, encoding, limit)? {
                        let kind = self.kind(&header, encoding, limit)?;
                        self.pass(kind, limit, depth)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn pass_fragments(&mut self, limit: u64) -> Result<(), Unreadable> {
        while let Some(fragment) = self.fragment(limit)? {
            self.at = fragment.end;
        }
        Ok(())
    }

    /// Takes the header of the next fragment of encapsulated pixel data (PS3.5 A.4), and says where it lies; none behind the last.
    pub(super) fn fragment(&mut self, limit: u64) -> Result<Option<Range<u64>>, Unreadable> {
        let header = self.header(Encoding::ExplicitLittle, limit)?;
        if header.tag == SEQUENCE_END {
            return Ok(None);
        }
        let length = header
            .length
            .filter(|_| header.tag == ITEM)
            .ok_or(Unreadable::Malformed)?;
        let end = self.at + u64::from(length);
        if end > limit {
            return Err(Unreadable::Malformed);
        }
        Ok(Some(self.at..end))
    }
}
