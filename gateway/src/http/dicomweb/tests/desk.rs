//! A reading room with one reader of `g1`, one of another organisation and an operator, over an archive with its door.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, header};
use causeway_certs::authority::SignerAuthority;
use causeway_proto::digest::Digest;
use causeway_proto::ids::Purpose;
use causeway_proto::link::message::Receipt;
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::access::{self, Access, NewAccount, accounts};
use crate::archive::Archive;
use crate::eligibility::Roles;
use crate::http::dicomweb::render::Limits;
use crate::http::{Config, State, dicomweb};
use crate::ingest::Ingest;
use crate::ingest::tests::{Object, door, open, seed, send};
use crate::rows::Rows;
use crate::sign::{self, Signing};

const PASSWORD: &str = "correct horse battery";

pub(super) struct Desk {
    router: Router,
    pub(super) state: State,
    door: Ingest,
    tokens: Vec<(&'static str, String)>,
    _folder: tempfile::TempDir,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }
}

impl Object {
    pub(super) fn path(&self) -> String {
        format!(
            "/studies/{}/series/{}/instances/{}",
            self.study, self.series, self.sop
        )
    }
}

fn random() -> Random {
    let count = std::sync::atomic::AtomicU64::new(1);
    Random::new(move |out| {
        for chunk in out.chunks_mut(32) {
            let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            chunk.copy_from_slice(&Digest::of(&n.to_be_bytes()).0[..chunk.len()]);
        }
    })
}

impl Desk {
    pub(super) async fn on_sqlite() -> Self {
        Self::within(Limits::default()).await
    }

    /// With these bounds on what is held of an image.
    pub(super) async fn within(limits: Limits) -> Self {
        let (folder, rows) = crate::rows::tests::on_sqlite().await;
        Self::new(folder, rows, limits).await
    }

    pub(super) async fn on_both() -> Vec<Self> {
        let mut all = Vec::new();
        for (folder, rows) in crate::rows::tests::on_both().await {
            all.push(Self::new(folder, rows, Limits::default()).await);
        }
        all
    }

    async fn new(folder: tempfile::TempDir, rows: Rows, limits: Limits) -> Self {
        seed(&rows).await;
        let (clock, random) = (Clock::new(|| Timestamp(1_780_000_000_000_000)), random());
        let keys = folder.path().join("keys");
        std::fs::create_dir_all(&keys).unwrap();
        let authority = SignerAuthority::open_or_create(&keys, &clock, &random).unwrap();
        let signing = Signing::new(
            sign::Config {
                slot_memory_kib: 64,
                slot_passes: 1,
                ..sign::Config::default()
            },
            rows.clone(),
            clock.clone(),
            random.clone(),
            authority,
        );
        let access = Access::open(
            access::Config {
                password_memory_kib: 64,
                password_passes: 1,
                ..access::Config::default()
            },
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
            archive: archive.clone(),
            access,
            signing,
            reservations: crate::worklist::Reservations::default(),
            events: crate::worklist::Events::default(),
            homeward: crate::parts::Wake::default(),
            cancel: tokio_util::sync::CancellationToken::new(),
            config: Arc::new(Config::default()),
        };
        // only the renderer is missing here: a test cannot start itself as `render-frame`
        let renderer = dicomweb::Renderer::new("/nonexistent".into(), limits);
        let router = Router::new()
            .nest("/dicomweb", dicomweb::routes(&state, renderer))
            .with_state(state.clone());
        let mut desk = Self {
            router,
            door: door(&archive).await,
            state,
            tokens: Vec::new(),
            _folder: folder,
        };
        for (user, organisation, operator) in [
            ("reader", "Night Readers", false),
            ("other", "Others", false),
            ("operator", "Elsewhere", true),
        ] {
            desk.person(user, organisation, operator).await;
        }
        desk
    }

    async fn person(&mut self, user: &'static str, organisation: &str, operator: bool) {
        let new = NewAccount {
            user: user.to_owned(),
            given_name: "Ada".to_owned(),
            family_name: "Lovelace".to_owned(),
            title: String::new(),
            registration_number: "R1".to_owned(),
            organisation: organisation.to_owned(),
            country: "SE".to_owned(),
            phone: "1".to_owned(),
            roles: Roles {
                reader: !operator,
                verifier: false,
                operator,
            },
        };
        let access = &self.state.access;
        let account = accounts::add(access, &new, PASSWORD).await.unwrap();
        let (token, _) = access.token(&account).unwrap();
        self.tokens.push((user, token));
    }

    pub(super) async fn open_study(&self, study: &str, purpose: Purpose) {
        open(&self.door, study, purpose).await;
    }

    /// Sends an object in as site `s1` does.
    pub(super) async fn keep(&self, object: &Object) -> Receipt {
        self.open_study(&object.study, Purpose::Comparison).await;
        send(&self.door, object).await.unwrap()
    }

    pub(super) async fn get(&self, path: &str, accept: &str) -> Answer {
        self.get_as("reader", path, accept).await
    }

    pub(super) async fn get_as(&self, user: &str, path: &str, accept: &str) -> Answer {
        self.ask(user, path, accept, &[]).await
    }

    /// What a browser gets, which takes it smaller.
    pub(super) async fn get_smaller(&self, path: &str) -> Answer {
        let smaller = [("accept-encoding", "gzip")];
        self.ask("reader", path, "*/*", &smaller).await
    }

    /// What the reading room gets before anybody looks at it.
    pub(super) async fn get_ahead(&self, path: &str) -> Answer {
        let ahead = [("x-causeway-ahead", "1")];
        self.ask("reader", path, super::ALL, &ahead).await
    }

    async fn ask(&self, user: &str, path: &str, accept: &str, more: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(format!("/dicomweb{path}"))
            .header(header::HOST, "reader.example")
            .header(header::ACCEPT, accept);
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        if let Some((_, token)) = self.tokens.iter().find(|(name, _)| *name == user) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::empty()).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            bytes: answer
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .to_vec(),
        }
    }

    pub(super) async fn count(&self, sql: &'static str) -> i64 {
        let (count,): (i64,) = sqlx::query_as(sql)
            .fetch_one(self.state.rows.read())
            .await
            .unwrap();
        count
    }

    /// Forgets every study.
    pub(super) async fn clear(&self) {
        for sql in [
            "DELETE FROM study_request",
            "DELETE FROM instance",
            "DELETE FROM series",
            "DELETE FROM quarantine",
            "DELETE FROM study_protection",
            "DELETE FROM study",
        ] {
            self.sql(sql).await;
        }
    }

    pub(super) async fn sql(&self, sql: &'static str) {
        let mut tx = self.state.rows.begin().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// The parts of a multipart answer: headers and bytes.
pub(super) fn parts(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let media = answer.headers[header::CONTENT_TYPE].to_str().unwrap();
    let boundary = media.split("boundary=").nth(1).unwrap();
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = [b"\r\n", &answer.bytes[..]].concat();
    let mut out = Vec::new();
    while let Some(at) = find(&rest, delimiter.as_bytes()) {
        rest.drain(..at + delimiter.len());
        if rest.starts_with(b"--") {
            return out;
        }
        let head = find(&rest, b"\r\n\r\n").unwrap();
        let end = find(&rest, delimiter.as_bytes()).unwrap();
        let headers = String::from_utf8(rest[..head].to_vec()).unwrap();
        out.push((headers, rest[head + 4..end].to_vec()));
    }
    panic!("no closing delimiter");
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    let first = what[0];
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|b| *b == first) {
        at += next;
        if bytes[at..].starts_with(what) {
            return Some(at);
        }
        at += 1;
    }
    None
}
