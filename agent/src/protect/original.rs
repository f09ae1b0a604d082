//! Originals back in their places: the protected form and what was taken from it make the received dataset again, element for
//! element.

use causeway_proto::dataset::{Dataset, Value};
use dicom_core::{Tag, VR};

/// Group of the private block in which originals name the elements that were added: absent is not the same as empty.
const GROUP: u16 = 0x0CA5;
const CREATOR: &str = "CAUSEWAY ADDED";

/// What the gateway's side and ours write into a protected object, whatever it had before.
const MARKS: [Tag; 4] = [
    Tag(0x0012, 0x0062),
    Tag(0x0012, 0x0063),
    Tag(0x0012, 0x0064),
    Tag(0x0400, 0x0500),
];

/// Notes in the originals which elements the protected form has and the received one had not.
pub(super) fn note_added(originals: &mut Dataset, added: &[Tag]) {
    let mut value = Vec::with_capacity(added.len() * 4);
    for tag in added {
        value.extend(tag.0.to_le_bytes());
        value.extend(tag.1.to_le_bytes());
    }
    let free = (0x10..=0xFF_u16).find(|block| {
        originals.get(Tag(GROUP, *block)).is_none()
            && originals.get(Tag(GROUP, block << 8 | 1)).is_none()
    });
    if let Some(block) = free {
        originals.put_text(Tag(GROUP, block), VR::LO, CREATOR);
        originals.put(Tag(GROUP, block << 8 | 1), VR::AT, Value::Bytes(value));
    }
}

/// The received dataset, from its protected form and the originals that were sealed with it.
#[must_use]
pub fn put_back(protected: Dataset, originals: &Dataset) -> Dataset {
    let mut dataset = protected;
    for mark in MARKS {
        dataset.remove(mark);
    }
    let block = added_block(originals);
    if let Some(block) = block {
        for number in originals.bytes(Tag(GROUP, block << 8 | 1)).chunks_exact(4) {
            if let [a, b, c, d] = number {
                dataset.remove(Tag(
                    u16::from_le_bytes([*a, *b]),
                    u16::from_le_bytes([*c, *d]),
                ));
            }
        }
    }
    merge(&mut dataset, originals);
    if let Some(block) = block {
        dataset.remove(Tag(GROUP, block));
        dataset.remove(Tag(GROUP, block << 8 | 1));
    }
    dataset
}

/// The last block of ours: a received dataset may hold one of the same name, from an earlier protection.
fn added_block(originals: &Dataset) -> Option<u16> {
    let named = |block: &u16| originals.code(Tag(GROUP, *block)) == CREATOR;
    (0x10..=0xFF_u16).rev().find(named)
}

/// A sequence that still has as many items as its originals was changed inside; anything else was replaced or removed whole.
fn merge(dataset: &mut Dataset, originals: &Dataset) {
    for (tag, element) in originals.iter() {
        if let Value::Items(items) = &element.value {
            let kept = dataset.items_mut(tag);
            if !kept.is_empty() && kept.len() == items.len() {
                for (kept, original) in kept.iter_mut().zip(items) {
                    merge(kept, original);
                }
                continue;
            }
        }
        dataset.put(tag, element.vr, element.value.clone());
    }
}
