//! What is known of one study: its site, its row, its series, what stays at the site, and which other study is its prior.

use causeway_proto::link::message::Facts;
use causeway_proto::link::message::terms::NOT_ESTABLISHED;
use causeway_proto::time::Timestamp;
use sqlx::FromRow;

use super::rules::makes_task;
use crate::archive::retrieve::images_gone;

/// H5: a report may have been signed that these rows do not know.
const UNHEARD: &str = "this gateway was put back to a backup, and the site has not said yet which signed reports it has of this study";
const ELSEWHERE: &str = "a report on this study was signed before this gateway was put back to a backup: the site has it, and an operator has to decide whether another may be signed";

/// The hospital, as the reader needs to know it (P28).
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Site {
    /// Its identifier.
    pub site_id: String,
    /// Its name.
    pub name: String,
    /// ISO 3166 code.
    pub country: String,
    /// IANA zone.
    pub time_zone: String,
    /// Language of its reports.
    pub language: String,
    /// A number that is answered.
    pub phone: String,
    /// Its SR software knows only the headings of before 2023 (PS3.16 CID 7001).
    pub legacy_headings: i64,
}

impl Site {
    /// The wall clock at the site: `2026-11-21T23:05:00+02:00`, and the offset alone. UTC when the zone is not known here.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> (String, String) {
        let zone = jiff::tz::TimeZone::get(&self.time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
        let there = at.calendar().to_zoned(zone);
        (
            there.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            there.strftime("%:z").to_string(),
        )
    }
}

/// A study's row.
#[derive(Clone, PartialEq, Eq, FromRow)]
pub struct Study {
    /// The site.
    pub site_id: String,
    /// The agreement.
    pub agreement_id: String,
    /// (0020,000D).
    pub study_uid: String,
    /// `read` or `comparison`.
    pub purpose: String,
    /// (0010,0020).
    pub patient_id: String,
    /// (0010,0021).
    pub patient_issuer: String,
    /// (0010,0010).
    pub patient_name: String,
    /// (0010,0030).
    pub birth_date: String,
    /// (0010,0040).
    pub sex: String,
    /// (0010,1010).
    pub age: String,
    /// (0008,0020).
    pub study_date: String,
    /// (0008,0030).
    pub study_time: String,
    /// (0008,0050).
    pub accession: String,
    /// (0020,0010).
    pub study_id: String,
    /// (0008,1030).
    pub description: String,
    /// (0008,0090).
    pub referrer: String,
    /// Instances that the site has received so far.
    pub at_site: i64,
    /// Of these, held back there.
    pub held_at_site: i64,
    /// Version of the last manifest.
    pub manifest_version: i64,
    /// When it was sealed; none while it is open.
    pub sealed_us: Option<i64>,
    /// Counts changes of who the patient is.
    pub identity_version: i64,
    /// Counts re-openings and recalls.
    pub content_version: i64,
    /// When the site took it back.
    pub recalled_us: Option<i64>,
    /// Why.
    pub recall_reason: Option<String>,
    /// When its images were deleted because their time was over.
    pub deleted_us: Option<i64>,
    /// So many days after the report, as the agreement said then.
    pub deleted_days: i64,
    /// Why the site lets nothing be signed about it; empty when nothing stands against it.
    pub blocked: String,
    /// What stands against signing since the gateway was put back to a backup: `unheard`, `elsewhere`, or nothing.
    pub restored: String,
    /// What the site did to the images, JSON list of sentences.
    pub remarks: String,
    /// `not-established` when the site could not tell whose study it is (P2).
    pub identity: String,
    /// Whether the site shifts dates: then those of the study say how far others of the patient are away, and nothing else (P11).
    pub shifted_dates: i64,
    /// Its first instance.
    pub first_us: i64,
}

impl std::fmt::Debug for Study {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Study({})", self.study_uid)
    }
}

impl Study {
    /// The age at the study as (0010,1010) writes it: what the header says, else computed from birth date and study date (P9).
    #[must_use]
    pub fn age_at_study(&self) -> String {
        if self.age.is_empty() {
            computed_age(&self.birth_date, &self.study_date).unwrap_or_default()
        } else {
            self.age.clone()
        }
    }

    /// Whether its dates are true only among those of its patient.
    #[must_use]
    pub fn has_shifted_dates(&self) -> bool {
        self.shifted_dates != 0
    }

