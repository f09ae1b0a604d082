//! What one instance is to the spool: how it arrived, what its header says, what became of it, and how it is offered to the link.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use causeway_proto::digest::Digest;
use causeway_proto::ids::{
    AgreementId, Priority, Purpose, SeriesUid, SopClassUid, SopInstanceUid, StudyUid,
    TransferSyntaxUid,
};
use causeway_proto::link::message::{Instance, InstanceKey};
use serde::{Deserialize, Serialize};

use super::disk::Handle;
use crate::mask::{Device, Rectangle};
pub use causeway_proto::ids::{AeTitle, IdError as AeTitleError};

/// Text about a patient. It is never printed: Debug and Display show nothing of it (house.md rule 6).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Private(String);

impl Private {
    /// Wraps a text about a patient.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for rows and for a person at the site.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Private")
    }
}

/// What kind of sender calls; decides how long silence must last before a study counts as complete (P30).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallingKind {
    /// Sends finished studies.
    Pacs,
    /// Sends while it acquires.
    Modality,
}

/// Names one association for as long as it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssociationId(pub(super) u64);

impl AssociationId {
    /// One of an earlier process.
    pub(super) const OVER: Self = Self(0);
}

/// One C-STORE request, before its bytes.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The association that brings it, from [`super::Spool::association_opened`].
    pub association: AssociationId,
    /// Affected SOP Class UID of the command.
    pub class: SopClassUid,
    /// Affected SOP Instance UID of the command.
    pub instance: SopInstanceUid,
    /// Transfer syntax of the presentation context.
    pub syntax: TransferSyntaxUid,
    /// Who sends.
    pub calling: AeTitle,
    /// To which of our titles (P4).
    pub called: AeTitle,
    /// The sender's address.
    pub address: IpAddr,
    /// What the called title is for.
    pub purpose: Purpose,
    /// How urgent the called title is.
    pub priority: Priority,
    /// Under which agreement; none: the site's only one, as soon as the gateway has named it.
    pub agreement: Option<AgreementId>,
}

/// What the prescan read from the dataset. UIDs are compared with the command's by the `dicom` room (0xA900) before this is made.
#[derive(Clone, Debug)]
pub struct Header {
    /// (0020,000D).
    pub study: StudyUid,
    /// (0020,000E).
    pub series: SeriesUid,
    /// (0008,0018).
    pub instance: SopInstanceUid,
    /// (0008,0016).
    pub class: SopClassUid,
    /// (0008,0060), empty when unknown.
    pub modality: String,
    /// When it goes out.
    pub turn: Turn,
    /// Whether a reader looks at its pixels: late images re-open a sealed study, other objects attach to it (P5).
    pub image: bool,
    /// Digest of the value of the pixel data element: equal pixels under another header are a correction (P24). None when there
    /// is no pixel data, when it cannot be reached without decoding, or when it was not computed: it is when the UID comes again.
    pub pixel_digest: Option<Digest>,
    /// (0010,0020).
    pub patient_id: Private,
    /// (0010,0021).
    pub issuer: Private,
    /// (0010,0010), decoded to Unicode.
    pub patient_name: Private,
    /// (0008,0050).
    pub accession: Private,
    /// (0008,1030), decoded to Unicode, for people at the site.
    pub description: Private,
}

/// When an instance of a study goes out, so that the study can be looked at early: localisers, then every sixteenth slice, every eighth
/// and so on, the rest last. By its number, because that is known as soon as it is here, whatever else is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Turn(u8);

impl Turn {
    /// The turn of a slice behind every sixteenth.
    const HALVINGS: u32 = 4;

    /// By what the header says: that it is a localiser, and its Instance Number.
    #[must_use]
    pub fn of(localizer: bool, number: Option<i64>) -> Self {
        match number {
            _ if localizer => Self(0),
            None => Self(1),
            Some(number) => {
                let halves = number.wrapping_sub(1).trailing_zeros().min(Self::HALVINGS);
                Self(u8::try_from(1 + Self::HALVINGS - halves).unwrap_or(u8::MAX))
            }
        }
    }

    pub(super) fn as_row(self) -> i64 {
        self.0.into()
    }
}

/// What became of a received instance. Every one of these is answered with success: the bytes are durable, or nothing new came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The first of its UID.
    New,
    /// The same UID with the same bytes: nothing happened.
    Same,
    /// The same UID and pixels under another header: kept aside, the newest header serves restoration (P24).
    Correction,
    /// The same UID with other pixels: kept aside, never sent, shown to a person (P24).
    Conflict,
    /// A report that this agent delivered, coming back: noted and dropped (P5).
    OurReport,
    /// Its rows were refused: kept, shown to a person, and tried again.
    Unentered,
}

/// One instance that may go to the gateway now.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Agreement, SOP Instance UID and source tag.
    pub key: InstanceKey,
    /// (0020,000D).
    pub study: StudyUid,
    /// (0020,000E).
    pub series: SeriesUid,
    /// (0008,0016).
    pub class: SopClassUid,
    /// (0008,0060), empty when unknown.
    pub modality: String,
    /// The study's priority; the list is ordered by it.
    pub priority: Priority,
    /// Its place among those of the same priority.
    pub place: u64,
    /// The bytes as received.
    pub source: Kept,
    /// The form that leaves.
    pub sent: Sent,
    /// By which version of the protection it is made; 0: as received.
    pub profile: u32,
}

