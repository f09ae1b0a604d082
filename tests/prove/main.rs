//! `prove`: the long proofs, with their tables. `prove kills` is the one of [`causeway_tests::killed`]; a smoke of it is among the tests.
//! `prove drain` ends them with SIGTERM instead, `prove cuts` with their power.
//! `prove outage` is the one of [`causeway_tests::outage`].
//! `prove restored` loses a gateway and puts it back to an old backup: [`causeway_tests::restored`].
//! `prove faults` is the one of [`causeway_tests::failing`].
//! `prove full` is the one of [`causeway_tests::full`].
//! `prove states` is the one of [`causeway_tests::states`].
//! `prove writers` is the one of [`causeway_tests::writers`].
//! `prove soak` is the one of [`causeway_tests::soaked`].
//! `prove unanswered` is the one of [`causeway_tests::unanswered`].
//! `prove upgrade` is the one of [`causeway_tests::upgraded`].
//! `prove hostile` is the one of [`causeway_tests::hostile`].
//! `prove mutants` breaks a promise at a time and sees whether that proof finds it out.
//! Tables are printed and written to `target/prove/`; the last accepted ones stand in `tests/crash/README.md`.

mod faults;
mod full;
mod hostile;
mod mutants;
mod outage;
mod soak;
mod states;
mod unanswered;
mod upgrade;
mod writers;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use causeway_tests::failing::Sweep;
use causeway_tests::killed::{self, How, Verdict, Victim};
use causeway_tests::restored;
use causeway_tests::soaked::Soak;
use causeway_tests::stack::build::root;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    proof: Proof,
}

