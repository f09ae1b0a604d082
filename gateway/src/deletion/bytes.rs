//! The bytes of a study that has no rows any more: blobs that nobody else names, and what had arrived only in part.

use causeway_proto::ids::{SiteId, StudyKey};
use sqlx::{Any, Transaction};

use super::{DeletionError, Deletions};
use crate::archive::{Archive, BlobKey, PartName, fault};

/// So many blobs go at a time.
const AT_ONCE: i64 = 64;

impl Deletions {
    /// Takes the blobs away that the unlisted rows named.
    pub(super) async fn bytes(&self, key: &StudyKey) -> Result<(), DeletionError> {
        loop {
            let named: Vec<(String,)> = sqlx::query_as(
                "SELECT blob_key FROM deletion_blob WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 ORDER BY blob_key LIMIT $4",
            )
            .bind(key.site.as_str())
            .bind(key.agreement.as_str())
            .bind(key.study.as_str())
            .bind(AT_ONCE)
            .fetch_all(self.archive.rows.read())
            .await?;
            if named.is_empty() {
                return Ok(());
            }
            let keys = named.iter().map(|(key,)| key.parse());
            let keys: Vec<BlobKey> = keys.collect::<Result<_, _>>()?;
            take_unneeded(&self.archive, &key.site, &keys).await?;
            let mut tx = self.archive.rows.begin().await?;
            for one in &keys {
                sqlx::query(
                    "DELETE FROM deletion_blob WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 AND blob_key = $4",
                )
                .bind(key.site.as_str())
                .bind(key.agreement.as_str())
                .bind(key.study.as_str())
                .bind(one.as_str())
                .execute(&mut *tx)
                .await?;
            }
            tx.commit().await?;
        }
    }

    /// Takes away what had arrived only in part, and counts it.
    pub(super) async fn parts(&self, key: &StudyKey) -> Result<(), DeletionError> {
        let names: Vec<(String,)> = sqlx::query_as(
            "SELECT name FROM incoming_part WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 ORDER BY name",
        )
        .bind(key.site.as_str())
        .bind(key.agreement.as_str())
        .bind(key.study.as_str())
        .fetch_all(self.archive.rows.read())
        .await?;
        for (name,) in names {
            let part: PartName = name.parse()?;
            let length = self.archive.parts.remove(&part).await?;
            let mut tx = self.archive.rows.begin().await?;
            sqlx::query("DELETE FROM incoming_part WHERE name = $1")
                .bind(&name)
                .execute(&mut *tx)
                .await?;
            if let Some(length) = length {
                sqlx::query(
                    "UPDATE deletion SET parts = parts + 1, bytes = bytes + $4 WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
                )
                .bind(key.site.as_str())
                .bind(key.agreement.as_str())
                .bind(key.study.as_str())
                .bind(i64::try_from(length).unwrap_or(i64::MAX))
                .execute(&mut *tx)
                .await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }
}

/// Takes away those of the blobs that no row names, durably, and says how many. Asked under the lock under which instances of the
/// site are recorded: an instance that was stored under the same key meanwhile either has its row already, or finds its blob
/// missing when it gets one.
///
/// # Errors
/// When the database or the disk refuses.
pub async fn take_unneeded(
    archive: &Archive,
    site: &SiteId,
    keys: &[BlobKey],
) -> Result<usize, DeletionError> {
    let mut tx = archive.rows.begin().await?;
    one_after_the_other(&mut tx, site).await?;
    let mut free = Vec::new();
    for key in keys {
        if !named(&mut tx, key).await? {
            free.push(key.clone());
        }
    }
    archive.blobs.remove(&free).await?;
    for key in &free {
        archive.derived.remove(key).await?;
        fault::forget(&mut tx, key).await?;
    }
    tx.commit().await?;
    archive.blobs.settled(&free).await?;
    Ok(free.len())
}

/// The lock under which instances of a site are recorded.
pub(super) async fn one_after_the_other(
    tx: &mut Transaction<'_, Any>,
    site: &SiteId,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE site SET receipt_number = receipt_number WHERE id = $1")
        .bind(site.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Whether any row names the blob.
async fn named(tx: &mut Transaction<'_, Any>, key: &BlobKey) -> Result<bool, sqlx::Error> {
    for sql in [
        "SELECT count(*) FROM instance WHERE blob_key = $1",
        "SELECT count(*) FROM quarantine WHERE blob_key = $1",
        "SELECT count(*) FROM report_document WHERE blob_key = $1",
    ] {
        let (found,): (i64,) = sqlx::query_as(sql)
            .bind(key.as_str())
            .fetch_one(&mut **tx)
            .await?;
        if found > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}
