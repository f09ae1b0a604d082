//! The demo under both kinds of agreement in turn: what it costs that identity stays at home.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use causeway_tests::stack::build;
use tokio::process::Command;

use crate::rig::{ROUNDS, Report, Series};

/// The step of the demo before the first byte is sent.
const BEFORE: &str = "sample study computed";

/// Runs the demo, pseudonymous and identified in turn, and compares the medians.
pub(crate) async fn run() -> anyhow::Result<()> {
    // beside the programs that it starts
    let program = build::binaries().await?.gateway.with_file_name("demo");
    let mut home = Series::new("identity stays at home");
    let mut away = Series::new("identity leaves");
    for _ in 0..ROUNDS {
        home.values.push(walk(&program, &["--auto"]).await?);
        away.values
            .push(walk(&program, &["--auto", "--identified"]).await?);
    }
    let title = "The demo, from the first byte sent to the report in the PACS";
    let mut report = Report::new("demo", title);
    report.ratio("home : away", home.ratio(&away), "≤ 1.10");
    report.part("seconds", [home, away]);
    report.close()
}

/// How long the walk took, by the demo's own table.
async fn walk(program: &Path, arguments: &[&str]) -> anyhow::Result<f64> {
    let output = Command::new(program)
        .args(arguments)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(300), output).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!(
            "the demo failed: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let table = said.split("time  step").nth(1).context("no table")?;
    let mut steps = table.lines().skip_while(|line| !line.contains(BEFORE));
    steps.next().context("no study was computed")?;
    let seconds = steps
        .take_while(|line| !line.ends_with("in all"))
        .filter_map(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(seconds.sum())
}
