//! How long a report takes home after it was signed, and an image to the gateway after its C-STORE was answered, over a line of 80 ms.
//!
//! Like `wan` it runs itself again inside the namespace of the centre; the PACS is DCMTK's at the hospital.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use causeway_tests::reader::sample_report;
use tokio::time::Instant;

use crate::rig::{Report, Series, percentile};
use crate::say;
use crate::wan::ends::{Ends, Study};
use crate::wan::line::{Cell, Line, PACS_PORT};

const CELL: Cell = Cell::new(100, 80, 0.0);
/// Reports, and studies; 95 of 100 of them is what the goal is about.
const TIMES: u32 = 20;
const SLICES: u16 = 1;
const LIMIT: Duration = Duration::from_secs(60);
/// How often is looked.
const OFTEN: Duration = Duration::from_millis(2);

pub(crate) async fn run() -> anyhow::Result<()> {
    crate::wan::within(&["delay", "--inside"]).await
}

/// What runs inside the centre.
pub(crate) async fn inside() -> anyhow::Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    let line = Line::find()?;
    let folder = tempfile::tempdir()?;
    let mut pacs = line.at_site("storescp");
    pacs.args(["-aet", "PACS", "-od"]).arg(folder.path());
    let _pacs = pacs.arg(PACS_PORT.to_string()).spawn()?;
    let ends = Ends::start(&line, "").await?;
    line.set(CELL).await?;
    let mut home = Series::new("signed to the report in the PACS");
    let mut asked = Series::new("of which until the gateway had answered");
    let mut out = Series::new("last C-STORE answered to readable");
    for number in 0..TIMES {
        let study = Study::write(number, SLICES)?;
        ends.send(&line, &study).await?;
        let sent = Instant::now();
        for slice in 0..SLICES {
            let path = study.path_of(slice);
            let readable = wait_often(async || Ok(ends.reader.object(&path).await?.is_some()));
            readable.await?;
        }
        out.values.push(sent.elapsed().as_secs_f64() * 1e3);
        let (signed, answered) = sign(&ends, &study).await?;
        let before = usize::try_from(number)?;
        wait_often(async || Ok(count(folder.path())? > before)).await?;
        home.values.push(signed.elapsed().as_secs_f64() * 1e3);
        asked.values.push(answered * 1e3);
        say(&format!(
            "{:.0} ms home, {:.0} ms out",
            home.values.last().copied().unwrap_or_default(),
            out.values.last().copied().unwrap_or_default()
        ));
    }
    let title = format!("Delays over {}, {TIMES} times", CELL.name());
    let mut report = Report::new("delay", &title);
    report.ratio(
        "signed to the report in the PACS, 95 of 100, ms",
        percentile(&home.values, 0.95),
        "≤ 1000",
    );
    report.ratio(
        "last C-STORE to readable, median, ms",
        out.median(),
        "≤ 150 (1.5 round trips and 30 ms)",
    );
    report.ratio(
        "last C-STORE to readable, 95 of 100, ms",
        percentile(&out.values, 0.95),
        "",
    );
    report.part("ms", [home, asked, out]);
    report.note("Signing counts from the click, with the key unlocked in it. Readable: every object of the study was retrieved, not only listed.");
    ends.stop(&line).await?;
    report.close()
}

/// Reads and signs; the moment of the click, and the seconds until it was answered.
async fn sign(ends: &Ends, study: &Study) -> anyhow::Result<(Instant, f64)> {
    let task = ends.reader.wait_ready(&study.uid, LIMIT).await?;
    ends.reader.claim(&task).await?;
    ends.reader.write_draft(&task.case, sample_report()).await?;
    let preview = ends.reader.preview(&task.case, "final").await?;
    let click = Instant::now();
    ends.reader.unlock().await?;
    ends.reader
        .sign(&task.case, "final", &preview)
        .await?
        .ok()?;
    Ok((click, click.elapsed().as_secs_f64()))
}

async fn wait_often(mut ask: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let end = Instant::now() + LIMIT;
    while !ask().await? {
        anyhow::ensure!(Instant::now() < end, "waited in vain");
        tokio::time::sleep(OFTEN).await;
    }
    Ok(())
}

/// Files that are whole: DCMTK writes under the last name, so an empty one has only begun.
fn count(folder: &Path) -> anyhow::Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        count += usize::from(entry?.metadata().context("reading a file's length")?.len() > 0);
    }
    Ok(count)
}
