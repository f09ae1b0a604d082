//! The gateway is lost and put back to a backup: what is newer comes back from the agent, and nothing is signed twice.

use std::time::Duration;

use anyhow::Context as _;
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::reader::{Answer, Reader, Task};
use causeway_tests::restored;
use causeway_tests::stack::wait_until;
use serde_json::Value;

const A_MINUTE: Duration = Duration::from_secs(60);

/// A smoke of `prove restored`.
#[tokio::test]
async fn what_is_newer_than_the_backup_comes_back_by_itself() -> anyhow::Result<()> {
    let verdict = restored::run(2, 5).await?;
    println!("{verdict:?}");
    assert!(verdict.holds(), "{verdict:?}");
    Ok(())
}

/// Why nothing may be signed about a case.
async fn blocked(reader: &Reader, case: &str) -> anyhow::Result<Option<String>> {
    let page = reader.get(&format!("/api/v1/cases/{case}")).await?;
    Ok(page["blocked"].as_str().map(str::to_owned))
}

/// Claims, writes and tries to sign, as a reader does who knows nothing of the report that was lost.
async fn try_to_sign(reader: &Reader, task: &Task) -> anyhow::Result<Answer> {
    let preview = reader.preview(&task.case, "final").await?;
    reader.sign(&task.case, "final", &preview).await
}

async fn waiting(hospital: &Hospital) -> anyhow::Result<Value> {
    let said = hospital
        .stack
        .gateway_cli(&["restored", "list", "--json"])
        .await?;
    Ok(serde_json::from_str(&said)?)
}

#[tokio::test]
async fn a_report_that_only_its_site_has_is_not_signed_again() -> anyhow::Result<()> {
    let mut hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..3, "CAUSEWAY").await?;
    hospital.reader.wait_ready(&study.study(), A_MINUTE).await?;
    restored::back_up(&hospital).await?;
    let signed = hospital.read_and_sign(&study.study()).await?;
    hospital
        .reader
        .wait_delivery(&signed.case, "delivered", A_MINUTE)
        .await?;

    // the agent is away: nobody has said that there is a report
    hospital.stack.agent.kill().await?;
    hospital
        .stack
        .restart_gateway_after(restored::put_back)
        .await?;
    let refused = hospital.reader.get("/api/v1/worklist").await;
    assert!(refused.is_err(), "a session outlived the restore");
    hospital.reader =
        Reader::sign_in(&hospital.stack.url(), "reader", &hospital.stack.password).await?;
    let task = hospital.claimed_with_draft(&study.study()).await?;
    assert_eq!(task.case, signed.case);
    let why = blocked(&hospital.reader, &task.case)
        .await?
        .context("not blocked")?;
    assert!(why.contains("has not said yet"), "{why}");
    let answer = try_to_sign(&hospital.reader, &task).await?;
    assert!(answer.ok().is_err(), "signed before the site was heard");

    hospital.stack.restart_agent().await?;
    let heard = wait_until("the site to be heard", A_MINUTE, async || {
        let why = blocked(&hospital.reader, &task.case)
            .await?
            .unwrap_or_default();
        Ok(why.contains("the site has it").then_some(()))
    });
    heard.await.with_context(|| hospital.logs())?;
    let answer = try_to_sign(&hospital.reader, &task).await?;
    assert!(answer.ok().is_err(), "signed a second time");
    let listed = waiting(&hospital).await?;
    let report = listed[0]["report"]
        .as_str()
        .context("no report is listed")?;
    let settle = [
        "restored",
        "settle",
        "--report",
        report,
        "--reason",
        "TEST: another is wanted",
    ];
    hospital.stack.gateway_cli(&settle).await?;
    assert_eq!(blocked(&hospital.reader, &task.case).await?, None);
    assert_eq!(waiting(&hospital).await?, serde_json::json!([]));
    try_to_sign(&hospital.reader, &task).await?.ok()?;
    hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;
    assert_eq!(hospital.reports(&study.study()).len(), 2);
    hospital.close().await
}

#[tokio::test]
async fn a_restore_spares_what_is_there_and_refuses_what_is_not_whole() -> anyhow::Result<()> {
    let mut hospital = Hospital::start(Behaviour::default()).await?;
    restored::back_up(&hospital).await?;
    let backup = restored::folder(&hospital.stack.options);
    let folder = backup.display().to_string();
    let restore = [
        "restore",
        &folder,
        "--revoked-sites",
        "none",
        "--disabled-users",
        "none",
    ];
    let said = hospital
        .stack
        .gateway_cli(&restore)
        .await
        .err()
        .context("restored while it serves")?;
    assert!(said.to_string().contains("serves from"), "{said:#}");
    let again = hospital.stack.gateway_cli(&["backup", &folder]).await;
    let said = again.err().context("a backup was written over")?;
    assert!(said.to_string().contains("is not empty"), "{said:#}");

    let restarted = hospital.stack.restart_gateway_after(async |options| {
        let run = async || causeway_tests::stack::gateway_cli(options, &restore).await;
        let said = run().await.err().context("restored over a gateway")?;
        anyhow::ensure!(said.to_string().contains("is not empty"), "{said:#}");
        let data = options.folder.join("gateway-data");
        let kept = options.folder.join("kept");
        std::fs::rename(&data, &kept)?;
        let rows = backup.join("gateway.sqlite");
        let whole = std::fs::read(&rows)?;
        let mut bytes = whole.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&rows, &bytes)?;
        let said = run().await.err().context("a damaged backup was restored")?;
        anyhow::ensure!(
            said.to_string().contains("is not what was written"),
            "{said:#}"
        );
        // nothing serves from half of a gateway, and the command begins anew
        let doctor = causeway_tests::stack::gateway_cli(options, &["site", "list"]).await;
        let said = doctor.err().context("half of a gateway was opened")?;
        anyhow::ensure!(said.to_string().contains("did not end"), "{said:#}");
        std::fs::write(&rows, &whole)?;
        run().await?;
        Ok(())
    });
    restarted.await?;
    let sites = hospital.stack.gateway_cli(&["site", "list"]).await?;
    assert!(sites.contains(&hospital.stack.site), "{sites}");
    hospital.close().await
}
