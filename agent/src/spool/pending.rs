//! Instances that are durable in segments and whose rows are not written yet: many at once, in one transaction that is not synced.
//!
//! Until the log of the rows is synced, with the next commit that is, they can be written again from the frames ([`super::replay`]).
//! What a study is called must not change over a crash, so the commit that opens one is synced.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use causeway_proto::ids::AgreementId;
use sqlx::SqliteConnection;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::disk::Handle;
use super::entry::Stored;
use super::insert::insert_instances;
use super::store::{self, Incoming, Recorded};
use super::{Spool, SpoolError, refused_row, unentered};
use crate::rows::to_row;

/// So many are written in one transaction.
const AT_ONCE: usize = 256;
/// With so many waiting, no more is taken before they are written.
const MOST: usize = 2048;
/// While more comes, rows are written no more often than this: a group of them costs little more than one.
const GATHER: Duration = Duration::from_millis(20);

/// What waits for its rows, in the order of its frames.
#[derive(Debug, Default)]
pub(super) struct Pendings {
    waiting: Mutex<Vec<Pending>>,
    turn: tokio::sync::Mutex<()>,
    bell: Notify,
    refused: AtomicBool,
    /// Something was committed that has to be synced, and is not known to be.
    owes_sync: AtomicBool,
}

/// An acknowledged instance.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) incoming: Incoming,
    pub(super) handle: Handle,
    /// Where its frame lies and ends.
    pub(super) segment: String,
    pub(super) end: u64,
    /// To be told what became of it.
    pub(super) told: oneshot::Sender<Stored>,
}

impl Pendings {
    fn waiting(&self) -> MutexGuard<'_, Vec<Pending>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, one: Pending) {
        self.waiting().push(one);
    }

    /// Something waits.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Whether rows have to be written before more may be taken: they are refused, or fall behind.
    pub(super) fn is_behind(&self) -> bool {
        self.refused.load(Ordering::Relaxed) || self.waiting().len() > MOST
    }
}

/// Writes rows as instances come, until `cancel` fires.
pub(super) async fn run(spool: &Spool, cancel: &CancellationToken) {
    let pending = &spool.inner.pending;
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = pending.bell.notified() => {}
        }
        let began = Instant::now();
        if let Err(error) = settle(spool).await {
            tracing::error!(%error, "the rows of received objects cannot be written; nothing is received until they can");
            tokio::time::sleep(GATHER).await;
            pending.ring();
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep_until(began + GATHER) => {}
        }
    }
}

/// A group whose rows are being written. When that fails or is cut off it waits again, before all others: whatever comes after it in its
/// segment must not be entered without it.
struct InHand<'a> {
    pending: &'a Pendings,
    group: Vec<Pending>,
}

impl<'a> InHand<'a> {
    fn take(pending: &'a Pendings, most: usize) -> Self {
        let mut waiting = pending.waiting();
        let count = waiting.len().min(most);
        let group = waiting.drain(..count).collect();
        drop(waiting);
        Self { pending, group }
    }

    /// Its rows are committed.
    fn done(mut self) -> Vec<Pending> {
        std::mem::take(&mut self.group)
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        if !self.group.is_empty() {
            let group = std::mem::take(&mut self.group);
            self.pending.waiting().splice(..0, group);
            self.pending.ring();
        }
    }
}

/// Writes the rows of everything that is acknowledged by now. May be cut off anywhere.
pub(super) async fn settle(spool: &Spool) -> Result<(), SpoolError> {
    let pending = &spool.inner.pending;
    let _turn = pending.turn.lock().await;
    let settled = in_turn(spool, pending).await;
    pending.refused.store(settled.is_err(), Ordering::Relaxed);
    settled
}

