//! Storage commitment (PS3.4 J, P14): senders that ask hear whether the gateway holds what they sent, and may then delete it.
//!
//! A request is a row before it is acknowledged. Its result is judged when it is said, from the rows of the spool as they stand then:
//! committed is what has its receipt, and nothing else. What waits is waited for, within a limit; what will not leave fails at once.
//!
//! States of a request:
//!
//! | State | Event | Next |
//! |---|---|---|
//! | | a request is durable | `open` |
//! | `open` | one of its instances waits for its receipt, and the limit is not over | `open` |
//! | `open` | its result was said and acknowledged | `reported` |
//! | `open` | its result was said and not acknowledged | `open`, due later |
//! | `open` | the same so often that it is given up | `given-up` |
//!
//! The result goes over the association on which it was asked for, while that is there, else over a new one (`dicom::commit`).

mod rows;
mod work;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use causeway_proto::ids::{SopClassUid, SopInstanceUid};
use causeway_proto::random::Random;
use causeway_proto::time::Clock;
use futures::future::BoxFuture;
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::spool::{AeTitle, Spool, SpoolError};

/// `[commitment]`: bounds of what senders may ask for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// After how long what has no receipt yet is answered as failed, in seconds: no request is left open.
    pub answer_within_s: u64,
    /// Requests that may be open at one time; one more is refused.
    pub max_open: u32,
    /// Of these, from one sender.
    pub max_open_per_title: u32,
    /// Instances that one request may name.
    pub max_instances: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            answer_within_s: 86_400,
            max_open: 256,
            max_open_per_title: 64,
            max_instances: 10_000,
        }
    }
}

impl Config {
    /// What is wrong with it: which key, and what would be right.
    #[must_use]
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        let (open, each) = (self.max_open, self.max_open_per_title);
        if !(60..=2_592_000).contains(&self.answer_within_s) {
            return Some((
                "commitment.answer_within_s",
                "between 60 s and 30 days would be right",
            ));
        }
        if !(1..=10_000).contains(&open) || !(1..=open).contains(&each) {
            return Some((
                "commitment.max_open",
                "between 1 and 10,000 would be right, and max_open_per_title from 1 to that",
            ));
        }
        if !(1..=20_000).contains(&self.max_instances) {
            return Some((
                "commitment.max_instances",
                "between 1 and 20,000 would be right",
            ));
        }
        None
    }
}

/// One who may ask, and where its results go when the association is over on which it asked.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its title.
    pub title: AeTitle,
    /// `host:port`.
    pub address: String,
}

/// An instance as a request names it.
pub type Named = (SopClassUid, SopInstanceUid);

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asks.
    pub calling: AeTitle,
    /// Which of our titles it called.
    pub called: AeTitle,
    /// (0008,1195).
    pub transaction: SopInstanceUid,
    /// (0008,1199), each once.
    pub instances: Vec<Named>,
}

/// Why an instance is not committed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// It is not known here, or the gateway has deleted it.
    NotHere,
    /// It is known under another class.
    OtherClass,
    /// It does not leave the site, was taken back, or is in doubt; a word for the audit trail.
    Stays(&'static str),
    /// It had no receipt within the limit.
    TooLate,
    /// The transaction UID was used before.
    UsedTwice,
}

impl Failure {
    fn word(self) -> &'static str {
        match self {
            Self::NotHere => "not-here",
            Self::OtherClass => "other-class",
            Self::Stays(word) => word,
            Self::TooLate => "no-receipt-in-time",
            Self::UsedTwice => "transaction-used-twice",
        }
    }
}

/// The result of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who hears it.
    pub calling: AeTitle,
    /// As whom we speak.
    pub called: AeTitle,
    /// (0008,1195).
    pub transaction: SopInstanceUid,
    /// What the gateway holds.
    pub committed: Vec<Named>,
    /// What it does not, and why.
    pub failed: Vec<(Named, Failure)>,
}

/// What came of saying a result: it was acknowledged; or a sentence for people.
pub type Heard = Result<(), String>;

