//! From identifiers to what is looked for: names, numbers and dates in every way in which they are written.

use encoding_rs::Encoding;

use super::escapes;
use super::find::{Patterns, Rule};
use super::fold::{fold, folded, spellings, squeezed};
use super::words::{ADDRESS, LABELS, MONTHS, STOP};

fn stops(word: &str) -> bool {
    STOP.contains(&word)
}

/// Ideographs and syllabaries: two characters of them say as much as four letters.
fn dense(text: &str) -> bool {
    text.chars().any(|c| {
        ('\u{3040}'..='\u{D7FF}').contains(&c)
            || ('\u{F900}'..='\u{FAFF}').contains(&c)
            || ('\u{1100}'..='\u{11FF}').contains(&c)
    })
}

/// Alphabetic, ideographic and phonetic (PS3.5 6.2.1): a name has no more groups.
const GROUPS: usize = 3;
/// Words of a group that are looked for by themselves.
const WORDS: usize = 12;
/// Words of a group that are looked for in pairs.
const PARTS: usize = 6;
/// Words of a group that are looked for in pairs in bytes.
const IN_BYTES: usize = 4;

/// Whether a word is looked for in bytes by itself.
fn alone_in_bytes(word: &str) -> bool {
    let long = word.chars().count() >= if dense(word) { 2 } else { 5 };
    long && !stops(&folded(word))
}

impl Patterns {
    /// A name of a person (PS3.5 6.2.1): its components alone where they are long enough, and any two of them together.
    pub(super) fn name(&mut self, name: &str, own: &'static Encoding) {
        for group in name.split('=').take(GROUPS) {
            let parts: Vec<&str> = group
                .split(['^', ' ', ',', '\u{3000}'])
                .map(|part| part.trim_matches(|c: char| !c.is_alphanumeric()))
                .filter(|part| !part.is_empty())
                .take(WORDS)
                .collect();
            for part in &parts {
                self.word(part, own);
                // double names are also written apart, and each half alone
                for half in part
                    .split(['-', '\'', '\u{2019}', '_'])
                    .filter(|half| half.len() < part.len())
                {
                    self.word(half, own);
                }
            }
            self.pairs(parts.get(..PARTS).unwrap_or(&parts), own);
        }
    }

    fn word(&mut self, word: &str, own: &'static Encoding) {
        for text in spellings(word) {
            let length = text.chars().count();
            let least = if dense(word) { 2 } else { 3 };
            if stops(&text) {
                self.everyday(&text);
                continue;
            }
            if length < least || text.chars().all(|c| c.is_ascii_digit()) {
                continue;
            }
            let rule = if length >= 6 || dense(word) {
                Rule::Anywhere
            } else {
                Rule::Word
            };
            self.add_text(text, rule);
        }
        if alone_in_bytes(word) {
            self.in_encodings(word, own);
        }
    }

    /// A name that is an everyday word: see [`STOP`].
    fn everyday(&mut self, word: &str) {
        let named = ADDRESS
            .iter()
            .flat_map(|title| [format!("{title} {word}"), format!("{title}. {word}")]);
        let labelled = LABELS.iter().flat_map(|label| {
            ["", " "].map(|gap| {
                [
                    format!("{label}:{gap}{word}"),
                    format!("{label}={gap}{word}"),
                ]
            })
        });
        for text in named.chain(labelled.flatten()) {
            let rule = Rule::Word;
            self.add_text(text, rule);
        }
        let (text, rule) = (word.to_owned(), Rule::Capitals);
        self.add_text(text, rule);
    }

    /// An everyday word beside another everyday word or an initial of the name: only in the forms in which names are written.
    fn beside(&mut self, word: &str, other: &str) {
        let initial: String = other.chars().take(1).collect();
        for text in [
            format!("{word}^{other}"),
            format!("{word},{other}"),
            format!("{word}, {other}"),
            format!("{word}, {initial}."),
            format!("{word} {initial}."),
            format!("{initial}. {word}"),
            format!("{initial}.{word}"),
        ] {
            let rule = Rule::Word;
            self.add_text(text, rule);
        }
    }

