//! How much strangers may write into the log: a line for each of their connections would be the disk's and the reader's ruin. A few lines a
//! minute are everybody's own, so that nobody's trouble is hidden by that of others, and none by another kind.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::near::Near;

/// So many lines are written of one kind about one network
const LINES: u32 = 3;
/// and about so many networks
const NETWORKS: usize = 32;
/// within this.
const EVERY: Duration = Duration::from_secs(60);

/// What was written lately; `A` is what a line is about. Cheap to clone.
#[derive(Debug)]
pub struct Lines<A>(Arc<Mutex<Lately<A>>>);

#[derive(Debug)]
struct Lately<A> {
    since: Option<Instant>,
    lines: HashMap<(A, Near), u32>,
    left_out: HashMap<A, u64>,
}

impl<A> Default for Lines<A> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Lately {
            since: None,
            lines: HashMap::new(),
            left_out: HashMap::new(),
        })))
    }
}

impl<A> Clone for Lines<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Copy + Eq + Hash + Debug> Lines<A> {
    /// How often [`Self::rest`] has something to say.
    pub const EVERY: Duration = EVERY;

    /// Whether one more may be written, and how many about the same were left out before it.
    #[must_use]
    pub fn more(&self, about: A, from: IpAddr, now: Instant) -> Option<u64> {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lately.is_over(now) {
            lately.since = Some(now);
            lately.lines.clear();
        }
        let network = Near::of(from).pop()?;
        let networks = lately.lines.keys().filter(|(of, _)| *of == about).count();
        let written = lately.lines.get(&(about, network)).copied();
        let may = written.map_or(networks < NETWORKS, |written| written < LINES);
        if !may {
            let left_out = lately.left_out.entry(about).or_default();
            *left_out = left_out.saturating_add(1);
            return None;
        }
        let written = written.unwrap_or_default();
        lately.lines.insert((about, network), written + 1);
        Some(lately.left_out.remove(&about).unwrap_or_default())
    }

    /// Writes how many were left out in a minute that is over, unless a line has said so.
    pub fn rest(&self, now: Instant) {
        for (about, left_out) in self.untold(now) {
            tracing::warn!(?about, left_out, "more lines than these were left out");
        }
    }

    fn untold(&self, now: Instant) -> HashMap<A, u64> {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match lately.is_over(now) {
            true => std::mem::take(&mut lately.left_out),
            false => HashMap::new(),
        }
    }
}

impl<A> Lately<A> {
    fn is_over(&self, now: Instant) -> bool {
        let over = |since: Instant| now.saturating_duration_since(since) >= EVERY;
        self.since.is_none_or(over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    enum About {
        Refused,
        Silent,
        Failed,
    }

    fn network(number: u16) -> IpAddr {
        format!("2001:db8:{number:x}::1").parse().unwrap()
    }

    #[test]
    fn a_flood_is_a_few_lines_and_a_number() {
        let (told, now) = (Lines::default(), Instant::now());
        let more = |from, now| told.more(About::Refused, from, now);
        // of all ranges of one subscriber
        let ranges = (0..1000).map(|range| format!("2001:db8:1:{range:x}::1").parse().unwrap());
        assert_eq!(ranges.filter_map(|from| more(from, now)).count(), 3);
        assert_eq!(more(network(1), now + EVERY), Some(997));
        assert_eq!(more(network(1), now + EVERY), Some(0));
        let all = (0..1000).filter_map(|number| more(network(number), now + EVERY));
        assert_eq!(all.count(), 32 * 3 - 2 - 31 * 2);
    }

    #[test]
    fn nobody_hides_another_and_no_kind_hides_another() {
        let (told, now) = (Lines::default(), Instant::now());
        for _ in 0..100 {
            let _written = told.more(About::Refused, network(1), now);
        }
        assert!(told.more(About::Refused, network(2), now).is_some());
        for number in 0..100 {
            let _written = told.more(About::Silent, network(number), now);
        }
        assert!(told.more(About::Failed, network(1), now).is_some());
    }

    #[test]
    fn what_was_left_out_is_told_though_nothing_follows() {
        let (told, now) = (Lines::default(), Instant::now());
        assert_eq!(told.untold(now + EVERY), HashMap::new());
        for _ in 0..100 {
            let _written = told.more(About::Failed, network(1), now);
        }
        let _written = told.more(About::Silent, network(1), now);
        assert_eq!(told.untold(now), HashMap::new());
        let untold = told.untold(now + EVERY);
        assert_eq!(untold, HashMap::from([(About::Failed, 97)]));
        assert_eq!(told.untold(now + EVERY), HashMap::new());
    }
}
