//! One pass over a dataset, without recursion: its header as DICOM JSON, and where its pixel data lie. What it takes of memory does
//! not depend on what the dataset says of itself: [`text::MAX_BYTES`] of JSON, and 8 bytes for each of [`MAX_ELEMENTS`].

use causeway_proto::element::{
    Encoding, Header, ITEM, ITEM_END, PIXEL_DATA, SEQUENCE_END, implicit_vr,
};
use causeway_proto::text::CharacterSet;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry, VirtualVr};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;
use serde_json::json;

use super::IndexError;
use super::json::{Context, attribute, binary, bulk, width};
use super::source::Source;
use super::text::{self, Text};
use crate::archive::frames::Stretch;

/// Sequences within sequences, elements, and fragments and items in all: what the prescan lets through. Of a deflated dataset it sees
/// the beginning only.
const MAX_DEPTH: usize = 64;
const MAX_ELEMENTS: usize = 1_000_000;
const MAX_ITEMS: usize = 200_000;
/// Bytes and numbers up to this length stand in the header; longer ones are bulk data.
const INLINE_BYTES: u64 = 4 << 10;
/// Text up to this length stands in the header.
const INLINE_TEXT: u64 = 256 << 10;
/// Once there is so much JSON, what may be bulk data is.
const HEADER_BYTES: usize = text::MAX_BYTES / 4 * 3;

/// A sealed set up to this length is copied into reports.
const SEALED_BYTES: u64 = 4 << 20;

const CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
const PIXEL_REPRESENTATION: Tag = Tag(0x0028, 0x0103);
const ENCRYPTED_CONTENT: Tag = Tag(0x0400, 0x0520);
const ENCRYPTED_ATTRIBUTES: Tag = Tag(0x0400, 0x0500);
const EXTENDED_OFFSETS: Tag = Tag(0x7FE0, 0x0001);
const FLOAT_PIXEL_DATA: Tag = Tag(0x7FE0, 0x0008);
const DOUBLE_PIXEL_DATA: Tag = Tag(0x7FE0, 0x0009);

/// Where the pixel data lie.
#[derive(Debug, Default)]
pub(super) enum Pixels {
    #[default]
    Without,
    Native {
        value: Stretch,
        word: u8,
    },
    Encapsulated {
        table: Vec<u8>,
        fragments: Vec<Fragment>,
    },
}

/// A fragment of encapsulated pixel data, its first bytes included.
#[derive(Debug)]
pub(super) struct Fragment {
    /// Offset of its item header from that of the first fragment (PS3.5 A.4).
    pub(super) relative: u64,
    pub(super) at: Stretch,
    pub(super) begins: [u8; 4],
}

/// What one pass found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// DICOM JSON without bulk data.
    pub(super) json: String,
    pub(super) pixels: Pixels,
    /// (7FE0,0001), little endian 64 bits each.
    pub(super) extended: Vec<u8>,
    /// (0400,0520) of the first item of (0400,0500).
    pub(super) sealed: Option<Vec<u8>>,
    pub(super) undecodable: usize,
}

#[derive(Default)]
struct Item {
    set: CharacterSet,
    signed: bool,
    end: Option<u64>,
}

struct Sequence {
    tag: Tag,
    items: usize,
    end: Option<u64>,
    outer: Encoding,
}

enum Level {
    Item(Item),
    Sequence(Sequence),
}

struct Walk {
    source: Source,
    encoding: Encoding,
    stack: Vec<Level>,
    elements: usize,
    items: usize,
    text: Text,
    found: Walked,
}

/// Walks the whole dataset.
pub(super) fn walk(source: Source, encoding: Encoding) -> Result<Walked, IndexError> {
    let mut walk = Walk {
        source,
        encoding,
        stack: vec![Level::Item(Item::default())],
        elements: 0,
        items: 0,
        text: Text::default(),
        found: Walked::default(),
    };
    walk.text.open_item();
    loop {
        walk.close_ended()?;
        let ahead = walk.source.peek()?;
        if ahead.is_empty() && walk.stack.len() == 1 {
            break;
        }
        let header = Header::read(ahead, walk.encoding).ok_or(IndexError::Truncated)?;
        walk.step(header)?;
    }
    walk.found.json = walk.text.finish();
    Ok(walk.found)
}

impl Walk {
    fn close_ended(&mut self) -> Result<(), IndexError> {
        loop {
            let end = match self.stack.last() {
                Some(Level::Item(item)) => item.end,
                Some(Level::Sequence(sequence)) => sequence.end,
                None => None,
            };
            match end {
                Some(end) if self.source.position() >= end => self.close()?,
                _ => return Ok(()),
            }
        }
    }

