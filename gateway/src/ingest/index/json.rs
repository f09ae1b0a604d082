//! One value as DICOM JSON (PS3.18 F.2). Text is decoded strictly; what has no meaning shows as U+FFFD.

use std::borrow::Cow;

use causeway_proto::element::Encoding;
use causeway_proto::text::CharacterSet;
use dicom_core::VR;
use serde_json::{Map, Number, Value, json};

/// How bytes are to be understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    pub(super) encoding: Encoding,
    pub(super) set: CharacterSet,
}

/// The attribute object of a value that stands in the header.
pub(super) fn attribute(vr: VR, bytes: &[u8], context: Context, undecodable: &mut usize) -> Value {
    let mut out = Map::new();
    out.insert("vr".to_owned(), vr.to_string().into());
    if let Some(width) = binary(vr) {
        if !bytes.is_empty() {
            let little = little_endian(bytes, width, context.encoding);
            out.insert("InlineBinary".to_owned(), base64(&little).into());
        }
        return Value::Object(out);
    }
    let values = match vr {
        VR::AT | VR::FL | VR::FD | VR::SL | VR::SS | VR::UL | VR::US | VR::SV | VR::UV => {
            numbers(vr, bytes, context.encoding)
        }
        _ => texts(vr, bytes, context.set, undecodable),
    };
    if values.iter().any(|value| !value.is_null()) {
        out.insert("Value".to_owned(), Value::Array(values));
    }
    Value::Object(out)
}

/// The attribute object of a value that stays in the dataset. The address is completed when it is served.
pub(super) fn bulk(vr: VR, offset: u64, length: u64) -> Value {
    let word = binary(vr).unwrap_or_else(|| width(vr).unwrap_or(1));
    json!({ "vr": vr.to_string(), "BulkDataURI": format!("@/bulk/{offset}/{length}/{word}") })
}

/// The word size in bytes of the VRs that JSON carries as bytes.
pub(super) fn binary(vr: VR) -> Option<usize> {
    match vr {
        VR::OB | VR::UN => Some(1),
        VR::OW => Some(2),
        VR::OF | VR::OL => Some(4),
        VR::OD | VR::OV => Some(8),
        _ => None,
    }
}

/// The size in bytes of a number of this VR.
pub(super) fn width(vr: VR) -> Option<usize> {
    match vr {
        VR::SS | VR::US | VR::AT => Some(2),
        VR::FL | VR::SL | VR::UL => Some(4),
        VR::FD | VR::SV | VR::UV => Some(8),
        _ => None,
    }
}

/// Swaps words when the bytes are big endian: JSON and served bulk data are little endian (PS3.18 F.2.7).
pub(crate) fn little_endian(bytes: &[u8], word: usize, encoding: Encoding) -> Cow<'_, [u8]> {
    if encoding != Encoding::ExplicitBig || word < 2 {
        return Cow::Borrowed(bytes);
    }
    let mut out = bytes.to_vec();
    for chunk in out.chunks_exact_mut(word) {
        chunk.reverse();
    }
    Cow::Owned(out)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn numbers(vr: VR, bytes: &[u8], encoding: Encoding) -> Vec<Value> {
    let size = if vr == VR::AT {
        4
    } else {
        width(vr).unwrap_or(1)
    };
    let word = width(vr).unwrap_or(1);
    little_endian(bytes, word, encoding)
        .chunks_exact(size)
        .filter_map(|chunk| number(vr, chunk))
        .collect()
}

fn number(vr: VR, little: &[u8]) -> Option<Value> {
    Some(match vr {
        VR::SS => i16::from_le_bytes(*little.first_chunk()?).into(),
        VR::US => u16::from_le_bytes(*little.first_chunk()?).into(),
        VR::SL => i32::from_le_bytes(*little.first_chunk()?).into(),
        VR::UL => u32::from_le_bytes(*little.first_chunk()?).into(),
        VR::FL => float(f32::from_le_bytes(*little.first_chunk()?).into()),
        VR::FD => float(f64::from_le_bytes(*little.first_chunk()?)),
        VR::SV => i64::from_le_bytes(*little.first_chunk()?).into(),
        VR::UV => u64::from_le_bytes(*little.first_chunk()?).into(),
        VR::AT => {
            let group = u16::from_le_bytes(*little.first_chunk()?);
            let element = u16::from_le_bytes(*little.get(2..)?.first_chunk()?);
            format!("{group:04X}{element:04X}").into()
        }
        _ => return None,
    })
}

/// What JSON has no number for is written in words (PS3.18 F.2.2).
fn float(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => "NaN".into(),
        None if value > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

fn texts(vr: VR, bytes: &[u8], set: CharacterSet, undecodable: &mut usize) -> Vec<Value> {
    let set = match vr {
        VR::LO | VR::LT | VR::PN | VR::SH | VR::ST | VR::UC | VR::UT => set,
        _ => CharacterSet::default(),
    };
    let decoded = set.decode_counted(bytes);
    *undecodable += decoded.undecodable;
    let text = decoded.text.trim_end_matches(['\0', ' ']);
    // PS3.5 6.4: the backslash separates values, but in these it is a character
    if matches!(vr, VR::LT | VR::ST | VR::UT | VR::UR) {
        return vec![some(text)];
    }
    text.split('\\')
        .map(|value| {
            let value = value.trim_matches(['\0', ' ']);
            match vr {
                VR::PN => name(value),
                VR::IS => whole(value),
                VR::DS => decimal(value),
                _ => some(value),
            }
        })
        .collect()
}

fn some(text: &str) -> Value {
    if text.is_empty() {
        Value::Null
    } else {
        text.into()
    }
}

/// PS3.18 F.2.2: a number where it is one, else the text.
fn whole(text: &str) -> Value {
    match text.trim_start_matches('+').parse::<i64>() {
        Ok(number) => number.into(),
        Err(_) => some(text),
    }
}

fn decimal(text: &str) -> Value {
    let plain = text.trim_start_matches('+');
    if let Ok(number) = plain.parse::<i64>() {
        return number.into();
    }
    let digits = plain
        .bytes()
        .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    match plain.parse::<f64>() {
        Ok(number) if digits && number.is_finite() => float(number),
        _ => some(text),
    }
}

/// PS3.18 F.2.2: the component groups of a name.
fn name(text: &str) -> Value {
    let mut out = Map::new();
    for (key, group) in ["Alphabetic", "Ideographic", "Phonetic"]
        .into_iter()
        .zip(text.splitn(3, '='))
    {
        let group = group.trim_end_matches([' ', '\0']);
        if !group.is_empty() {
            out.insert(key.to_owned(), group.into());
        }
    }
    if out.is_empty() {
        Value::Null
    } else {
        Value::Object(out)
    }
}
