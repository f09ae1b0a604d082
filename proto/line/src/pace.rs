//! How much may be under way on a path: measured bandwidth times measured round trip, not what the last loss left over.
//!
//! The machine knows no clock and no socket: times are durations since any fixed moment. It keeps a model of the path, the fastest
//! delivery of the last [`MEMORY`] busy rounds and the shortest round trip, and lets a little more be under way than fits into the path, so that the
//! narrowest place never runs dry. A round is the time in which everything that was under way is answered.
//!
//! | Phase | What may be under way | Ends |
//! |---|---|---|
//! | `Start` | grows by what is delivered: doubles each round | the queue grows, bytes overflow, or three rounds bring no growth |
//! | `Settle` | the path without a queue | after one round |
//! | `Cruise` | the path and a short queue | after [`CRUISE`] rounds |
//! | `Climb` | some more than that, to find out whether there is more | after two rounds; again and more of it while it brought more |
//! | `Rest` | less than the path | after one round: what was queued has drained, the round trip is measured anew |
//!
//! Loss by itself changes nothing: lines lose packets. A round overflows when much is lost, or some while the queue is long: then what the
//! path seemed to carry before is forgotten, and the queue that is allowed is halved; it comes back slowly.

mod delivery;
#[cfg(test)]
mod line;
mod peak;
#[cfg(test)]
mod tests;

use std::time::Duration;

use delivery::Delivery;
use peak::Peak;

/// Busy rounds for which a delivery counts.
const MEMORY: u64 = 10;
/// Rounds between two climbs.
const CRUISE: u32 = 6;
/// How old the shortest round trip may become before it is measured anew.
const STALE: Duration = Duration::from_secs(10);
/// After so many rounds that waited longer than what we send explains the shortest round trip is measured anew: the way may have changed.
const STRANGE: u32 = 3;
/// What may be under way before anything is known, in bytes.
const FIRST_WINDOW: u64 = 96 * 1024;
/// The queue that keeps the narrowest place busy, as time at the bandwidth, and in packets. The second part is the same for all who share a line:
/// it draws their shares together.
const QUEUE: (f64, f64) = (0.006, 24.0);
/// Nobody asks for a queue longer than this because of the second part, as time at the bandwidth.
const QUEUE_MOST: f64 = 0.012;
/// How much more a climb asks for, as time at the bandwidth, and as a share of the path.
const CLIMB: (f64, f64) = (0.020, 0.25);
/// The share of lost bytes above which a round overflows when the queue is long, and always.
const OVERFLOW: (f64, f64) = (0.03, 0.12);
/// Packets over which loss is judged, if need be over several rounds; among fewer it is chance.
const JUDGED: u64 = 100;
/// Round trips in a row that are looked at for the end of `Start`.
const ROW: u32 = 8;
/// The smallest window, in packets.
const LEAST: u64 = 4;

/// What is known of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// What it carries, in bytes per second.
    pub bandwidth: u64,
    /// Its round trip without a queue.
    pub round_trip: Duration,
}

/// What a machine is made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The most that may be sent, in bytes per second.
    pub ceiling: Option<u64>,
    /// What the last connection knew of this path.
    pub known: Option<Known>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Start { best: f64, flat: u32 },
    Settle,
    Cruise { left: u32 },
    Climb { before: f64, step: f64, heard: bool },
    Rest { shortest: Duration },
}

/// What the round under way has brought.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    acked: u64,
    lost: u64,
    shortest: Option<Duration>,
    fastest: f64,
    /// The sender had nothing to send at some time.
    limited: bool,
    /// A router said that its queue is long.
    marked: bool,
    /// The shortest of the row under way, and how many are in it.
    row: (Duration, u32),
}

/// The machine of one path.
#[derive(Clone, Debug)]
pub struct Pace {
    terms: Terms,
    mtu: u64,
    delivery: Delivery,
    bandwidth: Peak,
    busy_rounds: u64,
    round: Round,
    shortest: Option<Duration>,
    shortest_at: Duration,
    phase: Phase,
    /// A round has been busy since the growth ended: the bandwidth is the path's.
    proven: bool,
    /// The share of the usual queue that the path has room for.
    room: f64,
    window: u64,
    acked: u64,
    /// Bytes delivered and lost that have not been judged.
    judged: (u64, u64),
    /// Rounds in a row that waited longer than what we send explains.
    strange: u32,
    /// Nothing was heard for long; rounds for which what is lost was lost to that outage.
    returned: u32,
}