    /// Closes the innermost level into the one around it.
    fn close(&mut self) -> Result<(), IndexError> {
        let inner = self.stack.pop();
        match (inner, self.stack.last_mut()) {
            (Some(Level::Item(_)), Some(Level::Sequence(outer))) => outer.items += 1,
            (Some(Level::Sequence(sequence)), Some(Level::Item(_))) => {
                self.encoding = sequence.outer;
            }
            _ => return Err(IndexError::Delimiter),
        }
        self.text.close();
        Ok(())
    }

    fn step(&mut self, header: Header) -> Result<(), IndexError> {
        self.source.skip(header.size.into())?;
        let in_sequence = matches!(self.stack.last(), Some(Level::Sequence(_)));
        match header.tag {
            ITEM if in_sequence => self.open_item(header.length),
            SEQUENCE_END if in_sequence => self.close(),
            ITEM_END if !in_sequence && self.stack.len() > 1 => self.close(),
            Tag(0xFFFE, _) => Err(IndexError::Delimiter),
            _ if in_sequence => Err(IndexError::Delimiter),
            _ => self.element(header),
        }
    }

    fn open_item(&mut self, length: Option<u32>) -> Result<(), IndexError> {
        self.count_item()?;
        let around = self.stack.iter().rev().find_map(|level| match level {
            Level::Item(item) => Some((item.set, item.signed)),
            Level::Sequence(_) => None,
        });
        let (set, signed) = around.unwrap_or_default();
        let end = length.map(|length| self.source.position() + u64::from(length));
        self.text.open_item();
        self.stack.push(Level::Item(Item { set, signed, end }));
        Ok(())
    }

    fn count_item(&mut self) -> Result<(), IndexError> {
        self.items += 1;
        if self.items > MAX_ITEMS {
            return Err(IndexError::Limit("items"));
        }
        Ok(())
    }

