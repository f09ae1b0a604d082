//! Reports of ours: what belongs to this site, their bytes, and the names by which they are recognised when they come back (P5).

use bytes::Bytes;
use causeway_proto::digest::{ContentHasher, Digest};
use causeway_proto::ids::{SopInstanceUid, StudyUid, TransferSyntaxUid};
use sqlx::SqliteConnection;

use super::disk::Handle;
use super::{Spool, SpoolError, off_runtime, refused_row};
use crate::rows::to_row;

impl Spool {
    /// Whether anything of this study was received here.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn knows(&self, study: &StudyUid) -> Result<bool, SpoolError> {
        let known: i64 =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM study WHERE study_uid = $1)")
                .bind(study.as_str())
                .fetch_one(self.inner.rows.read())
                .await
                .map_err(refused_row("looking for a study"))?;
        Ok(known != 0)
    }

    /// Whether an object of the site was received under this UID, or a report of ours of another study has it.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn holds_another(
        &self,
        instance: &SopInstanceUid,
        study: &StudyUid,
    ) -> Result<bool, SpoolError> {
        let held: i64 =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM instance WHERE sop_uid = $1) OR EXISTS (SELECT 1 FROM own_report WHERE sop_uid = $1 AND study_uid <> $2)")
                .bind(instance.as_str())
                .bind(study.as_str())
                .fetch_one(self.inner.rows.read())
                .await
                .map_err(refused_row("looking for an instance"))?;
        Ok(held != 0)
    }

    /// Makes the bytes of a report of ours durable. [`Self::own_report`] then names them.
    ///
    /// # Errors
    /// When the disk refuses; nothing is then kept.
    pub(crate) async fn keep_report(
        &self,
        syntax: &TransferSyntaxUid,
        dataset: Bytes,
    ) -> Result<(Handle, Digest), SpoolError> {
        let mut hasher = ContentHasher::new(syntax);
        hasher.update(&dataset);
        let digest = hasher.finish();
        let disk = self.inner.disk.clone();
        let handle = off_runtime(move || {
            let mut partial = disk.begin()?;
            if let Err(error) = partial.append(&dataset) {
                disk.discard(partial.name());
                return Err(error);
            }
            disk.keep(partial, &digest)
        })
        .await?
        .map_err(|source| SpoolError::Disk {
            tried: "making a report durable",
            source,
        })?;
        Ok((handle, digest))
    }

    /// Under which name a report of ours is kept whose bytes were lost; none when they are there.
    ///
    /// # Errors
    /// When the rows refuse.
    pub(crate) async fn lost_report(
        &self,
        instance: &SopInstanceUid,
    ) -> Result<Option<Handle>, SpoolError> {
        let handle: Option<String> =
            sqlx::query_scalar("SELECT handle FROM own_report WHERE sop_uid = $1 AND lost = 1")
                .bind(instance.as_str())
                .fetch_optional(self.inner.rows.read())
                .await
                .map_err(refused_row("looking for a lost report"))?;
        Ok(handle.map(Handle::from_row))
    }

    /// Whether these are the bytes that were made durable under `handle`.
    ///
    /// # Errors
    /// When the process is ending.
    pub(crate) async fn is_intact(
        &self,
        handle: &Handle,
        syntax: &TransferSyntaxUid,
        dataset: Bytes,
    ) -> Result<bool, SpoolError> {
        let mut hasher = ContentHasher::new(syntax);
        let digest = off_runtime(move || {
            hasher.update(&dataset);
            hasher.finish()
        })
        .await?;
        Ok(handle.is_of(&digest))
    }

    /// Names a report of ours in the caller's transaction: from its commit on, the PACS sending it back is recognised (P5). One
    /// whose bytes were lost has them again.
    ///
    /// # Errors
    /// When the rows refuse.
    pub(crate) async fn own_report(
        &self,
        tx: &mut SqliteConnection,
        study: &StudyUid,
        instance: &SopInstanceUid,
        handle: &Handle,
        length: usize,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO own_report (sop_uid, study_uid, handle, length, noted_us) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (sop_uid) DO UPDATE SET handle = excluded.handle, length = excluded.length, lost = 0",
        )
        .bind(instance.as_str())
        .bind(study.as_str())
        .bind(handle.as_row())
        .bind(to_row(length as u64))
        .bind(self.inner.clock.now().0)
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Names a page image of a report of ours in the caller's transaction, as [`Self::own_report`] does the report.
    ///
    /// # Errors
    /// When the rows refuse.
    pub(crate) async fn own_page(
        &self,
        tx: &mut SqliteConnection,
        study: &StudyUid,
        report: &SopInstanceUid,
        page: &SopInstanceUid,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO own_page (sop_uid, study_uid, report_uid, noted_us) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (sop_uid) DO NOTHING",
        )
        .bind(page.as_str())
        .bind(study.as_str())
        .bind(report.as_str())
        .bind(self.inner.clock.now().0)
        .execute(tx)
        .await?;
        Ok(())
    }
}
