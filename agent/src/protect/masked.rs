//! What stands in the place of pixels that give somebody away, and what the header says of it.

use std::sync::Arc;

use causeway_proto::ids::TransferSyntaxUid;
use dicom_core::{Tag, VR};
use serde::{Deserialize, Serialize};

use super::picture::Shown;
use super::pieces::Piece;
use crate::mask::Rectangle;
use crate::mask::native::Black;

/// An element that stands in the place of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    pub(super) group: u16,
    pub(super) element: u16,
    /// The two letters of its VR.
    pub(super) vr: String,
    pub(super) value: Vec<u8>,
    /// It describes pixels that were coded anew: what was received there described others, and is not put back.
    pub(super) of_pixels: bool,
}

impl Change {
    pub(super) fn tag(&self) -> Tag {
        Tag(self.group, self.element)
    }

    pub(super) fn vr(&self) -> VR {
        self.vr.parse().unwrap_or(VR::UN)
    }

    pub(super) fn new(tag: Tag, vr: VR, value: Vec<u8>) -> Self {
        Self {
            group: tag.0,
            element: tag.1,
            vr: vr.to_string().to_owned(),
            value,
            of_pixels: true,
        }
    }
}

/// Pixels that were coded anew: what stands before and behind them, and how the header describes them. In the row of their file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Anew {
    /// What is black in them.
    pub(super) rectangles: Vec<Rectangle>,
    /// In which syntax the object leaves.
    pub(super) syntax: String,
    /// The header of the element, and the offset table.
    pub(super) head: Vec<u8>,
    /// What ends the element.
    pub(super) tail: Vec<u8>,
    /// What the header says of them.
    pub(super) changes: Vec<Change>,
}

/// What was masked in an object, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masked {
    /// What stands in the place of its pixel data; nothing when they stay as they are.
    pub(super) pixels: Vec<Piece>,
    /// The syntax in which it leaves, where that is another one.
    pub(super) syntax: Option<TransferSyntaxUid>,
    /// Elements that stand in the place of others, in the order of their tags.
    pub(super) changes: Vec<Change>,
    /// What the reader is told.
    pub(super) remark: Option<&'static str>,
}

impl Masked {
    /// Somebody has looked at what may be there, and nothing has to be black.
    pub(super) fn nothing() -> Self {
        Self {
            changes: vec![clean()],
            ..Self::default()
        }
    }

    /// In place: pixels that are not coded. None when where they lie or what is black in them is not known for certain.
    pub(super) fn native(
        shown: &Shown,
        rectangles: &[Rectangle],
        remark: &'static str,
    ) -> Option<Self> {
        let black = Black::new(&shown.layout()?, rectangles)?;
        let value = shown.place.value.clone();
        let length = value.end.saturating_sub(value.start);
        // one more or less, and every frame behind it would be masked elsewhere
        if length != black.length().next_multiple_of(2) && length != black.length() {
            return None;
        }
        Some(Self {
            pixels: vec![
                Piece::Source(shown.place.start..value.start),
                Piece::Blacked(value, Arc::new(black)),
            ],
            syntax: None,
            changes: vec![clean()],
            remark: Some(remark),
        })
    }

    /// From pixels that were coded anew. None when they were masked otherwise.
    pub(super) fn anew(
        made: &str,
        length: u64,
        rectangles: &[Rectangle],
        remark: &'static str,
    ) -> Option<Self> {
        let anew: Anew = serde_json::from_str(made).ok()?;
        if anew.rectangles != rectangles {
            return None;
        }
        let mut changes = anew.changes;
        changes.push(clean());
        changes.sort_by_key(Change::tag);
        Some(Self {
            pixels: vec![
                Piece::Bytes(anew.head),
                Piece::Masked(0..length),
                Piece::Bytes(anew.tail),
            ],
            syntax: Some(anew.syntax.parse().ok()?),
            changes,
            remark: Some(remark),
        })
    }
}

/// (0028,0301): nothing is burned in that gives somebody away.
fn clean() -> Change {
    Change {
        of_pixels: false,
        ..Change::new(Tag(0x0028, 0x0301), VR::CS, b"NO".to_vec())
    }
}
