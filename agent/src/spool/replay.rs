//! Writes the rows again that a crash took: a group is acknowledged when its frames are durable, before the log of its rows is.

use std::collections::HashMap;

use super::disk::Handle;
use super::recover::Recovery;
use super::{OpenError, Spool, off_runtime, pending, refused_row, store, told};
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
        one(spool, &segment.name, from, recovery).await?;
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
    segment: &str,
    mut at: u64,
    recovery: &mut Recovery,
) -> Result<(), OpenError> {
    loop {
        let (disk, name) = (spool.inner.disk.clone(), segment.to_owned());
        let read = off_runtime(move || disk.frame(&name, at)).await?;
        let Some(frame) = read.map_err(refused("reading a segment"))? else {
            return Ok(());
        };
        at = frame.end;
        let Some(content) = frame.content else {
            tracing::warn!(segment, "a frame without its object is passed over");
            continue;
        };
        match told::hear(&frame.told, content.len() as u64) {
            Some(incoming) => {
                spool.inner.disk.count(&frame.handle);
                let stored = store::again(spool, incoming, &frame.handle).await?;
                tracing::info!(?stored, "the row of a received object is written again");
                recovery.replayed += 1;
            }
            None => recovery.lost += 1,
        }
        let mut tx = spool.begin_rows().await?;
        pending::entered(&mut tx, segment, at).await?;
        tx.commit()
            .await
            .map_err(refused_row("noting how far a segment goes"))?;
    }
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

fn refused(tried: &'static str) -> impl FnOnce(std::io::Error) -> OpenError {
    move |source| OpenError::Disk { tried, source }
}
