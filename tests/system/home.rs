//! A real study goes out, a signed report comes home; and what each kind of PACS does with it.

use std::time::Duration;

use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;

const A_MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_study_goes_out_and_one_signed_report_comes_home() -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let study = hospital.study(1);
    let answers = hospital.send(&study, 0..6, "CAUSEWAY").await?;
    assert!(
        answers.iter().all(causeway_tests::sender::Answer::stored),
        "{answers:?}"
    );
    let task = hospital.read_and_sign(&study.study()).await?;
    hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;
    assert_eq!(hospital.reports(&study.study()).len(), 1);
    hospital.close().await
}

#[tokio::test]
async fn a_pacs_without_structured_reports_is_a_state_and_not_a_retry() -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour {
        refuse_sr: true,
        ..Behaviour::default()
    })
    .await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..2, "CAUSEWAY").await?;
    let task = hospital.read_and_sign(&study.study()).await?;
    let delivery = hospital
        .reader
        .wait_delivery(&task.case, "not-taken", A_MINUTE)
        .await?;
    let said = delivery.to_string();
    assert!(said.contains("takes no structured reports"), "{said}");
    assert_eq!(hospital.reports(&study.study()).len(), 0);
    hospital.close().await
}

#[tokio::test]
async fn a_warning_status_counts_as_delivered_and_is_named() -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour {
        status: 0xB000,
        ..Behaviour::default()
    })
    .await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..2, "CAUSEWAY").await?;
    let task = hospital.read_and_sign(&study.study()).await?;
    let delivery = hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;
    assert!(
        delivery.to_string().to_uppercase().contains("B000"),
        "{delivery}"
    );
    hospital.close().await
}

#[tokio::test]
async fn a_pacs_that_forwards_everything_new_back_makes_no_new_task() -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..2, "CAUSEWAY").await?;
    let task = hospital.read_and_sign(&study.study()).await?;
    hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;
    let reports = hospital.reports(&study.study());
    assert_eq!(reports.len(), 1);
    let answers = hospital.send_files(&reports, "CAUSEWAY").await?;
    assert!(
        answers.iter().all(causeway_tests::sender::Answer::stored),
        "{answers:?}"
    );
    let other = hospital.study(2);
    hospital.send(&other, 0..2, "CAUSEWAY").await?;
    hospital.reader.wait_ready(&other.study(), A_MINUTE).await?;
    let list = hospital.reader.get("/api/v1/worklist").await?;
    assert!(
        causeway_tests::reader::find_open_task(&list, &study.study()).is_none(),
        "the report that came back made a task: {list}"
    );
    let page = hospital
        .reader
        .get(&format!("/api/v1/cases/{}", task.case))
        .await?;
    assert_eq!(page["reports"].as_array().map(Vec::len), Some(1));
    hospital.close().await
}

#[tokio::test]
async fn an_acknowledgement_that_is_lost_still_ends_as_one_report() -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour {
        drop_before_answer: 2,
        ..Behaviour::default()
    })
    .await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..2, "CAUSEWAY").await?;
    let task = hospital.read_and_sign(&study.study()).await?;
    hospital
        .reader
        .wait_delivery(&task.case, "delivered", Duration::from_secs(120))
        .await?;
    assert_eq!(hospital.reports(&study.study()).len(), 1);
    hospital.close().await
}
