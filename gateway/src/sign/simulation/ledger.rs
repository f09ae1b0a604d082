//! What was tried and answered in a run, and what must hold of the rows after each step of it.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};

use super::act::{Answer, Attempt, Wish, content};
use super::seen::{Draft, Report, Seen, Task};
use crate::report::Expect;
use crate::sign::Done;
use crate::worklist::{ADDENDUM, DISCONTINUED, RESCHEDULED};

/// Several attempts at the same time. No answer: the process ended, or nobody heard it.
pub(super) struct Step {
    pub(super) attempts: Vec<Attempt>,
    pub(super) answers: Vec<Option<Answer>>,
}

impl Step {
    fn tried(&self, by: &str, is: impl Fn(&Wish) -> bool) -> bool {
        let mut all = self.attempts.iter();
        all.any(|one| (by.is_empty() || one.account() == by) && is(&one.wish))
    }

    /// The one attempt and its answer, where there were no others.
    fn alone(&self) -> Option<(&Attempt, &Answer)> {
        match (&self.attempts[..], &self.answers[..]) {
            ([one], [Some(answer)]) => Some((one, answer)),
            _ => None,
        }
    }
}

/// The memory of a run.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) seen: Seen,
    /// Every draft that was answered or seen, by case and version.
    drafts: BTreeMap<(String, i64), (String, String)>,
    /// Workitems in the order in which they came.
    order: Vec<String>,
    /// How often each answer was given.
    pub(super) counts: BTreeMap<&'static str, u64>,
}

impl Ledger {
    pub(super) fn new(seen: Seen) -> Self {
        let order = seen.tasks.keys().cloned().collect();
        Self {
            seen,
            order,
            ..Self::default()
        }
    }

    /// Notes a step, and says which promise the rows break after it.
    pub(super) fn check(&mut self, step: &Step, after: Seen) -> anyhow::Result<()> {
        for answer in step.answers.iter().flatten() {
            *self.counts.entry(answer.word()).or_default() += 1;
        }
        self.tasks(step, &after)?;
        self.drafts(step, &after)?;
        self.reports(step, &after)?;
        for (attempt, answer) in step.attempts.iter().zip(&step.answers) {
            if let Some(answer) = answer {
                let of = || format!("{attempt:?} was answered with {answer:?}");
                self.answered(attempt, answer, &after).with_context(of)?;
            }
        }
        if let Some((attempt, answer)) = step.alone() {
            self.alone(attempt, answer, &after)?;
        }
        let new = after.tasks.keys().filter(|uid| !self.order.contains(uid));
        self.order.extend(new.cloned().collect::<Vec<_>>());
        self.seen = after;
        Ok(())
    }

    /// No task goes a way that is not in the table, and none is lost.
    fn tasks(&self, step: &Step, after: &Seen) -> anyhow::Result<()> {
        for case in after.cases.values() {
            let open = after.open(case);
            ensure!(open.len() <= 1, "two open tasks of one case: {open:?}");
        }
        for (uid, then) in &self.seen.tasks {
            let now = after.tasks.get(uid);
            let now = now.with_context(|| format!("the task {uid} is gone"))?;
            moved(then, now, step).with_context(|| format!("{then:?} became {now:?}"))?;
            if now.reason_code == RESCHEDULED {
                let replacing = after.tasks.values().filter(|it| &it.replaces == uid);
                let replacing: Vec<&Task> = replacing.collect();
                let one = replacing.len() == 1 && replacing[0].code == now.code;
                ensure!(one, "{now:?} is replaced by {replacing:?}");
            }
        }
        let new = |task: &&Task| !self.seen.tasks.contains_key(&task.uid);
        for task in after.tasks.values().filter(new) {
            let replaces = !task.replaces.is_empty();
            let came = step.tried("", |wish| match wish {
                Wish::PutBack(_) => replaces,
                Wish::Correct(case) => !replaces && *case == task.case_id,
                Wish::Late(..) => !replaces,
                _ => false,
            });
            ensure!(came, "{task:?} came by itself");
            ensure!(replaces || task.code == ADDENDUM, "{task:?} is no addendum");
        }
        Ok(())
    }

