//! A gateway on a temporary folder, with one site, two organisations, people and studies, and callers of its real router.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use causeway_certs::authority::SignerAuthority;
use causeway_proto::digest::Digest;
use causeway_proto::ids::{CaseCode, StudyKey};
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::access::{self, Access, NewAccount, accounts};
use crate::archive::Archive;
use crate::eligibility::Roles;
use crate::http::{Config, State, router};
use crate::rows::Rows;
use crate::sign::{self, Signing};
use crate::worklist;

pub(super) const PASSWORD: &str = "correct horse battery";
const START: i64 = 1_780_000_000_000_000;

pub(super) struct Stage {
    pub(super) state: State,
    pub(super) router: Router,
    pub(super) now: Arc<AtomicI64>,
    _folder: tempfile::TempDir,
}

/// How a request says who sends it.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    Nobody,
    Cookie(String),
    Bearer(String),
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
    pub(super) json: Value,
}

impl Answer {
    /// The last word of the problem's type.
    pub(super) fn kind(&self) -> &str {
        let kind = self.json["type"].as_str().unwrap_or_default();
        kind.rsplit(':').next().unwrap_or_default()
    }
}

fn counted() -> Random {
    let count = AtomicU64::new(1);
    Random::new(move |out| {
        for chunk in out.chunks_mut(32) {
            let n = count.fetch_add(1, Ordering::Relaxed);
            let drawn = Digest::of(&n.to_be_bytes()).0;
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
    })
}

impl Stage {
    pub(super) async fn new((folder, rows): (tempfile::TempDir, Rows)) -> Self {
        let now = Arc::new(AtomicI64::new(START));
        let told = now.clone();
        let clock = Clock::new(move || Timestamp(told.load(Ordering::Relaxed)));
        let random = counted();
        let keys = folder.path().join("keys");
        std::fs::create_dir_all(&keys).unwrap();
        let authority = SignerAuthority::open_or_create(&keys, &clock, &random).unwrap();
        let cheap = sign::Config {
            slot_memory_kib: 64,
            slot_passes: 1,
            ..sign::Config::default()
        };
        let signing = Signing::new(
            cheap,
            rows.clone(),
            clock.clone(),
            random.clone(),
            authority,
        );
        let cheap = access::Config {
            password_memory_kib: 64,
            password_passes: 1,
            ..access::Config::default()
        };
        let access = Access::open(
            cheap,
            &keys,
            rows.clone(),
            clock.clone(),
            random.clone(),
            signing.clone(),
        )
        .unwrap();
        let archive = Archive::open(
            &crate::archive::Config::default(),
            rows.clone(),
            folder.path(),
        )
        .unwrap();
        let state = State {
            trail: crate::audit::Trail::new(rows.clone()),
            rows,
            clock,
            random,
            archive,
            access,
            signing,
            reservations: worklist::Reservations::default(),
            events: worklist::Events::default(),
            homeward: crate::parts::Wake::default(),
            cancel: tokio_util::sync::CancellationToken::new(),
            config: Arc::new(Config::default()),
        };
        let stage = Self {
            router: router(state.clone(), None),
            state,
            now,
            _folder: folder,
        };
        stage.site("athens", "Night Readers").await;
        stage
    }

    pub(super) async fn on_sqlite() -> Self {
        Self::new(crate::rows::tests::on_sqlite().await).await
    }

    pub(super) async fn on_both() -> Vec<Self> {
        let mut all = Vec::new();
        for rows in crate::rows::tests::on_both().await {
            all.push(Self::new(rows).await);
        }
        all
    }

    pub(super) fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    pub(super) async fn sql(&self, statement: &'static str, values: &[&str]) {
        let mut tx = self.state.rows.begin().await.unwrap();
        let mut query = sqlx::query(statement);
        for value in values {
            query = query.bind((*value).to_owned());
        }
        query.execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// A site and its one agreement, of the same name.
    pub(super) async fn site(&self, id: &str, organisation: &str) {
        self.sql(
            "INSERT INTO site (id, name, country, time_zone, language, phone, created_us) VALUES ($1, $1, 'GR', 'Europe/Athens', 'en', '+30 1', 1)",
            &[id],
        )
        .await;
        self.sql(
            "INSERT INTO agreement (id, site_id, organisation, identity, language, created_us) VALUES ($1, $1, $2, 'identified', 'en', 1)",
            &[id, organisation],
        )
        .await;
    }

    /// An account with this name; `roles` are letters of r, v, o.
    pub(super) async fn person(&self, user: &str, organisation: &str, roles: &str) {
        let new = NewAccount {
            user: user.to_owned(),
            given_name: "Ada".to_owned(),
            family_name: user.to_owned(),
            title: "Dr.".to_owned(),
            registration_number: format!("R-{user}"),
            organisation: organisation.to_owned(),
            country: "SE".to_owned(),
            phone: "+46 8 1".to_owned(),
            roles: Roles {
                reader: roles.contains('r'),
                verifier: roles.contains('v'),
                operator: roles.contains('o'),
            },
        };
        accounts::add(&self.state.access, &new, PASSWORD)
            .await
            .unwrap();
    }

    /// A reader who verifies, signed in.
    pub(super) async fn reader(&self, user: &str) -> Caller {
        self.person(user, "Night Readers", "rv").await;
        self.signed_in(user).await
    }

    pub(super) async fn signed_in(&self, user: &str) -> Caller {
        let said = json!({ "user": user, "password": PASSWORD });
        let answer = self
            .call("POST", "/session", &Caller::Nobody, Some(said))
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
        let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
        Caller::Cookie(cookie.split(';').next().unwrap().to_owned())
    }

    pub(super) fn key(&self, uid: &str) -> StudyKey {
        self.key_at("athens", uid)
    }

    pub(super) fn key_at(&self, site: &str, uid: &str) -> StudyKey {
        StudyKey {
            site: site.parse().unwrap(),
            agreement: site.parse().unwrap(),
            study: uid.parse().unwrap(),
        }
    }

    /// A study with one image, as `ingest` writes it.
    pub(super) async fn study(&self, key: &StudyKey, purpose: &str, patient: &str, date: &str) {
        let code = CaseCode::draw(&self.state.random);
        let values = [
            key.site.as_str(),
            key.agreement.as_str(),
            key.study.as_str(),
            purpose,
            code.as_str(),
            patient,
            date,
        ];
        self.sql(
            "INSERT INTO study (site_id, agreement_id, study_uid, purpose, priority, case_code, patient_id, patient_name, study_date, accession, description, first_us, last_us)
             VALUES ($1, $2, $3, $4, 'routine', $5, $6, 'Testopoulos^Maria', $7, 'A1', 'CT head', 1, 1)",
            &values,
        )
        .await;
        self.sql(
            "INSERT INTO series (site_id, agreement_id, study_uid, series_uid, modality) VALUES ($1, $2, $3, $4, 'CT')",
            &[values[0], values[1], values[2], &format!("{}.1", values[2])],
        )
        .await;
        self.image(key, 1).await;
    }

    pub(super) async fn image(&self, key: &StudyKey, number: u32) {
        let series = format!("{}.1", key.study);
        let sop = format!("{series}.{number}");
        self.sql(
            "INSERT INTO instance (site_id, agreement_id, sop_uid, study_uid, series_uid, sop_class, transfer_syntax, length, sent_digest, source_tag, blob_key, metadata, receipt_number, receipt_epoch, received_us)
             VALUES ($1, $2, $3, $4, $5, '1.2.840.10008.5.1.4.1.1.2', '1.2.840.10008.1.2.1', 10, 'd', 't', 'k', '{\"00401002\":{\"vr\":\"LO\",\"Value\":[\"fall\"]}}', 1, 1, 1)",
            &[key.site.as_str(), key.agreement.as_str(), &sop, key.study.as_str(), &series],
        )
        .await;
        let mut tx = self.state.rows.begin().await.unwrap();
        let now = self.state.clock.now();
        let _changed = worklist::study_grew(&mut tx, key, now, &self.state.random)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    pub(super) async fn seal(&self, key: &StudyKey) {
        self.sql(
            "UPDATE study SET sealed_us = 5, manifest_version = manifest_version + 1 WHERE study_uid = $1",
            &[key.study.as_str()],
        )
        .await;
        let mut tx = self.state.rows.begin().await.unwrap();
        let _changed = worklist::study_sealed(&mut tx, key, self.state.clock.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    pub(super) async fn recall(&self, key: &StudyKey) {
        self.sql(
            "UPDATE study SET recalled_us = 6 WHERE study_uid = $1",
            &[key.study.as_str()],
        )
        .await;
        let mut tx = self.state.rows.begin().await.unwrap();
        let _changed = worklist::study_recalled(&mut tx, key, self.state.clock.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// A sealed study to be read; answers its case and workitem.
    pub(super) async fn waiting(&self, uid: &str, caller: &Caller) -> (String, String) {
        let key = self.key(uid);
        self.study(&key, "read", "P-77", "20260101").await;
        self.seal(&key).await;
        self.task(caller, 0).await
    }

    pub(super) async fn task(&self, caller: &Caller, at: usize) -> (String, String) {
        let list = self.call("GET", "/worklist", caller, None).await.json;
        let item = &list["items"][at];
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        (text("case"), text("workitem"))
    }

    /// A request to `/api/v1`, as a page of this site sends it.
    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        caller: &Caller,
        body: Option<Value>,
    ) -> Answer {
        self.call_with(method, path, caller, body, &[]).await
    }

    pub(super) async fn call_with(
        &self,
        method: &str,
        path: &str,
        caller: &Caller,
        body: Option<Value>,
        more: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"));
        match caller {
            Caller::Nobody => {}
            Caller::Cookie(cookie) => {
                request = request
                    .header(header::COOKIE, cookie)
                    .header("x-causeway", "1");
            }
            Caller::Bearer(token) => {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let body = body.map_or_else(Body::empty, |b| Body::from(b.to_string()));
        self.send(request.body(body).unwrap()).await
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        Answer {
            status: parts.status,
            headers: parts.headers,
            json: serde_json::from_slice(&bytes).unwrap_or_default(),
            bytes,
        }
    }

    /// Claims a task and writes its first draft.
    pub(super) async fn drafted(&self, caller: &Caller, case: &str, workitem: &str) {
        let claimed = self
            .call(
                "POST",
                &format!("/workitems/{workitem}/claim"),
                caller,
                None,
            )
            .await;
        assert_eq!(claimed.status, StatusCode::OK, "{}", claimed.json);
        let text = json!({ "findings": "No <b>bleeding</b>.", "impression": "Normal." });
        let saved = self
            .call_with(
                "PUT",
                &format!("/cases/{case}/draft"),
                caller,
                Some(text),
                &[("if-none-match", "*")],
            )
            .await;
        assert_eq!(saved.status, StatusCode::OK, "{}", saved.json);
    }

    /// What a reader sends after he has read the preview.
    pub(super) async fn previewed(&self, caller: &Caller, case: &str, status: &str) -> Value {
        let path = format!("/cases/{case}/preview");
        let preview = self
            .call("POST", &path, caller, Some(json!({ "status": status })))
            .await;
        assert_eq!(preview.status, StatusCode::OK, "{}", preview.json);
        json!({
            "status": status, "draft_version": preview.json["draft_version"], "manifest_version": preview.json["manifest_version"],
            "identity_version": preview.json["identity_version"],
        })
    }

    pub(super) async fn sign(&self, caller: &Caller, case: &str, body: &Value) -> Answer {
        let path = format!("/cases/{case}/sign");
        self.call("POST", &path, caller, Some(body.clone())).await
    }

    pub(super) async fn count(&self, statement: &'static str) -> i64 {
        let (count,): (i64,) = sqlx::query_as(statement)
            .fetch_one(self.state.rows.read())
            .await
            .unwrap();
        count
    }

    /// The stream of events as a page opens it.
    pub(super) async fn listen_as(&self, caller: &Caller) -> (StatusCode, Body) {
        let Caller::Cookie(cookie) = caller else {
            unreachable!()
        };
        let request = Request::builder()
            .uri("/api/v1/events")
            .header(header::ACCEPT, "text/event-stream")
            .header(header::COOKIE, cookie)
            .body(Body::empty())
            .unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        (answer.status(), answer.into_body())
    }

    pub(super) async fn listen(&self, caller: &Caller) -> Body {
        let (status, body) = self.listen_as(caller).await;
        assert_eq!(status, StatusCode::OK);
        body
    }

    /// The next event.
    pub(super) async fn heard(&self, stream: &mut Body) -> String {
        let limit = std::time::Duration::from_secs(10);
        let frame = tokio::time::timeout(limit, stream.frame()).await;
        let frame = frame.expect("an event within 10 s").unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    }

    /// Whether the stream comes to its end.
    pub(super) async fn ended(&self, stream: &mut Body) -> bool {
        let limit = std::time::Duration::from_secs(10);
        let rest = async { while stream.frame().await.is_some() {} };
        tokio::time::timeout(limit, rest).await.is_ok()
    }
}
