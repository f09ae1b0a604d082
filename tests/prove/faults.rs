//! The table of the calls that fail: each kind, each error, at each process.

use std::fmt::Write as _;

use anyhow::ensure;
use causeway_tests::calls::{Call, ERRORS};
use causeway_tests::failing::{Failing, Row, Sweep};
use causeway_tests::killed::Victim;
use causeway_tests::stack::build::root;

use super::say;

/// Sweeps both, or one.
///
/// # Errors
/// When something that was answered with success is not there, or a process had to be started again.
pub(super) async fn run(sweep: Sweep, only: Option<Victim>) -> anyhow::Result<()> {
    let head = "| whose | call | error | n up to | n swept | calls failed | C-STORE refused | acknowledged | lost | doubled | altered | tasks wrong | restarts needed |";
    let mut table = format!("{head}\n{}\n", "|---".repeat(13) + "|");
    let mut holds = true;
    for whose in [Victim::Agent, Victim::Gateway] {
        if only.is_some_and(|only| only != whose) {
            continue;
        }
        let mut failing = Failing::start(whose).await?;
        for call in Call::ALL {
            for (error, errno) in ERRORS {
                let mut row = failing.sweep(call, errno, sweep).await?;
                failing.judge(&mut row).await?;
                holds &= row.verdict.holds() && row.restarts == 0;
                holds &= row.swept == row.tried && row.tried > 0;
                line(&mut table, whose, (call, error), &row);
                say(&table);
                // what a start makes of what the failures have left
                failing.restart().await?;
            }
        }
        failing.close().await?;
    }
    writeln!(
        table,
        "\nEvery n of {}, {} calls failing; version {}.",
        sweep.step,
        sweep.many,
        env!("CARGO_PKG_VERSION")
    )?;
    let folder = root().join("target/prove");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("faults.md"), &table)?;
    ensure!(holds, "a failing disk did more than refuse");
    Ok(())
}

fn line(table: &mut String, whose: Victim, (call, error): (Call, &str), row: &Row) {
    let whose = match whose {
        Victim::Agent => "agent",
        Victim::Gateway => "gateway",
    };
    let (call, found) = (call.name(), &row.verdict);
    let cells = [
        row.highest,
        row.swept,
        row.failed,
        row.refused,
        found.acknowledged,
        found.lost,
        found.doubled,
        found.altered,
        found.tasks_wrong,
        row.restarts,
    ];
    let cells = cells.map(|cell| cell.to_string()).join(" | ");
    writeln!(table, "| {whose} | {call} | {error} | {cells} |").ok();
}
