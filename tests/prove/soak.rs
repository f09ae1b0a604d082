//! The table of a soak: what was promised and kept, and whether either program grows.

use std::fmt::Write as _;

use anyhow::ensure;
use causeway_tests::soaked::{self, Found, Soak};
use causeway_tests::stack::build::root;

use super::say;

/// Shorter ones say nothing about growth.
const LONG: u64 = 1800;

/// Runs it and prints its table.
///
/// # Errors
/// When something was lost, doubled or altered, or in half an hour or more a program grew.
pub(super) async fn run(soak: Soak) -> anyhow::Result<()> {
    let found = soaked::run(soak).await?;
    let table = table(&found, soak)?;
    say(&table);
    let folder = root().join("target/prove");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("soak.md"), &table)?;
    ensure!(found.holds(), "something did not hold: {found:?}");
    let short = soak.length.as_secs() < LONG;
    ensure!(
        short || found.answered(),
        "those who looked were not answered"
    );
    ensure!(
        short || found.flat(),
        "a program grows by more than a tenth in an hour"
    );
    Ok(())
}

fn table(found: &Found, soak: Soak) -> anyhow::Result<String> {
    let heads = [
        "length",
        "seed",
        "agent killed",
        "gateway killed",
        "line cut",
        "PACS away",
        "C-STORE",
        "unanswered",
        "acknowledged",
        "lost",
        "doubled",
        "altered",
        "tasks wrong",
        "searches and objects",
        "failed",
        "reports signed",
        "lost",
        "doubled",
    ];
    let [agent, gateway, line, pacs] = found.faults;
    let (verdict, [looks, failed]) = (&found.verdict, found.looks);
    let cells = [
        soak.length.as_secs(),
        soak.seed,
        agent.into(),
        gateway.into(),
        line.into(),
        pacs.into(),
        verdict.requests,
        verdict.unanswered,
        verdict.acknowledged,
        verdict.lost,
        verdict.doubled,
        verdict.altered,
        verdict.tasks_wrong,
        looks,
        failed,
        found.signed,
        found.reports_lost,
        found.reports_doubled,
    ];
    let mut table = format!(
        "| {} |\n{}\n| {} |\n\n| after the first quarter | mean | an hour adds | standard error | figures |\n|---|---|---|---|---|\n",
        heads.join(" | "),
        "|---".repeat(heads.len()) + "|",
        cells.map(|cell| cell.to_string()).join(" | ")
    );
    let whats = [
        "agent, MiB",
        "agent, open files",
        "gateway, MiB",
        "gateway, open files",
    ];
    for (what, slope) in whats.iter().zip(&found.slopes) {
        match slope {
            None => writeln!(table, "| {what} | too few | | | |")?,
            Some(it) => writeln!(
                table,
                "| {what} | {:.1} | {:+.2} | {:.2} | {} |",
                it.mean, it.per_hour, it.error, it.figures
            )?,
        }
    }
    writeln!(table, "\nVersion {}.", env!("CARGO_PKG_VERSION"))?;
    Ok(table)
}
