//! The table of the lost answers.

use std::fmt::Write as _;

use anyhow::ensure;
use causeway_tests::stack::build::root;
use causeway_tests::unanswered::{self, Found};

use super::say;

/// Half of them with a PACS that can be asked, half with one that cannot.
///
/// # Errors
/// When a report is not there exactly once.
pub(super) async fn run(count: u32) -> anyhow::Result<()> {
    let mut table = format!(
        "| the PACS | reports signed | answers lost | C-STORE kept | lost | doubled | altered |\n{}\n",
        "|---".repeat(7) + "|"
    );
    let mut holds = true;
    for (finds, count) in [(true, count.div_ceil(2)), (false, count / 2)] {
        let found = unanswered::run(count, finds).await?;
        holds &= found.holds(finds);
        line(&mut table, finds, &found)?;
        say(&table);
    }
    writeln!(table, "\nVersion {}.", env!("CARGO_PKG_VERSION"))?;
    let folder = root().join("target/prove");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("unanswered.md"), &table)?;
    ensure!(holds, "a report is not there exactly once");
    Ok(())
}

fn line(table: &mut String, finds: bool, found: &Found) -> anyhow::Result<()> {
    let Found {
        signed,
        unanswered,
        kept,
        lost,
        doubled,
        altered,
    } = found;
    let pacs = if finds {
        "answers C-FIND"
    } else {
        "cannot be asked"
    };
    writeln!(
        table,
        "| {pacs} | {signed} | {unanswered} | {kept} | {lost} | {doubled} | {altered} |"
    )?;
    Ok(())
}
