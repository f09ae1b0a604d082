//! Instances of one site that wait to be recorded share a transaction, and so the one sync of its commit.
//!
//! Whoever finds nobody recording for his site records all that wait; the others are told what came of theirs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use causeway_proto::digest::Digest;
use causeway_proto::ids::SiteId;
use tokio::sync::oneshot;

use super::admit::Label;
use super::index::{IndexError, Indexed};
use super::record::Outcome;
use super::{Ingest, IngestError};
use crate::archive::BlobKey;

/// So many share a transaction at most, and so many bytes of metadata unless one alone has more: another writer waits no longer than
/// these take, and the disk's reserve has room for them.
const TOGETHER: usize = 32;
const TOGETHER_BYTES: usize = 4 << 20;

/// A durable blob, what it is and what its header says.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) label: Label,
    pub(super) length: u64,
    pub(super) digest: Digest,
    pub(super) blob: BlobKey,
    pub(super) indexed: Result<Indexed, IndexError>,
}

impl Stored {
    fn weight(&self) -> usize {
        let metadata = self
            .indexed
            .as_ref()
            .map_or(0, |found| found.metadata.len());
        metadata.saturating_add(1024)
    }
}

type Answer = Result<Outcome, IngestError>;

/// One that waits.
#[derive(Debug)]
struct Entry {
    stored: Arc<Stored>,
    answer: oneshot::Sender<Answer>,
}

impl Entry {
    fn tell(self, answer: Answer) {
        // where the stream has gone meanwhile nobody hears it: the sender asks again, and what is there is found
        drop(self.answer.send(answer));
    }
}

/// Those of one site that wait, and the turn of the one that records.
#[derive(Debug, Default)]
struct Line {
    waiting: Mutex<VecDeque<Entry>>,
    turn: tokio::sync::Mutex<()>,
}

impl Line {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next ones whose streams still want to know.
    fn next(&self) -> Vec<Entry> {
        let mut waiting = self.waiting();
        let mut bytes = 0_usize;
        let fits = waiting.iter().take(TOGETHER).take_while(|entry| {
            let first = bytes == 0;
            bytes = bytes.saturating_add(entry.stored.weight());
            first || bytes <= TOGETHER_BYTES
        });
        let count = fits.count();
        let next = waiting.drain(..count);
        next.filter(|entry| !entry.answer.is_closed()).collect()
    }
}

/// The lines of all sites.
#[derive(Debug, Default)]
pub(super) struct Lines(Mutex<HashMap<SiteId, Arc<Line>>>);

impl Lines {
    fn of(&self, site: &SiteId) -> Arc<Line> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.entry(site.clone()).or_default().clone()
    }

    /// How many of a site wait.
    #[cfg(test)]
    pub(super) fn waiting(&self, site: &SiteId) -> usize {
        self.of(site).waiting().len()
    }

    /// Whether somebody records for a site.
    #[cfg(test)]
    pub(super) fn is_recording(&self, site: &SiteId) -> bool {
        self.of(site).turn.try_lock().is_err()
    }
}

impl Ingest {
    /// Records an instance with the others of its site that wait.
    pub(super) async fn record_together(&self, stored: &Arc<Stored>) -> Answer {
        let site = &stored.label.key.site;
        let line = self.lines().of(site);
        loop {
            let (answer, mut answered) = oneshot::channel();
            let entry = Entry {
                stored: stored.clone(),
                answer,
            };
            line.waiting().push_back(entry);
            loop {
                let turn = tokio::select! {
                    biased;
                    said = &mut answered => match said {
                        Ok(answer) => return answer,
                        // whoever recorded it was cut off before he knew what came of it: what is there already is found there
                        Err(_) => break,
                    },
                    turn = line.turn.lock() => turn,
                };
                self.record_these(site, line.next()).await;
                drop(turn);
            }
        }
    }

    /// Records entries in one transaction; when that fails each in one of its own, so that only what cannot be recorded fails.
    async fn record_these(&self, site: &SiteId, entries: Vec<Entry>) {
        if entries.len() > 1 {
            let all: Vec<_> = entries.iter().map(|entry| entry.stored.clone()).collect();
            match self.record_all(site, &all).await {
                Ok(outcomes) => {
                    for (entry, outcome) in entries.into_iter().zip(outcomes) {
                        entry.tell(Ok(outcome));
                    }
                    return;
                }
                // the rows are away: nobody waits for that once more, one after the other
                Err(IngestError::Database(
                    error @ (sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::Io(_)),
                )) => {
                    tracing::error!(%site, together = all.len(), %error, "instances could not be recorded");
                    for entry in entries {
                        entry.tell(Err(sqlx::Error::PoolTimedOut.into()));
                    }
                    return;
                }
                Err(error) => {
                    tracing::debug!(%site, together = all.len(), %error, "instances are recorded one by one");
                }
            }
        }
        for entry in entries {
            let alone = self.record_all(site, std::slice::from_ref(&entry.stored));
            let outcome = alone
                .await
                .and_then(|mut all| all.pop().ok_or(IngestError::Row));
            entry.tell(outcome);
        }
    }
}
