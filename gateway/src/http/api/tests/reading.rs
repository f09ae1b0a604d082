//! Tasks: who sees them, who gets them, what comes back, and what late images and recalls do.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::json;

use super::stage::{Caller, Stage};
use crate::eligibility::{Roles, Subject};
use crate::worklist::{self, Changed, ClaimError};

#[tokio::test]
async fn a_study_makes_one_task_and_its_prior_none() {
    for stage in Stage::on_both().await {
        let reader = stage.reader("ada").await;
        let prior = stage.key("1.2.1");
        stage.study(&prior, "comparison", "P-77", "20250101").await;
        stage.seal(&prior).await;
        let current = stage.key("1.2.2");
        stage.study(&current, "read", "P-77", "20260101").await;
        let list = stage.call("GET", "/worklist", &reader, None).await.json;
        assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
        let item = &list["items"][0];
        assert_eq!(item["readiness"], "INCOMPLETE");
        assert_eq!(item["priors"], 1);
        assert_eq!(item["arriving"]["here"], 1);
        assert_eq!(item["studies"][0]["modalities"], json!(["CT"]));
        assert_eq!(item["site"]["utc_offset"], "+03:00");
        stage.seal(&current).await;
        let (case, _) = stage.task(&reader, 0).await;
        let view = stage
            .call("GET", &format!("/cases/{case}"), &reader, None)
            .await;
        assert_eq!(view.json["workitem"]["readiness"], "READY");
        assert_eq!(view.json["studies"].as_array().unwrap().len(), 2);
        assert_eq!(view.json["studies"][1]["role"], "prior");
        assert_eq!(view.json["studies"][0]["series"][0]["shown"], "viewer");
        assert_eq!(view.json["request_text"]["reason"], "fall");
        assert_eq!(view.json["may"]["claim"], true);
    }
}

#[tokio::test]
async fn patients_without_an_identity_share_no_prior() {
    let stage = Stage::on_sqlite().await;
    let reader = stage.reader("ada").await;
    for (uid, date) in [("1.2.1", "20250101"), ("1.2.2", "20260101")] {
        let key = stage.key(uid);
        stage.study(&key, "read", " unknown ", date).await;
    }
    let list = stage.call("GET", "/worklist", &reader, None).await.json;
    assert_eq!(list["items"][0]["priors"], 0);
    assert_eq!(list["items"][1]["priors"], 0);
    let (case, _) = stage.task(&reader, 0).await;
    let view = stage
        .call("GET", &format!("/cases/{case}"), &reader, None)
        .await
        .json;
    assert_eq!(view["identity"]["established"], false);
}

