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
    /// How often it was told.
    pub times: u64,
    /// How much it was when it was told last.
    pub weight: u64,
    /// Who knows of it: it is not told again unless it becomes more.
    pub acknowledged: Option<Acknowledged>,
}

type Key = (String, About);

/// Everything that stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book(BTreeMap<Key, Entry>);

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
        let keyed = entries
            .into_iter()
            .map(|entry| ((entry.rule.clone(), entry.about.clone()), entry));
        Self(keyed.collect())
    }

    /// What stands.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.values()
    }

    /// Judges what a look found: what has stood for too long, what is to be told again, what is over.
    pub fn judge(
        &mut self,
        looked: &Looked,
        bounds: &Bounds,
        source: &Source,
        now: Timestamp,
    ) -> Judged {
        let mut told = Vec::new();
        let mut judged = Judged::default();
        let mut standing = BTreeSet::new();
        for finding in &looked.findings {
            let Some(bound) = bounds.patience(finding.rule) else {
                continue;
            };
            let key = (finding.rule.to_owned(), finding.about.clone());
            let known = self.0.get(&key);
            if known.is_none() && now.since(finding.since) < bound {
                continue;
            }
            let phase = known.map_or(Some(Phase::Raised), |entry| {
                due(entry, finding, bounds, now)
            });
            if let Some(phase) = phase {
                let entry = next(known, finding, phase, now);
                told.push((phase, entry.clone()));
                judged.kept.push(entry.clone());
                self.0.insert(key.clone(), entry);
            }
            standing.insert(key);
        }
        let over: Vec<Key> = self
            .0
            .keys()
            .filter(|key| !standing.contains(*key) && !looked.blind.contains(&key.0.as_str()))
            .cloned()
            .collect();
        for key in over {
            told.extend(self.0.remove(&key).map(|entry| (Phase::Over, entry)));
            judged.gone.push(key);
        }
        judged.tellings = gathered(told, source, now);
        judged
    }
}

/// Why a standing alarm is told now, if it is.
fn due(entry: &Entry, finding: &Finding, bounds: &Bounds, now: Timestamp) -> Option<Phase> {
    if finding.weight > entry.weight {
        return Some(Phase::Raised);
    }
    // a clock that was set back must not silence it
    let long_ago = now.since(entry.told) >= bounds.again() || now < entry.told;
    (entry.acknowledged.is_none() && long_ago).then_some(Phase::Again)
}

fn next(known: Option<&Entry>, finding: &Finding, phase: Phase, now: Timestamp) -> Entry {
    let before = known.filter(|_| phase == Phase::Again);
    Entry {
        rule: finding.rule.to_owned(),
        about: finding.about.clone(),
        sentence: finding.sentence.clone(),
        since: finding.since,
        raised: known.map_or(now, |entry| entry.raised),
        told: now,
        times: known.map_or(0, |entry| entry.times).saturating_add(1),
        weight: finding.weight.max(before.map_or(0, |entry| entry.weight)),
        acknowledged: before.and_then(|entry| entry.acknowledged.clone()),
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
