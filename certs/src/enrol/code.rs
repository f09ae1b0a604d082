//! The enrolment code: `cw1-<id>-<secret>-<authority>`, in an alphabet that survives being read out and typed.
//!
//! The alphabet is the lower-case letters and digits without i, l, o and u (32 characters, five bits each); i and l are read as 1,
//! o as 0, capitals as small letters. The id (30 bits) names the row, the secret (80 bits) is stored hashed only, and the last part
//! is the first 130 bits of the SHA-256 fingerprint of the link authority: to pass for it takes a second preimage of that length.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use causeway_proto::random::Random;
use rustls_pki_types::CertificateDer;
use thiserror::Error;

use crate::authority::Fingerprint;

/// How long a code may be used.
pub const CODE_LIFE: Duration = Duration::from_secs(60 * 60);
/// How many wrong secrets a code survives, less one: the fifth wrong one ends it.
pub const MAX_TRIES: i64 = 5;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const ID: usize = 6;
const SECRET: usize = 16;
const AUTHORITY: usize = 26;

/// A text that is not an enrolment code. The text is not repeated: it may hold a secret.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "this is not an enrolment code: it reads cw1-, then 6, 16 and 26 letters and digits with hyphens between them"
)]
pub struct CodeError;

/// The secret part of a code. Debug and Display show nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Reads what an agent sent.
    ///
    /// # Errors
    /// When it is not of the right length and alphabet.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        part(text, SECRET).map(Self)
    }

    /// The text that goes over the wire.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored: 80 random bits need no slow hash, only a one-way one.
    #[must_use]
    pub fn hash(&self) -> String {
        let salted = format!("causeway enrolment secret\0{}", self.0);
        hex::encode(digest(&SHA256, salted.as_bytes()))
    }

    /// Whether this is the secret behind a stored hash, in constant time.
    #[must_use]
    pub fn matches(&self, hash: &str) -> bool {
        verify_slices_are_equal(self.hash().as_bytes(), hash.as_bytes()).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A whole code. Display shows it, for the one time it is printed; Debug shows its id only.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    id: String,
    secret: Secret,
    authority: String,
}

impl Code {
    /// Draws a new code for this authority.
    #[must_use]
    pub fn draw(authority: &Fingerprint, random: &Random) -> Self {
        Self {
            id: letters(&random.bytes::<16>(), ID),
            secret: Secret(letters(&random.bytes::<16>(), SECRET)),
            authority: letters(&authority.0, AUTHORITY),
        }
    }

    /// Which row it is.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What proves that one has seen the code.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Whether the code was made by the gateway with this authority.
    #[must_use]
    pub fn is_of(&self, authority: &CertificateDer<'_>) -> bool {
        letters(&Fingerprint::of(authority).0, AUTHORITY) == self.authority
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn authority_text(authority: &CertificateDer<'_>) -> String {
        letters(&Fingerprint::of(authority).0, AUTHORITY)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cw1-{}-{}-{}", self.id, self.secret.0, self.authority)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code(cw1-{}-…)", self.id)
    }
}

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let parts: Vec<&str> = text.split('-').collect();
        let [version, id, secret, authority] = parts.as_slice() else {
            return Err(CodeError);
        };
        if part(version, 3)? != "cw1" {
            return Err(CodeError);
        }
        Ok(Self {
            id: part(id, ID)?,
            secret: Secret::parse(secret)?,
            authority: part(authority, AUTHORITY)?,
        })
    }
}

/// The first `count` groups of five bits as letters.
fn letters(bytes: &[u8], count: usize) -> String {
    let bit = |at: usize| {
        bytes
            .get(at / 8)
            .is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
    };
    (0..count)
        .map(|group| {
            let index = (0..5).fold(0, |sum, at| sum * 2 + usize::from(bit(group * 5 + at)));
            char::from(ALPHABET.get(index).copied().unwrap_or(b'0'))
        })
        .collect()
}

fn part(text: &str, length: usize) -> Result<String, CodeError> {
    let text: String = text
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        })
        .collect();
    let legal = text.len() == length && text.bytes().all(|b| ALPHABET.contains(&b));
    if legal { Ok(text) } else { Err(CodeError) }
}
