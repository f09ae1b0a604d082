//! The demo under both kinds of agreement in turn: what it costs that identity stays at home.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use causeway_tests::stack::build;
use tokio::process::Command;

use crate::{ROUNDS, median, say};

/// The step of the demo before the first byte is sent.
const BEFORE: &str = "sample study computed";

/// Runs the demo, pseudonymous and identified in turn, and compares the medians.
pub(crate) async fn run() -> anyhow::Result<()> {
    // beside the programs that it starts
    let program = build::binaries().await?.gateway.with_file_name("demo");
    let (mut home, mut away) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        home.push(walk(&program, &["--auto"]).await?);
        away.push(walk(&program, &["--auto", "--identified"]).await?);
    }
    say(&format!(
        "\nthe demo, {ROUNDS} rounds in turn, from the first byte sent to the report in the PACS, medians\n"
    ));
    let (home, away) = (median(&mut home), median(&mut away));
    for (what, took) in [("identity stays at home", home), ("identity leaves", away)] {
        say(&format!("{what:>44}  {:.2} s", took.as_secs_f64()));
    }
    say(&format!(
        "{:>44}  {:.3}",
        "home : away",
        home.as_secs_f64() / away.as_secs_f64()
    ));
    Ok(())
}

/// How long the walk took, by the demo's own table.
async fn walk(program: &Path, arguments: &[&str]) -> anyhow::Result<Duration> {
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
    Ok(Duration::from_secs_f64(seconds.sum()))
}
