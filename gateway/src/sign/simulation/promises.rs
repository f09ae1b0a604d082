//! What ends by time: tasks that are reserved, and keys that are open. Each ends when its time is over, whatever is done to the clock.

use std::collections::BTreeMap;

use anyhow::ensure;

use super::act::{Answer, Attempt, Wish};
use super::ledger::Step;
use super::seen::Seen;
use super::world::{PEOPLE, World};

/// A task is kept for so long, in seconds.
const KEPT_S: i64 = 120;
/// A key stays open for so long, in seconds.
const OPEN_S: i64 = 30 * 60;

/// A task that is kept for somebody; times are of [`World::passed`].
struct Kept {
    since: i64,
    /// Nothing was heard or done that ends it before its time.
    stands: bool,
}

/// The memory of a run.
#[derive(Default)]
pub(super) struct Promises {
    /// By task and by whom it was asked.
    kept: BTreeMap<(String, &'static str), Kept>,
    active: BTreeMap<&'static str, i64>,
    /// When the clock was set back the last time: what was begun before may end so much later.
    back: i64,
}

impl Promises {
    /// Somebody has set the clock.
    pub(super) fn stepped(&mut self, seconds: i64, world: &World) {
        if seconds < 0 {
            self.back = world.passed;
        }
        self.shaken();
    }

    /// The process was another one, or the clock: nothing is kept for certain.
    pub(super) fn shaken(&mut self) {
        for kept in self.kept.values_mut() {
            kept.stands = false;
        }
    }

    /// Notes a step, and says which promise is broken after it.
    pub(super) fn check(
        &mut self,
        step: &Step,
        before: &Seen,
        world: &World,
    ) -> anyhow::Result<()> {
        for (attempt, answer) in step.attempts.iter().zip(&step.answers) {
            self.claimed(
                attempt,
                answer.as_ref(),
                step.attempts.len() == 1,
                before,
                world,
            )?;
        }
        for (attempt, answer) in step.attempts.iter().zip(&step.answers) {
            self.note(attempt, answer.as_ref(), world);
        }
        let over = |since: i64, length: i64| world.passed - since.max(self.back) > length;
        for ((uid, by), kept) in &self.kept {
            let of = world.reservations.of(uid, world.now());
            let still = of.is_some_and(|of| of.account == *by);
            ensure!(
                !still || !over(kept.since, KEPT_S),
                "{uid} is kept for ever"
            );
        }
        for (who, since) in &self.active {
            let open = world.signing.until(who).is_some();
            ensure!(
                !open || !over(*since, OPEN_S),
                "the key of {who} stays open"
            );
        }
        Ok(())
    }

    /// What is kept for one is not taken by another, and what is kept for nobody is not refused.
    fn claimed(
        &self,
        attempt: &Attempt,
        answer: Option<&Answer>,
        alone: bool,
        before: &Seen,
        world: &World,
    ) -> anyhow::Result<()> {
        let (Wish::Claim(uid) | Wish::Reserve(uid)) = &attempt.wish else {
            return Ok(());
        };
        if !alone {
            return Ok(());
        }
        if let Some(Answer::KeptFor(other)) = answer {
            let known = self.kept.keys().any(|(of, by)| of == uid && by == other);
            ensure!(
                known,
                "{attempt:?} was refused for {other}, who keeps nothing"
            );
        }
        let stat = before.tasks[uid].priority == "stat";
        if let (Some(Answer::Claimed(_)), false) = (answer, stat) {
            let mut all = self.kept.iter();
            let other = all.find(|((of, by), kept)| {
                let now = kept.stands && world.passed - kept.since < KEPT_S;
                of == uid && *by != attempt.account() && now
            });
            let other = other.map(|((_, by), _)| by);
            ensure!(
                other.is_none(),
                "{attempt:?} took what is kept for {other:?}"
            );
        }
        Ok(())
    }

    fn note(&mut self, attempt: &Attempt, answer: Option<&Answer>, world: &World) {
        let by = attempt.account();
        match (&attempt.wish, answer) {
            (Wish::Reserve(uid), Some(Answer::Reserved(_)) | None) => {
                let his = self.kept.iter_mut().filter(|((_, of), _)| *of == by);
                his.for_each(|(_, kept)| kept.stands = false);
                let kept = Kept {
                    since: world.passed,
                    stands: answer.is_some(),
                };
                self.kept.insert((uid.clone(), by), kept);
            }
            (Wish::Claim(uid), Some(Answer::Claimed(_)) | None) => {
                let of_it = self.kept.iter_mut().filter(|((of, _), _)| of == uid);
                of_it.for_each(|(_, kept)| kept.stands = false);
            }
            (Wish::Sign(..) | Wish::Withdraw(..), _) => {
                self.active.insert(by, world.passed);
            }
            _ => {}
        }
    }

    /// Somebody has opened his key.
    pub(super) fn opened(&mut self, who: usize, world: &World) {
        self.active.insert(PEOPLE[who].0, world.passed);
    }
}
