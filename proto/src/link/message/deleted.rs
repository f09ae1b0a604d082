//! What the gateway says when the bytes of a study are gone, and the agent when it has kept that.

use minicbor::{Decode, Encode};

use crate::ids::{AgreementId, StudyUid};
use crate::time::Timestamp;

/// [`Deleted::why`]: the site took the study back.
pub const RECALLED: &str = "recalled";
/// [`Deleted::why`]: the days after the report are over that the agreement names.
pub const RETENTION: &str = "retention";

/// The bytes of a study are gone at the gateway: because the site took it back (P17), or because their time was over (P20).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Deleted {
    /// The study.
    #[n(0)]
    pub study: StudyUid,
    /// The agreement.
    #[n(1)]
    pub agreement: AgreementId,
    /// [`RECALLED`] or [`RETENTION`].
    #[n(2)]
    pub why: String,
    /// How many objects the gateway held.
    #[n(3)]
    pub objects: u64,
    /// How many bytes they had.
    #[n(4)]
    pub bytes: u64,
    /// How many of them had arrived only in part.
    #[n(5)]
    pub parts: u64,
    /// How many signed documents about the study stay: what is signed is never deleted.
    #[n(6)]
    pub reports: u64,
    /// When the last byte was gone.
    #[n(7)]
    pub at: Timestamp,
    /// Who has opened what of the study; empty when its time was over.
    #[n(8)]
    pub opened: Vec<Opened>,
    /// How many more people have, beyond those that fit.
    #[n(9)]
    pub more: u64,
}

/// One person who has opened something of a study that was taken back, from the audit trail of the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Opened {
    /// The account.
    #[n(0)]
    pub account: String,
    /// The person's name.
    #[n(1)]
    pub name: String,
    /// The reading organisation.
    #[n(2)]
    pub organisation: String,
    /// The first time.
    #[n(3)]
    pub first: Timestamp,
    /// The last time.
    #[n(4)]
    pub last: Timestamp,
    /// What, in the words `case`, `images`, `download` and `report`; others may come.
    #[n(5)]
    pub what: Vec<String>,
}

/// The agent has what the gateway said of a deletion, durably.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeletedNoted {
    /// The study.
    #[n(0)]
    pub study: StudyUid,
    /// The agreement.
    #[n(1)]
    pub agreement: AgreementId,
    /// As in [`Deleted`]: a later word about the same study is another.
    #[n(2)]
    pub at: Timestamp,
}
