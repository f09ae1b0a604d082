//! The sample study under a pseudonym: how fast one core protects it, and how long from its first byte to a task that can be read.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::phantom;
use causeway_tests::sender::{self, Answer};
use causeway_tests::stack::process::Running;
use tokio::time::Instant;

use crate::protection;
use crate::rig::{ROUNDS, Report, Series, Usage};

pub(crate) async fn run() -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let folder = tempfile::tempdir()?;
    let mut protected = Series::new("protection, one core, without the disk");
    let mut ready = Series::new("first byte sent to a task that can be read");
    let mut agent = Series::new("agent: receive, protect, send");
    let mut gateway = Series::new("gateway: receive, index, archive");
    let mut megabytes = 0.0;
    for round in 1..=ROUNDS {
        let study = hospital.study(round);
        let files = phantom::write(&folder.path().join(format!("study-{round}")), &study)?;
        megabytes = size(&files)?;
        let took = protection::round(&files)?;
        protected.values.push(megabytes / took.as_secs_f64());
        let before = used(&hospital)?;
        let start = Instant::now();
        send(&files, &hospital.stack.dicom()).await?;
        hospital
            .reader
            .wait_ready(&study.study(), Duration::from_secs(60))
            .await?;
        ready.values.push(start.elapsed().as_secs_f64());
        let after = used(&hospital)?;
        for (series, (after, before)) in [&mut agent, &mut gateway]
            .into_iter()
            .zip(after.into_iter().zip(before))
        {
            series.values.push(after.since(before) * 1e3 / megabytes);
        }
    }
    let title = format!("The sample study, {megabytes:.1} MB, one association");
    let mut report = Report::new("study", &title);
    report.part("MB/s", [protected]);
    report.part("seconds", [ready]);
    report.part("CPU seconds per GB", [agent, gateway]);
    report.note("Of the time to a task one second is the PACS's silence.");
    report.close()?;
    hospital.close().await
}

/// What agent and gateway have used so far.
fn used(hospital: &Hospital) -> anyhow::Result<[Usage; 2]> {
    let of = |process: &Running| Usage::of(process.pid().context("it has ended")?);
    Ok([of(&hospital.stack.agent)?, of(&hospital.stack.gateway)?])
}

async fn send(files: &[PathBuf], address: &str) -> anyhow::Result<()> {
    let answers = sender::send(files, address, "PACS", "CAUSEWAY").await?;
    ensure!(
        answers.iter().all(Answer::stored),
        "an instance was refused"
    );
    Ok(())
}

fn size(files: &[PathBuf]) -> anyhow::Result<f64> {
    let mut bytes = 0.0;
    for file in files {
        bytes += f64::from(u32::try_from(file.metadata()?.len())?);
    }
    Ok(bytes / 1e6)
}
