//! Elements of ours as bytes, in the encoding of the object.

use causeway_proto::element::{Encoding, short_length};
use dicom_core::{Tag, VR};

/// A header with a length; `None` is the undefined length.
pub(in super::super) fn header(
    tag: Tag,
    vr: VR,
    length: Option<usize>,
    encoding: Encoding,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(12);
    out.extend(tag.0.to_le_bytes());
    out.extend(tag.1.to_le_bytes());
    let long = length
        .and_then(|length| u32::try_from(length).ok())
        .unwrap_or(u32::MAX);
    if encoding == Encoding::ImplicitLittle || tag.0 == 0xFFFE {
        out.extend(long.to_le_bytes());
        return out;
    }
    let short = length.and_then(|length| u16::try_from(length).ok());
    match short {
        Some(short) if short_length(vr) => {
            out.extend(vr.to_bytes());
            out.extend(short.to_le_bytes());
        }
        _ => {
            // PS3.5 6.2.2: what is too long for its VR is written as UN
            out.extend(if short_length(vr) { VR::UN } else { vr }.to_bytes());
            out.extend([0, 0]);
            out.extend(long.to_le_bytes());
        }
    }
    out
}

/// An element with its value, padded.
pub(super) fn element(tag: Tag, vr: VR, value: &[u8], encoding: Encoding) -> Vec<u8> {
    let odd = value.len() % 2;
    let mut out = header(tag, vr, Some(value.len() + odd), encoding);
    out.extend_from_slice(value);
    if odd == 1 {
        let zero = matches!(vr, VR::UI | VR::OB | VR::UN);
        out.push(if zero { 0 } else { b' ' });
    }
    out
}

/// A sequence of items with defined lengths.
pub(super) fn sequence(tag: Tag, items: &[Vec<u8>], encoding: Encoding) -> Vec<u8> {
    let mut inner = Vec::new();
    for item in items {
        inner.extend(header(
            Tag(0xFFFE, 0xE000),
            VR::UN,
            Some(item.len()),
            encoding,
        ));
        inner.extend_from_slice(item);
    }
    let mut out = header(tag, VR::SQ, Some(inner.len()), encoding);
    out.extend(inner);
    out
}
