//! Blobs that are not what their rows say: noted, taken out of what is served, asked for again, and mended.
//!
//! | state | means | next |
//! |---|---|---|
//! | noted | the blob is missing, or what there was lies in `damaged` | mended, gone, or deleted with its study |
//! | gone | the site does not have it any more either | mended, when it is sent all the same |
//! | mended | no row: bytes of that digest are in their place again | |

use causeway_proto::ids::{AgreementId, SiteId, SopInstanceUid};
use causeway_proto::link::message::{Again, AgainKey, NotKept};
use causeway_proto::time::Timestamp;
use serde_json::json;
use sqlx::{Any, Transaction};
use std::collections::BTreeMap;

use super::{Archive, BlobError, BlobKey, Named, State};
use crate::audit::{self, AuditError};
use crate::rows::Rows;

/// So many are asked for in one message.
const ASKED: usize = 256;

/// A fault could not be noted or mended.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// The database refused.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    /// The disk refused.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The act could not be audited.
    #[error("the audit trail could not be written")]
    Audit(#[from] AuditError),
    /// A row holds what this program never writes.
    #[error("a row about a damaged blob cannot be read")]
    Row,
}

/// How a fault is called in its row.
fn word(state: State) -> Option<&'static str> {
    match state {
        State::Whole => None,
        State::Missing => Some("missing"),
        State::Altered => Some("altered"),
    }
}

