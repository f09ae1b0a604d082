//! Bytes that no row names: stored by a process that died before it had written the row, or half of them. Nothing else finds them.

use std::time::Duration;

use causeway_proto::ids::SiteId;
use causeway_proto::time::Timestamp;

use super::bytes::take_unneeded;
use super::{DeletionError, Deletions};
use crate::archive::{BlobKey, Stray};
use crate::directory;
use crate::rows::Rows;

/// What is younger may be about to get its row; and where the rows were restored from a backup, agents send again what they keep
/// for 72 hours, so that nothing that could be wanted goes before that.
const AGE: Duration = Duration::from_secs(96 * 3600);
/// A blob may have been written so long before its row.
const BEFORE_ITS_ROW: Duration = Duration::from_secs(3600);
/// Fact: how many blobs that nothing names were kept, because they came between a backup and the restore to it.
const KEPT: &str = "strays_kept";
const DAY_US: i64 = 86_400_000_000;
/// So many are looked at together.
const AT_ONCE: usize = 64;

impl Deletions {
    /// Takes bytes away that nothing names, and says how many files. Where the rows were put back to a backup, blobs that were written
    /// between that and the restore stay: their rows are lost, and they may be all that there is of what agents have pruned since.
    ///
    /// # Errors
    /// When the disk or the database refuses.
    pub async fn take_strays(&self) -> Result<usize, DeletionError> {
        let (mut gone, mut kept) = (0, 0);
        let lost = self.without_rows().await?;
        for folder in self.archive.blobs.folders().await? {
            // what was signed is never deleted, whatever the rows say
            if folder.ends_with("reports") {
                continue;
            }
            let found = self.archive.blobs.old(&folder, self.clock.now(), AGE);
            let found = found.await?;
            for some in found.chunks(AT_ONCE) {
                let (taken, left) = self.stray(some, lost).await?;
                gone += taken;
                kept += left;
            }
        }
        self.forget_parts().await?;
        if lost.is_some() {
            self.tell_kept(kept).await?;
        }
        Ok(gone)
    }

    /// From when to when blobs were written whose rows a restore may have lost; none where nothing was restored.
    async fn without_rows(&self) -> Result<Option<(Timestamp, Timestamp)>, sqlx::Error> {
        let Some((restored, _)) = directory::last_restore(&self.archive.rows).await? else {
            return Ok(None);
        };
        let taken = directory::oldest_taken(&self.archive.rows).await?;
        Ok(taken.map(|taken| (taken.minus(BEFORE_ITS_ROW), restored)))
    }

    async fn tell_kept(&self, kept: usize) -> Result<(), sqlx::Error> {
        if kept > 0 {
            tracing::warn!(
                blobs = kept,
                "blobs from between the backup and the restore that nothing names are kept"
            );
        }
        let mut tx = self.archive.rows.begin_quietly().await?;
        sqlx::query("INSERT INTO gateway_fact (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
            .bind(KEPT)
            .bind(kept.to_string())
            .execute(&mut **tx)
            .await?;
        tx.commit().await
    }

    /// Rows of partial instances whose file is gone: the instance has arrived, or was too old.
    async fn forget_parts(&self) -> Result<(), DeletionError> {
        let before = self.clock.now().0.saturating_sub(DAY_US);
        let old: Vec<(String,)> =
            sqlx::query_as("SELECT name FROM incoming_part WHERE begun_us < $1 ORDER BY name")
                .bind(before)
                .fetch_all(self.archive.rows.read())
                .await?;
        for (name,) in old {
            if self.archive.parts.length(&name.parse()?).await? > 0 {
                continue;
            }
            let mut tx = self.archive.rows.begin().await?;
            sqlx::query("DELETE FROM incoming_part WHERE name = $1")
                .bind(&name)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// How many were taken away, and how many stay although nothing names them.
    async fn stray(
        &self,
        found: &[Stray],
        lost: Option<(Timestamp, Timestamp)>,
    ) -> Result<(usize, usize), DeletionError> {
        let (mut gone, mut kept) = (0, 0);
        let mut unnamed: Vec<BlobKey> = Vec::new();
        for one in found {
            match one {
                Stray::Half(path) => {
                    self.archive.blobs.remove_half(path).await?;
                    gone += 1;
                }
                Stray::Whole(key, _) if self.known(key).await? => {}
                Stray::Whole(_, written)
                    if lost.is_some_and(|(from, to)| (from..=to).contains(written)) =>
                {
                    kept += 1;
                }
                Stray::Whole(key, _) => unnamed.push(key.clone()),
            }
        }
        // asked again under the lock of the site: all of a folder are of one
        let site: Option<SiteId> = unnamed.first().and_then(BlobKey::site);
        if let Some(site) = site {
            gone += take_unneeded(&self.archive, &site, &unnamed).await?;
        }
        Ok((gone, kept))
    }

    /// Whether any row names the blob, asked without a lock.
    async fn known(&self, key: &BlobKey) -> Result<bool, sqlx::Error> {
        let (found,): (i64,) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM instance WHERE blob_key = $1) + (SELECT count(*) FROM quarantine WHERE blob_key = $1)
                + (SELECT count(*) FROM report_document WHERE blob_key = $1) AS named",
        )
        .bind(key.as_str())
        .fetch_one(self.archive.rows.read())
        .await?;
        Ok(found > 0)
    }
}

/// How many blobs that nothing names the last look has left alone, because they came between a backup and the restore to it.
///
/// # Errors
/// When the database refuses.
pub async fn strays_kept(rows: &Rows) -> Result<u64, sqlx::Error> {
    let kept: Option<(String,)> = sqlx::query_as("SELECT value FROM gateway_fact WHERE name = $1")
        .bind(KEPT)
        .fetch_optional(rows.read())
        .await?;
    Ok(kept.and_then(|(kept,)| kept.parse().ok()).unwrap_or(0))
}
