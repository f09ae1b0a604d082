//! The watch that both programs keep: it looks, judges, tells, and writes down what was told.
//!
//! What needs no rows is looked at and told first. A database that refuses is one fault, one that hangs another: neither may silence what is
//! wrong elsewhere. So each question of the rows has a bound and all of a look have one; what does not answer is an alarm by itself.

use std::fmt::Display;
use std::time::Duration;

use causeway_proto::time::{Clock, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::book::{Book, Entry, Judged};
use crate::config::{Bounds, Config};
use crate::rule::{About, Finding, Looked, Rule};
use crate::since::Since;
use crate::teller::{ChannelState, Teller};
use crate::telling::{Source, Telling};

/// A question that has not been answered after so long is not waited for; three times as long for all questions of a look.
const LONGEST: Duration = Duration::from_secs(10);

/// So many of a rule are asked for, the oldest first; with as many there may be more.
pub const LISTED: usize = 200;

/// A look that has begun when the program is told to end goes on for so long: what it writes is found by the next start anyway.
const LAST: Duration = Duration::from_secs(2);

const CHANNEL: &str = Rule::CHANNEL.name;
const ROWS: &str = Rule::ROWS.name;

/// What a program says of itself, and where it keeps what was told.
pub trait Program: Send + Sync {
    /// Why its rows do not do something.
    type Refused: Display + Send;

    /// Its rules whose findings are [`Self::at_hand`].
    const AT_HAND: &'static [&'static str];

    /// What can be found out without asking rows or waiting for anybody.
    fn at_hand(&mut self, bounds: &Bounds, now: Timestamp) -> Vec<Finding>;

    /// Asks everything else. What is not asked is not known, and goes on standing.
    fn ask(
        &mut self,
        asking: &mut Asking,
        bounds: &Bounds,
        now: Timestamp,
    ) -> impl Future<Output = ()> + Send;

    /// The alarms that were told and stand.
    fn standing(&self) -> impl Future<Output = Result<Vec<Entry>, Self::Refused>> + Send;

    /// Writes what came of looks, and how the channels stand for those who are not this process. Written a second time it changes nothing.
    fn keep(
        &self,
        owed: &Judged,
        channels: &[ChannelState],
    ) -> impl Future<Output = Result<(), Self::Refused>> + Send;
}

/// Asks the questions of one look, each within its bound.
#[derive(Debug)]
pub struct Asking {
    looked: Looked,
    longest: Duration,
    ends: Instant,
    refused: bool,
}

impl Asking {
    fn new(longest: Duration) -> Self {
        Self {
            looked: Looked::default(),
            longest,
            ends: Instant::now() + longest.saturating_mul(3),
            refused: false,
        }
    }

