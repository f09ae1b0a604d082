//! The tables of the disks that fill.

use std::fmt::Write as _;

use anyhow::ensure;
use causeway_tests::full::{self, Answered, Found, Left, Scarce, Step};
use causeway_tests::killed::Victim;
use causeway_tests::stack::build::root;

use super::say;

/// Fills the disk of each, with bytes and with files.
///
/// # Errors
/// When something is refused out of its order, is lost, or does not go on soon after there is room.
pub(super) async fn run() -> anyhow::Result<()> {
    let mut steps = format!(
        "| whose disk | filled with | left | a new association | one that is open | at the gateway | reserve held | report signed and home |\n{}\n",
        "|---".repeat(8) + "|"
    );
    let mut after = format!(
        "| whose disk | filled with | taken again after | reserve held again after | drained after | acknowledged | lost | doubled | altered | rows whole |\n{}\n",
        "|---".repeat(10) + "|"
    );
    let mut holds = true;
    for (whose, name) in [(Victim::Agent, "agent"), (Victim::Gateway, "gateway")] {
        for (scarce, what) in [(Scarce::Bytes, "bytes"), (Scarce::Files, "files")] {
            let found = full::run(whose, scarce).await?;
            holds &= found.holds(whose, scarce) && found.soon();
            let head = format!("| {name} | {what}");
            for step in &found.steps {
                writeln!(steps, "{head} | {}", line(step))?;
            }
            writeln!(after, "{head} | {}", recovery(&found))?;
            say(&steps);
        }
    }
    let table = format!("{steps}\n{after}\nVersion {}.\n", env!("CARGO_PKG_VERSION"));
    say(&after);
    let folder = root().join("target/prove");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("full.md"), &table)?;
    ensure!(holds, "a full disk did more than refuse in its order");
    Ok(())
}

fn line(step: &Step) -> String {
    let left = match step.left {
        Left::Room => "enough",
        Left::Low => "less than the soft floor",
        Left::Full => "less than the hard floor",
        Left::Nothing => "nothing",
    };
    let yes = |is: bool| if is { "yes" } else { "no" };
    let (new, open) = (words(&step.new), words(&step.open));
    let reported = match &step.reported {
        None => "not tried",
        Some(Ok(())) => "yes",
        Some(Err(words)) => words,
    };
    let (arrived, held) = (yes(step.arrived), yes(step.held));
    format!("{left} | {new} | {open} | {arrived} | {held} | {reported} |")
}

fn words(answered: &Answered) -> String {
    match answered {
        Answered::Stored => "stored".to_owned(),
        Answered::TurnedAway => "turned away for now".to_owned(),
        Answered::Status(status) => format!("{status:04X}"),
        Answered::Other(words) => words.clone(),
    }
}

fn recovery(found: &Found) -> String {
    let [taken, held, drained] = [found.taken_after, found.held_after, found.drained_after];
    let (taken, held, drained) = (
        taken.as_secs_f64(),
        held.as_secs_f64(),
        drained.as_secs_f64(),
    );
    let verdict = &found.verdict;
    format!(
        "{taken:.1} s | {held:.1} s | {drained:.1} s | {} | {} | {} | {} | {} |",
        verdict.acknowledged,
        verdict.lost,
        verdict.doubled,
        verdict.altered,
        if found.whole { "yes" } else { "no" }
    )
}
