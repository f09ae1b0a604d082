//! Overlay planes of plain films and angiography (P25): side markers stay, where a person has said once for the device what else is
//! drawn there; every other overlay is removed and named.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_proto::dataset::Dataset;
use dicom_core::Tag;

use super::picture::{device, short};
use super::pixels;
use crate::mask::native::{Black, Layout};
use crate::mask::{Device, Family, Rectangle};
use crate::spool::Looked;
use crate::spool::masks::Rules;

/// (60xx,3000).
pub(super) const DATA: u16 = 0x3000;

/// The attributes of the Overlay Plane module (PS3.3 C.9.2) that stay with a plane, comments excepted.
const STAYS: [u16; 16] = [
    0x0010, 0x0011, 0x0015, 0x0022, 0x0040, 0x0045, 0x0050, 0x0051, 0x0100, 0x0102, 0x1001, 0x1301,
    0x1302, 0x1303, 0x1500, DATA,
];

/// What of an overlay's attributes says how its plane lies.
pub(super) const LOOKED_AT: [u16; 6] = [0x0010, 0x0011, 0x0015, 0x0050, 0x0100, 0x0102];

/// An overlay group at the top level.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    /// 6000 to 601E.
    pub(super) group: u16,
    /// Attributes of [`LOOKED_AT`].
    pub(super) header: Dataset,
    /// Bytes of Overlay Data; none where its bits lie in the pixels.
    pub(super) length: Option<u64>,
}

/// The overlay groups that stay, and what is black in their planes.
pub(super) type Kept = BTreeMap<u16, Arc<Black>>;

/// Whether an attribute of a plane that stays does.
pub(super) fn stays(element: u16) -> bool {
    STAYS.contains(&element)
}

impl Plane {
    pub(super) fn new(group: u16) -> Self {
        Self {
            group,
            header: Dataset::new(),
            length: None,
        }
    }

    /// What blacks rectangles of the image in this plane; none when it is not said for certain how the plane lies (PS3.3 C.9.2), or
    /// when it goes beyond the image, where nobody could draw.
    fn black(&self, rectangles: &[Rectangle], image: &Device) -> Option<Black> {
        let number = |element| short(&self.header, Tag(self.group, element));
        let (rows, columns) = (number(0x0010)?, number(0x0011)?);
        if number(0x0100)? != 1 || number(0x0102)? != 0 {
            return None;
        }
        let frames = match self.header.code(Tag(self.group, 0x0015)).as_str() {
            "" => 1,
            text => text.parse().ok()?,
        };
        let [top, left] = self.origin()?;
        let size = (u32::from(rows), u32::from(columns));
        if top.checked_add(size.0)? > image.rows || left.checked_add(size.1)? > image.columns {
            return None;
        }
        let moved: Vec<Rectangle> = rectangles
            .iter()
            .map(|one| moved(one, top, left).within(size.0, size.1))
            .filter(|one| !one.is_empty())
            .collect();
        let layout = Layout {
            rows: size.0,
            columns: size.1,
            frames,
            samples: 1,
            allocated: 1,
            stored: 1,
            photometric: "MONOCHROME2".to_owned(),
            ..Layout::default()
        };
        let black = Black::new(&layout, &moved)?;
        let length = self.length?;
        let fits = length == black.length() || length == black.length().next_multiple_of(2);
        fits.then_some(black)
    }

    /// (60xx,0050): the row and the column of the image where the plane begins, from 0; none when it begins outside.
    fn origin(&self) -> Option<[u32; 2]> {
        let bytes = self.header.bytes(Tag(self.group, 0x0050));
        let number = |at: usize| -> Option<u32> {
            let number = i16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]);
            u32::try_from(number).ok()?.checked_sub(1)
        };
        (bytes.len() == 4).then_some(())?;
        Some([number(0)?, number(2)?])
    }
}

/// A rectangle of the image, as it lies in a plane that begins at this row and column.
fn moved(rectangle: &Rectangle, top: u32, left: u32) -> Rectangle {
    Rectangle {
        left: rectangle.left.saturating_sub(left),
        top: rectangle.top.saturating_sub(top),
        right: rectangle.right.saturating_sub(left),
        bottom: rectangle.bottom.saturating_sub(top),
    }
}