    /// Of these rules more is so than was found: what stands goes on standing.
    pub fn more(&mut self, rules: &[&'static str]) {
        self.looked.blind.extend(rules);
    }

    /// Asks what is so of these rules. What is refused, or not answered in time, is not known; nor is what an answer of [`LISTED`] leaves out.
    pub async fn ask<E: Display>(
        &mut self,
        rules: &[&'static str],
        question: impl Future<Output = Result<Vec<Finding>, E>> + Send,
    ) {
        let left = self.ends.saturating_duration_since(Instant::now());
        match within(left.min(self.longest), question).await {
            Ok(found) => {
                if found.len() >= LISTED {
                    self.more(rules);
                }
                self.looked.findings.extend(found);
            }
            Err(error) => {
                tracing::error!(?rules, error, "whether something is wrong is not known");
                self.looked.blind.extend(rules);
                self.refused = true;
            }
        }
    }
}

/// What it comes to in time, or why it does not.
async fn within<T, E: Display>(
    limit: Duration,
    what: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(limit, what).await {
        Ok(Ok(it)) => Ok(it),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", limit.as_secs())),
    }
}

/// Looks, and tells.
#[derive(Debug)]
pub struct Watch<P> {
    program: P,
    rules: &'static [Rule],
    teller: Teller,
    bounds: Bounds,
    source: Source,
    clock: Clock,
    every: Duration,
    longest: Duration,
    last: Duration,
    since: Since,
    book: Book,
    /// What the rows have refused: until they take it, they are behind the book.
    owed: Judged,
}

impl<P: Program> Watch<P> {
    /// Watches a program with these rules from now on.
    #[must_use]
    pub fn new(
        program: P,
        rules: &'static [Rule],
        config: &Config,
        teller: Teller,
        source: Source,
        clock: Clock,
    ) -> Self {
        Self {
            program,
            rules,
            teller,
            bounds: config.bounds(rules),
            source,
            clock,
            every: config.look(),
            longest: LONGEST,
            last: LAST,
            since: Since::default(),
            book: Book::default(),
            owed: Judged::default(),
        }
    }

    /// Looks and tells until `cancel` fires.
    pub async fn run(mut self, cancel: CancellationToken) {
        let (teller, last) = (self.teller.clone(), self.last);
        let ended = async {
            cancel.cancelled().await;
            tokio::time::sleep(last).await;
        };
        let looking = async {
            while !cancel.is_cancelled() {
                self.look().await;
                tokio::select! {
                    () = tokio::time::sleep(self.every) => {}
                    () = cancel.cancelled() => {}
                }
            }
        };
        let looking = async {
            tokio::select! {
                () = looking => {}
                () = ended => {}
            }
        };
        tokio::join!(looking, teller.run(&cancel));
    }

    /// One look; answers what it told. What the rows do not take is told all the same.
    pub async fn look(&mut self) -> Vec<Telling> {
        let now = self.clock.now();
        // what was refused before is still to be written
        let mut refused = !self.owed.is_written();
        if !refused {
            match within(self.longest, self.program.standing()).await {
                Ok(entries) => self.book.read(entries),
                Err(error) => {
                    refused = true;
                    tracing::error!(error, "which alarms stand could not be read");
                }
            }
        }
        self.hear();
        let first: Vec<&str> = [P::AT_HAND, &[CHANNEL]].concat();
        let rest = self.rules.iter().map(|rule| rule.name);
        let rest = rest.filter(|name| !first.contains(name)).collect();
        let mut findings = self.program.at_hand(&self.bounds, now);
        findings.extend(self.failing());
        let mut told = self.tell(findings, rest, now);
        let mut asking = Asking::new(self.longest);
        self.program.ask(&mut asking, &self.bounds, now).await;
        refused |= asking.refused;
        let mut looked = asking.looked;
        looked.findings.extend(self.unread(refused, now));
        looked.blind.extend(first);
        told.extend(self.tell(looked.findings, looked.blind, now));
        self.keep().await;
        told
    }

    /// Judges what was found and tells what is due of it.
    fn tell(
        &mut self,
        findings: Vec<Finding>,
        blind: Vec<&'static str>,
        now: Timestamp,
    ) -> Vec<Telling> {
        let looked = Looked { findings, blind };
        let carried = self.teller.carried();
        let judged = self
            .book
            .judge(&looked, &self.bounds, &self.source, &carried, now);
        for telling in &judged.tellings {
            self.teller.tell(telling);
        }
        self.owed.owe(&judged);
        judged.tellings
    }

    /// Takes note of what the channels took.
    fn hear(&mut self) {
        for (telling, at) in self.teller.taken() {
            let kept = self.book.taken(&telling, at);
            self.owed.owe(&Judged {
                kept,
                ..Judged::default()
            });
        }
    }

    /// Writes what is owed.
    async fn keep(&mut self) {
        self.hear();
        let states = self.teller.states();
        match within(self.longest, self.program.keep(&self.owed, &states)).await {
            Ok(()) => self.owed = Judged::default(),
            Err(error) => tracing::error!(error, "which alarms were told could not be written"),
        }
    }

    /// Channels that take nothing: the others say so.
    fn failing(&self) -> Vec<Finding> {
        let states = self.teller.states().into_iter();
        let failing = states.filter_map(|one| {
            let about = About::configured(&one.name);
            let sentence = "alarms do not leave by this channel: see `alarms` and the log";
            Some(Finding::new(CHANNEL, about, one.failing_since?, sentence))
        });
        failing.collect()
    }

    fn unread(&mut self, refused: bool, now: Timestamp) -> Option<Finding> {
        let since = self.since.of(ROWS, refused, now)?;
        let sentence = format!(
            "the rows of {} cannot be read or written, or do not answer: see the log and `doctor`",
            self.source.program
        );
        Some(Finding::new(ROWS, About::part(ROWS), since, sentence))
    }
}

#[cfg(test)]
mod tests;
