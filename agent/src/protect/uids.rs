//! UIDs that do not leave (Retain UIDs off): which values are UIDs of the site, and others in their places.
//!
//! PS3.15 Table E.1-1 names attributes; here every UID that names a thing and not a kind of thing is another one, in whatever attribute
//! it stands: fails closed. In texts and in bytes of unknown meaning, UIDs are looked for by their form.

use std::ops::Range;

use dicom_core::Tag;

/// Kinds of things, which have the same UID at every site: SOP classes, transfer syntaxes, and who maintains a code. Whatever stands
/// there has to stay, or nobody can read the object.
const KINDS: [Tag; 12] = [
    Tag(0x0008, 0x0016),
    Tag(0x0008, 0x001A),
    Tag(0x0008, 0x001B),
    Tag(0x0008, 0x0062),
    Tag(0x0008, 0x010C),
    Tag(0x0008, 0x0117),
    Tag(0x0008, 0x0118),
    Tag(0x0008, 0x1150),
    Tag(0x0008, 0x115A),
    Tag(0x0008, 0x3002),
    Tag(0x0400, 0x0010),
    Tag(0x0400, 0x0510),
];

/// The standard's own.
const STANDARD: &str = "1.2.840.10008.";

/// Components and characters of what is taken for a UID where a text holds one: fewer are version numbers and addresses.
const COMPONENTS: usize = 5;
const SHORTEST: usize = 12;
const LONGEST: usize = 64;

/// Whether the UIDs of an attribute name kinds of things.
pub(super) fn is_kind(tag: Tag) -> bool {
    KINDS.contains(&tag)
}

/// Whether a UID is the standard's own.
pub(super) fn is_standard(uid: &str) -> bool {
    uid.starts_with(STANDARD)
}

/// A value of UI with another UID in the place of each of the site; none when it has none.
pub(super) fn replaced<E>(
    value: &[u8],
    mut with: impl FnMut(&str) -> Result<String, E>,
) -> Result<Option<Vec<u8>>, E> {
    let text = String::from_utf8_lossy(value);
    let mut parts = Vec::new();
    let mut changed = false;
    for part in text.split('\\') {
        let uid = part.trim_matches(['\0', ' ']);
        if uid.is_empty() || is_standard(uid) {
            parts.push(uid.to_owned());
        } else {
            parts.push(with(uid)?);
            changed = true;
        }
    }
    Ok(changed.then(|| parts.join("\\").into_bytes()))
}

/// Where UIDs of a site stand in a text, as ranges of its bytes.
pub(crate) fn in_text(text: &str) -> Vec<Range<usize>> {
    runs(text.as_bytes(), 0, 1)
}

/// Where they stand in bytes of unknown meaning, written in one byte each or in two.
pub(super) fn in_bytes(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = runs(bytes, 0, 1);
    found.extend(runs(bytes, 0, 2));
    found.extend(runs(bytes, 1, 2));
    found
}

/// Runs of digits and points of which every `step`-th byte from `from` is one, those between are zero, and that are UIDs.
fn runs(bytes: &[u8], from: usize, step: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut run = String::new();
    let mut start = from;
    let mut at = from;
    while at < bytes.len() {
        let zero = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_none_or(|it| *it == 0);
        let wide = step == 1 || zero(at.checked_add(1)) || zero(at.checked_sub(1));
        match bytes.get(at) {
            Some(byte @ (b'0'..=b'9' | b'.')) if wide => {
                if run.is_empty() {
                    start = at;
                }
                run.push(char::from(*byte));
            }
            _ => close(&mut run, start, step, &mut found),
        }
        at += step;
    }
    close(&mut run, start, step, &mut found);
    found
}

fn close(run: &mut String, start: usize, step: usize, found: &mut Vec<Range<usize>>) {
    let uid = run.trim_matches('.');
    let before = run.len() - run.trim_start_matches('.').len();
    if is_uid(uid) {
        let start = start + before * step;
        found.push(start..start + (uid.len() - 1) * step + 1);
    }
    run.clear();
}

fn is_uid(text: &str) -> bool {
    let parts = text.split('.');
    let fewest = if text.starts_with("2.25.") {
        3
    } else {
        COMPONENTS
    };
    let legal = |part: &str| !part.is_empty() && (part == "0" || !part.starts_with('0'));
    (SHORTEST..=LONGEST).contains(&text.len())
        && !is_standard(text)
        && ["0.", "1.", "2."].iter().any(|root| text.starts_with(root))
        && parts.clone().count() >= fewest
        && parts.into_iter().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(uid: &str) -> Result<String, std::convert::Infallible> {
        Ok(format!("2.25.{}", uid.len()))
    }

    #[test]
    fn uids_of_the_site_are_replaced_and_those_of_the_standard_stay() {
        for (value, expect) in [
            (&b"1.2.3.4\0"[..], Some("2.25.7")),
            (b"1.2.840.10008.1.2.1\0", None),
            (b"", None),
            (
                b"1.2.840.10008.1.4.1.1\\1.2.3",
                Some("1.2.840.10008.1.4.1.1\\2.25.5"),
            ),
            (b"1.2.3\\1.2.3.4", Some("2.25.5\\2.25.7")),
            (b"no UID at all", Some("2.25.13")),
        ] {
            let out = replaced(value, other).unwrap();
            assert_eq!(out, expect.map(|it| it.as_bytes().to_vec()));
        }
    }

    #[test]
    fn uids_are_found_by_their_form_and_versions_and_addresses_are_none() {
        let found = |text: &str| -> Vec<String> {
            let at = in_text(text).into_iter();
            at.map(|range| text[range].to_owned()).collect()
        };
        for (text, expect) in [
            (
                "see 1.3.12.2.1107.5.1.4 and 2.25.1234567.",
                vec!["1.3.12.2.1107.5.1.4", "2.25.1234567"],
            ),
            ("version 1.2.3.4 at 10.20.30.40", vec![]),
            ("syngo 2.0.1.7, 1.02.840.113619.2.1", vec![]),
            ("class 1.2.840.10008.5.1.4.1.1.2", vec![]),
            ("0.123456789012", vec![]),
            ("3.14.15926.53589.79", vec![]),
        ] {
            assert_eq!(found(text), expect, "{text}");
        }
    }

    #[test]
    fn wide_characters_hide_no_uid() {
        let uid = "1.3.12.2.1107.5.1.4";
        let little: Vec<u8> = uid.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = uid.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (wide, zero) in [(little, 0), (big, 1)] {
            for shift in 0..3 {
                let bytes = [&vec![7; shift], &wide[..], b"x"].concat();
                let found = in_bytes(&bytes);
                let at = found.first().map(|it| (it.start, it.len()));
                let expect = Some((shift + zero, 2 * uid.len() - 1));
                assert_eq!((found.len(), at), (1, expect), "{shift}");
            }
        }
    }
}
