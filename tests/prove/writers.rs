//! The table of the sixteen writers.

use std::fmt::Write as _;

use anyhow::ensure;
use causeway_tests::stack::build::root;
use causeway_tests::writers::{self, Found};

use super::say;

/// Runs it and prints its table.
///
/// # Errors
/// When there is more or less than one row and one blob for each, or one was ever removed.
pub(super) async fn run(rounds: u32, sends: u32, seed: u64) -> anyhow::Result<()> {
    let found = writers::run(rounds, sends, seed).await?;
    let Found {
        kills,
        sends,
        refused,
        instances,
        rows,
        blobs,
        begun,
        removed,
        others,
        shown,
        verdict,
    } = &found;
    let mut table = format!(
        "| sends | refused | kills | seed | instances | rows | blobs | begun only | blobs removed | lost | altered | other bytes | both seen |\n{}\n",
        "|---".repeat(13) + "|"
    );
    let (lost, altered) = (verdict.lost, verdict.altered);
    writeln!(
        table,
        "| {sends} | {refused} | {kills} | {seed} | {instances} | {rows} | {blobs} | {begun} | {removed} | {lost} | {altered} | {others} | {shown} |\n\nVersion {}.",
        env!("CARGO_PKG_VERSION")
    )?;
    say(&table);
    let folder = root().join("target/prove");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("writers.md"), &table)?;
    ensure!(found.holds(), "there is not one of each");
    Ok(())
}
