//! What `app` hands to every room that runs: rows, clock, randomness, the authorities, wake-ups, and how to stop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use causeway_certs::authority::{LinkAuthority, SignerAuthority};
use causeway_certs::reload::LiveServer;
use causeway_proto::random::Random;
use causeway_proto::time::Clock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::rows::Rows;

/// Shortens a wait in another room of this process. What it announces stands in rows: who misses it finds it at the next look.
#[derive(Clone, Debug)]
pub struct Wake(Arc<watch::Sender<u64>>);

impl Default for Wake {
    fn default() -> Self {
        Self(Arc::new(watch::channel(0).0))
    }
}

impl Wake {
    /// Wakes everybody who listens, now or at his next wait.
    pub fn ring(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Begins to listen.
    #[must_use]
    pub fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

/// One who waits for a [`Wake`].
#[derive(Debug)]
pub struct Listener(watch::Receiver<u64>);

impl Listener {
    /// Waits until the wake rings, or has rung since the last wait.
    pub async fn rung(&mut self) {
        // a sender that is gone means that the process ends
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the wake rings, has rung since the last wait, or `limit` is over.
    pub async fn wait(&mut self, limit: Duration) {
        // both ends of the wait mean the same: look at the rows again
        tokio::time::timeout(limit, self.rung()).await.ok();
    }
}

/// The wake-ups between rooms.
#[derive(Clone, Debug, Default)]
pub struct Wakes {
    /// A study, task, draft or report changed: pages refresh, rules look again.
    pub worklist: Wake,
    /// A report waits for its way home.
    pub delivery: Wake,
    /// A study is to be deleted, or is: the queue and the receipts look again.
    pub deletion: Wake,
    /// A blob was found damaged: its site is asked for it again.
    pub damage: Wake,
    /// A site, code or certificate changed: the enrolment listener opens or closes, revoked connections end.
    pub directory: Wake,
}

/// The handle. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The durable rows.
    pub rows: Rows,
    /// The wall clock.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// The data folder; only `archive`, `ingest` and `app` make paths from it.
    pub data: PathBuf,
    /// Signs site certificates.
    pub link_authority: LinkAuthority,
    /// Signs readers' certificates.
    pub signer_authority: SignerAuthority,
    /// The server certificate and revocation list under every TLS configuration; kept fresh by `app`.
    pub live: LiveServer,
    /// Wake-ups.
    pub wakes: Wakes,
    /// Every task is spawned here, so that shutdown can wait for it.
    pub tracker: TaskTracker,
    /// Cancelled when the process is to end; tasks finish what they have begun.
    pub cancel: CancellationToken,
}
