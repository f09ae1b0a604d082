//! Values that stay, without what identifies the patient: text in its own character set, and bytes of unknown meaning in place.

use std::ops::Range;

use causeway_proto::text::{CharacterSet, Span};
use dicom_core::VR;

use super::identifiers::{Context, Identifiers};

/// What stands where an identifier stood.
pub(super) const REMOVED: &[u8] = b"[removed]";
/// ISO-IR 6 in G0 (PS3.5 6.1.2.5.3).
const ASCII: &[u8] = b"\x1B(B";

/// What became of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cleaned {
    /// It holds no identifier.
    Same,
    /// It held one; this is what is left of it.
    Changed(Vec<u8>),
    /// Its bytes have no meaning in the character set that the object names.
    Undecodable,
    /// A UID that holds an identifier.
    Identifying,
}

/// How a VR is cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Text for people: the identifier is cut out.
    Text,
    /// A code, title or number in text: it goes whole.
    Code,
    /// A number, date or time in text: it goes whole, and digits alone prove nothing.
    Number,
    /// DA, DT.
    Date,
    /// UI.
    Uid,
    /// Bytes of unknown meaning.
    Bytes,
    /// Numbers.
    Binary,
}

/// The class of a VR.
fn class(vr: VR) -> Class {
    match vr {
        VR::LO | VR::SH | VR::ST | VR::LT | VR::UT | VR::UC | VR::PN => Class::Text,
        VR::CS | VR::AE | VR::UR => Class::Code,
        VR::DS | VR::IS | VR::AS | VR::TM => Class::Number,
        VR::DA | VR::DT => Class::Date,
        VR::UI => Class::Uid,
        VR::OB | VR::UN => Class::Bytes,
        _ => Class::Binary,
    }
}

/// The class of a value of one VR where the dictionary has another or none: numbers where anything else may stand are bytes of unknown
/// meaning.
pub(super) fn class_of(vr: VR, dictionary: VR) -> Class {
    match (class(vr), class(dictionary)) {
        (Class::Binary, Class::Binary) => Class::Binary,
        (Class::Binary, _) => Class::Bytes,
        (class, _) => class,
    }
}

/// PS3.5 Table 6.2-1: characters of one value.
pub(super) fn longest(vr: VR) -> usize {
    match vr {
        VR::SH => 16,
        VR::LO => 64,
        _ => usize::MAX,
    }
}

/// Notes are sentences; all other texts name things.
fn context(vr: VR) -> Context {
    match vr {
        VR::LT | VR::ST | VR::UT | VR::UC => Context::Note,
        _ => Context::Descriptor,
    }
}

/// Cleans a value.
pub(super) fn clean(
    value: &[u8],
    class: Class,
    vr: VR,
    set: &CharacterSet,
    ids: &Identifiers,
) -> Cleaned {
    match class {
        Class::Text => text(value, set, ids, vr),
        Class::Code | Class::Number => {
            let text = set.decode(value);
            let context = match class {
                Class::Code => Context::Code,
                _ => Context::Number,
            };
            let found = !ids.in_text(&text, context).is_empty()
                || ids.is_number(&text)
                || odd(value) && !ids.in_bytes(value).is_empty();
            emptied(found)
        }
        Class::Date => {
            let text = set.decode(value);
            let found = text.split('\\').any(|date| ids.is_birth_date(date.trim()));
            emptied(found || !ids.in_text(&text, Context::Number).is_empty())
        }
        Class::Uid => {
            let text = String::from_utf8_lossy(value);
            let found = text
                .split('\\')
                .any(|uid| ids.in_uid(uid.trim_matches(['\0', ' '])));
            if found {
                return Cleaned::Identifying;
            }
            emptied(!ids.in_text(&text, Context::Number).is_empty())
        }
        Class::Bytes => masked(value, ids),
        Class::Binary => Cleaned::Same,
    }
}

fn emptied(found: bool) -> Cleaned {
    if found {
        Cleaned::Changed(Vec::new())
    } else {
        Cleaned::Same
    }
}

