//! The pause before the next try: it is short while the line may come back any moment, then it doubles, and chance spreads it, so that many agents do not come back at the same moment.

use std::time::Duration;

use super::super::close::{Code, Disposition};
use crate::random::Random;

/// The most that the other side may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// How long the pauses are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// After the first failure; it doubles with each.
    pub first: Duration,
    /// The longest while the link has not been down for long: a line that was cut comes back.
    pub soon: Duration,
    /// What is long.
    pub often: Duration,
    /// The longest of all, to which they double after that.
    pub longest: Duration,
}

/// Counts failed tries and says how long to wait.
#[derive(Clone, Debug)]
pub struct Pause {
    pauses: Pauses,
    failures: u32,
    late: u32,
}

impl Pause {
    /// Before the first failure.
    #[must_use]
    pub fn new(pauses: Pauses) -> Self {
        Self {
            pauses,
            failures: 0,
            late: 0,
        }
    }

    /// The link was up: the next failure is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
        self.late = 0;
    }

    /// How long to wait after a failure when the link has been down for so long: between half and the whole of the doubled pause, at once
    /// the longest when only a person can change the answer. What the other side asked for comes on top and is spread over as much
    /// again: it asks all alike.
    pub fn after(
        &mut self,
        down: Duration,
        code: Option<Code>,
        asked: Option<Duration>,
        random: &Random,
    ) -> Duration {
        let person = code.is_some_and(|code| code.disposition() == Disposition::Person);
        let doubled = |from: Duration, times: u32| {
            from.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
        };
        let Pauses {
            first,
            soon,
            often,
            longest,
        } = self.pauses;
        let whole = if down < often {
            doubled(first, self.failures).min(soon)
        } else {
            self.late = self.late.saturating_add(1).min(31);
            doubled(soon, self.late)
        };
        let longest = longest.max(first);
        let whole = if person { longest } else { whole.min(longest) };
        self.failures = self.failures.saturating_add(1).min(31);
        let half = whole / 2;
        let asked = asked.unwrap_or_default().min(LONGEST_ASKED);
        let spread = whole.saturating_sub(half).saturating_add(asked);
        let spread = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
        let jitter = Duration::from_millis(random.below(spread.saturating_add(1)));
        half.saturating_add(asked).saturating_add(jitter)
    }
}
