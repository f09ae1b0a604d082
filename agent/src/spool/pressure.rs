//! How much comes in just now: what is no hurry gives way to receiving, and never for long.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Spool;

/// Over so long bytes are counted.
const WINDOW: Duration = Duration::from_millis(50);
/// With more of them in a window a sender is as fast as this machine, and waits for it.
const MUCH: u64 = 4 << 20;
/// So long one object gives way at most: while receiving goes on and on, dozens in a second are still worked off.
const PATIENCE: Duration = Duration::from_millis(40);
const STEP: Duration = Duration::from_millis(4);

/// What came in the last two windows.
#[derive(Debug)]
pub(super) struct Pressure(Mutex<Windows>);

#[derive(Debug)]
struct Windows {
    since: Instant,
    bytes: u64,
    before: u64,
}

impl Default for Pressure {
    fn default() -> Self {
        Self(Mutex::new(Windows {
            since: Instant::now(),
            bytes: 0,
            before: 0,
        }))
    }
}

impl Pressure {
    fn windows(&self) -> MutexGuard<'_, Windows> {
        let mut it = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = it.since.elapsed();
        if passed >= WINDOW {
            it.before = if passed < 2 * WINDOW { it.bytes } else { 0 };
            it.bytes = 0;
            it.since = Instant::now();
        }
        it
    }

    /// So many bytes have come.
    pub(super) fn brought(&self, bytes: usize) {
        let mut it = self.windows();
        it.bytes = it.bytes.saturating_add(bytes as u64);
    }

    fn is_high(&self) -> bool {
        let it = self.windows();
        it.bytes.max(it.before) > MUCH
    }
}

impl Spool {
    /// Lets receiving go first, for a while.
    pub(crate) async fn give_way(&self) {
        let began = Instant::now();
        while self.inner.pressure.is_high() && began.elapsed() < PATIENCE {
            tokio::time::sleep(STEP).await;
        }
    }
}
