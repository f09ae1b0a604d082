//! The walk itself: a stack of open sequences and items instead of recursion.

use std::io::{ErrorKind, Read};

use dicom_core::{Tag, VR};

use super::named;
use super::source::Source;
use super::{Limits, PixelData, PrescanError, Remark, Scan};
use crate::element::{
    Encoding, HEADER_MAX, Header, ITEM, ITEM_END, PIXEL_DATA, SEQUENCE_END,
    encoding_inside_unknown, names_no_vr,
};

/// Something begun and not yet ended. `end` is its own declared end, `limit` the nearest declared end around it.
#[derive(Debug)]
struct Frame {
    kind: Kind,
    end: Option<u64>,
    limit: u64,
    encoding: Encoding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sequence,
    Item,
    Fragments,
}

/// Whether the walk goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    On,
    End,
}

struct Walk<'a, R> {
    source: Source<R>,
    limits: &'a Limits,
    encoding: Encoding,
    stack: Vec<Frame>,
    sequences: usize,
    scan: Scan,
    named: Vec<(Tag, Vec<u8>)>,
    header_only: bool,
}

/// Attributes at the top level whose values are kept.
const KEPT: [(Tag, &str); 7] = [
    (Tag(0x0008, 0x0005), "Specific Character Set"),
    (Tag(0x0008, 0x0016), "SOP Class UID"),
    (Tag(0x0008, 0x0018), "SOP Instance UID"),
    (Tag(0x0008, 0x0060), "Modality"),
    (Tag(0x0010, 0x0020), "Patient ID"),
    (Tag(0x0010, 0x0021), "Issuer of Patient ID"),
    (Tag(0x0020, 0x000D), "Study Instance UID"),
];
const SERIES: (Tag, &str) = (Tag(0x0020, 0x000E), "Series Instance UID");

/// Attributes at the top level that are kept for people to read; nothing is filed by them, so that any content will do.
const SHOWN: [Tag; 5] = [
    Tag(0x0008, 0x0008),
    Tag(0x0008, 0x0050),
    Tag(0x0008, 0x1030),
    Tag(0x0010, 0x0010),
    Tag(0x0020, 0x0013),
];

/// No kept value is longer than this in any object that follows the standard; longer ones are refused.
const KEPT_BYTES: u64 = 4096;

/// Walks to the end of the data.
pub(super) fn walk(
    read: impl Read,
    encoding: Encoding,
    limits: &Limits,
) -> Result<Scan, PrescanError> {
    Walk::new(read, encoding, limits, false).run()
}

/// Walks a deflated dataset as far as the bound allows, or to Pixel Data.
pub(super) fn walk_header(
    read: impl Read,
    encoding: Encoding,
    limits: &Limits,
) -> Result<Scan, PrescanError> {
    Walk::new(read, encoding, limits, true).run()
}

impl<'a, R: Read> Walk<'a, R> {
    fn new(read: R, encoding: Encoding, limits: &'a Limits, header_only: bool) -> Self {
        Self {
            source: Source::new(read),
            limits,
            encoding,
            stack: Vec::new(),
            sequences: 0,
            scan: Scan {
                opaque: header_only,
                ..Scan::default()
            },
            named: Vec::new(),
            header_only,
        }
    }

    fn run(mut self) -> Result<Scan, PrescanError> {
        loop {
            match self.step() {
                Ok(Step::On) => {}
                Ok(Step::End) => break,
                // the header of a deflated dataset is as much as was inflated of it
                Err(PrescanError::Truncated { .. }) if self.cut_by_the_bound() => break,
                Err(error) => return Err(error),
            }
        }
        self.scan.bytes = self.scan.bytes.max(self.source.position());
        named::name(&mut self.scan, &self.named)?;
        Ok(self.scan)
    }

    fn cut_by_the_bound(&self) -> bool {
        self.header_only && self.source.position() + HEADER_MAX as u64 >= self.limits.inflated_bytes
    }

    fn step(&mut self) -> Result<Step, PrescanError> {
        self.close_ended()?;
        match self.stack.last().map(|frame| frame.kind) {
            Some(Kind::Sequence) => self.item(),
            Some(Kind::Fragments) => self.fragment(),
            Some(Kind::Item) | None => self.element(),
        }
    }

    /// Ends what its declared length says has ended.
    fn close_ended(&mut self) -> Result<(), PrescanError> {
        let at = self.source.position();
        while let Some(end) = self.stack.last().and_then(|frame| frame.end) {
            if end > at {
                break;
            }
            if end < at {
                return Err(PrescanError::Delimiter { at });
            }
            self.pop();
        }
        Ok(())
    }

    fn pop(&mut self) {
        let Some(frame) = self.stack.pop() else {
            return;
        };
        if frame.kind != Kind::Item {
            self.sequences -= 1;
        }
        if frame.kind == Kind::Fragments && self.stack.is_empty() {
            self.scan.pixel_digest = self.source.finish_hash();
        }
    }

