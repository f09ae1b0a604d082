//! Text in the escapes of ISO 2022 (PS3.5 6.1.2.5): two bytes a character, each of which looks like ASCII.

/// The character that begins an escape sequence.
const ESCAPE: u8 = 0x1B;
/// What separates parts of names, and values.
const BETWEEN: &[u8] = b"^= \\";

/// The parts of a name in its own bytes that are more than ASCII. What looks like a delimiter inside a character of two bytes is none;
/// the escape back to ASCII at the end of a part belongs to what follows.
pub(super) fn parts(bytes: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    let (mut start, mut at, mut wide) = (0, 0, false);
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        if let Some((length, is_wide)) = escape(rest) {
            (at, wide) = (at + length, is_wide);
        } else if wide && (0x21..0x7F).contains(byte) {
            at += 2;
        } else {
            if BETWEEN.contains(byte) {
                out.extend(bytes.get(start..at));
                start = at + 1;
            }
            at += 1;
        }
    }
    out.extend(bytes.get(start..));
    out.retain(|part| part.contains(&ESCAPE) || !part.is_ascii());
    out.into_iter().map(without_end).collect()
}

/// The length of the escape sequence at the beginning, and whether characters of two bytes follow in G0.
fn escape(rest: &[u8]) -> Option<(usize, bool)> {
    let (first, rest) = rest.split_first()?;
    if *first != ESCAPE {
        return None;
    }
    match rest {
        // ISO-IR 159; those of G1 leave ASCII in G0
        [b'$', b'(', _, ..] => Some((4, true)),
        [b'$', b')', _, ..] => Some((4, false)),
        // ISO-IR 87
        [b'$', _, ..] => Some((3, true)),
        [_, _, ..] => Some((3, false)),
        _ => Some((1, false)),
    }
}

fn without_end(part: &[u8]) -> &[u8] {
    [&b"\x1B(B"[..], b"\x1B(J"]
        .iter()
        .find_map(|end| part.strip_suffix(*end))
        .unwrap_or(part)
}

/// A text with ISO-IR 87 for what ASCII does not have, up to its last such character.
pub(super) fn japanese(text: &str) -> Option<Vec<u8>> {
    let (bytes, _, lost) = encoding_rs::ISO_2022_JP.encode(text);
    (!lost && bytes.contains(&ESCAPE)).then(|| without_end(&bytes).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_by_delimiters_and_not_by_halves_of_characters() {
        // the second character of the last part has 0x5E in it
        let name = b"Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB^O^\x1B(B=\x1B)I\xD4\xCF\xC0\xDE";
        let told: [&[u8]; 3] = [b"\x1B$B;3ED", b"\x1B$BB^O^", b"\x1B)I\xD4\xCF\xC0\xDE"];
        assert_eq!(parts(name), told);
        assert_eq!(parts(b"M\xFCller^Erika"), [b"M\xFCller"]);
        assert!(parts(b"Doe^Jane").is_empty());
        assert_eq!(parts(b"\x1B$B;").len(), 1);
        assert_eq!(parts(b"\x1B").len(), 1);
        assert_eq!(japanese("山田"), Some(b"\x1B$B;3ED".to_vec()));
        assert_eq!(japanese("Doe"), None);
    }
}