impl Pace {
    /// A machine for a path of which nothing has been measured yet.
    #[must_use]
    pub fn new(terms: Terms, mtu: u16) -> Self {
        Self {
            terms,
            mtu: u64::from(mtu),
            delivery: Delivery::default(),
            bandwidth: Peak::default(),
            busy_rounds: 0,
            round: Round::default(),
            shortest: None,
            shortest_at: Duration::ZERO,
            phase: Phase::Start { best: 0.0, flat: 0 },
            proven: false,
            room: 1.0,
            window: FIRST_WINDOW,
            acked: 0,
            judged: (0, 0),
            strange: 0,
            returned: 0,
        }
    }

    /// Bytes that may be under way.
    #[must_use]
    pub fn window(&self) -> u64 {
        self.window
    }

    /// What is known of the path, once it has been full.
    #[must_use]
    pub fn known(&self) -> Option<Known> {
        let round_trip = self.shortest.filter(|_| self.proven)?;
        Some(Known {
            bandwidth: self.bandwidth(),
            round_trip,
        })
    }

    /// The fastest delivery lately, in bytes per second; what the path carries, or what there was to send.
    #[must_use]
    pub fn bandwidth(&self) -> u64 {
        whole(self.bandwidth.highest())
    }

    /// Packets have another size now.
    pub fn resized(&mut self, mtu: u16) {
        self.mtu = u64::from(mtu);
    }

    /// Packets were sent.
    pub fn sent(&mut self, now: Duration) {
        self.delivery.sent(now);
    }

    /// A packet was delivered.
    pub fn delivered(&mut self, now: Duration, sent: Duration, bytes: u64) {
        self.returns(now);
        self.delivery.delivered(now, sent, bytes);
        self.acked = self.acked.saturating_add(bytes);
        self.round.acked = self.round.acked.saturating_add(bytes);
        let took = now.saturating_sub(sent);
        self.round.shortest = Some(self.round.shortest.map_or(took, |known| known.min(took)));
        if let Phase::Rest { shortest } = &mut self.phase {
            *shortest = took.min(*shortest);
        }
        if self.shortest.is_none_or(|known| took <= known) {
            let first = self.shortest.is_none();
            self.shortest = Some(took);
            self.shortest_at = now;
            if first {
                self.resume(took);
            }
        }
    }

    /// An answer after a silence that no queue explains: the line was dead. What the path carries is as before; half of it, until it has
    /// answered.
    fn returns(&mut self, now: Duration) {
        let (Some(shortest), Some(silence)) = (self.shortest, self.delivery.silence(now)) else {
            return;
        };
        if silence < shortest * 3 + Duration::from_millis(200) {
            return;
        }
        self.returned = 2;
        self.round = Round::default();
        self.judged = (0, 0);
        if !matches!(self.phase, Phase::Start { .. }) {
            self.phase = Phase::Settle;
            self.window = (self.target() / 2).max(self.least());
        }
    }

    /// In `Start` a growing queue ends the growth at once: a round later it would have overflowed.
    fn look_for_queue(&mut self, took: Duration) {
        let Phase::Start { .. } = self.phase else {
            return;
        };
        let (shortest, count) = self.round.row;
        self.round.row = match count {
            0 => (took, 1),
            _ => (shortest.min(took), count + 1),
        };
        if self.round.row.1 < ROW {
            return;
        }
        let empty = self.shortest.unwrap_or_default();
        let queue = self.round.row.0.saturating_sub(empty);
        self.round.row = (Duration::ZERO, 0);
        if queue > long_queue(empty) && self.bandwidth.highest() > 0.0 {
            self.phase = Phase::Settle;
        }
    }

