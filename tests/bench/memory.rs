//! How much memory agent and gateway need while an object is protected, sent and archived, and that a twenty times longer one needs no more;
//! and the agent while fifty thousand objects wait for a gateway that is away.

use std::time::Duration;

use anyhow::ensure;
use causeway_tests::hospital::Hospital;
use causeway_tests::long::{Kind, carry, write_small};
use causeway_tests::pacs::Behaviour;
use causeway_tests::sender::Answer;
use tokio::time::Instant;

use crate::rig::{Report, Series};

/// Frames of a mebibyte each: 210 MB and 4.1 GB.
const FRAMES: [u16; 2] = [200, 3900];
/// What waits for the gateway.
const STUDIES: u32 = 500;
const EACH: u32 = 100;
const LIMIT: Duration = Duration::from_secs(900);

/// Carries a short and a long object of each kind, each through processes of its own. `quick`: only a fifth of the queue.
pub(crate) async fn run(quick: bool) -> anyhow::Result<()> {
    let mut peaks = Vec::new();
    let mut took = Vec::new();
    if quick {
        let (filled, woken, drained) = queue(STUDIES / 5).await?;
        let mut report = Report::new("memory", "A queue; peak memory (VmHWM)");
        report.part("MiB", [filled, woken, drained]);
        return report.close();
    }
    for (kind, what) in [
        (Kind::Section, "pixels as they are"),
        (Kind::Ultrasound, "masked"),
    ] {
        for frames in FRAMES {
            let done = carry(kind, frames, LIMIT).await?;
            let one = |who: &str, value: f64| Series {
                name: format!("{who}: {what}, {frames} MiB"),
                values: vec![value],
            };
            peaks.push(one("agent", mebibytes(done.agent_mib)?));
            peaks.push(one("gateway", mebibytes(done.gateway_mib)?));
            took.push(one("all", done.took.as_secs_f64()));
        }
    }
    let (filled, woken, drained) = queue(STUDIES).await?;
    peaks.extend([filled, woken, drained]);
    let title = "One object of native pixels, protected, sent and archived; and a long queue; peak memory (VmHWM)";
    let mut report = Report::new("memory", title);
    report.part("MiB", peaks);
    report.part("seconds to a task that can be read", took);
    report.close()
}

/// The agent while the queue grows, after a start with it, and until the gateway has everything.
async fn queue(studies: u32) -> anyhow::Result<(Series, Series, Series)> {
    let mut hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let folder = tempfile::tempdir()?;
    hospital.stack.gateway.kill().await?;
    let mut last = String::new();
    for study in 0..studies {
        let mut files = Vec::new();
        for instance in 0..EACH {
            let path = folder.path().join(format!("{study}-{instance}.dcm"));
            last = write_small(&path, study, instance, 16)?;
            files.push(path);
        }
        let answers = hospital.send_files(&files, "CAUSEWAY").await?;
        ensure!(answers.iter().all(Answer::stored), "an object was refused");
    }
    let peak = |hospital: &Hospital| mebibytes(hospital.stack.agent.peak_kib()? / 1024);
    let one = |what: &str, value: f64| Series {
        name: format!("agent, {} objects: {what}", studies * EACH),
        values: vec![value],
    };
    let filled = one("while they came", peak(&hospital)?);
    hospital.stack.restart_agent().await?;
    let woken = one("after a start with them", peak(&hospital)?);
    hospital.stack.restart_gateway().await?;
    let start = Instant::now();
    hospital.reader.wait_ready(&last, LIMIT).await?;
    loop {
        let said = hospital.stack.agent_cli(&["status", "--json"]).await?;
        let status: serde_json::Value = serde_json::from_str(&said)?;
        let waits = status
            .pointer("/queue/instances")
            .and_then(serde_json::Value::as_u64);
        if waits == Some(0) {
            break;
        }
        ensure!(start.elapsed() < LIMIT, "the queue did not drain: {status}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let took = start.elapsed().as_secs();
    let drained = one(
        &format!("until all were at the gateway, {took} s"),
        peak(&hospital)?,
    );
    hospital.close().await?;
    Ok((filled, woken, drained))
}

fn mebibytes(count: u64) -> anyhow::Result<f64> {
    Ok(f64::from(u32::try_from(count)?))
}
