//! What the header of an image says that may have to be masked: which device made it, where it was scanned, how its pixels lie.

use std::ops::Range;

use causeway_proto::dataset::Dataset;
use dicom_core::Tag;

use crate::mask::native::Layout;
use crate::mask::{Device, Family, Rectangle};

/// Where the pixel data element stands in what was received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Where its header begins.
    pub(super) start: u64,
    /// Its value, where its length is declared; else where its fragments begin, and nothing.
    pub(super) value: Range<u64>,
    /// It is encapsulated.
    pub(super) coded: bool,
}

/// An image whose pixels may show who the patient is, and which may leave when they were masked.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Why it does not leave as it is.
    pub reason: String,
    /// What a device may have a rule for; nothing when only a person can tell, object by object.
    pub(super) family: Option<Family>,
    pub(super) header: Dataset,
    pub(super) place: Place,
}

impl Shown {
    /// Its device, when it says which.
    pub(super) fn device(&self) -> Option<Device> {
        device(&self.header, self.family?)
    }

    /// (0018,6011): where ultrasound was scanned. The corners lie inside (PS3.3 C.8.5.5).
    pub(super) fn regions(&self) -> Vec<Rectangle> {
        let corner = |item: &Dataset, element| long(item, Tag(0x0018, element));
        let regions = self.header.items(Tag(0x0018, 0x6011)).iter().map(|item| {
            Some(Rectangle {
                left: corner(item, 0x6018)?,
                top: corner(item, 0x601A)?,
                right: corner(item, 0x601C)?.saturating_add(1),
                bottom: corner(item, 0x601E)?.saturating_add(1),
            })
        });
        regions.flatten().filter(|one| !one.is_empty()).collect()
    }

    /// How its pixels lie, when the header says it.
    pub(super) fn layout(&self) -> Option<Layout> {
        let short = |element| short(&self.header, Tag(0x0028, element));
        let photometric = self.header.code(Tag(0x0028, 0x0004));
        let allocated = short(0x0100)?;
        let stored = short(0x0101).unwrap_or(allocated);
        let frames = match self.header.code(Tag(0x0028, 0x0008)).as_str() {
            "" => 1,
            text => text.parse().ok()?,
        };
        Some(Layout {
            rows: u32::from(short(0x0010)?),
            columns: u32::from(short(0x0011)?),
            frames,
            samples: short(0x0002).unwrap_or(1),
            planar: short(0x0006) == Some(1),
            allocated,
            stored,
            high: short(0x0102).or_else(|| stored.checked_sub(1))?,
            signed: short(0x0103) == Some(1),
            darkest: match photometric.as_str() {
                "PALETTE COLOR" => darkest(&self.header)?,
                _ => 0,
            },
            photometric,
        })
    }
}

/// The device of an image.
pub(super) fn device(header: &Dataset, family: Family) -> Option<Device> {
    let set = header.character_set();
    Device::new(
        family,
        &header.text(Tag(0x0008, 0x0070), &set),
        &header.text(Tag(0x0008, 0x1090), &set),
        u32::from(short(header, Tag(0x0028, 0x0010))?),
        u32::from(short(header, Tag(0x0028, 0x0011))?),
    )
}

/// The first value of US.
pub(super) fn short(header: &Dataset, tag: Tag) -> Option<u16> {
    let value = header.bytes(tag).first_chunk()?;
    Some(u16::from_le_bytes(*value))
}

fn long(header: &Dataset, tag: Tag) -> Option<u32> {
    let value = header.bytes(tag).first_chunk()?;
    Some(u32::from_le_bytes(*value))
}

/// The index of the darkest colour of a palette (PS3.3 C.7.6.3.1.5); none when its tables are not there, or in segments.
fn darkest(header: &Dataset) -> Option<u16> {
    let descriptor = header.bytes(Tag(0x0028, 0x1101));
    let number = |at: usize| -> Option<u16> {
        Some(u16::from_le_bytes([
            *descriptor.get(at)?,
            *descriptor.get(at + 1)?,
        ]))
    };
    let (first, bits) = (number(2)?, number(4)?);
    let entries = match number(0)? {
        0 => 1 << 16,
        entries => usize::from(entries),
    };
    let tables = [0x1201, 0x1202, 0x1203].map(|element| header.bytes(Tag(0x0028, element)));
    // entries of eight bits may lie in bytes
    let wide = bits > 8 || tables.iter().any(|table| table.len() >= entries * 2);
    let level = |table: &[u8], nth: usize| -> Option<u32> {
        Some(match wide {
            true => u32::from(u16::from_le_bytes([
                *table.get(nth * 2)?,
                *table.get(nth * 2 + 1)?,
            ])),
            false => u32::from(*table.get(nth)?),
        })
    };
    let mut darkest: Option<(u32, usize)> = None;
    for nth in 0..entries {
        let mut sum = 0;
        for table in tables {
            sum += level(table, nth)?;
        }
        if darkest.is_none_or(|(least, _)| sum < least) {
            darkest = Some((sum, nth));
        }
    }
    let (_, nth) = darkest?;
    first.checked_add(u16::try_from(nth).ok()?)
}
