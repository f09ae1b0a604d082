//! What came under a UID that other content already holds, and what could not be read: kept, shown, never served.

use causeway_proto::ids::{StudyKey, TransferSyntaxUid};
use causeway_proto::time::Timestamp;
use sqlx::{Any, FromRow, Transaction};

use super::IngestError;
use crate::archive::catalog::ContentRow;
use crate::audit;
use crate::rows::Rows;

/// One object in quarantine.
#[derive(Clone, Debug, FromRow)]
pub struct Quarantined {
    /// Its identifier.
    pub id: String,
    /// The site that sent it.
    pub site_id: String,
    /// The agreement under which it was sent.
    pub agreement_id: String,
    /// The study it was sent for.
    pub study_uid: String,
    /// Its SOP Instance UID.
    pub sop_uid: String,
    /// Its length in bytes.
    pub length: i64,
    /// Why it is here, in words, without patient data.
    pub reason: String,
    /// When it came.
    pub received_us: i64,
}

/// What is in quarantine and nobody has decided on, the newest first, at most 500.
///
/// # Errors
/// When the database refuses.
pub async fn open(rows: &Rows) -> Result<Vec<Quarantined>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, site_id, agreement_id, study_uid, sop_uid, length, reason, received_us FROM quarantine
         WHERE resolved_us IS NULL ORDER BY received_us DESC, id LIMIT 500",
    )
    .fetch_all(rows.read())
    .await
}

/// Notes that a person has decided on an object: it stays kept and unseen, and no longer stands in the way. False when nothing
/// with this identifier waits.
///
/// # Errors
/// When the database refuses or the act cannot be audited.
pub async fn settle(
    rows: &Rows,
    at: Timestamp,
    actor: &str,
    id: &str,
    reason: &str,
) -> Result<bool, IngestError> {
    let mut tx = rows.begin().await?;
    let found: Option<(String, String)> = sqlx::query_as(
        "UPDATE quarantine SET resolved_us = $1 WHERE id = $2 AND resolved_us IS NULL RETURNING site_id, reason",
    )
    .bind(at.0)
    .bind(id)
    .fetch_optional(&mut *tx)
    .await?;
    let Some((site, was)) = found else {
        return Ok(false);
    };
    let detail = serde_json::json!({ "was": was, "reason": reason });
    audit::record(&mut tx, at, "quarantine-settled", actor, &site, id, &detail).await?;
    tx.commit().await?;
    Ok(true)
}

/// Content that is in quarantine already: the same bytes, or the same source in another protected form.
pub(super) async fn held(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    sop: &str,
    source_tag: &str,
    sent_digest: &str,
) -> Result<Option<ContentRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT length, sent_digest, source_tag, blob_key, receipt_number, receipt_epoch FROM quarantine
         WHERE site_id = $1 AND agreement_id = $2 AND sop_uid = $3 AND (sent_digest = $4 OR source_tag = $5) ORDER BY received_us, id",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(sop)
    .bind(sent_digest)
    .bind(source_tag)
    .fetch_optional(&mut **tx)
    .await
}

/// Puts content into quarantine.
pub(super) async fn add(
    tx: &mut Transaction<'_, Any>,
    id: &str,
    key: &StudyKey,
    sop: &str,
    (content, syntax): (&ContentRow, &TransferSyntaxUid),
    reason: &str,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO quarantine (id, site_id, agreement_id, study_uid, sop_uid, sent_digest, source_tag, length, blob_key, reason, receipt_number, receipt_epoch, received_us,
             transfer_syntax) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(id)
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .bind(sop)
    .bind(content.sent_digest.as_str())
    .bind(content.source_tag.as_str())
    .bind(content.length)
    .bind(content.blob_key.as_str())
    .bind(reason)
    .bind(content.receipt_number)
    .bind(content.receipt_epoch)
    .bind(at.0)
    .bind(syntax.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(())
}
