//! A clock that is set back (R18): tasks, reports and their way home go on as if it had not been. Two of these were found by
//! `sign::simulation`, the others while it was written.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;

use super::signing::{due, ready};
use super::stage::Stage;
use crate::delivery;

const DAY: i64 = 86_400;

/// The task that was put back stands behind the one that replaced it, which is the one that was reported.
#[tokio::test]
async fn late_images_are_read_although_the_clock_was_set_back() {
    for stage in Stage::on_both().await {
        let reader = stage.reader("ada").await;
        let (case, workitem) = stage.waiting("1.2.3", &reader).await;
        let post = async |uid: &str, what: &str, body| {
            let path = format!("/workitems/{uid}/{what}");
            stage.call("POST", &path, &reader, body).await
        };
        assert_eq!(post(&workitem, "claim", None).await.status, StatusCode::OK);
        stage.pass(-3600);
        let back = json!({ "reason": "Not mine." });
        let back = post(&workitem, "put-back", Some(back)).await;
        let replacement = back.json["replacement"].as_str().unwrap().to_owned();
        stage.drafted(&reader, &case, &replacement).await;
        let body = stage.previewed(&reader, &case, "final").await;
        let signed = stage.sign(&reader, &case, &body).await;
        assert_eq!(signed.status, StatusCode::CREATED, "{}", signed.json);
        stage.image(&stage.key("1.2.3"), 2).await;
        let open = "SELECT count(*) FROM workitem WHERE state = 'SCHEDULED' AND code = '128001'";
        assert_eq!(stage.count(open).await, 1, "an addendum");
    }
}

/// The site takes back what was signed before the withdrawal.
#[tokio::test]
async fn a_withdrawal_is_signed_after_what_it_takes_back_although_the_clock_was_set_back() {
    for stage in Stage::on_both().await {
        let (reader, case, _) = ready(&stage).await;
        let body = stage.previewed(&reader, &case, "final").await;
        let signed = stage.sign(&reader, &case, &body).await;
        stage.pass(-60);
        let said = json!({ "report": signed.json["report"], "reason": "Wrong side." });
        let path = format!("/cases/{case}/withdraw");
        let withdrawn = stage.call("POST", &path, &reader, Some(said)).await;
        assert_eq!(withdrawn.status, StatusCode::CREATED, "{}", withdrawn.json);
        let after = "SELECT count(*) FROM report b JOIN report a ON a.id = b.predecessor_id WHERE b.signed_us > a.signed_us";
        assert_eq!(stage.count(after).await, 1);
    }
}

/// The time in the report lies behind the end of the certificate.
#[tokio::test]
async fn nothing_is_signed_for_a_time_at_which_the_key_has_ended() {
    let stage = Stage::on_sqlite().await;
    let (reader, case, _) = ready(&stage).await;
    let body = stage.previewed(&reader, &case, "preliminary").await;
    let signed = stage.sign(&reader, &case, &body).await;
    assert_eq!(signed.status, StatusCode::CREATED, "{}", signed.json);
    let ends = "UPDATE signing_key SET usable_until_us = (SELECT signed_us FROM report)";
    stage.sql(ends, &[]).await;
    stage.pass(-60);
    let body = stage.previewed(&reader, &case, "final").await;
    let refused = stage.sign(&reader, &case, &body).await;
    assert_ne!(refused.status, StatusCode::CREATED, "{}", refused.json);
    let said = json!({ "report": signed.json["report"], "reason": "Wrong side." });
    let path = format!("/cases/{case}/withdraw");
    let refused = stage.call("POST", &path, &reader, Some(said)).await;
    assert_ne!(refused.status, StatusCode::CREATED, "{}", refused.json);
    assert_eq!(stage.count("SELECT count(*) FROM report").await, 1);
}

#[tokio::test]
async fn a_report_goes_home_although_the_clock_was_set_back() {
    for stage in Stage::on_both().await {
        let (reader, case, _) = ready(&stage).await;
        let body = stage.previewed(&reader, &case, "final").await;
        stage.sign(&reader, &case, &body).await;
        stage.pass(-DAY);
        due(&stage).await;
        // it is leased for a minute, by a connection of which nothing more is heard
        stage.pass(-DAY);
        due(&stage).await;
        let (site, lease) = ("athens".parse().unwrap(), Duration::from_secs(60));
        stage.pass(59);
        let now = stage.state.clock.now();
        let early = delivery::due(&stage.state.rows, &site, "other", 16, (now, lease)).await;
        assert!(early.unwrap().is_empty(), "it is leased");
        stage.pass(2);
        due(&stage).await;
    }
}

#[tokio::test]
async fn a_task_is_kept_for_two_minutes_although_the_clock_was_set_back() {
    let stage = Stage::on_sqlite().await;
    let (ada, bo) = (stage.reader("ada").await, stage.reader("bo").await);
    let (_, task) = stage.waiting("1.2.3", &ada).await;
    let path = format!("/workitems/{task}/reserve");
    let kept = stage.call("POST", &path, &ada, None).await;
    assert_eq!(kept.status, StatusCode::OK, "{}", kept.json);
    stage.pass(-3600);
    let path = format!("/workitems/{task}/claim");
    let early = stage.call("POST", &path, &bo, None).await;
    assert_eq!(early.status, StatusCode::CONFLICT, "it is kept still");
    stage.pass(121);
    let late = stage.call("POST", &path, &bo, None).await;
    assert_eq!(late.status, StatusCode::OK, "{}", late.json);
}
