//! What stands, what was told of it, and what is to be told now. Pure: time is an argument, and where entries are kept is the program's.

use std::collections::{BTreeMap, BTreeSet};

use causeway_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Bounds;
use crate::rule::{About, Finding, Looked};
use crate::telling::{Phase, Source, Telling};

/// That a person knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Since when.
    pub at: Timestamp,
    /// Who.
    pub by: String,
}

/// An alarm that was told and stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The rule's name.
    pub rule: String,
    /// What it is about.
    pub about: About,
    /// What is wrong, as it was told last.
    pub sentence: String,
    /// Since when it is so.
    pub since: Timestamp,
    /// When it was told first.
    pub raised: Timestamp,
    /// When it was told last.
    pub told: Timestamp,
    /// When a channel took it last; none while none has. Taken before `told`, it was an earlier word.
    pub sent: Option<Timestamp>,
    /// How often it was told.
    pub times: u64,
    /// How much it was when it was told last.
    pub weight: u64,
    /// Who knows of it: it is not told again unless it becomes more, and told with nobody knowing of it when it has doubled.
    pub acknowledged: Option<Acknowledged>,
}

impl Entry {
    /// Whether somebody outside this process has what was told last.
    fn is_heard(&self) -> bool {
        self.sent.is_some_and(|sent| sent >= self.told)
    }

    /// How often it was told, in words, and whether that went anywhere.
    #[must_use]
    pub fn telling(&self) -> String {
        let heard = match self.is_heard() {
            true => "",
            false => ", which no channel has taken yet",
        };
        format!("told {} time(s){heard}", self.times)
    }
}

/// Rule and subject: what makes it one alarm.
pub(crate) type Key = (String, About);

/// Everything that stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    standing: BTreeMap<Key, Entry>,
    /// What has begun in the future, as a clock says that was set back since: when it was seen first.
    ahead: BTreeMap<Key, Timestamp>,
}

/// What came of one look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// What is to be told: one message for each rule and phase.
    pub tellings: Vec<Telling>,
    /// Entries that are new, or were told.
    pub kept: Vec<Entry>,
    /// Rule and subject of those that are over.
    pub gone: Vec<Key>,
}

impl Judged {
    /// Takes along what a later look has changed: until it is written, it is owed.
    pub fn owe(&mut self, later: &Self) {
        let key = |entry: &Entry| (entry.rule.clone(), entry.about.clone());
        let kept: BTreeSet<Key> = later.kept.iter().map(key).collect();
        self.gone.retain(|gone| !kept.contains(gone));
        let changed =
            |entry: &Entry| kept.contains(&key(entry)) || later.gone.contains(&key(entry));
        self.kept.retain(|entry| !changed(entry));
        self.kept.extend(later.kept.iter().cloned());
        self.gone.extend(later.gone.iter().cloned());
    }

    /// Whether nothing of it has to be written.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.kept.is_empty() && self.gone.is_empty()
    }
}

