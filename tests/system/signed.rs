//! What was signed never changes, and nothing is signed that is not what the preview showed.

use std::time::Duration;

use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::reader::sample_report;
use causeway_tests::stack::wait_until;
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test]
async fn every_write_route_of_a_signed_report_is_refused() -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..2, "CAUSEWAY").await?;
    let task = hospital.claimed_with_draft(&study.study()).await?;
    let preview = hospital.reader.preview(&task.case, "final").await?;
    let signed = hospital
        .reader
        .sign(&task.case, "final", &preview)
        .await?
        .ok()?;
    let report = signed["report"].as_str().unwrap_or_default().to_owned();
    let before = said(&hospital, &report).await?;
    for method in [Method::PUT, Method::PATCH, Method::POST, Method::DELETE] {
        for path in [
            format!("/api/v1/reports/{report}"),
            format!("/api/v1/reports/{report}/sr"),
        ] {
            let answer = hospital
                .reader
                .send(
                    method.clone(),
                    &path,
                    None,
                    Some(json!({"content": sample_report()})),
                )
                .await?;
            assert_eq!(
                answer.status,
                StatusCode::CONFLICT,
                "{method} {path}: {}",
                answer.body
            );
            assert!(
                answer.body["type"]
                    .as_str()
                    .unwrap_or_default()
                    .contains("immutable"),
                "{method} {path}: {}",
                answer.body
            );
        }
    }
    let again = hospital.reader.sign(&task.case, "final", &preview).await?;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.body);
    let draft = hospital
        .reader
        .send(
            Method::PUT,
            &format!("/api/v1/cases/{}/draft", task.case),
            Some("*"),
            Some(sample_report()),
        )
        .await?;
    assert!(
        draft.status.is_client_error(),
        "{}: {}",
        draft.status,
        draft.body
    );
    assert_eq!(before, said(&hospital, &report).await?);
    hospital.close().await
}

#[tokio::test]
async fn a_draft_that_changed_after_the_preview_is_not_signed() -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..2, "CAUSEWAY").await?;
    let task = hospital.claimed_with_draft(&study.study()).await?;
    let preview = hospital.reader.preview(&task.case, "final").await?;
    let mut other = sample_report();
    other["impression"] = json!("No bleed.");
    hospital.reader.write_draft(&task.case, other).await?;
    let answer = hospital.reader.sign(&task.case, "final", &preview).await?;
    assert_eq!(
        answer.status,
        StatusCode::PRECONDITION_FAILED,
        "{}",
        answer.body
    );
    hospital.close().await
}

#[tokio::test]
async fn a_study_that_grew_after_the_preview_is_not_signed() -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..2, "CAUSEWAY").await?;
    let task = hospital.claimed_with_draft(&study.study()).await?;
    let preview = hospital.reader.preview(&task.case, "final").await?;
    hospital.send(&study, 2..4, "CAUSEWAY").await?;
    let path = format!("/api/v1/cases/{}", task.case);
    wait_until(
        "the late images to be counted",
        Duration::from_secs(30),
        async || {
            let page = hospital.reader.get(&path).await?;
            let count: i64 = page["studies"][0]["series"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|series| series["instances"].as_i64())
                .sum();
            Ok((count == 4).then_some(()))
        },
    )
    .await?;
    let answer = hospital.reader.sign(&task.case, "final", &preview).await?;
    assert!(
        [StatusCode::CONFLICT, StatusCode::PRECONDITION_FAILED].contains(&answer.status),
        "{}: {}",
        answer.status,
        answer.body
    );
    hospital.close().await
}

/// What a report says, without where it stands on its way.
async fn said(hospital: &Hospital, report: &str) -> anyhow::Result<serde_json::Value> {
    let mut page = hospital
        .reader
        .get(&format!("/api/v1/reports/{report}"))
        .await?;
    page.as_object_mut().map(|page| page.remove("delivery"));
    Ok(page)
}
