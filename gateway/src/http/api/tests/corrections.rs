//! Corrections: new versions that name the one before, and text that is never lost on the way.

use axum::http::StatusCode;
use serde_json::json;

use super::signing::{ready, view};
use super::stage::{Caller, Stage};
#[tokio::test]
async fn a_correction_is_a_new_version_that_names_the_one_before() {
    for stage in Stage::on_both().await {
        let (reader, case, _) = ready(&stage).await;
        let body = stage.previewed(&reader, &case, "final").await;
        stage.sign(&reader, &case, &body).await;
        let path = format!("/cases/{case}/correct");
        let why = Some(json!({ "reason": "wrong side" }));
        let begun = stage.call("POST", &path, &reader, why).await;
        assert_eq!(begun.status, StatusCode::CREATED, "{}", begun.json);
        assert_eq!(begun.json["draft_version"], 2);
        let now = view(&stage, &reader, &case).await;
        assert_eq!(now["draft"]["content"]["impression"], "Normal.");
        assert_eq!(now["workitem"]["code"], "128001");
        let body = stage.previewed(&reader, &case, "final").await;
        let signed = stage.sign(&reader, &case, &body).await;
        assert_eq!(signed.json["version"], 2, "{}", signed.json);
        let rows: Vec<(String,)> = sqlx::query_as("SELECT model FROM report ORDER BY version")
            .fetch_all(stage.state.rows.read())
            .await
            .unwrap();
        assert!(rows[1].0.contains("wrong side"));
        let first: (String,) = sqlx::query_as(
            "SELECT d.sop_uid FROM report_document d JOIN report r ON r.id = d.report_id WHERE r.version = 1",
        )
        .fetch_one(stage.state.rows.read())
        .await
        .unwrap();
        assert!(rows[1].0.contains(&first.0), "the predecessor is named");
    }
}

/// A reported case whose addendum task `reader` holds.
async fn with_addendum(stage: &Stage) -> (Caller, String, String) {
    let (reader, case, _) = ready(stage).await;
    let body = stage.previewed(&reader, &case, "final").await;
    let signed = stage.sign(&reader, &case, &body).await;
    assert_eq!(signed.status, StatusCode::CREATED, "{}", signed.json);
    stage.pass(60);
    let key = stage.key("1.2.3");
    stage.image(&key, 2).await;
    stage.seal(&key).await;
    let (_, addendum) = stage.task(&reader, 0).await;
    let claim = format!("/workitems/{addendum}/claim");
    let claimed = stage.call("POST", &claim, &reader, None).await;
    assert_eq!(claimed.status, StatusCode::OK, "{}", claimed.json);
    (reader, case, addendum)
}

#[tokio::test]
async fn a_correction_loses_nothing_that_was_written_since_the_report() {
    for stage in Stage::on_both().await {
        let (reader, case, _) = with_addendum(&stage).await;
        let saved = stage
            .call_with(
                "PUT",
                &format!("/cases/{case}/draft"),
                &reader,
                Some(json!({ "impression": "A late finding." })),
                &[("if-match", "\"1\"")],
            )
            .await;
        assert_eq!(saved.json["version"], 2, "{}", saved.json);
        let path = format!("/cases/{case}/correct");
        let why = Some(json!({ "reason": "wrong side" }));
        let begun = stage.call("POST", &path, &reader, why).await;
        assert_eq!(begun.status, StatusCode::CREATED, "{}", begun.json);
        assert_eq!(begun.json["draft_version"], 2);
        let now = view(&stage, &reader, &case).await;
        assert_eq!(now["draft"]["content"]["impression"], "A late finding.");
    }
}

#[tokio::test]
async fn a_correction_that_was_put_back_still_says_what_it_corrects() {
    for stage in Stage::on_both().await {
        let (reader, case, _) = ready(&stage).await;
        let body = stage.previewed(&reader, &case, "final").await;
        stage.sign(&reader, &case, &body).await;
        stage.pass(60);
        let path = format!("/cases/{case}/correct");
        let why = Some(json!({ "reason": "wrong side" }));
        let begun = stage.call("POST", &path, &reader, why).await;
        let held = begun.json["workitem"].as_str().unwrap();
        let path = format!("/workitems/{held}/put-back");
        let why = Some(json!({ "reason": "shift is over" }));
        let back = stage.call("POST", &path, &reader, why).await;
        let replacement = back.json["replacement"].as_str().unwrap();
        let path = format!("/workitems/{replacement}/claim");
        let claimed = stage.call("POST", &path, &reader, None).await;
        assert_eq!(claimed.status, StatusCode::OK, "{}", claimed.json);
        let body = stage.previewed(&reader, &case, "final").await;
        let signed = stage.sign(&reader, &case, &body).await;
        assert_eq!(signed.status, StatusCode::CREATED, "{}", signed.json);
        let model: (String,) = sqlx::query_as("SELECT model FROM report WHERE version = 2")
            .fetch_one(stage.state.rows.read())
            .await
            .unwrap();
        assert!(model.0.contains("wrong side"));
        assert!(!model.0.contains("shift is over"));
    }
}