    /// The first round trip is measured: if it is the path that we knew, its bandwidth holds until a measurement says otherwise.
    fn resume(&mut self, took: Duration) {
        let Some(known) = self.terms.known else {
            return;
        };
        let ms = Duration::from_millis;
        let alike = took >= known.round_trip / 2 && took <= known.round_trip * 2 + ms(20);
        if alike {
            self.bandwidth.take(0, precise(known.bandwidth));
            self.phase = Phase::Settle;
            self.window = self.window.max(self.target());
        }
    }

    /// Packets were lost.
    pub fn lost(&mut self, bytes: u64) {
        if self.returned == 0 {
            self.round.lost = self.round.lost.saturating_add(bytes);
        }
    }

    /// A router says that its queue is long, which counts like an overflow.
    pub fn marked(&mut self) {
        self.round.marked = true;
    }

    /// All deliveries that were told together have been taken.
    pub fn settled(&mut self, now: Duration, in_flight: u64, limited: bool) {
        let acked = std::mem::take(&mut self.acked);
        let Some(sample) = self.delivery.sample(now, in_flight, limited) else {
            return;
        };
        self.round.limited |= sample.limited;
        self.round.fastest = self.round.fastest.max(sample.rate);
        if !sample.limited || sample.rate > self.bandwidth.highest() {
            self.bandwidth.take(self.busy_rounds, sample.rate);
        }
        if !sample.limited {
            self.look_for_queue(sample.round_trip);
        }
        if sample.turn {
            self.turn(now);
        }
        self.grow(acked, limited);
    }

    /// A round has ended.
    fn turn(&mut self, now: Duration) {
        let round = std::mem::take(&mut self.round);
        self.returned = self.returned.saturating_sub(1);
        let queue = self.queue(&round);
        let overflows = self.overflows(&round, queue) || round.marked;
        self.strange = if self.explains(queue) {
            0
        } else {
            self.strange + 1
        };
        if !round.limited {
            self.busy_rounds = self.busy_rounds.saturating_add(1);
            self.proven |= !matches!(self.phase, Phase::Start { .. });
        }
        if overflows {
            if !round.limited {
                self.bandwidth.forget(self.busy_rounds, round.fastest);
            }
            if !matches!(self.phase, Phase::Start { .. }) {
                self.room = (self.room / 2.0).max(1.0 / 16.0);
            }
        }
        self.phase = match self.phase {
            Phase::Start { best, flat } => self.start(&round, best, flat, queue, overflows),
            Phase::Rest { shortest } => {
                self.shortest = Some(shortest);
                self.shortest_at = now;
                Phase::Cruise { left: CRUISE }
            }
            _ if self.strange >= STRANGE => {
                self.strange = 0;
                Phase::Rest {
                    shortest: Duration::MAX,
                }
            }
            _ if overflows => Phase::Settle,
            _ if now.saturating_sub(self.shortest_at) > STALE && !round.limited => Phase::Rest {
                shortest: Duration::MAX,
            },
            Phase::Settle => Phase::Cruise { left: CRUISE },
            phase if round.limited => phase,
            Phase::Cruise { left: 0 } => {
                self.room = (self.room * 1.25).min(1.0);
                Phase::Climb {
                    before: self.bandwidth.highest(),
                    step: 1.0,
                    heard: false,
                }
            }
            Phase::Cruise { left } => Phase::Cruise { left: left - 1 },
            Phase::Climb {
                before,
                step,
                heard: false,
            } => Phase::Climb {
                before,
                step,
                heard: true,
            },
            Phase::Climb { before, step, .. } => self.climbed(&round, before, step, queue),
        };
    }

    fn start(
        &self,
        round: &Round,
        best: f64,
        flat: u32,
        queue: Duration,
        overflows: bool,
    ) -> Phase {
        if round.limited {
            // answers to little come late by themselves (RFC 9000 13.2.1): that is no queue
            return Phase::Start { best, flat };
        }
        if overflows || queue > long_queue(self.shortest.unwrap_or_default()) {
            return Phase::Settle;
        }
        if round.fastest >= best * 1.25 {
            return Phase::Start {
                best: round.fastest,
                flat: 0,
            };
        }
        if flat >= 2 {
            return Phase::Settle;
        }
        Phase::Start {
            best,
            flat: flat + 1,
        }
    }

