//! What it costs on the way out that the identity stays at home: the same 500 slices under both kinds of agreement, in turn, from the first
//! byte at the agent until all are at the gateway, over loopback.

use std::time::Duration;

use anyhow::ensure;
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::phantom;
use causeway_tests::reader::instances;
use causeway_tests::sender::Answer;
use tokio::time::Instant;

use crate::rig::{ROUNDS, Report, Series};

const SLICES: u16 = 500;
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) async fn run() -> anyhow::Result<()> {
    let home = Hospital::pseudonymous(Behaviour::default()).await?;
    let away = Hospital::start(Behaviour::default()).await?;
    let mut on = Series::new("identity stays at home");
    let mut off = Series::new("identity leaves");
    // the first round warms both
    for round in 0..=ROUNDS {
        let (one, other) = (carry(&home, round).await?, carry(&away, round).await?);
        if round > 0 {
            on.values.push(one);
            off.values.push(other);
        }
    }
    let mut report = Report::new("away", "500 slices from the PACS to the gateway, loopback");
    report.ratio("protection on : off", on.ratio(&off), "≥ 0.9");
    report.part("MB/s", [on, off]);
    report.note(
        "Of the time the PACS's second of silence was taken off: a study is sealed after it.",
    );
    report.close()?;
    home.close().await?;
    away.close().await
}

/// MB/s from the first byte until the worklist counts all.
async fn carry(hospital: &Hospital, round: u32) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    let identity = hospital.study(100 + round);
    let files = phantom::write_long(folder.path(), &identity, SLICES)?;
    let mut bytes = 0.0;
    for file in &files {
        bytes += f64::from(u32::try_from(file.metadata()?.len())?);
    }
    let start = Instant::now();
    let answers = hospital.send_files(&files, "CAUSEWAY").await?;
    ensure!(
        answers.iter().all(Answer::stored),
        "an instance was refused"
    );
    let taken = start.elapsed().as_secs_f64();
    while instances(
        &hospital.reader.get("/api/v1/worklist").await?,
        &identity.study(),
    ) < u64::from(SLICES)
    {
        ensure!(
            start.elapsed() < LIMIT,
            "the study never arrived as a whole"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = start.elapsed().as_secs_f64();
    crate::say(&format!(
        "{taken:.2} s until the agent had all, {took:.2} s until the gateway"
    ));
    Ok(bytes / 1e6 / took)
}
