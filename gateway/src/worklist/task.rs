//! The newest task of a case, and where single instances are.

use causeway_proto::time::Timestamp;
use sqlx::{AssertSqlSafe, FromRow};

use super::study::Study;
use crate::archive::retrieve::STANDS;
use crate::rows::Rows;

/// The newest task of a case, as people ask about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The workitem.
    pub uid: String,
    /// 110005 or 128001.
    pub code: String,
    /// Procedure Step State.
    pub state: String,
    /// Input Readiness State.
    pub readiness: String,
    /// The clinical level.
    pub priority: String,
    /// The account that holds or held it; empty when none.
    pub holder_id: String,
    /// Its name.
    pub holder: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// The lock, for nobody but its holder.
    pub transaction_uid: Option<String>,
    /// Why it was cancelled, or what it corrects.
    pub reason: Option<String>,
    /// The put-back task that it replaces.
    pub replaces: Option<String>,
}

#[derive(FromRow)]
struct TaskRow {
    uid: String,
    code: String,
    state: String,
    readiness: String,
    priority: String,
    claimed_by: Option<String>,
    claimed_us: Option<i64>,
    transaction_uid: Option<String>,
    reason: Option<String>,
    replaces_uid: Option<String>,
    given_name: Option<String>,
    family_name: Option<String>,
}

/// The newest task of a case.
///
/// # Errors
/// When the database refuses.
pub async fn task(rows: &Rows, case: &str) -> Result<Option<Task>, sqlx::Error> {
    let row: Option<TaskRow> = sqlx::query_as(
        "SELECT w.uid, w.code, w.state, w.readiness, w.priority, w.claimed_by, w.claimed_us, w.transaction_uid, w.reason, w.replaces_uid, p.given_name, p.family_name
         FROM workitem w LEFT JOIN account p ON p.id = w.claimed_by WHERE w.case_id = $1
         ORDER BY CASE w.state WHEN 'CANCELED' THEN 2 WHEN 'COMPLETED' THEN 1 ELSE 0 END, w.created_us DESC, w.uid DESC LIMIT 1",
    )
    .bind(case)
    .fetch_optional(rows.read())
    .await?;
    Ok(row.map(|row| Task {
        uid: row.uid,
        code: row.code,
        state: row.state,
        readiness: row.readiness,
        priority: row.priority,
        holder: format!(
            "{} {}",
            row.given_name.unwrap_or_default(),
            row.family_name.unwrap_or_default()
        )
        .trim()
        .to_owned(),
        holder_id: row.claimed_by.unwrap_or_default(),
        since: row.claimed_us.map(Timestamp),
        transaction_uid: row.transaction_uid,
        reason: row.reason,
        replaces: row.replaces_uid,
    }))
}

/// The header of one instance of a study as DICOM JSON; null when there is none.
///
/// # Errors
/// When the database refuses.
pub async fn header(
    rows: &Rows,
    study: &Study,
    sop_uid: &str,
) -> Result<serde_json::Value, sqlx::Error> {
    let found: Option<(String,)> = sqlx::query_as(
        "SELECT metadata FROM instance WHERE site_id = $1 AND agreement_id = $2 AND sop_uid = $3",
    )
    .bind(&study.site_id)
    .bind(&study.agreement_id)
    .bind(sop_uid)
    .fetch_optional(rows.read())
    .await?;
    Ok(found
        .and_then(|(text,)| serde_json::from_str(&text).ok())
        .unwrap_or_default())
}

/// Where an instance's bytes are, at one site under one agreement.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Stored {
    /// The site.
    pub site_id: String,
    /// The agreement.
    pub agreement_id: String,
    /// Its transfer syntax.
    pub transfer_syntax: String,
    /// Its length, in bytes.
    pub length: i64,
    /// Where `archive` keeps it.
    pub blob_key: String,
}

/// Every instance with these UIDs whose study was not taken back: two sites may hold the same UID.
///
/// # Errors
/// When the database refuses.
pub async fn stored(
    rows: &Rows,
    study: &str,
    series: &str,
    sop_uid: &str,
) -> Result<Vec<Stored>, sqlx::Error> {
    let sql = format!(
        "SELECT i.site_id, i.agreement_id, i.transfer_syntax, i.length, i.blob_key FROM instance i
         JOIN study s ON s.site_id = i.site_id AND s.agreement_id = i.agreement_id AND s.study_uid = i.study_uid
         WHERE i.study_uid = $1 AND i.series_uid = $2 AND i.sop_uid = $3 AND {STANDS} ORDER BY i.site_id, i.agreement_id"
    );
    sqlx::query_as(AssertSqlSafe(sql))
        .bind(study)
        .bind(series)
        .bind(sop_uid)
        .fetch_all(rows.read())
        .await
}