    /// No draft is written by somebody who does not hold the task, and none that was answered is lost.
    fn drafts(&mut self, step: &Step, after: &Seen) -> anyhow::Result<()> {
        for (case, now) in &after.drafts {
            let then = self.seen.drafts.get(case);
            ensure!(
                then.is_none_or(|then| then.version <= now.version),
                "a draft went back: {now:?}"
            );
            if then != Some(now) {
                self.written(step, after, now)
                    .with_context(|| format!("{then:?} became {now:?}"))?;
            }
        }
        let gone = |case: &&String| !after.drafts.contains_key(*case);
        let gone = self.seen.drafts.keys().find(gone);
        ensure!(gone.is_none(), "the draft of {gone:?} is gone");
        for (attempt, answer) in step.attempts.iter().zip(&step.answers) {
            if let (Wish::Save(case, _, text), Some(Answer::Saved(version))) =
                (&attempt.wish, answer)
            {
                let said = (attempt.account().to_owned(), json(text));
                self.drafts.insert((case.clone(), *version), said);
            }
        }
        for now in after.drafts.values() {
            let said = (now.author_id.clone(), now.content.clone());
            let key = (now.case_id.clone(), now.version);
            let known = self.drafts.entry(key).or_insert_with(|| said.clone());
            ensure!(*known == said, "{now:?} was answered as {known:?}");
            let mut newer = self.drafts.keys();
            let newer =
                newer.find(|(case, version)| *case == now.case_id && *version > now.version);
            ensure!(
                newer.is_none(),
                "{newer:?} was answered, and {now:?} stands"
            );
        }
        Ok(())
    }

    /// Somebody wrote this draft in this step.
    fn written(&self, step: &Step, after: &Seen, now: &Draft) -> anyhow::Result<()> {
        let (by, case) = (&*now.author_id, &now.case_id);
        let saved = step.tried(by, |wish| {
            matches!(wish, Wish::Save(of, _, text) if of == case && json(text) == now.content)
        });
        let corrects = step.tried(by, |wish| matches!(wish, Wish::Correct(of) if of == case));
        let of_report = |one: &Report| one.case_id == *case && one.content == now.content;
        let corrected = corrects && self.seen.reports.iter().any(of_report);
        ensure!(saved || corrected, "nobody has written this");
        let took = corrects || step.tried(by, |wish| matches!(wish, Wish::Claim(_)));
        let held = [&self.seen, after].iter().any(|it| it.holder(case) == by);
        ensure!(
            held || (took && step.attempts.len() > 1),
            "{by} holds no task"
        );
        let alone = step.attempts.len() > 1 || corrects || self.seen.holder(case) == by;
        ensure!(alone, "{by} did not hold the task before");
        Ok(())
    }

    /// Signed reports only come, one behind the other, each for a task that its signer held, each once.
    fn reports(&self, step: &Step, after: &Seen) -> anyhow::Result<()> {
        for then in &self.seen.reports {
            ensure!(after.reports.contains(then), "{} is gone or other", then.id);
        }
        let mut last: Option<&Report> = None;
        for now in &after.reports {
            let before = last.filter(|it| it.case_id == now.case_id);
            let (version, name, at) =
                before.map_or((0, "", i64::MIN), |it| (it.version, &it.id, it.signed_us));
            ensure!(
                now.version == version + 1 && now.predecessor == name,
                "{} does not follow {name:?}",
                now.id
            );
            ensure!(
                now.signed_us > at,
                "version {} of {} was signed before the one that it replaces",
                now.version,
                now.case_id
            );
            last = Some(now);
            let documents = after.documents.values().filter(|it| it.report_id == now.id);
            ensure!(documents.count() == 1, "{} has no one delivery", now.id);
            if !self.seen.reports.contains(now) {
                self.signed(step, after, now)?;
            }
        }
        for task in after.tasks.values() {
            let of_it = |one: &&Report| one.workitem_uid == task.uid && one.status == "final";
            let finals = after.reports.iter().filter(of_it).count();
            let ended = usize::from(task.state == "COMPLETED");
            ensure!(finals == ended, "{task:?} has {finals} final reports");
        }
        let withdrawn = |one: &&Report| one.status == "withdrawn";
        let withdrawn = after.reports.iter().filter(withdrawn).count();
        let signed = after.reports.len() - withdrawn;
        for (event, count) in [("report-signed", signed), ("report-withdrawn", withdrawn)] {
            let recorded = after.recorded(event);
            ensure!(recorded == i64::try_from(count)?, "{recorded} × {event}");
        }
        Ok(())
    }

