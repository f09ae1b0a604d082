//! The deliveries of a site over real rows, as a seed draws them: reports come whole, again, damaged or after their withdrawal; two PACS
//! take them, lose their answers, refuse, are away or take their time; people order and decide; the clock is set, and the process ends
//! between or within two steps. After each step the rows and what has come to each PACS are read, and every promise is tried.
//!
//! The seed decides what is tried and when the process ends: after how many polls of the work. How many polls a statement takes is
//! SQLite's thread's business, so that a cut may fall one statement beside its place in another run of the same seed.
//!
//! More seeds: `CAUSEWAY_SEEDS=10000 cargo test -p causeway-agent --lib delivery::simulation -- --nocapture`.

mod pacs;
mod papers;
mod promises;
mod seen;
mod sweep;
mod world;

use anyhow::Context as _;
use causeway_proto::random::Random;
use futures::future::join_all;

use super::tests::ends_after;
use super::{ACKNOWLEDGED, Ruling};
use crate::spool::tests::seeded;
use pacs::{MOODS, Mood};
use promises::{Promises, home};
use seen::Line;
use sweep::{Counts, sweep};
use world::{Act, Came, NAMES, Way, World};

/// Moves of a run.
const MOVES: u32 = 90;
/// How long nothing happens, in seconds.
const PAUSES: [i64; 8] = [1, 5, 30, 300, 899, 901, 1201, 86_400];
/// By how much the clock is set, in seconds.
const STEPS: [i64; 6] = [-1, -3600, 3600, -86_400, 86_400, -30 * 86_400];

/// One run.
struct Run {
    world: World,
    chance: Random,
    promises: Promises,
    story: Vec<String>,
    counts: Counts,
}