impl Book {
    /// What was kept.
    #[must_use]
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut book = Self::default();
        book.read(entries);
        book
    }

    /// What was kept is what stands.
    pub(crate) fn read(&mut self, entries: impl IntoIterator<Item = Entry>) {
        let keyed = entries
            .into_iter()
            .map(|entry| ((entry.rule.clone(), entry.about.clone()), entry));
        self.standing = keyed.collect();
    }

    /// What stands.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.standing.values()
    }

    /// Notes that a channel took a message at `now`; answers what is to be written of that.
    pub(crate) fn taken(&mut self, telling: &Telling, now: Timestamp) -> Vec<Entry> {
        let mut kept = Vec::new();
        for about in std::iter::once(&telling.about).chain(&telling.also) {
            let key = (telling.rule.clone(), about.clone());
            let entry = self.standing.get_mut(&key);
            // an earlier word of it, or an end that was no end
            let entry = entry.filter(|it| it.told == telling.at && telling.phase != Phase::Over);
            if let Some(entry) = entry {
                entry.sent = Some(now.max(entry.told));
                kept.push(entry.clone());
            }
        }
        kept
    }

    /// Judges what a look found: what has stood for too long, what is to be told again, what is over. `carried` is what still waits for a
    /// channel: what no channel has taken and none carries any more is told again at once.
    pub fn judge(
        &mut self,
        looked: &Looked,
        bounds: &Bounds,
        source: &Source,
        carried: &BTreeSet<(String, About)>,
        now: Timestamp,
    ) -> Judged {
        let mut told = Vec::new();
        let mut judged = Judged::default();
        let (mut seen, mut standing) = (BTreeSet::new(), BTreeSet::new());
        for finding in &looked.findings {
            let Some(bound) = bounds.patience(finding.rule) else {
                continue;
            };
            let key = (finding.rule.to_owned(), finding.about.clone());
            let since = self.begun(&key, finding.since, now);
            let known = self.standing.get(&key);
            if known.is_none() && now.since(since) < bound {
                seen.insert(key);
                continue;
            }
            let phase = known.map_or(Some(Phase::Raised), |entry| {
                let carried = carried.contains(&key);
                due(entry, finding, bounds, carried, now)
            });
            if let Some(phase) = phase {
                let entry = next(known, finding, since, now);
                told.push((phase, entry.clone()));
                judged.kept.push(entry.clone());
                self.standing.insert(key.clone(), entry);
            }
            standing.insert(key);
        }
        let over: Vec<Key> = self
            .standing
            .keys()
            .filter(|key| !standing.contains(*key) && !looked.blind.contains(&key.0.as_str()))
            .cloned()
            .collect();
        for key in over {
            told.extend(self.standing.remove(&key).map(|entry| (Phase::Over, entry)));
            judged.gone.push(key);
        }
        self.ahead.retain(|key, _| {
            let blind = looked.blind.contains(&key.0.as_str());
            blind || seen.contains(key) || standing.contains(key)
        });
        judged.tellings = gathered(told, source, now);
        judged
    }

    /// Since when it is so. What begins in the future began under a clock that was set back since, or by another's: its time is counted from when
    /// it was seen first.
    fn begun(&mut self, key: &Key, since: Timestamp, now: Timestamp) -> Timestamp {
        if since <= now {
            return since;
        }
        let seen = self.ahead.entry(key.clone()).or_insert(now);
        *seen = (*seen).min(now);
        *seen
    }
}

/// Why a standing alarm is told now, if it is.
fn due(
    entry: &Entry,
    finding: &Finding,
    bounds: &Bounds,
    carried: bool,
    now: Timestamp,
) -> Option<Phase> {
    // a clock that was set back must not silence it
    let long_ago = now.since(entry.told) >= bounds.again() || now < entry.told;
    let more = finding.weight > entry.weight;
    if has_doubled(entry, finding) || (more && long_ago) {
        return Some(Phase::Raised);
    }
    if entry.acknowledged.is_some() {
        return None;
    }
    match entry.sent {
        None => (!carried).then_some(Phase::Raised),
        Some(_) if !entry.is_heard() => (!carried).then_some(Phase::Again),
        Some(_) => long_ago.then_some(Phase::Again),
    }
}

/// So much more is told at once, whoever knows of it. Less more than that waits for its repetition: what grows by one with each look
/// is not a message each time.
fn has_doubled(entry: &Entry, finding: &Finding) -> bool {
    finding.weight > entry.weight && finding.weight / 2 >= entry.weight
}

fn next(known: Option<&Entry>, finding: &Finding, since: Timestamp, now: Timestamp) -> Entry {
    let same = known.filter(|entry| !has_doubled(entry, finding));
    // what nobody has heard was not told
    let times = match known {
        Some(entry) if entry.sent.is_some() => entry.times.saturating_add(1),
        _ => 1,
    };
    Entry {
        rule: finding.rule.to_owned(),
        about: finding.about.clone(),
        sentence: finding.sentence.clone(),
        since,
        raised: known.map_or(now, |entry| entry.raised),
        told: now,
        sent: known.and_then(|entry| entry.sent),
        times,
        weight: finding.weight.max(known.map_or(0, |entry| entry.weight)),
        acknowledged: same.and_then(|entry| entry.acknowledged.clone()),
    }
}

/// One message for each rule and phase, however many it is so of: two hundred late reports are not two hundred messages.
fn gathered(told: Vec<(Phase, Entry)>, source: &Source, now: Timestamp) -> Vec<Telling> {
    let mut tellings: BTreeMap<(String, Phase), Telling> = BTreeMap::new();
    for (phase, entry) in told {
        let key = (entry.rule.clone(), phase);
        match tellings.get_mut(&key) {
            Some(telling) => {
                telling.since = telling.since.min(entry.since);
                telling.also.push(entry.about);
            }
            None => {
                let telling = Telling {
                    source: source.clone(),
                    phase,
                    rule: entry.rule,
                    about: entry.about,
                    also: Vec::new(),
                    sentence: entry.sentence,
                    since: entry.since,
                    at: now,
                    times: entry.times,
                };
                tellings.insert(key, telling);
            }
        }
    }
    tellings.into_values().collect()
}

#[cfg(test)]
mod tests;