    /// Any two components, in any order, whatever stands between them.
    fn pairs(&mut self, parts: &[&str], own: &'static Encoding) {
        for (a, first) in parts.iter().enumerate() {
            for (b, second) in parts.iter().enumerate() {
                if a == b {
                    continue;
                }
                if stops(&folded(first)) {
                    self.beside(&folded(first), &folded(second));
                }
                for (first, second) in spellings(first).iter().zip(spellings(second)) {
                    let text = tight(&format!("{first}{second}"));
                    let single = first.chars().count() < 2 || second.chars().count() < 2;
                    let least = if dense(&text) { 2 } else { 5 };
                    if (single && !dense(&text)) || (stops(first) && stops(&second)) {
                        continue;
                    }
                    if text.chars().count() >= least {
                        self.add_text(text, Rule::Squeezed);
                    } else {
                        self.short(first, &second);
                    }
                }
                if a.max(b) < IN_BYTES {
                    self.pair_in_bytes(first, second, own);
                }
            }
        }
    }

    /// Two parts that are too short to be found without what stands between them: only in the forms in which names are written.
    fn short(&mut self, first: &str, second: &str) {
        self.add_bytes(format!("{first}^{second}").as_bytes());
        for between in ["^", " ", ", ", ","] {
            self.add_text(format!("{first}{between}{second}"), Rule::Word);
        }
    }

    /// Two parts together, where not both are found by themselves.
    fn pair_in_bytes(&mut self, first: &str, second: &str, own: &'static Encoding) {
        let found = alone_in_bytes(first) && alone_in_bytes(second);
        let long = first.chars().count() + second.chars().count() >= 5;
        if found || !long || (stops(&folded(first)) && stops(&folded(second))) {
            return;
        }
        for between in ["^", " ", ", ", "_"] {
            self.in_encodings(&format!("{first}{between}{second}"), own);
        }
    }

    /// A number of the patient or of the order.
    pub(super) fn number(&mut self, number: &str, own: &'static Encoding) {
        let text = folded(number.trim());
        let length = text.chars().count();
        let digits = text.chars().all(|c| c.is_ascii_digit());
        if length < 4 || stops(&text) || one_character(&text) {
            return;
        }
        let rule = match (digits, length) {
            (true, 4..=5) => Rule::Digits,
            (false, 4..=5) => Rule::Word,
            _ => Rule::Anywhere,
        };
        let narrow = tight(&text);
        self.add_text(text.clone(), rule);
        if narrow.chars().count() >= 6 && !one_character(&narrow) {
            self.add_text(narrow.clone(), Rule::Squeezed);
            self.in_encodings(&narrow, own);
        }
        let bare = narrow.trim_start_matches('0');
        if bare.chars().count() >= 6 {
            self.add_text(bare.to_owned(), Rule::Squeezed);
        }
        if length >= 6 || (length >= 5 && !digits) {
            self.in_encodings(number.trim(), own);
        }
    }

    /// A text that identifies as a whole only: an address, an institution.
    pub(super) fn phrase(&mut self, phrase: &str, own: &'static Encoding) {
        let text = tight(&folded(phrase));
        if text.chars().count() >= 8 && !stops(&text) {
            self.add_text(text, Rule::Squeezed);
            self.in_encodings(phrase.trim(), own);
        }
    }

    /// A birth date (DA) as it is written in texts.
    pub(super) fn date(&mut self, date: &str) {
        let (Some(year), Some(month), Some(day)) = (date.get(..4), date.get(4..6), date.get(6..8))
        else {
            return;
        };
        if !date.bytes().all(|b| b.is_ascii_digit()) || year < "1800" || date.len() != 8 {
            return;
        }
        for text in [
            format!("{year}{month}{day}"),
            format!("{day}{month}{year}"),
            format!("{month}{day}{year}"),
        ] {
            self.add_bytes(text.as_bytes());
            self.add_text(text, Rule::Squeezed);
        }
        let (m, d) = (month.trim_start_matches('0'), day.trim_start_matches('0'));
        let short = year.get(2..).unwrap_or_default();
        for dot in ['.', '/', '-'] {
            for (first, second) in [(d, m), (m, d)] {
                self.add_text(format!("{first}{dot}{second}{dot}{year}"), Rule::Digits);
            }
            for text in [
                format!("{day}{dot}{month}{dot}{short}"),
                format!("{month}{dot}{day}{dot}{short}"),
                format!("{d}{dot}{m}{dot}{short}"),
            ] {
                self.add_text(text, Rule::Digits);
            }
            for text in [
                format!("{day}{dot}{month}{dot}{year}"),
                format!("{year}{dot}{month}{dot}{day}"),
            ] {
                self.add_bytes(text.as_bytes());
                // beside another number the form without its separators is not found
                self.add_text(text, Rule::Digits);
            }
        }
        let number = month.parse().unwrap_or(0_usize).wrapping_sub(1);
        for names in MONTHS {
            let Some(name) = names.get(number) else {
                continue;
            };
            let start: String = name.chars().take(3).collect();
            for name in [*name, start.as_str()] {
                for text in [
                    format!("{d}{name}{year}"),
                    format!("{day}{name}{year}"),
                    format!("{name}{d}{year}"),
                    format!("{name}{day}{year}"),
                ] {
                    self.add_text(tight(&folded(&text)), Rule::Squeezed);
                }
            }
        }
    }

