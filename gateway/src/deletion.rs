//! Studies whose bytes go: because the site took them back (P17), or because the days after the report are over that the agreement
//! names (P20). One durable row each, worked off until nothing is left; then a receipt goes to the site.
//!
//! | state | means | next |
//! |---|---|---|
//! | ordered | nothing is shown any more, everything is still there | unlisted |
//! | unlisted | the rows are gone, the bytes that they named are going | done |
//! | done | no byte is left; the receipt is offered to the site until it is heard | ordered |
//!
//! Killed anywhere, the next turn goes on where the rows say. A blob that another row still names stays. Signed reports stay.

mod bytes;
mod receipt;
mod retention;
mod stray;
mod unlist;

use std::time::Duration;

use causeway_proto::ids::StudyKey;
use causeway_proto::time::{Clock, Timestamp};
use sqlx::{Any, FromRow, Transaction};
use thiserror::Error;

use crate::archive::{Archive, BlobError};
use crate::audit::{self, AuditError};
use crate::worklist::{self, Changed};

pub use bytes::take_unneeded;
pub use receipt::{heard, of_site};
pub use stray::strays_kept;

/// So many studies are taken in one turn.
const BATCH: i64 = 32;
/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Deleting failed. It is tried again.
#[derive(Debug, Error)]
pub enum DeletionError {
    /// The database refused.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    /// The disk refused.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The act could not be written to the audit trail.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A row holds something that this program does not write.
    #[error("a deletion's row cannot be read: {0}")]
    Row(&'static str),
}

/// Works the queue off. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Deletions {
    archive: Archive,
    clock: Clock,
}

/// What one turn did.
#[derive(Debug, Default)]
#[must_use = "pages and links learn of it only when they are told"]
pub struct Turn {
    /// Cases whose studies are gone.
    pub changed: Changed,
    /// Studies that are wholly gone.
    pub done: usize,
    /// Studies that wait for another try.
    pub failed: usize,
}

/// A study in the queue.
#[derive(Clone, Debug, FromRow)]
struct Queued {
    site_id: String,
    agreement_id: String,
    study_uid: String,
    why: String,
    state: String,
}

impl Queued {
    fn key(&self) -> Result<StudyKey, DeletionError> {
        let row = DeletionError::Row;
        Ok(StudyKey {
            site: self.site_id.parse().or(Err(row("site")))?,
            agreement: self.agreement_id.parse().or(Err(row("agreement")))?,
            study: self.study_uid.parse().or(Err(row("study")))?,
        })
    }

    fn is_recall(&self) -> bool {
        self.why == "recalled"
    }
}

