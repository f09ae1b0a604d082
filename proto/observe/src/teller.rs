//! Hands messages to the channels and keeps at it: a queue and a worker for each, so that one that hangs holds up no other.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use causeway_proto::time::{Clock, Timestamp};
use futures::FutureExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::book::Key;
use crate::channel::Channel;
use crate::config::Config;
use crate::telling::{Phase, Telling};

/// So many messages wait for one channel; the oldest gives way.
const MOST: usize = 64;
/// How long it is waited after each try that failed; then the message is given up.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(300),
    Duration::from_secs(900),
];

/// How a channel stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelState {
    /// What it is called.
    pub name: String,
    /// `mail`, `webhook`, `syslog` or `command`.
    pub kind: String,
    /// Messages that wait.
    pub waiting: u64,
    /// Messages that were given up since the program started.
    pub given_up: u64,
    /// When it took a message last.
    pub taken: Option<Timestamp>,
    /// Since when it takes none; none when the last try succeeded.
    pub failing_since: Option<Timestamp>,
    /// Why; empty when the last try succeeded.
    pub failure: String,
    /// Who behind the channel did not get what it took last, and why; empty when everybody did.
    #[serde(default)]
    pub remark: String,
}

/// Hands out messages. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Teller(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lines: Vec<Line>,
    clock: Clock,
    taken: Taken,
}

/// Messages that a channel took, each when, until somebody asks.
type Taken = Mutex<VecDeque<(Telling, Timestamp)>>;

fn note(taken: &Taken, telling: &Telling, now: Timestamp) {
    let mut taken = locked(taken);
    // of what gives way it is not known that it was taken: it is told once more
    if taken.len() >= 4 * MOST {
        taken.pop_front();
    }
    taken.push_back((telling.clone(), now));
}

/// A channel and what waits for it.
#[derive(Debug)]
struct Line {
    channel: Channel,
    waiting: Mutex<VecDeque<Waiting>>,
    state: Mutex<ChannelState>,
    more: Notify,
}

#[derive(Debug)]
struct Waiting {
    telling: Telling,
    failed: usize,
    /// When its next try is due, after one that failed.
    due: Option<Instant>,
}

