//! From preview to signed report and home: what may change in between, what is made, and that nothing changes it afterwards.

use axum::http::StatusCode;
use causeway_proto::report::{signature, sr};
use serde_json::{Value, json};

use super::stage::{Caller, PASSWORD, Stage};
use crate::archive::BlobKey;
use crate::delivery;

pub(super) async fn ready(stage: &Stage) -> (Caller, String, String) {
    let reader = stage.reader("ada").await;
    let (case, workitem) = stage.waiting("1.2.3", &reader).await;
    stage.drafted(&reader, &case, &workitem).await;
    (reader, case, workitem)
}

pub(super) async fn view(stage: &Stage, caller: &Caller, case: &str) -> Value {
    stage
        .call("GET", &format!("/cases/{case}"), caller, None)
        .await
        .json
}

#[tokio::test]
async fn a_report_is_signed_once_and_stands_under_its_study() {
    for stage in Stage::on_both().await {
        let (reader, case, _) = ready(&stage).await;
        let body = stage.previewed(&reader, &case, "final").await;
        let signed = stage.sign(&reader, &case, &body).await;
        assert_eq!(signed.status, StatusCode::CREATED, "{}", signed.json);
        assert_eq!(signed.json["version"], 1);
        let again = stage.sign(&reader, &case, &body).await;
        assert_eq!(
            (again.status, again.kind()),
            (StatusCode::CONFLICT, "already-signed")
        );
        assert_eq!(again.json["report"], signed.json["report"]);
        assert_eq!(stage.count("SELECT count(*) FROM report").await, 1);
        assert_eq!(stage.count("SELECT count(*) FROM delivery").await, 1);
        let case_view = view(&stage, &reader, &case).await;
        assert_eq!(case_view["workitem"]["state"], "COMPLETED");
        assert_eq!(case_view["may"]["write"], false);
        assert_eq!(case_view["may"]["correct"], true);
        assert_eq!(
            case_view["reports"][0]["delivery"]["sentence"],
            "signed, on its way"
        );

        let path = format!("/reports/{}/sr", signed.json["report"].as_str().unwrap());
        let file = stage.call("GET", &path, &reader, None).await;
        assert_eq!(&file.bytes[128..132], b"DICM");
        let due = due(&stage).await;
        let key: BlobKey = due.blob_key.parse().unwrap();
        let bytes = stage.state.archive.blobs.read(&key).await.unwrap();
        let syntax = sr::TRANSFER_SYNTAX.parse().unwrap();
        let verified = signature::verify(&bytes, &syntax).unwrap();
        assert_eq!(verified.purpose, signature::Purpose::Verification);
        assert_eq!(verified.study.as_str(), "1.2.3");
        let report = sr::decode(&sr::from_bytes(&bytes).unwrap()).unwrap();
        assert_eq!(report.evidence[0].series[0].instances.len(), 1);
        assert_eq!(report.author.registration, "R-ada");
        assert!(report.standing.is_final());
    }
}

