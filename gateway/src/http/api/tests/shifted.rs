//! Cases whose dates the site shifts (P11): pages and reports say intervals, and no date of the reader is signed.

use axum::http::StatusCode;
use causeway_proto::link::message::{Context, Facts};
use serde_json::{Value, json};

use super::signing::{ready, view};
use super::stage::{Caller, Stage};
use crate::talk;

/// The stage's study and a prior of 366 days before, as a site sends them that shifts dates.
async fn shifted(stage: &Stage) -> (Caller, String) {
    let (reader, case, _) = ready(stage).await;
    let prior = stage.key("1.2.9");
    stage.study(&prior, "comparison", "P-77", "20150312").await;
    stage
        .sql(
            "UPDATE study SET study_date = $1 WHERE study_uid = $2",
            &["20160312", "1.2.3"],
        )
        .await;
    stage.sql("UPDATE study SET shifted_dates = 1", &[]).await;
    (reader, case)
}

async fn draft(stage: &Stage, reader: &Caller, case: &str, version: &str, text: Value) {
    let path = format!("/cases/{case}/draft");
    let seen = [("if-match", version)];
    let saved = stage
        .call_with("PUT", &path, reader, Some(text), &seen)
        .await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.json);
}

#[tokio::test]
async fn pages_say_how_far_a_prior_is_away_and_no_date() {
    for stage in Stage::on_both().await {
        let (reader, case) = shifted(&stage).await;
        let page = view(&stage, &reader, &case).await;
        let studies = &page["studies"];
        assert_eq!(studies[0]["date"], "");
        assert_eq!(studies[0]["interval"], "dates shifted");
        assert_eq!(studies[1]["date"], "");
        let lies = "366 days before this study, about 12 months";
        assert_eq!(studies[1]["interval"], lies);
        let list = stage.call("GET", "/worklist", &reader, None).await.json;
        let line = &list["items"][0]["studies"][0];
        assert_eq!(
            (&line["date"], &line["interval"]),
            (&json!(""), &json!("dates shifted"))
        );
        for text in [page.to_string(), list.to_string()] {
            assert!(
                !text.contains("20160312") && !text.contains("20150312"),
                "{text}"
            );
        }
        // a prior that came before the site began to shift
        stage
            .sql(
                "UPDATE study SET shifted_dates = 0 WHERE study_uid = $1",
                &["1.2.9"],
            )
            .await;
        let page = view(&stage, &reader, &case).await;
        assert_eq!(page["studies"][1]["date"], "20150312");
    }
}

#[tokio::test]
async fn a_date_in_the_readers_words_is_not_signed_and_an_interval_is() {
    for stage in Stage::on_both().await {
        let (reader, case) = shifted(&stage).await;
        let text = |comparison: &str| json!({ "comparison": comparison, "findings": "No bleeding.", "impression": "Normal." });
        draft(
            &stage,
            &reader,
            &case,
            "\"1\"",
            text("CT of 12 March 2015."),
        )
        .await;
        let path = format!("/cases/{case}/preview");
        let wanted = Some(json!({ "status": "final" }));
        let preview = stage.call("POST", &path, &reader, wanted).await.json;
        assert!(
            preview["warnings"]
                .to_string()
                .contains("the date in comparison"),
            "{}",
            preview["warnings"]
        );
        for status in ["final", "preliminary"] {
            let body = stage.previewed(&reader, &case, status).await;
            let refused = stage.sign(&reader, &case, &body).await;
            let told = (refused.status, refused.kind());
            assert_eq!(told, (StatusCode::CONFLICT, "dated"));
            assert_eq!(refused.json["sections"], json!(["comparison"]));
        }
        assert_eq!(stage.count("SELECT count(*) FROM report").await, 0);
        draft(
            &stage,
            &reader,
            &case,
            "\"2\"",
            text("Prior 1, 366 days before this study."),
        )
        .await;
        let body = stage.previewed(&reader, &case, "final").await;
        let signed = stage.sign(&reader, &case, &body).await;
        assert_eq!(signed.status, StatusCode::CREATED, "{}", signed.json);
    }
}

#[tokio::test]
async fn where_dates_are_true_they_are_signed() {
    let stage = Stage::on_sqlite().await;
    let (reader, case, _) = ready(&stage).await;
    let text =
        json!({ "comparison": "CT of 12 March 2015.", "findings": "None.", "impression": "None." });
    draft(&stage, &reader, &case, "\"1\"", text).await;
    let body = stage.previewed(&reader, &case, "final").await;
    let signed = stage.sign(&reader, &case, &body).await;
    assert_eq!(signed.status, StatusCode::CREATED, "{}", signed.json);
}

#[tokio::test]
async fn a_day_that_the_site_names_stands_in_the_report_as_an_interval() {
    let stage = Stage::on_sqlite().await;
    let (reader, case) = shifted(&stage).await;
    let context = Context {
        study: "1.2.3".parse().unwrap(),
        agreement: "athens".parse().unwrap(),
        version: 5,
        facts: Facts {
            renal: "eGFR 54".to_owned(),
            renal_date: "2016-02-28".to_owned(),
            ..Facts::default()
        },
    };
    let (site, now) = ("athens".parse().unwrap(), stage.state.clock.now());
    let taken = talk::take_context(&stage.state.rows, &site, &context, now).await;
    assert!(taken.unwrap().is_some());
    let said = "13 days before this study";
    let page = view(&stage, &reader, &case).await;
    assert_eq!(page["context"][0]["renal_date"], said);
    let path = format!("/cases/{case}/preview");
    let wanted = Some(json!({ "status": "final" }));
    let preview = stage.call("POST", &path, &reader, wanted).await.json;
    let text = preview["text"].as_str().unwrap();
    assert!(
        text.contains(&format!("Renal function: eGFR 54 ({said})")),
        "{text}"
    );
    assert!(!text.contains("2016"), "{text}");
}
