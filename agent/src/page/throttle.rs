//! Wrong passwords cost time: a delay that grows for the name that was tried, and for the address that tried it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use causeway_proto::digest::Digest;
use causeway_proto::time::Timestamp;

/// Wrong passwords under one name that cost no delay.
const FREE_BY_NAME: u32 = 4;

/// The same for one address, behind which a whole department may sit.
const FREE_BY_ADDRESS: u32 = 20;

const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Names and addresses remembered; all are forgotten when there are more.
const REMEMBERED: usize = 10_000;

/// Wrong tries, and until when no other is looked at.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<Digest, (u32, Timestamp)>>);

impl Throttle {
    /// Counts a try as wrong before it is looked at, so that many at once do not slip past; [`Self::right`] takes it back.
    ///
    /// # Errors
    /// How long to wait before any other try is looked at.
    pub(super) fn attempt(
        &self,
        name: &str,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = keys(name, address);
        let left = keys.iter().filter_map(|(key, _)| held.get(key));
        let wait = left.map(|(_, until)| until.since(now)).max();
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        if held.len() >= REMEMBERED {
            held.clear();
        }
        for (key, free) in keys {
            let entry = held.entry(key).or_insert((0, now));
            entry.0 = entry.0.saturating_add(1);
            entry.1 = now.plus(delay(entry.0, free));
        }
        Ok(())
    }

    /// The try was right: the wrong ones of its name are forgotten, and the address is as it was before.
    pub(super) fn right(&self, name: &str, address: Option<IpAddr>, now: Timestamp) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, free) in keys(name, address) {
            if free == FREE_BY_NAME {
                held.remove(&key);
            } else if let Some(entry) = held.get_mut(&key) {
                *entry = (entry.0.saturating_sub(1), now);
            }
        }
    }
}

fn keys(name: &str, address: Option<IpAddr>) -> Vec<(Digest, u32)> {
    let mut keys = vec![(Digest::of(format!("name {name}").as_bytes()), FREE_BY_NAME)];
    if let Some(address) = address {
        let key = Digest::of(format!("address {address}").as_bytes());
        keys.push((key, FREE_BY_ADDRESS));
    }
    keys
}

fn delay(wrong: u32, free: u32) -> Duration {
    match wrong.saturating_sub(free) {
        0 => Duration::ZERO,
        over => Duration::from_secs(1 << over.min(10)).min(LONGEST),
    }
}