/// The bytes of one instance as they were received.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Where they lie.
    pub handle: Handle,
    /// Transfer syntax as received.
    pub syntax: TransferSyntaxUid,
    /// Length of the dataset as received, in bytes.
    pub length: u64,
    /// Digest over the bytes as received; stays at the site. None until they were read again, or compared with what came later.
    pub digest: Option<Digest>,
}

/// What names the form of an instance that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Digest over its bytes: the trailer's, the receipt's and the manifest's.
    pub digest: Digest,
    /// Its length, in bytes.
    pub length: u64,
    /// Its transfer syntax.
    pub syntax: TransferSyntaxUid,
}

/// One instance about which it is not decided yet in which form it leaves.
#[derive(Clone, Debug)]
pub struct Unprotected {
    /// Its row.
    pub(crate) id: i64,
    /// The row of its study.
    pub(super) study_row: i64,
    /// The agreement under which it leaves.
    pub agreement: AgreementId,
    /// The profile that the agreement names; empty when it names none.
    pub terms: String,
    /// What the agreement allows beyond the profile, a word each.
    pub options: Vec<String>,
    /// Its study leaves under other UIDs than those of the site.
    pub replaces_uids: bool,
    /// (0020,000D).
    pub study: StudyUid,
    /// (0008,0018).
    pub instance: SopInstanceUid,
    /// (0008,0016).
    pub class: SopClassUid,
    /// (0008,0060), empty when unknown.
    pub modality: String,
    /// (0010,0020) of the first object of its study: the patient to whom the study is bound.
    pub bound_id: Private,
    /// (0010,0021) of the first object of its study.
    pub bound_issuer: Private,
    /// (0010,0010) of the study, as its first object or the newest correction says.
    pub patient_name: Private,
    /// (0008,0050) of the study.
    pub accession: Private,
    /// A person at the site has looked at it and lets it leave.
    pub released: bool,
    /// What a person has drawn for this object alone.
    pub mask: Option<Vec<Rectangle>>,
    /// The rules by which its form was decided, of its pixels and of its overlays.
    pub ruled: [Option<i64>; 2],
    /// What stands for the patient in this study, once its first object was protected.
    pub pseudonym: Option<String>,
    /// Whether the dates of its agreement leave shifted (P11).
    pub shifts_dates: bool,
    /// By how many days those of this study are, once an object of it was protected so.
    pub date_shift: Option<u16>,
    /// The bytes as received.
    pub source: Kept,
}

/// What was decided about one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It leaves in this form.
    Leaves {
        /// What names the form.
        sent: Sent,
        /// By which version of the protection.
        profile: u32,
        /// Its own originals, sealed, where they are not those of its study.
        sealed: Option<Vec<u8>>,
        /// What the reader is told.
        remarks: Vec<String>,
        /// The UIDs that it leaves without, and what stands for each.
        uids: BTreeMap<String, String>,
        /// By which rules of devices.
        looked: Vec<Looked>,
        /// Its pixels, where they had to be coded anew.
        pixels: Option<MaskedPixels>,
    },
    /// It stays at the site; the manifest names class, modality, count and this reason (P1).
    Withheld {
        /// In words for the reader: names nobody.
        reason: String,
        /// Why nobody may sign before a person at the site has decided.
        blocks: Option<String>,
        /// Of which device a rule is missing.
        looked: Vec<Looked>,
        /// Whether the UID of its study may be said to the gateway all the same: none when its header cannot be read.
        named: Option<bool>,
    },
    /// Its bytes have changed on the disk: it is not offered until it is sent again.
    Lost,
}

/// A device that was met in a header, and what was known of it then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Which one.
    pub device: Device,
    /// What it declares as scan area.
    pub regions: Vec<Rectangle>,
    /// The rule that was in force, when there was one.
    pub rule: Option<i64>,
}

/// Pixels that were coded anew, durable before their row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskedPixels {
    /// Where they lie.
    pub handle: Handle,
    /// Their length in bytes.
    pub length: u64,
    /// What stands before them and in the header, as the protection wrote it.
    pub made: String,
}

impl Unprotected {
    /// Whether its agreement, or a person who has released it, lets its UIDs leave whatever they hold.
    #[must_use]
    pub fn accepts_uids(&self) -> bool {
        self.released || self.options.iter().any(|option| option == "accept-uids")
    }
}

impl Outgoing {
    /// The frame that goes before the bytes on the link.
    #[must_use]
    pub fn instance(&self, coding: u16, offset: u64) -> Instance {
        Instance {
            study: self.study.clone(),
            series: self.series.clone(),
            instance: self.key.instance.clone(),
            class: self.class.clone(),
            syntax: self.sent.syntax.clone(),
            agreement: self.key.agreement.clone(),
            source_tag: self.key.source_tag,
            coding,
            offset,
        }
    }
}
