//! Records of who did what: their one form in bytes, the chain over them, what the other end remembers of it, and how others read it.
//!
//! Both ends keep such a trail in rows of their own; this room has the parts that need no rows. A record names objects by our
//! identifiers and patients by their pseudonym at most, never by their name. `chain = SHA-256(previous ‖ the fields, each with its
//! length)`: whoever takes a record out, changes one, puts one in or re-orders two breaks the chain at that place. Whoever writes
//! the whole end of the chain anew, or puts an old copy of the rows back, is found by a head that somebody else remembers.

mod codes;
mod dicom;
mod fhir;
mod verify;
mod witness;

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::Digest;

pub use dicom::dicom;
pub use fhir::fhir;
pub use verify::{Break, Verifier, Why};
pub use witness::{Doubt, judge, recollect};

/// One act, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the trail, from 1.
    pub seq: i64,
    /// When, in microseconds since 1970.
    pub at_us: i64,
    /// Our word for the act.
    pub event: String,
    /// An account, an application entity, `site`, `gateway` or `operator`.
    pub actor: String,
    /// The site it concerns; empty for none.
    pub site: String,
    /// The identifier of what was acted on.
    pub subject: String,
    /// More of it, JSON.
    pub detail: String,
}

impl Record {
    /// The link of this record to the one before it; `previous` is the link of that, empty at the first.
    #[must_use]
    pub fn chain(&self, previous: &str) -> Digest {
        let mut hash = Context::new(&SHA256);
        let (seq, at) = (self.seq.to_string(), self.at_us.to_string());
        for part in [
            previous,
            &seq,
            &at,
            &self.event,
            &self.actor,
            &self.site,
            &self.subject,
            &self.detail,
        ] {
            hash.update(part.len().to_string().as_bytes());
            hash.update(b":");
            hash.update(part.as_bytes());
        }
        let mut out = [0; 32];
        out.copy_from_slice(hash.finish().as_ref());
        Digest(out)
    }
}

/// A record with its links, as a row holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The act.
    pub record: Record,
    /// The link of the record before it, as text; empty at the first.
    pub previous: String,
    /// Its own link, as text.
    pub chain: String,
}

/// Where a trail ends: the number and the link of its last record. Written `SEQ:DIGEST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Head {
    /// How many records there are.
    #[n(0)]
    pub sequence: u64,
    /// The link of the last of them; zeros when there is none.
    #[n(1)]
    pub digest: Digest,
}

impl Head {
    /// The head of a trail without records.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            sequence: 0,
            digest: Digest([0; 32]),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, self.digest)
    }
}

/// Text that is no head.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a head is written SEQ:DIGEST, a number and 64 hexadecimal digits")]
pub struct HeadError;

impl FromStr for Head {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let (sequence, digest) = text.trim().split_once(':').ok_or(HeadError)?;
        Ok(Self {
            sequence: sequence.parse().or(Err(HeadError))?,
            digest: digest.parse().or(Err(HeadError))?,
        })
    }
}

/// Who tells of the acts, in an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Teller {
    /// `causeway-gateway` or `causeway-agent`.
    pub program: String,
    /// The site of an agent, or the name of the gateway.
    pub place: String,
}
