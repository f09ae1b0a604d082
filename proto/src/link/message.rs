//! The messages of link protocol version 1, one struct each. Field numbers are the wire: they are never reused or renumbered.

mod again;
pub mod deleted;
mod home;
mod talk;
pub mod terms;
mod witness;

use minicbor::{Decode, Encode};

use crate::digest::Digest;
use crate::ids::{
    AgreementId, CaseCode, Priority, Purpose, SeriesUid, SopClassUid, SopInstanceUid, StudyUid,
    TransferSyntaxUid,
};
use crate::time::Timestamp;

pub use again::{Again, AgainKey, NotKept};
pub use deleted::{Deleted, DeletedNoted, Opened};
pub use home::{Delivery, DeliveryState, Noted, Report};
pub use talk::{Context, ContextHeld, Facts, Letter, LetterState, LetterStep};
pub use terms::Agreement;
pub use witness::AuditHead;

/// First message in both directions on the control stream. The agent speaks first.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Hello {
    /// Lowest protocol version spoken.
    #[n(0)]
    pub version_min: u16,
    /// Highest protocol version spoken.
    #[n(1)]
    pub version_max: u16,
    /// The sender's clock.
    #[n(2)]
    pub now: Timestamp,
    /// Name and version of the program, for people.
    #[n(3)]
    pub software: String,
    /// What only an agent says.
    #[n(4)]
    pub agent: Option<HelloAgent>,
    /// What only the gateway says.
    #[n(5)]
    pub gateway: Option<HelloGateway>,
}

/// The agent's half of HELLO.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct HelloAgent {
    /// Random identity of the spool: a cloned machine shows two sessions with one certificate and one spool.
    #[n(0)]
    pub spool: String,
    /// Counts this spool's connections; the gateway fences sessions with a lower number.
    #[n(1)]
    pub session: u64,
    /// The gateway epoch that the agent last saw, 0 when none.
    #[n(2)]
    pub epoch_seen: u64,
    /// The highest receipt number seen in that epoch.
    #[n(3)]
    pub receipt_seen: u64,
}

/// The gateway's half of HELLO.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct HelloGateway {
    /// Changes when the gateway was restored from a backup; the agent then offers again what it still keeps.
    #[n(0)]
    pub epoch: u64,
    /// The highest receipt number that the gateway has given this site in this epoch.
    #[n(1)]
    pub high_water: u64,
    /// The agreements of this site that are in force.
    #[n(2)]
    pub agreements: Vec<Agreement>,
    /// The codings of datasets that the gateway undoes, beside none.
    #[n(3)]
    #[cbor(default)]
    pub codings: Vec<u16>,
}

/// The agent opens a study at its first instance, or tells the gateway what has changed about it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Open {
    /// The study.
    #[n(0)]
    pub study: StudyUid,
    /// Under which agreement it is sent.
    #[n(1)]
    pub agreement: AgreementId,
    /// To be read, or a prior.
    #[n(2)]
    pub purpose: Purpose,
    /// How urgent.
    #[n(3)]
    pub priority: Priority,
    /// The word for the case, made at the agent.
    #[n(4)]
    pub case: CaseCode,
    /// When the site received the first instance.
    #[n(5)]
    pub first_received: Timestamp,
    /// Why nothing may be signed about it for now, in words; none: nothing stands against it.
    #[n(6)]
    pub blocked: Option<String>,
    /// What the site did to the images, for their reader: "1 overlay removed at the site".
    #[n(7)]
    pub remarks: Vec<String>,
    /// [`terms::NOT_ESTABLISHED`], or none when the site knows whose study it is.
    #[n(8)]
    pub identity: Option<String>,
}

/// First frame of a unidirectional stream from the agent; the dataset's bytes follow in chunks, then a [`Trailer`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Instance {
    /// (0020,000D).
    #[n(0)]
    pub study: StudyUid,
    /// (0020,000E).
    #[n(1)]
    pub series: SeriesUid,
    /// (0008,0018).
    #[n(2)]
    pub instance: SopInstanceUid,
    /// (0008,0016).
    #[n(3)]
    pub class: SopClassUid,
    /// Transfer syntax of the dataset as sent.
    #[n(4)]
    pub syntax: TransferSyntaxUid,
    /// The agreement whose delivery key this is.
    #[n(5)]
    pub agreement: AgreementId,
    /// HMAC-SHA256(agreement key, source digest): tells a re-protection from a conflict without revealing the source.
    #[n(6)]
    pub source_tag: Digest,
    /// How the bytes on the stream are coded; 0 is "as they are".
    #[n(7)]
    pub coding: u16,
    /// Offset into the dataset at which the bytes of this stream begin.
    #[n(8)]
    pub offset: u64,
}

/// Closes the body of an instance, a manifest or a report.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Trailer {
    /// Length of the whole, in bytes, the part before `offset` included.
    #[n(0)]
    pub length: u64,
    /// Digest of the whole.
    #[n(1)]
    pub digest: Digest,
}

/// The agent asks how much of some instances the gateway has.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Query {
    /// The instances asked about, at most 256.
    #[n(0)]
    pub keys: Vec<InstanceKey>,
}

