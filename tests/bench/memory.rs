//! How much memory agent and gateway need while an object is protected, sent and archived, and that a ten times longer one needs no more.

use std::time::Duration;

use causeway_tests::long::{Kind, carry};

use crate::rig::{Report, Series};

/// Frames of a mebibyte each: 210 MB and 2.1 GB.
const FRAMES: [u16; 2] = [200, 2000];

/// Carries a short and a long object of each kind, each through processes of its own.
pub(crate) async fn run() -> anyhow::Result<()> {
    let mut peaks = Vec::new();
    let mut took = Vec::new();
    for (kind, what) in [
        (Kind::Section, "pixels as they are"),
        (Kind::Ultrasound, "masked"),
    ] {
        for frames in FRAMES {
            let done = carry(kind, frames, Duration::from_secs(600)).await?;
            let one = |who: &str, value: f64| Series {
                name: format!("{who}: {what}, {frames} MiB"),
                values: vec![value],
            };
            peaks.push(one("agent", mebibytes(done.agent_mib)?));
            peaks.push(one("gateway", mebibytes(done.gateway_mib)?));
            took.push(one("all", done.took.as_secs_f64()));
        }
    }
    let title = "One object of native pixels, protected, sent and archived; peak memory (VmHWM)";
    let mut report = Report::new("memory", title);
    report.part("MiB", peaks);
    report.part("seconds to a task that can be read", took);
    report.close()
}

fn mebibytes(count: u64) -> anyhow::Result<f64> {
    Ok(f64::from(u32::try_from(count)?))
}
