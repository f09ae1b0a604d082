//! What happens before the spool takes or gives anything: the lock, and putting in order what the last process left behind.
//!
//! Idempotent: killed at any point and begun again it ends in the same state.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::disk::{Disk, Handle};
use super::heads::Heads;
use super::manifest::{SILENCE, new_version};
use super::{OpenError, Spool, SpoolError, refused_row, replay};
use crate::audit;
use crate::rows::{Rows, from_row, number, to_row};

/// What a start found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Files that were still arriving, removed.
    pub partial_removed: usize,
    /// Files that no row names; removed after an hour of running.
    pub orphans: usize,
    /// Instances without a receipt whose bytes are missing or short: the spool receives nothing until a person has looked.
    pub lost: usize,
    /// Instances with a receipt whose bytes are gone: the gateway has them.
    pub gone_after_receipt: usize,
    /// Corrections and conflicts whose bytes are gone; sent again they are kept aside again.
    pub lost_aside: usize,
    /// Acknowledged instances whose rows had to be written again.
    pub replayed: usize,
    /// Reports whose bytes are gone; the gateway is asked for those that are not delivered everywhere.
    pub lost_reports: usize,
}

impl Recovery {
    /// Whether the spool must not receive.
    #[must_use]
    pub fn safe_mode(&self) -> bool {
        self.lost > 0
    }
}

/// Takes the lock of a spool folder; it is held as long as the file is.
///
/// # Errors
/// When another process holds it, or the folder cannot be written.
pub fn lock(folder: &Path) -> Result<File, OpenError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(folder.join("agent.lock"))
        .map_err(|source| OpenError::Disk {
            tried: "making its lock file",
            source,
        })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked),
        Err(TryLockError::Error(source)) => Err(OpenError::Disk {
            tried: "locking it",
            source,
        }),
    }
}

/// Puts the spool in order.
///
/// # Errors
/// When the disk or the rows refuse.
pub(super) async fn recover(rows: &Rows, disk: &Disk) -> Result<Recovery, OpenError> {
    let for_disk = disk.clone();
    let (partial_removed, kept, segments) = super::off_runtime(move || {
        let removed = for_disk.clear_partial()?;
        Ok::<_, std::io::Error>((removed, for_disk.kept()?, for_disk.segments()?))
    })
    .await?
    .map_err(|source| OpenError::Disk {
        tried: "listing what was left",
        source,
    })?;
    let mut recovery = Recovery {
        partial_removed,
        ..Recovery::default()
    };
    let mut files = Files {
        own: kept.into_iter().collect(),
        segments: segments
            .into_iter()
            .map(|it| (it.name, it.length))
            .collect(),
        headless: HashSet::new(),
        disk: disk.clone(),
    };
    compare(rows, &mut files, &mut recovery).await?;
    note_orphans(rows, &files.own, &mut recovery).await?;
    Ok(recovery)
}

/// What lies on the disk, with lengths.
struct Files {
    own: HashMap<Handle, u64>,
    segments: HashMap<String, u64>,
    /// Where a row names an object and no frame is.
    headless: HashSet<Handle>,
    disk: Disk,
}

impl Files {
    /// Whether the bytes that a row names are there; a file is then taken out, and an object of a segment counted.
    fn take(&mut self, handle: &Handle, length: u64) -> bool {
        if let Some(there) = self.own.remove(handle) {
            return there == length;
        }
        let there = replay::is_there(handle, &self.segments);
        if there {
            self.disk.count(handle);
        }
        there && !self.headless.contains(handle)
    }
}

/// Bytes that a row names.
struct Named {
    id: i64,
    what: String,
    handle: Handle,
    length: u64,
    /// The gateway has them.
    receipted: bool,
}

impl Named {
    fn of(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            what: row.try_get(1)?,
            handle: Handle::from_row(row.try_get(2)?),
            length: from_row(row.try_get(3)?),
            receipted: row.try_get::<i64, _>(4)? != 0,
        })
    }

    /// Received, to be sent, and not at the gateway.
    fn is_only_here(&self) -> bool {
        matches!(self.what.as_str(), "instance" | "unentered") && !self.receipted
    }
}

/// Rows that name bytes, and what they are. Of each kind so many are read at a time: a queue may be long.
const NAMING: [&str; 5] = [
    "SELECT id, 'instance', handle, length, state = 'receipted' FROM instance WHERE handle IS NOT NULL AND id > $1 ORDER BY id LIMIT 2000",
    "SELECT id, 'aside', handle, length, 0 FROM aside WHERE handle IS NOT NULL AND id > $1 ORDER BY id LIMIT 2000",
    "SELECT id, 'unentered', handle, length, 0 FROM unentered WHERE id > $1 ORDER BY id LIMIT 2000",
    "SELECT instance_id, 'masked', handle, length, 0 FROM masked WHERE instance_id > $1 ORDER BY instance_id LIMIT 2000",
    "SELECT rowid, 'report', handle, length, 0 FROM own_report WHERE rowid > $1 ORDER BY rowid LIMIT 2000",
];

