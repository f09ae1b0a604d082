//! What must hold after every step, and at the end.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use causeway_proto::dataset::Dataset;
use dicom_dictionary_std::tags;

use super::super::{Parcel, SR, WITHDRAWN};
use super::pacs::{Came, Side};
use super::seen::{Key, Line, Seen};
use super::world::{NAMES, World};

/// In microseconds: how long a lease holds, how far away the next try may be, and how long the PACS' word of a patient counts.
const LEASE: i64 = 900_000_000;
const FARTHEST: i64 = 1_200_000_000;
const FRESH: i64 = 900_000_000;

/// How things stood when a worker began what it is doing.
#[derive(Clone, Default)]
struct Begun {
    step: u64,
    refused: BTreeSet<String>,
}

/// The memory of a run.
#[derive(Default)]
pub(super) struct Promises {
    pub(super) seen: Seen,
    step: u64,
    /// What was sent under a UID, by the patient whose name it had.
    sent: BTreeMap<(String, String), Bytes>,
    /// Whom a person has named.
    named: BTreeSet<String>,
    /// Rows that a person wants sent whatever is known of them, and since which step.
    ordered: BTreeMap<Key, u64>,
    /// Rows that were held while their destination was not configured: what is decided meanwhile does not move them.
    strays: BTreeSet<Key>,
    begun: [Begun; 2],
}

impl Promises {
    /// A person decides, or has tried to.
    pub(super) fn rules(&mut self, report: i64) {
        let mut all = self.seen.reports.values();
        let of = all.find(|one| one.id == report);
        self.named.extend(of.map(|one| one.sop_uid.clone()));
    }

    /// A worker begins something, and nobody else does anything meanwhile, or somebody does.
    pub(super) fn begins(&mut self, at: usize, alone: bool) {
        let mut refused = self.seen.reports.clone();
        refused.retain(|_, one| alone && one.restored.as_deref() == Some("refused"));
        self.begun[at] = Begun {
            step: self.step + 1,
            refused: refused.into_keys().collect(),
        };
    }

    /// What a worker has to offer first at `now`: whether it is no withdrawal, since when it is due, whether it is no report.
    pub(super) fn first_due(&self, at: usize, now: i64) -> Option<(bool, i64, bool)> {
        let due = |line: &&Line| {
            let report = &self.seen.reports[&line.sop_uid];
            let fresh = report.decided_by.as_deref() != Some("pacs")
                || report
                    .decided_us
                    .is_some_and(|at| at > now - FRESH && at <= now);
            let known = report.restored.as_deref().is_none_or(|it| it == "done") && fresh;
            let free = line.lease_until_us <= now || line.lease_until_us > now + LEASE;
            let time = line
                .due_us
                .is_some_and(|at| at <= now || at > now + FARTHEST);
            line.destination == NAMES[at]
                && line.moves()
                && time
                && free
                && known
                && report.lost == Some(0)
                && !self.seen.taken_back(&line.sop_uid)
        };
        let order = |line: &Line| {
            let withdrawn = self.seen.reports[&line.sop_uid].status == WITHDRAWN;
            (!withdrawn, line.due_us.unwrap_or(0), line.form != SR)
        };
        self.seen.lines.values().filter(due).map(order).min()
    }

    /// What was offered by one who was alone was the first that was due.
    pub(super) fn was_first(
        &self,
        at: usize,
        first: Option<(bool, i64, bool)>,
        after: &Seen,
    ) -> anyhow::Result<()> {
        let mut tried = self.seen.lines.values();
        let tried = tried.find(|line| {
            let now = after.lines.get(&line.key());
            line.destination == NAMES[at] && now.is_some_and(|now| now.attempts > line.attempts)
        });
        let of = tried.map(|line| {
            let withdrawn = self.seen.reports[&line.sop_uid].status == WITHDRAWN;
            (!withdrawn, line.due_us.unwrap_or(0), line.form != SR)
        });
        ensure!(of == first, "{tried:?} was offered before {first:?}");
        Ok(())
    }