    /// A date (eight digits) of the dataset as it is written in bytes of unknown meaning, beside the digits alone.
    pub(super) fn date_in_bytes(&mut self, date: &str) {
        let (Some(year), Some(month), Some(day)) = (date.get(..4), date.get(4..6), date.get(6..8))
        else {
            return;
        };
        for mark in ['.', '/', '-', ':'] {
            self.add_bytes(format!("{year}{mark}{month}{mark}{day}").as_bytes());
            self.add_bytes(format!("{day}{mark}{month}{mark}{year}").as_bytes());
            self.add_bytes(format!("{month}{mark}{day}{mark}{year}").as_bytes());
        }
        let wide = |order: fn(u16) -> [u8; 2]| date.encode_utf16().flat_map(order).collect();
        let wide: [Vec<u8>; 2] = [wide(u16::to_le_bytes), wide(u16::to_be_bytes)];
        wide.iter().for_each(|bytes| self.add_bytes(bytes));
    }

    /// The bytes of a text in every encoding that an object or a private element may be in.
    fn in_encodings(&mut self, text: &str, own: &'static Encoding) {
        const OTHERS: [&Encoding; 13] = [
            encoding_rs::WINDOWS_1252,
            encoding_rs::ISO_8859_2,
            encoding_rs::WINDOWS_1250,
            encoding_rs::ISO_8859_5,
            encoding_rs::WINDOWS_1251,
            encoding_rs::KOI8_R,
            encoding_rs::ISO_8859_7,
            encoding_rs::WINDOWS_1254,
            encoding_rs::SHIFT_JIS,
            encoding_rs::EUC_JP,
            encoding_rs::EUC_KR,
            encoding_rs::GB18030,
            encoding_rs::BIG5,
        ];
        let title: String = text
            .split(' ')
            .map(|word| {
                let mut letters = word.chars();
                letters.next().map_or_else(String::new, |first| {
                    first
                        .to_uppercase()
                        .chain(letters.flat_map(char::to_lowercase))
                        .collect()
                })
            })
            .collect::<Vec<String>>()
            .join(" ");
        for form in [
            text.to_owned(),
            text.to_uppercase(),
            text.to_lowercase(),
            title,
        ] {
            self.add_bytes(form.as_bytes());
            self.add_bytes(
                &form
                    .encode_utf16()
                    .flat_map(u16::to_le_bytes)
                    .collect::<Vec<u8>>(),
            );
            self.add_bytes(
                &form
                    .encode_utf16()
                    .flat_map(u16::to_be_bytes)
                    .collect::<Vec<u8>>(),
            );
            if form.is_ascii() {
                continue;
            }
            if let Some(escaped) = escapes::japanese(&form) {
                self.add_bytes(&escaped);
            }
            for encoding in OTHERS.into_iter().chain([own]) {
                let (bytes, _, lost) = encoding.encode(&form);
                if !lost {
                    self.add_bytes(&bytes);
                }
            }
        }
    }
}

fn tight(text: &str) -> String {
    squeezed(&fold(text.chars()))
        .into_iter()
        .map(|(c, _)| c)
        .filter(|c| c.is_alphanumeric())
        .collect()
}

/// Zeros, nines, Xs: placeholders, and part of everything.
fn one_character(text: &str) -> bool {
    let mut characters = text.chars().filter(|c| c.is_alphanumeric());
    let first = characters.next();
    characters.all(|c| Some(c) == first)
}
