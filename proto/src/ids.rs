//! Identifiers, parsed at the door and trusted inside: DICOM UIDs, sites, agreements, case codes, pseudonyms, and the words that
//! travel with them.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::random::Random;

/// Why a text is not the identifier it was offered as. The text itself is not repeated: it may be anything.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum IdError {
    /// The value is empty.
    #[error("the identifier is empty")]
    Empty,
    /// The value is longer than the standard or our own rule allows.
    #[error("the identifier is longer than {0} characters")]
    TooLong(usize),
    /// A character that the identifier may not hold, or an empty component.
    #[error("the identifier holds a character or component that it may not hold")]
    Illegal,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
        #[cbor(transparent)]
        pub struct $name(#[n(0)] String);

        impl $name {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let text = text.trim_matches(['\0', ' ']);
                $check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                d.str()?.parse().map_err(minicbor::decode::Error::custom)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// PS3.5 9.1: at most 64 characters of digits and dots, no empty component. Leading zeros in a component break the rule but
/// are met in the field and are let through.
fn check_uid(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > 64 {
        return Err(IdError::TooLong(64));
    }
    let legal = text
        .split('.')
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if legal { Ok(()) } else { Err(IdError::Illegal) }
}

/// Our own names: lower-case letters, digits and hyphens, 1 to 40 characters, beginning with a letter or digit.
fn check_name(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > 40 {
        return Err(IdError::TooLong(40));
    }
    let legal = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if legal && !text.starts_with('-') {
        Ok(())
    } else {
        Err(IdError::Illegal)
    }
}

/// PS3.5 6.2 AE: at most 16 significant characters of the default repertoire without backslash and control characters. Ours
/// may hold no slash and no `..` either, so that no title is ever mistaken for a path.
fn check_ae_title(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > 16 {
        return Err(IdError::TooLong(16));
    }
    let legal = text
        .bytes()
        .all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'/' | b'\\'));
    if legal && !text.contains("..") {
        Ok(())
    } else {
        Err(IdError::Illegal)
    }
}

/// Characters of a case code: no 0/O, 1/I/L, 2/Z, 5/S, 8/B, U/V pairs that sound or look alike.
const CASE_ALPHABET: &[u8; 23] = b"34679ACDEFGHJKMNPQRTWXY";

fn case_check_character(body: &[u8]) -> Option<u8> {
    let mut sum = 0;
    for (weight, character) in (2_usize..).zip(body) {
        sum += weight * CASE_ALPHABET.iter().position(|c| c == character)?;
    }
    CASE_ALPHABET.get(sum % CASE_ALPHABET.len()).copied()
}

fn check_case_code(text: &str) -> Result<(), IdError> {
    let Some((check, body)) = text.as_bytes().split_last() else {
        return Err(IdError::Empty);
    };
    if body.len() != 7 {
        return Err(IdError::Illegal);
    }
    if case_check_character(body) == Some(*check) {
        Ok(())
    } else {
        Err(IdError::Illegal)
    }
}

/// `CW`, twelve characters without look-alikes and their check character.
fn check_pseudonym(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    let (check, body) = text
        .strip_prefix("CW")
        .and_then(|rest| rest.as_bytes().split_last())
        .ok_or(IdError::Illegal)?;
    if body.len() == SPOKEN && case_check_character(body) == Some(*check) {
        Ok(())
    } else {
        Err(IdError::Illegal)
    }
}

/// Characters of a [`spoken`] text between its prefix and its check character: 54 bits.
const SPOKEN: usize = 12;

/// A keyed digest as people can say it: the prefix, twelve characters without look-alikes, one check character. With a prefix of
/// two it fits into every text VR of DICOM, SH (16 characters) as well.
#[must_use]
pub fn spoken(prefix: &str, mac: &[u8; 32]) -> String {
    let mut rest = mac
        .iter()
        .take(16)
        .fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
    let mut body = Vec::with_capacity(SPOKEN + 1);
    for _ in 0..SPOKEN {
        let size = CASE_ALPHABET.len() as u128;
        let index = usize::try_from(rest % size).unwrap_or(0);
        body.push(CASE_ALPHABET.get(index).copied().unwrap_or(b'3'));
        rest /= size;
    }
    body.push(case_check_character(&body).unwrap_or(b'3'));
    body.into_iter().fold(prefix.to_owned(), |mut text, byte| {
        text.push(char::from(byte));
        text
    })
}

text_id!(
    /// (0020,000D).
    StudyUid, check_uid
);
text_id!(
    /// (0020,000E).
    SeriesUid, check_uid
);
text_id!(
    /// (0008,0018).
    SopInstanceUid, check_uid
);
text_id!(
    /// (0008,0016).
    SopClassUid, check_uid
);
text_id!(
    /// (0002,0010).
    TransferSyntaxUid, check_uid
);
text_id!(
    /// The name of a DICOM application (PS3.5 6.2, AE).
    AeTitle, check_ae_title
);
text_id!(
    /// A hospital as the gateway knows it; stands in the SAN of its agent's certificate.
    SiteId, check_name
);
text_id!(
    /// An agreement between one site and one reading organisation.
    AgreementId, check_name
);
text_id!(
    /// The word for a case that both sides can say on the telephone (P10): seven random characters without look-alikes and
    /// one check character.
    CaseCode, check_case_code
);

impl CaseCode {
    /// A new code, derived from nothing but chance.
    #[must_use]
    pub fn draw(random: &Random) -> Self {
        let mut text = String::with_capacity(8);
        let size = CASE_ALPHABET.len() as u64;
        for _ in 0..7 {
            let index = usize::try_from(random.below(size)).unwrap_or(0);
            text.push(char::from(
                CASE_ALPHABET.get(index).copied().unwrap_or(b'3'),
            ));
        }
        let check = case_check_character(text.as_bytes()).unwrap_or(b'3');
        text.push(char::from(check));
        Self(text)
    }
}