/// Puts a study that the site has taken back into the queue; once it is there, only its receipt is offered again. Called in the
/// transaction of the recall. A study that the gateway does not know is remembered too.
///
/// # Errors
/// When the database refuses.
pub async fn recalled(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO deletion (site_id, agreement_id, study_uid, why, state, ordered_us) VALUES ($1, $2, $3, 'recalled', 'ordered', $4)
         ON CONFLICT (site_id, agreement_id, study_uid) DO UPDATE SET heard_us = NULL, next_try_us = 0, why = 'recalled',
             state = CASE WHEN deletion.why = 'recalled' THEN deletion.state ELSE 'ordered' END,
             ordered_us = CASE WHEN deletion.why = 'recalled' THEN deletion.ordered_us ELSE excluded.ordered_us END",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .bind(at.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether the site has taken this study back, even before the gateway knew it.
///
/// # Errors
/// When the database refuses.
pub async fn is_recalled(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
) -> Result<bool, sqlx::Error> {
    let (found,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM deletion WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 AND why = 'recalled'",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .fetch_one(&mut **tx)
    .await?;
    Ok(found > 0)
}

impl Deletions {
    /// The queue of this archive.
    #[must_use]
    pub fn new(archive: Archive, clock: Clock) -> Self {
        Self { archive, clock }
    }

    /// Deletes what is in the queue and due. What fails is tried again later, and keeps nothing else waiting.
    ///
    /// # Errors
    /// When the queue itself cannot be read or written.
    pub async fn turn(&self) -> Result<Turn, DeletionError> {
        let now = self.clock.now();
        let due: Vec<Queued> = sqlx::query_as(
            "SELECT site_id, agreement_id, study_uid, why, state FROM deletion
             WHERE state <> 'done' AND (next_try_us <= $1 OR next_try_us > $2) ORDER BY ordered_us, study_uid LIMIT $3",
        )
        .bind(now.0)
        .bind(now.plus(LONGEST_PAUSE).0)
        .bind(BATCH)
        .fetch_all(self.archive.rows.read())
        .await?;
        let mut turn = Turn::default();
        for one in due {
            match self.delete(&one).await {
                Ok(Some(changed)) => {
                    turn.changed.cases.extend(changed.cases);
                    turn.done += 1;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, site = one.site_id, study = one.study_uid, "a study could not be deleted; it is tried again");
                    turn.failed += 1;
                    self.later(&one).await?;
                }
            }
        }
        Ok(turn)
    }

    /// One study, as far as it goes. None when it was found to be still needed.
    async fn delete(&self, one: &Queued) -> Result<Option<Changed>, DeletionError> {
        let key = one.key()?;
        if one.state == "ordered" && !self.unlist(&key).await? {
            return Ok(None);
        }
        self.bytes(&key).await?;
        self.parts(&key).await?;
        Ok(Some(self.finish(&key).await?))
    }

    /// After a failure: in a second, two, four, at most ten minutes.
    async fn later(&self, one: &Queued) -> Result<(), DeletionError> {
        let mut tx = self.archive.rows.begin().await?;
        let (attempts,): (i64,) = sqlx::query_as(
            "UPDATE deletion SET attempts = attempts + 1 WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 RETURNING attempts",
        )
        .bind(&one.site_id)
        .bind(&one.agreement_id)
        .bind(&one.study_uid)
        .fetch_one(&mut *tx)
        .await?;
        let doubled = u32::try_from(attempts.clamp(1, 16) - 1).unwrap_or(0);
        let pause = Duration::from_secs(1 << doubled).min(LONGEST_PAUSE);
        sqlx::query(
            "UPDATE deletion SET next_try_us = $4 WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
        )
        .bind(&one.site_id)
        .bind(&one.agreement_id)
        .bind(&one.study_uid)
        .bind(self.clock.now().plus(pause).0)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Nothing is left: the receipt is made, and the deletion stands in the trail (PS3.15 A.5, 110105).
    async fn finish(&self, key: &StudyKey) -> Result<Changed, DeletionError> {
        let mut tx = self.archive.rows.begin().await?;
        let cases = worklist::cases_of(&mut tx, key).await?;
        let now = self.clock.now();
        let opened = receipt::opened(&mut tx, key, &cases).await?;
        let (why, objects, bytes, parts, reports): (String, i64, i64, i64, i64) = sqlx::query_as(
            "UPDATE deletion SET state = 'done', done_us = $4, attempts = 0, next_try_us = 0,
                 opened = CASE WHEN why = 'recalled' THEN $5 ELSE '[]' END
             WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 RETURNING why, objects, bytes, parts, reports",
        )
        .bind(key.site.as_str())
        .bind(key.agreement.as_str())
        .bind(key.study.as_str())
        .bind(now.0)
        .bind(opened.to_string())
        .fetch_one(&mut *tx)
        .await?;
        let detail = serde_json::json!({ "agreement": key.agreement.as_str(), "why": why, "objects": objects, "bytes": bytes,
            "parts": parts, "reports_kept": reports });
        let (site, study) = (key.site.as_str(), key.study.as_str());
        audit::record(
            &mut tx,
            now,
            "images-deleted",
            "gateway",
            site,
            study,
            &detail,
        )
        .await?;
        tx.commit().await?;
        tracing::info!(
            site,
            study,
            why,
            objects,
            bytes,
            "the images of a study are deleted"
        );
        Ok(Changed { cases })
    }
}