    fn limit(&self) -> u64 {
        let total = self.limits.total_bytes.unwrap_or(u64::MAX);
        self.stack.last().map_or(total, |frame| frame.limit)
    }

    fn encoding(&self) -> Encoding {
        self.stack
            .last()
            .map_or(self.encoding, |frame| frame.encoding)
    }

    /// Takes the next header; `None` when the data end exactly before it.
    fn header(&mut self, encoding: Encoding) -> Result<Option<Header>, PrescanError> {
        let header_only = self.header_only;
        let at = self.source.position();
        let bytes = self
            .source
            .peek(HEADER_MAX)
            .map_err(|error| read_error(header_only, error))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let header = Header::read(bytes, encoding).ok_or(PrescanError::Truncated { at })?;
        if names_no_vr(bytes, encoding) {
            self.scan.remark(Remark::UnknownVr);
        }
        self.pass(u64::from(header.size), at)?;
        Ok(Some(header))
    }

    /// Notes what is against the standard in an element and loses no framing.
    fn notice(&mut self, header: Header, encoding: Encoding, at: u64) {
        if matches!(header.tag.0, 0x0000 | 0x0002) {
            self.scan.remark(Remark::ForeignGroup);
        }
        if header.length.is_none_or(|length| length % 2 == 0) {
            return;
        }
        if header.vr == VR::UN && encoding != Encoding::ImplicitLittle {
            self.scan.odd_unknown.get_or_insert(at);
        } else {
            self.scan.remark(Remark::OddLength);
        }
    }

    fn pass(&mut self, length: u64, at: u64) -> Result<(), PrescanError> {
        let header_only = self.header_only;
        let passed = self
            .source
            .skip(length)
            .map_err(|error| read_error(header_only, error))?;
        if passed == length {
            Ok(())
        } else {
            Err(PrescanError::Truncated { at })
        }
    }

    /// The end of a value of `length` bytes that begins here, when everything around it has room for it.
    fn end_of(&self, length: u32, tag: Tag, at: u64) -> Result<u64, PrescanError> {
        let end = self.source.position() + u64::from(length);
        if end <= self.limit() {
            Ok(end)
        } else if self.stack.iter().all(|frame| frame.end.is_none()) {
            Err(PrescanError::Truncated { at })
        } else {
            Err(PrescanError::Length { tag, at })
        }
    }

    fn element(&mut self) -> Result<Step, PrescanError> {
        let at = self.source.position();
        let encoding = self.encoding();
        let Some(header) = self.header(encoding)? else {
            return if self.stack.is_empty() {
                Ok(Step::End)
            } else {
                Err(PrescanError::Truncated { at })
            };
        };
        if header.tag.0 == 0xFFFE {
            return self.end_of_item(header, at);
        }
        self.scan.elements += 1;
        if self.scan.elements > self.limits.elements {
            return Err(limit("elements", self.limits.elements));
        }
        self.notice(header, encoding, at);
        if header.tag == PIXEL_DATA && self.stack.is_empty() {
            return self.pixel_data(header, at);
        }
        match header.length {
            None => self.open(header, None, at),
            Some(length) if header.vr == VR::SQ => self.open(header, Some(length), at),
            Some(length) => self.value(header.tag, length, at),
        }
    }

    /// A delimiter where an element was awaited: it ends an item of undefined length and is out of place anywhere else.
    fn end_of_item(&mut self, header: Header, at: u64) -> Result<Step, PrescanError> {
        let open = self
            .stack
            .last()
            .is_some_and(|frame| frame.kind == Kind::Item && frame.end.is_none());
        if !open || header.tag != ITEM_END {
            return Err(PrescanError::Delimiter { at });
        }
        self.pop();
        Ok(Step::On)
    }

    fn pixel_data(&mut self, header: Header, at: u64) -> Result<Step, PrescanError> {
        self.scan.pixel_data = Some(PixelData {
            offset: at,
            value_offset: self.source.position(),
            length: header.length,
        });
        if self.header_only {
            return Ok(Step::End);
        }
        if self.limits.digest_pixels {
            self.source.start_hash();
        }
        let Some(length) = header.length else {
            return self.open(header, None, at);
        };
        let end = self.end_of(length, header.tag, at)?;
        if !self.limits.digest_pixels && self.limits.total_bytes == Some(end) {
            self.scan.bytes = end;
            return Ok(Step::End);
        }
        self.pass(u64::from(length), at)?;
        self.scan.pixel_digest = self.source.finish_hash();
        Ok(Step::On)
    }

