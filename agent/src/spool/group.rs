//! One sync for all that wait: what arrives while another group is being made durable goes together in the next.
//!
//! Only the frames are synced before the answer. Rows follow together ([`super::pending`]).

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::disk::{Block, Handle};
use super::pending::Pending;
use super::store::{Incoming, Received};
use super::{Spool, SpoolError, StoreError};

/// Instances that wait for their group, and the turn to lead one.
#[derive(Debug, Default)]
pub(super) struct Groups {
    waiting: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Waiting {
    incoming: Incoming,
    block: Block,
    answer: oneshot::Sender<Result<Received, StoreError>>,
}

impl Groups {
    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes an instance durable with whatever else waits.
pub(super) async fn commit(
    spool: &Spool,
    incoming: Incoming,
    block: Block,
) -> Result<Received, StoreError> {
    let (answer, answered) = oneshot::channel();
    let groups = &spool.inner.groups;
    groups.waiting().push(Waiting {
        incoming,
        block,
        answer,
    });
    let turn = groups.turn.lock().await;
    let group = std::mem::take(&mut *groups.waiting());
    if !group.is_empty() {
        lead(spool, group);
    }
    drop(turn);
    match answered.await {
        Ok(received) => received,
        Err(_) => Err(SpoolError::Ending.into()),
    }
}

/// Blocks for one sync: receiving has threads of its own, and a hand-over to another one and back costs as much as many a disk.
fn lead(spool: &Spool, group: Vec<Waiting>) {
    let blocks: Vec<&Block> = group.iter().map(|one| &one.block).collect();
    let placed = spool.inner.disk.place(&blocks);
    let (segment, handles) = (placed.segment.clone(), placed.handles.clone());
    let mut blocks = Vec::with_capacity(group.len());
    let mut rest = Vec::with_capacity(group.len());
    for one in group {
        blocks.push(one.block);
        rest.push((one.incoming, one.answer));
    }
    let ends = placed.ends.clone();
    if let Err(error) = spool.inner.disk.write(&placed, &mut blocks) {
        for (_, answer) in rest {
            let source = std::io::Error::new(error.kind(), error.to_string());
            // who has gone away needs no answer
            drop(answer.send(Err(StoreError::Disk {
                tried: "making an instance durable",
                source,
            })));
        }
        return;
    }
    let places: Vec<(Handle, u64)> = handles.into_iter().zip(ends).collect();
    for ((incoming, answer), (handle, end)) in rest.into_iter().zip(places) {
        let (told, entered) = oneshot::channel();
        spool.inner.pending.push(Pending {
            incoming,
            handle,
            segment: segment.clone(),
            end,
            told,
        });
        drop(answer.send(Ok(Received::Queued(entered))));
    }
    spool.inner.pending.ring();
}

#[cfg(test)]
impl Groups {
    /// Keeps everybody waiting.
    pub(super) async fn hold(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// How many wait.
    pub(super) fn count(&self) -> usize {
        self.waiting().len()
    }
}
