//! The pause before the next try: it doubles, and chance spreads it, so that many agents do not come back at the same moment.

use std::time::Duration;

use super::super::close::{Code, Disposition};
use crate::random::Random;

/// The most that the other side may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Counts failed tries and says how long to wait.
#[derive(Clone, Debug)]
pub struct Pause {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Pause {
    /// Starts with `first` and stops doubling at `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest: longest.max(first),
            failures: 0,
        }
    }

    /// The link was up: the next failure is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after a failure: between half and the whole of the doubled pause, at once the longest when only a person
    /// can change the answer. What the other side asked for comes on top and is spread over as much again: it asks all alike.
    pub fn after(
        &mut self,
        code: Option<Code>,
        asked: Option<Duration>,
        random: &Random,
    ) -> Duration {
        let person = code.is_some_and(|code| code.disposition() == Disposition::Person);
        let doubled = self
            .first
            .saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        let whole = if person {
            self.longest
        } else {
            doubled.min(self.longest)
        };
        self.failures = self.failures.saturating_add(1).min(31);
        let half = whole / 2;
        let asked = asked.unwrap_or_default().min(LONGEST_ASKED);
        let spread = whole.saturating_sub(half).saturating_add(asked);
        let spread = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
        let jitter = Duration::from_millis(random.below(spread.saturating_add(1)));
        half.saturating_add(asked).saturating_add(jitter)
    }
}
