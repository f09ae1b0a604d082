//! Takes the rows of a study away, remembering which bytes they named; what the audit needs stays, and nothing of who it is.

use causeway_proto::ids::StudyKey;
use sqlx::{Any, Transaction};

use super::{DeletionError, Deletions, Queued, retention};
use crate::talk;
use crate::worklist;

/// One statement for the study that is named by `$1`, `$2` and `$3`.
async fn act(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    sql: &'static str,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql)
        .bind(key.site.as_str())
        .bind(key.agreement.as_str())
        .bind(key.study.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Remembers the blobs, and counts.
const COUNTED: [&str; 2] = [
    "INSERT INTO deletion_blob (site_id, agreement_id, study_uid, blob_key)
        SELECT site_id, agreement_id, study_uid, blob_key FROM instance WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3
        UNION SELECT site_id, agreement_id, study_uid, blob_key FROM quarantine WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3
        ON CONFLICT DO NOTHING",
    "UPDATE deletion SET state = 'unlisted',
        objects = objects + (SELECT count(*) FROM instance i WHERE i.site_id = $1 AND i.agreement_id = $2 AND i.study_uid = $3)
            + (SELECT count(*) FROM quarantine q WHERE q.site_id = $1 AND q.agreement_id = $2 AND q.study_uid = $3),
        bytes = bytes + (SELECT CAST(COALESCE(sum(i.length), 0) AS BIGINT) FROM instance i WHERE i.site_id = $1 AND i.agreement_id = $2 AND i.study_uid = $3)
            + (SELECT CAST(COALESCE(sum(q.length), 0) AS BIGINT) FROM quarantine q WHERE q.site_id = $1 AND q.agreement_id = $2 AND q.study_uid = $3),
        reports = (SELECT count(*) FROM report_document r WHERE r.site_id = $1 AND r.agreement_id = $2 AND r.study_uid = $3)
        WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
];

/// What was held is known by its digests, so that it is not taken a second time.
const REMEMBERED: &str = "INSERT INTO deleted_instance (site_id, agreement_id, sop_uid, study_uid, series_uid, sop_class, length, sent_digest, source_tag,
        receipt_number, receipt_epoch)
    SELECT site_id, agreement_id, sop_uid, study_uid, series_uid, sop_class, length, sent_digest, source_tag, receipt_number, receipt_epoch
    FROM instance WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 ON CONFLICT DO NOTHING";

const IMAGES: [&str; 3] = [
    "DELETE FROM instance WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
    "DELETE FROM series WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
    "DELETE FROM quarantine WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
];

/// What is known of a study that was taken back, beside its images.
const REST: [&str; 3] = [
    "DELETE FROM deleted_instance WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
    "DELETE FROM manifest WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
    "UPDATE study SET remarks = '[]', blocked = '' WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
];

const DRAFTS: &str = "DELETE FROM draft WHERE case_id IN (SELECT case_id FROM case_study WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3)";

/// Who it was: only where no signed report says so as well.
const IDENTITY: [&str; 3] = [
    "DELETE FROM study_protection WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
    "DELETE FROM study_request WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
    "UPDATE study SET patient_id = '', patient_issuer = '', patient_name = '', name_folded = '', birth_date = '', sex = '', age = '',
        study_date = '', study_time = '', accession = '', study_id = '', description = '', referrer = '',
        identity_version = identity_version + 1
     WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
];

/// Orders that no study and no report names any more.
const ORDERS: &str = "DELETE FROM request WHERE site_id = $1 AND agreement_id = $2
    AND NOT EXISTS (SELECT 1 FROM study_request s WHERE s.request_id = request.id)
    AND NOT EXISTS (SELECT 1 FROM report_request r WHERE r.request_id = request.id)";

impl Deletions {
    /// Takes the rows away. False when the study turned out to be needed after all: then it leaves the queue.
    pub(super) async fn unlist(&self, key: &StudyKey) -> Result<bool, DeletionError> {
        let mut tx = self.archive.rows.begin().await?;
        super::bytes::one_after_the_other(&mut tx, &key.site).await?;
        let one: Queued = sqlx::query_as(
            "SELECT site_id, agreement_id, study_uid, why, state FROM deletion WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
        )
        .bind(key.site.as_str())
        .bind(key.agreement.as_str())
        .bind(key.study.as_str())
        .fetch_one(&mut *tx)
        .await?;
        for case in worklist::cases_of(&mut tx, key).await? {
            worklist::lock(&mut tx, &case).await?;
        }
        if !one.is_recall() {
            let days = retention::over(&mut tx, key, self.clock.now()).await?;
            let Some(days) = days else {
                act(
                    &mut tx,
                    key,
                    "DELETE FROM deletion WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 AND state = 'ordered'",
                )
                .await?;
                tx.commit().await?;
                return Ok(false);
            };
            retention::mark(&mut tx, key, days, self.clock.now()).await?;
            act(&mut tx, key, REMEMBERED).await?;
        }
        for sql in COUNTED.into_iter().chain(IMAGES) {
            act(&mut tx, key, sql).await?;
        }
        act(&mut tx, key, DRAFTS).await?;
        // what the site said of it goes with it; the signed report has what its reader saw
        talk::forget(&mut tx, key).await?;
        if one.is_recall() {
            forget(&mut tx, key).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

/// A study that was taken back leaves its UID, its case code and its times.
async fn forget(tx: &mut Transaction<'_, Any>, key: &StudyKey) -> Result<(), sqlx::Error> {
    for sql in REST {
        act(tx, key, sql).await?;
    }
    let (reports,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM report_document WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .fetch_one(&mut **tx)
    .await?;
    if reports > 0 {
        return Ok(());
    }
    for sql in IDENTITY {
        act(tx, key, sql).await?;
    }
    sqlx::query(ORDERS)
        .bind(key.site.as_str())
        .bind(key.agreement.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
