//! A program whose rows refuse or hang, whose channels fail, and that is started again.

use std::future::pending;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::kept::Row;
use crate::telling::Phase;

const RULES: &[Rule] = &[
    Rule::new("disk", 0, ""),
    Rule::new("object-held", 0, ""),
    Rule::new("report-late", 900, ""),
    Rule::ROWS,
    Rule::CHANNEL,
];

/// How the rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Well,
    /// Every question but that about reports is answered.
    Slow,
    Hanging,
    /// They are read, and not written.
    Full,
}

/// What is so, and the rows, which outlive a process.
#[derive(Clone, Debug, Default)]
struct World {
    mood: Arc<Mutex<Mood>>,
    findings: Arc<Mutex<Vec<Finding>>>,
    rows: Arc<Mutex<Vec<Entry>>>,
    now: Arc<AtomicI64>,
}

impl World {
    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// This, and nothing else, is so of these rules.
    fn is_so(&self, of: &[(&'static str, &str, i64)]) {
        let finding = |&(rule, about, since): &(&'static str, &str, i64)| {
            Finding::new(rule, About::kept(about.to_owned()), at(since), "it is so")
        };
        *self.findings.lock().unwrap() = of.iter().map(finding).collect();
    }

    async fn answer<T>(&self, answer: T) -> Result<T, &'static str> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Hanging => pending().await,
            _ => Ok(answer),
        }
    }

    fn of(&self, rule: &str) -> Vec<Finding> {
        let findings = self.findings.lock().unwrap();
        let of = findings.iter().filter(|it| it.rule == rule);
        of.cloned().collect()
    }
}

impl Program for World {
    type Refused = &'static str;

    const AT_HAND: &'static [&'static str] = &["disk"];

    fn at_hand(&mut self, _bounds: &Bounds, _now: Timestamp) -> Vec<Finding> {
        self.of("disk")
    }

    async fn ask(&mut self, asking: &mut Asking, _bounds: &Bounds, _now: Timestamp) {
        let late = self.of("report-late");
        let slow = *self.mood.lock().unwrap() == Mood::Slow;
        let late = async {
            if slow {
                pending::<()>().await;
            }
            self.answer(late).await
        };
        asking.ask(&["report-late"], late).await;
        let held = self.answer(self.of("object-held"));
        asking.ask(&["object-held"], held).await;
    }

    async fn standing(&self) -> Result<Vec<Entry>, &'static str> {
        let rows = self.rows.lock().unwrap().clone();
        // as they come back from a database
        let rows = rows.iter().map(|entry| Entry::from(Row::from(entry)));
        self.answer(rows.collect()).await
    }

    async fn keep(&self, owed: &Judged, _channels: &[ChannelState]) -> Result<(), &'static str> {
        self.answer(()).await?;
        if *self.mood.lock().unwrap() == Mood::Full {
            return Err("the disk is full");
        }
        let mut rows = self.rows.lock().unwrap();
        let same = |a: &Entry, rule: &str, about: &About| a.rule == rule && a.about == *about;
        for entry in &owed.kept {
            let then = rows
                .iter()
                .position(|it| same(it, &entry.rule, &entry.about));
            let then = then.map(|at| rows.remove(at));
            // a person's word stands in the rows alone, as `KEEP` has it
            let same = then.filter(|then| {
                let doubled = entry.weight > then.weight && entry.weight / 2 >= then.weight;
                then.raised == entry.raised && !doubled
            });
            rows.push(Entry {
                acknowledged: same.and_then(|then| then.acknowledged),
                ..entry.clone()
            });
        }
        for (rule, about) in &owed.gone {
            rows.retain(|it| !same(it, rule, about));
        }
        Ok(())
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(2_000_000_000_000_000 + seconds * 1_000_000)
}

/// A process in the world; `config` names its channels.
struct Process {
    world: World,
    watch: Watch<World>,
}

impl Process {
    fn start(world: &World, config: &str) -> Self {
        let config: Config = serde_json::from_str(config).unwrap();
        let now = Arc::clone(&world.now);
        let clock = Clock::new(move || at(now.load(Ordering::Relaxed)));
        let source = Source {
            program: "causeway-agent",
            name: "site-a".to_owned(),
        };
        let teller = Teller::open(&config, clock.clone());
        let mut watch = Watch::new(world.clone(), RULES, &config, teller, source, clock);
        // whatever does not answer at once does not answer
        watch.longest = Duration::ZERO;
        Self {
            world: world.clone(),
            watch,
        }
    }

