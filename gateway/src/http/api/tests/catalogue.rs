//! The rows of reliability.md C.4 that have a door, each with its exact answer. Those that are answered before a request is one (heads,
//! slow bodies, HTTP/2) are tried in `proto/http`; signing, claims and immutability have tests of their own beside this file.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use super::signing::ready;
use super::stage::{Answer, Caller, Stage};

/// Who asks.
#[derive(Clone, Copy, Debug)]
enum By {
    Nobody,
    Stranger,
    Ada,
    Bob,
    Eve,
}
use By::{Ada, Bob, Eve, Nobody, Stranger};

/// What is asked by whom, with which fields and body, and the status and the word of the answer; no word where there is no problem.
struct Row {
    what: &'static str,
    by: By,
    method: &'static str,
    uri: &'static str,
    fields: &'static [(&'static str, &'static str)],
    body: &'static str,
    status: u16,
    kind: &'static str,
}

const JSON: (&str, &str) = ("content-type", "application/json");

impl Row {
    const fn get(
        what: &'static str,
        by: By,
        uri: &'static str,
        (status, kind): (u16, &'static str),
    ) -> Self {
        let (method, fields, body) = ("GET", &[], "");
        Self {
            what,
            by,
            method,
            uri,
            fields,
            body,
            status,
            kind,
        }
    }

    const fn with(self, fields: &'static [(&'static str, &'static str)]) -> Self {
        Self { fields, ..self }
    }

    const fn send(self, method: &'static str, body: &'static str) -> Self {
        let fields = &[JSON];
        Self {
            method,
            body,
            fields,
            ..self
        }
    }
}

const SIGNED_OUT: (u16, &str) = (401, "signed-out");
const NONE: (u16, &str) = (404, "not-found");
const WRONG: (u16, &str) = (400, "bad-request");
const DONE: (u16, &str) = (200, "");

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row::get("no session", Nobody, "/api/v1/cases/{case}", SIGNED_OUT),
    Row::get("no session, images", Nobody, "/dicomweb/studies", SIGNED_OUT),
    Row::get("a session that is none", Stranger, "/api/v1/cases/{case}", SIGNED_OUT),
    Row::get("a token that is none", Nobody, "/api/v1/cases/{case}", SIGNED_OUT).with(&[("authorization", "Bearer x.y.z")]),
    Row::get("another tenant's case", Eve, "/api/v1/cases/{case}", NONE),
    Row::get("another tenant's study", Eve, "/dicomweb/studies/1.2.3", NONE),
    Row::get("another tenant's task", Eve, "/api/v1/workitems/{task}/claim", NONE).send("POST", "{}"),
    Row::get("a case that is none", Ada, "/api/v1/cases/none", NONE),
    Row::get("a study that is none", Ada, "/dicomweb/studies/1.2.99", NONE),
    Row::get("without the role", Ada, "/api/v1/admin/users", (403, "forbidden")),
    Row::get("a task that another holds", Bob, "/api/v1/workitems/{task}/claim", (409, "held-by-other")).send("POST", "{}"),
    Row::get("cross-site", Ada, "/api/v1/cases/{case}/preview", (403, "forbidden"))
        .send("POST", "{}").with(&[JSON, ("origin", "https://elsewhere.example")]),
    Row::get("cross-site, as the browser says", Ada, "/api/v1/cases/{case}/draft", (403, "forbidden"))
        .send("PUT", "{}").with(&[JSON, ("sec-fetch-site", "cross-site")]),
    Row::get("events, cross-site", Ada, "/api/v1/events", (403, "forbidden")).with(&[("origin", "https://elsewhere.example")]),
    Row::get("a form", Ada, "/api/v1/cases/{case}/preview", (415, "media-type"))
        .send("POST", "status=final").with(&[("content-type", "application/x-www-form-urlencoded")]),
    Row::get("a body that is coded", Ada, "/api/v1/cases/{case}/preview", (415, "media-type"))
        .send("POST", "{}").with(&[JSON, ("content-encoding", "br")]),
    Row::get("a body that is no JSON", Ada, "/api/v1/cases/{case}/preview", WRONG).send("POST", "{"),
    Row::get("another method in a field", Ada, "/api/v1/cases/{case}/preview", DONE)
        .send("POST", r#"{"status":"final"}"#).with(&[JSON, ("x-http-method-override", "DELETE")]),
    Row::get("a method that is not served", Ada, "/api/v1/cases/{case}/draft", (405, "")).send("DELETE", ""),
    Row::get("TRACE", Ada, "/api/v1/cases/{case}/draft", (405, "")).send("TRACE", ""),
    Row::get("storing by HTTP, which has no door", Ada, "/dicomweb/studies", (405, "")).send("POST", "--"),
    Row::get("a list in no form we have", Ada, "/dicomweb/studies", (406, "not-acceptable")).with(&[("accept", "text/html")]),
    Row::get("pixels in no form we have", Ada, "/dicomweb/studies/1.2.3", (406, "not-acceptable")).with(&[("accept", "image/x-none")]),
    Row::get("a date range that is none", Ada, "/dicomweb/studies?StudyDate=2026-13-45", WRONG),
    Row::get("less than nothing", Ada, "/dicomweb/studies?limit=-1", WRONG),
    Row::get("a word as a number", Ada, "/dicomweb/studies?offset=x", WRONG),
    Row::get("wildcards and nothing else", Ada, "/dicomweb/studies?PatientName=*", DONE),
    Row::get("dots", Ada, "/dicomweb/studies/%2e%2e", WRONG),
    Row::get("a way up", Ada, "/dicomweb/studies/..%2f..", WRONG),
    Row::get("a zero byte", Ada, "/dicomweb/studies/%00", WRONG),
    Row::get("twice encoded", Ada, "/dicomweb/studies/%252e%252e", WRONG),
    Row::get("overlong", Ada, "/dicomweb/studies/%c0%ae%c0%ae", (400, "")),
    Row::get("a letter in a UID", Ada, "/dicomweb/studies/1.2.x", WRONG),
    Row::get("an empty part in a UID", Ada, "/dicomweb/studies/1..2", WRONG),
    Row::get("a blank in a UID", Ada, "/dicomweb/studies/1.2.3%20", WRONG),
    Row::get("dots as a case", Ada, "/api/v1/cases/..%2f..", WRONG),
    Row::get("a zero byte as a case", Ada, "/api/v1/cases/%00", WRONG),
    Row::get("overlong as a case", Ada, "/api/v1/cases/%c0%ae", WRONG),
];

struct Room {
    stage: Stage,
    ada: Caller,
    bob: Caller,
    eve: Caller,
}

impl Room {
    async fn ask(&self, row: &Row, uri: &str) -> Answer {
        let mut request = Request::builder().method(row.method).uri(uri);
        let cookie = match row.by {
            Nobody => None,
            Stranger => Some("causeway=made-up"),
            Ada => cookie(&self.ada),
            Bob => cookie(&self.bob),
            Eve => cookie(&self.eve),
        };
        if let Some(cookie) = cookie {
            request = request
                .header(header::COOKIE, cookie)
                .header("x-causeway", "1");
        }
        for (name, value) in row.fields {
            request = request.header(*name, *value);
        }
        let body = Body::from(row.body);
        self.stage.send(request.body(body).unwrap()).await
    }
}

fn cookie(caller: &Caller) -> Option<&str> {
    match caller {
        Caller::Cookie(cookie) => Some(cookie),
        _ => None,
    }
}

#[tokio::test]
async fn every_row_with_a_door_has_its_answer() {
    let stage = Stage::on_sqlite().await;
    let (ada, case, workitem) = ready(&stage).await;
    let bob = stage.reader("bob").await;
    stage.person("eve", "Others", "rv").await;
    let eve = stage.signed_in("eve").await;
    let room = Room {
        stage,
        ada,
        bob,
        eve,
    };
    let mut wrong = Vec::new();
    for row in ROWS {
        let uri = row
            .uri
            .replace("{case}", &case)
            .replace("{task}", &workitem);
        let answer = room.ask(row, &uri).await;
        let (got, expect) = (
            (answer.status.as_u16(), answer.kind()),
            (row.status, row.kind),
        );
        if got != expect {
            let detail = &answer.json["detail"];
            wrong.push(format!(
                "{}: {uri}: {got:?} for {expect:?}: {detail}",
                row.what
            ));
        }
        let asks = answer.headers.contains_key(header::WWW_AUTHENTICATE);
        assert_eq!(asks, got.0 == 401, "{}", row.what);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_is_not_yours_and_what_is_not_there_are_answered_alike() {
    let stage = Stage::on_sqlite().await;
    let (_, case, _) = ready(&stage).await;
    stage.person("eve", "Others", "rv").await;
    let eve = stage.signed_in("eve").await;
    let other = stage
        .call("GET", &format!("/cases/{case}"), &eve, None)
        .await;
    let none = stage.call("GET", "/cases/none", &eve, None).await;
    assert_eq!((other.status, other.bytes), (none.status, none.bytes));
    assert_eq!(other.headers, none.headers);
}

#[tokio::test]
async fn a_sign_in_is_short_and_the_rate_of_wrong_ones_is_bounded() {
    let stage = Stage::on_sqlite().await;
    stage.person("ada", "Night Readers", "rv").await;
    let long = json!({ "user": "ada", "password": "x".repeat(16 << 10) });
    let answer = stage
        .call("POST", "/session", &Caller::Nobody, Some(long))
        .await;
    assert_eq!((answer.status.as_u16(), answer.kind()), (413, "too-large"));
    let wrong = || json!({ "user": "ada", "password": "wrong" });
    let mut last = Value::Null;
    for _ in 0..10 {
        let answer = stage
            .call("POST", "/session", &Caller::Nobody, Some(wrong()))
            .await;
        if answer.status.as_u16() == 429 {
            assert!(answer.headers.contains_key(header::RETRY_AFTER));
            return;
        }
        last = answer.json;
    }
    panic!("never refused: {last}");
}

#[tokio::test]
async fn ranges_are_never_more_than_the_whole() {
    let stage = Stage::on_sqlite().await;
    let ranges: Vec<String> = (0..1000).map(|n| format!("{n}-")).collect();
    let range = format!("bytes={}", ranges.join(","));
    let whole = Request::builder()
        .uri("/sign-in")
        .body(Body::empty())
        .unwrap();
    let whole = stage.send(whole).await;
    let asked = Request::builder()
        .uri("/sign-in")
        .header(header::RANGE, range)
        .body(Body::empty())
        .unwrap();
    let asked = stage.send(asked).await;
    assert_eq!((asked.status, asked.bytes), (whole.status, whole.bytes));
}
