//! What a header says about how its pixels are shown: where they lie, by which window, through which palette.

use std::io::{Read, Seek};

use causeway_proto::dataset::{Dataset, Value};
use causeway_proto::element::{Encoding, PIXEL_DATA};
use causeway_proto::ids::TransferSyntaxUid;
use dicom_core::{Tag, VR};

use super::super::picture::{Place, Shown};
use super::super::source::{DEPTH, Kind, Source, Unreadable};

/// A value that is longer is passed over, in bytes: three tables of a palette have 65536 entries of two bytes each.
const LONGEST: u64 = 128 << 10;

/// Float and double float pixel data: no picture is made of them.
const FLOATS: [Tag; 2] = [Tag(0x7FE0, 0x0008), Tag(0x7FE0, 0x0009)];

/// What is read.
const WANTED: [Tag; 23] = [
    Tag(0x0008, 0x0005),
    Tag(0x0008, 0x0016),
    Tag(0x0028, 0x0002),
    Tag(0x0028, 0x0004),
    Tag(0x0028, 0x0006),
    Tag(0x0028, 0x0008),
    Tag(0x0028, 0x0010),
    Tag(0x0028, 0x0011),
    Tag(0x0028, 0x0100),
    Tag(0x0028, 0x0101),
    Tag(0x0028, 0x0102),
    Tag(0x0028, 0x0103),
    Tag(0x0028, 0x1050),
    Tag(0x0028, 0x1051),
    Tag(0x0028, 0x1052),
    Tag(0x0028, 0x1053),
    Tag(0x0028, 0x1101),
    Tag(0x0028, 0x1102),
    Tag(0x0028, 0x1103),
    Tag(0x0028, 0x1201),
    Tag(0x0028, 0x1202),
    Tag(0x0028, 0x1203),
    Tag(0x0042, 0x0010),
];
/// (0042,0012), behind the document itself where that stands in order.
const FORMAT: Tag = Tag(0x0042, 0x0012);

/// The top level of a dataset as far as its pixels.
pub(super) struct Head {
    /// The header and the place of the pixels, as the protection reads them.
    pub(super) shown: Shown,
    /// There are pixels of which a picture can be made.
    pub(super) pixels: bool,
    /// Its numbers are big endian; those in the header are turned round already.
    pub(super) big: bool,
}

impl Head {
    pub(super) fn read<S: Read + Seek>(
        source: &mut Source<'_, S>,
        syntax: &TransferSyntaxUid,
    ) -> Result<Self, Unreadable> {
        let (encoding, _) = Encoding::of(syntax);
        let big = encoding == Encoding::ExplicitBig;
        let end = source.length();
        let (mut header, mut place, mut pixels) = (Dataset::new(), Place::default(), false);
        loop {
            let start = source.at();
            let Some(found) = source.element(Some(end), encoding, end)? else {
                break;
            };
            let value = source.at();
            let kind = source.kind(&found, encoding, end)?;
            if found.tag == PIXEL_DATA {
                pixels = true;
                place = Place {
                    start,
                    value: match kind {
                        Kind::Value(end) => value..end,
                        Kind::Items(..) | Kind::Fragments => value..value,
                    },
                    coded: kind == Kind::Fragments,
                };
                break;
            }
            if FLOATS.contains(&found.tag) {
                break;
            }
            match kind {
                Kind::Value(to)
                    if (WANTED.contains(&found.tag) || found.tag == FORMAT)
                        && to - value <= LONGEST =>
                {
                    let mut bytes = source.read(value..to)?;
                    if big && matches!(found.vr, VR::US | VR::SS | VR::OW) {
                        turn(&mut bytes);
                    }
                    header.put(found.tag, found.vr, Value::Bytes(bytes));
                    source.go(to);
                }
                other => source.pass(other, end, DEPTH)?,
            }
        }
        Ok(Self {
            shown: Shown {
                reason: String::new(),
                family: None,
                header,
                place,
            },
            pixels,
            big,
        })
    }

    /// The first window, where there is one.
    pub(super) fn window(&self) -> Option<[f64; 2]> {
        let centre = self.number(Tag(0x0028, 0x1050))?;
        let width = self.number(Tag(0x0028, 0x1051))?;
        (width >= 1.0).then_some([centre, width])
    }

    /// Slope and intercept of the modality's own values.
    pub(super) fn rescale(&self) -> (f64, f64) {
        let slope = self.number(Tag(0x0028, 0x1053)).filter(|it| *it != 0.0);
        let intercept = self.number(Tag(0x0028, 0x1052));
        (slope.unwrap_or(1.0), intercept.unwrap_or(0.0))
    }

    /// The first value of DS.
    fn number(&self, tag: Tag) -> Option<f64> {
        let text = self.shown.header.code(tag);
        let first = text.split('\\').next()?.trim();
        first.parse().ok().filter(|number: &f64| number.is_finite())
    }
}

/// Big endian numbers of two bytes as little endian ones.
fn turn(bytes: &mut [u8]) {
    for pair in bytes.as_chunks_mut::<2>().0 {
        pair.reverse();
    }
}

/// Red, green and blue of each entry, and the value of the first (PS3.3 C.7.6.3.1.5); none when its tables are not there, or in
/// segments.
pub(super) fn palette(header: &Dataset) -> Option<(Vec<u8>, i32)> {
    let descriptor = header.bytes(Tag(0x0028, 0x1101));
    let number = |at: usize| -> Option<u16> {
        let two = descriptor.get(at..)?.first_chunk()?;
        Some(u16::from_le_bytes(*two))
    };
    let (first, bits) = (number(2)?, number(4)?);
    let entries = match number(0)? {
        0 => 1 << 16,
        entries => usize::from(entries),
    };
    let signed = super::super::picture::short(header, Tag(0x0028, 0x0103)) == Some(1);
    let first = match signed {
        true => i32::from(first.cast_signed()),
        false => i32::from(first),
    };
    let tables = [0x1201, 0x1202, 0x1203].map(|element| header.bytes(Tag(0x0028, element)));
    let wide = bits > 8 || tables.iter().any(|table| table.len() >= entries * 2);
    let level = |table: &[u8], nth: usize| -> Option<u8> {
        match (wide, bits > 8) {
            // the high byte of two
            (true, true) => table.get(nth * 2 + 1).copied(),
            (true, false) => table.get(nth * 2).copied(),
            (false, _) => table.get(nth).copied(),
        }
    };
    let mut all = Vec::with_capacity(entries * 3);
    for nth in 0..entries {
        for table in tables {
            all.push(level(table, nth)?);
        }
    }
    Some((all, first))
}
