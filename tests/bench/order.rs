//! An emergency of thirty slices behind a study that fills the line for minutes, beside the same emergency alone on that line.
//!
//! Like `wan` it runs itself again inside the namespace of the centre.

use std::time::Duration;

use anyhow::ensure;
use causeway_tests::stack::wait_until;
use tokio::time::Instant;

use crate::rig::{ROUNDS, Report, Series};
use crate::say;
use crate::wan::ends::{Ends, Study};
use crate::wan::line::{Cell, Line};

/// The line of the goal.
const CELL: Cell = Cell::new(20, 80, 0.0);
/// Slices of the emergency, and of what it comes behind: at 20 Mbit/s coded slices of this many take longer than all rounds.
const URGENT: u16 = 30;
const BULK: u16 = 1000;
/// So many slices of the bulk are at the gateway before the first emergency comes: the line is full by then.
const BEGUN: u64 = 20;
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) async fn run() -> anyhow::Result<()> {
    crate::wan::within(&["order", "--inside"]).await
}

/// What runs inside the centre.
pub(crate) async fn inside() -> anyhow::Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    let line = Line::find()?;
    let name = CELL.name();
    let mut report = Report::new(
        "order",
        &format!("An emergency of {URGENT} slices behind {BULK} slices, {name}"),
    );
    for (lines, what) in [("", "as shipped"), ("coding = \"off\"\n", "coding off")] {
        let ends = Ends::start(&line, lines).await?;
        line.set(CELL).await?;
        let mut number = 0;
        let mut emergency = async |series: &mut Series| -> anyhow::Result<()> {
            number += 1;
            let study = Study::write(number, URGENT)?;
            let start = Instant::now();
            ends.send_to(&line, &study, "CW_STAT").await?;
            ends.reader.wait_ready(&study.uid, LIMIT).await?;
            series.values.push(start.elapsed().as_secs_f64());
            Ok(())
        };
        let mut alone = Series::new(&format!("{what}: alone on the line"));
        let mut behind = Series::new(&format!("{what}: behind the bulk"));
        for _ in 0..ROUNDS {
            emergency(&mut alone).await?;
        }
        let bulk = Study::write(900, BULK)?;
        ends.send_to(&line, &bulk, "CAUSEWAY").await?;
        wait_until("the bulk to be under way", LIMIT, async || {
            Ok((ends.arrived(&bulk).await? >= BEGUN).then_some(()))
        })
        .await?;
        for _ in 0..ROUNDS {
            emergency(&mut behind).await?;
        }
        let there = ends.arrived(&bulk).await?;
        ensure!(
            there < u64::from(BULK),
            "the bulk was over before the last emergency"
        );
        report.ratio(
            &format!("{what}: behind the bulk : alone"),
            behind.median() / alone.median(),
            "≤ 1.3",
        );
        report.note(format!("{what}: {there} slices of the bulk had arrived by the end: it went on beside the emergencies."));
        say(&format!(
            "{what}: {:.2} s alone, {:.2} s behind",
            alone.median(),
            behind.median()
        ));
        report.part("seconds to sealed", [alone, behind]);
        ends.stop(&line).await?;
    }
    report.note("To sealed at the gateway; the second of silence that seals a study passes meanwhile. All alone first, then all behind: there is one line.");
    report.close()
}
