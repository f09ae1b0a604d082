//! Bytes that no row names: stored by a process that died before it had written the row, or half of them. Nothing else finds them.

use std::time::Duration;

use causeway_proto::ids::SiteId;

use super::bytes::take_unneeded;
use super::{DeletionError, Deletions};
use crate::archive::{BlobKey, Stray};

/// What is younger may be about to get its row; and where the rows were restored from a backup, agents send again what they keep
/// for 72 hours, so that nothing that could be wanted goes before that.
const AGE: Duration = Duration::from_secs(96 * 3600);
const DAY_US: i64 = 86_400_000_000;
/// So many are looked at together.
const AT_ONCE: usize = 64;

impl Deletions {
    /// Takes bytes away that nothing names, and says how many files.
    ///
    /// # Errors
    /// When the disk or the database refuses.
    pub async fn take_strays(&self) -> Result<usize, DeletionError> {
        let mut gone = 0;
        for folder in self.archive.blobs.folders().await? {
            // what was signed is never deleted, whatever the rows say
            if folder.ends_with("reports") {
                continue;
            }
            let found = self.archive.blobs.old(&folder, self.clock.now(), AGE);
            let found = found.await?;
            for some in found.chunks(AT_ONCE) {
                gone += self.stray(some).await?;
            }
        }
        self.forget_parts().await?;
        Ok(gone)
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

    async fn stray(&self, found: &[Stray]) -> Result<usize, DeletionError> {
        let mut gone = 0;
        let mut unnamed: Vec<BlobKey> = Vec::new();
        for one in found {
            match one {
                Stray::Half(path) => {
                    self.archive.blobs.remove_half(path).await?;
                    gone += 1;
                }
                Stray::Whole(key) if !self.known(key).await? => unnamed.push(key.clone()),
                Stray::Whole(_) => {}
            }
        }
        // asked again under the lock of the site: all of a folder are of one
        let site: Option<SiteId> = unnamed.first().and_then(BlobKey::site);
        if let Some(site) = site {
            gone += take_unneeded(&self.archive, &site, &unnamed).await?;
        }
        Ok(gone)
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
