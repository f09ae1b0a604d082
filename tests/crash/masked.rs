//! SIGKILL of the agent between a mask and the leaving of what it masks: everything leaves masked, once, and nobody is asked again.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use causeway_tests::hospital::Hospital;
use causeway_tests::masks::{
    actions, arrived, compared, counted, dataset, draw, fetch, says_so, storescu, waiting,
};
use causeway_tests::pacs::Behaviour;
use causeway_tests::shared;
use causeway_tests::stack::wait_until;
use dicom_core::Tag;

const LIMIT: Duration = Duration::from_secs(120);
/// So many loops are sent.
const LOOPS: usize = 8;

/// A hospital whose agent holds loops that wait for a mask; and the number of their device.
async fn held() -> anyhow::Result<Option<(Hospital, Vec<PathBuf>, String)>> {
    let Some(loops) = shared::dicom("studies/us-stress-echo-acuson") else {
        return Ok(None);
    };
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let mut files = shared::files(&loops);
    files.truncate(LOOPS);
    storescu(&hospital, &files, &["-xy"]).await?;
    let device = waiting(&hospital, "ACUSON", LOOPS).await?;
    Ok(Some((hospital, files, device)))
}

/// Waits until the agent has decided about so many loops that they leave masked.
async fn made(hospital: &Hospital, count: usize) -> anyhow::Result<()> {
    let sql =
        "SELECT COUNT(*) FROM instance WHERE sent_digest IS NOT NULL AND mask_rule IS NOT NULL";
    let what = format!("{count} masks to be made");
    let made = wait_until(&what, LIMIT, async || {
        let made = counted(hospital, sql).await?;
        Ok((usize::try_from(made)? >= count).then_some(()))
    });
    made.await.with_context(|| hospital.logs())
}

/// Every loop is at the gateway, masked and otherwise as it was; one person has done one thing.
async fn all_masked(hospital: Hospital, files: &[PathBuf]) -> anyhow::Result<()> {
    let study = dataset(&files[0])?.code(Tag(0x0020, 0x000D));
    arrived(&hospital, &study, LOOPS, LIMIT).await?;
    assert_eq!(actions(&hospital).await?, 1);
    for (number, path) in files.iter().enumerate() {
        assert!(says_so(&fetch(&hospital, path, &number.to_string()).await?));
    }
    println!("{}", compared(&hospital, 16).await?);
    hospital.close().await
}

#[tokio::test]
async fn masks_that_are_made_outlive_the_agent() -> anyhow::Result<()> {
    let Some((mut hospital, files, device)) = held().await? else {
        return Ok(());
    };
    // the gateway is away: what is made cannot leave
    hospital.stack.gateway.kill().await?;
    draw(&hospital, &device, "0,0,384,16", &["--over-scan-area"]).await?;
    made(&hospital, LOOPS).await?;
    hospital.stack.restart_agent().await?;
    hospital.stack.restart_gateway().await?;
    all_masked(hospital, &files).await
}

#[tokio::test]
async fn an_agent_that_is_killed_while_masks_are_made_makes_the_rest() -> anyhow::Result<()> {
    let Some((mut hospital, files, device)) = held().await? else {
        return Ok(());
    };
    draw(&hospital, &device, "0,0,384,16", &["--over-scan-area"]).await?;
    for count in [0, 1, 3, 6] {
        made(&hospital, count).await?;
        hospital.stack.restart_agent().await?;
    }
    all_masked(hospital, &files).await
}
