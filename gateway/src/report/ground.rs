//! Everything that a report rests on, read from rows: the case, its evidence, its requests, and the report before.

use std::collections::BTreeMap;

use causeway_proto::ids::StudyKey;
use causeway_proto::report::model::{Evidence, EvidenceSeries, Protection, Request};
use sqlx::{AnyConnection, FromRow};

use super::signed::documents;
use super::{ReportError, Signed, SignedDocument};
use crate::archive::catalog;
use crate::worklist::{self, CaseFacts, StudyFacts};

/// What the report is about and rests on.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The case.
    pub facts: CaseFacts,
    /// The image instances of each study of the case, in the order of its studies.
    pub evidence: Vec<Evidence>,
    /// The image instances of its priors.
    pub priors: Vec<Evidence>,
    /// The requests of each study.
    pub requests: Vec<Vec<Request>>,
    /// How the identity in the images of each study was removed, for the header of its report; none when identity travels.
    pub protection: Vec<Option<Protection>>,
    /// The newest signed report and its documents.
    pub last: Option<(Signed, Vec<Evidence>)>,
}

#[derive(FromRow)]
struct RequestRow {
    accession: String,
    placer_number: String,
    filler_number: String,
    requested_procedure_id: String,
    description: String,
}

pub(super) fn parsed<T: std::str::FromStr>(
    text: &str,
    what: &'static str,
) -> Result<T, ReportError> {
    text.parse().or(Err(ReportError::Row(what)))
}

/// One instance in one series of one study.
pub(super) fn single(
    study: &str,
    series: &str,
    class: &str,
    instance: &str,
) -> Result<Evidence, ReportError> {
    Ok(Evidence {
        study: parsed(study, "study")?,
        series: vec![EvidenceSeries {
            series: parsed(series, "series")?,
            instances: vec![(parsed(class, "class")?, parsed(instance, "instance")?)],
        }],
    })
}

/// Reads everything that a report on this case rests on.
///
/// # Errors
/// When the database refuses or a row cannot be read.
pub async fn gather(
    connection: &mut AnyConnection,
    facts: CaseFacts,
) -> Result<Ground, ReportError> {
    let (mut evidence, mut requests, mut priors) = (Vec::new(), Vec::new(), Vec::new());
    let mut protection = Vec::new();
    for one in &facts.studies {
        evidence.push(evidence_of(connection, one).await?);
        requests.push(requests_of(connection, one).await?);
        protection.push(if facts.pseudonymous {
            catalog::protection(connection, &key_of(one)?).await?
        } else {
            None
        });
    }
    for one in &facts.priors {
        priors.push(evidence_of(connection, one).await?);
    }
    let last = match super::of_case(connection, &facts.id).await?.pop() {
        None => None,
        Some(signed) => {
            let all = documents(connection, &signed.id).await?;
            let all: Result<Vec<_>, _> = all.iter().map(SignedDocument::evidence).collect();
            Some((signed, all?))
        }
    };
    Ok(Ground {
        facts,
        evidence,
        priors,
        requests,
        protection,
        last,
    })
}

impl SignedDocument {
    fn evidence(&self) -> Result<Evidence, ReportError> {
        single(
            &self.study_uid,
            &self.series_uid,
            &self.sop_class,
            &self.sop_uid,
        )
    }
}

fn key_of(one: &StudyFacts) -> Result<StudyKey, ReportError> {
    Ok(StudyKey {
        site: parsed(&one.study.site_id, "site")?,
        agreement: parsed(&one.study.agreement_id, "agreement")?,
        study: parsed(&one.study.study_uid, "study")?,
    })
}

async fn evidence_of(
    connection: &mut AnyConnection,
    one: &StudyFacts,
) -> Result<Evidence, ReportError> {
    let key = key_of(one)?;
    let mut by_series: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (_, series, class, instance) in worklist::evidence(connection, &key).await? {
        let reference = (parsed(&class, "class")?, parsed(&instance, "instance")?);
        by_series.entry(series).or_default().push(reference);
    }
    let mut series = Vec::new();
    for (uid, instances) in by_series {
        series.push(EvidenceSeries {
            series: parsed(&uid, "series")?,
            instances,
        });
    }
    Ok(Evidence {
        study: key.study,
        series,
    })
}

async fn requests_of(
    connection: &mut AnyConnection,
    one: &StudyFacts,
) -> Result<Vec<Request>, ReportError> {
    let rows: Vec<RequestRow> = sqlx::query_as(
        "SELECT r.accession, r.placer_number, r.filler_number, r.requested_procedure_id, r.description FROM request r
         JOIN study_request s ON s.request_id = r.id WHERE s.site_id = $1 AND s.agreement_id = $2 AND s.study_uid = $3 ORDER BY r.accession, r.id",
    )
    .bind(&one.study.site_id)
    .bind(&one.study.agreement_id)
    .bind(&one.study.study_uid)
    .fetch_all(connection)
    .await?;
    let study: causeway_proto::ids::StudyUid = parsed(&one.study.study_uid, "study")?;
    Ok(rows
        .into_iter()
        .map(|row| Request {
            study: study.clone(),
            accession: row.accession.into(),
            placer_number: row.placer_number.into(),
            filler_number: row.filler_number.into(),
            procedure_id: row.requested_procedure_id.into(),
            description: row.description.into(),
        })
        .collect())
}