/// A result to be said over the association on which it was asked for.
#[derive(Debug)]
pub struct Saying {
    /// What.
    pub report: Report,
    /// Whether it was acknowledged; dropped when the association ends before that.
    pub heard: oneshot::Sender<Heard>,
}

/// Says a result over a new association with the peer (`agent::dicom::commit::report`, handed in by `app`).
#[derive(Clone)]
pub struct Edge(Arc<dyn Fn(Peer, Report) -> BoxFuture<'static, Heard> + Send + Sync>);

impl Edge {
    /// Wraps the edge's function.
    pub fn new(
        report: impl Fn(Peer, Report) -> BoxFuture<'static, Heard> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(report))
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Edge")
    }
}

/// A request could not be taken; it must not be acknowledged.
#[derive(Debug, Error)]
pub enum CommitmentError {
    /// It names more instances than may be named, or too many requests are open.
    #[error("no room for a request: {0}")]
    Full(&'static str),
    /// The rows refused.
    #[error("the rows of commitments refused: {tried}")]
    Rows {
        /// What was tried.
        tried: &'static str,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// The spool refused.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// The requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Commitments {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    peers: Vec<Peer>,
    spool: Spool,
    clock: Clock,
    random: Random,
    lines: Mutex<Lines>,
    /// Of each open request that waits, an instance that it waits for.
    waiting: Mutex<HashMap<i64, Named>>,
    due: Notify,
}

/// Associations that are there, and which request came over which.
#[derive(Debug, Default)]
struct Lines {
    last: u64,
    open: HashMap<u64, mpsc::Sender<Saying>>,
    asked: HashMap<i64, u64>,
}

/// An association over which results can be said, for as long as this lives.
#[derive(Debug)]
pub struct Line {
    number: u64,
    results: mpsc::Receiver<Saying>,
    inner: Arc<Inner>,
}

impl Line {
    /// The next result to be said. Nothing is lost when this is not waited for to its end.
    pub async fn next(&mut self) -> Saying {
        match self.results.recv().await {
            Some(saying) => saying,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut lines = self.inner.lines();
        lines.open.remove(&self.number);
        lines.asked.retain(|_, line| *line != self.number);
    }
}

impl Inner {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<i64, Named>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Commitments {
    /// Over the rows of the spool; `peers` are those who may ask.
    #[must_use]
    pub fn new(
        config: Config,
        peers: Vec<Peer>,
        spool: Spool,
        clock: Clock,
        random: Random,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                config,
                peers,
                spool,
                clock,
                random,
                lines: Mutex::default(),
                waiting: Mutex::default(),
                due: Notify::new(),
            }),
        }
    }

    /// Its bounds.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// An association begins over which somebody may ask.
    #[must_use]
    pub fn line(&self) -> Line {
        let (sender, results) = mpsc::channel(1);
        let mut lines = self.inner.lines();
        lines.last += 1;
        let number = lines.last;
        lines.open.insert(number, sender);
        drop(lines);
        Line {
            number,
            results,
            inner: Arc::clone(&self.inner),
        }
    }

    /// Takes a request that came over `line`; it is durable when this returns. The same again while it is open is the same request.
    ///
    /// # Errors
    /// When there is no room for it, or the rows refuse: then it may not be acknowledged.
    pub async fn take(&self, request: &Request, line: &Line) -> Result<(), CommitmentError> {
        let id = rows::take(&self.inner, request).await?;
        self.inner.lines().asked.insert(id, line.number);
        self.inner.due.notify_one();
        Ok(())
    }

    /// Judges and says results until `cancel` fires.
    pub async fn run(&self, edge: Edge, cancel: CancellationToken) {
        work::run(self, &edge, &cancel).await;
    }
}

/// Says what was tried when the rows refused.
fn refused(tried: &'static str) -> impl FnOnce(sqlx::Error) -> CommitmentError {
    move |source| CommitmentError::Rows { tried, source }
}
