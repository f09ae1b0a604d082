//! The PACS sends a study again with another header between sending and signing (P24): filed under the new name, nothing set aside
//! at the gateway; what reading needs is seen before signing; another patient stops it.

use std::time::Duration;

use anyhow::Context as _;
use causeway_proto::dataset::Dataset;
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::phantom::Identity;
use causeway_tests::reader::Task;
use causeway_tests::sender::file;
use causeway_tests::stack::wait_until;
use dicom_core::Tag;
use reqwest::StatusCode;
use serde_json::Value;

const A_MINUTE: Duration = Duration::from_secs(60);

/// A hospital with a study of so many images, claimed and written about, and the preview of its report.
async fn read(number: u32) -> anyhow::Result<(Hospital, Identity, Task, Value)> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let mut study = hospital.study(number);
    study.patient_id = "CW-4711".to_owned();
    // the sample's own name stands in its comments, and would be cut there
    study.patient_name = "MISSPELT^NAME".to_owned();
    hospital.send(&study, 0..2, "CAUSEWAY").await?;
    let task = hospital.claimed_with_draft(&study.study()).await?;
    let preview = hospital.reader.preview(&task.case, "final").await?;
    Ok((hospital, study, task, preview))
}

async fn send_again(hospital: &Hospital, study: &Identity) -> anyhow::Result<()> {
    for answer in hospital.send(study, 0..2, "CAUSEWAY").await? {
        anyhow::ensure!(answer.stored(), "{answer:?}");
    }
    Ok(())
}

/// Waits until the case says so.
async fn says(hospital: &Hospital, task: &Task, words: &str) -> anyhow::Result<Value> {
    let path = format!("/api/v1/cases/{}", task.case);
    let said = wait_until(words, A_MINUTE, async || {
        let page = hospital.reader.get(&path).await?;
        Ok(page.to_string().contains(words).then_some(page))
    });
    said.await.with_context(|| hospital.logs())
}

#[tokio::test]
async fn a_corrected_name_is_the_name_that_the_report_is_filed_under() -> anyhow::Result<()> {
    let (hospital, mut study, task, preview) = read(1).await?;
    study.patient_name = "CORRECTED^NAME".to_owned();
    send_again(&hospital, &study).await?;
    let signed = hospital.reader.sign(&task.case, "final", &preview).await?;
    signed.ok().context("a name is no reason to read again")?;
    hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;
    let reports = hospital.reports(&study.study());
    assert_eq!(reports.len(), 1);
    let report = file::read(&reports[0], 0)?;
    let report = Dataset::read(&report.bytes, &report.syntax.parse()?)?;
    let set = report.character_set();
    assert_eq!(report.text(Tag(0x0010, 0x0010), &set), "CORRECTED^NAME");
    assert_eq!(report.text(Tag(0x0010, 0x0020), &set), "CW-4711");
    let page = says(&hospital, &task, "delivered").await?;
    assert_eq!(page["studies"][0]["quarantined"], serde_json::json!([]));
    assert_eq!(page["studies"][0]["remarks"], serde_json::json!([]));
    hospital.close().await
}

#[tokio::test]
async fn a_corrected_date_is_seen_and_another_patient_is_not_signed() -> anyhow::Result<()> {
    let (hospital, mut study, task, preview) = read(1).await?;
    study.date = "20261120".to_owned();
    send_again(&hospital, &study).await?;
    says(&hospital, &task, "corrected the study date").await?;
    let stale = hospital.reader.sign(&task.case, "final", &preview).await?;
    assert_eq!(
        stale.status,
        StatusCode::PRECONDITION_FAILED,
        "{}",
        stale.body
    );
    let preview = hospital.reader.preview(&task.case, "final").await?;
    study.patient_id = "CW-4712".to_owned();
    send_again(&hospital, &study).await?;
    let page = says(&hospital, &task, "another patient ID").await?;
    assert_eq!(page["may"]["sign_final"], serde_json::json!(false));
    let blocked = hospital.reader.sign(&task.case, "final", &preview).await?;
    assert_eq!(blocked.status, StatusCode::CONFLICT, "{}", blocked.body);
    hospital.close().await
}