    fn element(&mut self, header: Header) -> Result<(), IndexError> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(IndexError::Limit("elements"));
        }
        let root = self.stack.len() == 1;
        let vr = self.vr(header);
        match header.length {
            None if header.tag == PIXEL_DATA || matches!(vr, VR::OB | VR::OW) => {
                self.fragments(header.tag, root)
            }
            None => self.open_sequence(header.tag, None, vr == VR::UN),
            Some(length) if vr == VR::SQ => self.open_sequence(header.tag, Some(length), false),
            Some(length) => self.value(header.tag, vr, length.into(), root),
        }
    }

    /// The VR as written; in implicit VR the dictionary's, where (0028,0103) decides between US and SS.
    fn vr(&self, header: Header) -> VR {
        if self.encoding != Encoding::ImplicitLittle {
            return header.vr;
        }
        if header.tag.0 % 2 == 1 && (0x10..=0xFF).contains(&header.tag.1) {
            return VR::LO;
        }
        let signed = matches!(self.stack.last(), Some(Level::Item(item)) if item.signed);
        let short = StandardDataDictionary
            .by_tag(header.tag)
            .is_some_and(|entry| entry.vr() == VirtualVr::Xs);
        match (short, signed) {
            (true, true) => VR::SS,
            (true, false) => VR::US,
            (false, _) => implicit_vr(header.tag),
        }
    }

    /// PS3.5 6.2.2 note: a value of VR UN and undefined length is a sequence in implicit VR little endian.
    fn open_sequence(
        &mut self,
        tag: Tag,
        length: Option<u32>,
        unknown: bool,
    ) -> Result<(), IndexError> {
        if self.stack.len() > 2 * MAX_DEPTH {
            return Err(IndexError::Limit("levels"));
        }
        let outer = self.encoding;
        if unknown {
            self.encoding = Encoding::ImplicitLittle;
        }
        let end = length.map(|length| self.source.position() + u64::from(length));
        self.text.open_sequence(tag)?;
        self.stack.push(Level::Sequence(Sequence {
            tag,
            items: 0,
            end,
            outer,
        }));
        Ok(())
    }

    fn value(&mut self, tag: Tag, vr: VR, length: u64, root: bool) -> Result<(), IndexError> {
        // a group's length says nothing about the dataset, and the command and file groups are no part of it
        if tag.1 == 0 || tag.0 <= 0x0006 {
            return Ok(self.source.skip(length)?);
        }
        let value = Stretch {
            offset: self.source.position(),
            length,
        };
        if root && matches!(tag, PIXEL_DATA | FLOAT_PIXEL_DATA | DOUBLE_PIXEL_DATA) {
            let word = binary(vr).or_else(|| width(vr)).unwrap_or(1);
            self.found.pixels = Pixels::Native {
                value,
                word: u8::try_from(word).unwrap_or(1),
            };
        }
        let raw = binary(vr).is_some() || width(vr).is_some();
        let inline = if raw { INLINE_BYTES } else { INLINE_TEXT };
        if root && tag == EXTENDED_OFFSETS && length <= 8 * 1_000_000 {
            self.found.extended = self.source.take(length)?;
            return Ok(());
        }
        if tag == ENCRYPTED_CONTENT && length <= SEALED_BYTES && self.is_first_sealed() {
            let bytes = self.source.take(length)?;
            if length > inline {
                self.bulk(tag, vr, value)?;
            } else {
                self.header_value(tag, vr, &bytes, value)?;
            }
            self.found.sealed = Some(bytes);
            return Ok(());
        }
        if tag == PIXEL_DATA || length > inline {
            self.source.skip(length)?;
            return self.bulk(tag, vr, value);
        }
        let bytes = self.source.take(length)?;
        self.header_value(tag, vr, &bytes, value)
    }

    /// A value that stays in the dataset.
    fn bulk(&mut self, tag: Tag, vr: VR, value: Stretch) -> Result<(), IndexError> {
        let raw = binary(vr).is_some() || width(vr).is_some();
        if !raw && !matches!(vr, VR::UT | VR::UC | VR::LT | VR::ST | VR::DS | VR::IS) {
            return Err(IndexError::Limit("bytes of text in a header"));
        }
        let address = bulk(vr, value.offset, value.length);
        self.text.attribute(tag, &address.to_string())
    }

    /// Whether the walk stands in the first item of the Encrypted Attributes Sequence of the dataset itself.
    fn is_first_sealed(&self) -> bool {
        match self.stack.as_slice() {
            [Level::Item(_), Level::Sequence(sequence), Level::Item(_)] => {
                sequence.tag == ENCRYPTED_ATTRIBUTES && sequence.items == 0
            }
            _ => false,
        }
    }

    fn header_value(
        &mut self,
        tag: Tag,
        vr: VR,
        bytes: &[u8],
        at: Stretch,
    ) -> Result<(), IndexError> {
        let Some(Level::Item(item)) = self.stack.last_mut() else {
            return Ok(());
        };
        if tag == CHARACTER_SET {
            item.set = CharacterSet::parse(bytes);
            // what is served is UTF-8, whatever came in (PS3.18 F.2)
            let utf8 = json!({ "vr": "CS", "Value": ["ISO_IR 192"] });
            return self.text.attribute(tag, &utf8.to_string());
        }
        if tag == PIXEL_REPRESENTATION {
            item.signed = bytes.contains(&1);
        }
        let context = Context {
            encoding: self.encoding,
            set: item.set,
        };
        let value = attribute(vr, bytes, context, &mut self.found.undecodable).to_string();
        // what it costs is what is written of it: a byte of a number or a name may be a dozen characters
        if !bytes.is_empty() && self.text.len().saturating_add(value.len()) > HEADER_BYTES {
            return self.bulk(tag, vr, at);
        }
        self.text.attribute(tag, &value)
    }

    /// PS3.5 A.4: the offset table, then the fragments.
    fn fragments(&mut self, tag: Tag, root: bool) -> Result<(), IndexError> {
        let mut table = None;
        let mut fragments = Vec::new();
        let mut first = 0;
        loop {
            let start = self.source.position();
            let ahead = self.source.peek()?;
            let header = Header::read(ahead, self.encoding).ok_or(IndexError::Truncated)?;
            self.source.skip(header.size.into())?;
            let length = match (header.tag, header.length) {
                (SEQUENCE_END, _) => break,
                (ITEM, Some(length)) => u64::from(length),
                _ => return Err(IndexError::Delimiter),
            };
            self.count_item()?;
            if table.is_none() {
                table = Some(self.source.take(length.min(4 * 1_000_000))?);
                self.source.skip(length.saturating_sub(4 * 1_000_000))?;
                first = self.source.position();
                continue;
            }
            let at = Stretch {
                offset: self.source.position(),
                length,
            };
            let mut begins = [0; 4];
            for (to, from) in begins.iter_mut().zip(self.source.peek()?) {
                *to = *from;
            }
            self.source.skip(length)?;
            fragments.push(Fragment {
                relative: start - first,
                at,
                begins,
            });
        }
        if root && tag == PIXEL_DATA {
            self.found.pixels = Pixels::Encapsulated {
                table: table.unwrap_or_default(),
                fragments,
            };
            let address = json!({ "vr": "OB", "BulkDataURI": "@/bulk/pixels" });
            self.text.attribute(tag, &address.to_string())?;
        }
        Ok(())
    }
}
