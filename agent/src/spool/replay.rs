//! Writes the rows again that a crash took: a group is acknowledged when its frames are durable, before the log of its rows is.

use std::collections::HashMap;
use std::io;

use bytes::Bytes;

use super::disk::{Found, Handle};
use super::recover::Recovery;
use super::store::Incoming;
use super::{
    OpenError, Spool, SpoolError, off_runtime, pending, refused_row, store, told, unentered,
};
use crate::rows::from_row;

/// What stands in segments behind the place up to which their rows are written gets its rows; segments of which nothing is needed go.
pub(super) async fn replay(spool: &Spool, recovery: &mut Recovery) -> Result<(), OpenError> {
    let disk = spool.inner.disk.clone();
    let listing = off_runtime(move || disk.segments()).await?;
    let segments = listing.map_err(refused("listing segments"))?;
    let entered: Vec<(String, i64)> = sqlx::query_as("SELECT name, entered FROM segment")
        .fetch_all(spool.inner.rows.read())
        .await
        .map_err(refused_row("reading how far segments go"))?;
    let mut entered: HashMap<String, i64> = entered.into_iter().collect();
    for segment in segments {
        let from = entered.remove(&segment.name).map_or(0, from_row);
        one(spool, segment, from, recovery).await?;
    }
    let disk = spool.inner.disk.clone();
    off_runtime(move || disk.sweep())
        .await?
        .map_err(refused("removing segments"))?;
    let gone: Vec<String> = entered.into_keys().collect();
    forget(spool, &gone).await
}

async fn one(
    spool: &Spool,
    found: Found,
    mut at: u64,
    recovery: &mut Recovery,
) -> Result<(), OpenError> {
    let segment = found.name.as_str();
    // removed when the segment is read to its end: with its last object it goes itself
    let mut unneeded = Vec::new();
    loop {
        let (disk, name) = (spool.inner.disk.clone(), segment.to_owned());
        let read = off_runtime(move || disk.frame(&name, at)).await?;
        let Some(frame) = read.map_err(refused("reading a segment"))? else {
            break;
        };
        at = frame.end;
        let mut ends = vec![(segment.to_owned(), at)];
        match &frame.content {
            None => tracing::warn!(segment, "a frame without its object is passed over"),
            Some(_) if is_named(spool, &frame.handle).await? => {}
            Some(content) => match told::hear(&frame.told, content.len() as u64) {
                Some(incoming) => {
                    let (handle, end) = moved(spool, content.clone(), frame.told.clone()).await?;
                    let named = again(spool, incoming, &handle).await?;
                    tracing::info!(named, "the row of a received object is written again");
                    if !named {
                        unneeded.push(handle);
                    }
                    unneeded.push(frame.handle);
                    ends.push(end);
                    recovery.replayed += 1;
                }
                None => recovery.lost += 1,
            },
        }
        let mut tx = spool.begin_rows().await?;
        for (segment, end) in ends {
            pending::entered(&mut tx, &segment, end).await?;
        }
        tx.commit()
            .await
            .map_err(refused_row("noting how far a segment goes"))?;
    }
    for handle in unneeded {
        spool.remove_bytes(&handle).await;
    }
    // each process begins a segment of its own, with all its room
    let disk = spool.inner.disk.clone();
    let trimmed = off_runtime(move || disk.trim(&found, at)).await?;
    // with its last object a segment is gone
    if let Err(error) = trimmed
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "the room of a segment is not given back");
    }
    Ok(())
}

/// Writes the rows of an object, or puts it aside when they are refused. Answers whether its bytes are needed.
async fn again(spool: &Spool, mut incoming: Incoming, handle: &Handle) -> Result<bool, SpoolError> {
    let why = match store::again(spool, &mut incoming, handle).await {
        Err(error) if error.is_of_the_object() => error,
        written => return written,
    };
    unentered::digest(spool, &mut incoming, handle).await?;
    let mut tx = spool.begin_rows().await?;
    let needed = unentered::put(&mut tx, &incoming, handle, &why).await?;
    tx.commit()
        .await
        .map_err(refused_row("putting an object aside"))?;
    Ok(needed)
}

/// Whether a row names these very bytes already.
async fn is_named(spool: &Spool, handle: &Handle) -> Result<bool, OpenError> {
    let named: i64 = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM instance WHERE handle = $1) OR EXISTS (SELECT 1 FROM aside WHERE handle = $1) \
         OR EXISTS (SELECT 1 FROM unentered WHERE handle = $1)",
    )
    .bind(handle.as_row())
    .fetch_one(spool.inner.rows.read())
    .await
    .map_err(refused_row("looking for an object's row"))?;
    Ok(named != 0)
}

/// Writes an object into a segment of this process. Where it was found it may never have been synced: it can be what a sync failed for,
/// and no later one would say so.
async fn moved(
    spool: &Spool,
    content: Bytes,
    told: Vec<u8>,
) -> Result<(Handle, (String, u64)), OpenError> {
    let disk = spool.inner.disk.clone();
    let writing = move || {
        let mut block = disk.block();
        block.push(&content);
        if !block.seal(&told) {
            return Err(io::Error::other("what is told of it does not fit"));
        }
        let placed = disk.place(&[&block]);
        disk.write(&placed, &mut [block])?;
        let place = placed.handles.into_iter().zip(placed.ends).next();
        let (handle, end) = place.ok_or_else(|| io::Error::other("it has no place"))?;
        Ok((handle, (placed.segment, end)))
    };
    off_runtime(writing)
        .await?
        .map_err(refused("writing an object again"))
}

async fn forget(spool: &Spool, gone: &[String]) -> Result<(), OpenError> {
    if gone.is_empty() {
        return Ok(());
    }
    let mut tx = spool.begin_rows().await?;
    for name in gone {
        sqlx::query("DELETE FROM segment WHERE name = $1")
            .bind(name)
            .execute(&mut *tx)
            .await
            .map_err(refused_row("forgetting a segment"))?;
    }
    tx.commit()
        .await
        .map_err(refused_row("forgetting segments"))?;
    Ok(())
}

/// Whether the bytes of a handle are all there, as far as the lengths of files and segments tell.
pub(super) fn is_there(handle: &Handle, files: &HashMap<String, u64>) -> bool {
    match handle.place() {
        super::disk::Place::Packed {
            segment,
            offset,
            length,
        } => files
            .get(segment)
            .is_some_and(|there| *there >= offset.saturating_add(length)),
        super::disk::Place::File(_) => false,
    }
}

fn refused(tried: &'static str) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Disk { tried, source }
}
