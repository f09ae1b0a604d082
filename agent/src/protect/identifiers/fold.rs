//! Text in the form in which two spellings of one name are equal: no case, no accents, compatibility forms united.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// A folded character and the index of the character that it comes from.
pub(super) type Folded = (char, usize);

/// Folds characters, each with where it came from.
pub(super) fn fold(text: impl Iterator<Item = char>) -> Vec<Folded> {
    let mut out = Vec::new();
    for (index, character) in text.enumerate() {
        if character.is_ascii() {
            out.push((character.to_ascii_lowercase(), index));
            continue;
        }
        let parts = character
            .to_lowercase()
            .nfkd()
            .filter(|c| !is_combining_mark(*c));
        for part in parts.flat_map(char::to_lowercase) {
            out.extend(plain(part).chars().map(|c| (c, index)));
            if plain(part).is_empty() {
                out.push((united(part), index));
            }
        }
    }
    out
}

/// The folded text alone: how names are compared everywhere, in what leaves and in what comes home.
pub(crate) fn folded(text: &str) -> String {
    fold(text.chars()).into_iter().map(|(c, _)| c).collect()
}

/// Letters that do not decompose, as they are written without them.
fn plain(letter: char) -> &'static str {
    match letter {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ı' => "i",
        _ => "",
    }
}

/// Forms of one letter: final sigma, katakana as hiragana.
fn united(letter: char) -> char {
    match letter {
        'ς' => 'σ',
        '\u{30A1}'..='\u{30F6}' => char::from_u32(u32::from(letter) - 0x60).unwrap_or(letter),
        other => other,
    }
}

/// A name as it is also written: umlauts written out, and written-out umlauts as umlauts.
pub(crate) fn spellings(name: &str) -> Vec<String> {
    let mut out = vec![folded(name)];
    let lower = name.to_lowercase().nfc().collect::<String>();
    let written: String = lower
        .chars()
        .map(|c| match c {
            'ä' => "ae".to_owned(),
            'ö' => "oe".to_owned(),
            'ü' => "ue".to_owned(),
            'å' => "aa".to_owned(),
            'ø' => "oe".to_owned(),
            other => other.to_string(),
        })
        .collect();
    out.push(folded(&written));
    let short = ["ae", "oe", "ue", "aa"]
        .iter()
        .fold(folded(name), |text, pair| text.replace(pair, &pair[..1]));
    out.push(short);
    out.sort();
    out.dedup();
    out
}

/// Folded characters that are letters or digits; everything else is left out, but a backslash and a line end stay as walls.
pub(super) fn squeezed(folded: &[Folded]) -> Vec<Folded> {
    folded
        .iter()
        .filter(|(c, _)| c.is_alphanumeric() || matches!(c, '\\' | '\n' | '\r'))
        .copied()
        .collect()
}

/// Where `pattern` stands in `text`, as ranges of positions in `text`.
pub(super) fn find(text: &[Folded], pattern: &[char]) -> Vec<Range<usize>> {
    if pattern.is_empty() {
        return Vec::new();
    }
    text.windows(pattern.len())
        .enumerate()
        .filter(|(_, window)| window.iter().zip(pattern).all(|((a, _), b)| a == b))
        .map(|(at, _)| at..at + pattern.len())
        .collect()
}
