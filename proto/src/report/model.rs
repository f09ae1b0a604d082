//! Everything a report says, typed. One model: the structured report is written from it and read back into it, and every other
//! form is derived from it.
//!
//! What names the patient stands in [`Patient`], [`Study`] and [`Request`] only; these become the Patient and General Study
//! modules and the Referenced Request Sequence, never part of the content tree, so that the signature does not cover them and
//! the hospital may correct them.

use serde::{Deserialize, Serialize};

use crate::ids::{SeriesUid, SopClassUid, SopInstanceUid, StudyUid};
use crate::patient::PatientText;

mod person;
mod protection;
mod stamp;
mod text;

pub use person::{Person, Role};
pub use protection::{Protection, Sealed};
pub use stamp::{Stamp, StampError};
pub use text::{Language, LanguageError, Paragraph, Section, SectionKind};

/// A report, as one document in one study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Which document this is.
    pub document: Document,
    /// The title, CID 7000.
    pub title: Code,
    /// The language it is written in.
    pub language: Language,
    /// How its headings are coded; a setting of the site, fixed before signing.
    pub headings: Headings,
    /// Preliminary, or final and verified by whom.
    pub standing: Standing,
    /// The procedure reported, coded (121058), when it is known.
    pub procedure: Option<Code>,
    /// Sentences that stand before everything else: what was missing, withheld or overridden.
    pub notices: Vec<Paragraph>,
    /// The text, in the order in which it is to be read.
    pub sections: Vec<Section>,
    /// Who read the images and wrote the report.
    pub author: Person,
    /// When the observations were made, with the author's offset from UTC.
    pub observed_at: Stamp,
    /// Patient module.
    pub patient: Patient,
    /// How the identity in the images was removed at the site; none when it travels.
    pub protection: Option<Protection>,
    /// General Study module.
    pub study: Study,
    /// The requests that it answers, one item of the Referenced Request Sequence each.
    pub requests: Vec<Request>,
    /// Current Requested Procedure Evidence: what was read.
    pub evidence: Vec<Evidence>,
    /// Pertinent Other Evidence: what it was compared with.
    pub other_evidence: Vec<Evidence>,
    /// The documents that this one replaces or adds to.
    pub predecessors: Vec<Evidence>,
    /// The same report under other studies (P15).
    pub identical: Vec<Evidence>,
    /// What made the document; says nothing about any institution.
    pub equipment: Equipment,
}

/// The identifiers of the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// (0020,000D): the study that the report is filed under.
    pub study: StudyUid,
    /// (0020,000E): a series of its own.
    pub series: SeriesUid,
    /// (0008,0018).
    pub instance: SopInstanceUid,
    /// (0020,0011).
    pub series_number: u32,
    /// (0020,0013): counts versions of the report.
    pub instance_number: u32,
}

/// A coded concept (PS3.3 8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// (0008,0100).
    pub value: String,
    /// (0008,0102).
    pub scheme: String,
    /// (0008,0104).
    pub meaning: String,
}

impl Code {
    /// A code of a table.
    #[must_use]
    pub fn new(value: &str, scheme: &str, meaning: &str) -> Self {
        Self {
            value: value.to_owned(),
            scheme: scheme.to_owned(),
            meaning: meaning.to_owned(),
        }
    }
}

/// Whether headings are LOINC (CID 7001 today) or DCM, which software of before 2023 knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Headings {
    /// LOINC.
    #[default]
    Loinc,
    /// DCM 121060 to 121078.
    Legacy,
}

/// How much a report may be relied on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Unverified; a final one will follow.
    Preliminary,
    /// Verified by a person with the right to.
    Final(Verification),
}

impl Standing {
    /// Whether it is final.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Final(_))
    }
}

/// Who verified and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// The verifying observer.
    pub person: Person,
    /// (0040,A030).
    pub at: Stamp,
}

/// Patient module (PS3.3 C.7.1.1), as the PACS spells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patient {
    /// (0010,0010).
    pub name: PatientText,
    /// (0010,0020).
    pub id: PatientText,
    /// (0010,0021); empty when there is none.
    pub issuer: PatientText,
    /// (0010,0030).
    pub birth_date: PatientText,
    /// (0010,0040).
    pub sex: PatientText,
}

/// General Study module (PS3.3 C.7.2.1), as the images have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Study {
    /// (0008,0020).
    pub date: PatientText,
    /// (0008,0030).
    pub time: PatientText,
    /// (0020,0010).
    pub id: PatientText,
    /// (0008,0050).
    pub accession: PatientText,
    /// (0008,0090).
    pub referrer: PatientText,
    /// (0008,1030); empty when there is none.
    pub description: PatientText,
}

/// One item of the Referenced Request Sequence (PS3.3 C.17.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// (0020,000D).
    pub study: StudyUid,
    /// (0008,0050).
    pub accession: PatientText,
    /// (0040,2016).
    pub placer_number: PatientText,
    /// (0040,2017).
    pub filler_number: PatientText,
    /// (0040,1001).
    pub procedure_id: PatientText,
    /// (0032,1060).
    pub description: PatientText,
}

/// Instances of one study, as evidence or as other documents (PS3.3 Table C.17-3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The study.
    pub study: StudyUid,
    /// Its series.
    pub series: Vec<EvidenceSeries>,
}

/// Instances of one series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceSeries {
    /// The series.
    pub series: SeriesUid,
    /// SOP class and instance.
    pub instances: Vec<(SopClassUid, SopInstanceUid)>,
}

/// General Equipment module: the program, never the institution, so that restoration has nothing to add to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Equipment {
    /// (0008,0070).
    pub manufacturer: String,
    /// (0008,1090).
    pub model: String,
    /// (0018,1020).
    pub version: String,
}

impl Equipment {
    /// Causeway in a version.
    #[must_use]
    pub fn causeway(version: &str) -> Self {
        Self {
            manufacturer: "Causeway".to_owned(),
            model: "Causeway gateway".to_owned(),
            version: version.to_owned(),
        }
    }
}
