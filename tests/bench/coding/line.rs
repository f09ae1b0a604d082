//! The same study coded and as it is over one line, in turn.

use crate::rig::{ROUNDS, Report, Series};
use crate::wan::ends::{Ends, Study};
use crate::wan::line::{Cell, Line};

/// The lines, and how many slices go over each.
const CELLS: [(Cell, u16); 2] = [(Cell::new(100, 80, 0.0), 200), (Cell::new(20, 80, 0.1), 60)];

/// What runs inside the centre.
pub(crate) async fn inside() -> anyhow::Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    let line = Line::find()?;
    let mut report = Report::new("coded", "A CT study over a long line, coded and as it is");
    let raw_ends = Ends::start(&line, "coding = \"off\"\n").await?;
    let coded_ends = Ends::start(&line, "").await?;
    for (cell, slices) in CELLS {
        line.set(cell).await?;
        let name = cell.name();
        let mut raw = Series::new(&format!("{name}: as it is"));
        let mut coded = Series::new(&format!("{name}: coded"));
        for round in 0..ROUNDS {
            let number = round + u32::from(slices) * 100;
            let study = Study::write(number, slices)?;
            raw.values.push(raw_ends.carry(&line, &study).await?.mbit_s);
            coded
                .values
                .push(coded_ends.carry(&line, &study).await?.mbit_s);
        }
        let what = format!("{name}, {slices} slices: time as it is : coded");
        report.ratio(&what, coded.ratio(&raw), "≥ 2.9 (must 2.4)");
        report.part("Mbit/s of file bytes", [raw, coded]);
    }
    report.note("Time: first C-STORE to sealed at the gateway; the second of silence that seals a study passes meanwhile.");
    raw_ends.stop(&line).await?;
    coded_ends.stop(&line).await?;
    report.close()
}
