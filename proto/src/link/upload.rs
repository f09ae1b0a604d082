//! Images on their way out: what the agent sends next and why, and in which order the gateway takes the bytes of one instance.
//!
//! The spool is the queue; this machine only holds what is under way on one connection. States of one instance in it:
//!
//! | State | Event | Next |
//! |---|---|---|
//! | offered before the queue was caught up, or after a refusal | | `Unknown` |
//! | offered after that | | `Ready` at offset 0 |
//! | `Unknown` | QUERY was said | `Asked` |
//! | `Asked` | HAVE with a receipt | receipted, gone |
//! | `Asked` | HAVE with an offset | `Ready` at that offset |
//! | `Ready` | a stream is free and the window is open | `Sending` |
//! | `Sending` | all of it is written | `Written` |
//! | `Sending`, `Written` | the gateway has all of it | `Sent` |
//! | `Sending`, `Written` | the stream was cut | `Cut` |
//! | `Sent` | nothing in time, of this or of any other | `Unknown` |
//! | `Cut` | nothing in a short time | `Unknown`; the third time in a row without progress it is parked |
//! | any | RECEIPT | receipted, gone |
//! | any | REFUSED | gone, the spool offers it again when it is due; the third time in a row without progress it is parked |
//! | any | the connection is lost | gone, the spool offers it again |

mod landing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use super::close::{Code, Disposition};
use super::codec::QUERY_MAX_KEYS;
use super::message::{Have, InstanceKey, Receipt, Refused};
use super::session::Farewell;
use crate::ids::Priority;

pub use landing::{CODING_NONE, CODING_RECORDS, CODINGS, Landing};

/// Refusals of one instance in a row after which it is parked; a stream that was cut without an answer is one.
pub const STRIKES: u32 = 3;

/// Bounds of what is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Instances sent at the same time, each on its own stream. More urgent ones find [`Bounds::reserve`] more.
    pub streams: usize,
    /// Instances sent or being sent that have no answer yet. More urgent ones find [`Bounds::reserve`] more.
    pub window: usize,
    /// How many more an urgent instance may find in use, and a STAT one twice as many: what is not urgent never holds it up.
    pub reserve: usize,
    /// Instances taken from the spool, answered or not.
    pub held: usize,
    /// Questions without an answer.
    pub questions: usize,
    /// After how long without any answer an instance that has arrived is asked about again.
    pub answer: Duration,
    /// After how long one whose stream was cut is: the answer was on its way already.
    pub answer_cut: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            streams: 16,
            window: 256,
            reserve: 4,
            held: 512,
            questions: 4,
            answer: Duration::from_secs(120),
            answer_cut: Duration::from_secs(10),
        }
    }
}

impl Bounds {
    /// How many streams and answers beyond the bounds an instance may find in use.
    fn more(&self, priority: Priority) -> usize {
        match priority {
            Priority::Stat => self.reserve.saturating_mul(2),
            Priority::Urgent => self.reserve,
            Priority::Routine | Priority::Unstated => 0,
        }
    }
}

/// One instance that the spool would like to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Which.
    pub key: InstanceKey,
    /// How urgent its study is.
    pub priority: Priority,
    /// Which goes first among those that are as urgent: the spool's order, of studies and within each.
    pub place: u64,
    /// Length of the whole as sent, in bytes.
    pub length: u64,
}

impl Job {
    /// Where the site said nothing, it counts as routine (P26).
    fn urgency(&self) -> Priority {
        self.priority.min(Priority::Routine)
    }
}

/// What the agent does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Says QUERY about these.
    Ask(Vec<InstanceKey>),
    /// Opens a stream and sends this instance from this offset.
    Send {
        /// Which.
        key: InstanceKey,
        /// The first byte to send.
        offset: u64,
    },
    /// Tells the spool that this instance is parked: the gateway cuts it and does not say why.
    Park(InstanceKey),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unknown,
    Asked,
    Ready(u64),
    Sending,
    Written,
    Sent(Duration),
    Cut(Duration),
}

#[derive(Clone, Debug)]
struct Held {
    job: Job,
    order: u64,
    state: State,
}

