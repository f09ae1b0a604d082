//! Where the pixels lie in a dataset, from its own header, and which bytes go into one record.

use dicom_core::{Tag, VR};

use super::RECORD_MAX_BYTES;
use super::rows::Rows;
use crate::element::{
    Encoding, HEADER_MAX, Header, ITEM, ITEM_END, PIXEL_DATA, SEQUENCE_END, encoding_inside_unknown,
};
use crate::ids::TransferSyntaxUid;

/// What says how pixels lie (PS3.3 C.7.6.3), in the order of the tags.
const SAMPLES_PER_PIXEL: Tag = Tag(0x0028, 0x0002);
const PHOTOMETRIC: Tag = Tag(0x0028, 0x0004);
const PLANAR: Tag = Tag(0x0028, 0x0006);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);

/// A value that is looked at has at most so many bytes; a photometric interpretation has 16.
const VALUE_MAX: usize = 16;
/// So many bytes are wanted at least, unless the dataset ends.
const AHEAD: usize = HEADER_MAX + 20;
/// Elements deeper than this, or behind so many others, are not looked for.
const DEPTH_MAX: usize = 32;
const ELEMENTS_MAX: u32 = 100_000;
/// Bytes that are no pixels, in one record.
const PLAIN_MAX: u64 = 128 << 10;
/// Samples in one record: their tables cost little then, and the memory for them is bounded.
const SAMPLES_MAX: usize = 256 << 10;

/// Where the pixels of a dataset lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    begin: u64,
    end: u64,
    rows: Rows,
}

/// The bytes of the next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// How many.
    pub length: usize,
    /// How samples lie in them.
    pub rows: Option<Rows>,
}

impl Piece {
    /// The bytes from `offset` on of a dataset of `whole` bytes. Whichever offset one begins with, rows are soon whole again.
    #[must_use]
    pub fn at(offset: u64, whole: u64, geometry: Option<&Geometry>) -> Self {
        let left = whole.saturating_sub(offset);
        let plain = |until: u64| Self {
            length: usize::try_from(left.min(until).min(PLAIN_MAX)).unwrap_or(RECORD_MAX_BYTES),
            rows: None,
        };
        let Some(geometry) = geometry.filter(|geometry| offset < geometry.end) else {
            return plain(u64::MAX);
        };
        if let Some(before @ 1..) = geometry.begin.checked_sub(offset) {
            return plain(before);
        }
        let row = geometry.rows.bytes() as u64;
        let into = offset.saturating_sub(geometry.begin) % row;
        let there = geometry.end.min(whole).saturating_sub(offset);
        if into > 0 {
            return plain(row - into);
        }
        let most = (SAMPLES_MAX / geometry.rows.samples().max(1)).max(1) as u64;
        let most = most.min(RECORD_MAX_BYTES as u64 / row);
        match (there / row).min(most) {
            0 => plain(u64::MAX),
            rows => Self {
                length: usize::try_from(rows * row).unwrap_or(RECORD_MAX_BYTES),
                rows: Some(geometry.rows),
            },
        }
    }
}

/// Looks for the pixels, element by element: values are passed over, and no length is believed further than to pass over it.
#[derive(Clone, Debug)]
pub struct Finder {
    encoding: Encoding,
    /// Where the next element begins; none when there is nothing more to look for.
    at: Option<u64>,
    /// How elements are written around each sequence or item of undefined length that is open.
    open: Vec<Encoding>,
    elements: u32,
    said: Said,
    found: Option<Geometry>,
}

#[derive(Clone, Debug, Default)]
struct Said {
    samples_per_pixel: usize,
    planar: bool,
    halved: bool,
    columns: usize,
    bits: u16,
}