impl Archive {
    /// Notes that a blob is not what its rows say, and takes what there is out of the way, so that nobody is served it. Answers whether
    /// that is new: not where no row names it any more, or where it is whole after all.
    ///
    /// # Errors
    /// When the database or the disk refuses; then it is found again. Bytes that could not be read were not judged: they stay where they
    /// are, for a disk that fails to read may read again.
    pub async fn fault(&self, named: &Named, now: Timestamp) -> Result<bool, FaultError> {
        let site = named.key.site().ok_or(FaultError::Row)?;
        let known = sqlx::query("SELECT 1 FROM blob_fault WHERE blob_key = $1")
            .bind(named.key.as_str())
            .fetch_optional(self.rows.read());
        if known.await?.is_some() {
            return Ok(false);
        }
        let (state, file) = self.second_look(named).await?;
        let Some(kind) = word(state) else {
            return Ok(false);
        };
        let mut tx = self.rows.begin().await?;
        // under the lock under which its instances are recorded and deleted
        sqlx::query("UPDATE site SET receipt_number = receipt_number WHERE id = $1")
            .bind(site.as_str())
            .execute(&mut *tx)
            .await?;
        if !is_named(&mut tx, &named.key).await? {
            return Ok(false);
        }
        if self.blobs.identity(&named.key)? != file {
            // other bytes have come meanwhile
            return Ok(false);
        }
        let noted = sqlx::query(
            "INSERT INTO blob_fault (blob_key, site_id, kind, found_us) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        )
        .bind(named.key.as_str())
        .bind(site.as_str())
        .bind(kind)
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        if noted.rows_affected() == 0 {
            return Ok(false);
        }
        let detail = json!({ "blob": named.key.as_str(), "kind": kind });
        let (event, who) = ("blob-damaged", "gateway");
        audit::record(&mut tx, now, event, who, site.as_str(), who, &detail).await?;
        // before the commit: between the two the blob is missing, which is found again, and not served
        if state == State::Altered {
            self.blobs.put_aside(&named.key).await?;
        }
        tx.commit().await?;
        self.derived.remove(&named.key).await?;
        tracing::error!(
            blob = named.key.as_str(),
            kind,
            "a blob is not what its row says: it is not served, and asked for again"
        );
        Ok(true)
    }
}

impl Archive {
    /// What a blob is that was found wrong, and which file that was said of.
    async fn second_look(&self, named: &Named) -> Result<(State, Option<u64>), FaultError> {
        let (blobs, one) = (self.blobs.clone(), named.clone());
        let looking = move || {
            let file = blobs.identity(&one.key)?;
            Ok::<_, BlobError>((blobs.compare(&one)?, file))
        };
        match tokio::task::spawn_blocking(looking).await {
            Ok(looked) => Ok(looked?),
            Err(_) => Err(BlobError::Short.into()),
        }
    }
}

/// Notes a fault that was found while nothing served. Called in the transaction of a restore.
///
/// # Errors
/// When the database refuses.
pub(crate) async fn note(
    tx: &mut Transaction<'_, Any>,
    key: &BlobKey,
    state: State,
    now: Timestamp,
) -> Result<(), FaultError> {
    let (Some(kind), site) = (word(state), key.site().ok_or(FaultError::Row)?) else {
        return Ok(());
    };
    sqlx::query(
        "INSERT INTO blob_fault (blob_key, site_id, kind, found_us) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(key.as_str())
    .bind(site.as_str())
    .bind(kind)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether any row names the blob.
async fn is_named(tx: &mut Transaction<'_, Any>, key: &BlobKey) -> Result<bool, sqlx::Error> {
    let (found,): (i64,) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM instance WHERE blob_key = $1) + (SELECT count(*) FROM quarantine WHERE blob_key = $1)
            + (SELECT count(*) FROM report_document WHERE blob_key = $1) AS named",
    )
    .bind(key.as_str())
    .fetch_one(&mut **tx)
    .await?;
    Ok(found > 0)
}

/// Whether a fault is noted of a blob.
///
/// # Errors
/// When the database refuses.
pub(crate) async fn is_faulty(
    tx: &mut Transaction<'_, Any>,
    key: &str,
) -> Result<bool, sqlx::Error> {
    let (found,): (i64,) = sqlx::query_as("SELECT count(*) FROM blob_fault WHERE blob_key = $1")
        .bind(key)
        .fetch_one(&mut **tx)
        .await?;
    Ok(found > 0)
}

/// No fault is noted any more: the blob is there again, or is deleted.
///
/// # Errors
/// When the database refuses.
pub(crate) async fn forget(
    tx: &mut Transaction<'_, Any>,
    key: &BlobKey,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM blob_fault WHERE blob_key = $1")
        .bind(key.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What a site is to be asked for again: faults that it was not asked about since `before`, and has not said that it cannot mend. At most
/// 256 instances; those asked for are noted as asked at `now`.
///
/// # Errors
/// When the database refuses.
pub async fn to_ask(
    rows: &Rows,
    site: &SiteId,
    before: Timestamp,
    now: Timestamp,
) -> Result<Vec<Again>, FaultError> {
    let found: Vec<(String, String, String, String, String)> = sqlx::query_as(
        "SELECT f.blob_key, i.agreement_id, i.study_uid, i.sop_uid, i.sent_digest FROM blob_fault f JOIN
             (SELECT blob_key, agreement_id, study_uid, sop_uid, sent_digest FROM instance
              UNION ALL SELECT blob_key, agreement_id, study_uid, sop_uid, sent_digest FROM quarantine) i ON i.blob_key = f.blob_key
         WHERE f.site_id = $1 AND f.gone_us IS NULL AND (f.asked_us IS NULL OR f.asked_us <= $2 OR f.asked_us > $3)
         ORDER BY i.agreement_id, i.study_uid, i.sop_uid LIMIT $4",
    )
    .bind(site.as_str())
    .bind(before.0)
    .bind(now.0)
    .bind(i64::try_from(ASKED).unwrap_or(i64::MAX))
    .fetch_all(rows.read())
    .await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut tx = rows.begin().await?;
    let mut asked: BTreeMap<(String, String), Vec<AgainKey>> = BTreeMap::new();
    for (key, agreement, study, sop, digest) in found {
        sqlx::query("UPDATE blob_fault SET asked_us = $1 WHERE blob_key = $2")
            .bind(now.0)
            .bind(&key)
            .execute(&mut *tx)
            .await?;
        let again = AgainKey {
            instance: sop.parse().or(Err(FaultError::Row))?,
            sent_digest: digest.parse().or(Err(FaultError::Row))?,
        };
        asked.entry((agreement, study)).or_default().push(again);
    }
    tx.commit().await?;
    let of = |((agreement, study), instances): ((String, String), Vec<AgainKey>)| {
        Ok(Again {
            study: study.parse().or(Err(FaultError::Row))?,
            agreement: agreement.parse().or(Err(FaultError::Row))?,
            instances,
        })
    };
    asked.into_iter().map(of).collect()
}

/// A site does not have instances any more that it was asked for: nobody asks again. What is whole meanwhile is of no account.
///
/// # Errors
/// When the database refuses or the act cannot be audited.
pub async fn not_kept(
    rows: &Rows,
    site: &SiteId,
    said: &NotKept,
    now: Timestamp,
) -> Result<(), FaultError> {
    let mut tx = rows.begin().await?;
    let mut gone = 0;
    for instance in &said.instances {
        gone += give_up(&mut tx, (site, &said.agreement, instance), now).await?;
    }
    if gone > 0 {
        let detail = json!({ "instances": gone });
        let (event, study) = ("blob-not-kept", said.study.as_str());
        audit::record(&mut tx, now, event, "site", site.as_str(), study, &detail).await?;
        tracing::error!(%site, study, gone, "damaged images are not at their site any more: only a backup of this gateway has them");
    }
    Ok(tx.commit().await?)
}

async fn give_up(
    tx: &mut Transaction<'_, Any>,
    (site, agreement, instance): (&SiteId, &AgreementId, &SopInstanceUid),
    now: Timestamp,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE blob_fault SET gone_us = $1 WHERE gone_us IS NULL AND blob_key IN
             (SELECT blob_key FROM instance WHERE site_id = $2 AND agreement_id = $3 AND sop_uid = $4
              UNION ALL SELECT blob_key FROM quarantine WHERE site_id = $2 AND agreement_id = $3 AND sop_uid = $4)",
    )
    .bind(now.0)
    .bind(site.as_str())
    .bind(agreement.as_str())
    .bind(instance.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// How many blobs are damaged now, and how many of them their sites do not have any more.
///
/// # Errors
/// When the database refuses.
pub async fn standing(rows: &Rows) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as("SELECT count(*), count(gone_us) FROM blob_fault")
        .fetch_one(rows.read())
        .await
}