    /// Notes a step, and says which promise is broken after it.
    pub(super) fn check(
        &mut self,
        world: &World,
        after: Seen,
        retried: bool,
    ) -> anyhow::Result<()> {
        self.step += 1;
        for (key, line) in &self.seen.lines {
            let now = after.lines.get(key);
            let now = now.with_context(|| format!("{line:?} is gone"))?;
            let left = line.state == "delivered" && now.state != "delivered";
            ensure!(!left, "{line:?} was delivered, and now {now:?}");
        }
        for (uid, one) in &self.seen.reports {
            let now = &after.reports[uid];
            let word = one.decided_by.as_deref() == Some("person");
            ensure!(
                !word || now.decided_by == one.decided_by,
                "a person has decided it: {one:?}, {now:?}"
            );
            let (was, is) = (&one.home, &now.home);
            ensure!(
                was.is_none() || was == is,
                "{uid} was {was:?} and is {is:?}"
            );
        }
        for (at, name) in NAMES.into_iter().enumerate() {
            let came = std::mem::take(&mut world.pacs[at].side().came);
            for one in came {
                match one {
                    Came::Sent(parcel) => self.sent(world, at, &parcel, &after)?,
                    Came::Asked(uid) => self.asked(at, &uid, &after)?,
                }
            }
            let mut leased = after
                .lines
                .values()
                .filter(|line| line.destination == name && line.lease_until_us != 0);
            let waits = world.under_way[at].is_some();
            ensure!(
                leased.clone().count() == usize::from(waits),
                "{name} waits: {waits}, and {:?} is leased",
                leased.next()
            );
        }
        for line in after.lines.values().filter(|line| line.leaves()) {
            let at = NAMES.iter().position(|name| *name == line.destination);
            let at = at.with_context(|| format!("{line:?} goes nowhere"))?;
            stands(line, &world.pacs[at].side(), &after)?;
            if line.state == "held" && world.many < NAMES.len() && at == 0 {
                self.strays.insert(line.key());
            }
            self.order(line, retried, &after)?;
        }
        self.seen = after;
        Ok(())
    }

    /// Nothing moves any more, and what stands has its reason. Answers how many rows wait for a person.
    pub(super) fn rests(&self, world: &World) -> anyhow::Result<usize> {
        let mut persons = 0;
        let seen = &self.seen;
        for line in seen.lines.values().filter(|line| line.leaves()) {
            let side = world.pacs[usize::from(line.destination == NAMES[1])].side();
            let uids = seen.uids(line);
            let asks = seen.reports[&line.sop_uid].restored.as_deref();
            let why = match line.state.as_str() {
                "delivered" => continue,
                "not-taken" => uids.iter().any(|uid| side.never.contains(uid)),
                "held" => {
                    let refusals = uids.iter().filter_map(|uid| side.refusals.get(uid));
                    refusals.sum::<u64>() >= 10
                        || seen.taken_back(&line.sop_uid)
                        || self.strays.contains(&line.key())
                        || matches!(asks, Some("held" | "refused"))
                }
                _ => false,
            };
            ensure!(
                why,
                "everything is well, and {line:?} (its patient: {asks:?})"
            );
            persons += 1;
        }
        Ok(persons)
    }

