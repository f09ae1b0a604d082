//! Cases whose identity stays at the site: how they are shown, what the site may forbid, and what the signed report carries home.

use axum::http::StatusCode;
use causeway_proto::report::{signature, sr};
use dicom_dictionary_std::tags;
use serde_json::json;

use super::signing::{due, ready, view};
use super::stage::Stage;
use crate::archive::BlobKey;

const PSEUDONYM: &str = "CW3F4H7K9MNPQ";

/// The stage's study as an agent of a pseudonymous agreement sends it.
async fn pseudonymous(stage: &Stage) {
    stage
        .sql("UPDATE agreement SET identity = 'pseudonymous'", &[])
        .await;
    stage
        .sql(
            "UPDATE study SET patient_id = $1, patient_name = $1",
            &[PSEUDONYM],
        )
        .await;
    let marks = json!({ "methods": ["reading-1"], "codes": [{ "value": "113100", "scheme": "DCM", "meaning": "Basic" }] });
    stage
        .sql(
            "INSERT INTO study_protection (site_id, agreement_id, study_uid, marks, sealed_syntax, sealed_set)
             VALUES ('athens', 'athens', '1.2.3', $1, '1.2.840.10008.1.2.1', '3003020107')",
            &[&marks.to_string()],
        )
        .await;
}

#[tokio::test]
async fn a_case_says_how_its_identity_travels() {
    let stage = Stage::on_sqlite().await;
    let (reader, case, _) = ready(&stage).await;
    let listed = async || {
        let list = stage.call("GET", "/worklist", &reader, None).await.json;
        list["items"][0].clone()
    };
    let before = view(&stage, &reader, &case).await;
    assert_eq!(before["identity"]["mode"], "identified");
    assert_eq!(listed().await["identity"]["mode"], "identified");
    pseudonymous(&stage).await;
    let after = view(&stage, &reader, &case).await;
    let (mode, established) = (
        &after["identity"]["mode"],
        &after["identity"]["established"],
    );
    assert_eq!((mode, established), (&json!("pseudonymous"), &json!(true)));
    assert_eq!(listed().await["identity"]["mode"], "pseudonymous");
    assert_eq!(listed().await["blocked"], json!(null));
}

#[tokio::test]
async fn an_identity_that_is_not_established_joins_no_priors() {
    let stage = Stage::on_sqlite().await;
    let (reader, case, _) = ready(&stage).await;
    let prior = stage.key("1.2.9");
    stage.study(&prior, "comparison", "P-77", "20250101").await;
    let priors = async || {
        let all = view(&stage, &reader, &case).await;
        let list = stage.call("GET", "/worklist", &reader, None).await.json;
        let studies = all["studies"].as_array().unwrap().len();
        (studies - 1, list["items"][0]["priors"].as_i64().unwrap())
    };
    assert_eq!(priors().await, (1, 1));
    for who in ["1.2.3", "1.2.9"] {
        stage
            .sql(
                "UPDATE study SET identity = CASE WHEN study_uid = $1 THEN 'not-established' ELSE '' END",
                &[who],
            )
            .await;
        assert_eq!(priors().await, (0, 0), "{who}");
    }
    stage
        .sql("UPDATE study SET identity = 'not-established'", &[])
        .await;
    let page = view(&stage, &reader, &case).await;
    assert_eq!(page["identity"]["established"], false);
    let path = format!("/cases/{case}/preview");
    let wanted = Some(json!({ "status": "final" }));
    let preview = stage.call("POST", &path, &reader, wanted).await.json;
    let text = preview["text"].as_str().unwrap();
    assert!(text.contains("Identity not established at the site."));
}

