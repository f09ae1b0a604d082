//! What the site says of a case, in the case, in the report and before the signature; and letters with the site.

use axum::http::StatusCode;
use causeway_proto::link::message::{Context, Facts, Letter, LetterState, LetterStep};
use causeway_proto::time::Timestamp;
use serde_json::{Value, json};

use super::signing::{ready, view};
use super::stage::{Caller, Stage};
use crate::talk;

async fn says(stage: &Stage, version: u64, question: &str) {
    let context = Context {
        study: "1.2.3".parse().unwrap(),
        agreement: "athens".parse().unwrap(),
        version,
        facts: Facts {
            question: question.to_owned(),
            renal: "eGFR 54".to_owned(),
            renal_date: "2026-01-01".to_owned(),
            call_role: "ward 3".to_owned(),
            call_number: "+30 555".to_owned(),
            ..Facts::default()
        },
    };
    let (site, now) = ("athens".parse().unwrap(), stage.state.clock.now());
    let taken = talk::take_context(&stage.state.rows, &site, &context, now)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(taken.held.version, version);
}

async fn writes(stage: &Stage, caller: &Caller, id: &str, text: &str) {
    let case = view(stage, caller, id).await;
    let letter = Letter {
        id: format!("s-{text}"),
        agreement: "athens".parse().unwrap(),
        case: case["code"].as_str().unwrap().parse().unwrap(),
        written: Timestamp(7),
        who: "radiographer".to_owned(),
        text: text.to_owned(),
    };
    let (site, now) = ("athens".parse().unwrap(), stage.state.clock.now());
    let taken = talk::take(&stage.state.rows, &site, &letter, now);
    assert!(taken.await.unwrap().is_some());
}

