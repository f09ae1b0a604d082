//! Readers, an operator and a site over the real rooms, as a seed draws them: tasks are taken, kept, put back and signed, by several at
//! once, again because an answer was lost, while the clock is set and the process ends between or within two steps. After each step the
//! rows are read and every promise is tried.
//!
//! The seed decides what is tried and when the process ends: after how many polls of the work. How many polls a statement takes is
//! SQLite's thread's business, so that a cut may fall one statement beside its place in another run of the same seed.
//!
//! More seeds: `CAUSEWAY_SEEDS=10000 cargo test -p causeway-gateway --lib simulation -- --nocapture`.

mod act;
mod draw;
mod homeward;
mod ledger;
mod promises;
mod seen;
mod sweep;
mod world;

use anyhow::Context as _;
use causeway_proto::random::Random;
use tempfile::TempDir;

use act::{Answer, Attempt, Wish, perform};
use draw::Drawn;
use homeward::Homeward;
use ledger::{Ledger, Step};
use promises::Promises;
use seen::Seen;
use sweep::sweep;
use world::{STUDIES, Template, World, cut, seeded};

/// Moves of a run.
const MOVES: u32 = 70;
/// How long nothing happens, in seconds.
const PAUSES: [i64; 8] = [1, 30, 100, 119, 121, 600, 1801, 86_400];
/// By how much the clock is set, in seconds.
const STEPS: [i64; 8] = [
    -1,
    1,
    -3600,
    3600,
    -30 * 86_400,
    30 * 86_400,
    -3 * 365 * 86_400,
    86_400,
];

/// One run.
struct Run {
    world: World,
    chance: Random,
    drawn: Drawn,
    ledger: Ledger,
    promises: Promises,
    homeward: Homeward,
    story: Vec<String>,
    _folder: TempDir,
}

impl Run {
    async fn new(template: &Template, seed: u64) -> Self {
        let (folder, world) = template.world(seed).await;
        let seen = Seen::of(&world.rows).await;
        Self {
            world,
            chance: seeded(seed.wrapping_add(1 << 40)),
            drawn: Drawn::default(),
            ledger: Ledger::new(seen),
            promises: Promises::default(),
            homeward: Homeward::default(),
            story: Vec::new(),
            _folder: folder,
        }
    }

    fn one_of<T: Copy>(&self, all: &[T]) -> T {
        let at = self.chance.below(all.len() as u64);
        all[usize::try_from(at).unwrap()]
    }

    fn tell(&mut self, what: String) {
        self.story.push(what);
    }

    /// One move of the world, and whether every promise holds after it.
    async fn turn(mut self) -> anyhow::Result<Self> {
        match self.chance.below(100) {
            0..=63 => return self.attempts().await,
            64..=80 => {
                let ends = (self.chance.below(12) == 0).then(|| self.chance.below(24));
                self.tell(format!("the link moves; cut after {ends:?}"));
                let ended = self.homeward.turn(&self.world, &self.chance, ends).await;
                if ended.with_context(|| self.story.join("\n"))? {
                    self = self.restart().await;
                }
            }
            81..=91 => {
                let pause = self.one_of(&PAUSES);
                self.tell(format!("{pause} s pass"));
                self.world.pass(pause);
            }
            92..=95 => {
                let step = self.one_of(&STEPS);
                self.tell(format!("the clock is set by {step} s"));
                self.world.step(step);
                self.promises.stepped(step, &self.world);
                self.homeward.shaken();
            }
            _ => self = self.restart().await,
        }
        let nothing = Step {
            attempts: Vec::new(),
            answers: Vec::new(),
        };
        self.check(nothing).await?;
        Ok(self)
    }

    async fn restart(mut self) -> Self {
        self.tell("another process begins".to_owned());
        self.world = self.world.restart().await;
        self.promises.shaken();
        self.homeward.broken();
        self
    }