impl Run {
    async fn new(seed: u64) -> Self {
        let chance = seeded(seed.wrapping_mul(0x9E6C_63D0_676A_9A99));
        let mut world = World::new(seed).await;
        let many = || usize::try_from(1 + chance.below(6)).unwrap();
        world.centre.most = [many(), many()];
        Self {
            world,
            chance,
            promises: Promises::default(),
            story: Vec::new(),
            counts: Counts::new(),
        }
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.chance.below(bound as u64)).unwrap()
    }

    fn one_of<T: Copy>(&self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_insert(0) += 1;
    }

    /// One move of the world, and whether every promise holds after it.
    async fn turn(mut self) -> anyhow::Result<Self> {
        match self.below(100) {
            0..=71 => {
                let mut acts = vec![self.act()];
                if self.below(5) == 0 {
                    acts.push(self.act());
                }
                let cut = (self.below(9) == 0).then(|| self.below(50));
                return self.perform(acts, cut).await;
            }
            72..=82 => {
                let pause = self.one_of(&PAUSES);
                self.story.push(format!("{pause} s pass"));
                self.world.pass(pause);
            }
            83..=85 => {
                let step = self.one_of(&STEPS);
                self.story.push(format!("the clock is set by {step} s"));
                self.world.pass(step);
            }
            86..=91 => {
                let (at, mood) = (self.below(3), self.one_of(&MOODS));
                self.story.push(format!("{at} is {mood:?}"));
                self.world.pacs[at].side().mood = mood;
            }
            92 => {
                let (case, n) = (self.below(2), self.below(6));
                let paper = &self.world.papers[case][n];
                let short = self.below(2) == 0;
                self.story
                    .push(format!("{} rots, short: {short}", paper.report.instance));
                self.world.rots(paper, short);
            }
            93..=94 => {
                self.story.push("the connection is lost".to_owned());
                self.world.centre.cut_off();
            }
            95 => {
                self.story.push("the gateway is put back".to_owned());
                self.world.centre.put_back();
            }
            _ => {
                let many = NAMES.len() - usize::from(self.below(4) == 0);
                self = self.restart(many).await;
            }
        }
        self.check(false).await?;
        Ok(self)
    }

    async fn restart(mut self, many: usize) -> Self {
        let begins = format!("another process begins with {many} destinations");
        self.story.push(begins);
        self.count("ended");
        self.world = self.world.restart(many).await;
        self
    }

    fn act(&mut self) -> Act {
        let seen = &self.promises.seen;
        match self.below(72) {
            0..=19 => self.arrives(),
            20..=46 => Act::Offer(self.below(NAMES.len())),
            47..=56 => Act::Find,
            57..=60 => Act::Say(self.one_of(&[1, 3, 256])),
            61..=65 => Act::Noted,
            66..=68 => Act::Retry(self.below(2)),
            69..=70 => {
                let asked = |one: &&seen::Known| one.restored.as_deref() == Some("held");
                let held: Vec<i64> = seen
                    .reports
                    .values()
                    .filter(asked)
                    .map(|one| one.id)
                    .collect();
                if held.is_empty() {
                    return Act::Find;
                }
                let rulings = [Ruling::Ours, Ruling::Ours, Ruling::Pacs(0), Ruling::Refuse];
                Act::Rule(self.one_of(&held), self.one_of(&rulings))
            }
            _ => match self.unacknowledged() {
                Some(report) => Act::Acknowledge(report),
                None => Act::Noted,
            },
        }
    }

    fn unacknowledged(&self) -> Option<i64> {
        let seen = &self.promises.seen;
        let mut lines = seen.lines.values();
        let open = lines.find(|line| line.form == ACKNOWLEDGED && line.state == "held");
        open.map(|line| seen.reports[&line.sop_uid].id)
    }

    /// What the gateway has signed and has not heard of; now and then what it has, or something new.
    fn arrives(&mut self) -> Act {
        let case = self.below(2);
        let (papers, centre) = (&self.world.papers[case], &self.world.centre);
        let (signed, most) = (centre.signed[case], centre.most[case]);
        let owed: Vec<usize> = (0..signed).filter(|n| centre.owes(&papers[*n])).collect();
        let n = match self.below(8) {
            0 if signed > 0 => self.below(signed),
            1..=4 if !owed.is_empty() => self.one_of(&owed),
            _ if signed < most => {
                // several are signed before the first of them comes
                let more = 1 + self.below(2.min(most - signed));
                self.world.centre.signed[case] += more;
                signed + more - 1
            }
            _ if !owed.is_empty() => self.one_of(&owed),
            _ => self.below(signed),
        };
        let ways = [Way::Whole; 10];
        let way = match self.below(12) {
            0 => Way::Damaged,
            1 => Way::Late,
            n => ways[n - 2],
        };
        Act::Arrive(case, n, way)
    }

    /// Does these at the same time, and ends the process after so many polls.
    async fn perform(mut self, mut acts: Vec<Act>, cut: Option<usize>) -> anyhow::Result<Self> {
        let worker = |act: &Act| match act {
            Act::Offer(at) => Some(*at),
            Act::Find => Some(NAMES.len()),
            _ => None,
        };
        acts.dedup_by(|one, other| worker(one).is_some() && worker(one) == worker(other));
        let alone = acts.len() == 1;
        let mut first = None;
        for act in &acts {
            match act {
                Act::Offer(at) if self.world.under_way[*at].is_none() => {
                    self.promises.begins(*at, alone);
                    first = alone.then(|| (*at, self.promises.first_due(*at, self.world.now())));
                }
                Act::Rule(report, _) => self.promises.rules(*report),
                _ => {}
            }
        }
        let retried = acts.iter().any(|act| matches!(act, Act::Retry(_)));
        self.story.push(format!("{acts:?}, cut after {cut:?}"));
        let all: Vec<_> = acts.into_iter().map(|act| self.world.begin(act)).collect();
        let polls = cut.map_or(u32::MAX, |cut| u32::try_from(cut).unwrap());
        match ends_after(polls, join_all(all)).await {
            None => {
                self = self.restart(NAMES.len()).await;
                first = None;
            }
            Some(came) => {
                for one in came {
                    let came = one.and_then(|one| self.came(one));
                    came.with_context(|| self.story.join("\n"))?;
                }
            }
        }
        if let Some((at, first)) = first {
            let after = self.world.seen().await;
            let was = self.promises.was_first(at, first, &after);
            was.with_context(|| self.story.join("\n"))?;
        }
        self.check(retried).await?;
        Ok(self)
    }

    fn came(&mut self, came: Came) -> anyhow::Result<()> {
        match came {
            Came::Accepted(Way::Late, taken) => drop(taken),
            Came::Accepted(_, taken) => {
                taken?;
                self.count("accepted");
            }
            Came::Said(words) => self.world.centre.hears(words)?,
            Came::Hangs(at, work) => {
                self.count("waits");
                self.story.push(format!("{at} does not answer"));
                self.world.under_way[at] = Some(work);
            }
            Came::Offered(true) => self.count("offered"),
            Came::Found(true) => self.count("asked"),
            Came::Changed(rows) if rows > 0 => self.count("changed"),
            Came::Offered(_) | Came::Found(_) | Came::Changed(_) => {}
        }
        Ok(())
    }

    /// Every promise, after a step.
    async fn check(&mut self, retried: bool) -> anyhow::Result<()> {
        let after = self.world.seen().await;
        let held = self.promises.check(&self.world, after, retried);
        held.with_context(|| self.story.join("\n"))
    }

    /// As long as there is something to do for it.
    async fn again(mut self, act: Act, word: &str) -> anyhow::Result<Self> {
        loop {
            let before = self.counts.get(word).copied();
            self = self.perform(vec![act.clone()], None).await?;
            if self.counts.get(word).copied() == before {
                return Ok(self);
            }
        }
    }

    /// Everything goes on until nothing moves by itself, or as long as that should take.
    async fn drained(mut self) -> anyhow::Result<Self> {
        const ROUNDS: u32 = 24;
        for _ in 0..ROUNDS {
            let centre = &self.world.centre;
            let mut owed = Vec::new();
            for (case, papers) in self.world.papers.iter().enumerate() {
                let all = papers.iter().enumerate().take(centre.signed[case]);
                let all = all.filter(|(_, paper)| centre.owes(paper));
                owed.extend(all.map(|(n, _)| Act::Arrive(case, n, Way::Whole)));
            }
            let idle = owed.is_empty() && !self.promises.seen.lines.values().any(Line::waits);
            for act in owed {
                self = self.perform(vec![act], None).await?;
            }
            self = self.again(Act::Find, "asked").await?;
            for at in 0..NAMES.len() {
                self = self.again(Act::Offer(at), "offered").await?;
            }
            self = self.perform(vec![Act::Say(256)], None).await?;
            while self.world.centre.waits() {
                self = self.perform(vec![Act::Noted], None).await?;
            }
            if idle {
                break;
            }
            self.story.push("100 s pass".to_owned());
            self.world.pass(100);
        }
        Ok(self)
    }

    /// Everything is well again: what can go by itself is where it belongs, and the rest when people have done their part.
    async fn end(mut self) -> anyhow::Result<Self> {
        self.story.push("everything is well again".to_owned());
        for one in &self.world.pacs {
            one.side().mood = Mood::Well;
        }
        if self.world.many < NAMES.len() || self.below(2) == 0 {
            self = self.restart(NAMES.len()).await;
        }
        self = self.drained().await?;
        let waits = self.promises.rests(&self.world);
        let waits = waits.with_context(|| self.story.join("\n"))?;
        *self.counts.entry("waited for a person").or_insert(0) += waits as u64;
        let mut acts = vec![Act::Retry(0), Act::Retry(1)];
        let asked = self.promises.seen.reports.values();
        let asked = asked.filter(|one| one.restored.as_deref() == Some("held"));
        acts.extend(asked.map(|one| Act::Rule(one.id, Ruling::Ours)));
        for act in acts {
            self = self.perform(vec![act], None).await?;
        }
        while let Some(report) = self.unacknowledged() {
            self = self.perform(vec![Act::Acknowledge(report)], None).await?;
        }
        self = self.drained().await?;
        let seen = &self.promises.seen;
        let ends = self.promises.rests(&self.world).map(drop);
        let ends = ends.and_then(|()| home(&self.world, seen));
        let ends = ends.and_then(|()| self.world.centre.knows(seen));
        ends.with_context(|| self.story.join("\n"))?;
        Ok(self)
    }
}

