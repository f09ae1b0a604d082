//! Removal: bytes go only after the gateway's receipt, the hand-off of their study, and their time (I6); and files that no row names.
//!
//! The time is counted twice, by the wall clock and by the seconds this agent has been running, and both must have passed: a
//! clock that is set forward removes nothing (R18).

use std::time::Duration;

use sqlx::Row;

use super::disk::Handle;
use super::{Spool, SpoolError, refused_row};
use crate::rows::{number, set_fact, to_row};

/// Fact: seconds that this agent has been running, over all its processes.
pub(super) const RUNNING: &str = "running_s";

/// How long a file without a row stays, in seconds of running.
const ORPHAN_STAYS_S: u64 = 3600;

/// At most so many files in one go.
const AT_ONCE: i64 = 1000;

/// Counts `elapsed` as running time, and removes what may go. Answers how many files went.
///
/// # Errors
/// When the rows refuse.
pub(super) async fn prune(spool: &Spool, elapsed: Duration) -> Result<usize, SpoolError> {
    let keep = Duration::from_secs(u64::from(spool.inner.config.disk.keep_after_receipt_h) * 3600);
    let before = spool.inner.clock.now().minus(keep);
    let mut tx = spool.begin_rows().await?;
    let running = number(&mut tx, RUNNING)
        .await
        .map_err(refused_row("reading the time of running"))?
        .saturating_add(elapsed.as_secs());
    set_fact(&mut tx, RUNNING, running)
        .await
        .map_err(refused_row("counting the time of running"))?;
    // the row first: a file without a row is collected, a row without a file would look like a loss
    let gone = sqlx::query(
        "SELECT i.id, i.handle FROM instance i JOIN study s ON s.id = i.study_id \
         WHERE i.state = 'receipted' AND i.handle IS NOT NULL AND i.receipt_us <= $1 AND i.receipt_running <= $2 \
         AND s.state IN ('handed-off', 'recalled') ORDER BY i.receipt_us LIMIT $3",
    )
    .bind(before.0)
    .bind(to_row(running).saturating_sub(to_row(keep.as_secs())))
    .bind(AT_ONCE)
    .fetch_all(&mut *tx)
    .await
    .map_err(refused_row("looking for what may be removed"))?;
    let mut handles = Vec::with_capacity(gone.len());
    for row in gone {
        let read =
            || -> Result<(i64, String), sqlx::Error> { Ok((row.try_get(0)?, row.try_get(1)?)) };
        let (id, handle) = read().map_err(refused_row("reading what may be removed"))?;
        sqlx::query("UPDATE instance SET handle = NULL WHERE id = $1")
            .bind(id)
            .execute(&mut *tx)
            .await
            .map_err(refused_row("noting a removal"))?;
        handles.push(handle);
    }
    let orphans: Vec<String> = sqlx::query_scalar(
        "DELETE FROM orphan WHERE running_s <= $1 AND handle NOT IN \
         (SELECT handle FROM instance WHERE handle IS NOT NULL UNION ALL SELECT handle FROM aside \
         UNION ALL SELECT handle FROM own_report) RETURNING handle",
    )
    .bind(to_row(running).saturating_sub(to_row(ORPHAN_STAYS_S)))
    .fetch_all(&mut *tx)
    .await
    .map_err(refused_row("looking for files without a row"))?;
    tx.commit()
        .await
        .map_err(refused_row("committing a removal"))?;
    handles.extend(orphans);
    let count = handles.len();
    for handle in handles {
        spool.remove_bytes(&Handle::from_row(handle)).await;
    }
    Ok(count)
}