impl Held {
    /// The least goes first.
    fn rank(&self) -> (Priority, u64, u64) {
        (self.job.urgency(), self.job.place, self.order)
    }
}

/// An instance that the gateway has refused: it is asked about before the next try.
#[derive(Clone, Copy, Debug, Default)]
struct Tried {
    strikes: u32,
    /// Those of them that stand for a cut without an answer: it may only be late.
    unanswered: u32,
    /// Up to where its bytes were durable at the gateway.
    farthest: u64,
}

/// The agent's side. Times are durations since any fixed moment of a clock that never steps.
#[derive(Clone, Debug)]
pub struct Uploader {
    bounds: Bounds,
    held: BTreeMap<InstanceKey, Held>,
    questions: VecDeque<Vec<InstanceKey>>,
    tried: BTreeMap<InstanceKey, Tried>,
    caught_up: bool,
    order: u64,
    /// When the last answer came; and whether one has come since the last step.
    answered: (Duration, bool),
}

impl Uploader {
    /// A machine with nothing under way.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            held: BTreeMap::new(),
            questions: VecDeque::new(),
            tried: BTreeMap::new(),
            caught_up: false,
            order: 0,
            answered: (Duration::ZERO, false),
        }
    }

    /// A connection begins or has ended: nothing is under way, and the gateway is asked about everything offered from now on
    /// until the spool has no more.
    pub fn restart(&mut self) {
        self.held.clear();
        self.questions.clear();
        self.caught_up = false;
        self.answered = (Duration::ZERO, false);
    }

    /// How many instances to fetch from the spool now. Never none: a more urgent one displaces one that has not begun.
    #[must_use]
    pub fn room(&self) -> usize {
        self.bounds
            .held
            .saturating_sub(self.held.len())
            .max(self.bounds.streams)
    }

    /// What is under way, for the spool not to offer again.
    #[must_use]
    pub fn under_way(&self) -> HashSet<InstanceKey> {
        self.held.keys().cloned().collect()
    }

    /// Takes what the spool offers, most urgent first; `all`: it has no more at the moment.
    pub fn offered(&mut self, jobs: Vec<Job>, all: bool) {
        for job in jobs {
            if self.held.contains_key(&job.key) || !self.make_room(&job) {
                continue;
            }
            let known_fresh = self.caught_up && !self.tried.contains_key(&job.key);
            let state = if known_fresh {
                State::Ready(0)
            } else {
                State::Unknown
            };
            let order = self.order;
            self.order = order.saturating_add(1);
            self.held
                .insert(job.key.clone(), Held { job, order, state });
        }
        self.caught_up = self.caught_up || all;
    }

    /// Whether this one finds room, if need be by sending back to the spool the last of those behind it that have not begun.
    fn make_room(&mut self, job: &Job) -> bool {
        if self.held.len() < self.bounds.held {
            return true;
        }
        let waiting = self.held.values().filter(|held| {
            matches!(held.state, State::Unknown | State::Ready(_))
                && (held.job.urgency(), held.job.place) > (job.urgency(), job.place)
        });
        let Some(last) = waiting.max_by_key(|held| held.rank()) else {
            return false;
        };
        let key = last.job.key.clone();
        self.held.remove(&key).is_some()
    }

    /// What to do next; none: wait for an answer, an offer, or a moment later.
    pub fn step(&mut self, now: Duration) -> Option<Step> {
        if std::mem::take(&mut self.answered.1) {
            self.answered.0 = now;
        }
        let mut parked = None;
        for (key, held) in &mut self.held {
            let (since, limit) = match held.state {
                // while others are answered this one waits behind them
                State::Sent(at) => (at.max(self.answered.0), self.bounds.answer),
                State::Cut(at) => (at, self.bounds.answer_cut),
                _ => continue,
            };
            if now.saturating_sub(since) < limit {
                continue;
            }
            let cut = matches!(held.state, State::Cut(_));
            held.state = State::Unknown;
            if cut {
                let tried = self.tried.entry(key.clone()).or_default();
                tried.strikes = tried.strikes.saturating_add(1);
                tried.unanswered = tried.unanswered.saturating_add(1);
            }
            if self.tried.get(key).is_some_and(|it| it.strikes >= STRIKES) {
                parked = Some(key.clone());
                break;
            }
        }
        if let Some(key) = parked {
            self.withdrawn(&key);
            return Some(Step::Park(key));
        }
        self.ask().or_else(|| self.send())
    }

    fn ask(&mut self) -> Option<Step> {
        if self.questions.len() >= self.bounds.questions {
            return None;
        }
        let mut unknown: Vec<_> = self
            .held
            .values_mut()
            .filter(|held| held.state == State::Unknown)
            .collect();
        if unknown.is_empty() {
            return None;
        }
        unknown.sort_by_key(|held| held.rank());
        unknown.truncate(QUERY_MAX_KEYS);
        let mut keys = Vec::with_capacity(unknown.len());
        for held in unknown {
            held.state = State::Asked;
            keys.push(held.job.key.clone());
        }
        self.questions.push_back(keys.clone());
        Some(Step::Ask(keys))
    }

    fn send(&mut self) -> Option<Step> {
        let count = |matches: fn(State) -> bool| {
            let states = self.held.values().map(|held| held.state);
            states.filter(|state| matches(*state)).count()
        };
        let sending = count(|state| state == State::Sending);
        let sent = count(|state| matches!(state, State::Written | State::Sent(_) | State::Cut(_)));
        let bounds = self.bounds;
        let (most, next) = self.next_ready()?;
        let more = bounds.more(most);
        if sending >= bounds.streams.saturating_add(more)
            || sending.saturating_add(sent) >= bounds.window.saturating_add(more)
        {
            return None;
        }
        let State::Ready(offset) = next.state else {
            return None;
        };
        next.state = State::Sending;
        let key = next.job.key.clone();
        Some(Step::Send { key, offset })
    }

    /// The one to send next, and how urgent the most urgent is. Of those that are less one is always under way, so that none waits for
    /// ever.
    fn next_ready(&mut self) -> Option<(Priority, &mut Held)> {
        let ready = |held: &&Held| matches!(held.state, State::Ready(_));
        let first = self
            .held
            .values()
            .filter(ready)
            .min_by_key(|it| it.rank())?;
        let most = first.job.urgency();
        let behind = |held: &&Held| held.job.urgency() > most;
        let sending = self.held.values().filter(|it| it.state == State::Sending);
        let moves = sending.clone().any(|it| it.job.urgency() > most);
        let alone = sending.count() == 0;
        let patient = self.held.values().filter(ready).filter(behind);
        let key = match patient.min_by_key(|it| it.rank()) {
            Some(patient) if !moves && !alone => patient.job.key.clone(),
            _ => first.job.key.clone(),
        };
        Some((most, self.held.get_mut(&key)?))
    }

    /// All of this instance is written to its stream, which takes as long as the line takes: another may be sent.
    pub fn written(&mut self, key: &InstanceKey) {
        if let Some(held) = self.held.get_mut(key)
            && held.state == State::Sending
        {
            held.state = State::Written;
        }
    }

    /// The gateway has all of this instance; the answer follows on the control stream.
    pub fn sent(&mut self, now: Duration, key: &InstanceKey) {
        self.ended(key, State::Sent(now));
    }

    /// The stream of this instance was cut; the answer is on the control stream.
    pub fn cut(&mut self, now: Duration, key: &InstanceKey) {
        self.ended(key, State::Cut(now));
    }

    fn ended(&mut self, key: &InstanceKey, state: State) {
        if let Some(held) = self.held.get_mut(key)
            && matches!(held.state, State::Sending | State::Written)
        {
            held.state = state;
        }
    }

    /// Takes HAVE; gives the receipts in it.
    ///
    /// # Errors
    /// When it does not answer the oldest open question, key by key.
    pub fn have(&mut self, have: &Have) -> Result<Vec<Receipt>, Farewell> {
        let asked = self.questions.pop_front().unwrap_or_default();
        let answered = have.entries.iter().map(|entry| &entry.key);
        if !answered.eq(asked.iter()) {
            return Err(Farewell::new(
                Code::ProtocolError,
                "HAVE does not answer the oldest QUERY.",
            ));
        }
        let mut receipts = Vec::new();
        for entry in &have.entries {
            if let Some(receipt) = &entry.receipt {
                self.receipt(receipt);
                receipts.push(receipt.clone());
            } else if let Some(held) = self.held.get_mut(&entry.key)
                && held.state == State::Asked
            {
                if let Some(tried) = self.tried.get_mut(&entry.key)
                    && entry.offset > tried.farthest
                {
                    // a slow line gets there in the end
                    *tried = Tried {
                        farthest: entry.offset,
                        ..Tried::default()
                    };
                }
                let possible = entry.offset <= held.job.length;
                held.state = State::Ready(if possible { entry.offset } else { 0 });
            }
        }
        Ok(receipts)
    }

    /// The spool cannot give the bytes of this instance: it is under way no more.
    pub fn withdrawn(&mut self, key: &InstanceKey) {
        self.held.remove(key);
        self.tried.remove(key);
    }

    /// Takes a receipt: the spool notes it, whether it was awaited or not.
    pub fn receipt(&mut self, receipt: &Receipt) {
        self.answered.1 = true;
        self.held.remove(&receipt.key);
        self.tried.remove(&receipt.key);
    }

    /// A receipt named other bytes than were sent: what was sent before a form was made anew may have arrived after all. The gateway
    /// is asked about it before the next try, whose answer counts for every form of the same content.
    pub fn doubted(&mut self, key: &InstanceKey) {
        self.tried.entry(key.clone()).or_default();
    }

    /// Takes a refusal and gives it back as the spool has to hear it: parked when the same would be refused again, or when it was
    /// refused [`STRIKES`] times in a row, without more of it durable in between, although the gateway thinks that another try may help.
    /// BUSY, INTERNAL and NOT_OPEN say nothing about the instance and are no strikes. An answer that comes late stands in the place of the
    /// strike that its absence was.
    pub fn refused(&mut self, mut refused: Refused) -> Refused {
        let Some(key) = refused.key.clone() else {
            return refused;
        };
        self.answered.1 = true;
        self.held.remove(&key);
        let code = Code::of(u64::from(refused.code));
        let innocent = matches!(code, Some(Code::Busy | Code::Internal | Code::NotOpen));
        let tried = self.tried.entry(key.clone()).or_default();
        if tried.unanswered > 0 {
            tried.unanswered -= 1;
            tried.strikes = tried.strikes.saturating_sub(1);
        }
        if innocent && refused.retry_after_ms.is_some() {
            return refused;
        }
        let again = code.is_none_or(|code| code.disposition() == Disposition::Retry);
        tried.strikes = tried.strikes.saturating_add(1);
        if again && tried.strikes < STRIKES && refused.retry_after_ms.is_some() {
            return refused;
        }
        if again && refused.retry_after_ms.is_some() {
            let sentence = format!("Refused {STRIKES} times in a row: {}", refused.sentence);
            refused.sentence = super::codec::sentence(sentence);
        }
        self.tried.remove(&key);
        refused.retry_after_ms = None;
        refused
    }

    /// Whether this instance was refused since more of it arrived.
    #[must_use]
    pub fn was_refused(&self, key: &InstanceKey) -> bool {
        self.tried.get(key).is_some_and(|tried| tried.strikes > 0)
    }

    /// Whether this instance is under way.
    #[must_use]
    pub fn holds(&self, key: &InstanceKey) -> bool {
        self.held.contains_key(key)
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether half of the room is free.
    #[must_use]
    pub fn is_hungry(&self) -> bool {
        self.held.len().saturating_mul(2) <= self.bounds.held
    }

    /// How many are being sent or wait for their answer.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        let states = self.held.values().map(|held| held.state);
        states
            .filter(|state| !matches!(state, State::Unknown | State::Asked | State::Ready(_)))
            .count()
    }
}
