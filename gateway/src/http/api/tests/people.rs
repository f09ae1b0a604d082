//! Signing in and out, cross-site requests, tokens, and what ends them.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::json;

use super::stage::{Answer, Caller, PASSWORD, Stage};
use crate::access::{AccessError, accounts};

async fn try_in(stage: &Stage, user: &str, password: &str) -> Answer {
    let said = json!({ "user": user, "password": password });
    stage
        .call("POST", "/session", &Caller::Nobody, Some(said))
        .await
}

#[tokio::test]
async fn signing_in_opens_a_session_and_the_key() {
    for stage in Stage::on_both().await {
        stage.person("ada", "Night Readers", "rv").await;
        let answer = try_in(&stage, "ada", PASSWORD).await;
        let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("HttpOnly"), "{cookie}");
        assert!(cookie.contains("SameSite=Strict"), "{cookie}");
        let account = &answer.json["account"];
        assert_eq!(account["signing_key"]["state"], "unlocked");
        assert_eq!(account["roles"], json!(["reader", "verifier"]));
        let caller = Caller::Cookie(cookie.split(';').next().unwrap().to_owned());
        let me = stage.call("GET", "/me", &caller, None).await;
        assert_eq!(me.json, *account);
        assert_eq!(me.headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(
            me.headers[header::CONTENT_SECURITY_POLICY],
            "default-src 'self'"
        );
        let out = stage.call("DELETE", "/session", &caller, None).await;
        assert_eq!(out.status, StatusCode::NO_CONTENT);
        let gone = stage.call("GET", "/me", &caller, None).await;
        assert_eq!(gone.status, StatusCode::UNAUTHORIZED);
        assert_eq!(gone.headers[header::WWW_AUTHENTICATE], "Bearer");
    }
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_look_the_same() {
    let stage = Stage::on_sqlite().await;
    stage.person("ada", "Night Readers", "rv").await;
    for _ in 0..5 {
        let wrong = try_in(&stage, "ada", "not the password").await;
        let unknown = try_in(&stage, "nobody", "not the password").await;
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
        assert_eq!(wrong.bytes, unknown.bytes);
    }
    let wrong = try_in(&stage, "ada", PASSWORD).await;
    let unknown = try_in(&stage, "nobody", PASSWORD).await;
    assert_eq!(wrong.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(wrong.bytes, unknown.bytes);
    assert_eq!(
        wrong.headers[header::RETRY_AFTER],
        unknown.headers[header::RETRY_AFTER]
    );
    stage.pass(3);
    assert_eq!(try_in(&stage, "ada", PASSWORD).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_session_ends_when_idle_and_when_old() {
    let stage = Stage::on_sqlite().await;
    let caller = stage.reader("ada").await;
    let me = async || stage.call("GET", "/me", &caller, None).await.status;
    stage.pass(14 * 60);
    assert_eq!(me().await, StatusCode::OK);
    stage.pass(14 * 60);
    assert_eq!(me().await, StatusCode::OK, "activity keeps it");
    stage.pass(8 * 60);
    let background = [("x-causeway-background", "1")];
    let asked = stage
        .call_with("GET", "/me", &caller, None, &background)
        .await;
    assert_eq!(asked.status, StatusCode::OK);
    stage.pass(8 * 60);
    assert_eq!(
        me().await,
        StatusCode::UNAUTHORIZED,
        "a page that asks by the clock keeps nothing"
    );
    let caller = stage.signed_in("ada").await;
    for _ in 0..(12 * 6) {
        stage.pass(10 * 60 - 1);
        stage.call("GET", "/me", &caller, None).await;
    }
    let old = stage.call("GET", "/me", &caller, None).await;
    assert_eq!(old.status, StatusCode::OK);
    stage.pass(5 * 60);
    let old = stage.call("GET", "/me", &caller, None).await;
    assert_eq!(old.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn sessions_that_have_ended_are_swept_and_no_other() {
    for stage in Stage::on_both().await {
        let gone = stage.reader("ada").await;
        stage.call("DELETE", "/session", &gone, None).await;
        let idle = stage.signed_in("ada").await;
        let config = &stage.state.access.config;
        stage.pass(i64::try_from(config.session_idle_s).unwrap());
        let live = stage.signed_in("ada").await;
        assert_eq!(stage.count("SELECT count(*) FROM session").await, 3);
        assert_eq!(stage.state.access.sweep_sessions().await.unwrap(), 2);
        assert_eq!(stage.count("SELECT count(*) FROM session").await, 1);
        let me = stage.call("GET", "/me", &live, None).await;
        assert_eq!(me.status, StatusCode::OK);
        let me = stage.call("GET", "/me", &idle, None).await;
        assert_eq!(me.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn another_site_cannot_make_a_browser_act() {
    let stage = Stage::on_sqlite().await;
    let caller = stage.reader("ada").await;
    let Caller::Cookie(cookie) = &caller else {
        unreachable!()
    };
    let post = |headers: &[(&str, &str)]| {
        let mut request = Request::builder()
            .method("DELETE")
            .uri("/api/v1/session")
            .header(header::COOKIE, cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    };
    for headers in [
        &[][..],
        &[("sec-fetch-site", "same-origin")],
        &[("x-causeway", "1"), ("sec-fetch-site", "cross-site")],
        &[("x-causeway", "1"), ("sec-fetch-site", "same-site")],
        &[("x-causeway", "1"), ("origin", "https://elsewhere.example")],
    ] {
        let answer = stage.send(post(headers)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    let form = Request::builder()
        .method("POST")
        .uri("/api/v1/session")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("user=ada&password=x"))
        .unwrap();
    let answer = stage.send(form).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let mine = [("x-causeway", "1"), ("sec-fetch-site", "same-origin")];
    assert_eq!(stage.send(post(&mine)).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn bodies_are_bounded_and_plain() {
    let stage = Stage::on_sqlite().await;
    let send = |kind: &str, coding: Option<&str>, body: String| {
        let mut request = Request::builder()
            .method("POST")
            .uri("/api/v1/session")
            .header(header::CONTENT_TYPE, kind);
        if let Some(coding) = coding {
            request = request.header(header::CONTENT_ENCODING, coding);
        }
        stage.send(request.body(Body::from(body)).unwrap())
    };
    let json = "application/json";
    let large = format!("{{\"user\":\"{}\"}}", "a".repeat(2 << 20));
    assert_eq!(
        send(json, None, large).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(
        send(json, Some("gzip"), String::new()).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    for broken in ["", "{", "[]", "{\"user\":\"Muster\",\"sex\":1}"] {
        let answer = send(json, None, broken.to_owned()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{broken}");
        let said = String::from_utf8(answer.bytes).unwrap();
        assert!(!said.contains("Muster"), "{said}");
    }
    let unknown = stage.call("GET", "/nothing", &Caller::Nobody, None).await;
    assert_eq!(
        unknown.headers[header::CONTENT_TYPE],
        "application/problem+json"
    );
}

#[tokio::test]
async fn a_changed_password_ends_what_was_open_and_keeps_the_key() {
    for stage in Stage::on_both().await {
        let caller = stage.reader("ada").await;
        let said = json!({ "user": "ada", "password": PASSWORD });
        let token = stage
            .call("POST", "/token", &Caller::Nobody, Some(said))
            .await;
        let bearer = Caller::Bearer(token.json["token"].as_str().unwrap().to_owned());
        assert_eq!(
            stage.call("GET", "/me", &bearer, None).await.status,
            StatusCode::OK
        );
        let serial = stage
            .count("SELECT count(*) FROM signing_key WHERE revoked_us IS NULL")
            .await;
        let wrong = json!({ "old": "not the password", "new": "another long password" });
        let refused = stage.call("POST", "/password", &caller, Some(wrong)).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let right = json!({ "old": PASSWORD, "new": "another long password" });
        let done = stage.call("POST", "/password", &caller, Some(right)).await;
        assert_eq!(done.status, StatusCode::NO_CONTENT, "{}", done.json);
        for ended in [&caller, &bearer] {
            let me = stage.call("GET", "/me", ended, None).await;
            assert_eq!(me.status, StatusCode::UNAUTHORIZED);
        }
        let again = try_in(&stage, "ada", "another long password").await;
        assert_eq!(again.json["account"]["signing_key"]["state"], "unlocked");
        let now = stage
            .count("SELECT count(*) FROM signing_key WHERE revoked_us IS NULL")
            .await;
        assert_eq!(now, serial, "the pair is the same");
    }
}

#[tokio::test]
async fn a_reset_password_revokes_the_certificate_and_issues_another() {
    for stage in Stage::on_both().await {
        let caller = stage.reader("ada").await;
        let account = accounts::by_user(&stage.state.rows, "ada")
            .await
            .unwrap()
            .unwrap();
        accounts::reset_password(&stage.state.access, &account, "a third long one", "root")
            .await
            .unwrap();
        let me = stage.call("GET", "/me", &caller, None).await;
        assert_eq!(me.status, StatusCode::UNAUTHORIZED);
        let (revoked, live) = (
            stage
                .count("SELECT count(*) FROM signing_key WHERE revoked_us IS NOT NULL AND wrapped_key IS NULL")
                .await,
            stage
                .count("SELECT count(*) FROM signing_key WHERE revoked_us IS NULL")
                .await,
        );
        assert_eq!((revoked, live), (1, 1));
        let again = try_in(&stage, "ada", "a third long one").await;
        assert_eq!(again.json["account"]["signing_key"]["state"], "unlocked");
        accounts::disable(&stage.state.access, &account, "root")
            .await
            .unwrap();
        let shut = try_in(&stage, "ada", "a third long one").await;
        assert_eq!(shut.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_key_whose_time_is_over_is_deleted_and_replaced_at_sign_in() {
    let stage = Stage::on_sqlite().await;
    stage.reader("ada").await;
    stage.pass(731 * 24 * 3600);
    let again = try_in(&stage, "ada", PASSWORD).await;
    assert_eq!(again.json["account"]["signing_key"]["state"], "unlocked");
    let deleted = stage
        .count("SELECT count(*) FROM signing_key WHERE wrapped_key IS NULL AND revoked_us IS NULL")
        .await;
    let live = stage
        .count("SELECT count(*) FROM signing_key WHERE wrapped_key IS NOT NULL")
        .await;
    let slots = stage.count("SELECT count(*) FROM signing_key_slot").await;
    assert_eq!((deleted, live, slots), (1, 1, 1));
}

#[tokio::test]
async fn a_sign_in_under_way_does_not_outlive_the_password() {
    for stage in Stage::on_both().await {
        stage.reader("ada").await;
        let access = &stage.state.access;
        let before = access.login("ada", PASSWORD).await.unwrap();
        accounts::reset_password(access, &before, "another long password", "root")
            .await
            .unwrap();
        let refused = access.begin_session(&before).await;
        assert!(matches!(refused, Err(AccessError::Refused)), "{refused:?}");
        let now = access.login("ada", "another long password").await.unwrap();
        access.begin_session(&now).await.unwrap();
        accounts::disable(access, &now, "root").await.unwrap();
        let refused = access.begin_session(&now).await;
        assert!(matches!(refused, Err(AccessError::Refused)), "{refused:?}");
        // the account as it was read before it was disabled
        let refused = access.check_password(&now, "another long password").await;
        assert!(matches!(refused, Err(AccessError::Refused)), "{refused:?}");
    }
}
