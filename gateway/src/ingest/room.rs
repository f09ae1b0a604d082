//! How much may be under way at a time, over all sites and of one: bytes of partial instances, and instances being received.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use causeway_proto::ids::SiteId;
use causeway_proto::time::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Ingest, IngestError};

/// How often the parts are looked through for old ones.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How long an instance waits for others to be finished. The bytes of one that waits fill the window of its connection, which
/// those it waits for may need, so that it must not wait for ever.
const WAIT: Duration = Duration::from_secs(5);

/// The right to receive one instance: the site's, and the gateway's.
#[derive(Debug)]
pub(super) struct Permits {
    _of_site: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Ingest {
    /// What one site may take of `all`.
    fn share(&self, all: u64) -> u64 {
        let percent = u64::from(self.config().site_share_percent.min(100));
        (all / 100 * percent + all % 100 * percent / 100).max(1)
    }

    /// Drops parts that have aged out, and refuses new instances when those that are left hold too much.
    pub(super) async fn room(&self, site: &SiteId) -> Result<(), IngestError> {
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

    /// Waits a little for the right to receive one more instance: first among the site's own, so that a site that waits for
    /// itself takes nothing from others.
    pub(super) async fn permits(&self, site: &SiteId) -> Result<Permits, IngestError> {
        let mine = self.slots_of(site);
        let both = async {
            let of_site = mine.acquire_owned().await.ok()?;
            let of_all = self.0.slots.clone().acquire_owned().await.ok()?;
            Some(Permits {
                _of_site: of_site,
                _of_all: of_all,
            })
        };
        match tokio::time::timeout(WAIT, both).await {
            Ok(Some(permits)) => Ok(permits),
            Ok(None) => Err(IngestError::Busy("the gateway is closing")),
            Err(_) => Err(IngestError::Busy("too many instances are arriving")),
        }
    }

    fn slots_of(&self, site: &SiteId) -> Arc<Semaphore> {
        let share = self.share(u64::from(self.config().max_parallel.max(1)));
        let share = usize::try_from(share).unwrap_or(1);
        let all = &self.0.site_slots;
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(site.clone())
            .or_insert_with(|| Arc::new(Semaphore::new(share)))
            .clone()
    }

    fn swept(&self) -> MutexGuard<'_, (Timestamp, HashMap<String, u64>)> {
        self.0.swept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
