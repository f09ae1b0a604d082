//! Bytes of the spool that are gone, or are not what was received: their instance is not offered any more, `held` shows it, and when it
//! is sent again it takes its place.

use causeway_proto::link::message::InstanceKey;
use sqlx::SqliteConnection;

use super::disk::Handle;
use super::outgoing::row_of;
use super::{Spool, SpoolError, off_runtime, refused_row};

impl Spool {
    /// The bytes of an instance, read at `handle`, cannot be read whole: it is not offered any more, until it is sent again. Where only
    /// its masked pixels are to blame they are made again. What has come in the place of those bytes is not meant. Reads all of it.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn unreadable(&self, key: &InstanceKey, handle: &Handle) -> Result<(), SpoolError> {
        if let Some(given) = self.given(key).await?
            && given.source.handle == *handle
            && self.masked_pixels(&given).await?.is_some()
            && read_whole(self, handle, given.source.length).await?.is_ok()
        {
            return made_again(self, key).await;
        }
        self.lost(key, handle).await
    }

    async fn lost(&self, key: &InstanceKey, handle: &Handle) -> Result<(), SpoolError> {
        let Some(answered) = row_of(self, key).await? else {
            return Ok(());
        };
        let mut tx = self.begin_rows().await?;
        note(&mut tx, answered.id, handle)
            .await
            .map_err(refused_row("noting a loss"))?;
        tx.commit().await.map_err(refused_row("noting a loss"))
    }
}

/// Notes that the bytes at `handle` are lost, unless others have come in their place.
pub(super) async fn note(
    tx: &mut SqliteConnection,
    id: i64,
    handle: &Handle,
) -> Result<(), sqlx::Error> {
    let noted = sqlx::query(
        "UPDATE instance SET lost = 1 WHERE id = $1 AND state = 'waiting' AND lost = 0 AND handle = $2",
    )
    .bind(id)
    .bind(handle.as_row())
    .execute(tx)
    .await?
    .rows_affected();
    if noted > 0 {
        tracing::error!(
            "a received object cannot be read as it was received: it is not sent until it comes again, see `held`"
        );
    }
    Ok(())
}

async fn made_again(spool: &Spool, key: &InstanceKey) -> Result<(), SpoolError> {
    tracing::error!("masked pixels have changed on the disk: they are made again");
    spool.protect_again(key).await
}

/// The gateway got other bytes than were decided: looks whether they have changed here since. Answers whether that was it; the instance
/// is then lost, or only its masked pixels are, which are made again.
pub(super) async fn have_changed(spool: &Spool, key: &InstanceKey) -> Result<bool, SpoolError> {
    let Some(given) = spool.given(key).await? else {
        return Ok(false);
    };
    if changed(spool, &given.source.handle, given.source.length).await? {
        spool.lost(key, &given.source.handle).await?;
        return Ok(true);
    }
    if let Some(pixels) = spool.masked_pixels(&given).await?
        && changed(spool, &pixels.handle, pixels.length).await?
    {
        made_again(spool, key).await?;
        return Ok(true);
    }
    Ok(false)
}

/// Whether kept bytes are gone, or are not what they were. A disk that refuses to read them may read them yet.
async fn changed(spool: &Spool, handle: &Handle, length: u64) -> Result<bool, SpoolError> {
    match read_whole(spool, handle, length).await? {
        Ok(()) => Ok(false),
        Err(error) => Ok(error.of_the_bytes() == Some(true)),
    }
}

/// Reads kept bytes to their end and compares them with what they were.
async fn read_whole(
    spool: &Spool,
    handle: &Handle,
    length: u64,
) -> Result<Result<(), SpoolError>, SpoolError> {
    let (disk, handle) = (spool.inner.disk.clone(), handle.clone());
    let read = off_runtime(move || disk.checked(&handle, length)?.end()).await?;
    Ok(read.map_err(|source| SpoolError::Disk {
        tried: "comparing kept bytes",
        source,
    }))
}
