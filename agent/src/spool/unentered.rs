//! Acknowledged objects whose rows are refused: each is put aside with its bytes, shown, and tried again, so that what came behind it
//! does not wait for it.

use sqlx::SqliteConnection;

use super::disk::{Handle, Place};
use super::store::{self, Incoming};
use super::{Spool, SpoolError, digests, off_runtime, refused_row, told};
use crate::rows::to_row;

/// With so many it is not the objects: nothing more is received.
const MOST: i64 = 64;

/// Puts an object aside. Answers whether its bytes are needed: not when the same are aside already, from the same sender.
pub(super) async fn put(
    tx: &mut SqliteConnection,
    incoming: &Incoming,
    handle: &Handle,
    why: &SpoolError,
) -> Result<bool, SpoolError> {
    tracing::error!(error = %why, "a received object is refused its rows: it is put aside, see `held`");
    let work = async {
        sqlx::query(
            "INSERT INTO unentered (handle, study_uid, sop_uid, source_digest, length, why, since_us, calling, called) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        )
        .bind(handle.as_row())
        .bind(incoming.header.study.as_str())
        .bind(incoming.header.instance.as_str())
        .bind(incoming.digest.map(|digest| digest.to_string()))
        .bind(to_row(incoming.length))
        .bind(why.to_string())
        .bind(incoming.now.0)
        .bind(incoming.arrival.calling.as_str())
        .bind(incoming.arrival.called.as_str())
        .execute(&mut *tx)
        .await?;
        sqlx::query_scalar::<_, i64>("SELECT EXISTS (SELECT 1 FROM unentered WHERE handle = $1)")
            .bind(handle.as_row())
            .fetch_one(&mut *tx)
            .await
    };
    let needed = work.await.map_err(refused_row("putting an object aside"))?;
    Ok(needed != 0)
}

/// By its digest the same object is known when it comes again; what cannot be read has none.
pub(super) async fn digest(
    spool: &Spool,
    incoming: &mut Incoming,
    handle: &Handle,
) -> Result<(), SpoolError> {
    match digests::of_incoming(spool, incoming, handle).await {
        Err(SpoolError::Disk { source, .. }) => {
            tracing::warn!(%source, "no digest of an object");
            Ok(())
        }
        other => other,
    }
}

/// Whether more may be put aside.
pub(super) async fn has_room(tx: &mut SqliteConnection) -> Result<bool, SpoolError> {
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM unentered")
        .fetch_one(tx)
        .await
        .map_err(refused_row("counting what is aside"))?;
    Ok(count < MOST)
}

/// Tries again to write the rows of everything that is aside. Answers how many still are.
pub(super) async fn try_again(spool: &Spool) -> Result<usize, SpoolError> {
    let aside: Vec<String> =
        sqlx::query_scalar("SELECT handle FROM unentered WHERE lost = 0 ORDER BY id")
            .fetch_all(spool.inner.rows.read())
            .await
            .map_err(refused_row("listing what is aside"))?;
    let mut left = aside.len();
    for handle in aside.into_iter().map(Handle::from_row) {
        match enter(spool, &handle).await {
            Ok(()) => {
                tracing::info!("a received object that was refused its rows has them now");
                left = left.saturating_sub(1);
            }
            Err(error) => tracing::debug!(%error, "a received object is still refused its rows"),
        }
    }
    Ok(left)
}

async fn enter(spool: &Spool, handle: &Handle) -> Result<(), SpoolError> {
    let Some(mut incoming) = hear(spool, handle).await? else {
        return Err(SpoolError::Short);
    };
    let named = store::again(spool, &mut incoming, handle).await?;
    let mut tx = spool.begin_rows().await?;
    let work = async {
        sqlx::query("DELETE FROM unentered WHERE handle = $1")
            .bind(handle.as_row())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    };
    work.await
        .map_err(refused_row("noting that an object has its rows"))?;
    if !named {
        spool.remove_bytes(handle).await;
    }
    spool.wake();
    Ok(())
}

/// What its frame says of an object; none when it is not there whole.
async fn hear(spool: &Spool, handle: &Handle) -> Result<Option<Incoming>, SpoolError> {
    let Place::Packed {
        segment, offset, ..
    } = handle.place()
    else {
        return Ok(None);
    };
    let (disk, segment) = (spool.inner.disk.clone(), segment.to_owned());
    let read = off_runtime(move || disk.frame_of(&segment, offset)).await?;
    let frame = read.map_err(|source| SpoolError::Disk {
        tried: "reading an object that is aside",
        source,
    })?;
    Ok(frame.and_then(|frame| told::hear(&frame.told, frame.content?.len() as u64)))
}
