//! Removal: bytes go only after the gateway's receipt, the hand-off of their study, and their time (I6); and files that no row names.
//!
//! The time is counted twice, by the wall clock and by the seconds this agent has been running, and both must have passed: a
//! clock that is set forward removes nothing (R18).

use std::time::Duration;

use causeway_proto::time::Timestamp;
use sqlx::SqliteConnection;

use super::disk::Handle;
use super::{Spool, SpoolError, digests, refused_row};
use crate::rows::{number, set_fact, to_row};

/// Fact: seconds that this agent has been running, over all its processes.
pub(super) const RUNNING: &str = "running_s";

/// How long a file without a row stays, in seconds of running.
const ORPHAN_STAYS_S: u64 = 3600;

/// At most so many files in one go.
const AT_ONCE: i64 = 1000;

/// Rows whose bytes may go, and how their going is noted.
struct Kind {
    found: &'static str,
    gone: &'static str,
}

const INSTANCES: Kind = Kind {
    found: "SELECT i.id, i.handle FROM instance i JOIN study s ON s.id = i.study_id \
         WHERE i.state = 'receipted' AND i.handle IS NOT NULL AND i.receipt_us <= $1 AND i.receipt_running <= $2 \
         AND s.state IN ('handed-off', 'recalled') ORDER BY i.receipt_us LIMIT $3",
    gone: "UPDATE instance SET handle = NULL WHERE id = $1",
};

/// Corrections and conflicts go with their instance; one that came later has as long a time of its own.
const ASIDE: Kind = Kind {
    found: "SELECT a.id, a.handle FROM aside a JOIN instance i ON i.id = a.instance_id JOIN study s ON s.id = i.study_id \
         WHERE i.state = 'receipted' AND a.handle IS NOT NULL AND i.receipt_us <= $1 AND i.receipt_running <= $2 \
         AND a.seen_us <= $1 AND s.state IN ('handed-off', 'recalled') ORDER BY a.seen_us LIMIT $3",
    gone: "UPDATE aside SET handle = NULL WHERE id = $1",
};

/// Masked pixels go with what they were made of.
const MASKED: Kind = Kind {
    found: "SELECT m.instance_id, m.handle FROM masked m JOIN instance i ON i.id = m.instance_id WHERE i.handle IS NULL \
         AND $1 IS NOT NULL AND $2 IS NOT NULL LIMIT $3",
    gone: "DELETE FROM masked WHERE instance_id = $1",
};

/// Counts `elapsed` as running time, and removes what may go. Answers how many files went.
///
/// # Errors
/// When the rows refuse.
pub(super) async fn prune(spool: &Spool, elapsed: Duration) -> Result<usize, SpoolError> {
    let keep = Duration::from_secs(u64::from(spool.inner.config.disk.keep_after_receipt_h) * 3600);
    let before = spool.inner.clock.now().minus(keep);
    let so_far = running_s(spool).await?.saturating_add(elapsed.as_secs());
    let before_running = to_row(so_far).saturating_sub(to_row(keep.as_secs()));
    digests::before_removal(spool, before, before_running, AT_ONCE).await?;
    let mut tx = spool.begin_rows().await?;
    let running = number(&mut tx, RUNNING)
        .await
        .map_err(refused_row("reading the time of running"))?
        .saturating_add(elapsed.as_secs());
    set_fact(&mut tx, RUNNING, running)
        .await
        .map_err(refused_row("counting the time of running"))?;
    let mut handles = Vec::new();
    for kind in [&INSTANCES, &ASIDE, &MASKED] {
        handles.extend(over(&mut tx, kind, before, before_running).await?);
    }
    let orphans: Vec<String> = sqlx::query_scalar(
        "DELETE FROM orphan WHERE running_s <= $1 AND handle NOT IN \
         (SELECT handle FROM instance WHERE handle IS NOT NULL UNION ALL \
         SELECT handle FROM aside WHERE handle IS NOT NULL UNION ALL SELECT handle FROM masked UNION ALL SELECT handle FROM own_report) RETURNING handle",
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

async fn running_s(spool: &Spool) -> Result<u64, SpoolError> {
    let work = async {
        let mut rows = spool.inner.rows.read().acquire().await?;
        number(&mut rows, RUNNING).await
    };
    work.await
        .map_err(refused_row("reading the time of running"))
}

/// Takes the files off their rows. The row first: a file without a row is collected, a row without a file would look like a loss.
async fn over(
    tx: &mut SqliteConnection,
    kind: &Kind,
    before: Timestamp,
    before_running: i64,
) -> Result<Vec<String>, SpoolError> {
    let gone: Vec<(i64, String)> = sqlx::query_as(kind.found)
        .bind(before.0)
        .bind(before_running)
        .bind(AT_ONCE)
        .fetch_all(&mut *tx)
        .await
        .map_err(refused_row("looking for what may be removed"))?;
    let mut handles = Vec::with_capacity(gone.len());
    for (id, handle) in gone {
        sqlx::query(kind.gone)
            .bind(id)
            .execute(&mut *tx)
            .await
            .map_err(refused_row("noting a removal"))?;
        handles.push(handle);
    }
    Ok(handles)
}