/// A whole run; answers how often what has happened.
async fn run(seed: u64) -> anyhow::Result<Counts> {
    let mut run = Run::new(seed).await;
    for _ in 0..MOVES {
        run = run.turn().await?;
    }
    let run = Box::pin(run.end()).await?;
    let mut counts = run.counts;
    for one in &run.world.pacs {
        for (word, count) in &one.side().counts {
            *counts.entry(word).or_insert(0) += count;
        }
    }
    let seen = &run.promises.seen;
    for line in seen.lines.values().filter(|line| line.leaves()) {
        let word = if line.state == "delivered" {
            "delivered"
        } else {
            "not delivered"
        };
        *counts.entry(word).or_insert(0) += 1;
    }
    Ok(counts)
}

#[test]
fn no_seed_breaks_a_promise_to_the_site() {
    let (seeds, counts) = sweep(21);
    eprintln!("{seeds} seeds from 0: {counts:?}");
    for word in [
        "accepted",
        "offered",
        "asked",
        "changed",
        "waits",
        "ended",
        "stored",
        "answer lost",
        "refused",
        "never taken",
        "away",
        "found there",
        "found missing",
        "delivered",
        "not delivered",
    ] {
        let count = counts.get(word).copied().unwrap_or(0);
        assert!(
            count >= seeds / 10,
            "{word}: {count} of {seeds} seeds, {counts:?}"
        );
    }
}