    /// Opens a sequence, or the fragments of encapsulated pixel data (PS3.5 A.4).
    fn open(&mut self, header: Header, length: Option<u32>, at: u64) -> Result<Step, PrescanError> {
        let end = length
            .map(|length| self.end_of(length, header.tag, at))
            .transpose()?;
        if self.sequences >= self.limits.depth {
            return Err(limit("levels of sequences", self.limits.depth as u64));
        }
        self.sequences += 1;
        self.scan.depth = self.scan.depth.max(self.sequences);
        let fragments = header.tag == PIXEL_DATA && length.is_none();
        if fragments && !self.stack.is_empty() && header.vr != VR::OB {
            self.scan.ambiguous = true;
        }
        let mut encoding = self.encoding();
        if header.vr == VR::UN && !fragments && encoding != Encoding::ImplicitLittle {
            self.scan.ambiguous = true;
            let ahead = self.source.peek(8 + HEADER_MAX);
            let ahead = ahead.map_err(|error| read_error(self.header_only, error))?;
            encoding = encoding_inside_unknown(ahead);
        }
        self.stack.push(Frame {
            kind: if fragments {
                Kind::Fragments
            } else {
                Kind::Sequence
            },
            end,
            limit: end.unwrap_or_else(|| self.limit()),
            encoding,
        });
        Ok(Step::On)
    }

    fn item(&mut self) -> Result<Step, PrescanError> {
        let at = self.source.position();
        let encoding = self.encoding();
        let header = self
            .header(encoding)?
            .ok_or(PrescanError::Truncated { at })?;
        let open = self.stack.last().is_some_and(|frame| frame.end.is_none());
        if header.tag == SEQUENCE_END && open {
            self.pop();
            return Ok(Step::On);
        }
        if header.tag != ITEM {
            return Err(PrescanError::Delimiter { at });
        }
        self.count_item()?;
        let end = header
            .length
            .map(|length| self.end_of(length, ITEM, at))
            .transpose()?;
        self.stack.push(Frame {
            kind: Kind::Item,
            end,
            limit: end.unwrap_or_else(|| self.limit()),
            encoding,
        });
        Ok(Step::On)
    }

    fn fragment(&mut self) -> Result<Step, PrescanError> {
        let at = self.source.position();
        let encoding = self.encoding();
        let header = self
            .header(encoding)?
            .ok_or(PrescanError::Truncated { at })?;
        if header.tag == SEQUENCE_END {
            self.pop();
            return Ok(Step::On);
        }
        let (ITEM, Some(length)) = (header.tag, header.length) else {
            return Err(PrescanError::Delimiter { at });
        };
        self.count_item()?;
        self.end_of(length, ITEM, at)?;
        self.pass(u64::from(length), at)?;
        Ok(Step::On)
    }

    fn count_item(&mut self) -> Result<(), PrescanError> {
        self.scan.items += 1;
        if self.scan.items > self.limits.items {
            return Err(limit("items", self.limits.items));
        }
        Ok(())
    }

    fn value(&mut self, tag: Tag, length: u32, at: u64) -> Result<Step, PrescanError> {
        self.end_of(length, tag, at)?;
        let name = if self.stack.is_empty() {
            name_of(tag)
        } else {
            None
        };
        if let Some(name) = name {
            self.keep(tag, name, length, at)?;
        } else if self.is_shown(tag, length) {
            let value = self.take_value(length, at)?;
            self.named.push((tag, value));
        } else {
            self.pass(u64::from(length), at)?;
        }
        Ok(Step::On)
    }

    fn keep(
        &mut self,
        tag: Tag,
        name: &'static str,
        length: u32,
        at: u64,
    ) -> Result<(), PrescanError> {
        if u64::from(length) > KEPT_BYTES {
            return Err(limit(
                "bytes in an attribute by which instances are filed",
                KEPT_BYTES,
            ));
        }
        let value = self.take_value(length, at)?;
        match self.named.iter().find(|(kept, _)| *kept == tag) {
            Some((_, other)) if *other != value => Err(PrescanError::Twice(name)),
            Some(_) => Ok(()),
            None => {
                self.named.push((tag, value));
                Ok(())
            }
        }
    }

    fn is_shown(&self, tag: Tag, length: u32) -> bool {
        self.stack.is_empty()
            && SHOWN.contains(&tag)
            && u64::from(length) <= KEPT_BYTES
            && self.named.iter().all(|(kept, _)| *kept != tag)
    }

    fn take_value(&mut self, length: u32, at: u64) -> Result<Vec<u8>, PrescanError> {
        let wanted = usize::try_from(length).unwrap_or(usize::MAX);
        let header_only = self.header_only;
        let value = self
            .source
            .peek(wanted)
            .map_err(|error| read_error(header_only, error))?
            .to_vec();
        self.pass(u64::from(length), at)?;
        Ok(value)
    }
}

/// A deflated stream that does not inflate is the sender's fault; any other failure is our disk's.
fn read_error(deflated: bool, error: std::io::Error) -> PrescanError {
    use ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    if deflated && matches!(error.kind(), InvalidInput | InvalidData | UnexpectedEof) {
        PrescanError::Deflate
    } else {
        PrescanError::Read(error)
    }
}

fn name_of(tag: Tag) -> Option<&'static str> {
    KEPT.iter()
        .chain([&SERIES])
        .find(|(kept, _)| *kept == tag)
        .map(|(_, name)| *name)
}

fn limit(what: &'static str, limit: u64) -> PrescanError {
    PrescanError::Limit { what, limit }
}
