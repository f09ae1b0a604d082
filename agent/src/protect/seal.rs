//! The originals of an object as they travel: Encrypted Attributes (PS3.3 C.12.1.1.4.1, PS3.15 E.1.1), readable by the hospital alone.

use causeway_proto::dataset::{Dataset, Value};
use causeway_proto::element::{Encoding, ITEM};
use dicom_core::{Tag, VR};

/// Encrypted Attributes Sequence.
pub const ENCRYPTED_ATTRIBUTES: Tag = Tag(0x0400, 0x0500);
const CONTENT_SYNTAX: Tag = Tag(0x0400, 0x0510);
const CONTENT: Tag = Tag(0x0400, 0x0520);
const MODIFIED_ATTRIBUTES: Tag = Tag(0x0400, 0x0550);
const EXPLICIT_LITTLE: &[u8] = b"1.2.840.10008.1.2.1\0";

/// What is sealed of `originals`: a dataset in explicit VR little endian with one item of Modified Attributes, and beside it the
/// character set of the object, in which they are.
#[must_use]
pub fn plain(originals: &Dataset, character_set: &[u8]) -> Vec<u8> {
    let mut whole = Dataset::new();
    if !character_set.is_empty() {
        let set = Value::Bytes(character_set.to_vec());
        whole.put(Tag(0x0008, 0x0005), VR::CS, set);
    }
    whole.put_items(MODIFIED_ATTRIBUTES, vec![originals.clone()]);
    whole.write()
}

/// The originals in what was sealed.
#[must_use]
pub fn originals(plain: &[u8]) -> Option<Dataset> {
    let syntax = "1.2.840.10008.1.2.1".parse().ok()?;
    let mut whole = Dataset::read(plain, &syntax).ok()?;
    match whole.remove(MODIFIED_ATTRIBUTES)?.value {
        Value::Items(items) => items.into_iter().next(),
        Value::Bytes(_) | Value::Fragments(_) => None,
    }
}

/// Of the originals of an object those of its patient and its study: what a report needs to be filed.
#[must_use]
pub fn of_study(originals: &Dataset) -> Dataset {
    originals
        .iter()
        .filter(|(tag, _)| is_of_study(*tag))
        .map(|(tag, element)| (tag, element.clone()))
        .collect()
}

/// Patient, General Study and Imaging Service Request (PS3.3 C.7.1, C.7.2, C.4.12); the rest belongs to a series or an instance.
fn is_of_study(tag: Tag) -> bool {
    match tag.0 {
        0x0010 | 0x0032 | 0x0038 => true,
        0x0008 => matches!(
            tag.1,
            0x0020
                | 0x0050
                | 0x0051
                | 0x0090
                | 0x0092
                | 0x0094
                | 0x0096
                | 0x1030
                | 0x1048
                | 0x1049
                | 0x1060
                | 0x1062
        ),
        // the UID of the study where another one left
        0x0020 => matches!(tag.1, 0x000D | 0x0010),
        0x0040 => matches!(tag.1, 0x1001..=0x2400),
        _ => false,
    }
}

/// The Encrypted Attributes Sequence with an item for each of `sealed`, as it stands in a dataset of this encoding.
#[must_use]
pub fn element(sealed: &[&[u8]], encoding: Encoding) -> Vec<u8> {
    let mut items = Vec::new();
    for one in sealed {
        let mut item = value(CONTENT_SYNTAX, VR::UI, EXPLICIT_LITTLE, encoding);
        item.extend(value(CONTENT, VR::OB, one, encoding));
        items.extend(bare(ITEM, item.len()));
        items.extend(item);
    }
    value(ENCRYPTED_ATTRIBUTES, VR::SQ, &items, encoding)
}

/// The sealed originals in a dataset, in their order.
#[must_use]
pub fn sealed(dataset: &Dataset) -> Vec<&[u8]> {
    let items = dataset.items(ENCRYPTED_ATTRIBUTES).iter();
    items.map(|item| item.bytes(CONTENT)).collect()
}

fn value(tag: Tag, vr: VR, bytes: &[u8], encoding: Encoding) -> Vec<u8> {
    let length = bytes.len().next_multiple_of(2);
    let mut out = match (encoding, vr) {
        (Encoding::ImplicitLittle, _) => bare(tag, length),
        (_, VR::UI) => {
            let mut head = bare(tag, 0);
            head.truncate(4);
            head.extend(vr.to_bytes());
            head.extend(u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
            head
        }
        _ => {
            let mut head = bare(tag, 0);
            head.truncate(4);
            head.extend(vr.to_bytes());
            head.extend([0, 0]);
            head.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
            head
        }
    };
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

fn bare(tag: Tag, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(8);
    out.extend(tag.0.to_le_bytes());
    out.extend(tag.1.to_le_bytes());
    out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_reads_back_in_both_encodings() {
        let mut originals = Dataset::new();
        originals.put_text(Tag(0x0010, 0x0020), VR::LO, "4711");
        originals.put_text(Tag(0x0008, 0x1070), VR::PN, "Operator^One");
        assert_eq!(
            super::originals(&plain(&originals, b"ISO_IR 192")),
            Some(originals.clone())
        );
        assert!(of_study(&originals).get(Tag(0x0008, 0x1070)).is_none());
        for (encoding, syntax) in [
            (Encoding::ExplicitLittle, "1.2.840.10008.1.2.1"),
            (Encoding::ImplicitLittle, "1.2.840.10008.1.2"),
        ] {
            let bytes = element(&[&[1, 2, 3], &[4, 5]], encoding);
            let read = Dataset::read(&bytes, &syntax.parse().unwrap()).unwrap();
            assert_eq!(sealed(&read), [&[1, 2, 3, 0][..], &[4, 5][..]]);
        }
    }
}