    /// Somebody signed this report in this step.
    fn signed(&self, step: &Step, after: &Seen, now: &Report) -> anyhow::Result<()> {
        let signer = if now.verifier.is_empty() {
            &now.author_id
        } else {
            &now.verifier
        };
        if now.status == "withdrawn" {
            let is = |wish: &Wish| matches!(wish, Wish::Withdraw(_, of) if *of == now.predecessor);
            ensure!(step.tried(signer, is), "nobody has withdrawn it: {now:?}");
            return Ok(());
        }
        let is = |wish: &Wish| {
            let Wish::Sign(wanted, author) = wish else {
                return false;
            };
            let status = ["preliminary", "final"][usize::from(wanted.is_final)];
            let same = wanted.case == now.case_id && wanted.draft_version == now.draft_version;
            same && status == now.status && *author == now.author_id
        };
        let by = if now.status == "final" { signer } else { "" };
        ensure!(step.tried(by, is), "nobody has signed it: {now:?}");
        let task = after.tasks.get(&now.workitem_uid).context("no task")?;
        let held = task.holder == *signer || now.status == "preliminary";
        ensure!(held, "{task:?} was not held by {signer}");
        let key = (now.case_id.clone(), now.draft_version);
        let draft = self.drafts.get(&key).context("of no draft")?;
        let same = draft.0 == now.author_id && draft.1 == now.content;
        ensure!(same, "signed {now:?}, and the draft was {draft:?}");
        Ok(())
    }

    /// What was answered stands.
    fn answered(&self, attempt: &Attempt, answer: &Answer, after: &Seen) -> anyhow::Result<()> {
        let report = |done: &Done| {
            let mut all = after.reports.iter();
            all.any(|one| one.id == done.report && one.version == done.version)
        };
        match answer {
            Answer::Broken(why) => anyhow::bail!("the rooms fail: {why}"),
            Answer::Claimed(claimed) | Answer::Corrected(claimed, _) => {
                let task = after.tasks.get(&claimed.workitem).context("no such task")?;
                let his = task.holder == attempt.account();
                let lock = task.transaction_uid == claimed.transaction_uid;
                ensure!(his && lock, "{task:?} is not his");
            }
            Answer::PutBack(new) => {
                let task = after.tasks.get(new).context("no such task")?;
                let Wish::PutBack(old) = &attempt.wish else {
                    return Ok(());
                };
                ensure!(task.replaces == *old, "{task:?} replaces another");
            }
            Answer::Already(done) => {
                ensure!(report(done), "there is no such report");
                let of = after.reports.iter().find(|one| one.id == done.report);
                let mut before = self.seen.reports.iter();
                let back = before.find(|one| {
                    let case = of.is_some_and(|of| of.case_id == one.case_id);
                    case && one.version > done.version && one.status == "withdrawn"
                });
                ensure!(back.is_none(), "{back:?} has taken it back");
            }
            Answer::Signed(done) | Answer::Withdrawn(done) => {
                ensure!(report(done), "there is no such report");
            }
            Answer::Saved(version) => {
                let Wish::Save(case, expect, _) = &attempt.wish else {
                    return Ok(());
                };
                let follows = match expect {
                    Expect::Nothing => *version == 1,
                    Expect::Version(old) => *version == old + 1,
                };
                ensure!(follows, "it was another version");
                ensure!(after.drafts[case].version >= *version, "it is not there");
            }
            _ => {}
        }
        Ok(())
    }