/// Whether a text holds more than text of its set would: other alphabets in other encodings are looked for in its bytes.
fn odd(value: &[u8]) -> bool {
    let padding = value.iter().rev().take_while(|b| **b == 0).count();
    let said = value.get(..value.len() - padding).unwrap_or_default();
    said.iter().any(|b| *b == 0 || *b >= 0x80 || *b == 0x1B)
}

fn text(value: &[u8], set: &CharacterSet, ids: &Identifiers, vr: VR) -> Cleaned {
    let (limit, context) = (longest(vr), context(vr));
    let decoded = set.decode_counted(value);
    let found = ids.in_text(&decoded.text, context);
    if decoded.undecodable > 0 {
        return Cleaned::Undecodable;
    }
    if found.is_empty() {
        let hidden = odd(value) && !ids.in_bytes(value).is_empty();
        return if hidden {
            Cleaned::Changed(REMOVED.to_vec())
        } else {
            Cleaned::Same
        };
    }
    let spans = set.spans(value);
    let out = cut(value, &spans, &bridged(&spans, found));
    let again = set.decode(&out);
    let short = limit == usize::MAX || again.split('\\').all(|part| part.chars().count() <= limit);
    // what is left must hold nothing: a cut can bring two halves together
    if short
        && ids.in_text(&again, context).is_empty()
        && (!odd(&out) || ids.in_bytes(&out).is_empty())
    {
        Cleaned::Changed(out)
    } else {
        Cleaned::Changed(REMOVED.to_vec())
    }
}

/// Cuts that only separators keep apart are one.
fn bridged(spans: &[Span], found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for range in found {
        if let Some(last) = out.last_mut() {
            let between = spans.get(last.end..range.start).unwrap_or_default();
            if between.len() <= 3
                && between
                    .iter()
                    .all(|span| " ^,._-=/".contains(span.character))
            {
                last.end = range.end;
                continue;
            }
        }
        out.push(range);
    }
    out
}

/// The value without some of its characters. Escape sequences stay, so that what follows keeps its meaning.
fn cut(value: &[u8], spans: &[Span], found: &[Range<usize>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut at = 0;
    for range in found {
        let (Some(first), Some(last)) = (
            spans.get(range.start),
            spans.get(range.end.saturating_sub(1)),
        ) else {
            continue;
        };
        out.extend_from_slice(value.get(at..first.bytes.start).unwrap_or_default());
        if !first.shift.is_empty() {
            out.extend_from_slice(ASCII);
        }
        out.extend_from_slice(REMOVED);
        if !first.shift.is_empty() {
            out.extend_from_slice(first.shift);
        }
        let mut end = first.bytes.start;
        for span in spans.get(range.clone()).unwrap_or_default() {
            out.extend_from_slice(value.get(end..span.bytes.start).unwrap_or_default());
            end = end.max(span.bytes.end);
        }
        at = last.bytes.end;
    }
    out.extend_from_slice(value.get(at..).unwrap_or_default());
    out
}

/// Bytes with their identifiers overwritten: lengths and places inside stay what they are.
fn masked(value: &[u8], ids: &Identifiers) -> Cleaned {
    let found = ids.in_bytes(value);
    if found.is_empty() {
        return Cleaned::Same;
    }
    let mut out = value.to_vec();
    for range in found {
        if let Some(bytes) = out.get_mut(range) {
            bytes.fill(b'X');
        }
    }
    Cleaned::Changed(out)
}

/// A value of a VR that says nothing (action D). Numbers become zeros of the same size.
pub(super) fn dummy(vr: VR, value: &[u8]) -> Vec<u8> {
    match vr {
        VR::PN | VR::LO | VR::SH | VR::ST | VR::LT | VR::UT | VR::UC | VR::CS | VR::AE => {
            b"REMOVED".to_vec()
        }
        VR::DA => b"19000101".to_vec(),
        VR::DT => b"19000101000000".to_vec(),
        VR::TM => b"000000".to_vec(),
        VR::DS | VR::IS => b"0".to_vec(),
        VR::AS => b"000Y".to_vec(),
        VR::UR => b"urn:removed".to_vec(),
        VR::UI => value.to_vec(),
        _ => vec![0; value.len()],
    }
}
