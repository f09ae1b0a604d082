//! `prove`: the long proofs, with their tables. `prove kills` is the one of [`causeway_tests::killed`]; a smoke of it is among the tests.
//! `prove restored` loses a gateway and puts it back to an old backup: [`causeway_tests::restored`].
//! `prove faults` is the one of [`causeway_tests::failing`].
//! `prove states` is the one of [`causeway_tests::states`].
//! `prove writers` is the one of [`causeway_tests::writers`].
//! `prove mutants` breaks a promise at a time and sees whether that proof finds it out.
//! Tables are printed and written to `target/prove/`; the last accepted ones stand in `tests/crash/README.md`.

mod faults;
mod mutants;
mod states;
mod writers;

use std::fmt::Write as _;

use anyhow::ensure;
use causeway_tests::failing::Sweep;
use causeway_tests::killed::{self, Verdict, Victim};
use causeway_tests::restored;
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
    /// Every n-th open, write, fsync and rename of each process fails, in each of three ways.
    Faults {
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
        Proof::Kills { count, seed } => kills(count, seed).await,
        Proof::Restored { before, after } => put_back(before, after).await,
        Proof::Faults { step, most, many } => faults::run(Sweep { step, most, many }).await,
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
        Proof::Mutants { count, seed } => mutants::run(count, seed).await,
    }
}

async fn kills(count: u32, seed: u64) -> anyhow::Result<()> {
    let mut table = format!(
        "| victim | kills | seed | C-STORE | unanswered | acknowledged | lost | doubled | altered | tasks wrong | drained after |\n{}\n",
        "|---".repeat(11) + "|"
    );
    let mut holds = true;
    for (name, victim) in [("agent", Victim::Agent), ("gateway", Victim::Gateway)] {
        let found = killed::run(victim, count, seed).await?;
        holds &= found.holds();
        line(&mut table, name, seed, &found);
        if let Some(instance) = &found.which {
            say(&format!("the first that is lost or altered: {instance}"));
        }
        say(&table);
    }
    writeln!(table, "\nVersion {}.", env!("CARGO_PKG_VERSION")).ok();
    let folder = root().join("target/prove");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("kills.md"), &table)?;
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
        requests,
        unanswered,
        acknowledged,
        lost,
        doubled,
        altered,
        tasks_wrong,
        drained,
        which: _,
    } = found;
    let drained = drained.as_secs_f64();
    writeln!(table, "| {name} | {kills} | {seed} | {requests} | {unanswered} | {acknowledged} | {lost} | {doubled} | {altered} | {tasks_wrong} | {drained:.1} s |").ok();
}

#[expect(clippy::print_stdout, reason = "a proof ends in a table on the screen")]
fn say(text: &str) {
    println!("{text}");
}