/// Which overlays of an object stay, by the rule of its device. The device is noted even without a rule: so that one can be drawn.
pub(super) fn choose(header: &Dataset, planes: &[Plane], rules: &Rules) -> Option<(Looked, Kept)> {
    let class = header.code(Tag(0x0008, 0x0016));
    let kind = class.strip_prefix(pixels::STORAGE)?;
    let drawn = matches!(
        pixels::family(kind)?,
        Family::Radiograph | Family::Angiography
    );
    if !drawn || planes.iter().all(|plane| plane.length.is_none()) {
        return None;
    }
    let device = device(header, Family::Overlay)?;
    let rule = rules.of(&device);
    let kept = rule.into_iter().flat_map(|rule| {
        let black = |plane: &Plane| {
            let black = plane.black(&rule.rectangles, &rule.device)?;
            Some((plane.group, Arc::new(black)))
        };
        planes.iter().filter_map(black)
    });
    let kept = kept.collect();
    let looked = Looked {
        rule: rule.map(|rule| rule.id),
        device,
        regions: Vec::new(),
    };
    Some((looked, kept))
}

#[cfg(test)]
mod tests {
    use causeway_proto::dataset::Value;
    use causeway_proto::element::implicit_vr;

    use super::*;

    fn number(element: u16, value: u16) -> (Tag, Vec<u8>) {
        (Tag(0x6002, element), value.to_le_bytes().to_vec())
    }

    fn plane(rows: u16, columns: u16, origin: [i16; 2], length: u64) -> Plane {
        let mut plane = Plane::new(0x6002);
        let origin = origin.map(i16::to_le_bytes).concat();
        for (tag, value) in [
            number(0x0010, rows),
            number(0x0011, columns),
            (Tag(0x6002, 0x0050), origin),
            number(0x0100, 1),
            number(0x0102, 0),
        ] {
            plane.header.put(tag, implicit_vr(tag), Value::Bytes(value));
        }
        plane.length = Some(length);
        plane
    }

    const CORNER: Rectangle = Rectangle {
        left: 0,
        top: 0,
        right: 3,
        bottom: 2,
    };

    /// Of a device whose images have 5 rows and 10 columns.
    fn black(plane: &Plane) -> Option<Black> {
        let image = Device::new(Family::Overlay, "Maker", "Alpha", 5, 10).unwrap();
        plane.black(&[CORNER], &image)
    }

    /// What is left of a plane of ones.
    fn left(plane: &Plane) -> Vec<u8> {
        let mut ones = vec![0xFF; 3];
        black(plane).unwrap().apply(0, &mut ones);
        ones
    }

    #[test]
    fn a_rectangle_of_the_image_is_black_in_a_plane_wherever_the_plane_begins() {
        assert_eq!(left(&plane(3, 8, [1, 1], 4)), [0xF8, 0xF8, 0xFF]);
        assert_eq!(left(&plane(3, 8, [2, 1], 4)), [0xF8, 0xFF, 0xFF]);
        assert_eq!(left(&plane(3, 8, [1, 3], 4)), [0xFE, 0xFE, 0xFF]);
        assert_eq!(left(&plane(3, 8, [3, 3], 4)), [0xFF, 0xFF, 0xFF]);
    }

    #[test]
    fn a_plane_that_does_not_say_how_it_lies_or_lies_outside_is_not_understood() {
        assert!(black(&plane(3, 8, [1, 1], 3)).is_some());
        assert!(black(&plane(3, 8, [1, 1], 6)).is_none());
        assert!(black(&plane(0, 8, [1, 1], 0)).is_none());
        for outside in [[0, 1], [1, 0], [-5, 1], [4, 1], [1, 4]] {
            assert!(black(&plane(3, 8, outside, 4)).is_none(), "{outside:?}");
        }
        for element in [0x0010, 0x0011, 0x0050, 0x0100, 0x0102] {
            let mut plane = plane(3, 8, [1, 1], 4);
            plane.header.remove(Tag(0x6002, element));
            assert!(black(&plane).is_none(), "{element:04X}");
        }
        let mut deep = plane(3, 8, [1, 1], 4);
        let (tag, value) = number(0x0100, 16);
        deep.header.put(tag, implicit_vr(tag), Value::Bytes(value));
        assert!(black(&deep).is_none());
    }
}