#[tokio::test]
async fn nothing_is_signed_while_the_site_forbids_it() {
    for stage in Stage::on_both().await {
        let (reader, case, _) = ready(&stage).await;
        let body = stage.previewed(&reader, &case, "final").await;
        let draft = stage.previewed(&reader, &case, "preliminary").await;
        let why = "Images of another patient are in this study.";
        stage.sql("UPDATE study SET blocked = $1", &[why]).await;
        for body in [&body, &draft] {
            let refused = stage.sign(&reader, &case, body).await;
            let told = (refused.status, refused.kind());
            assert_eq!(told, (StatusCode::CONFLICT, "blocked-by-site"));
            assert_eq!(refused.json["blocked"], why);
        }
        let page = view(&stage, &reader, &case).await;
        assert_eq!(page["blocked"], why);
        assert_eq!(page["may"]["sign_final"], false);
        assert_eq!(page["may"]["sign_preliminary"], false);
        let list = stage.call("GET", "/worklist", &reader, None).await.json;
        assert_eq!(list["items"][0]["blocked"], why);
        let path = format!("/cases/{case}/preview");
        let wanted = Some(json!({ "status": "final" }));
        let preview = stage.call("POST", &path, &reader, wanted).await.json;
        assert!(preview["warnings"][0].as_str().unwrap().contains(why));
        // the reader has seen nothing else: what he previewed may be signed once the site is content
        stage.sql("UPDATE study SET blocked = $1", &[""]).await;
        let signed = stage.sign(&reader, &case, &body).await;
        assert_eq!(signed.status, StatusCode::CREATED, "{}", signed.json);
    }
}

#[tokio::test]
async fn what_the_site_did_to_the_images_stands_in_the_report() {
    let stage = Stage::on_sqlite().await;
    let (reader, case, _) = ready(&stage).await;
    let body = stage.previewed(&reader, &case, "final").await;
    let remarks = json!(["1 overlay removed at the site", "2 images masked"]);
    stage
        .sql("UPDATE study SET remarks = $1", &[&remarks.to_string()])
        .await;
    // it was not in the preview
    let stale = stage.sign(&reader, &case, &body).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    let page = view(&stage, &reader, &case).await;
    assert_eq!(page["studies"][0]["remarks"], remarks);
    let path = format!("/cases/{case}/preview");
    let wanted = Some(json!({ "status": "final" }));
    let preview = stage.call("POST", &path, &reader, wanted).await.json;
    let sentence = "The images as read: 1 overlay removed at the site; 2 images masked.";
    assert!(preview["text"].as_str().unwrap().contains(sentence));
}

#[tokio::test]
async fn the_signed_report_carries_the_pseudonym_and_the_sealed_set() {
    for stage in Stage::on_both().await {
        let (reader, case, _) = ready(&stage).await;
        pseudonymous(&stage).await;
        let body = stage.previewed(&reader, &case, "final").await;
        let signed = stage.sign(&reader, &case, &body).await;
        assert_eq!(signed.status, StatusCode::CREATED, "{}", signed.json);
        let key: BlobKey = due(&stage).await.blob_key.parse().unwrap();
        let bytes = stage.state.archive.blobs.read(&key).await.unwrap();
        let syntax = sr::TRANSFER_SYNTAX.parse().unwrap();
        signature::verify(&bytes, &syntax).unwrap();
        let dataset = sr::from_bytes(&bytes).unwrap();
        assert_eq!(dataset.code(tags::PATIENT_ID), PSEUDONYM);
        assert_eq!(dataset.code(tags::PATIENT_IDENTITY_REMOVED), "YES");
        assert_eq!(dataset.code(tags::DEIDENTIFICATION_METHOD), "reading-1");
        let codes = dataset.items(tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE);
        assert_eq!(codes[0].code(tags::CODE_VALUE), "113100");
        let [sealed] = dataset.items(tags::ENCRYPTED_ATTRIBUTES_SEQUENCE) else {
            panic!("one sealed set");
        };
        let content = sealed.bytes(tags::ENCRYPTED_CONTENT);
        assert_eq!(content, [0x30, 3, 2, 1, 7, 0], "padded to even length");
        // the row of the report does not hold it once more
        let rows = "SELECT count(*) FROM report WHERE model LIKE '%3003020107%' OR model LIKE '%48,3,2,1,7%'";
        assert_eq!(stage.count(rows).await, 0);
    }
}