    /// Something has come to a destination.
    fn sent(
        &mut self,
        world: &World,
        at: usize,
        parcel: &Parcel,
        after: &Seen,
    ) -> anyhow::Result<()> {
        let uid = parcel.instance.as_str();
        let of = after.of_object(uid);
        let (report, form) = of.with_context(|| format!("{uid} is of no report"))?;
        let back = self.seen.reports.contains_key(&report) && self.seen.taken_back(&report);
        ensure!(!back, "{report} was sent after its withdrawal was here");
        let begun = &self.begun[at];
        ensure!(
            !begun.refused.contains(&report),
            "{report} was refused, and sent"
        );
        let dataset = Dataset::read(&parcel.dataset, &parcel.syntax)?;
        let patient = dataset.code(tags::PATIENT_ID);
        let mut papers = world.papers.iter().flatten();
        let paper = papers.find(|paper| paper.report.instance.as_str() == report);
        let paper = paper.with_context(|| format!("{report} was never signed"))?;
        if paper.nameless {
            let right = patient == "PID-1" || (patient == "PID-2" && self.named.contains(&report));
            ensure!(right, "{report} was sent as one of {patient}");
        } else if form == SR {
            ensure!(parcel.dataset == paper.bytes, "{report} was sent otherwise");
        }
        let key = (uid.to_owned(), patient);
        let first = self
            .sent
            .entry(key)
            .or_insert_with(|| parcel.dataset.clone());
        ensure!(*first == parcel.dataset, "{uid} was sent with other bytes");
        self.ordered
            .remove(&(report, NAMES[at].to_owned(), form.to_owned()));
        Ok(())
    }

    fn asked(&self, at: usize, uid: &str, after: &Seen) -> anyhow::Result<()> {
        let of = after.of_object(uid);
        let (report, form) = of.with_context(|| format!("{uid} is of no report"))?;
        let key = (report, NAMES[at].to_owned(), form.to_owned());
        let since = self.ordered.get(&key);
        let begun = self.begun[at].step;
        ensure!(
            since.is_none_or(|since| *since >= begun),
            "{key:?} is asked for, and a person wants it sent"
        );
        Ok(())
    }

    /// An order of a person stands until it was carried out.
    fn order(&mut self, line: &Line, retried: bool, after: &Seen) -> anyhow::Result<()> {
        let key = line.key();
        if line.state == "delivered" || after.taken_back(&line.sop_uid) {
            self.ordered.remove(&key);
            return Ok(());
        }
        let anew = self
            .seen
            .lines
            .get(&key)
            .is_some_and(|was| was.unknown != 2);
        // what was leased in the same step after the order may have carried it out
        if retried && anew && line.unknown == 2 && line.attempts == 0 {
            self.ordered.entry(key.clone()).or_insert(self.step);
        }
        ensure!(
            line.unknown == 2 || !self.ordered.contains_key(&key),
            "a person's order is forgotten: {line:?}"
        );
        Ok(())
    }
}

/// What a row says is what its destination knows.
fn stands(line: &Line, side: &Side, after: &Seen) -> anyhow::Result<()> {
    let uids = after.uids(line);
    if line.state == "delivered" {
        let all = !uids.is_empty() && uids.iter().all(|uid| side.said.contains(uid));
        ensure!(all, "nobody has said so: {line:?}");
        return Ok(());
    }
    if !uids.iter().any(|uid| side.held.contains_key(uid)) {
        return Ok(());
    }
    let may = line.unknown != 0 || line.lease_until_us != 0;
    ensure!(may, "it is there, and nobody says that it may: {line:?}");
    let back = line.state == "held" && line.sentence.contains("has withdrawn it");
    let says = line.sentence.starts_with("not known whether");
    ensure!(!back || says, "what was withdrawn is there: {line:?}");
    Ok(())
}

/// With all faults over and everything decided, each report is where it belongs, once.
pub(super) fn home(world: &World, seen: &Seen) -> anyhow::Result<()> {
    for line in seen.lines.values().filter(|line| line.leaves()) {
        let back = seen.taken_back(&line.sop_uid);
        let refused = seen.reports[&line.sop_uid].restored.as_deref() == Some("refused");
        let there = line.state == "delivered";
        ensure!(there || back || refused, "it never came: {line:?}");
        let side = world.pacs[usize::from(line.destination == NAMES[1])].side();
        let held = seen
            .uids(line)
            .iter()
            .all(|uid| side.held.contains_key(uid));
        ensure!(!there || held, "it is not there: {line:?}");
    }
    Ok(())
}
