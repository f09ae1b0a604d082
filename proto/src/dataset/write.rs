//! From the tree to explicit VR little endian (PS3.5 A.2).

use dicom_core::{Tag, VR};

use super::{Dataset, Element, Value};
use crate::element::{ITEM, SEQUENCE_END, short_length};

const UNDEFINED: [u8; 4] = [0xFF; 4];

pub(super) fn write(dataset: &Dataset) -> Vec<u8> {
    let mut out = Vec::new();
    for (tag, element) in dataset.iter() {
        write_element(&mut out, tag, element);
    }
    out
}

/// Writes one element: sequences with defined length, values padded to even length.
pub fn write_element(out: &mut Vec<u8>, tag: Tag, element: &Element) {
    match &element.value {
        Value::Bytes(bytes) => primitive(out, tag, element.vr, bytes),
        Value::Items(items) => {
            let mut inner = Vec::new();
            for item in items {
                let bytes = write(item);
                bare(&mut inner, ITEM, length(&bytes));
                inner.extend(bytes);
            }
            head(out, tag, VR::SQ);
            out.extend([0, 0]);
            out.extend(length(&inner));
            out.extend(inner);
        }
        Value::Fragments(fragments) => {
            head(out, tag, VR::OB);
            out.extend([0, 0]);
            out.extend(UNDEFINED);
            for fragment in fragments {
                let mut fragment = fragment.clone();
                pad(&mut fragment, VR::OB);
                bare(out, ITEM, length(&fragment));
                out.extend(fragment);
            }
            bare(out, SEQUENCE_END, [0; 4]);
        }
    }
}

fn primitive(out: &mut Vec<u8>, tag: Tag, vr: VR, bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    pad(&mut bytes, vr);
    if let (true, Ok(length)) = (short_length(vr), u16::try_from(bytes.len())) {
        head(out, tag, vr);
        out.extend(length.to_le_bytes());
    } else {
        // PS3.5 6.2.2: too long for its VR in explicit VR, so it is written as UN
        head(out, tag, if short_length(vr) { VR::UN } else { vr });
        out.extend([0, 0]);
        out.extend(length(&bytes));
    }
    out.extend(bytes);
}

pub(crate) fn head(out: &mut Vec<u8>, tag: Tag, vr: VR) {
    out.extend(tag.0.to_le_bytes());
    out.extend(tag.1.to_le_bytes());
    out.extend(vr.to_bytes());
}

fn bare(out: &mut Vec<u8>, tag: Tag, length: [u8; 4]) {
    out.extend(tag.0.to_le_bytes());
    out.extend(tag.1.to_le_bytes());
    out.extend(length);
}

/// Nothing of 4 GiB is ever held in memory here; were it so, the undefined length would not pass any reader.
fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}

/// PS3.5 6.2: text is padded with a space, UIDs and everything else with zero.
pub(super) fn pad(bytes: &mut Vec<u8>, vr: VR) {
    if !bytes.len().is_multiple_of(2) {
        let text = matches!(
            vr,
            VR::AE
                | VR::AS
                | VR::CS
                | VR::DA
                | VR::DS
                | VR::DT
                | VR::IS
                | VR::LO
                | VR::LT
                | VR::PN
                | VR::SH
                | VR::ST
                | VR::TM
                | VR::UC
                | VR::UR
                | VR::UT
        );
        bytes.push(if text { b' ' } else { 0 });
    }
}