/// One instance of this site under an agreement, with the tag of its content.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(map)]
pub struct InstanceKey {
    /// The agreement.
    #[n(0)]
    pub agreement: AgreementId,
    /// (0008,0018).
    #[n(1)]
    pub instance: SopInstanceUid,
    /// See [`Instance::source_tag`].
    #[n(2)]
    pub source_tag: Digest,
}

/// The gateway's answer to [`Query`]: in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Have {
    /// What is there of each.
    #[n(0)]
    pub entries: Vec<Held>,
}

/// How much the gateway has of one instance.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Held {
    /// Which.
    #[n(0)]
    pub key: InstanceKey,
    /// Bytes from the beginning that need not be sent again.
    #[n(1)]
    pub offset: u64,
    /// Present when the whole is durable.
    #[n(2)]
    pub receipt: Option<Receipt>,
}

/// The agent says how far a study has come, for the reader's "arriving: 61 at the site, 12 here".
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Progress {
    /// The study.
    #[n(0)]
    pub study: StudyUid,
    /// The agreement.
    #[n(1)]
    pub agreement: AgreementId,
    /// Instances received at the site so far.
    #[n(2)]
    pub at_site: u32,
    /// Of these, held back at the site.
    #[n(3)]
    pub held: u32,
}

/// First frame of a unidirectional stream: seals a version of a study.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Manifest {
    /// The study.
    #[n(0)]
    pub study: StudyUid,
    /// The agreement.
    #[n(1)]
    pub agreement: AgreementId,
    /// Rises by one each time the study is sealed again.
    #[n(2)]
    pub version: u32,
    /// Every instance of the study that was sent.
    #[n(3)]
    pub entries: Vec<ManifestEntry>,
    /// What stays at the site (P1).
    #[n(4)]
    pub withheld: Vec<Withheld>,
    /// How the site knows that the study is complete: `silence`, `person`, `pacs-count`.
    #[n(5)]
    pub basis: String,
    /// When it was sealed.
    #[n(6)]
    pub sealed_at: Timestamp,
    /// The signed documents about the study that the site has, by their SOP Instance UIDs, the newest first; none from an agent that
    /// does not say it. A gateway that was restored from a backup may have lost some.
    #[n(7)]
    pub reports: Option<Vec<SopInstanceUid>>,
}

/// One instance of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ManifestEntry {
    /// (0008,0018).
    #[n(0)]
    pub instance: SopInstanceUid,
    /// Digest of the bytes sent.
    #[n(1)]
    pub sent_digest: Digest,
    /// Length of the dataset, in bytes.
    #[n(2)]
    pub length: u64,
}

/// A group of instances that stay at the site, without their content.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Withheld {
    /// (0008,0016).
    #[n(0)]
    pub class: SopClassUid,
    /// (0008,0060), empty when unknown.
    #[n(1)]
    pub modality: String,
    /// How many.
    #[n(2)]
    pub count: u32,
    /// Why, in words for the reader.
    #[n(3)]
    pub reason: String,
}

/// The gateway holds this content durably. Authenticated by the connection; bound to site, key and epoch.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Receipt {
    /// Which instance.
    #[n(0)]
    pub key: InstanceKey,
    /// Digest of the bytes held.
    #[n(1)]
    pub sent_digest: Digest,
    /// Their length, in bytes.
    #[n(2)]
    pub length: u64,
    /// Rises with each receipt to this site within an epoch.
    #[n(3)]
    pub number: u64,
    /// The epoch in which it counts.
    #[n(4)]
    pub epoch: u64,
    /// Kept apart because other content of the same UID was there first.
    #[n(5)]
    pub quarantined: bool,
}

/// The gateway does not take an instance or a manifest; says why.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Refused {
    /// The instance, or none for a manifest.
    #[n(0)]
    pub key: Option<InstanceKey>,
    /// The study it belongs to.
    #[n(1)]
    pub study: StudyUid,
    /// The agreement under which it was sent.
    #[n(2)]
    pub agreement: AgreementId,
    /// One of the codes of [`crate::link::close::Code`], as a number.
    #[n(3)]
    pub code: u32,
    /// A sentence for the person who looks after the agent.
    #[n(4)]
    pub sentence: String,
    /// After how many milliseconds to try again; none when trying again will not help.
    #[n(5)]
    pub retry_after_ms: Option<u64>,
}

/// The gateway has handed the sealed study over as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Sealed {
    /// The study.
    #[n(0)]
    pub study: StudyUid,
    /// The agreement.
    #[n(1)]
    pub agreement: AgreementId,
    /// The manifest's version.
    #[n(2)]
    pub version: u32,
    /// Entries of the manifest that the gateway does not hold; the study is handed off when there are none.
    #[n(3)]
    pub missing: Vec<SopInstanceUid>,
}

/// The site takes a study back (P17).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Recall {
    /// The study.
    #[n(0)]
    pub study: StudyUid,
    /// The agreement.
    #[n(1)]
    pub agreement: AgreementId,
    /// Why, in words.
    #[n(2)]
    pub reason: String,
}

/// The gateway confirms a recall.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Recalled {
    /// The study.
    #[n(0)]
    pub study: StudyUid,
    /// The agreement.
    #[n(1)]
    pub agreement: AgreementId,
}

/// The sender will close soon; nothing new is to be started.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GoAway {
    /// When to come back, in milliseconds.
    #[n(0)]
    pub retry_after_ms: u64,
    /// Why, in words.
    #[n(1)]
    pub sentence: String,
}
