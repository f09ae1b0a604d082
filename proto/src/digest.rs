//! The one digest of the project: SHA-256 over a transfer syntax UID and the bytes of a dataset.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256};
use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::ids::TransferSyntaxUid;

/// A SHA-256 value; shown and stored as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Digest(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

impl Digest {
    /// SHA-256 of plain bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = ContentHasher {
            context: Context::new(&SHA256),
        };
        hasher.update(bytes);
        hasher.finish()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Text that is not 64 hexadecimal digits.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a digest is 64 hexadecimal digits")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut out = [0; 32];
        match hex::decode_to_slice(text, &mut out) {
            Ok(()) => Ok(Self(out)),
            Err(_) => Err(DigestError),
        }
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Hashes the content of an instance as it streams by: the transfer syntax UID, then the dataset's bytes without group 0002.
#[derive(Clone)]
pub struct ContentHasher {
    context: Context,
}

impl ContentHasher {
    /// Starts with the transfer syntax, so that equal bytes in two syntaxes are two contents.
    #[must_use]
    pub fn new(transfer_syntax: &TransferSyntaxUid) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(transfer_syntax.as_str().as_bytes());
        Self { context }
    }

    /// Takes the next bytes of the dataset.
    pub fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// The digest of everything seen.
    #[must_use]
    pub fn finish(self) -> Digest {
        let value = self.context.finish();
        let mut out = [0; 32];
        out.copy_from_slice(value.as_ref());
        Digest(out)
    }
}

impl fmt::Debug for ContentHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentHasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_digest_is_syntax_then_bytes() {
        let syntax: TransferSyntaxUid = "1.2.840.10008.1.2.1".parse().unwrap();
        let mut hasher = ContentHasher::new(&syntax);
        hasher.update(b"ab");
        hasher.update(b"c");
        assert_eq!(hasher.finish(), Digest::of(b"1.2.840.10008.1.2.1abc"));
    }

    #[test]
    fn digest_round_trips_as_text() {
        let digest = Digest::of(b"");
        assert_eq!(
            digest.to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!("e3".parse::<Digest>(), Err(DigestError));
    }
}
