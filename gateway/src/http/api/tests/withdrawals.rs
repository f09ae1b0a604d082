//! What is signed after a withdrawal: it can be withdrawn as well, and what was taken back is not taken for signed.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::signing::ready;
use super::stage::{Answer, Caller, Stage};

async fn signed(stage: &Stage, reader: &Caller, case: &str, status: &str) -> (Value, Answer) {
    let body = stage.previewed(reader, case, status).await;
    let answer = stage.sign(reader, case, &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    (body, answer)
}

async fn withdrawn(stage: &Stage, reader: &Caller, case: &str, report: &Value) {
    let said = json!({ "report": report, "reason": "Wrong side." });
    let path = format!("/cases/{case}/withdraw");
    let answer = stage.call("POST", &path, reader, Some(said)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
}

#[tokio::test]
async fn one_text_is_withdrawn_as_preliminary_and_as_final() {
    for stage in Stage::on_both().await {
        let (reader, case, _) = ready(&stage).await;
        for status in ["preliminary", "final"] {
            let (_, done) = signed(&stage, &reader, &case, status).await;
            withdrawn(&stage, &reader, &case, &done.json["report"]).await;
        }
        assert_eq!(stage.count("SELECT count(*) FROM report").await, 4);
        let path = format!("/cases/{case}/correct");
        let why = Some(json!({ "reason": "wrong side" }));
        let begun = stage.call("POST", &path, &reader, why).await;
        assert_eq!(begun.json["draft_version"], 2, "{}", begun.json);
        let (_, done) = signed(&stage, &reader, &case, "final").await;
        assert_eq!(done.json["version"], 5);
    }
}

#[tokio::test]
async fn a_text_that_was_withdrawn_is_not_taken_for_signed() {
    for stage in Stage::on_both().await {
        let (reader, case, _) = ready(&stage).await;
        let (body, done) = signed(&stage, &reader, &case, "preliminary").await;
        withdrawn(&stage, &reader, &case, &done.json["report"]).await;
        let again = stage.sign(&reader, &case, &body).await;
        let told = (again.status, again.kind());
        assert_eq!(told, (StatusCode::CONFLICT, "text-withdrawn"));
        assert!(again.json["report"].is_null(), "{}", again.json);
        let saved = stage
            .call_with(
                "PUT",
                &format!("/cases/{case}/draft"),
                &reader,
                Some(json!({ "impression": "Normal." })),
                &[("if-match", "\"1\"")],
            )
            .await;
        assert_eq!(saved.json["version"], 2, "{}", saved.json);
        let (body, done) = signed(&stage, &reader, &case, "preliminary").await;
        assert_eq!(done.json["version"], 3);
        let again = stage.sign(&reader, &case, &body).await;
        assert_eq!(again.kind(), "already-signed");
    }
}
