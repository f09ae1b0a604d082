//! Reports on their way home and what becomes of them there: the gateway's outbox, the agent's parcel, and the words that are
//! repeated until they are noted.
//!
//! | State of a report at the gateway | Event | Next |
//! |---|---|---|
//! | due | a stream is free | sending |
//! | sending | the stream ended | told to wait for DELIVERY |
//! | sending, waiting | DELIVERY with any state | gone: the agent keeps it from here on |
//! | sending, waiting | stopped by the agent, or no DELIVERY in time | resting, then due |
//! | any | the connection is lost | gone, offered again on the next |

mod parcel;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use super::message::{Delivery, DeliveryState, Noted};
use crate::time::Timestamp;

pub use parcel::{Parcel, REPORT_MAX_BYTES};

/// Bounds of what is under way towards one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Reports sent at the same time.
    pub streams: usize,
    /// Reports held, sent or not.
    pub held: usize,
    /// How long to wait for the agent's word, and before the next try of a report that it stopped.
    pub answer: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            streams: 4,
            held: 64,
            answer: Duration::from_secs(30),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Due,
    Sending,
    Resting(Duration),
}

/// The gateway's side: which report goes next. Times are durations since any fixed moment of a clock that never steps.
#[derive(Clone, Debug)]
pub struct Outbox {
    bounds: Bounds,
    held: BTreeMap<String, State>,
}

impl Outbox {
    /// An outbox with nothing under way.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            held: BTreeMap::new(),
        }
    }

    /// How many more deliveries may be held.
    #[must_use]
    pub fn room(&self) -> usize {
        self.bounds.held.saturating_sub(self.held.len())
    }

    /// Takes a delivery that is due; one that is under way stays as it is.
    pub fn offered(&mut self, delivery: String) {
        if self.room() > 0 {
            self.held.entry(delivery).or_insert(State::Due);
        }
    }

    /// The next report to send; it counts as sending from here on.
    pub fn step(&mut self, now: Duration) -> Option<String> {
        let sending = self.held.values().filter(|state| **state == State::Sending);
        if sending.count() >= self.bounds.streams {
            return None;
        }
        let due = self.held.iter_mut().find(|(_, state)| match **state {
            State::Due => true,
            State::Sending => false,
            State::Resting(until) => until <= now,
        });
        let (delivery, state) = due?;
        *state = State::Sending;
        Some(delivery.clone())
    }

    /// The stream of this report has ended, in whatever way: the agent's word is awaited, then it is tried again.
    pub fn ended(&mut self, now: Duration, delivery: &str) {
        if let Some(state) = self.held.get_mut(delivery) {
            *state = State::Resting(now.saturating_add(self.bounds.answer));
        }
    }

    /// The agent has said where this report stands: it is at the site.
    pub fn told(&mut self, delivery: &str) {
        self.held.remove(delivery);
    }

    /// What is under way.
    pub fn under_way(&self) -> impl Iterator<Item = &str> {
        self.held.keys().map(String::as_str)
    }
}

/// One row of deliveries at the agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// See [`Delivery::delivery`].
    pub delivery: String,
    /// See [`Delivery::destination`].
    pub destination: String,
    /// See [`Delivery::form`].
    pub form: String,
}

/// The agent's words about its deliveries on one connection: each is said once on it and answered by NOTED; what is not noted is
/// said again on the next.
#[derive(Clone, Debug, Default)]
pub struct Words {
    said: BTreeMap<Row, (DeliveryState, Timestamp)>,
}

impl Words {
    /// Nothing said yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether this is to be said now: nothing was said of its row on this connection, or something else. At most `window` words
    /// wait to be noted.
    pub fn say(&mut self, word: &Delivery, window: usize) -> bool {
        let row = Row {
            delivery: word.delivery.clone(),
            destination: word.destination.clone(),
            form: word.form.clone(),
        };
        let now = (word.state, word.since);
        if self.said.get(&row) == Some(&now)
            || (self.said.len() >= window && !self.said.contains_key(&row))
        {
            return false;
        }
        self.said.insert(row, now);
        true
    }

    /// Takes NOTED: true when it answers the last word about its row, which then need not be said again.
    pub fn noted(&mut self, noted: &Noted) -> bool {
        let row = Row {
            delivery: noted.delivery.clone(),
            destination: noted.destination.clone(),
            form: noted.form.clone(),
        };
        let answers = self.said.get(&row) == Some(&(noted.state, noted.since));
        if answers {
            self.said.remove(&row);
        }
        answers
    }
}

/// The gateway's answer to a word that it has recorded.
#[must_use]
pub fn noted(word: &Delivery) -> Noted {
    Noted {
        delivery: word.delivery.clone(),
        destination: word.destination.clone(),
        form: word.form.clone(),
        state: word.state,
        since: word.since,
    }
}
