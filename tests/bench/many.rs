//! How much memory the gateway needs while fifty sites send at the same time. Each is an agent of its own, with its own certificate.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::phantom;
use causeway_tests::sender::{self, Answer};
use causeway_tests::site::Site;
use futures::future::try_join_all;
use tokio::time::Instant;

use crate::rig::{Report, Series};

const SITES: u32 = 50;
/// What all of them have to be done within.
const LIMIT: Duration = Duration::from_secs(600);

pub(crate) async fn run() -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let folder = tempfile::tempdir()?;
    let mut sites = Vec::new();
    for number in 1..=SITES {
        let site = Site::start(&hospital.stack, &folder.path().join(number.to_string())).await?;
        let study = hospital.study(number);
        let files = phantom::write(&folder.path().join(format!("study-{number}")), &study)?;
        sites.push((site, study.study(), files));
    }
    let idle = hospital.stack.gateway.peak_kib()?;
    let start = Instant::now();
    let sending = sites
        .iter()
        .map(|(site, _, files)| send(files, &site.dicom));
    try_join_all(sending).await?;
    for (_, study, _) in &sites {
        hospital.reader.wait_ready(study, LIMIT).await?;
    }
    let took = start.elapsed().as_secs_f64();
    let peak = hospital.stack.gateway.peak_kib()?;
    for (mut site, ..) in sites {
        site.agent.end("an agent").await?;
    }
    let one = |name: &str, value: f64| Series {
        name: name.to_owned(),
        values: vec![value],
    };
    let title = format!("{SITES} sites send a study of 72 images each at the same time");
    let mut report = Report::new("many", &title);
    report.part(
        "MiB at the gateway (VmHWM)",
        [
            one("connected", mebibytes(idle)?),
            one("all sending", mebibytes(peak)?),
        ],
    );
    report.part("seconds", [one("until every task can be read", took)]);
    report.ratio("gateway, MiB", mebibytes(peak)?, "≤ 512");
    report.close()?;
    hospital.close().await
}

fn mebibytes(kib: u64) -> anyhow::Result<f64> {
    Ok(f64::from(u32::try_from(kib)?) / 1024.0)
}

async fn send(files: &[PathBuf], address: &str) -> anyhow::Result<()> {
    let answers = sender::send(files, address, "PACS", "CAUSEWAY").await?;
    ensure!(
        answers.iter().all(Answer::stored),
        "an instance was refused"
    );
    Ok(())
}
