//! Received text in Unicode: the character sets of PS3.3 C.12.1.1.2, code extensions (ISO 2022, PS3.5 6.1.2.5) included.
//!
//! For reading only, and strict: bytes that the named sets do not give a meaning become U+FFFD and are counted, never guessed.
//! What was received is not rewritten and stays what it is.

use std::ops::Range;

use encoding_rs::Encoding;

/// The value of Specific Character Set (0008,0005), understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CharacterSet {
    whole: Option<&'static Encoding>,
    initial: State,
    extensions: bool,
}

/// Text and how many of its bytes had no meaning in the sets that were named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// With U+FFFD for what had no meaning.
    pub text: String,
    /// How many places had none; 0 when the text is whole.
    pub undecodable: usize,
}

/// A character of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The character; U+FFFD for what has no meaning.
    pub character: char,
    /// Its bytes in the value.
    pub bytes: Range<usize>,
    /// The escape sequence under which it stands, when its bytes are not to be read as ASCII.
    pub shift: &'static [u8],
}

/// What bytes below and above 0x80 mean at the moment (code elements G0 and G1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    low: Low,
    high: High,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Low {
    #[default]
    Ascii,
    /// ISO-IR 14, JIS X 0201: an overline where ASCII has a tilde.
    Romaji,
    /// ISO-IR 87, JIS X 0208: two bytes.
    Kanji,
    /// ISO-IR 159, JIS X 0212: two bytes.
    KanjiSupplement,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum High {
    /// The default repertoire has nothing there.
    #[default]
    Nothing,
    /// ISO-IR 100.
    Latin1,
    /// A one-byte set.
    Single(&'static Encoding),
    /// ISO-IR 13, JIS X 0201: half-width katakana.
    Katakana,
    /// ISO-IR 149 (KS X 1001) or 58 (GB 2312): two bytes.
    Double(&'static Encoding),
}

impl CharacterSet {
    /// Understands a value of (0008,0005). Misspellings of a defined term as `ISO-IR 100` are taken for it; a term that is no
    /// misspelling of any counts as the default repertoire, in which bytes above 0x7F have no meaning.
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        let text = String::from_utf8_lossy(value);
        let mut terms = text.split('\\');
        let first = number(terms.next().unwrap_or_default());
        let whole = match first.as_str() {
            "IR192" | "UTF8" => Some(encoding_rs::UTF_8),
            "GB18030" => Some(encoding_rs::GB18030),
            "GBK" => Some(encoding_rs::GBK),
            _ => None,
        };
        let low = if first == "IR13" {
            Low::Romaji
        } else {
            Low::Ascii
        };
        Self {
            whole,
            initial: State {
                low,
                high: high(&first),
            },
            extensions: whole.is_none() && (terms.next().is_some() || text.contains("2022")),
        }
    }

    /// The text of a value.
    #[must_use]
    pub fn decode(&self, value: &[u8]) -> String {
        self.decode_counted(value).text
    }

    /// Whether every term of a value of (0008,0005) is known: what an unknown one gives the bytes for meaning cannot be said.
    #[must_use]
    pub fn understood(value: &[u8]) -> bool {
        let text = String::from_utf8_lossy(value);
        text.split('\\').map(number).all(|term| {
            matches!(
                term.as_str(),
                "" | "IR6" | "IR192" | "UTF8" | "GB18030" | "GBK" | "IR87" | "IR159" | "IR14"
            ) || high(&term) != High::Nothing
        })
    }

    /// The characters of a value with the bytes that each stands in. Escape sequences stand in none.
    #[must_use]
    pub fn spans(&self, value: &[u8]) -> Vec<Span> {
        let mut spans = Vec::with_capacity(value.len());
        let mut state = self.initial;
        let mut rest = value;
        while let Some(&byte) = rest.first() {
            let at = value.len() - rest.len();
            let mut out = Decoded::default();
            let escaped = byte == 0x1B && self.extensions && self.whole.is_none();
            rest = match self.whole {
                Some(whole) => {
                    let (character, after) = rest.split_at(width(whole, rest).min(rest.len()));
                    out.take(whole, character);
                    after
                }
                None => self.step(rest, &mut state, &mut out),
            };
            let bytes = at..value.len() - rest.len();
            spans.extend(out.text.chars().filter(|_| !escaped).map(|character| Span {
                character,
                bytes: bytes.clone(),
                shift: state.low.shift(),
            }));
        }
        spans
    }

    /// The text of a value, and how much of it had no meaning.
    #[must_use]
    pub fn decode_counted(&self, value: &[u8]) -> Decoded {
        if value.is_ascii() && !value.contains(&0x1B) && self.initial.low == Low::Ascii {
            return Decoded {
                text: String::from_utf8_lossy(value).into_owned(),
                undecodable: 0,
            };
        }
        let mut out = Decoded::default();
        if let Some(whole) = self.whole {
            out.take(whole, value);
        } else {
            self.decode_parts(value, &mut out);
        }
        out
    }

    fn decode_parts(&self, value: &[u8], out: &mut Decoded) {
        let mut state = self.initial;
        let mut rest = value;
        while !rest.is_empty() {
            rest = self.step(rest, &mut state, out);
        }
    }

    /// Decodes one character or escape sequence and returns what follows it.
    fn step<'a>(&self, value: &'a [u8], state: &mut State, out: &mut Decoded) -> &'a [u8] {
        let Some((&byte, after)) = value.split_first() else {
            return value;
        };
        match byte {
            0x1B if self.extensions => escape(after, state, out),
            0x21..=0x7E if matches!(state.low, Low::Kanji | Low::KanjiSupplement) => {
                kanji(byte, after, state.low, out)
            }
            0x80.. => state.high.decode(byte, after, out),
            b'~' if state.low == Low::Romaji => {
                out.text.push('\u{203E}');
                after
            }
            _ => {
                // PS3.5 6.1.2.5.3: after a delimiter the sets of the first value are active again
                if b"\r\n\t\x0C\\^=".contains(&byte) {
                    *state = self.initial;
                }
                out.text.push(char::from(byte));
                after
            }
        }
    }
}

