//! The messages of the way home: a signed report, where it stands, and that this was heard.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::ids::{AgreementId, CaseCode, SopClassUid, SopInstanceUid, StudyUid, TransferSyntaxUid};
use crate::time::Timestamp;

/// First frame of a unidirectional stream from the gateway: a signed report on its way home; the dataset follows in chunks,
/// then a [`super::Trailer`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Report {
    /// Names this delivery in every [`Delivery`] message.
    #[n(0)]
    pub delivery: String,
    /// The study under which it is filed.
    #[n(1)]
    pub study: StudyUid,
    /// The agreement.
    #[n(2)]
    pub agreement: AgreementId,
    /// (0008,0018) of the report.
    #[n(3)]
    pub instance: SopInstanceUid,
    /// (0008,0016) of the report.
    #[n(4)]
    pub class: SopClassUid,
    /// Transfer syntax of the report.
    #[n(5)]
    pub syntax: TransferSyntaxUid,
    /// The case it answers.
    #[n(6)]
    pub case: CaseCode,
    /// When it was signed.
    #[n(7)]
    pub signed_at: Timestamp,
    /// `preliminary` or `final`.
    #[n(8)]
    pub status: String,
    /// Revocation list of the signer CA (DER), within its time; without one the agent does not take the report.
    #[n(9)]
    pub signer_crl: Option<ByteVec>,
}

/// The agent says where a report stands for one destination and form. The state is [`DeliveryState`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Delivery {
    /// See [`Report::delivery`].
    #[n(0)]
    pub delivery: String,
    /// Name of the destination in the agent's configuration; `site` for the agent itself.
    #[n(1)]
    pub destination: String,
    /// `sr`; later `pdf`, `image`, `oru`, `fhir`.
    #[n(2)]
    pub form: String,
    /// Where it stands.
    #[n(3)]
    pub state: DeliveryState,
    /// A sentence about it: what failed, what the PACS answered.
    #[n(4)]
    pub sentence: String,
    /// When it is tried next.
    #[n(5)]
    pub next_try: Option<Timestamp>,
    /// Since when it stands there.
    #[n(6)]
    pub since: Timestamp,
}

/// The gateway has recorded a [`Delivery`]; the agent need not say it again.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Noted {
    /// See [`Delivery::delivery`].
    #[n(0)]
    pub delivery: String,
    /// See [`Delivery::destination`].
    #[n(1)]
    pub destination: String,
    /// See [`Delivery::form`].
    #[n(2)]
    pub form: String,
    /// The state that was recorded.
    #[n(3)]
    pub state: DeliveryState,
    /// The `since` that was recorded: tells this word from a later one about the same row.
    #[n(4)]
    pub since: Timestamp,
}

/// States of one delivery row at the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum DeliveryState {
    /// Durable at the site, signature verified, not yet offered.
    #[n(0)]
    AtSite,
    /// Acknowledged by the destination.
    #[n(1)]
    Delivered,
    /// The last try failed; it is tried again.
    #[n(2)]
    Waiting,
    /// The destination takes no such form; not tried again.
    #[n(3)]
    NotTaken,
    /// Kept at the site for a person to decide.
    #[n(4)]
    Held,
    /// The signature or the content did not verify; nothing was delivered.
    #[n(5)]
    Rejected,
}

impl DeliveryState {
    /// The word stored in rows and shown to scripts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtSite => "at-site",
            Self::Delivered => "delivered",
            Self::Waiting => "waiting",
            Self::NotTaken => "not-taken",
            Self::Held => "held",
            Self::Rejected => "rejected",
        }
    }
}