impl Finder {
    /// None for a transfer syntax whose datasets are not coded on the link: compressed, deflated or big endian ones.
    #[must_use]
    pub fn new(syntax: &TransferSyntaxUid) -> Option<Self> {
        // PS3.5 A.1 and A.2
        let native = matches!(syntax.as_str(), "1.2.840.10008.1.2" | "1.2.840.10008.1.2.1");
        native.then(|| Self {
            encoding: Encoding::of(syntax).0,
            at: Some(0),
            open: Vec::new(),
            elements: 0,
            said: Said::default(),
            found: None,
        })
    }

    /// From where on it wants bytes: some dozen at least, where there are. None: it has found what there is to find.
    #[must_use]
    pub fn wants(&self) -> Option<u64> {
        self.at
    }

    /// Takes bytes from where it wanted them, and goes as far as they reach; `whole` is the length of the dataset.
    pub fn take(&mut self, mut bytes: &[u8], whole: u64) {
        while let Some(at) = self.at {
            let reaches = at.saturating_add(bytes.len() as u64);
            if bytes.len() < AHEAD && reaches < whole {
                return;
            }
            self.elements += 1;
            let passed = self.element(at, bytes, whole);
            self.at = passed
                .and_then(|passed| at.checked_add(passed))
                .filter(|at| *at < whole && self.elements < ELEMENTS_MAX);
            let passed = usize::try_from(passed.unwrap_or_default()).unwrap_or(usize::MAX);
            bytes = bytes.get(passed..).unwrap_or_default();
        }
    }

    /// How many bytes to pass over; none at the end of what is looked at.
    fn element(&mut self, at: u64, bytes: &[u8], whole: u64) -> Option<u64> {
        let header = Header::read(bytes, self.encoding)?;
        let size = u64::from(header.size);
        let value = bytes.get(usize::from(header.size)..)?;
        if matches!(header.tag, ITEM_END | SEQUENCE_END) {
            self.encoding = self.open.pop()?;
            return Some(size);
        }
        let Some(length) = header.length else {
            if header.tag == PIXEL_DATA || self.open.len() >= DEPTH_MAX {
                return None;
            }
            self.open.push(self.encoding);
            if header.vr == VR::UN && header.tag != ITEM {
                self.encoding = encoding_inside_unknown(value);
            }
            return Some(size);
        };
        let length = u64::from(length);
        if self.open.is_empty() {
            if header.tag == PIXEL_DATA {
                let begin = at.checked_add(size)?;
                let end = begin.checked_add(length)?.min(whole);
                self.found = self.said.rows().map(|rows| Geometry { begin, end, rows });
                return None;
            }
            let shown = usize::try_from(length).unwrap_or(usize::MAX).min(VALUE_MAX);
            self.hear(header.tag, value.get(..shown));
        }
        size.checked_add(length)
    }

    fn hear(&mut self, tag: Tag, value: Option<&[u8]>) {
        let Some(value) = value else { return };
        let number = || {
            value
                .first_chunk()
                .map_or(0, |pair| u16::from_le_bytes(*pair))
        };
        match tag {
            SAMPLES_PER_PIXEL => self.said.samples_per_pixel = number().into(),
            PLANAR => self.said.planar = number() == 1,
            COLUMNS => self.said.columns = number().into(),
            BITS_ALLOCATED => self.said.bits = number(),
            PHOTOMETRIC => self.said.halved = value.trim_ascii_end().ends_with(b"_422"),
            _ => {}
        }
    }

    /// What was found.
    #[must_use]
    pub fn found(&self) -> Option<Geometry> {
        self.found
    }
}

impl Said {
    fn rows(&self) -> Option<Rows> {
        let components = self.samples_per_pixel.max(1);
        let (pixel, step) = if self.halved {
            // PS3.5 8.2: two of brightness, then one of each colour for both
            (2, 4)
        } else if self.planar {
            (1, 1)
        } else {
            (components, components)
        };
        let row = self.columns.checked_mul(pixel)?;
        match self.bits {
            8 => Rows::new(row, step, false),
            16 => Rows::new(row, step, true),
            // two halves
            32 => Rows::new(row.checked_mul(2)?, step * 2, true),
            _ => None,
        }
    }
}
