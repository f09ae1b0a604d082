//! The audit trails of both programs after a report has come home: whole, witnessed, exported, and without a patient's name.

use std::time::Duration;

use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;

const A_MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn both_trails_tell_the_road_of_a_study_and_no_patient() -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..2, "CAUSEWAY").await?;
    let task = hospital.read_and_sign(&study.study()).await?;
    let reader = &hospital.reader;
    reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;
    let stack = &hospital.stack;

    let at_gateway = stack.gateway_cli(&["audit", "head"]).await?;
    let verify = ["audit", "verify", "--head", at_gateway.trim()];
    let whole = stack.gateway_cli(&verify).await?;
    assert!(whole.contains("is whole"), "{whole}");
    let at_site = stack.agent_cli(&["audit", "head"]).await?;
    let verify = ["audit", "verify", "--head", at_site.trim()];
    let whole = stack.agent_cli(&verify).await?;
    assert!(whole.contains("is whole"), "{whole}");
    let other = at_site.trim().replace(':', ":0");
    let wrong = other.get(..other.len() - 1).unwrap_or_default();
    let refused = stack.agent_cli(&["audit", "verify", "--head", wrong]).await;
    let said = format!("{:#}", refused.unwrap_err());
    assert!(said.contains("of the audit trail"), "{said}");

    // each end holds a head of the other, and nothing is in doubt
    let held = stack.agent_cli(&["audit", "witness"]).await?;
    assert!(
        held.starts_with("gateway  ") && !held.contains("DOUBT"),
        "{held}"
    );
    let held = stack.gateway_cli(&["audit", "witness"]).await?;
    assert!(
        held.contains(&stack.site) && !held.contains("DOUBT"),
        "{held}"
    );

    let gateway = stack
        .gateway_cli(&["audit", "export", "--format", "dicom"])
        .await?;
    let site = stack
        .agent_cli(&["audit", "export", "--format", "fhir"])
        .await?;
    for event in [
        "started",
        "token-issued",
        "case-opened",
        "workitem-claimed",
        "report-previewed",
        "report-signed",
        "report-delivery",
        "study-sealed",
    ] {
        assert!(gateway.contains(event), "{event} is not in {gateway}");
    }
    for event in [
        "started",
        "enrolled",
        "study-received",
        "study-protected",
        "images-sent",
        "study-sealed",
        "report-received",
        "report-offered",
    ] {
        assert!(site.contains(event), "{event} is not in {site}");
    }
    for trail in [&gateway, &site] {
        for word in [&study.patient_name, &study.patient_id] {
            assert!(!trail.contains(word.as_str()), "{word} stands in a trail");
        }
    }
    hospital.close().await
}
