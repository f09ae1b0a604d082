//! Character sets against the examples of PS3.5 Annexes H to K and against what must never be guessed.

use super::*;

fn check(set: &str, bytes: &[u8], expect: &str, undecodable: usize) {
    let got = CharacterSet::parse(set.as_bytes()).decode_counted(bytes);
    assert_eq!(
        (got.text.as_str(), got.undecodable),
        (expect, undecodable),
        "{set}"
    );
}

#[test]
fn single_sets() {
    check("ISO_IR 100", b"Buc^J\xE9r\xF4me", "Buc^Jérôme", 0);
    check("ISO_IR 101", b"W\xB3adys\xB3aw", "Władysław", 0);
    check("ISO_IR 109", b"\xC6u\xFEu", "Ĉuŝu", 0);
    check("ISO_IR 110", b"J\xE0nis", "Jānis", 0);
    check("ISO_IR 144", b"\xBB\xEE\xD1", "Люб", 0);
    check("ISO_IR 127", b"\xE2\xC8\xC7\xE6\xEA", "قباني", 0);
    check(
        "ISO_IR 126",
        b"\xC4\xE9\xEF\xED\xF5\xF3\xE9\xEF\xF2",
        "Διονυσιος",
        0,
    );
    check("ISO_IR 138", b"\xF9\xF8\xE5\xEF", "שרון", 0);
    check("ISO_IR 148", b"\xDEi\xFEli", "Şişli", 0);
    check("ISO_IR 203", b"\xA4 \xBD", "€ œ", 0);
    check("ISO_IR 166", b"\xA1\xD2", "กา", 0);
    check(
        "ISO_IR 13",
        b"\xD4\xCF\xC0\xDE^\xC0\xDB\xB3~",
        "ﾔﾏﾀﾞ^ﾀﾛｳ‾",
        0,
    );
    check("ISO_IR 192", "Παπαδόπουλος".as_bytes(), "Παπαδόπουλος", 0);
    check(
        "GB18030",
        b"Wang^XiaoDong=\xCD\xF5^\xD0\xA1\xB6\xAB=",
        "Wang^XiaoDong=王^小东=",
        0,
    );
    check("GBK", b"\xCD\xF5^\xD0\xA1\xB6\xAB", "王^小东", 0);
}

/// PS3.5 Annexes H, I and K.
#[test]
fn code_extensions() {
    check(
        "\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B=\x1B$B$d$^$@\x1B(B^\x1B$B$?$m$&\x1B(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        0,
    );
    check(
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        b"\xD4\xCF\xC0\xDE^\xC0\xDB\xB3=\x1B$B;3ED\x1B(J^\x1B$BB@O:\x1B(J=\x1B$B$d$^$@\x1B(J^\x1B$B$?$m$&\x1B(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        0,
    );
    check(
        "\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1B$)C\xFB\xF3^\x1B$)C\xD1\xCE\xD4\xD7=\x1B$)C\xC8\xAB^\x1B$)C\xB1\xE6\xB5\xBF",
        "Hong^Gildong=洪^吉洞=홍^길동",
        0,
    );
    check(
        "\\ISO 2022 IR 58",
        b"Zhang^XiaoDong=\x1B$)A\xD5\xC5^\x1B$)A\xD0\xA1\xB6\xAB=",
        "Zhang^XiaoDong=张^小东=",
        0,
    );
    check("\\ISO 2022 IR 159", b"\x1B$(D0!\x1B(B", "丂", 0);
    check(
        "ISO 2022 IR 100\\ISO 2022 IR 144",
        b"J\xE9r\\\x1B-L\xBB\xEE\\\xE9",
        "Jér\\Лю\\é",
        0,
    );
}

/// A backslash as second byte is part of a character in GB18030 and in two-byte sets, not a separator.
#[test]
fn a_backslash_inside_a_character() {
    check("GB18030", b"\x8F\x5C", "廫", 0);
    check("\\ISO 2022 IR 87", b"\x1B$B\x30\x5C\x1B(B", "移", 0);
}

/// Nothing is guessed: a missing, unknown or wrong set shows as such.
#[test]
fn what_has_no_meaning_is_shown_and_counted() {
    check("", b"Buc^J\xE9r\xF4me", "Buc^J\u{FFFD}r\u{FFFD}me", 2);
    check("ISO_IR 999", b"J\xE9", "J\u{FFFD}", 1);
    check("ISO_IR 192", b"J\xE9r", "J\u{FFFD}r", 1);
    check("ISO_IR 100", b"\x85", "\u{FFFD}", 1);
    check("\\ISO 2022 IR 149", b"\xFB\xF3", "\u{FFFD}\u{FFFD}", 2);
    check("\\ISO 2022 IR 149", b"\x1B$)C\xFB", "\u{FFFD}", 1);
    check("\\ISO 2022 IR 87", b"\x1B%Gx", "\u{FFFD}%Gx", 1);
    check("ISO-IR 100", b"\xC4neas", "Äneas", 0);
}

#[test]
fn nothing_panics() {
    for set in [
        "",
        "\\ISO 2022 IR 87",
        "ISO_IR 192",
        "GB18030",
        "\\\\\\",
        "ISO 2022 IR 13",
    ] {
        let set = CharacterSet::parse(set.as_bytes());
        for bytes in [
            &b"\x1B"[..],
            b"\x1B$",
            b"\x1B$B",
            b"\x1B$B0",
            b"\x1B$(D0",
            b"\x1B$)C\xFF",
            b"\xFF\xFE\x00",
            b"",
        ] {
            assert!(set.decode(bytes).len() <= bytes.len() * 3);
        }
    }
}

#[test]
fn spans_are_the_text_with_the_bytes_it_stands_in() {
    let check = |set: &[u8], value: &[u8]| {
        let set = CharacterSet::parse(set);
        let spans = set.spans(value);
        let text: String = spans.iter().map(|span| span.character).collect();
        assert_eq!(text, set.decode(value));
        let ordered = spans
            .windows(2)
            .all(|pair| pair[0].bytes.start <= pair[1].bytes.start);
        assert!(ordered, "{text}");
    };
    check(b"", b"Muster^Erika");
    check(b"ISO_IR 100", b"M\xFCller \\ x");
    check(
        b"ISO_IR 192",
        "M\u{fc}ller \u{5c71}\u{7530} \u{1F600}".as_bytes(),
    );
    check(b"ISO_IR 192", b"broken \xE5\xB1 end\xFF");
    check(b"GB18030", b"\xCD\xF5^\xD0\xA1\x5C \x81\x30\x81\x30");
    let kanji = b"Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B";
    check(b"\\ISO 2022 IR 87", kanji);
    let spans = CharacterSet::parse(b"\\ISO 2022 IR 87").spans(kanji);
    assert_eq!(spans[13].character, '\u{5c71}');
    assert_eq!(
        (spans[13].bytes.clone(), spans[13].shift),
        (16..18, &b"\x1B$B"[..])
    );
    assert!(spans[15].shift.is_empty());
}

#[test]
fn terms_that_nobody_knows_are_told() {
    for (set, known) in [
        (&b""[..], true),
        (b"ISO_IR 100", true),
        (b"ISO-IR 100 ", true),
        (b"\\ISO 2022 IR 87\\ISO 2022 IR 159", true),
        (b"ISO 2022 IR 6\\ISO 2022 IR 149", true),
        (b"KOI8-R", false),
        (b"ISO_IR 100\\X", false),
    ] {
        assert_eq!(CharacterSet::understood(set), known);
    }
}
