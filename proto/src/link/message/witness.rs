//! The message by which each end remembers how far the other's audit trail had come.

use minicbor::{Decode, Encode};

use crate::audit::Head;
use crate::digest::Digest;
use crate::time::Timestamp;

/// Where the speaker's audit trail ends, what he remembers of the other's, and what he now shows where the other remembers his.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AuditHead {
    /// How many records there are.
    #[n(0)]
    pub sequence: u64,
    /// The link of the last; zeros when there is none.
    #[n(1)]
    pub digest: Digest,
    /// When it was written.
    #[n(2)]
    pub at: Timestamp,
    /// The farthest head of the other's trail that the speaker holds; none when it holds none.
    #[n(3)]
    pub held: Option<Head>,
    /// In an answer: the speaker's own record where the other said `held`, or his head when he has no such record. A message with
    /// this is not answered.
    #[n(4)]
    pub again: Option<Head>,
}

impl AuditHead {
    /// The head that it says.
    #[must_use]
    pub fn head(&self) -> Head {
        Head {
            sequence: self.sequence,
            digest: self.digest,
        }
    }
}