#[derive(Debug, Subcommand)]
enum Proof {
    /// SIGKILL of the agent and of the gateway under load.
    Kills {
        /// How often each is killed.
        #[arg(long, default_value_t = 1000)]
        count: u32,
        /// What the times of the kills come from; printed, so that a run can be had again.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only this one: `agent` or `gateway`.
        #[arg(long)]
        victim: Option<Victim>,
    },
    /// SIGTERM of the agent and of the gateway under load.
    Drain {
        /// How often each is ended.
        #[arg(long, default_value_t = 500)]
        count: u32,
        /// As of the kills.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only this one: `agent` or `gateway`.
        #[arg(long)]
        victim: Option<Victim>,
    },
    /// Power cuts under load: what no sync has made durable may be gone.
    Cuts {
        /// How often the power of each is cut.
        #[arg(long, default_value_t = 200)]
        count: u32,
        /// What the times come from, and what is gone.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only this one: `agent` or `gateway`.
        #[arg(long)]
        victim: Option<Victim>,
    },
    /// A gateway that is away while many sites go on.
    Outage {
        /// Sites, each with an agent of its own.
        #[arg(long, default_value_t = 100)]
        sites: u32,
        /// How long it is away, in seconds.
        #[arg(long, default_value_t = 1200)]
        away_s: u64,
        /// What the moments come from at which the sites take studies.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Mixed load and random faults for a long time.
    Soak {
        /// How long, in seconds.
        #[arg(long, default_value_t = 3600)]
        length_s: u64,
        /// From the end of a fault to the next, in seconds, in the mean.
        #[arg(long, default_value_t = 25)]
        between_s: u64,
        /// Between two studies of each of the two senders, in seconds.
        #[arg(long, default_value_t = 4)]
        pace_s: u64,
        /// What the faults come from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// What the programs of an older version have taken, these take over; and each works with the other at the far end.
    Upgrade {
        /// A folder with `causeway-agent` and `causeway-gateway` of that version.
        #[arg(long)]
        previous: PathBuf,
        /// Studies of eight instances that each pair gets.
        #[arg(long, default_value_t = 100)]
        studies: u32,
    },
    /// A gateway put back to a backup that so many instances came after.
    Restored {
        /// How many studies of eight instances are in the backup.
        #[arg(long, default_value_t = 50)]
        before: u32,
        /// How many came after it.
        #[arg(long, default_value_t = 250)]
        after: u32,
    },
    /// Reports whose answer the PACS never gets out.
    Unanswered {
        /// How many reports.
        #[arg(long, default_value_t = 1000)]
        count: u32,
    },
    /// Every n-th open, write, fsync and rename of each process fails, in each of three ways.
    Faults {
        /// Only this one: `agent` or `gateway`.
        #[arg(long)]
        whose: Option<Victim>,
        /// Every so many n.
        #[arg(long, default_value_t = 1)]
        step: u64,
        /// No n beyond this.
        #[arg(long, default_value_t = 1000)]
        most: u64,
        /// So many calls fail, one behind the other.
        #[arg(long, default_value_t = 1)]
        many: u64,
    },
    /// A disk under each that another program fills, with bytes and with files. Mounts disks of its own, which needs root.
    Full,
    /// Power that is lost at any moment: a spool is opened on what may be on the disk then.
    States {
        /// How many different states.
        #[arg(long, default_value_t = 20_000)]
        count: u64,
        /// Agents that are recorded, each with one more start.
        #[arg(long, default_value_t = 10)]
        agents: u32,
        /// Some syncs fail while they are recorded.
        #[arg(long)]
        failing: bool,
        /// What the objects and the states come from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Sixteen writers of one SOP instance at a time, while the gateway is killed.
    Writers {
        /// SOP instances.
        #[arg(long, default_value_t = 100)]
        rounds: u32,
        /// How often each of the sixteen sends each.
        #[arg(long, default_value_t = 63)]
        sends: u32,
        /// What the times of the kills come from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Hostile associations, QUIC peers and HTTP clients, and beside them a sender and a reader.
    Hostile(hostile::Asked),
    /// The same proof as `kills`, of programs in which a promise is broken: it has to find that out.
    Mutants {
        /// How often each of their programs is killed.
        #[arg(long, default_value_t = 60)]
        count: u32,
        /// As of the kills.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().proof {
        Proof::Kills {
            count,
            seed,
            victim,
        } => kills(How::Kill, count, seed, victim).await,
        Proof::Drain {
            count,
            seed,
            victim,
        } => kills(How::Term, count, seed, victim).await,
        Proof::Cuts {
            count,
            seed,
            victim,
        } => kills(How::Cut { syncs: true }, count, seed, victim).await,
        Proof::Outage {
            sites,
            away_s,
            seed,
        } => outage::run(sites, Duration::from_secs(away_s), seed).await,
        Proof::Soak {
            length_s,
            between_s,
            pace_s,
            seed,
        } => {
            soak::run(Soak {
                length: Duration::from_secs(length_s),
                between: Duration::from_secs(between_s),
                pace: Duration::from_secs(pace_s),
                seed,
            })
            .await
        }
        Proof::Upgrade { previous, studies } => upgrade::run(&previous, studies).await,
        Proof::Restored { before, after } => put_back(before, after).await,
        Proof::Unanswered { count } => unanswered::run(count).await,
        Proof::Faults {
            whose,
            step,
            most,
            many,
        } => faults::run(Sweep { step, most, many }, whose).await,
        Proof::Full => full::run().await,
        Proof::States {
            count,
            agents,
            failing,
            seed,
        } => states::run(count, agents, seed, failing).await,
        Proof::Writers {
            rounds,
            sends,
            seed,
        } => writers::run(rounds, sends, seed).await,
        Proof::Hostile(asked) => hostile::run(asked).await,
        Proof::Mutants { count, seed } => mutants::run(count, seed).await,
    }
}

async fn kills(how: How, count: u32, seed: u64, only: Option<Victim>) -> anyhow::Result<()> {
    let (name, ends) = match how {
        How::Kill => ("kills.md", "kills"),
        How::Term => ("drain.md", "SIGTERM"),
        How::Cut { .. } => ("cuts.md", "power cuts"),
    };
    let mut table = format!(
        "| victim | {ends} | forgot something | seed | C-STORE | unanswered | acknowledged | lost | doubled | altered | tasks wrong | drained after | slowest end |\n{}\n",
        "|---".repeat(13) + "|"
    );
    let mut holds = true;
    for (who, victim) in [("agent", Victim::Agent), ("gateway", Victim::Gateway)] {
        if only.is_some_and(|only| only != victim) {
            continue;
        }
        let found = killed::end(victim, how, count, seed).await?;
        holds &= found.holds();
        line(&mut table, who, seed, &found);
        if let Some(instance) = &found.which {
            say(&format!("the first that is lost or altered: {instance}"));
        }
        say(&table);
    }
    writeln!(table, "\nVersion {}.", env!("CARGO_PKG_VERSION")).ok();
    let folder = root().join("target/prove");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), &table)?;
    ensure!(holds, "something acknowledged was lost, doubled or altered");
    Ok(())
}

async fn put_back(before: u32, after: u32) -> anyhow::Result<()> {
    let found = restored::run(before, after).await?;
    let [backup, restore] = found.took.map(|it| it.as_secs_f64());
    let (judged, back) = (&found.judged, found.back.as_secs_f64());
    let table = format!(
        "| in the backup | after it | lost | doubled | altered | tasks wrong | not heard | backup | restore | all back after |\n{}\n\
         | {} | {} | {} | {} | {} | {} | {} | {backup:.1} s | {restore:.1} s | {back:.1} s |\n\nVersion {}.\n",
        "|---".repeat(10) + "|",
        found.before,
        found.after,
        judged.lost,
        judged.doubled,
        judged.altered,
        judged.tasks_wrong,
        found.unheard,
        env!("CARGO_PKG_VERSION")
    );
    say(&table);
    let folder = root().join("target/prove");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("restored.md"), &table)?;
    ensure!(found.holds(), "not everything came back: {found:?}");
    Ok(())
}

fn line(table: &mut String, name: &str, seed: u64, found: &Verdict) {
    let Verdict {
        kills,
        forgot,
        requests,
        unanswered,
        acknowledged,
        lost,
        doubled,
        altered,
        tasks_wrong,
        drained,
        slowest,
        which: _,
    } = found;
    let [drained, slowest] = [drained, slowest].map(Duration::as_secs_f64);
    writeln!(table, "| {name} | {kills} | {forgot} | {seed} | {requests} | {unanswered} | {acknowledged} | {lost} | {doubled} | {altered} | {tasks_wrong} | {drained:.1} s | {slowest:.1} s |").ok();
}

#[expect(clippy::print_stdout, reason = "a proof ends in a table on the screen")]
fn say(text: &str) {
    println!("{text}");
}
