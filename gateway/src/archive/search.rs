//! Finding studies, series and instances by their attributes, within what somebody may see.

mod hits;
mod statement;

#[cfg(test)]
mod tests;

use causeway_proto::ids::{AgreementId, SiteId};

use super::retrieve::STANDS;
use crate::rows::Rows;
use hits::StudyRow;
pub use hits::{Holding, InstanceHit, SeriesHit, StudyHeld, StudyHit};
use statement::{Bound, INSTANCE_JOIN, SERIES_JOIN, Statement};

/// What somebody may see.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything.
    All,
    /// What was sent under these agreements.
    Pairs(Vec<(SiteId, AgreementId)>),
}

impl Scope {
    /// Whether what was sent under this agreement is in it.
    #[must_use]
    pub fn has(&self, owner: &(SiteId, AgreementId)) -> bool {
        match self {
            Self::All => true,
            Self::Pairs(pairs) => pairs.contains(owner),
        }
    }
}

/// What is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Studies.
    Study,
    /// Series.
    Series,
    /// Instances.
    Instance,
}

/// An attribute that can be matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// (0020,000D).
    StudyUid,
    /// (0008,0020).
    StudyDate,
    /// (0008,0030).
    StudyTime,
    /// (0008,0050).
    Accession,
    /// (0008,1030).
    StudyDescription,
    /// (0020,0010).
    StudyId,
    /// (0008,0090).
    Referrer,
    /// (0010,0010).
    PatientName,
    /// (0010,0020).
    PatientId,
    /// (0010,0021).
    PatientIssuer,
    /// (0010,0030).
    BirthDate,
    /// (0010,0040).
    Sex,
    /// (0008,0061), and (0008,0060) above the series.
    Modality,
    /// (0020,000E).
    SeriesUid,
    /// (0020,0011).
    SeriesNumber,
    /// (0008,103E).
    SeriesDescription,
    /// (0018,0015).
    BodyPart,
    /// (0008,0016).
    SopClass,
    /// (0008,0018).
    SopUid,
    /// (0020,0013).
    InstanceNumber,
}

impl Field {
    fn place(self) -> (Level, &'static str) {
        use Level::{Instance, Series, Study};
        match self {
            Self::StudyUid => (Study, "s.study_uid"),
            Self::StudyDate => (Study, "s.study_date"),
            Self::StudyTime => (Study, "s.study_time"),
            Self::Accession => (Study, "s.accession"),
            Self::StudyDescription => (Study, "s.description"),
            Self::StudyId => (Study, "s.study_id"),
            Self::Referrer => (Study, "s.referrer"),
            Self::PatientName => (Study, "s.name_folded"),
            Self::PatientId => (Study, "s.patient_id"),
            Self::PatientIssuer => (Study, "s.patient_issuer"),
            Self::BirthDate => (Study, "s.birth_date"),
            Self::Sex => (Study, "s.sex"),
            Self::Modality => (Series, "r.modality"),
            Self::SeriesUid => (Series, "r.series_uid"),
            Self::SeriesNumber => (Series, "r.number"),
            Self::SeriesDescription => (Series, "r.description"),
            Self::BodyPart => (Series, "r.body_part"),
            Self::SopClass => (Instance, "i.sop_class"),
            Self::SopUid => (Instance, "i.sop_uid"),
            Self::InstanceNumber => (Instance, "i.number"),
        }
    }
}

/// How an attribute is matched (PS3.4 C.2.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// One of these values; with `*` and `?` as wildcards. Names are matched folded.
    Text(Vec<String>),
    /// Every word begins a word of the name (fuzzy matching).
    Words(String),
    /// A number.
    Number(i64),
    /// Dates or times from and to, both inclusive.
    Range(Option<String>, Option<String>),
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Criterion {
    /// What is matched.
    pub field: Field,
    /// How.
    pub rule: Rule,
}

/// A search.
#[derive(Clone, Debug)]
pub struct Search {
    /// What may be seen.
    pub scope: Scope,
    /// What is found.
    pub level: Level,
    /// All of these hold.
    pub criteria: Vec<Criterion>,
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u32,
}

const STUDY_COLUMNS: &str = "s.site_id, s.agreement_id, s.study_uid, s.patient_id, s.patient_issuer, s.patient_name, s.birth_date, s.sex,
    s.study_date, s.study_time, s.utc_offset, s.accession, s.study_id, s.description, s.referrer";
