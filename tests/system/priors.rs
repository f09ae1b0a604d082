//! What was sent to be compared with is a prior, never a task; a study of reports only makes no task either.

use std::time::Duration;

use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::reader::find_task;
use causeway_tests::stack::wait_until;

#[tokio::test]
async fn a_comparison_study_is_a_prior_of_the_same_patient_and_makes_no_task() -> anyhow::Result<()>
{
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let (prior, current) = (hospital.study(1), hospital.study(2));
    hospital.send(&prior, 0..3, "CW_PRIOR").await?;
    hospital.send(&current, 0..3, "CW_STAT").await?;
    let task = hospital
        .reader
        .wait_ready(&current.study(), Duration::from_secs(60))
        .await?;
    assert_eq!(task.line["priority"], "stat");
    let path = format!("/api/v1/cases/{}", task.case);
    let page = wait_until(
        "the prior to stand on the case page",
        Duration::from_secs(30),
        async || {
            let page = hospital.reader.get(&path).await?;
            let studies = page["studies"].as_array().cloned().unwrap_or_default();
            Ok(studies
                .iter()
                .any(|study| study["role"] == "prior")
                .then_some(page))
        },
    )
    .await?;
    let roles: Vec<_> = page["studies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|study| (study["uid"].clone(), study["role"].clone()))
        .collect();
    assert!(
        roles.contains(&(prior.study().into(), "prior".into())),
        "{roles:?}"
    );
    assert!(
        roles.contains(&(current.study().into(), "current".into())),
        "{roles:?}"
    );
    let list = hospital.reader.get("/api/v1/worklist").await?;
    assert!(find_task(&list, &prior.study()).is_none(), "{list}");
    hospital.close().await
}
