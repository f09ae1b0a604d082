//! The table of an upgrade: four pairs of an older and a newer version.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::ensure;
use causeway_tests::stack::build::{self, root};
use causeway_tests::upgraded;

use super::say;

/// Runs it and prints its table.
///
/// # Errors
/// When a pair does not work together, or something is lost, doubled or altered.
pub(super) async fn run(previous: &Path, studies: u32) -> anyhow::Result<()> {
    let previous = std::path::absolute(previous)?;
    let (old, new) = (upgraded::binaries(&previous), build::binaries().await?);
    let found = upgraded::run(&old, &new, studies).await?;
    let mut table = String::from(
        "| agent | gateway | taken over | came | reports at home |\n|---|---|---|---|---|\n",
    );
    let age = |new: bool| if new { "new" } else { "old" };
    for stage in &found.stages {
        let (agent, gateway) = (age(stage.new_agent), age(stage.new_gateway));
        let (taken_over, came, reports) = (stage.taken_over, stage.came, stage.reports);
        writeln!(
            table,
            "| {agent} | {gateway} | {taken_over} | {came} | {reports} |"
        )?;
    }
    let it = &found.verdict;
    writeln!(
        table,
        "\nOf {} acknowledged, lost {}, doubled {}, altered {}, tasks wrong {}. Version {}.",
        it.acknowledged,
        it.lost,
        it.doubled,
        it.altered,
        it.tasks_wrong,
        env!("CARGO_PKG_VERSION")
    )?;
    say(&table);
    let folder = root().join("target/prove");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("upgrade.md"), &table)?;
    ensure!(found.holds(), "an upgrade is no such thing: {found:?}");
    Ok(())
}