#[tokio::test]
async fn another_organisations_case_does_not_exist() {
    let stage = Stage::on_sqlite().await;
    let mine = stage.reader("ada").await;
    let (case, workitem) = stage.waiting("1.2.3", &mine).await;
    stage.person("eve", "Day Readers", "rv").await;
    let other = stage.signed_in("eve").await;
    let list = stage.call("GET", "/worklist", &other, None).await.json;
    assert_eq!(list["items"], json!([]));
    let theirs = stage
        .call("GET", &format!("/cases/{case}"), &other, None)
        .await;
    let nothing = stage.call("GET", "/cases/nothing", &other, None).await;
    assert_eq!(theirs.status, StatusCode::NOT_FOUND);
    assert_eq!(theirs.bytes, nothing.bytes);
    for path in [
        format!("/workitems/{workitem}/claim"),
        format!("/cases/{case}/preview"),
        format!("/cases/{case}/sign"),
    ] {
        let body = path
            .ends_with("preview")
            .then(|| json!({ "status": "final" }))
            .or_else(|| {
                path.ends_with("sign").then(|| {
                    json!({ "status": "final", "draft_version": 1, "manifest_version": "", "identity_version": "" })
                })
            });
        let answer = stage.call("POST", &path, &other, body).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn of_a_hundred_claims_one_wins() {
    for stage in Stage::on_both().await {
        let reader = stage.reader("ada").await;
        let (_, workitem) = stage.waiting("1.2.3", &reader).await;
        let mut claims = tokio::task::JoinSet::new();
        for n in 0..100 {
            let state = stage.state.clone();
            let uid = workitem.clone();
            let subject = Subject {
                account: format!("account-{n}"),
                organisation: "Night Readers".into(),
                roles: Roles {
                    reader: true,
                    ..Roles::default()
                },
                disabled: false,
                reach: vec![("athens".parse().unwrap(), "athens".parse().unwrap())],
            };
            claims.spawn(async move {
                let now = state.clock.now();
                worklist::claim(
                    &state.rows,
                    &state.reservations,
                    &subject,
                    &uid,
                    now,
                    &state.random,
                )
                .await
            });
        }
        let mut won = BTreeSet::new();
        while let Some(done) = claims.join_next().await {
            match done.unwrap() {
                Ok(claimed) => assert!(won.insert(claimed.transaction_uid)),
                Err(ClaimError::Taken(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(won.len(), 1);
        let rows = stage
            .count("SELECT count(*) FROM audit_event WHERE event = 'workitem-claimed'")
            .await;
        assert_eq!(rows, 1);
    }
}

#[tokio::test]
async fn the_loser_is_told_who_and_only_the_holder_sees_the_lock() {
    let stage = Stage::on_sqlite().await;
    let ada = stage.reader("ada").await;
    let bo = stage.reader("bo").await;
    let (case, workitem) = stage.waiting("1.2.3", &ada).await;
    let claim = format!("/workitems/{workitem}/claim");
    let first = stage.call("POST", &claim, &ada, None).await;
    assert_eq!(first.status, StatusCode::OK);
    let again = stage.call("POST", &claim, &ada, None).await;
    assert_eq!(again.json, first.json, "claiming twice is claiming once");
    let second = stage.call("POST", &claim, &bo, None).await;
    assert_eq!(second.status, StatusCode::CONFLICT);
    assert_eq!(second.json["holder"], "Ada ada");
    assert!(second.json["since"].is_string());
    let path = format!("/cases/{case}");
    let uid = first.json["transaction_uid"].as_str().unwrap();
    for (caller, shown) in [(&ada, true), (&bo, false)] {
        let view = stage.call("GET", &path, caller, None).await;
        let text = String::from_utf8(view.bytes).unwrap();
        assert_eq!(text.contains(uid), shown);
        let list = stage.call("GET", "/worklist", caller, None).await;
        assert!(!String::from_utf8(list.bytes).unwrap().contains(uid));
    }
    let draft = stage
        .call_with(
            "PUT",
            &format!("/cases/{case}/draft"),
            &bo,
            Some(json!({ "findings": "mine" })),
            &[("if-none-match", "*")],
        )
        .await;
    assert_eq!(
        (draft.status, draft.kind()),
        (StatusCode::CONFLICT, "held-by-other")
    );
}

#[tokio::test]
async fn a_task_put_back_is_replaced_and_its_draft_stays() {
    for stage in Stage::on_both().await {
        let ada = stage.reader("ada").await;
        let bo = stage.reader("bo").await;
        let (case, workitem) = stage.waiting("1.2.3", &ada).await;
        stage.drafted(&ada, &case, &workitem).await;
        let path = format!("/workitems/{workitem}/put-back");
        let why = Some(json!({ "reason": "not my field" }));
        let other = stage.call("POST", &path, &bo, why.clone()).await;
        assert_eq!(other.status, StatusCode::CONFLICT);
        let back = stage.call("POST", &path, &ada, why.clone()).await;
        assert_eq!(back.status, StatusCode::OK, "{}", back.json);
        let replacement = back.json["replacement"].as_str().unwrap().to_owned();
        let twice = stage.call("POST", &path, &ada, why).await;
        assert_eq!(
            (twice.status, &twice.json["ups_status"]),
            (StatusCode::CONFLICT, &json!("B304"))
        );
        let row: (String, String, String) = sqlx::query_as(
            "SELECT state, reason_code, (SELECT replaces_uid FROM workitem WHERE uid <> w.uid) FROM workitem w WHERE replaces_uid IS NULL",
        )
        .fetch_one(stage.state.rows.read())
        .await
        .unwrap();
        assert_eq!(row, ("CANCELED".into(), "110528".into(), workitem));
        let claim = format!("/workitems/{replacement}/claim");
        assert_eq!(
            stage.call("POST", &claim, &bo, None).await.status,
            StatusCode::OK
        );
        let draft = stage
            .call("GET", &format!("/cases/{case}/draft"), &bo, None)
            .await;
        assert_eq!(draft.json["content"]["impression"], "Normal.");
        assert_eq!(draft.headers["etag"], "\"1\"");
    }
}

#[tokio::test]
async fn a_recalled_study_cancels_its_task_and_makes_none_again() {
    let stage = Stage::on_sqlite().await;
    let ada = stage.reader("ada").await;
    let (case, workitem) = stage.waiting("1.2.3", &ada).await;
    stage.drafted(&ada, &case, &workitem).await;
    let body = stage.previewed(&ada, &case, "final").await;
    let key = stage.key("1.2.3");
    stage.recall(&key).await;
    let answer = stage.sign(&ada, &case, &body).await;
    assert_eq!(
        (answer.status, answer.kind()),
        (StatusCode::CONFLICT, "recalled")
    );
    let view = stage
        .call("GET", &format!("/cases/{case}"), &ada, None)
        .await
        .json;
    assert_eq!(view["recalled"], true);
    assert_eq!(view["may"]["write"], false);
    stage.image(&key, 9).await;
    let list = stage.call("GET", "/worklist", &ada, None).await.json;
    assert_eq!(list["items"], json!([]));
    assert_eq!(stage.count("SELECT count(*) FROM report").await, 0);
}

#[tokio::test]
async fn an_operator_cancels_what_waits_and_reads_nothing() {
    let stage = Stage::on_sqlite().await;
    let ada = stage.reader("ada").await;
    stage.person("root", "Centre", "o").await;
    let operator = stage.signed_in("root").await;
    let (case, workitem) = stage.waiting("1.2.3", &ada).await;
    let list = stage.call("GET", "/worklist", &operator, None).await.json;
    assert_eq!(list["items"][0]["workitem"], json!(workitem));
    let claim = format!("/workitems/{workitem}/claim");
    let refused = stage.call("POST", &claim, &operator, None).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.json["reasons"].as_array().unwrap().len(), 2);
    let draft = format!("/cases/{case}/draft");
    let read = stage.call("GET", &draft, &operator, None).await;
    assert_eq!(read.status, StatusCode::FORBIDDEN);
    let cancel = format!("/workitems/{workitem}/cancel");
    let why = Some(json!({ "reason": "sent twice" }));
    let not_his = stage.call("POST", &cancel, &ada, why.clone()).await;
    assert_eq!(not_his.status, StatusCode::FORBIDDEN);
    let done = stage.call("POST", &cancel, &operator, why).await;
    assert_eq!(done.status, StatusCode::NO_CONTENT);
    let gone = stage.call("POST", &claim, &ada, None).await;
    assert_eq!(gone.json["ups_status"], "C300");
}

#[tokio::test]
async fn a_case_answers_304_until_something_of_it_changes() {
    let stage = Stage::on_sqlite().await;
    let ada = stage.reader("ada").await;
    let (case, workitem) = stage.waiting("1.2.3", &ada).await;
    let path = format!("/cases/{case}");
    let first = stage.call("GET", &path, &ada, None).await;
    let etag = first.headers["etag"].to_str().unwrap().to_owned();
    stage.pass(30);
    let known = [("if-none-match", etag.as_str())];
    let same = stage.call_with("GET", &path, &ada, None, &known).await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    stage.drafted(&ada, &case, &workitem).await;
    let changed = stage.call_with("GET", &path, &ada, None, &known).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_eq!(changed.json["may"]["write"], true);
}

#[tokio::test]
async fn the_description_names_every_route_that_pages_use() {
    let stage = Stage::on_sqlite().await;
    let document = stage
        .call("GET", "/openapi.json", &Caller::Nobody, None)
        .await
        .json;
    for path in [
        "/session",
        "/me",
        "/token",
        "/worklist",
        "/workitems/{uid}/claim",
        "/cases/{case}",
        "/cases/{case}/draft",
        "/cases/{case}/preview",
        "/cases/{case}/sign",
        "/cases/{case}/correct",
        "/reports/{id}/sr",
        "/events",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
}

#[tokio::test]
async fn studies_with_one_code_are_one_case_ready_when_all_are_sealed_and_signed_under_each() {
    for stage in Stage::on_both().await {
        let reader = stage.reader("ada").await;
        let (one, two) = (stage.key("1.2.1"), stage.key("1.2.2"));
        stage.study(&one, "read", "P-77", "20260101").await;
        stage.sql("DELETE FROM workitem_study", &[]).await;
        stage.sql("DELETE FROM workitem", &[]).await;
        stage.sql("DELETE FROM case_study", &[]).await;
        stage
            .sql(
                "INSERT INTO study (site_id, agreement_id, study_uid, purpose, priority, case_code, patient_id, first_us, last_us)
                 SELECT site_id, agreement_id, $1, purpose, priority, case_code, patient_id, 1, 1 FROM study WHERE study_uid = $2",
                &["1.2.2", "1.2.1"],
            )
            .await;
        stage
            .sql(
                "INSERT INTO series (site_id, agreement_id, study_uid, series_uid, modality) VALUES ('athens', 'athens', '1.2.2', '1.2.2.1', 'US')",
                &[],
            )
            .await;
        stage.image(&one, 8).await;
        stage.image(&two, 9).await;
        let list = stage.call("GET", "/worklist", &reader, None).await.json;
        assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
        assert_eq!(list["items"][0]["studies"].as_array().unwrap().len(), 2);
        stage.seal(&one).await;
        let list = stage.call("GET", "/worklist", &reader, None).await.json;
        assert_eq!(list["items"][0]["readiness"], "INCOMPLETE");
        stage.seal(&two).await;
        let list = stage.call("GET", "/worklist", &reader, None).await.json;
        assert_eq!(list["items"][0]["readiness"], "READY");

        let (case, workitem) = stage.task(&reader, 0).await;
        stage.drafted(&reader, &case, &workitem).await;
        let body = stage.previewed(&reader, &case, "final").await;
        let signed = stage.sign(&reader, &case, &body).await;
        assert_eq!(signed.status, StatusCode::CREATED, "{}", signed.json);
        let path = format!("/reports/{}", signed.json["report"].as_str().unwrap());
        let report = stage.call("GET", &path, &reader, None).await.json;
        let filed: Vec<_> = report["documents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|d| d["study"].clone())
            .collect();
        assert_eq!(filed, [json!("1.2.1"), json!("1.2.2")]);
        let (model,): (String,) = sqlx::query_as("SELECT model FROM report")
            .fetch_one(stage.state.rows.read())
            .await
            .unwrap();
        let copies: serde_json::Value = serde_json::from_str(&model).unwrap();
        let of = |at: usize, path: &str| copies[at].pointer(path).cloned().unwrap();
        let instance = "/identical/0/series/0/instances/0/1";
        assert_eq!(of(0, instance), of(1, "/document/instance"));
        assert_eq!(of(1, instance), of(0, "/document/instance"));
        assert_eq!(of(0, "/sections"), of(1, "/sections"));
    }
}

#[tokio::test]
async fn text_is_read_from_the_site_of_the_case_whoever_else_sent_its_uid() {
    for stage in Stage::on_both().await {
        let reader = stage.reader("ada").await;
        stage.site("berlin", "Night Readers").await;
        for site in ["athens", "berlin"] {
            let key = stage.key_at(site, "1.2.3");
            stage.study(&key, "read", "P-1", "20260101").await;
        }
        stage
            .sql(
                "UPDATE instance SET length = 99999999 WHERE site_id = $1",
                &["berlin"],
            )
            .await;
        let cases: Vec<(String, String)> =
            sqlx::query_as("SELECT id, site_id FROM reading_case ORDER BY site_id")
                .fetch_all(stage.state.rows.read())
                .await
                .unwrap();
        assert_eq!(cases.len(), 2);
        for (case, site) in cases {
            let read = async |caller: &Caller, uids: &str| {
                let path = format!("/cases/{case}/readable/{uids}");
                stage.call("GET", &path, caller, None).await.status
            };
            let found = read(&reader, "1.2.3/1.2.3.1/1.2.3.1.1").await;
            let too_large = found == StatusCode::PAYLOAD_TOO_LARGE;
            assert_eq!(too_large, site == "berlin", "{found}");
            assert_ne!(found, StatusCode::NOT_FOUND);
            let none = read(&reader, "1.2.4/1.2.3.1/1.2.3.1.1").await;
            assert_eq!(none, StatusCode::NOT_FOUND, "no study of this case");
        }
    }
}

#[tokio::test]
async fn names_that_cannot_be_are_refused_before_anybody_is_asked() {
    for stage in Stage::on_both().await {
        let reader = stage.reader("ada").await;
        for name in ["%00", "%2e%2e%2fx", "a%20b", "%ff", "'--", &"a".repeat(65)] {
            let path = format!("/cases/{name}");
            let answer = stage.call("GET", &path, &reader, None).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}");
            let path = format!("/cases/a/readable/1.2/1.2/{name}");
            let answer = stage.call("GET", &path, &reader, None).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}");
        }
        let said = json!({ "user": "a\u{0}b", "password": "x" });
        let answer = stage
            .call("POST", "/session", &Caller::Nobody, Some(said))
            .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn open_pages_are_told_what_changed_and_a_stream_keeps_no_session_alive() {
    let stage = Stage::on_sqlite().await;
    let reader = stage.reader("ada").await;
    let (case, workitem) = stage.waiting("1.2.3", &reader).await;
    stage.person("eve", "Day Readers", "r").await;
    let other = stage.signed_in("eve").await;
    stage.site("berlin", "Day Readers").await;
    let key = stage.key_at("berlin", "1.2.7");
    stage.study(&key, "read", "P-1", "20260101").await;
    let (their_case, _) = stage.task(&other, 0).await;
    let mut mine = stage.listen(&reader).await;
    let mut theirs = stage.listen(&other).await;
    stage.drafted(&reader, &case, &workitem).await;
    stage.state.events.announce(&Changed::one(&their_case));
    let told = stage.heard(&mut mine).await;
    assert_eq!(
        told,
        format!("event: case\ndata: {{\"case\":\"{case}\"}}\n\n")
    );
    let told = stage.heard(&mut theirs).await;
    assert_eq!(
        told,
        format!("event: case\ndata: {{\"case\":\"{their_case}\"}}\n\n"),
        "nothing of another organisation's case"
    );
    let told = stage.heard(&mut theirs).await;
    assert_eq!(told, "event: worklist\ndata: {}\n\n");
    for _ in 0..4 {
        stage.pass(4 * 60);
        drop(stage.listen_as(&reader).await);
    }
    let me = stage.call("GET", "/me", &reader, None).await;
    assert_eq!(me.status, StatusCode::UNAUTHORIZED);
    stage.state.cancel.cancel();
    assert!(stage.ended(&mut mine).await, "the process can end");
}
