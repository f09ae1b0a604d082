//! SIGKILL of the gateway between the cancel that a recall brings and the end of the deletion: after its restart the bytes are gone,
//! and the site has its receipt.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::reader::Task;
use causeway_tests::stack::wait_until;
use serde_json::{Value, json};
use sqlx::Connection as _;

const A_MINUTE: Duration = Duration::from_secs(60);

/// Where the deletion is held up: what its rows refuse, in which state it then stays, and how many of 4 images are still there.
const STEPS: [(&str, &str, usize); 3] = [
    (
        "UPDATE OF state ON deletion WHEN NEW.state = 'unlisted'",
        "ordered",
        4,
    ),
    ("DELETE ON deletion_blob", "unlisted", 0),
    (
        "UPDATE OF state ON deletion WHEN NEW.state = 'done'",
        "unlisted",
        0,
    ),
];

async fn gateway_does(hospital: &Hospital, sql: String) -> anyhow::Result<()> {
    let mut rows = hospital.gateway_rows().await?;
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .execute(&mut rows)
        .await?;
    Ok(rows.close().await?)
}

async fn state(hospital: &Hospital, study: &str) -> anyhow::Result<Option<(String, i64)>> {
    let mut rows = hospital.gateway_rows().await?;
    let state = sqlx::query_as("SELECT state, attempts FROM deletion WHERE study_uid = $1")
        .bind(study)
        .fetch_optional(&mut rows)
        .await?;
    rows.close().await?;
    Ok(state)
}

async fn recall(hospital: &Hospital, task: &Task) -> anyhow::Result<()> {
    let arguments = ["recall", &task.code, "--reason", "wrong patient"];
    hospital.stack.agent_cli(&arguments).await.map(drop)
}

/// Waits for the receipt at the site, and for the images to be gone.
async fn comes_right(hospital: &Hospital, task: &Task, before: usize) -> anyhow::Result<()> {
    let receipt = wait_until("the receipt at the site", A_MINUTE, async || {
        let arguments = ["where", &task.code, "--json"];
        let told = hospital.stack.agent_cli(&arguments).await?;
        let told: Value = serde_json::from_str(&told)?;
        let receipt = told[0]["erasure"].clone();
        Ok((!receipt.is_null()).then_some(receipt))
    });
    let receipt = receipt.await.with_context(|| hospital.logs())?;
    ensure!(receipt["objects"] == 4, "{receipt}");
    let here = hospital.images().len();
    ensure!(here == before, "{here} images, not {before}");
    let page = hospital
        .reader
        .get(&format!("/api/v1/cases/{}", task.case))
        .await?;
    ensure!(page["recalled"] == json!(true), "{page}");
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_is_killed_between_cancel_and_deletion_deletes() -> anyhow::Result<()> {
    let mut hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let stays = hospital.study(1);
    hospital.send(&stays, 0..2, "CAUSEWAY").await?;
    hospital.reader.wait_ready(&stays.study(), A_MINUTE).await?;
    let before = hospital.images().len();
    for (number, (refused, stands, there)) in (2..).zip(STEPS) {
        let study = hospital.study(number);
        hospital.send(&study, 0..4, "CAUSEWAY").await?;
        let task = hospital.claimed_with_draft(&study.study()).await?;
        let stop = format!(
            "CREATE TRIGGER held_up BEFORE {refused} BEGIN SELECT RAISE(ABORT, 'held up by a test'); END"
        );
        gateway_does(&hospital, stop).await?;
        recall(&hospital, &task).await?;
        let path = format!("/api/v1/cases/{}", task.case);
        let uid = study.study();
        let held_up = wait_until("cancelled and not deleted", A_MINUTE, async || {
            let page = hospital.reader.get(&path).await?;
            let tried = state(&hospital, &uid).await?;
            let tried = tried.filter(|(state, attempts)| state == stands && *attempts > 0);
            Ok(tried.filter(|_| page["recalled"] == json!(true)).map(drop))
        });
        held_up.await.with_context(|| hospital.logs())?;
        ensure!(hospital.images().len() == before + there, "{refused}");
        hospital.stack.gateway.kill().await?;
        gateway_does(&hospital, "DROP TRIGGER held_up".to_owned()).await?;
        hospital.stack.restart_gateway().await?;
        comes_right(&hospital, &task, before)
            .await
            .context(refused)?;
    }
    hospital.close().await
}

#[tokio::test]
async fn a_recall_comes_right_whenever_the_gateway_is_killed() -> anyhow::Result<()> {
    let mut hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    for number in 1..=8_u32 {
        let study = hospital.study(number);
        hospital.send(&study, 0..4, "CAUSEWAY").await?;
        let task = hospital.claimed_with_draft(&study.study()).await?;
        recall(&hospital, &task).await?;
        // not a wait: another moment each time
        tokio::time::sleep(Duration::from_millis(u64::from(number - 1) * 15)).await;
        hospital.stack.gateway.kill().await?;
        let at = state(&hospital, &study.study()).await?;
        hospital.stack.restart_gateway().await?;
        comes_right(&hospital, &task, 0)
            .await
            .with_context(|| format!("killed at {at:?}"))?;
        println!("killed at {at:?}: deleted, with a receipt");
    }
    hospital.close().await
}