/// How many bytes the first character of `rest` takes in a set without escape sequences.
fn width(whole: &'static Encoding, rest: &[u8]) -> usize {
    let second = rest.get(1).copied().unwrap_or(0);
    match rest.first().copied().unwrap_or(0) {
        0..=0x7F => 1,
        first if whole == encoding_rs::UTF_8 => match first {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 1,
        },
        // GB 18030: four bytes when the second is a digit
        0x81.. if second.is_ascii_digit() => 4,
        0x81.. => 2,
        _ => 1,
    }
}

impl Low {
    /// The escape sequence that designates the set; nothing for ASCII.
    fn shift(self) -> &'static [u8] {
        match self {
            Self::Ascii => b"",
            Self::Romaji => b"\x1B(J",
            Self::Kanji => b"\x1B$B",
            Self::KanjiSupplement => b"\x1B$(D",
        }
    }
}

impl Decoded {
    fn take(&mut self, encoding: &'static Encoding, bytes: &[u8]) {
        let (text, _) = encoding.decode_without_bom_handling(bytes);
        self.undecodable += text
            .chars()
            .filter(|c| *c == char::REPLACEMENT_CHARACTER)
            .count();
        self.text.push_str(&text);
    }

    fn nothing(&mut self) {
        self.text.push(char::REPLACEMENT_CHARACTER);
        self.undecodable += 1;
    }
}

impl High {
    /// Decodes the character that begins with `byte` and returns what follows it.
    fn decode<'a>(self, byte: u8, after: &'a [u8], out: &mut Decoded) -> &'a [u8] {
        match self {
            Self::Latin1 if byte >= 0xA0 => out.text.push(char::from(byte)),
            Self::Single(encoding) if byte >= 0xA0 => out.take(encoding, &[byte]),
            Self::Katakana if (0xA1..=0xDF).contains(&byte) => {
                let offset = u32::from(byte) - 0xA1;
                out.text
                    .push(char::from_u32(0xFF61 + offset).unwrap_or('\u{FFFD}'));
            }
            Self::Double(encoding) if byte >= 0xA1 => {
                if let Some((&second @ 0xA1.., after)) = after.split_first() {
                    out.take(encoding, &[byte, second]);
                    return after;
                }
                out.nothing();
            }
            _ => out.nothing(),
        }
        after
    }
}

