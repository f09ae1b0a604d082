//! What one connection is about, and on whom it waits.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::bounds::Bounds;

/// What a connection is about.
#[derive(Debug)]
pub(super) struct Standing {
    /// Since when nothing is asked.
    since: Instant,
    /// Whether anything was ever asked.
    asked: bool,
    /// What is being answered.
    answers: HashMap<u64, Turn>,
    /// Since when the socket takes nothing.
    full: Option<Instant>,
    /// Whether the rest of the last answer is still under way to the socket.
    draining: bool,
    last: u64,
}

/// On whom an answer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// On us.
    Ours,
    /// On the rest of the request's body, which was first asked for at that time.
    Body(Instant),
    /// On the peer, who has had a piece since then and has not asked for the next.
    Taking(Instant),
}

/// In whose order places are taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Waits {
    /// Who never asked anything, since he came.
    Silent(Instant),
    /// Who asks nothing any more.
    Idle(Instant),
    /// Who keeps each of his answers waiting.
    Slow(Instant),
}

impl Waits {
    pub(super) fn since(self) -> Instant {
        match self {
            Self::Silent(since) | Self::Idle(since) | Self::Slow(since) => since,
        }
    }
}

impl Standing {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            asked: false,
            answers: HashMap::new(),
            full: None,
            draining: false,
            last: 0,
        }
    }

    /// None while something is being answered that waits on us.
    pub(super) fn waits(&self) -> Option<Waits> {
        if self.answers.is_empty() {
            return Some(match self.asked {
                true => Waits::Idle(self.since),
                false => Waits::Silent(self.since),
            });
        }
        if let Some(since) = self.full {
            // whoever takes nothing keeps us from all that is ours to do for him
            return Some(Waits::Slow(since));
        }
        let mut latest = None;
        for turn in self.answers.values() {
            match turn {
                Turn::Ours => return None,
                Turn::Body(since) | Turn::Taking(since) => latest = latest.max(Some(*since)),
            }
        }
        latest.map(Waits::Slow)
    }

    pub(super) fn overdue(&self, now: Instant, bounds: &Bounds) -> bool {
        let over = |since: Instant, limit| now.saturating_duration_since(since) > limit;
        let silent = if self.asked {
            bounds.idle()
        } else {
            bounds.head()
        };
        // one answer that nobody takes ends no others on the connection; a socket that takes nothing ends them all
        let untaken = |since: &Instant| over(*since, bounds.untaken());
        let stuck = |turn: &Turn| matches!(turn, Turn::Taking(since) if untaken(since));
        (self.answers.is_empty() && over(self.since, silent))
            || (!self.answers.is_empty() && self.answers.values().all(stuck))
            || self.full.iter().any(untaken)
    }

    /// The socket took something, or takes nothing.
    pub(super) fn wrote(&mut self, taken: bool, now: Instant) {
        if !taken {
            self.full.get_or_insert(now);
            return;
        }
        self.full = None;
        // what else is said there, such as an answer to PING, the peer has as often as he likes
        if self.draining && self.answers.is_empty() {
            self.since = now;
        }
    }

    /// The socket took all that there was to say.
    pub(super) fn flushed(&mut self) {
        self.draining = false;
    }

    /// One more request; answers its number.
    pub(super) fn begin(&mut self) -> u64 {
        self.asked = true;
        self.last += 1;
        self.answers.insert(self.last, Turn::Ours);
        self.last
    }

    pub(super) fn turn(&mut self, answer: u64, turn: Turn) {
        if let Some(mine) = self.answers.get_mut(&answer) {
            *mine = turn;
        }
    }

    /// All of an answer was handed over, or nobody wants it any more.
    pub(super) fn end(&mut self, answer: u64, now: Instant) {
        self.answers.remove(&answer);
        if self.answers.is_empty() {
            self.since = now;
            self.draining = true;
        }
    }
}