    /// One, two or three at the same time.
    async fn attempts(mut self) -> anyhow::Result<Self> {
        let many = [1, 1, 1, 1, 1, 1, 2, 2, 2, 3];
        let mut attempts = Vec::new();
        for _ in 0..self.one_of(&many) {
            let (world, seen) = (&self.world, &self.ledger.seen);
            attempts.push(self.drawn.attempt(world, &self.chance, seen).await);
        }
        for attempt in &attempts {
            let signs = matches!(attempt.wish, Wish::Sign(..) | Wish::Withdraw(..));
            if signs && attempt.who != 2 && self.chance.below(8) > 0 {
                self.world.unlocked(attempt.who).await;
                self.promises.opened(attempt.who, &self.world);
            }
        }
        let fate = self.chance.below(10);
        let polls = if fate == 0 {
            self.chance.below(60)
        } else {
            u64::MAX
        };
        let all = attempts.iter().map(|one| perform(&self.world, one));
        let answers = cut(futures::future::join_all(all), polls).await;
        let ended = answers.is_none();
        let mut answers: Vec<Option<Answer>> = match answers {
            Some(answers) => answers.into_iter().map(Some).collect(),
            None => vec![None; attempts.len()],
        };
        self.tell(format!("{attempts:?} → {answers:?}"));
        if fate == 1 {
            self.tell("nobody hears it".to_owned());
            answers.fill(None);
        }
        if ended {
            self = self.restart().await;
        }
        self.check(Step { attempts, answers }).await?;
        Ok(self)
    }

    /// Every promise, after a step.
    async fn check(&mut self, step: Step) -> anyhow::Result<()> {
        let after = Seen::of(&self.world.rows).await;
        let mut held = self.promises.check(&step, &self.ledger.seen, &self.world);
        held = held.and_then(|()| self.homeward.check(&after));
        held = held.and_then(|()| self.ledger.check(&step, after));
        held.with_context(|| self.story.join("\n"))
    }

    /// Everything is well again: whatever waits can be read, and what was signed comes home.
    async fn end(mut self) -> anyhow::Result<Self> {
        self.world.pass(PAUSES[4]);
        self.tell("everything is well again".to_owned());
        for study in STUDIES {
            let seen = &self.ledger.seen;
            let open = seen
                .open(&seen.cases[study])
                .first()
                .map(|it| it.uid.clone());
            let Some(uid) = open else { continue };
            let attempts = vec![Attempt {
                who: 0,
                wish: Wish::Claim(uid),
            }];
            let answers = vec![Some(perform(&self.world, &attempts[0]).await)];
            self.tell(format!("{attempts:?} → {answers:?}"));
            let kept = matches!(answers[0], Some(Answer::KeptFor(_)));
            anyhow::ensure!(!kept, "kept for ever\n{}", self.story.join("\n"));
            self.check(Step { attempts, answers }).await?;
        }
        let drained = self.homeward.drained(&mut self.world, &self.chance).await;
        drained.with_context(|| self.story.join("\n"))?;
        Ok(self)
    }
}

/// A whole run; answers how often each answer was given.
async fn run(template: &Template, seed: u64) -> anyhow::Result<Vec<(&'static str, u64)>> {
    let mut run = Run::new(template, seed).await;
    for _ in 0..MOVES {
        run = run.turn().await?;
    }
    let run = run.end().await?;
    let mut counts: Vec<_> = run.ledger.counts.into_iter().collect();
    counts.push(("documents arrived", run.homeward.arrived));
    run.world.rows.close().await;
    Ok(counts)
}

#[test]
fn no_seed_breaks_a_promise_to_readers() {
    let (seeds, counts) = sweep(60);
    eprintln!("{seeds} seeds from 0: {counts:?}");
    for word in [
        "claimed",
        "reserved",
        "put back",
        "canceled",
        "saved",
        "signed",
        "signed already",
        "corrected",
        "withdrawn",
        "kept for another",
        "documents arrived",
    ] {
        let least = seeds / 20;
        let count = counts.get(word).copied().unwrap_or(0);
        assert!(
            count >= least,
            "{word}: {count} of {seeds} seeds, {counts:?}"
        );
    }
}
