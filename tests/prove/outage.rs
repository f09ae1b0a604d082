//! The table of an outage, and when the sites came back.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::ensure;
use causeway_tests::outage::{self, Found};
use causeway_tests::stack::build::root;

use super::say;

/// Runs it and prints its table.
///
/// # Errors
/// When something did not come, or the sites came all at once.
pub(super) async fn run(sites: u32, away: Duration, seed: u64) -> anyhow::Result<()> {
    let found = outage::run(sites, away, seed).await?;
    let table = table(&found, seed)?;
    say(&table);
    let folder = root().join("target/prove");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("outage.md"), &table)?;
    ensure!(found.holds(), "the outage was not over by itself");
    Ok(())
}

fn table(found: &Found, seed: u64) -> anyhow::Result<String> {
    let heads = [
        "sites",
        "away",
        "seed",
        "acknowledged",
        "of these meanwhile",
        "lost",
        "doubled",
        "altered",
        "tasks wrong",
        "urgent not last",
        "links up again",
        "drained after",
        "gateway: most before, most after, at the end",
        "agent: most",
    ];
    let [most_before, most_after, end] = found.gateway;
    let seconds = |time: Option<&Duration>| time.copied().unwrap_or_default().as_secs_f64();
    let cells = [
        found.sites.to_string(),
        format!("{:.0} s", found.away.as_secs_f64()),
        seed.to_string(),
        found.verdict.acknowledged.to_string(),
        found.waiting.to_string(),
        found.verdict.lost.to_string(),
        found.verdict.doubled.to_string(),
        found.verdict.altered.to_string(),
        found.verdict.tasks_wrong.to_string(),
        found.urgent_first.to_string(),
        format!(
            "{:.1} to {:.1} s",
            seconds(found.back.first()),
            seconds(found.back.last())
        ),
        format!("{:.1} s", found.drained.as_secs_f64()),
        format!("{most_before:.0}, {most_after:.0}, {end:.0} MiB"),
        format!("{:.0} MiB", found.agent),
    ];
    let mut table = format!(
        "| {} |\n{}\n| {} |\n\nLinks up again, by seconds since the gateway was started:\n\n```\n",
        heads.join(" | "),
        "|---".repeat(heads.len()) + "|",
        cells.join(" | ")
    );
    // twelve bars
    let step = found.back.last().map_or(1, |last| last.as_secs() / 12 + 1);
    for bar in 0..12 {
        let within = |time: &&Duration| time.as_secs() / step == bar;
        let count = found.back.iter().filter(within).count();
        let (from, to) = (bar * step, (bar + 1) * step);
        writeln!(
            table,
            "{from:4} to {to:4}  {count:3}  {}",
            "#".repeat(count)
        )?;
    }
    let (took, instances) = found.steady;
    writeln!(
        table,
        "```\n\nBefore the outage {instances} instances that were sent at once were there after {:.1} s. Version {}.",
        took.as_secs_f64(),
        env!("CARGO_PKG_VERSION")
    )?;
    Ok(table)
}
