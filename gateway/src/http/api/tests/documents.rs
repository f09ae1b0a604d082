//! Documents that are shown as text: whoever reads one is written down before a byte of it is read.

use axum::http::StatusCode;

use super::stage::Stage;
use crate::ingest::tests::{Object, SR};

/// A case with a document in it; answers where it is shown.
async fn shown(stage: &Stage) -> String {
    let key = stage.key("1.2.3");
    stage.study(&key, "read", "P-1", "20260101").await;
    let document = Object::made("1.2.3.1.1", SR, &[]);
    let blob = format!("{}/{}/aa/{}", key.site, key.agreement, "a".repeat(64));
    let blobs = &stage.state.archive.blobs;
    let at = blob.parse().unwrap();
    blobs.put(&at, document.bytes.clone()).await.unwrap();
    stage
        .sql("UPDATE instance SET blob_key = $1", &[&blob])
        .await;
    let (case,): (String,) = sqlx::query_as("SELECT id FROM reading_case")
        .fetch_one(stage.state.rows.read())
        .await
        .unwrap();
    format!("/cases/{case}/readable/1.2.3/1.2.3.1/1.2.3.1.1")
}

const LOOKS: &str = "SELECT count(*) FROM audit_event WHERE event = 'images-viewed' AND subject = '1.2.3' AND site_id = 'athens' AND actor <> ''";

#[tokio::test]
async fn who_reads_a_document_is_written_down_once() {
    for stage in Stage::on_both().await {
        let reader = stage.reader("ada").await;
        let path = shown(&stage).await;
        let missing = format!("{path}.9");
        let none = stage.call("GET", &missing, &reader, None).await;
        assert_eq!(none.status, StatusCode::NOT_FOUND);
        assert_eq!(stage.count(LOOKS).await, 0);
        for _ in 0..2 {
            let answer = stage.call("GET", &path, &reader, None).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(stage.count(LOOKS).await, 1);
        }
    }
}

#[tokio::test]
async fn a_document_that_is_taken_back_while_that_is_written_is_not_shown() {
    let stage = Stage::on_sqlite().await;
    let reader = stage.reader("ada").await;
    let path = shown(&stage).await;
    stage
        .sql(
            "CREATE TRIGGER recall AFTER INSERT ON audit_event WHEN new.event = 'images-viewed' \
             BEGIN UPDATE study SET recalled_us = 1; END",
            &[],
        )
        .await;
    let answer = stage.call("GET", &path, &reader, None).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(stage.count(LOOKS).await, 1);
}
