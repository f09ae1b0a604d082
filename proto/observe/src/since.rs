//! Since when something is so of which no row says when it began: for as long as this process has seen it. And since when nobody has tried what
//! is due.

use std::collections::BTreeMap;
use std::time::Duration;

use causeway_proto::time::Timestamp;

/// What is so, each since when.
#[derive(Clone, Debug, Default)]
pub struct Since(BTreeMap<&'static str, Timestamp>);

impl Since {
    /// Since when `what` is so; none when it is not.
    pub fn of(&mut self, what: &'static str, so: bool, now: Timestamp) -> Option<Timestamp> {
        if !so {
            self.0.remove(what);
            return None;
        }
        let since = self.0.entry(what).or_insert(now);
        // a clock that was set back
        *since = (*since).min(now);
        Some(*since)
    }
}

/// A connection that has stood for so long holds.
const STEADY: Duration = Duration::from_secs(60);
/// A break that is no longer keeps nobody from trying what is due.
const BREAK: Duration = Duration::from_secs(300);

/// A connection, looked at now and then: one that comes and goes is neither down for long nor up for long, and holds for nobody.
#[derive(Clone, Debug, Default)]
pub struct Holding {
    up: Option<Timestamp>,
    seen: Option<Timestamp>,
    down: Option<Timestamp>,
}

impl Holding {
    /// Takes note of it: since when it stands, if it does.
    pub fn note(&mut self, standing: Option<Timestamp>, now: Timestamp) {
        let lasted = self.seen.is_some_and(|seen| now.since(seen) <= BREAK);
        self.up = self.up.filter(|_| lasted);
        let since = standing.map(|since| since.min(now));
        if let Some(since) = since {
            self.up = Some(self.up.map_or(since, |up| up.min(since)));
            self.seen = Some(now);
        }
        self.down = match since {
            Some(since) if now.since(since) >= STEADY => None,
            _ => Some(self.down.map_or(now, |down| down.min(now))),
        };
    }

    /// Since when it is there for whoever wants to try something: breaks of five minutes do not count.
    #[must_use]
    pub fn up(&self) -> Option<Timestamp> {
        self.up
    }

    /// Since when it is not there, or not for a minute at a time; none while it holds.
    #[must_use]
    pub fn down(&self) -> Option<Timestamp> {
        self.down
    }
}

/// An item that has been due for so long was passed over again and again.
const PASSED_OVER: Duration = Duration::from_secs(4 * 3600);

/// The oldest of a queue that is due.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// Since when it is due.
    pub due: Timestamp,
    /// When one of the queue was tried or got through last, as far as anybody knows.
    pub moved: Option<Timestamp>,
    /// Since when this process has an eye on the queue; none where `moved` is known from before it began.
    pub watched: Option<Timestamp>,
    /// Since when there is a connection that it needs; none where it needs none.
    pub up: Option<Timestamp>,
    /// For how long it may stand still if that is longer than the bound of the rule.
    pub patience: Duration,
}

impl Head {
    /// From when on the bound of the rule counts: nobody has tried anything of the queue, or this one was passed over for hours. None while it
    /// is tried. That it is so hangs on what is due and what was done alone; a start or a new connection only gives time before it is told,
    /// and makes nothing over that was told.
    #[must_use]
    pub fn untried(&self, bound: Duration, now: Timestamp) -> Option<Timestamp> {
        let still = self.patience.max(bound);
        let passed = PASSED_OVER.max(still);
        let since = |watched: Option<Timestamp>, up: Option<Timestamp>| {
            let due = self.due.max(up.unwrap_or(self.due));
            let moved = self.moved.max(watched).unwrap_or(due).min(now).max(due);
            moved.plus(still).min(due.plus(passed)).minus(bound)
        };
        let so = now.since(since(None, None)) >= bound;
        so.then(|| since(self.watched, self.up).min(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(2_000_000_000_000_000 + seconds * 1_000_000)
    }

    #[test]
    fn a_connection_that_comes_and_goes_is_down_and_there_to_be_tried() {
        let mut link = Holding::default();
        link.note(Some(at(-3600)), at(0));
        assert_eq!((link.up(), link.down()), (Some(at(-3600)), None));
        for look in 1..=20 {
            let now = at(look * 15);
            link.note((look % 2 == 0).then_some(now), now);
            assert_eq!(link.down(), Some(at(15)), "it never holds");
            assert_eq!(link.up(), Some(at(-3600)));
        }
        link.note(Some(at(300)), at(360));
        assert_eq!(link.down(), None, "a minute");
        link.note(None, at(660));
        assert_eq!((link.up(), link.down()), (Some(at(-3600)), Some(at(660))));
        link.note(None, at(661));
        assert_eq!((link.up(), link.down()), (None, Some(at(660))));
        link.note(Some(at(900)), at(901));
        assert_eq!((link.up(), link.down()), (Some(at(900)), Some(at(660))));
        // a clock that was set back
        link.note(Some(at(900)), at(100));
        assert_eq!((link.up(), link.down()), (Some(at(100)), Some(at(100))));
    }

    #[test]
    fn what_is_due_is_untried_by_its_age_whoever_has_just_begun_to_look() {
        let bound = Duration::from_secs(900);
        let head = Head {
            due: at(0),
            moved: None,
            watched: None,
            up: None,
            patience: Duration::ZERO,
        };
        assert_eq!(head.untried(bound, at(899)), None);
        assert_eq!(head.untried(bound, at(900)), Some(at(0)));
        // so it is after a start, or with a new connection; its time to be told begins anew
        let begun = Head {
            watched: Some(at(5000)),
            ..head
        };
        assert_eq!(begun.untried(bound, at(5001)), Some(at(5000)));
        let connected = Head {
            up: Some(at(5000)),
            ..head
        };
        assert_eq!(connected.untried(bound, at(5001)), Some(at(5000)));
        // others of the queue are tried: it may be passed over for hours
        let moved = Head {
            moved: Some(at(5000)),
            ..head
        };
        assert_eq!(moved.untried(bound, at(5899)), None);
        assert_eq!(moved.untried(bound, at(5900)), Some(at(5000)));
        let busy = |now| {
            let moved = Some(at(now));
            Head { moved, ..head }.untried(bound, at(now))
        };
        assert_eq!(busy(4 * 3600 - 1), None);
        assert_eq!(busy(4 * 3600), Some(at(4 * 3600 - 900)));
        // one that has more time
        let day = Head {
            patience: Duration::from_secs(86_400),
            ..head
        };
        assert_eq!(day.untried(bound, at(86_399)), None);
        assert_eq!(day.untried(bound, at(86_400)), Some(at(85_500)));
    }
}
