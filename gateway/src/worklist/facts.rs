//! What is known of a case: its site, its studies, and which earlier studies are their priors. Reads only.

use causeway_proto::digest::Digest;
use causeway_proto::ids::StudyKey;
use causeway_proto::link::message::Facts;
use causeway_proto::link::message::terms::PSEUDONYMOUS;
use causeway_proto::time::Timestamp;
use sqlx::{AnyConnection, FromRow};

use super::ANOTHER_PATIENT;
use super::intervals::typed_interval;
use super::rules::makes_task;
use super::study::{Context, Site, Study, StudyFacts};

/// A case: what one report answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFacts {
    /// Our identifier.
    pub id: String,
    /// The word for it on the telephone.
    pub code: String,
    /// The agreement.
    pub agreement: String,
    /// Under that agreement identity stays at the site: the patient here is a pseudonym.
    pub pseudonymous: bool,
    /// Where it comes from.
    pub site: Site,
    /// The studies to be read.
    pub studies: Vec<StudyFacts>,
    /// Earlier studies of the same patient.
    pub priors: Vec<StudyFacts>,
}

impl CaseFacts {
    /// An opaque word for the content read and what the site says of it: any seal, growth, recall, change of priors or of what was withheld changes it, of
    /// the priors too. Instances are only ever added, so that their number says whether there are others.
    #[must_use]
    pub fn manifest_version(&self) -> String {
        let current = self.studies.iter().map(|one| ("current", one));
        let priors = self.priors.iter().map(|one| ("prior", one));
        let mut text = String::new();
        for (role, one) in current.chain(priors) {
            let (study, withheld) = (&one.study, &one.withheld);
            let parts = (
                role,
                &study.study_uid,
                study.manifest_version,
                study.content_version,
                study.sealed_us.is_some(),
                study.recalled_us.is_some(),
                one.here(),
                withheld,
                &study.remarks,
            );
            text.push_str(&format!("{parts:?};"));
        }
        format!("{}.{}", short(&text), self.words_version())
    }

    /// The second part of [`Self::manifest_version`]: what the site says of the studies to be read.
    fn words_version(&self) -> String {
        let mut text = String::new();
        for StudyFacts { study, context, .. } in &self.studies {
            let said = context.as_ref().map(|it| (it.version, it.facts.fields()));
            text.push_str(&format!("{:?};", (&study.study_uid, said)));
        }
        short(&text)
    }

    /// What of a [`Self::manifest_version`] is not so any more, in words.
    #[must_use]
    pub fn changed_since(&self, version: &str) -> Vec<&'static str> {
        let now = self.manifest_version();
        let (images, words) = now.split_once('.').unwrap_or_default();
        let then = version.split_once('.').unwrap_or_default();
        [(images != then.0, "images"), (words != then.1, "context")]
            .into_iter()
            .filter_map(|(changed, what)| changed.then_some(what))
            .collect()
    }

    /// The clinical question that the site has supplied for a study of the case.
    #[must_use]
    pub fn question(&self) -> Option<&str> {
        let contexts = self.studies.iter().filter_map(|s| s.context.as_ref());
        let mut asked = contexts.map(|context| context.facts.question.as_str());
        asked.find(|question| !question.is_empty())
    }

    /// An opaque word for who the patient is: the identity tuple of every study of the case.
    #[must_use]
    pub fn identity_version(&self) -> String {
        let mut text = String::new();
        for StudyFacts { study, .. } in &self.studies {
            let tuple = (
                &study.study_uid,
                study.identity_version,
                &study.accession,
                &study.patient_id,
                &study.patient_issuer,
                &study.patient_name,
                &study.birth_date,
                &study.sex,
                &study.identity,
            );
            text.push_str(&format!("{tuple:?};"));
        }
        short(&text)
    }

    /// Whether dates of its studies are shifted: pages and reports say intervals (P11).
    #[must_use]
    pub fn has_shifted_dates(&self) -> bool {
        self.studies.iter().any(|s| s.study.has_shifted_dates())
    }

    /// Why nothing may be signed about the case now; none when nothing stands against it.
    #[must_use]
    pub fn blocked(&self) -> Option<&str> {
        let mut words = self.studies.iter().map(|s| s.study.blocked());
        words.find(|words| !words.is_empty())
    }

    /// Whether anybody knows whose studies these are (P2).
    #[must_use]
    pub fn established(&self) -> bool {
        self.studies.iter().all(|s| s.study.is_established())
    }

    /// Whether the site has said of every study that nothing more comes.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.studies.iter().all(|s| s.study.sealed_us.is_some())
    }

    /// Whether objects of another patient came under a study of the case, and nobody has decided on them.
    #[must_use]
    pub fn another_patient(&self) -> bool {
        let mut aside = self.studies.iter().flat_map(|s| &s.quarantined);
        aside.any(|group| group.reason == ANOTHER_PATIENT)
    }

    /// Whether the site has taken a study of the case back.
    #[must_use]
    pub fn recalled(&self) -> bool {
        self.studies.iter().any(|s| s.study.recalled_us.is_some())
    }
}

