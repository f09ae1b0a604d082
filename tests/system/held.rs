//! `held`, `held deliver`, `held retry` and `doctor` as a person at the site runs them, beside a running agent.

use std::time::Duration;

use anyhow::Context as _;
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::stack::wait_until;

const A_MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_report_that_nobody_can_be_asked_about_is_shown_and_delivered_by_a_person()
-> anyhow::Result<()> {
    // a PACS that answers no C-FIND and takes no structured reports
    let hospital = Hospital::asking_the_pacs(Behaviour {
        refuse_sr: true,
        ..Behaviour::default()
    })
    .await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..2, "CAUSEWAY").await?;
    let task = hospital.read_and_sign(&study.study()).await?;
    hospital
        .reader
        .wait_delivery(&task.case, "held", A_MINUTE)
        .await
        .with_context(|| hospital.logs())?;
    assert_eq!(hospital.page_images(&study.study()).len(), 0);
    let cli = async |arguments: &[&str]| hospital.stack.agent_cli(arguments).await;
    let held = cli(&["held"]).await?;
    assert!(held.contains(&study.patient_id), "{held}");
    assert!(held.contains("report for pacs: held"), "{held}");
    // asked again, it is held again
    let again = cli(&["held", "retry", &task.code]).await?;
    assert!(again.contains("offered again"), "{again}");
    let number = number(&held)?;
    let line = format!("report {number}: held");
    wait_until("it to be held again", A_MINUTE, async || {
        Ok(cli(&["held"]).await?.contains(&line).then_some(()))
    })
    .await?;
    let nobody = cli(&["held", "deliver", "--report", "999", "--as", "ours"]).await;
    assert!(nobody.is_err(), "there is no such report");
    let other = cli(&["held", "deliver", "--report", &number, "--as", "pacs"]).await;
    assert!(other.is_err(), "the PACS has said nothing");
    let done = cli(&["held", "deliver", "--report", &number, "--as", "ours"]).await?;
    assert!(done.contains("to be delivered"), "{done}");
    hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;
    assert_eq!(hospital.page_images(&study.study()).len(), 1);
    let held = cli(&["held"]).await?;
    assert!(!held.contains(&study.patient_id), "{held}");
    doctor(&hospital).await?;
    hospital.close().await
}

/// The number by which a person names a held report.
fn number(held: &str) -> anyhow::Result<String> {
    let (_, after) = held.split_once("report ").context("no number")?;
    let number: String = after.chars().take_while(char::is_ascii_digit).collect();
    anyhow::ensure!(!number.is_empty(), "no number: {held}");
    Ok(number)
}

/// It is not well: the keys were never exported and the PACS answers no question. Each fault says what to do.
async fn doctor(hospital: &Hospital) -> anyhow::Result<()> {
    let found = match hospital.stack.agent_cli(&["doctor"]).await {
        Ok(found) => anyhow::bail!("all well: {found}"),
        Err(error) => format!("{error:#}"),
    };
    for said in [
        "FAULT   the keys were never exported",
        "keys export --to",
        "FAULT   restore.pacs takes no C-FIND (Study Root)",
        "pacs does not take Enhanced SR (the signed report)",
        "good    pacs takes Secondary Capture (the page image, sent where structured reports are refused)",
        "it gets page images",
        "good    page images are drawn with",
        "good    the link is up",
    ] {
        assert!(found.contains(said), "{said}: {found}");
    }
    Ok(())
}