text_id!(
    /// What stands for a patient under one agreement: (0010,0020) of everything that leaves the site. Derived with a key that only
    /// the site has.
    Pseudonym, check_pseudonym
);

impl Pseudonym {
    /// The pseudonym that a keyed digest gives.
    #[must_use]
    pub fn of(mac: &[u8; 32]) -> Self {
        Self(spoken("CW", mac))
    }
}

/// Where a study is kept: a UID alone is not a key, since two sites may hold the same one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct StudyKey {
    /// The site that sent it.
    #[n(0)]
    pub site: SiteId,
    /// The agreement under which it was sent.
    #[n(1)]
    pub agreement: AgreementId,
    /// Its Study Instance UID.
    #[n(2)]
    pub study: StudyUid,
}

/// What a study was sent for (P4): to be read, or only to be compared with.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, serde::Serialize, serde::Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Makes a reading task.
    #[n(0)]
    Read,
    /// A prior: never a task.
    #[n(1)]
    Comparison,
}

/// The three clinical levels and "not stated" (P26). Ordered: the most urgent first.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Encode,
    Decode,
    serde::Serialize,
    serde::Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// UPS HIGH.
    #[n(0)]
    Stat,
    /// UPS MEDIUM.
    #[n(1)]
    Urgent,
    /// UPS LOW.
    #[n(2)]
    Routine,
    /// The site said nothing; queued as routine, shown as "not stated".
    #[n(3)]
    Unstated,
}

macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// The word stored in rows and shown to scripts.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                match text { $($word => Ok(Self::$variant),)+ _ => Err(IdError::Illegal) }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(Purpose { Read = "read", Comparison = "comparison" });
words!(Priority { Stat = "stat", Urgent = "urgent", Routine = "routine", Unstated = "unstated" });

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<(), IdError>) {
        assert_eq!(text.parse::<StudyUid>().map(|_| ()), expect, "{text:?}");
    }

    #[test]
    fn uids_are_digits_and_dots() {
        check("1.2.840.10008.1.1", Ok(()));
        check("1.2.840.10008.1.1\0", Ok(()));
        check("1.02.3", Ok(()));
        check("", Err(IdError::Empty));
        check("..", Err(IdError::Illegal));
        check("1..2", Err(IdError::Illegal));
        check("../etc/passwd", Err(IdError::Illegal));
        check(&"1".repeat(65), Err(IdError::TooLong(64)));
    }

    #[test]
    fn application_titles_are_never_paths() {
        let expect = |text: &str, length: Option<usize>| {
            let title = text.parse::<AeTitle>().ok();
            assert_eq!(title.map(|t| t.as_str().len()), length, "{text:?}");
        };
        expect("CAUSEWAY", Some(8));
        expect("  CW PRIOR      ", Some(8));
        expect("", None);
        expect("                ", None);
        expect("../x", None);
        expect("a/b", None);
        expect("a\\b", None);
        expect("A\x07", None);
        expect("SEVENTEEN_LETTERS", None);
    }

    #[test]
    fn pseudonyms_catch_every_single_slip_and_every_swap_of_neighbours() {
        let parsed = |text: Vec<u8>| String::from_utf8(text).unwrap().parse::<Pseudonym>();
        for n in 0_u64..50 {
            let pseudonym = Pseudonym::of(&crate::digest::Digest::of(&n.to_be_bytes()).0);
            let text = pseudonym.as_str().as_bytes();
            assert_eq!(text.len(), 15);
            assert_eq!(parsed(text.to_vec()).as_ref(), Ok(&pseudonym));
            for position in 2..15 {
                for other in CASE_ALPHABET.iter().filter(|c| **c != text[position]) {
                    let mut slip = text.to_vec();
                    slip[position] = *other;
                    assert!(parsed(slip).is_err());
                }
            }
            for position in 2..13 {
                let mut swap = text.to_vec();
                swap.swap(position, position + 1);
                assert!(swap == text || parsed(swap).is_err());
            }
        }
        for bad in ["", "CW", "CX", "CW3333333333333", "UNKNOWN"] {
            let good = bad == "CW3333333333333";
            assert_eq!(bad.parse::<Pseudonym>().is_ok(), good, "{bad}");
        }
    }

    #[test]
    fn case_codes_catch_every_single_slip_and_every_swap_of_neighbours() {
        let drawn = std::sync::atomic::AtomicU64::new(0);
        let random = Random::new(move |out| {
            let n = drawn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let digest = crate::digest::Digest::of(&n.to_be_bytes());
            out.copy_from_slice(&digest.0[..out.len()]);
        });
        for _ in 0..200 {
            let code = CaseCode::draw(&random);
            assert!(code.as_str().parse::<CaseCode>().is_ok());
            for position in 0..8 {
                for other in CASE_ALPHABET {
                    let mut slip = code.as_str().as_bytes().to_vec();
                    if slip[position] != *other {
                        slip[position] = *other;
                        assert!(
                            String::from_utf8(slip)
                                .unwrap()
                                .parse::<CaseCode>()
                                .is_err()
                        );
                    }
                }
            }
            for position in 0..6 {
                let mut swap = code.as_str().as_bytes().to_vec();
                swap.swap(position, position + 1);
                if swap != code.as_str().as_bytes() {
                    assert!(
                        String::from_utf8(swap)
                            .unwrap()
                            .parse::<CaseCode>()
                            .is_err()
                    );
                }
            }
        }
    }
}