impl Waiting {
    /// Answers when it is tried again, if it is. One that was tried before its time, since another message came, has lost no try by that.
    fn fail(&mut self, pauses: &[Duration], now: Instant) -> Option<Instant> {
        if self.due.is_none_or(|due| due <= now) {
            let pause = pauses.get(self.failed);
            self.failed = self.failed.saturating_add(1);
            self.due = pause.map(|pause| now + *pause);
        }
        self.due
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Teller {
    /// Opens the channels. Nothing is sent before [`Self::run`].
    #[must_use]
    pub fn open(config: &Config, clock: Clock) -> Self {
        let line = |channel: Channel| Line {
            state: Mutex::new(ChannelState {
                name: channel.name().to_owned(),
                kind: channel.kind().to_owned(),
                ..ChannelState::default()
            }),
            waiting: Mutex::default(),
            more: Notify::new(),
            channel,
        };
        let lines = Channel::all(config).into_iter().map(line).collect();
        Self(Arc::new(Inner {
            lines,
            clock,
            taken: Taken::default(),
        }))
    }

    /// Says it in the log and lays it before every channel. Waits for nobody.
    pub fn tell(&self, telling: &Telling) {
        let also: Vec<&str> = telling.also.iter().map(|one| one.as_str()).collect();
        let (rule, about, times) = (&telling.rule, &telling.about, telling.times);
        let (sentence, also) = (&telling.sentence, also.join(" "));
        match telling.phase {
            Phase::Raised | Phase::Again => {
                tracing::error!(rule, %about, also, times, "ALARM: {sentence}");
            }
            Phase::Over | Phase::Test => {
                let phase = telling.phase.word();
                tracing::info!(rule, %about, also, phase, "alarm: {sentence}");
            }
        }
        if self.0.lines.is_empty() {
            // the log is all there is, and has it
            note(&self.0.taken, telling, self.0.clock.now());
        }
        for line in &self.0.lines {
            line.lay(telling.clone());
        }
    }

    /// What channels took since this was asked last, each when.
    pub(crate) fn taken(&self) -> VecDeque<(Telling, Timestamp)> {
        std::mem::take(&mut *locked(&self.0.taken))
    }

    /// Of which alarms a message waits for a channel.
    pub(crate) fn carried(&self) -> BTreeSet<Key> {
        let mut carried = BTreeSet::new();
        for line in &self.0.lines {
            for Waiting { telling, .. } in &*locked(&line.waiting) {
                let about = std::iter::once(&telling.about).chain(&telling.also);
                carried.extend(about.map(|about| (telling.rule.clone(), about.clone())));
            }
        }
        carried
    }

    /// How the channels stand.
    #[must_use]
    pub fn states(&self) -> Vec<ChannelState> {
        let lines = self.0.lines.iter();
        lines.map(|line| locked(&line.state).clone()).collect()
    }

    /// Sends what is laid before the channels until `cancel` fires; what waits then is lost to its channel. What none has taken is told again
    /// after the next start, if it still stands.
    pub async fn run(&self, cancel: &CancellationToken) {
        self.run_with(&PAUSES, cancel).await;
    }

    pub(crate) async fn run_with(&self, pauses: &[Duration], cancel: &CancellationToken) {
        let clock = &self.0.clock;
        let lines = self.0.lines.iter();
        let working = lines.map(|line| line.work(pauses, clock, &self.0.taken));
        tokio::select! {
            _ = futures::future::join_all(working) => cancel.cancelled().await,
            () = cancel.cancelled() => {}
        }
    }
}

impl Line {
    fn lay(&self, telling: Telling) {
        let mut waiting = locked(&self.waiting);
        if waiting.len() >= MOST {
            waiting.pop_front();
            self.give_up("too many messages wait for it");
        }
        waiting.push_back(Waiting {
            telling,
            failed: 0,
            due: None,
        });
        locked(&self.state).waiting = waiting.len() as u64;
        self.more.notify_one();
    }

    /// One message after the other, for ever. What is new is tried at once, with all that waits before it.
    async fn work(&self, pauses: &[Duration], clock: &Clock, all: &Taken) {
        loop {
            // what rang for the messages that are there now does not ring for them again when they fail
            let _rung = self.more.notified().now_or_never();
            let mut next = None;
            while let Some(telling) = self.first() {
                let sent = self.channel.send(&telling).await;
                match sent {
                    Ok(remark) => {
                        note(all, &telling, clock.now());
                        self.taken(&telling, remark, clock.now());
                    }
                    Err(error) => {
                        let sentence = error.sentence();
                        next = self.failed(&telling, &sentence, pauses, clock.now());
                        if next.is_some() {
                            break;
                        }
                    }
                }
            }
            match next {
                None => self.more.notified().await,
                Some(at) => {
                    // woken or waited for: both mean that it is tried
                    tokio::time::timeout_at(at, self.more.notified()).await.ok();
                }
            }
        }
    }

    fn first(&self) -> Option<Telling> {
        let waiting = locked(&self.waiting);
        waiting.front().map(|first| first.telling.clone())
    }

    fn taken(&self, telling: &Telling, remark: Option<String>, now: Timestamp) {
        if let Some(remark) = &remark {
            let channel = self.channel.name();
            tracing::error!(channel, remark, "an alarm left, but not to everybody");
        }
        let mut waiting = locked(&self.waiting);
        // it may have given way while it was being sent
        waiting.pop_front_if(|first| first.telling == *telling);
        let mut state = locked(&self.state);
        state.waiting = waiting.len() as u64;
        state.taken = Some(now);
        state.failing_since = None;
        state.failure.clear();
        state.remark = remark.unwrap_or_default();
    }

    /// Answers when it is tried again; none when it was given up, or has given way to a newer one while it was being sent.
    fn failed(
        &self,
        telling: &Telling,
        sentence: &str,
        pauses: &[Duration],
        now: Timestamp,
    ) -> Option<Instant> {
        let channel = self.channel.name();
        tracing::error!(channel, sentence, "an alarm did not leave by this channel");
        let mut waiting = locked(&self.waiting);
        let first = waiting.front_mut();
        let first = first.filter(|first| first.telling == *telling);
        let next = first.map(|first| first.fail(pauses, Instant::now()));
        if next == Some(None) {
            waiting.pop_front();
            self.give_up(sentence);
        }
        let mut state = locked(&self.state);
        state.waiting = waiting.len() as u64;
        state.failing_since.get_or_insert(now);
        sentence.clone_into(&mut state.failure);
        next.flatten()
    }

    fn give_up(&self, why: &str) {
        let channel = self.channel.name();
        tracing::error!(
            channel,
            why,
            "a message was given up: it is told again while it stands"
        );
        let mut state = locked(&self.state);
        state.given_up = state.given_up.saturating_add(1);
    }
}

/// What a channel made of a test.
#[derive(Debug)]
pub struct Outcome {
    /// What it is called.
    pub name: String,
    /// `mail`, `webhook`, `syslog` or `command`.
    pub kind: &'static str,
    /// Why it did not take the message.
    pub failure: Option<String>,
    /// Who behind it did not get the message, although it took it.
    pub remark: Option<String>,
}

/// Sends one message through every channel, once and all at the same time, and answers what each made of it.
pub async fn test(config: &Config, telling: &Telling) -> Vec<Outcome> {
    let channels = Channel::all(config);
    let trying = channels.iter().map(|channel| async move {
        let (failure, remark) = match channel.send(telling).await {
            Ok(remark) => (None, remark),
            Err(error) => (Some(error.sentence()), None),
        };
        Outcome {
            name: channel.name().to_owned(),
            kind: channel.kind(),
            failure,
            remark,
        }
    });
    futures::future::join_all(trying).await
}

#[cfg(test)]
mod tests;
