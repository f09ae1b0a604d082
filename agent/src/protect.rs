//! What may leave the site, and in which form: a decision per instance and a transform of its bytes.
//!
//! Today every agreement is "identified": everything may leave, byte for byte. Pseudonymisation takes its place in this room.

use std::collections::HashSet;

use bytes::Bytes;
use causeway_proto::digest::Digest;
use causeway_proto::link::message::InstanceKey;

use crate::spool::{Outgoing, Spool, SpoolError};

mod clean;
mod documents;
mod identifiers;
mod original;
mod pieces;
mod pixels;
mod private;
mod profile;
mod source;
mod table;
mod transform;

pub use identifiers::{Identifiers, identifiers};
pub use original::put_back;
pub use pieces::Piece;
pub use profile::{Options, PROFILE, UidRule};
pub use source::Unreadable;
pub use transform::{Outcome, Plan, Stand, transform};

/// Whether an instance may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may, in its protected form.
    Leaves,
    /// It stays at the site; the manifest names class, modality, count and this reason (P1).
    Withheld {
        /// In words for the reader.
        reason: String,
    },
}

/// Decides about one instance.
#[must_use]
pub fn decide(_instance: &Outgoing) -> Decision {
    Decision::Leaves
}

/// Up to `limit` instances that may leave and are not in flight; see [`Spool::next_to_send`]. What may not leave is withheld on the
/// way: it holds back neither its study nor what comes after it (P1).
///
/// # Errors
/// When the spool refuses.
pub async fn next_to_send(
    spool: &Spool,
    limit: usize,
    in_flight: &HashSet<InstanceKey>,
) -> Result<Vec<Outgoing>, SpoolError> {
    loop {
        let offered = spool.next_to_send(limit, in_flight).await?;
        let mut leaving = Vec::with_capacity(offered.len());
        let mut withheld = false;
        for instance in offered {
            match decide(&instance) {
                Decision::Leaves => leaving.push(instance),
                Decision::Withheld { reason } => {
                    spool.withhold(&instance, &reason).await?;
                    withheld = true;
                }
            }
        }
        if !leaving.is_empty() || !withheld {
            return Ok(leaving);
        }
    }
}

/// The bytes that leave for one instance.
#[derive(Clone, Debug)]
pub struct Protected {
    spool: Spool,
    source: Outgoing,
}

impl Protected {
    /// The form in which `instance` leaves.
    #[must_use]
    pub fn of(spool: &Spool, instance: &Outgoing) -> Self {
        Self {
            spool: spool.clone(),
            source: instance.clone(),
        }
    }

    /// Length of the whole, in bytes: the trailer's.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.source.length
    }

    /// Digest of the whole: the trailer's, the receipt's and the manifest's `sent_digest`.
    #[must_use]
    pub fn sent_digest(&self) -> Digest {
        self.source.source_digest
    }

    /// Up to `max` bytes from `offset`; fewer only at the end.
    ///
    /// # Errors
    /// When the spool cannot be read.
    pub async fn read(&self, offset: u64, max: usize) -> Result<Bytes, SpoolError> {
        self.spool.read(&self.source.handle, offset, max).await
    }
}

#[cfg(test)]
mod tests;
