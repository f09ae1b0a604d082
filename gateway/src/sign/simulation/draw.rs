//! Who wishes for what next: mostly what makes sense, sometimes what does not, sometimes the same again.

use std::collections::BTreeMap;

use causeway_proto::random::Random;

use super::act::{Attempt, Wish, previewed};
use super::seen::Seen;
use super::world::{PEOPLE, STUDIES, World};
use crate::report::Expect;
use crate::sign::Wanted;

/// What people remember.
#[derive(Default)]
pub(super) struct Drawn {
    past: Vec<Attempt>,
    previews: BTreeMap<(usize, String), (Wanted, String)>,
    texts: u64,
    images: u64,
}

fn one_of<'a, T>(chance: &Random, all: &'a [T]) -> Option<&'a T> {
    let at = chance.below(all.len() as u64);
    all.get(usize::try_from(at).unwrap())
}

impl Drawn {
    pub(super) async fn attempt(&mut self, world: &World, chance: &Random, seen: &Seen) -> Attempt {
        if chance.below(8) == 0
            && let Some(again) = one_of(chance, &self.past)
        {
            return again.clone();
        }
        let study = STUDIES[usize::try_from(chance.below(3)).unwrap()];
        let case = seen.cases[study].clone();
        let mut who = [0, 0, 0, 1, 1, 1, 2, 3][usize::try_from(chance.below(8)).unwrap()];
        let kind = chance.below(100);
        let holder = seen.holder(&case);
        let holder = PEOPLE.iter().position(|(name, _)| *name == holder);
        if let (Some(holder), true) = (holder, (22..75).contains(&kind) && chance.below(4) > 0) {
            who = holder;
        }
        let open = seen.open(&case).first().map(|it| it.uid.clone());
        let all: Vec<&String> = seen.tasks.keys().collect();
        let any = one_of(chance, &all).copied().cloned();
        let task = match open {
            Some(open) if chance.below(8) > 0 => open,
            _ => any.unwrap_or_default(),
        };
        let wish = match kind {
            0..=21 => Wish::Claim(task),
            22..=46 => self.save(chance, seen, case),
            47..=66 => match self.sign(world, chance, who, &case).await {
                Some((wanted, author)) => Wish::Sign(wanted, author),
                None => Wish::Claim(task),
            },
            67..=74 => Wish::PutBack(task),
            75..=82 => Wish::Reserve(task),
            83..=84 => {
                who = 2;
                Wish::Cancel(task)
            }
            85..=91 => Wish::Correct(case),
            92..=94 => match seen.last(&case) {
                Some(last) => Wish::Withdraw(case, last.id.clone()),
                None => Wish::Claim(task),
            },
            95 if study == STUDIES[1] && chance.below(3) == 0 => Wish::Recall(study),
            _ => {
                self.images += 1;
                Wish::Late(study, 1 + self.images)
            }
        };
        let attempt = Attempt { who, wish };
        // an image that came, came once
        if !matches!(attempt.wish, Wish::Late(..)) {
            self.past.push(attempt.clone());
        }
        attempt
    }

    /// Over what he sees, or over what he saw before.
    fn save(&mut self, chance: &Random, seen: &Seen, case: String) -> Wish {
        self.texts += 1;
        let now = seen.drafts.get(&case).map_or(0, |draft| draft.version);
        let expect = match (chance.below(4), now) {
            (0, now) if now > 1 => Expect::Version(now - 1),
            (1, now) if now > 0 && chance.below(2) == 0 => Expect::Nothing,
            (_, 0) => Expect::Nothing,
            (_, now) => Expect::Version(now),
        };
        Wish::Save(case, expect, format!("text {}", self.texts))
    }

    /// What he sees now, or what he saw before.
    async fn sign(
        &mut self,
        world: &World,
        chance: &Random,
        who: usize,
        case: &str,
    ) -> Option<(Wanted, String)> {
        let key = (who, case.to_owned());
        if chance.below(4) == 0
            && let Some(old) = self.previews.get(&key)
        {
            return Some(old.clone());
        }
        let now = previewed(world, case, chance.below(4) > 0).await?;
        self.previews.insert(key, now.clone());
        Some(now)
    }
}
