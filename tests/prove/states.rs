//! The table of the states that a power cut may leave.

use std::fmt::Write as _;

use anyhow::ensure;
use causeway_tests::stack::build::root;
use causeway_tests::states::{Found, Plan, enumerate, record};

use super::say;

/// Studies of each start.
const STUDIES: u32 = 8;

/// Records so many agents, and opens a spool on so many states.
///
/// # Errors
/// When something that was answered with success is not there, or a spool does not start.
pub(super) async fn run(count: u64, agents: u32, seed: u64, fails: bool) -> anyhow::Result<()> {
    let mut found = Found::default();
    for number in 0..u64::from(agents) {
        let plan = Plan {
            studies: STUDIES,
            fails,
            seed: seed + number,
        };
        for recorded in record(plan).await? {
            let left = count.saturating_sub(found.states);
            let rest = u64::from(agents) * 2 - found.recordings;
            enumerate(&recorded, left.div_ceil(rest), seed + number, &mut found).await?;
        }
        say(&format!("{found:?}"));
    }
    let mut table = format!(
        "| recordings | changes | answers | seeds | states | with something unsynced missing | torn | objects owed | lost | starts refused |\n{}\n",
        "|---".repeat(10) + "|"
    );
    let Found {
        recordings,
        changes,
        answers,
        states,
        unsynced,
        torn,
        owed,
        lost,
        refused,
        which,
    } = &found;
    let last = seed + u64::from(agents) - 1;
    writeln!(
        table,
        "| {recordings} | {changes} | {answers} | {seed} to {last} | {states} | {unsynced} | {torn} | {owed} | {lost} | {refused} |\n\nVersion {}.",
        env!("CARGO_PKG_VERSION")
    )?;
    say(&table);
    if let Some(which) = which {
        say(&format!("the first that was wrong: {which}"));
    }
    let folder = root().join("target/prove");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("states.md"), &table)?;
    ensure!(*states >= count, "there are no more states");
    ensure!(found.holds(), "a power cut may lose something");
    Ok(())
}