pub(super) async fn due(stage: &Stage) -> delivery::Due {
    let site = "athens".parse().unwrap();
    let lease = std::time::Duration::from_secs(60);
    let now = stage.state.clock.now();
    let mut all = delivery::due(&stage.state.rows, &site, "link", 16, (now, lease))
        .await
        .unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[tokio::test]
async fn of_parallel_signatures_one_makes_a_report() {
    for stage in Stage::on_both().await {
        let (reader, case, _) = ready(&stage).await;
        let body = stage.previewed(&reader, &case, "final").await;
        let calls = (0..8).map(|_| stage.sign(&reader, &case, &body));
        let answers = futures::future::join_all(calls).await;
        let created = answers
            .iter()
            .filter(|a| a.status == StatusCode::CREATED)
            .count();
        assert_eq!(created, 1);
        assert!(
            answers
                .iter()
                .all(|a| a.status == StatusCode::CREATED || a.kind() == "already-signed")
        );
        assert_eq!(stage.count("SELECT count(*) FROM report").await, 1);
        assert_eq!(stage.count("SELECT count(*) FROM report_document").await, 1);
    }
}

#[tokio::test]
async fn what_changes_after_the_preview_stops_the_signature() {
    let stage = Stage::on_sqlite().await;
    let (reader, case, _) = ready(&stage).await;
    let prior = stage.key("1.2.9");
    stage.study(&prior, "comparison", "P-77", "20250101").await;

    let body = stage.previewed(&reader, &case, "final").await;
    let saved = stage
        .call_with(
            "PUT",
            &format!("/cases/{case}/draft"),
            &reader,
            Some(json!({ "impression": "Not normal." })),
            &[("if-match", "\"1\"")],
        )
        .await;
    assert_eq!(saved.json["version"], 2);
    let answer = stage.sign(&reader, &case, &body).await;
    assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(answer.json["changed"], json!(["draft"]));

    let body = stage.previewed(&reader, &case, "final").await;
    stage.recall(&prior).await;
    let answer = stage.sign(&reader, &case, &body).await;
    assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(answer.json["changed"], json!(["images"]));

    let body = stage.previewed(&reader, &case, "final").await;
    let current = stage.key("1.2.3");
    stage
        .sql(
            "UPDATE study SET sealed_us = NULL WHERE study_uid = $1",
            &["1.2.3"],
        )
        .await;
    stage.image(&current, 2).await;
    let answer = stage.sign(&reader, &case, &body).await;
    assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED);
    stage.seal(&current).await;
    let answer = stage.sign(&reader, &case, &body).await;
    assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED);

    let body = stage.previewed(&reader, &case, "final").await;
    stage
        .sql(
            "UPDATE study SET patient_name = 'Other^Name' WHERE study_uid = $1",
            &["1.2.3"],
        )
        .await;
    let answer = stage.sign(&reader, &case, &body).await;
    assert_eq!(
        (answer.status, answer.kind()),
        (StatusCode::CONFLICT, "identity-changed")
    );
    assert_eq!(stage.count("SELECT count(*) FROM report").await, 0);

    let body = stage.previewed(&reader, &case, "final").await;
    let answer = stage.sign(&reader, &case, &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
}

#[tokio::test]
async fn nobody_overwrites_a_draft_unseen() {
    let stage = Stage::on_sqlite().await;
    let (reader, case, _) = ready(&stage).await;
    let path = format!("/cases/{case}/draft");
    let text = json!({ "impression": "Two." });
    let put = async |more: &[(&str, &str)]| {
        stage
            .call_with("PUT", &path, &reader, Some(text.clone()), more)
            .await
            .status
    };
    assert_eq!(put(&[]).await, StatusCode::PRECONDITION_REQUIRED);
    assert_eq!(
        put(&[("if-none-match", "*")]).await,
        StatusCode::PRECONDITION_FAILED
    );
    assert_eq!(
        put(&[("if-match", "\"7\"")]).await,
        StatusCode::PRECONDITION_FAILED
    );
    assert_eq!(put(&[("if-match", "seven")]).await, StatusCode::BAD_REQUEST);
    assert_eq!(put(&[("if-match", "\"1\"")]).await, StatusCode::OK);
    for bad in [
        json!({ "impression": "a".repeat(65 * 1024) }),
        json!({ "impression": "\u{1b}[31m" }),
        json!({ "language": "not a language" }),
        json!({ "unknown": "field" }),
    ] {
        let answer = stage
            .call_with("PUT", &path, &reader, Some(bad), &[("if-match", "\"2\"")])
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.json);
    }
}

