//! Rows that searches find.

use sqlx::FromRow;

/// One study that was found.
#[derive(Clone, FromRow)]
#[expect(missing_docs, reason = "the columns' names say it")]
pub struct StudyHit {
    pub site_id: String,
    pub agreement_id: String,
    pub study_uid: String,
    pub patient_id: String,
    pub patient_issuer: String,
    pub patient_name: String,
    pub birth_date: String,
    pub sex: String,
    pub study_date: String,
    pub study_time: String,
    pub utc_offset: String,
    pub accession: String,
    pub study_id: String,
    pub description: String,
    pub referrer: String,
}

/// One series that was found.
#[derive(Clone, FromRow)]
#[expect(missing_docs, reason = "the columns' names say it")]
pub struct SeriesHit {
    #[sqlx(flatten)]
    pub study: StudyHit,
    pub series_uid: String,
    pub modality: String,
    pub number: Option<i64>,
    pub series_description: String,
    pub body_part: String,
    pub laterality: String,
    pub series_date: String,
    pub series_time: String,
    pub instances: i64,
}

/// One instance that was found.
#[derive(Clone, FromRow)]
#[expect(missing_docs, reason = "the columns' names say it")]
pub struct InstanceHit {
    #[sqlx(flatten)]
    pub series: SeriesHit,
    pub sop_uid: String,
    pub sop_class: String,
    pub transfer_syntax: String,
    pub instance_number: Option<i64>,
    pub frames: i64,
    pub image_rows: Option<i64>,
    pub image_columns: Option<i64>,
    pub bits_allocated: Option<i64>,
}

impl std::fmt::Debug for StudyHit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StudyHit({})", self.study_uid)
    }
}

impl std::fmt::Debug for SeriesHit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SeriesHit({})", self.series_uid)
    }
}

impl std::fmt::Debug for InstanceHit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InstanceHit({})", self.sop_uid)
    }
}

/// What a study holds in one of its series.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns' names say it")]
pub struct Holding {
    pub modality: String,
    pub instances: i64,
}

/// A study with what it holds, by modality.
#[derive(Clone, Debug)]
pub struct StudyHeld {
    /// The study.
    pub study: StudyHit,
    /// Its series.
    pub holdings: Vec<Holding>,
}

/// A study with one of its series, if it has any.
#[derive(FromRow)]
pub(super) struct StudyRow {
    #[sqlx(flatten)]
    pub(super) study: StudyHit,
    pub(super) modality: Option<String>,
    pub(super) instances: Option<i64>,
}