    async fn look(&mut self, now: i64) -> Vec<(Phase, String)> {
        self.world.now.store(now, Ordering::Relaxed);
        let told = self.watch.look().await.into_iter();
        told.map(|it| (it.phase, format!("{} {}", it.rule, it.about)))
            .collect()
    }
}

fn one(phase: Phase, what: &str) -> Vec<(Phase, String)> {
    vec![(phase, what.to_owned())]
}

#[tokio::test]
async fn rows_that_hang_silence_nothing_that_does_not_need_them_and_are_told_themselves() {
    let world = World::default();
    let mut process = Process::start(&world, "{}");
    world.is_so(&[("object-held", "CASE", 0)]);
    assert_eq!(
        process.look(0).await,
        one(Phase::Raised, "object-held CASE")
    );
    world.set(Mood::Hanging);
    world.is_so(&[("disk", "disk", 10)]);
    assert_eq!(process.look(10).await, one(Phase::Raised, "disk disk"));
    assert!(process.look(69).await.is_empty(), "nothing is over");
    assert_eq!(process.look(70).await, one(Phase::Raised, "rows rows"));
    world.is_so(&[]);
    assert_eq!(process.look(80).await, one(Phase::Over, "disk disk"));
    world.set(Mood::Well);
    let mut over = process.look(90).await;
    over.extend(process.look(91).await);
    over.sort();
    assert_eq!(
        over,
        [
            one(Phase::Over, "object-held CASE"),
            one(Phase::Over, "rows rows")
        ]
        .concat()
    );
    assert!(world.rows.lock().unwrap().is_empty());
}

#[tokio::test]
async fn rows_that_hang_do_not_hold_the_end_of_the_program() {
    let world = World::default();
    world.set(Mood::Hanging);
    let mut process = Process::start(&world, "{}");
    (process.watch.longest, process.watch.last) = (LONGEST, Duration::ZERO);
    let cancel = CancellationToken::new();
    let running = process.watch.run(cancel.clone());
    let ending = async {
        tokio::task::yield_now().await;
        cancel.cancel();
    };
    let ended = async { tokio::join!(running, ending) };
    tokio::time::timeout(LONGEST / 2, ended).await.unwrap();
}

#[tokio::test]
async fn one_question_that_is_not_answered_hides_no_other() {
    let world = World::default();
    let mut process = Process::start(&world, "{}");
    world.set(Mood::Slow);
    world.is_so(&[("object-held", "CASE", 0), ("report-late", "CASE", 0)]);
    assert_eq!(
        process.look(0).await,
        one(Phase::Raised, "object-held CASE")
    );
    assert_eq!(process.look(60).await, one(Phase::Raised, "rows rows"));
    world.set(Mood::Well);
    let told = process.look(900).await;
    assert!(
        told.contains(&(Phase::Raised, "report-late CASE".to_owned())),
        "{told:?}"
    );
}