async fn preview(stage: &Stage, caller: &Caller, case: &str) -> String {
    let path = format!("/cases/{case}/preview");
    let asked = Some(json!({ "status": "final" }));
    let preview = stage.call("POST", &path, caller, asked).await;
    preview.json["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_the_site_says_is_shown_signed_and_no_longer_signed_when_it_changes() {
    for stage in Stage::on_both().await {
        let (reader, case, _) = ready(&stage).await;
        assert_eq!(view(&stage, &reader, &case).await["context"], json!([]));
        let none = preview(&stage, &reader, &case).await;
        assert!(none.contains("No clinical question supplied."), "{none}");
        says(&stage, 5, "Bleeding?\n\nΑιμορραγία;").await;
        let shown = view(&stage, &reader, &case).await["context"][0].clone();
        assert_eq!(shown["question"], "Bleeding?\n\nΑιμορραγία;");
        assert_eq!(shown["renal"], "eGFR 54");
        assert_eq!(
            shown["allergy"],
            Value::Null,
            "what was not said is left out"
        );
        let listed = stage.call("GET", "/worklist", &reader, None).await.json;
        assert_eq!(listed["items"][0]["question"], shown["question"]);
        let text = preview(&stage, &reader, &case).await;
        for line in [
            "Supplied by the site:",
            "Clinical question: Bleeding?",
            "Αιμορραγία;",
            "Renal function: eGFR 54 (2026-01-01)",
            "To be called: ward 3, +30 555",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains("No clinical question supplied."), "{text}");
        let body = stage.previewed(&reader, &case, "final").await;
        says(&stage, 6, "Occlusion?").await;
        let stale = stage.sign(&reader, &case, &body).await;
        assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
        assert_eq!(stale.json["changed"], json!(["context"]));
        // an older word changes nothing any more
        let body = stage.previewed(&reader, &case, "final").await;
        says(&stage, 4, "Late.").await;
        let signed = stage.sign(&reader, &case, &body).await;
        assert_eq!(signed.status, StatusCode::CREATED, "{}", signed.json);
        let model =
            "SELECT count(*) FROM report WHERE model LIKE '%Clinical question: Occlusion?%'";
        assert_eq!(stage.count(model).await, 1);
    }
}

#[tokio::test]
async fn letters_go_both_ways_and_say_how_far_they_are() {
    for stage in Stage::on_both().await {
        let (reader, case, _) = ready(&stage).await;
        let path = format!("/cases/{case}/letters");
        let site = "athens".parse().unwrap();
        let (rows, now) = (&stage.state.rows, stage.state.clock.now());
        for text in ["Which arm? <b>", "And when?"] {
            let sent = stage
                .call("POST", &path, &reader, Some(json!({ "text": text })))
                .await;
            assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.json);
        }
        let due = talk::due(rows, &site, now).await.unwrap();
        let texts: Vec<_> = due.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(texts, ["Which arm? <b>", "And when?"]);
        assert_eq!(due[0].who, "Dr. Ada ada");
        let steps = async || {
            let all = view(&stage, &reader, &case).await["letters"].clone();
            let all = all.as_array().unwrap().clone();
            let word = |it: &Value| it["state"].as_str().unwrap().to_owned();
            all.iter().map(word).collect::<Vec<_>>()
        };
        assert_eq!(steps().await, ["sent", "sent"]);
        for (letter, step) in [(0, LetterStep::Held), (1, LetterStep::Read)] {
            let said = LetterState {
                id: due[letter].id.clone(),
                step,
                at: now,
            };
            let (answer, changed) = talk::heard(rows, &site, &said, now).await.unwrap();
            assert_eq!(answer.is_some(), step == LetterStep::Read);
            assert_eq!(changed.cases, std::slice::from_ref(&case));
        }
        assert_eq!(steps().await, ["at-site", "read"]);
        writes(&stage, &reader, &case, "The left.").await;
        writes(&stage, &reader, &case, "The left.").await;
        assert_eq!(steps().await, ["at-site", "read", "new"]);
        let unread = async || {
            let list = stage.call("GET", "/worklist", &reader, None).await.json;
            list["items"][0]["unread"].clone()
        };
        assert_eq!(unread().await, 1);
        let read = stage
            .call("POST", &format!("{path}/read"), &reader, None)
            .await;
        assert_eq!(read.status, StatusCode::NO_CONTENT, "{}", read.json);
        assert_eq!(
            (steps().await[2].as_str(), unread().await),
            ("read", json!(0))
        );
        let readings = talk::readings(rows, &site).await.unwrap();
        assert_eq!(readings.len(), 1);
        let trail = "SELECT count(*) FROM audit_event WHERE event IN ('letter-written', 'letter-received', 'letter-read')";
        assert_eq!(stage.count(trail).await, 4);
    }
}

#[tokio::test]
async fn letters_are_for_readers_and_bounded() {
    let stage = Stage::on_sqlite().await;
    let (reader, case, _) = ready(&stage).await;
    says(&stage, 5, "Bleeding?").await;
    writes(&stage, &reader, &case, "The left.").await;
    let path = format!("/cases/{case}/letters");
    for text in ["", " \n ", &"ä".repeat(talk::LONG + 1)] {
        let refused = stage
            .call("POST", &path, &reader, Some(json!({ "text": text })))
            .await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    }
    stage.person("opal", "Night Readers", "o").await;
    let operator = stage.signed_in("opal").await;
    let seen = view(&stage, &operator, &case).await;
    assert_eq!(
        (&seen["letters"], &seen["context"]),
        (&json!([]), &json!([]))
    );
    let list = stage.call("GET", "/worklist", &operator, None).await.json;
    let item = &list["items"][0];
    assert_eq!(
        (&item["question"], &item["unread"]),
        (&Value::Null, &json!(0))
    );
    for path in [path.clone(), format!("{path}/read")] {
        let refused = stage
            .call("POST", &path, &operator, Some(json!({ "text": "x" })))
            .await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
    }
    stage.person("eve", "Others", "rv").await;
    let eve = stage.signed_in("eve").await;
    let hidden = stage
        .call("POST", &path, &eve, Some(json!({ "text": "x" })))
        .await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
    stage.recall(&stage.key("1.2.3")).await;
    let gone = stage
        .call("POST", &path, &reader, Some(json!({ "text": "Why?" })))
        .await;
    assert_eq!(
        (gone.status, gone.kind()),
        (StatusCode::CONFLICT, "recalled")
    );
}
