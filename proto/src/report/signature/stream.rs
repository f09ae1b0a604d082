//! The bytes that are signed (PS3.15 C.1): explicit VR little endian in the order of the tags, sequences and items without
//! lengths, every sequence ended by its delimiter, items not.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use crate::dataset::{Dataset, Element, Value, write_element};
use crate::element::{ITEM, SEQUENCE_END};

/// Elements of the signature item that are not part of what is signed: the certificate, the signature, and what may be
/// added to it later, a timestamp.
const NOT_IN_STREAM: [Tag; 4] = [
    tags::CERTIFICATE_OF_SIGNER,
    tags::SIGNATURE,
    tags::CERTIFIED_TIMESTAMP_TYPE,
    tags::CERTIFIED_TIMESTAMP,
];

/// The covered elements of a dataset, then those of the signature item itself.
pub(super) fn mac_stream(dataset: &Dataset, covered: &[Tag], signature: &Dataset) -> Vec<u8> {
    let mut out = Vec::new();
    for (tag, element) in dataset.iter().filter(|(tag, _)| covered.contains(tag)) {
        put(&mut out, tag, element);
    }
    for (tag, element) in signature
        .iter()
        .filter(|(tag, _)| !NOT_IN_STREAM.contains(tag))
    {
        put(&mut out, tag, element);
    }
    out
}

fn put(out: &mut Vec<u8>, tag: Tag, element: &Element) {
    match &element.value {
        Value::Bytes(_) => write_element(out, tag, element),
        Value::Items(items) => {
            head(out, tag, VR::SQ);
            for item in items {
                bare(out, ITEM);
                for (tag, element) in item.iter() {
                    put(out, tag, element);
                }
            }
            bare(out, SEQUENCE_END);
        }
        Value::Fragments(fragments) => {
            head(out, tag, VR::OB);
            for fragment in fragments {
                bare(out, ITEM);
                out.extend(fragment);
            }
            bare(out, SEQUENCE_END);
        }
    }
}

fn head(out: &mut Vec<u8>, tag: Tag, vr: VR) {
    bare(out, tag);
    out.extend(vr.to_bytes());
    out.extend([0, 0]);
}

fn bare(out: &mut Vec<u8>, tag: Tag) {
    out.extend(tag.0.to_le_bytes());
    out.extend(tag.1.to_le_bytes());
}