    /// Whether a climb has brought more: then the next asks for twice as much more.
    fn climbed(&self, round: &Round, before: f64, step: f64, queue: Duration) -> Phase {
        let path = before * self.seconds();
        let asked = self.more(before, step);
        let brought = round.fastest >= before * (1.0 + 0.5 * asked / path.max(1.0));
        let waits = queue.as_secs_f64() * before > 0.6 * (self.queued(before) + asked);
        if brought && !waits {
            return Phase::Climb {
                before: self.bandwidth.highest(),
                step: step * 2.0,
                heard: false,
            };
        }
        Phase::Settle
    }

    /// What the queue added to the shortest round trip of a round.
    fn queue(&self, round: &Round) -> Duration {
        let (Some(now), Some(empty)) = (round.shortest, self.shortest) else {
            return Duration::ZERO;
        };
        now.saturating_sub(empty)
    }

    /// Whether what we have under way can be why a round waited as long as this: a longer way, or the queue of others, cannot be told by it.
    fn explains(&self, queue: Duration) -> bool {
        let ours = precise(self.window) / self.bandwidth.highest().max(1.0) - self.seconds();
        queue.as_secs_f64() <= 2.0 * ours.max(0.0) + 0.010
    }

    fn overflows(&mut self, round: &Round, queue: Duration) -> bool {
        let (acked, lost) = &mut self.judged;
        *acked = acked.saturating_add(round.acked);
        *lost = lost.saturating_add(round.lost);
        let all = acked.saturating_add(*lost);
        if all < JUDGED.saturating_mul(self.mtu) {
            return false;
        }
        let share = precise(*lost) / precise(all);
        self.judged = (0, 0);
        let long = queue > Duration::from_millis(3);
        share > OVERFLOW.1 || (long && share > OVERFLOW.0)
    }

    fn seconds(&self) -> f64 {
        self.shortest.unwrap_or_default().as_secs_f64()
    }

    fn more(&self, bandwidth: f64, step: f64) -> f64 {
        let path = bandwidth * self.seconds();
        let once = (bandwidth * CLIMB.0).min(path * CLIMB.1);
        (once * step * self.room).min(path)
    }

    /// The queue that is allowed.
    fn queued(&self, bandwidth: f64) -> f64 {
        let same = (precise(self.mtu) * QUEUE.1).min(bandwidth * QUEUE_MOST);
        (bandwidth * QUEUE.0 + same) * self.room
    }

    fn least(&self) -> u64 {
        LEAST.saturating_mul(self.mtu)
    }

    /// What should be under way in this phase.
    fn target(&self) -> u64 {
        let bandwidth = self.bandwidth.highest();
        let path = bandwidth * self.seconds();
        let queue = self.queued(bandwidth);
        let bytes = match self.phase {
            Phase::Start { .. } => return u64::MAX,
            Phase::Settle => path + precise(self.mtu.saturating_mul(2)),
            Phase::Cruise { .. } => path + queue,
            Phase::Climb { step, .. } => path + queue + self.more(bandwidth, step),
            Phase::Rest { .. } => path * 0.6,
        };
        whole(bytes).max(self.least())
    }

    /// Brings the window towards its target: down at once, up by what was delivered.
    fn grow(&mut self, acked: u64, limited: bool) {
        let target = self.target();
        let grown = if limited {
            self.window
        } else {
            self.window.saturating_add(acked)
        };
        self.window = grown.min(target).max(self.least());
        if let Some(ceiling) = self.terms.ceiling {
            let now = self.round.shortest.or(self.shortest).unwrap_or_default();
            let most = whole(precise(ceiling) * now.as_secs_f64()) + 2 * self.mtu;
            self.window = self.window.min(most).max(self.least());
        }
    }
}

/// A queue that says that more is sent than passes (the bounds of RFC 9406 4.3).
fn long_queue(empty: Duration) -> Duration {
    let ms = Duration::from_millis;
    (empty / 8).clamp(ms(4), ms(16))
}

/// Bytes of one path are far below 2^52.
fn precise(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what fits"
)]
fn whole(bytes: f64) -> u64 {
    bytes.clamp(0.0, 1e15) as u64
}