fn short(text: &str) -> String {
    let mut word = Digest::of(text.as_bytes()).to_string();
    word.truncate(24);
    word
}

#[derive(FromRow)]
struct CaseRow {
    code: String,
    agreement_id: String,
    identity: String,
}

/// Everything known of one case; none when there is no such case.
///
/// # Errors
/// When the database refuses.
pub async fn case(
    connection: &mut AnyConnection,
    id: &str,
) -> Result<Option<CaseFacts>, sqlx::Error> {
    let row: Option<CaseRow> =
        sqlx::query_as("SELECT c.code, c.agreement_id, a.identity FROM reading_case c JOIN agreement a ON a.id = c.agreement_id WHERE c.id = $1")
            .bind(id)
            .fetch_optional(&mut *connection)
            .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let site: Site = sqlx::query_as(
        "SELECT s.id AS site_id, s.name, s.country, s.time_zone, s.language, s.phone, s.legacy_headings FROM site s JOIN reading_case c ON c.site_id = s.id WHERE c.id = $1",
    )
    .bind(id)
    .fetch_one(&mut *connection)
    .await?;
    let current = studies(connection, id).await?;
    let earlier = priors(connection, &current).await?;
    let mut facts = CaseFacts {
        id: id.to_owned(),
        code: row.code,
        agreement: row.agreement_id,
        pseudonymous: row.identity == PSEUDONYMOUS,
        site,
        studies: Vec::new(),
        priors: Vec::new(),
    };
    for study in current {
        facts.studies.push(with_series(connection, study).await?);
    }
    for study in earlier {
        facts.priors.push(with_series(connection, study).await?);
    }
    Ok(Some(facts))
}

/// The studies of a case, in a fixed order.
///
/// # Errors
/// When the database refuses.
pub async fn studies(
    connection: &mut AnyConnection,
    case: &str,
) -> Result<Vec<Study>, sqlx::Error> {
    sqlx::query_as(
        "SELECT s.* FROM study s JOIN case_study cs ON cs.site_id = s.site_id AND cs.agreement_id = s.agreement_id AND cs.study_uid = s.study_uid
         WHERE cs.case_id = $1 ORDER BY s.study_uid",
    )
    .bind(case)
    .fetch_all(connection)
    .await
}

/// The priors of these studies, newest first.
///
/// # Errors
/// When the database refuses.
pub async fn priors(
    connection: &mut AnyConnection,
    current: &[Study],
) -> Result<Vec<Study>, sqlx::Error> {
    let Some(first) = current.first() else {
        return Ok(Vec::new());
    };
    if !first.is_established() {
        return Ok(Vec::new());
    }
    let same: Vec<Study> = sqlx::query_as(
        "SELECT * FROM study WHERE site_id = $1 AND agreement_id = $2 AND patient_id = $3 AND patient_issuer = $4 AND recalled_us IS NULL
         ORDER BY study_date DESC, study_uid",
    )
    .bind(&first.site_id)
    .bind(&first.agreement_id)
    .bind(&first.patient_id)
    .bind(&first.patient_issuer)
    .fetch_all(connection)
    .await?;
    Ok(same
        .into_iter()
        .filter(|p| !current.iter().any(|c| c.study_uid == p.study_uid))
        .filter(|p| current.iter().any(|c| c.has_prior(p)))
        .collect())
}

