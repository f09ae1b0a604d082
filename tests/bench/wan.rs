//! A study over a long line: from its first C-STORE at the agent until the gateway has sealed it, beside `storescu` over the same line; what
//! is sent twice when the address changes and when the line is dead for a minute.
//!
//! The bench runs itself again inside the namespace of the centre, so that everything of the gateway is on its own loopback.

pub(crate) mod ends;
pub(crate) mod events;
pub(crate) mod line;

use std::time::Duration;

use anyhow::ensure;

use crate::rig::{ROUNDS, Report, Series};
use crate::say;
use ends::{CUT, Ends, Study, dcmtk};
use line::{Cell, Line};

/// Where coding is off: what is measured is the line.
const RAW: &str = "coding = \"off\"\n";

/// What is measured, and how much better than DCMTK it has to be with coding on.
const CELLS: [(Cell, &str); 5] = [
    (Cell::new(100, 80, 0.0), "≥ 8"),
    (Cell::new(100, 80, 0.1), "≥ 20"),
    (Cell::new(100, 80, 1.0), "≥ 60"),
    (Cell::new(500, 80, 0.1), "≥ 40"),
    (Cell::new(100, 200, 1.0), "≥ 150"),
];

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Extent {
    rounds: u32,
    slices: u16,
    cut: Duration,
}

/// `quick`: less of everything, while something is worked on.
pub(crate) async fn run(quick: bool, cell: Option<Cell>) -> anyhow::Result<()> {
    let mut words = vec!["wan".to_owned(), "--inside".to_owned()];
    words.extend(quick.then(|| "--quick".to_owned()));
    words.extend(cell.map(|cell| format!("--cell={cell}")));
    within(&words).await
}

/// Makes the line and runs this program again inside the centre, with these words.
pub(crate) async fn within(words: &[impl AsRef<std::ffi::OsStr>]) -> anyhow::Result<()> {
    let line = match Line::find() {
        Ok(line) => line,
        Err(reason) => {
            say(&format!("\nTHE LONG LINE WAS NOT MEASURED: {reason}.\n"));
            return Ok(());
        }
    };
    line.run(&["up"]).await?;
    let this = std::env::current_exe()?;
    let mut inside = line.command(&["exec", "center"]);
    let ended = inside.arg(this).args(words).status().await;
    line.run(&["down"]).await?;
    ensure!(ended?.success(), "the bench in the centre failed");
    Ok(())
}

/// What runs inside the centre.
pub(crate) async fn inside(quick: bool, only: Option<Cell>) -> anyhow::Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    let line = Line::find()?;
    let extent = if quick {
        Extent {
            rounds: 3,
            slices: 100,
            cut: CUT / 4,
        }
    } else {
        Extent {
            rounds: ROUNDS,
            slices: 500,
            cut: CUT,
        }
    };
    let mut report = Report::new(
        "wan",
        &format!("A CT study of {} slices over a long line", extent.slices),
    );
    match only {
        Some(cell) => measure(&line, cell, "", extent, &mut report).await?,
        None => {
            for (cell, goal) in CELLS {
                measure(&line, cell, goal, extent, &mut report).await?;
            }
        }
    }
    report.note("Time: first C-STORE to sealed at the gateway. DCMTK: TCP_NODELAY, PDUs of 128 kB, CUBIC, nothing synced.");
    report.close()
}

async fn measure(
    line: &Line,
    cell: Cell,
    goal: &str,
    extent: Extent,
    report: &mut Report,
) -> anyhow::Result<()> {
    let name = cell.name();
    let raw = Ends::start(line, RAW).await?;
    let coded = Ends::start(line, "").await?;
    let mut coding = Series::new(&format!("{name}: Causeway"));
    let mut ours = Series::new(&format!("{name}: Causeway, coding off"));
    let mut theirs = Series::new(&format!("{name}: storescu"));
    let mut cpu = Series::new(&format!("{name}: Causeway, both ends"));
    let mut cut = false;
    line.set(cell).await?;
    for round in 0..extent.rounds {
        let study = Study::write(round, extent.slices)?;
        let took = raw.carry(line, &study).await?;
        ours.values.push(took.mbit_s);
        cpu.values.push(took.cpu_s_gb);
        let small = coded.carry(line, &study).await?;
        coding.values.push(small.mbit_s);
        let peer = dcmtk(line, &study, extent.cut).await?;
        theirs.values.push(peer.mbit_s);
        cut |= peer.cut;
        say(&format!(
            "{name}: {:.1} coded, {:.1} raw, {:.1} storescu, Mbit/s; {:.1} CPU s/GB; link {}",
            small.mbit_s,
            took.mbit_s,
            peer.mbit_s,
            took.cpu_s_gb,
            raw.link().await?
        ));
    }
    raw.stop(line).await?;
    coded.stop(line).await?;
    let share = ours.median() / f64::from(cell.mbit_s);
    let least = if cell.round_trip_ms > 80 {
        "≥ 0.78"
    } else {
        "≥ 0.88"
    };
    if cell.mbit_s == 100 {
        report.ratio(&format!("{name}: coding off : line"), share, least);
    }
    let marked = if cut { " (cut)" } else { "" };
    let what = format!("{name}: coding off : storescu{marked}");
    report.ratio(&what, ours.ratio(&theirs), "");
    let what = format!("{name}: Causeway : storescu{marked}");
    report.ratio(&what, coding.ratio(&theirs), goal);
    report.ratio(
        &format!("{name}: coded : coding off"),
        coding.ratio(&ours),
        "",
    );
    report.part("Mbit/s of file bytes", [coding, ours, theirs]);
    report.part("CPU seconds per GB", [cpu]);
    Ok(())
}