#[tokio::test]
async fn final_needs_the_seal_or_a_reason_and_preliminary_neither() {
    let stage = Stage::on_sqlite().await;
    let reader = stage.reader("ada").await;
    let key = stage.key("1.2.3");
    stage.study(&key, "read", "P-77", "20260101").await;
    let (case, workitem) = stage.task(&reader, 0).await;
    stage.drafted(&reader, &case, &workitem).await;
    let body = stage.previewed(&reader, &case, "final").await;
    let answer = stage.sign(&reader, &case, &body).await;
    assert_eq!(
        (answer.status, answer.kind()),
        (StatusCode::CONFLICT, "incomplete")
    );
    let preliminary = stage.previewed(&reader, &case, "preliminary").await;
    let answer = stage.sign(&reader, &case, &preliminary).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    let now = view(&stage, &reader, &case).await;
    assert_eq!(now["workitem"]["state"], "IN PROGRESS");
    assert_eq!(now["reports"][0]["status"], "preliminary");
    let twice = stage.sign(&reader, &case, &preliminary).await;
    assert_eq!(twice.kind(), "already-signed");

    let mut body = stage.previewed(&reader, &case, "final").await;
    body["override_reason"] = json!("the patient is in theatre");
    let answer = stage.sign(&reader, &case, &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    assert_eq!(answer.json["version"], 2);
    let path = format!("/reports/{}", answer.json["report"].as_str().unwrap());
    let report = stage.call("GET", &path, &reader, None).await.json;
    let first = now["reports"][0]["id"].as_str().unwrap();
    assert_eq!(report["predecessor"], json!(first));
    let model: (String,) = sqlx::query_as("SELECT model FROM report WHERE version = 2")
        .fetch_one(stage.state.rows.read())
        .await
        .unwrap();
    assert!(model.0.contains("the patient is in theatre"));
}

#[tokio::test]
async fn images_that_came_after_the_preview_are_not_signed_unseen() {
    for stage in Stage::on_both().await {
        let reader = stage.reader("ada").await;
        let key = stage.key("1.2.3");
        stage.study(&key, "read", "P-77", "20260101").await;
        let prior = stage.key("1.2.9");
        stage.study(&prior, "comparison", "P-77", "20250101").await;
        let (case, workitem) = stage.task(&reader, 0).await;
        stage.drafted(&reader, &case, &workitem).await;
        for grown in [&key, &prior] {
            let body = stage.previewed(&reader, &case, "preliminary").await;
            stage.image(grown, 2).await;
            let answer = stage.sign(&reader, &case, &body).await;
            assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED);
            assert_eq!(answer.json["changed"], json!(["images"]));
        }
        let body = stage.previewed(&reader, &case, "preliminary").await;
        let answer = stage.sign(&reader, &case, &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    }
}

#[tokio::test]
async fn withheld_objects_are_acknowledged_and_named() {
    let stage = Stage::on_sqlite().await;
    let (reader, case, _) = ready(&stage).await;
    stage
        .sql(
            "INSERT INTO manifest (site_id, agreement_id, study_uid, version, basis, entries, withheld, sealed_us, received_us)
             VALUES ('athens', 'athens', '1.2.3', 1, 'silence', '[]', $1, 1, 1)",
            &[r#"[{"class":"1.2.840.10008.5.1.4.1.1.7","modality":"OT","count":1,"reason":"name burned in"}]"#],
        )
        .await;
    let mut body = stage.previewed(&reader, &case, "final").await;
    let answer = stage.sign(&reader, &case, &body).await;
    assert_eq!(answer.kind(), "withheld");
    body["acknowledged_withheld"] = json!(true);
    let answer = stage.sign(&reader, &case, &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
}

#[tokio::test]
async fn only_a_verifier_signs_final_and_only_with_an_unlocked_key() {
    let stage = Stage::on_sqlite().await;
    let (_, case, workitem) = ready(&stage).await;
    stage.person("bo", "Night Readers", "r").await;
    let bo = stage.signed_in("bo").await;
    let body = stage.previewed(&bo, &case, "final").await;
    let answer = stage.sign(&bo, &case, &body).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let other = stage.previewed(&bo, &case, "preliminary").await;
    let answer = stage.sign(&bo, &case, &other).await;
    assert_eq!(answer.kind(), "held-by-other", "the task is not his");

    let token = stage
        .call(
            "POST",
            "/token",
            &Caller::Nobody,
            Some(json!({ "user": "ada", "password": PASSWORD })),
        )
        .await;
    let ada = Caller::Bearer(token.json["token"].as_str().unwrap().to_owned());
    let body = stage.previewed(&ada, &case, "final").await;
    let locked = stage.sign(&ada, &case, &body).await;
    assert_eq!(
        (locked.status, locked.kind()),
        (StatusCode::UNAUTHORIZED, "signing-key-locked")
    );
    let wrong = json!({ "password": "not the password" });
    let refused = stage
        .call("POST", "/signing-key/unlock", &ada, Some(wrong))
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let right = json!({ "password": PASSWORD });
    let unlocked = stage
        .call("POST", "/signing-key/unlock", &ada, Some(right))
        .await;
    assert_eq!(unlocked.status, StatusCode::OK, "{}", unlocked.json);
    stage.pass(31 * 60);
    let lapsed = stage.sign(&ada, &case, &body).await;
    assert_eq!(lapsed.kind(), "signing-key-locked");
    drop(workitem);
}

#[tokio::test]
async fn a_signed_report_refuses_every_write() {
    let stage = Stage::on_sqlite().await;
    let (reader, case, _) = ready(&stage).await;
    let body = stage.previewed(&reader, &case, "final").await;
    let signed = stage.sign(&reader, &case, &body).await;
    let report = signed.json["report"].as_str().unwrap();
    for path in [
        format!("/reports/{report}"),
        format!("/reports/{report}/sr"),
    ] {
        for method in ["PUT", "POST", "PATCH", "DELETE"] {
            let answer = stage.call(method, &path, &reader, Some(json!({}))).await;
            assert_eq!(
                (answer.status, answer.kind()),
                (StatusCode::CONFLICT, "immutable"),
                "{method} {path}"
            );
        }
    }
    let draft = stage
        .call_with(
            "PUT",
            &format!("/cases/{case}/draft"),
            &reader,
            Some(json!({ "impression": "Other." })),
            &[("if-match", "\"1\"")],
        )
        .await;
    assert_eq!(draft.kind(), "immutable");
}

#[tokio::test]
async fn an_operator_reads_neither_draft_nor_report() {
    let stage = Stage::on_sqlite().await;
    let (reader, case, _) = ready(&stage).await;
    stage.person("root", "Centre", "o").await;
    let operator = stage.signed_in("root").await;
    let draft = view(&stage, &operator, &case).await["draft"].take();
    assert_eq!(draft, Value::Null);
    let body = stage.previewed(&reader, &case, "final").await;
    let signed = stage.sign(&reader, &case, &body).await;
    let path = format!("/reports/{}", signed.json["report"].as_str().unwrap());
    let file = format!("{path}/sr");
    let shown = stage.call("GET", &path, &operator, None).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.json);
    assert_eq!(shown.json["content"], Value::Null);
    let refused = stage.call("GET", &file, &operator, None).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let shown = stage.call("GET", &path, &reader, None).await;
    assert_eq!(shown.json["content"]["impression"], "Normal.");
    let read = stage.call("GET", &file, &reader, None).await;
    assert_eq!(read.status, StatusCode::OK);
}

#[tokio::test]
async fn late_images_after_the_report_make_an_addendum_task() {
    for stage in Stage::on_both().await {
        let (reader, case, workitem) = ready(&stage).await;
        let body = stage.previewed(&reader, &case, "final").await;
        stage.sign(&reader, &case, &body).await;
        stage.pass(60);
        let key = stage.key("1.2.3");
        stage.image(&key, 2).await;
        stage.image(&key, 3).await;
        let list = stage.call("GET", "/worklist", &reader, None).await.json;
        assert_eq!(list["items"].as_array().unwrap().len(), 1);
        assert_eq!(list["items"][0]["case"], json!(case));
        assert_ne!(list["items"][0]["workitem"], json!(workitem));
        assert_eq!(list["items"][0]["state"], "SCHEDULED");
        assert_eq!(list["items"][0]["readiness"], "INCOMPLETE");
        let tasks = stage
            .count("SELECT count(*) FROM workitem WHERE code = '128001'")
            .await;
        assert_eq!(tasks, 1);
        stage.seal(&key).await;
        let (_, addendum) = stage.task(&reader, 0).await;
        let claim = format!("/workitems/{addendum}/claim");
        stage.call("POST", &claim, &reader, None).await;
        let body = stage.previewed(&reader, &case, "final").await;
        let signed = stage.sign(&reader, &case, &body).await;
        assert_eq!(signed.json["version"], 2, "the same text: {}", signed.json);
        let again = stage.sign(&reader, &case, &body).await;
        assert_eq!(again.kind(), "already-signed");
        assert_eq!(again.json["report"], signed.json["report"]);
    }
}

#[tokio::test]
async fn what_is_typed_is_text() {
    let stage = Stage::on_sqlite().await;
    let (reader, case, _) = ready(&stage).await;
    let path = format!("/cases/{case}/preview");
    let preview = stage
        .call(
            "POST",
            &path,
            &reader,
            Some(json!({ "status": "preliminary" })),
        )
        .await
        .json;
    let html = preview["html"].as_str().unwrap();
    assert!(html.contains("No &lt;b&gt;bleeding&lt;/b&gt;."), "{html}");
    let text = preview["text"].as_str().unwrap();
    let mut blocks = text.split("\n\n");
    assert!(blocks.nth(1).unwrap().starts_with("PRELIMINARY"), "{text}");
    let end = text.trim_end().rsplit("\n\n").next().unwrap();
    for word in ["Dr. Ada ada", "R-ada", "Night Readers", "SE", "+46 8 1"] {
        assert!(end.contains(word), "{word} in {end}");
    }
    let warnings = preview["warnings"].to_string();
    assert!(warnings.contains("No clinical question"), "{warnings}");
}