    /// Whether anybody knows whose study it is (P2): the site said nothing else, and the patient ID says something.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.identity != NOT_ESTABLISHED && !is_placeholder(&self.patient_id)
    }

    /// Why nothing may be signed about it now, in words; empty when nothing stands against it.
    #[must_use]
    pub fn blocked(&self) -> &str {
        match self.restored.as_str() {
            "unheard" => UNHEARD,
            "elsewhere" => ELSEWHERE,
            _ => &self.blocked,
        }
    }

    /// Why there are no images any more, in words; none while there are.
    #[must_use]
    pub fn images_gone(&self) -> Option<String> {
        images_gone(self.deleted_us, self.deleted_days)
    }

    /// What the site did to the images.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        serde_json::from_str(&self.remarks).unwrap_or_default()
    }

    /// Whether `other`, of the same patient, is a prior of this study: sent for comparison, or earlier.
    #[must_use]
    pub fn has_prior(&self, other: &Self) -> bool {
        let same_patient = self.site_id == other.site_id
            && self.agreement_id == other.agreement_id
            && self.patient_id == other.patient_id
            && self.patient_issuer == other.patient_issuer
            && self.is_established()
            && other.is_established();
        let alike = self.shifted_dates == other.shifted_dates;
        let earlier = match alike {
            true => (&other.study_date, other.first_us) < (&self.study_date, self.first_us),
            false => other.first_us < self.first_us,
        };
        same_patient
            && self.study_uid != other.study_uid
            && other.recalled_us.is_none()
            && (other.purpose == "comparison" || earlier)
    }
}

/// Whether a patient ID says nothing about who it is (P2): such studies share no prior.
#[must_use]
pub fn is_placeholder(patient_id: &str) -> bool {
    let id: String = patient_id
        .chars()
        .filter(|c| !c.is_whitespace())
        .flat_map(char::to_uppercase)
        .collect();
    let only = |digit| !id.is_empty() && id.chars().all(|c| c == digit);
    id.is_empty()
        || only('0')
        || only('9')
        || ["UNK", "EMERGENCY", "TRAUMA", "TEST"]
            .iter()
            .any(|word| id.starts_with(word))
}

fn computed_age(birth: &str, study: &str) -> Option<String> {
    let born = jiff::civil::Date::strptime("%Y%m%d", birth).ok()?;
    let then = jiff::civil::Date::strptime("%Y%m%d", study).ok()?;
    let span = born.until((jiff::Unit::Year, then)).ok()?;
    if span.is_negative() {
        return None;
    }
    Some(if span.get_years() >= 2 {
        format!("{:03}Y", span.get_years())
    } else if span.get_years() == 1 || span.get_months() >= 3 {
        let months = i32::from(span.get_years()) * 12 + span.get_months();
        format!("{months:03}M")
    } else {
        let days = born.until(then).ok()?.get_days();
        format!("{days:03}D")
    })
}

/// Instances of one class in one series.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Series {
    /// (0020,000D).
    pub study_uid: String,
    /// (0020,000E).
    pub series_uid: String,
    /// (0020,0011).
    pub number: Option<i64>,
    /// (0008,0060).
    pub modality: String,
    /// (0008,103E).
    pub description: String,
    /// (0018,0015).
    pub body_part: String,
    /// (0008,0016).
    pub sop_class: String,
    /// How many.
    pub instances: i64,
    /// The first of them, to open those that are read as text.
    pub first_sop_uid: String,
}

impl Series {
    /// Whether it holds what a report rests on: images and waveforms, not documents about them.
    #[must_use]
    pub fn is_evidence(&self) -> bool {
        makes_task(&self.sop_class)
    }
}

/// A group of instances that stays at the site.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Withheld {
    /// (0008,0016).
    pub class: String,
    /// (0008,0060).
    pub modality: String,
    /// How many.
    pub count: u32,
    /// Why, in words.
    pub reason: String,
}

/// Objects of a study that are kept and not shown, and that nobody has decided on.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Quarantined {
    /// Why, in words.
    pub reason: String,
    /// How many.
    pub count: i64,
}

/// What a site says that the reader of a study should know. Debug shows none of its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Rises with each word of the site.
    pub version: i64,
    /// The words.
    pub facts: Facts,
    /// Since when they are here.
    pub received: Timestamp,
}

/// A study with what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StudyFacts {
    /// Its row.
    pub study: Study,
    /// Its series, one entry for each class in each.
    pub series: Vec<Series>,
    /// What the site says that its reader should know (P9); none when it has said nothing.
    pub context: Option<Context>,
    /// What the last manifest names as staying at the site.
    pub withheld: Vec<Withheld>,
    /// What is in quarantine, by reason.
    pub quarantined: Vec<Quarantined>,
}

impl StudyFacts {
    /// Instances here.
    #[must_use]
    pub fn here(&self) -> i64 {
        self.series.iter().map(|s| s.instances).sum()
    }
}