/// Takes every file that a row names out of `files`; marks rows whose file is missing or short.
async fn compare(rows: &Rows, files: &mut Files, recovery: &mut Recovery) -> Result<(), OpenError> {
    let mut tx = rows
        .begin()
        .await
        .map_err(refused_row("beginning to put it in order"))?;
    sqlx::query(
        "UPDATE instance SET lost = 0 WHERE lost = 1 AND handle IS NOT NULL; UPDATE unentered SET lost = 0 WHERE lost = 1",
    )
        .execute(&mut *tx)
        .await
        .map_err(refused_row("looking again for what was missing"))?;
    for naming in NAMING {
        let mut behind = i64::MIN;
        loop {
            let named = sqlx::query(naming)
                .bind(behind)
                .fetch_all(&mut *tx)
                .await
                .map_err(refused_row("listing what should be there"))?;
            let named: Vec<Named> = named
                .iter()
                .map(Named::of)
                .collect::<Result<_, _>>()
                .map_err(refused_row("reading what should be there"))?;
            let Some(last) = named.last() else {
                break;
            };
            behind = last.id;
            mark(&mut tx, &named, files, recovery).await?;
        }
    }
    tx.commit()
        .await
        .map_err(refused_row("putting it in order"))?;
    Ok(())
}

async fn mark(
    tx: &mut SqliteConnection,
    named: &[Named],
    files: &mut Files,
    recovery: &mut Recovery,
) -> Result<(), OpenError> {
    let mut heads = Heads::default();
    for one in named.iter().filter(|one| one.is_only_here()) {
        heads.add(&one.handle);
    }
    files.headless = heads.missing(&files.disk).await?;
    for one in named {
        if files.take(&one.handle, one.length) {
            continue;
        }
        sqlx::query(missing(one, recovery))
            .bind(one.id)
            .execute(&mut *tx)
            .await
            .map_err(refused_row("marking what is missing"))?;
    }
    Ok(())
}

/// What is missing is counted, and how its row says so.
fn missing(one: &Named, recovery: &mut Recovery) -> &'static str {
    match (one.what.as_str(), one.receipted) {
        ("instance", false) => {
            recovery.lost += 1;
            "UPDATE instance SET lost = 1 WHERE id = $1"
        }
        ("unentered", _) => {
            recovery.lost += 1;
            "UPDATE unentered SET lost = 1 WHERE id = $1"
        }
        ("instance", _) => {
            recovery.gone_after_receipt += 1;
            "UPDATE instance SET handle = NULL WHERE id = $1"
        }
        ("aside", _) => {
            recovery.lost_aside += 1;
            "DELETE FROM aside WHERE id = $1"
        }
        // made again when the object is decided again, which the end of its file brings about
        ("masked", _) => "DELETE FROM masked WHERE instance_id = $1",
        _ => {
            recovery.lost_reports += 1;
            "UPDATE own_report SET lost = 1 WHERE rowid = $1"
        }
    }
}

/// Files without a row: a crash between the file and its row. The sender never heard success, so nothing is owed for them.
async fn note_orphans(
    rows: &Rows,
    files: &HashMap<Handle, u64>,
    recovery: &mut Recovery,
) -> Result<(), OpenError> {
    recovery.orphans = files.len();
    let mut tx = rows
        .begin()
        .await
        .map_err(refused_row("beginning to note orphans"))?;
    let running = number(&mut tx, super::retain::RUNNING)
        .await
        .map_err(refused_row("reading the hours of running"))?;
    for handle in files.keys() {
        sqlx::query("INSERT INTO orphan (handle, running_s) VALUES ($1, $2) ON CONFLICT (handle) DO NOTHING")
            .bind(handle.as_row())
            .bind(to_row(running))
            .execute(&mut *tx)
            .await
            .map_err(refused_row("noting an orphan"))?;
    }
    tx.commit().await.map_err(refused_row("noting orphans"))?;
    Ok(())
}

/// No association outlives its process: whatever was arriving is silent from now on.
pub(super) async fn quieten(rows: &Rows, now_us: i64) -> Result<(), OpenError> {
    let mut tx = rows
        .begin()
        .await
        .map_err(refused_row("beginning to quieten studies"))?;
    sqlx::query(
        "UPDATE study SET silent_from_us = $1 WHERE state = 'arriving' AND silent_from_us IS NULL",
    )
    .bind(now_us)
    .execute(&mut *tx)
    .await
    .map_err(refused_row("quietening studies"))?;
    tx.commit()
        .await
        .map_err(refused_row("quietening studies"))?;
    Ok(())
}

/// See [`Spool::accept_loss`].
pub(super) async fn accept_loss(spool: &Spool) -> Result<u64, SpoolError> {
    let now = spool.inner.clock.now();
    let mut tx = spool.begin_rows().await?;
    let work = async {
        let studies: Vec<i64> = sqlx::query_scalar(
            "SELECT DISTINCT s.id FROM study s JOIN instance i ON i.study_id = s.id \
             WHERE i.lost = 1 AND i.handle IS NOT NULL AND s.state IN ('complete', 'handed-off')",
        )
        .fetch_all(&mut *tx)
        .await?;
        let changed = sqlx::query(
            "UPDATE instance SET state = 'withheld', reason = 'its bytes were lost at the site', handle = NULL \
             WHERE lost = 1 AND handle IS NOT NULL",
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        let gone = sqlx::query("DELETE FROM unentered WHERE lost = 1")
            .execute(&mut *tx)
            .await?
            .rows_affected();
        let changed = changed.saturating_add(gone);
        for study in studies {
            new_version(&mut tx, study, SILENCE, now).await?;
        }
        let detail = serde_json::json!({ "instances": changed });
        audit::record(&mut tx, now, "loss-accepted", "operator", "spool", &detail).await?;
        tx.commit().await?;
        Ok(changed)
    };
    let changed = work.await.map_err(refused_row("accepting a loss"))?;
    tracing::warn!(
        instances = changed,
        "a person has accepted that bytes are lost"
    );
    spool.wake();
    Ok(changed)
}