#[tokio::test]
async fn rows_that_are_read_and_not_written_are_told_and_what_was_told_is_not_told_anew() {
    let world = World::default();
    let mut process = Process::start(&world, "{}");
    world.set(Mood::Full);
    world.is_so(&[("object-held", "CASE", 0)]);
    assert_eq!(
        process.look(0).await,
        one(Phase::Raised, "object-held CASE")
    );
    assert!(process.look(1).await.is_empty());
    assert_eq!(process.look(61).await, one(Phase::Raised, "rows rows"));
    world.set(Mood::Well);
    assert!(process.look(62).await.is_empty(), "now it is written");
    assert_eq!(process.look(63).await, one(Phase::Over, "rows rows"));
    assert_eq!(world.rows.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_new_alarm_is_not_known_of_because_one_was_that_is_over() {
    let world = World::default();
    let mut process = Process::start(&world, "{}");
    let raised = one(Phase::Raised, "object-held CASE");
    world.is_so(&[("object-held", "CASE", 0)]);
    assert_eq!(process.look(0).await, raised);
    world.rows.lock().unwrap()[0].acknowledged = Some(crate::book::Acknowledged {
        at: at(1),
        by: "operator".to_owned(),
    });
    world.set(Mood::Full);
    world.is_so(&[]);
    assert_eq!(process.look(10).await, one(Phase::Over, "object-held CASE"));
    world.is_so(&[("object-held", "CASE", 20)]);
    assert_eq!(process.look(20).await, raised);
    world.set(Mood::Well);
    assert!(process.look(30).await.is_empty(), "now it is written");
    let row = world.rows.lock().unwrap()[0].clone();
    assert_eq!((row.raised, row.acknowledged), (at(20), None));
    // what is written a second time takes no word of a person away
    world.rows.lock().unwrap()[0].acknowledged = Some(crate::book::Acknowledged {
        at: at(31),
        by: "operator".to_owned(),
    });
    assert!(process.look(40).await.is_empty());
    assert!(process.look(20 + 3600).await.is_empty(), "somebody knows");
}

/// One channel that does as `script` says.
fn hook(script: &str) -> String {
    serde_json::json!({ "command": [{ "name": "page", "program": "/bin/sh", "arguments": ["-c", script] }] }).to_string()
}

#[tokio::test]
async fn what_no_channel_took_before_a_restart_is_told_again_at_once() {
    let world = World::default();
    world.is_so(&[("object-held", "CASE", 0)]);
    let raised = one(Phase::Raised, "object-held CASE");
    let mut process = Process::start(&world, &hook("true"));
    assert_eq!(process.look(0).await, raised);
    assert!(
        process.look(15).await.is_empty(),
        "it waits for its channel"
    );
    // killed before the channel was tried
    let mut process = Process::start(&world, &hook("true"));
    assert_eq!(process.look(30).await, raised);
    assert_eq!(world.rows.lock().unwrap()[0].sent, None);
    let (teller, cancel) = (process.watch.teller.clone(), CancellationToken::new());
    let taken = async {
        while teller.states()[0].taken.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = teller.run(&cancel) => {}
        () = taken => {}
    }
    assert!(process.look(45).await.is_empty());
    let row = world.rows.lock().unwrap()[0].clone();
    assert_eq!((row.sent, row.times), (Some(at(30)), 1));
    let mut process = Process::start(&world, &hook("true"));
    assert!(process.look(60).await.is_empty(), "it was taken");
    assert!(process.look(30 + 3599).await.is_empty());
    let again = one(Phase::Again, "object-held CASE");
    assert_eq!(process.look(30 + 3600).await, again);
}

#[tokio::test]
async fn what_every_channel_gave_up_is_told_again() {
    let world = World::default();
    world.is_so(&[("object-held", "CASE", 0)]);
    let raised = one(Phase::Raised, "object-held CASE");
    let mut process = Process::start(&world, &hook("false"));
    assert_eq!(process.look(0).await, raised);
    let (teller, cancel) = (process.watch.teller.clone(), CancellationToken::new());
    let given_up = async {
        while teller.states()[0].given_up == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = teller.run_with(&[], &cancel) => {}
        () = given_up => {}
    }
    assert_eq!(process.look(15).await, raised);
    assert!(process.look(30).await.is_empty(), "it waits again");
}

#[tokio::test]
async fn what_a_list_leaves_out_is_not_over() {
    let world = World::default();
    let mut process = Process::start(&world, "{}");
    world.is_so(&[("object-held", "CASE", 0)]);
    let raised = one(Phase::Raised, "object-held CASE");
    assert_eq!(process.look(0).await, raised);
    let others: Vec<String> = (0..LISTED).map(|n| format!("OTHER-{n:03}")).collect();
    let others: Vec<_> = others
        .iter()
        .map(|about| ("object-held", about.as_str(), 1))
        .collect();
    world.is_so(&others);
    assert_eq!(
        process.look(1).await,
        one(Phase::Raised, "object-held OTHER-000")
    );
    world.is_so(&others[1..]);
    let mut over = process.look(2).await;
    over.sort();
    assert_eq!(over, one(Phase::Over, "object-held CASE"), "and one more");
}
