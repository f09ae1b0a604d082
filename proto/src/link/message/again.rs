//! What the gateway says when bytes that it had receipted are damaged, and the agent when it does not have them any more.

use minicbor::{Decode, Encode};

use crate::digest::Digest;
use crate::ids::{AgreementId, SopInstanceUid, StudyUid};

/// The gateway has lost bytes that it had receipted, and asks for them once more.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Again {
    /// The study.
    #[n(0)]
    pub study: StudyUid,
    /// The agreement.
    #[n(1)]
    pub agreement: AgreementId,
    /// Which of its instances.
    #[n(2)]
    pub instances: Vec<AgainKey>,
}

/// One instance that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AgainKey {
    /// (0008,0018).
    #[n(0)]
    pub instance: SopInstanceUid,
    /// Digest of the bytes that were receipted: no others are asked for.
    #[n(1)]
    pub sent_digest: Digest,
}

/// The agent does not keep these bytes any more.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct NotKept {
    /// The study.
    #[n(0)]
    pub study: StudyUid,
    /// The agreement.
    #[n(1)]
    pub agreement: AgreementId,
    /// Which of its instances.
    #[n(2)]
    pub instances: Vec<SopInstanceUid>,
}
