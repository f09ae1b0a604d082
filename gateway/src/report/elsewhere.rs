//! After the gateway was put back to a backup: signed documents that sites have and these rows do not. Until a site has said of a study
//! which it has, and while one of them is not here and nobody has decided on it, nothing is signed about the study (H5).

use std::collections::HashSet;

use causeway_proto::ids::{SiteId, SopInstanceUid, StudyKey};
use causeway_proto::time::Timestamp;
use serde_json::json;
use sqlx::{Any, FromRow, Transaction};

use crate::audit::{self, AuditError};
use crate::rows::Rows;

/// So many are listed.
const LISTED: i64 = 500;

/// What was lost could not be read or decided on.
#[derive(Debug, thiserror::Error)]
pub enum ElsewhereError {
    /// The database refused.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    /// The act could not be audited, so it was not done.
    #[error("the audit trail could not be written")]
    Audit(#[from] AuditError),
}

/// A signed document that a site has and these rows do not.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Elsewhere {
    /// The site that has it.
    pub site_id: String,
    /// The study that it is about.
    pub study_uid: String,
    /// Its SOP Instance UID.
    pub sop_uid: String,
    /// When the site said so.
    pub heard_us: i64,
}

/// Of every study that is there nothing may be signed before its site is heard. Called in the transaction that makes a restore count.
///
/// # Errors
/// When the database refuses.
pub async fn unheard(tx: &mut Transaction<'_, Any>) -> Result<u64, sqlx::Error> {
    let done = sqlx::query("UPDATE study SET restored = 'unheard'");
    Ok(done.execute(&mut **tx).await?.rows_affected())
}

/// The same of a study that comes only now, when its site had it before the restore: it may have been here, and read.
///
/// # Errors
/// When the database refuses.
pub async fn came_before(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    first_received: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE study SET restored = 'unheard' WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3
         AND EXISTS (SELECT 1 FROM gateway_fact WHERE name = 'restored_us' AND CAST(value AS BIGINT) >= $4)",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .bind(first_received.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A site says which signed documents it has about a study. Answers whether that changes what may be signed.
///
/// # Errors
/// When the database refuses.
pub async fn heard(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    reports: &[SopInstanceUid],
    now: Timestamp,
) -> Result<bool, ElsewhereError> {
    let ours: Vec<(String,)> = sqlx::query_as(
        "SELECT sop_uid FROM report_document WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3
         UNION SELECT sop_uid FROM report_elsewhere WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .fetch_all(&mut **tx)
    .await?;
    let ours: HashSet<String> = ours.into_iter().map(|(uid,)| uid).collect();
    for report in reports.iter().filter(|it| !ours.contains(it.as_str())) {
        sqlx::query(
            "INSERT INTO report_elsewhere (site_id, sop_uid, agreement_id, study_uid, heard_us) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        )
        .bind(key.site.as_str())
        .bind(report.as_str())
        .bind(key.agreement.as_str())
        .bind(key.study.as_str())
        .bind(now.0)
        .execute(&mut **tx)
        .await?;
        let (site, study) = (key.site.as_str(), key.study.as_str());
        tracing::error!(site, study, report = %report, "a site has a signed report that is not here: `restored list`");
        let (event, detail) = ("report-elsewhere", json!({ "report": report.as_str() }));
        audit::record(tx, now, event, "site", site, study, &detail).await?;
    }
    judge(tx, key).await
}

/// What stands against signing about a study whose site is heard.
async fn judge(tx: &mut Transaction<'_, Any>, key: &StudyKey) -> Result<bool, ElsewhereError> {
    let changed = sqlx::query(
        "UPDATE study SET restored = n.word FROM (SELECT CASE WHEN EXISTS (SELECT 1 FROM report_elsewhere WHERE site_id = $1 AND agreement_id = $2
             AND study_uid = $3 AND settled_us IS NULL) THEN 'elsewhere' ELSE '' END AS word) AS n
         WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 AND restored <> n.word",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(changed.rows_affected() > 0)
}

/// What nobody has decided on, the newest first; at most 500.
///
/// # Errors
/// When the database refuses.
pub async fn open(rows: &Rows) -> Result<Vec<Elsewhere>, sqlx::Error> {
    sqlx::query_as(
        "SELECT site_id, study_uid, sop_uid, heard_us FROM report_elsewhere WHERE settled_us IS NULL ORDER BY heard_us DESC, sop_uid LIMIT $1",
    )
    .bind(LISTED)
    .fetch_all(rows.read())
    .await
}

/// How many studies of each site wait until the site is heard.
///
/// # Errors
/// When the database refuses.
pub async fn waiting(rows: &Rows) -> Result<Vec<(String, i64)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT site_id, count(*) FROM study WHERE restored = 'unheard' GROUP BY site_id ORDER BY site_id",
    )
    .fetch_all(rows.read())
    .await
}

/// A person has decided on a document that only its site has: reports on its study may be signed again. False when none waits under
/// this UID.
///
/// # Errors
/// When the database refuses or the act cannot be audited.
pub async fn settle(
    rows: &Rows,
    now: Timestamp,
    report: &str,
    reason: &str,
) -> Result<bool, ElsewhereError> {
    let mut tx = rows.begin().await?;
    let found: Option<(String, String, String)> = sqlx::query_as(
        "UPDATE report_elsewhere SET settled_us = $1, reason = $2 WHERE sop_uid = $3 AND settled_us IS NULL
         RETURNING site_id, agreement_id, study_uid",
    )
    .bind(now.0)
    .bind(reason)
    .bind(report)
    .fetch_optional(&mut *tx)
    .await?;
    let Some((site, agreement, study)) = found else {
        return Ok(false);
    };
    let key = StudyKey {
        site: parsed(&site)?,
        agreement: parsed(&agreement)?,
        study: parsed(&study)?,
    };
    let (unheard,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM study WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 AND restored = 'unheard'",
    )
    .bind(&site)
    .bind(&agreement)
    .bind(&study)
    .fetch_one(&mut *tx)
    .await?;
    if unheard == 0 {
        judge(&mut tx, &key).await?;
    }
    let (event, detail) = (
        "report-elsewhere-settled",
        json!({ "report": report, "reason": reason }),
    );
    audit::record(&mut tx, now, event, "operator", &site, &study, &detail).await?;
    tx.commit().await?;
    Ok(true)
}

/// A person answers for a site that will not be heard any more, or not of everything: says of how many studies.
///
/// # Errors
/// When the database refuses or the act cannot be audited.
pub async fn release(
    rows: &Rows,
    now: Timestamp,
    site: &SiteId,
    reason: &str,
) -> Result<u64, ElsewhereError> {
    let mut tx = rows.begin().await?;
    let done = sqlx::query(
        "UPDATE study SET restored = CASE WHEN EXISTS (SELECT 1 FROM report_elsewhere e WHERE e.site_id = study.site_id
             AND e.agreement_id = study.agreement_id AND e.study_uid = study.study_uid AND e.settled_us IS NULL) THEN 'elsewhere' ELSE '' END
         WHERE site_id = $1 AND restored = 'unheard'",
    )
    .bind(site.as_str())
    .execute(&mut *tx)
    .await?;
    let studies = done.rows_affected();
    let (event, detail) = (
        "restored-released",
        json!({ "studies": studies, "reason": reason }),
    );
    let site = site.as_str();
    audit::record(&mut tx, now, event, "operator", site, site, &detail).await?;
    tx.commit().await?;
    Ok(studies)
}

fn parsed<T>(text: &str) -> Result<T, sqlx::Error>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text.parse()
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