async fn in_turn(spool: &Spool, pending: &Pendings) -> Result<(), SpoolError> {
    if pending.owes_sync.load(Ordering::Relaxed) {
        // a sync has failed, or nobody saw its end
        sync(spool, pending).await?;
    }
    // what comes meanwhile is for the next one
    let mut left = pending.waiting().len();
    let mut alone: usize = 0;
    while left > 0 {
        let most = if alone > 0 { 1 } else { left.min(AT_ONCE) };
        let mut hand = InHand::take(pending, most);
        match write(spool, &mut hand.group).await {
            // one of them is refused: which one, if it is not all of them?
            Err(error) if error.is_of_the_object() && most > 1 => {
                alone = hand.group.len();
                continue;
            }
            Err(error) if error.is_of_the_object() => put_aside(spool, hand, error).await?,
            written => tell(spool, hand, written?).await,
        }
        left = left.saturating_sub(most);
        alone = alone.saturating_sub(1);
        if pending.owes_sync.load(Ordering::Relaxed) {
            sync(spool, pending).await?;
        }
        spool.wake();
    }
    Ok(())
}

async fn sync(spool: &Spool, pending: &Pendings) -> Result<(), SpoolError> {
    let synced = spool.inner.rows.sync().await;
    synced.map_err(refused_row("syncing rows"))?;
    pending.owes_sync.store(false, Ordering::Relaxed);
    Ok(())
}

/// What is left to be done when the rows of a group are committed: all of it has begun before it can be cut off.
async fn tell(spool: &Spool, hand: InHand<'_>, recorded: Vec<Recorded>) {
    let mut unneeded = Vec::new();
    for (one, recorded) in hand.done().into_iter().zip(recorded) {
        recorded.tell(spool, &one.incoming);
        if !recorded.keeps_file {
            unneeded.push(one.handle);
        }
        // most wait for no more than the bytes
        one.told.send(recorded.stored).ok();
    }
    spool.remove_all(unneeded).await;
}

/// What is refused its rows is kept elsewhere, and no longer stands before what comes behind it.
async fn put_aside(spool: &Spool, mut hand: InHand<'_>, why: SpoolError) -> Result<(), SpoolError> {
    let Some(one) = hand.group.first_mut() else {
        return Ok(());
    };
    unentered::digest(spool, &mut one.incoming, &one.handle).await?;
    let mut tx = spool.begin_rows().await?;
    if !unentered::has_room(&mut tx).await? {
        tracing::error!(error = %why, "a received object is refused its rows");
        return Err(SpoolError::Full);
    }
    let needed = unentered::put(&mut tx, &one.incoming, &one.handle, &why).await?;
    entered(&mut tx, &one.segment, one.end).await?;
    tx.commit()
        .await
        .map_err(refused_row("putting an object aside"))?;
    let recorded = Recorded {
        stored: Stored::Unentered,
        study: None,
        keeps_file: needed,
        opens: false,
    };
    tell(spool, hand, vec![recorded]).await;
    Ok(())
}

async fn write(spool: &Spool, group: &mut [Pending]) -> Result<Vec<Recorded>, SpoolError> {
    let beginning = spool.inner.rows.begin_unsynced().await;
    let mut tx = beginning.map_err(refused_row("beginning to write rows"))?;
    let recorded = enter(spool, &mut tx, group).await?;
    if recorded.iter().any(|one| one.opens) {
        spool.inner.pending.owes_sync.store(true, Ordering::Relaxed);
    }
    tx.commit().await.map_err(refused_row("committing rows"))?;
    Ok(recorded)
}

/// Writes the rows of a group: of those whose UIDs are new together, then of the others one by one.
async fn enter(
    spool: &Spool,
    tx: &mut SqliteConnection,
    group: &mut [Pending],
) -> Result<Vec<Recorded>, SpoolError> {
    let met = met(tx, group).await?;
    let mut studies = Studies::default();
    let mut recorded: Vec<Option<Recorded>> = Vec::with_capacity(group.len());
    let mut seen = HashSet::new();
    for one in group.iter_mut() {
        let uid = one.incoming.header.instance.as_str();
        let is_new = !met.contains(uid) && seen.insert(uid.to_owned());
        recorded.push(match is_new {
            true => Some(studies.of(spool, tx, &mut one.incoming).await?),
            false => None,
        });
    }
    let new: Vec<(i64, &Incoming, &Handle)> = group
        .iter()
        .zip(&recorded)
        .filter_map(|(one, recorded)| {
            let study = recorded.as_ref()?.study?;
            Some((study, &one.incoming, &one.handle))
        })
        .collect();
    if !new.is_empty() {
        insert_instances(tx, &new).await?;
    }
    let mut all = Vec::with_capacity(group.len());
    for (one, recorded) in group.iter_mut().zip(recorded) {
        all.push(match recorded {
            Some(recorded) => recorded,
            None => store::record(spool, tx, &mut one.incoming, &one.handle).await?,
        });
    }
    let ends: HashMap<&str, u64> = group
        .iter()
        .map(|one| (one.segment.as_str(), one.end))
        .collect();
    for (segment, end) in ends {
        entered(tx, segment, end).await?;
    }
    Ok(all)
}