async fn with_series(
    connection: &mut AnyConnection,
    study: Study,
) -> Result<StudyFacts, sqlx::Error> {
    let series = sqlx::query_as(
        "SELECT s.study_uid, s.series_uid, s.number, s.modality, s.description, s.body_part, i.sop_class, count(*) AS instances, min(i.sop_uid) AS first_sop_uid
         FROM series s JOIN instance i ON i.site_id = s.site_id AND i.agreement_id = s.agreement_id AND i.study_uid = s.study_uid AND i.series_uid = s.series_uid
         WHERE s.site_id = $1 AND s.agreement_id = $2 AND s.study_uid = $3
         GROUP BY s.study_uid, s.series_uid, s.number, s.modality, s.description, s.body_part, i.sop_class ORDER BY s.number, s.series_uid, i.sop_class",
    )
    .bind(&study.site_id)
    .bind(&study.agreement_id)
    .bind(&study.study_uid)
    .fetch_all(&mut *connection)
    .await?;
    let withheld: Option<(String,)> = sqlx::query_as(
        "SELECT withheld FROM manifest WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 ORDER BY version DESC LIMIT 1",
    )
    .bind(&study.site_id)
    .bind(&study.agreement_id)
    .bind(&study.study_uid)
    .fetch_optional(&mut *connection)
    .await?;
    let quarantined = sqlx::query_as(
        "SELECT reason, count(*) AS count FROM quarantine WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 AND resolved_us IS NULL
         GROUP BY reason ORDER BY reason",
    )
    .bind(&study.site_id)
    .bind(&study.agreement_id)
    .bind(&study.study_uid)
    .fetch_all(&mut *connection)
    .await?;
    let context = context(connection, &study).await?;
    let withheld = withheld
        .and_then(|(text,)| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    Ok(StudyFacts {
        study,
        series,
        context,
        withheld,
        quarantined,
    })
}

/// What the site says of a study. Words that cannot be read are as if they had not been said.
async fn context(
    connection: &mut AnyConnection,
    study: &Study,
) -> Result<Option<Context>, sqlx::Error> {
    let row: Option<(i64, String, i64)> = sqlx::query_as(
        "SELECT version, facts, received_us FROM study_context WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
    )
    .bind(&study.site_id)
    .bind(&study.agreement_id)
    .bind(&study.study_uid)
    .fetch_optional(connection)
    .await?;
    Ok(row.and_then(|(version, facts, received)| {
        let mut facts: Facts = serde_json::from_str(&facts).ok()?;
        if study.has_shifted_dates() {
            facts.renal_date = typed_interval(study, &facts.renal_date).unwrap_or_default();
        }
        Some(Context {
            version,
            facts,
            received: Timestamp(received),
        })
    }))
}

/// Instances that a report on the case rests on, those whose time is over included: (study, series, class, instance), in a fixed order.
///
/// # Errors
/// When the database refuses.
pub async fn evidence(
    connection: &mut AnyConnection,
    key: &StudyKey,
) -> Result<Vec<(String, String, String, String)>, sqlx::Error> {
    let all: Vec<(String, String, String, String)> = sqlx::query_as(
        "SELECT study_uid, series_uid, sop_class, sop_uid FROM instance WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3
         UNION ALL SELECT study_uid, series_uid, sop_class, sop_uid FROM deleted_instance WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3
         ORDER BY series_uid, sop_uid",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .fetch_all(connection)
    .await?;
    Ok(all
        .into_iter()
        .filter(|(_, _, class, _)| makes_task(class))
        .collect())
}
