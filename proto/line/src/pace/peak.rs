//! The highest value of the last rounds.

use std::collections::VecDeque;

use super::MEMORY;

/// Falling values with the round in which each was seen; the first is the highest.
#[derive(Clone, Debug, Default)]
pub(super) struct Peak(VecDeque<(u64, f64)>);

impl Peak {
    pub(super) fn highest(&self) -> f64 {
        self.0.front().map_or(0.0, |(_, value)| *value)
    }

    pub(super) fn take(&mut self, round: u64, value: f64) {
        while self.0.back().is_some_and(|(_, last)| *last <= value) {
            self.0.pop_back();
        }
        self.0.push_back((round, value));
        while self.0.len() > 1
            && self
                .0
                .front()
                .is_some_and(|(seen, _)| seen.saturating_add(MEMORY) < round)
        {
            self.0.pop_front();
        }
    }

    /// Nothing counts any more but this.
    pub(super) fn forget(&mut self, round: u64, value: f64) {
        self.0.clear();
        self.0.push_back((round, value));
    }
}
