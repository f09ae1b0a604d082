//! How much may be under way at a time, over all sites and of one: bytes of partial instances, and instances being received.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use causeway_proto::ids::{SiteId, StudyKey};
use causeway_proto::time::Timestamp;
use futures::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Ingest, IngestError};
use crate::archive::floor::Level;

/// How often the parts are looked through for old ones.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How often one that waits looks whether those it waits for have moved, within the time that it waits while they do not.
const LOOKS: u32 = 4;

/// So much of what may be received at the same time is there for urgent instances alone, on top of the rest: one of so many.
const URGENT_PART: usize = 4;

/// The right to receive one instance: the site's, and the gateway's.
#[derive(Debug)]
pub(super) struct Permits {
    _of_site: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
    moves: [Arc<AtomicU64>; 2],
}

impl Permits {
    /// Bytes have come of what was let in: those that wait go on waiting.
    pub(super) fn moved(&self) {
        for moves in &self.moves {
            moves.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How many instances may be received at the same time.
#[derive(Debug)]
pub(super) struct Slots {
    all: Pool,
    /// What each site may take of them.
    of_sites: Mutex<HashMap<SiteId, Pool>>,
}

/// Room for instances, and more for those that are urgent: what is not never holds them up.
#[derive(Clone, Debug)]
struct Pool {
    any: Arc<Semaphore>,
    urgent: Arc<Semaphore>,
    /// Counts up whenever bytes of an instance come that has room.
    moves: Arc<AtomicU64>,
}

impl Pool {
    fn new(slots: usize) -> Self {
        Self {
            any: Arc::new(Semaphore::new(slots)),
            urgent: Arc::new(Semaphore::new((slots / URGENT_PART).max(1))),
            moves: Arc::default(),
        }
    }
}

impl Slots {
    pub(super) fn new(slots: u32) -> Self {
        Self {
            all: Pool::new(usize::try_from(slots.max(1)).unwrap_or(1)),
            of_sites: Mutex::default(),
        }
    }
}

/// What one site may take, and what there is for all.
struct Room {
    mine: Pool,
    all: Pool,
}

impl Room {
    /// First among the site's own, so that a site that waits for itself takes nothing from others.
    async fn take(&self, of: fn(&Pool) -> &Arc<Semaphore>) -> Option<Permits> {
        let of_site = of(&self.mine).clone().acquire_owned().await.ok()?;
        let of_all = of(&self.all).clone().acquire_owned().await.ok()?;
        Some(Permits {
            _of_site: of_site,
            _of_all: of_all,
            moves: [self.mine.moves.clone(), self.all.moves.clone()],
        })
    }

    /// How often those have moved that one waits for: the site's own, and others where the gateway has no room left.
    fn moves(&self) -> u64 {
        let count = |pool: &Pool| pool.moves.load(Ordering::Relaxed);
        let others = match self.all.any.available_permits() {
            0 => count(&self.all),
            _ => 0,
        };
        count(&self.mine).wrapping_add(others)
    }
}

impl Ingest {
    /// What one site may take of `all`.
    fn share(&self, all: u64) -> u64 {
        let percent = u64::from(self.config().site_share_percent.min(100));
        (all / 100 * percent + all % 100 * percent / 100).max(1)
    }

    /// Refuses every byte when the hard floor is passed.
    pub(super) fn floor(&self) -> Result<(), IngestError> {
        match self.archive().floor.level() {
            Level::Full => Err(IngestError::Full("what has come is kept")),
            Level::Room | Level::Low => Ok(()),
        }
    }

    /// Drops parts that have aged out, and refuses new instances when those that are left hold too much.
    pub(super) async fn room(&self, site: &SiteId) -> Result<(), IngestError> {
        if self.archive().floor.level() != Level::Room {
            return Err(IngestError::Full("nothing new is taken"));
        }
        let now = self.clock().now();
        let at = self.swept().0;
        if now.since(at) >= SWEEP_EVERY {
            let age = Duration::from_secs(self.config().incoming_age_h.saturating_mul(3600));
            let held = self.archive().parts.sweep(now, age).await?;
            *self.swept() = (now, held);
        }
        let (all, mine) = {
            let swept = self.swept();
            let mine = swept.1.get(site.as_str()).copied().unwrap_or(0);
            (swept.1.values().sum::<u64>(), mine)
        };
        let most = self.config().max_incoming_bytes;
        if all > most {
            return Err(IngestError::Busy("too many partial instances"));
        }
        if mine > self.share(most) {
            return Err(IngestError::Busy("too many partial instances of this site"));
        }
        Ok(())
    }

    /// Waits for the right to receive one more instance, for as long as bytes come of those that have it, however slowly: what is refused
    /// is sent a second time. The bytes of one that waits fill the window of its connection, which those it waits for may need: where
    /// none moves it does not wait for ever.
    pub(super) async fn permits(&self, study: &StudyKey) -> Result<Permits, IngestError> {
        self.floor()?;
        let room = Room {
            mine: self.slots_of(&study.site),
            all: self.0.slots.all.clone(),
        };
        if let Some(Some(permits)) = room.take(|pool| &pool.any).now_or_never() {
            return Ok(permits);
        }
        let urgent = self.is_urgent(study).await?;
        let mut either = pin!(async {
            tokio::select! {
                permits = room.take(|pool| &pool.urgent), if urgent => permits,
                permits = room.take(|pool| &pool.any) => permits,
            }
        });
        let look = Duration::from_secs(self.config().stuck_s) / LOOKS;
        let (mut seen, mut still) = (room.moves(), 0);
        while still < LOOKS {
            match tokio::time::timeout(look, &mut either).await {
                Ok(Some(permits)) => return Ok(permits),
                Ok(None) => return Err(IngestError::Busy("the gateway is closing")),
                Err(_) => {
                    let now = room.moves();
                    still = if now == seen { still + 1 } else { 0 };
                    seen = now;
                }
            }
        }
        Err(IngestError::Busy("too many instances are arriving"))
    }

    async fn is_urgent(&self, study: &StudyKey) -> Result<bool, IngestError> {
        let priority: Option<String> = sqlx::query_scalar(
            "SELECT priority FROM study WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
        )
        .bind(study.site.as_str())
        .bind(study.agreement.as_str())
        .bind(study.study.as_str())
        .fetch_optional(self.archive().rows.read())
        .await?;
        Ok(priority.is_some_and(|word| word == "stat" || word == "urgent"))
    }

    fn slots_of(&self, site: &SiteId) -> Pool {
        let share = self.share(u64::from(self.config().max_parallel.max(1)));
        let share = usize::try_from(share).unwrap_or(1);
        let all = &self.0.slots.of_sites;
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = all.entry(site.clone());
        pool.or_insert_with(|| Pool::new(share)).clone()
    }

    fn swept(&self) -> MutexGuard<'_, (Timestamp, HashMap<String, u64>)> {
        self.0.swept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