    /// What one attempt alone has to come to.
    fn alone(&self, attempt: &Attempt, answer: &Answer, after: &Seen) -> anyhow::Result<()> {
        let by = attempt.account();
        if let Wish::Claim(uid) = &attempt.wish {
            let then = &self.seen.tasks[uid];
            let free = then.state == "SCHEDULED" || (then.is_open() && then.holder == by);
            let may = free && attempt.who != 2;
            let takes = match answer {
                Answer::Claimed(_) => may,
                Answer::KeptFor(_) => true,
                _ => !may,
            };
            ensure!(takes, "{uid} was {then:?}: {answer:?}");
        }
        if let Wish::Late(study, _) = &attempt.wish {
            self.late(study, after)?;
        }
        Ok(())
    }

    /// Late images are read: by whoever has the open task, or as an addendum to what was reported. What an operator or the site has
    /// ended stays so.
    fn late(&self, study: &str, after: &Seen) -> anyhow::Result<()> {
        let case = &self.seen.cases[study];
        let mut newest = self.order.iter().rev().map(|uid| &self.seen.tasks[uid]);
        let newest = newest
            .find(|task| task.case_id == *case)
            .context("no task")?;
        let open = after.open(case);
        let read = match (&*newest.state, &open[..]) {
            ("COMPLETED", [task]) => task.code == ADDENDUM,
            ("CANCELED", []) => newest.reason_code == DISCONTINUED,
            (_, [task]) => newest.is_open() && task.uid == newest.uid,
            _ => false,
        };
        let incomplete = open.iter().all(|task| task.readiness == "INCOMPLETE");
        ensure!(read && incomplete, "{newest:?} was the newest: {open:?}");
        Ok(())
    }
}

/// A task between two steps: it stays with whom it was, it ends once, and somebody has asked for it.
fn moved(then: &Task, now: &Task, step: &Step) -> anyhow::Result<()> {
    if then.state == now.state {
        ensure!(then.holder == now.holder, "it went to another");
        return Ok(());
    }
    ensure!(then.is_open(), "it had ended");
    ensure!(now.state != "SCHEDULED", "nothing goes back");
    ensure!(
        then.holder.is_empty() || then.holder == now.holder,
        "it went to another"
    );
    if now.state == "IN PROGRESS" || (!now.holder.is_empty() && then.holder.is_empty()) {
        let took = step.tried(&now.holder, |wish| match wish {
            Wish::Claim(uid) => *uid == now.uid,
            Wish::Correct(case) => *case == now.case_id,
            _ => false,
        });
        ensure!(
            took && !now.transaction_uid.is_empty(),
            "nobody has taken it"
        );
    }
    let by_holder = |is: &dyn Fn(&Wish) -> bool| step.tried(&now.holder, is);
    let ended = match (&*now.state, &*now.reason_code) {
        ("COMPLETED", _) => by_holder(
            &|wish| matches!(wish, Wish::Sign(wanted, _) if wanted.is_final && wanted.case == now.case_id),
        ),
        ("CANCELED", RESCHEDULED) => {
            by_holder(&|wish| matches!(wish, Wish::PutBack(uid) if *uid == now.uid))
        }
        ("CANCELED", _) => step.tried("", |wish| match wish {
            Wish::Cancel(uid) => *uid == now.uid && now.holder.is_empty(),
            Wish::Recall(_) => true,
            _ => false,
        }),
        _ => true,
    };
    ensure!(ended, "nobody may have ended it");
    Ok(())
}

fn json(text: &str) -> String {
    serde_json::to_string(&content(text)).unwrap_or_default()
}