const SERIES_COLUMNS: &str = "r.series_uid, r.modality, r.number, r.description AS series_description, r.body_part, r.laterality,
    r.series_date, r.series_time, r.instances";
const INSTANCE_COLUMNS: &str = "i.sop_uid, i.sop_class, i.transfer_syntax, i.number AS instance_number, i.frames, i.image_rows,
    i.image_columns, i.bits_allocated";

/// Whether a condition leaves few studies, so that these are to be looked for first, and not those of the scope.
fn pins(criterion: &Criterion) -> bool {
    let one = matches!(&criterion.rule, Rule::Text(values) if values.len() == 1 && values.iter().all(|value| !value.contains(['*', '?'])));
    one && matches!(
        criterion.field,
        Field::StudyUid | Field::Accession | Field::PatientName
    )
}

fn statement(search: &Search) -> Statement {
    let (columns, from, order) = match search.level {
        Level::Study => (
            STUDY_COLUMNS.to_owned(),
            "study s".to_owned(),
            "s.study_date DESC, s.study_time DESC, s.study_uid, s.site_id, s.agreement_id",
        ),
        Level::Series => (
            format!("{STUDY_COLUMNS}, {SERIES_COLUMNS}"),
            format!("study s JOIN {SERIES_JOIN}"),
            "s.study_date DESC, s.study_uid, s.site_id, s.agreement_id, COALESCE(r.number, 2147483648), r.series_uid",
        ),
        Level::Instance => (
            format!("{STUDY_COLUMNS}, {SERIES_COLUMNS}, {INSTANCE_COLUMNS}"),
            format!("study s JOIN {SERIES_JOIN} JOIN {INSTANCE_JOIN}"),
            "s.study_date DESC, s.study_uid, s.site_id, s.agreement_id, COALESCE(r.number, 2147483648), r.series_uid, COALESCE(i.number, 2147483648), i.sop_uid",
        ),
    };
    let mut statement = Statement::new(format!(
        "SELECT {columns} FROM {from} WHERE {STANDS} AND s.deleted_us IS NULL"
    ));
    statement.scope(&search.scope, search.criteria.iter().any(pins));
    for criterion in &search.criteria {
        statement.criterion(criterion, search.level);
    }
    statement.push(&format!(" ORDER BY {order} LIMIT "));
    statement.bind(Bound::Number(search.limit.into()));
    statement.push(" OFFSET ");
    statement.bind(Bound::Number(search.offset.into()));
    if search.level == Level::Study {
        statement.around(
            "SELECT s.*, r.modality, r.instances FROM (",
            &format!(") s LEFT JOIN {SERIES_JOIN} ORDER BY {order}, r.modality"),
        );
    }
    statement
}

/// The studies that a search at the level of studies finds, the newest first, with what each holds.
///
/// # Errors
/// When the database refuses.
pub async fn studies(rows: &Rows, search: &Search) -> Result<Vec<StudyHeld>, sqlx::Error> {
    let found: Vec<StudyRow> = statement(search).fetch(rows).await?;
    let mut studies: Vec<StudyHeld> = Vec::new();
    for row in found {
        let same = |last: &StudyHit| {
            last.study_uid == row.study.study_uid
                && last.site_id == row.study.site_id
                && last.agreement_id == row.study.agreement_id
        };
        let holding = row.modality.zip(row.instances);
        let holding = holding.map(|(modality, instances)| Holding {
            modality,
            instances,
        });
        match studies.last_mut().filter(|last| same(&last.study)) {
            Some(last) => last.holdings.extend(holding),
            None => studies.push(StudyHeld {
                study: row.study,
                holdings: holding.into_iter().collect(),
            }),
        }
    }
    Ok(studies)
}

/// The series that a search at the level of series finds, by study and number.
///
/// # Errors
/// When the database refuses.
pub async fn series(rows: &Rows, search: &Search) -> Result<Vec<SeriesHit>, sqlx::Error> {
    statement(search).fetch(rows).await
}

/// The instances that a search at the level of instances finds, by study, series and number.
///
/// # Errors
/// When the database refuses.
pub async fn instances(rows: &Rows, search: &Search) -> Result<Vec<InstanceHit>, sqlx::Error> {
    statement(search).fetch(rows).await
}