/// `ISO_IR 100`, `ISO 2022 IR 100`, and misspellings of them, as `IR100`.
fn number(term: &str) -> String {
    let plain: String = term
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    plain
        .trim_start_matches("ISO")
        .trim_start_matches("2022")
        .to_owned()
}

/// PS3.3 Tables C.12-2, C.12-3 and C.12-4: what a term puts above 0x7F.
fn high(term: &str) -> High {
    match term {
        "IR100" => High::Latin1,
        "IR101" => High::Single(encoding_rs::ISO_8859_2),
        "IR109" => High::Single(encoding_rs::ISO_8859_3),
        "IR110" => High::Single(encoding_rs::ISO_8859_4),
        "IR144" => High::Single(encoding_rs::ISO_8859_5),
        "IR127" => High::Single(encoding_rs::ISO_8859_6),
        "IR126" => High::Single(encoding_rs::ISO_8859_7),
        "IR138" => High::Single(encoding_rs::ISO_8859_8),
        // from 0xA0 on, Windows 1254 is ISO 8859-9
        "IR148" => High::Single(encoding_rs::WINDOWS_1254),
        "IR203" => High::Single(encoding_rs::ISO_8859_15),
        // from 0xA1 on, Windows 874 is TIS 620
        "IR166" => High::Single(encoding_rs::WINDOWS_874),
        "IR13" => High::Katakana,
        "IR149" => High::Double(encoding_rs::EUC_KR),
        "IR58" => High::Double(encoding_rs::GBK),
        _ => High::Nothing,
    }
}

/// PS3.3 Tables C.12-3 and C.12-4: the escape sequences without their first byte. One that is not in the tables has no meaning.
fn escape<'a>(rest: &'a [u8], state: &mut State, out: &mut Decoded) -> &'a [u8] {
    const HIGH: [(&[u8], &str); 14] = [
        (b"-A", "IR100"),
        (b"-B", "IR101"),
        (b"-C", "IR109"),
        (b"-D", "IR110"),
        (b"-L", "IR144"),
        (b"-G", "IR127"),
        (b"-F", "IR126"),
        (b"-H", "IR138"),
        (b"-M", "IR148"),
        (b"-b", "IR203"),
        (b"-T", "IR166"),
        (b")I", "IR13"),
        (b"$)C", "IR149"),
        (b"$)A", "IR58"),
    ];
    const LOW: [(&[u8], Low); 5] = [
        (b"(B", Low::Ascii),
        (b"(J", Low::Romaji),
        (b"$B", Low::Kanji),
        (b"$@", Low::Kanji),
        (b"$(D", Low::KanjiSupplement),
    ];
    for (code, term) in HIGH {
        if let Some(rest) = rest.strip_prefix(code) {
            state.high = high(term);
            return rest;
        }
    }
    for (code, low) in LOW {
        if let Some(rest) = rest.strip_prefix(code) {
            state.low = low;
            return rest;
        }
    }
    out.nothing();
    rest
}

/// A character of a two-byte Japanese set, which EUC-JP writes with the high bits set.
fn kanji<'a>(first: u8, rest: &'a [u8], low: Low, out: &mut Decoded) -> &'a [u8] {
    let Some((&second, rest)) = rest.split_first() else {
        out.nothing();
        return rest;
    };
    let pair = [0x8F, first | 0x80, second | 0x80];
    let bytes = if low == Low::Kanji {
        pair.get(1..)
    } else {
        pair.get(..)
    };
    out.take(encoding_rs::EUC_JP, bytes.unwrap_or_default());
    rest
}

#[cfg(test)]
mod tests;