/// Which UIDs of a group are there already, as objects of the site or of ours.
async fn met(tx: &mut SqliteConnection, group: &[Pending]) -> Result<HashSet<String>, SpoolError> {
    let uids: Vec<&str> = group
        .iter()
        .map(|one| one.incoming.header.instance.as_str())
        .collect();
    let met: Vec<String> = sqlx::query_scalar(
        "SELECT value FROM json_each($1) WHERE EXISTS (SELECT 1 FROM instance WHERE sop_uid = value) \
         OR EXISTS (SELECT 1 FROM own_report WHERE sop_uid = value) OR EXISTS (SELECT 1 FROM own_page WHERE sop_uid = value) \
         OR EXISTS (SELECT 1 FROM home_report WHERE sop_uid = value)",
    )
    .bind(serde_json::json!(uids).to_string())
    .fetch_all(tx)
    .await
    .map_err(refused_row("looking for the same instances"))?;
    Ok(met.into_iter().collect())
}

/// So far the rows of a segment are written.
pub(super) async fn entered(
    tx: &mut SqliteConnection,
    segment: &str,
    end: u64,
) -> Result<(), SpoolError> {
    sqlx::query(
        "INSERT INTO segment (name, entered) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET entered = excluded.entered",
    )
    .bind(segment)
    .bind(to_row(end))
    .execute(tx)
    .await
    .map_err(refused_row("noting how far a segment goes"))?;
    Ok(())
}

/// The studies of a group, each looked for once for all its instances that say the same of it.
#[derive(Default)]
struct Studies {
    agreements: HashMap<(String, Option<AgreementId>), String>,
    rows: HashMap<String, i64>,
}

impl Studies {
    async fn of(
        &mut self,
        spool: &Spool,
        tx: &mut SqliteConnection,
        incoming: &mut Incoming,
    ) -> Result<Recorded, SpoolError> {
        let (arrival, header) = (&incoming.arrival, &incoming.header);
        let given = arrival.agreement.as_ref();
        let choice = &spool.inner.config.agreement;
        let given = given.or_else(|| choice.ruled(arrival, header)).cloned();
        let key = (header.study.as_str().to_owned(), given);
        let agreement = match self.agreements.get(&key) {
            Some(known) => known.clone(),
            None => {
                let found = store::agreement(spool, &mut *tx, arrival, header).await?;
                self.agreements.insert(key, found.clone());
                found
            }
        };
        incoming.agreement = agreement;
        let (arrival, header) = (&incoming.arrival, &incoming.header);
        // everything of which a study takes something over
        let says = format!(
            "{} {} {} {} {:?} {} {}",
            header.study.as_str(),
            incoming.agreement,
            arrival.purpose.as_str(),
            arrival.priority.as_str(),
            incoming.kind,
            header.modality,
            header.image
        );
        if let Some(study) = self.rows.get(&says) {
            return Ok(Recorded::new(*study, false));
        }
        let (study, opens) = store::study_of(spool, tx, incoming).await?;
        self.rows.insert(says, study);
        Ok(Recorded::new(study, opens))
    }
}

#[cfg(test)]
impl Pendings {
    /// How many wait.
    pub(super) fn count(&self) -> usize {
        self.waiting().len()
    }
}
