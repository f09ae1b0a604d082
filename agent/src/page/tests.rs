//! The site page through its routes: who gets in, who may do what, and that each decision changes exactly its row.

mod cases;
mod door;
mod pictures;
mod trail;
mod words;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use causeway_observe::Teller;
use causeway_proto::ids::CaseCode;
use http_body_util::BodyExt as _;
use sqlx::Row as _;
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::accounts::Role;
use super::*;
use crate::delivery::Deliveries;
use crate::link;
use crate::observe::watch::CertificateEnd;
use crate::protect::tests::preview::echo;
use crate::spool::tests::{Bench, What, seeded};

const PASSWORD: &str = "correct horse battery";

/// A site page over a spool with one study of two images, the second of which is withheld.
struct Site {
    bench: Bench,
    page: Page,
    case: CaseCode,
    withheld: i64,
}

impl Site {
    async fn new() -> Self {
        let bench = Bench::new().await;
        bench.greet(1, 0).await;
        for instance in ["1.2.3.1", "1.2.3.2"] {
            bench.store(&What::image("1.2.3", instance)).await.unwrap();
        }
        let (spool, random) = (bench.spool.clone(), seeded(7));
        let deliveries =
            Deliveries::open(vec![], spool.clone(), None, bench.clock(), random.clone())
                .await
                .unwrap();
        let (_, link) = watch::channel(link::State::new());
        let until = bench
            .clock()
            .now()
            .plus(Duration::from_secs(90 * 24 * 3600));
        let desk = Desk {
            spool,
            deliveries,
            link,
            certificate: CertificateEnd::new(move || until),
            teller: Teller::open(&causeway_observe::Config::default(), bench.clock()),
            clock: bench.clock(),
        };
        let previews = Previews::new(desk.spool.clone(), echo(bench.folder.path()));
        let page = Page::new(desk, previews, &Config::default(), random).unwrap();
        for (name, role) in [("rita", Role::Radiographer), ("anna", Role::Administrator)] {
            page.accounts
                .add(name, PASSWORD, role, "operator")
                .await
                .unwrap();
        }
        let rows = bench.spool.rows();
        let case: String = sqlx::query_scalar("SELECT case_code FROM study")
            .fetch_one(rows.read())
            .await
            .unwrap();
        let site = Self {
            case: case.parse().unwrap(),
            withheld: 2,
            bench,
            page,
        };
        site.sql("UPDATE instance SET state = 'withheld', reason = 'names may be burned in' WHERE id = 2")
            .await;
        site
    }

    async fn sql(&self, sql: &'static str) {
        let mut tx = self.bench.spool.rows().begin().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Every row that a decision may touch, as text.
    async fn rows(&self) -> Vec<String> {
        let mut all = Vec::new();
        for sql in [
            "SELECT 'instance ' || id || ' ' || state || ' ' || reason || ' released=' || released FROM instance ORDER BY id",
            "SELECT 'study ' || state || ' ' || priority || ' v' || manifest_version || ' now=' || send_now || ' blocked=' || blocked FROM study",
            "SELECT 'decision ' || what || ' ' || who || ': ' || reason || ' on ' || COALESCE(instance_id, '-') FROM decision ORDER BY id",
            "SELECT 'context ' || question || ' ' || who FROM case_context ORDER BY id",
            "SELECT 'user ' || name || ' ' || role FROM site_user ORDER BY name",
        ] {
            let rows = sqlx::query(sql)
                .fetch_all(self.bench.spool.rows().read())
                .await
                .unwrap();
            all.extend(rows.iter().map(|row| row.get::<String, _>(0)));
        }
        all
    }

    /// What a decision changed: rows gone with `-`, rows new with `+`.
    async fn change(&self, before: &[String]) -> Vec<String> {
        let after = self.rows().await;
        let gone = before
            .iter()
            .filter(|row| !after.contains(row))
            .map(|row| format!("-{row}"));
        let new = after
            .iter()
            .filter(|row| !before.contains(row))
            .map(|row| format!("+{row}"));
        gone.chain(new).collect()
    }

    fn browser(&self) -> Browser {
        Browser {
            router: self.page.clone().router(),
            cookies: Vec::new(),
        }
    }

    async fn signed_in(&self, name: &str) -> Browser {
        let mut browser = self.browser();
        let answer = browser.sign_in(name, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        browser
    }

    fn at(&self, act: &str) -> String {
        format!("/case/{}/{act}", self.case)
    }
}

struct Browser {
    router: Router,
    cookies: Vec<(String, String)>,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn place(&self) -> &str {
        self.headers[header::LOCATION].to_str().unwrap()
    }
}

impl Browser {
    async fn send(&mut self, mut request: Request<Body>) -> Answer {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        if !cookies.is_empty() {
            let value = cookies.join("; ").parse().unwrap();
            request.headers_mut().insert(header::COOKIE, value);
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        for set in parts.headers.get_all(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            assert!(set.contains("; HttpOnly; SameSite=Strict"), "{set}");
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(key, _)| key != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    async fn post_as_is(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body: Vec<String> = fields
            .iter()
            .map(|(k, v)| format!("{k}={}", v.replace(' ', "+")))
            .collect();
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body.join("&")))
            .unwrap();
        self.send(request).await
    }

    /// Sends a form as one of the pages would, with the word of the session.
    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let page = self.get("/find").await.text;
        let word = hidden(&page);
        let mut all = vec![(guard::FORM, word.as_str())];
        all.extend(fields);
        self.post_as_is(path, &all).await
    }

    async fn sign_in(&mut self, name: &str, password: &str) -> Answer {
        let form = self.get("/sign-in").await.text;
        let word = hidden(&form);
        self.post_as_is(
            "/sign-in",
            &[(guard::FORM, &word), ("name", name), ("password", password)],
        )
        .await
    }
}

fn hidden(page: &str) -> String {
    let mark = "name=\"form\" value=\"";
    let at = page.find(mark).unwrap() + mark.len();
    page[at..].split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn nobody_sees_anything_without_signing_in() {
    let site = Site::new().await;
    let mut browser = site.browser();
    let case = format!("/case/{}", site.case);
    for path in [
        "/work",
        "/find",
        "/status",
        "/help",
        "/accounts",
        &case,
        "/report/1",
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert_eq!(answer.place(), format!("/sign-in?to={path}"));
        assert!(answer.text.is_empty(), "{path}");
    }
    let before = site.rows().await;
    for path in [
        "/find",
        "/accounts",
        "/accounts/remove",
        &site.at("withheld"),
        &site.at("recall"),
        &site.at("raise"),
    ] {
        let answer = browser
            .post_as_is(path, &[("what", "PID-1"), ("reason", "x"), ("to", "stat")])
            .await;
        assert_eq!(
            (answer.status, answer.place()),
            (StatusCode::SEE_OTHER, "/sign-in"),
            "{path}"
        );
    }
    assert_eq!(site.change(&before).await, Vec::<String>::new());
}

#[tokio::test]
async fn names_are_shown_after_signing_in_and_stored_by_no_browser() {
    let site = Site::new().await;
    let mut browser = site.signed_in("rita").await;
    for path in [
        "/work",
        "/find",
        "/status",
        "/help",
        &format!("/case/{}", site.case),
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store", "{path}");
        let policy = answer.headers[header::CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
        assert!(
            !answer.text.contains(" style=") && !answer.text.contains("<script>"),
            "{path}: inline"
        );
    }
    let case = browser.get(&format!("/case/{}", site.case)).await.text;
    for shown in [
        "Test, One",
        "PID-1",
        "ACC-1",
        "CT HEAD",
        "names may be burned in",
        "received the first of",
        "Under the agreement",
        "as received: 0 at the gateway, 1 still to go",
        "names may be burned in",
    ] {
        assert!(case.contains(shown), "{shown} in {case}");
    }
    let found = browser.post("/find", &[("what", "PID-1")]).await;
    assert!(found.text.contains("Test, One"), "{}", found.text);
    let (first, last) = site.case.as_str().split_at(4);
    let spoken = format!("{} {last}", first.to_lowercase());
    let found = browser.post("/find", &[("what", &spoken)]).await;
    assert!(found.text.contains("Test, One"), "{}", found.text);
    let none = browser
        .post("/find", &[("what", "<script>alert(1)</script>")])
        .await;
    assert!(
        none.text.contains("Nothing found") && !none.text.contains("<script>alert"),
        "{}",
        none.text
    );
}

#[tokio::test]
async fn a_radiographer_keeps_no_accounts_and_an_administrator_decides_nothing() {
    let site = Site::new().await;
    let (mut rita, mut anna) = (site.signed_in("rita").await, site.signed_in("anna").await);
    let before = site.rows().await;
    let new = [
        ("name", "nina"),
        ("role", "radiographer"),
        ("password", "at least ten"),
    ];
    assert_eq!(rita.get("/accounts").await.status, StatusCode::FORBIDDEN);
    for (path, fields) in [
        ("/accounts", &new[..]),
        ("/accounts/remove", &new[..1]),
        ("/accounts/password", &new[..]),
    ] {
        assert_eq!(
            rita.post(path, fields).await.status,
            StatusCode::FORBIDDEN,
            "{path}"
        );
    }
    let decide = [
        ("object", "2"),
        ("act", "release"),
        ("reason", "looked"),
        ("to", "stat"),
    ];
    for act in ["withheld", "block", "context", "raise"] {
        assert_eq!(
            anna.post(&site.at(act), &decide).await.status,
            StatusCode::FORBIDDEN,
            "{act}"
        );
    }
    assert_eq!(site.change(&before).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_administrator_makes_and_removes_accounts() {
    let site = Site::new().await;
    let mut anna = site.signed_in("anna").await;
    let before = site.rows().await;
    let new = [
        ("name", "nina"),
        ("role", "radiographer"),
        ("password", "at least ten"),
    ];
    assert_eq!(
        anna.post("/accounts", &new).await.place(),
        "/accounts?said=account-made"
    );
    assert_eq!(site.change(&before).await, ["+user nina radiographer"]);
    assert_eq!(
        anna.post("/accounts", &new).await.status,
        StatusCode::BAD_REQUEST,
        "taken"
    );
    let short = [
        ("name", "otto"),
        ("role", "radiographer"),
        ("password", "short"),
    ];
    assert_eq!(
        anna.post("/accounts", &short).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        anna.post("/accounts/remove", &[("name", "anna")])
            .await
            .status,
        StatusCode::CONFLICT,
        "oneself"
    );
    let mut nina = site.browser();
    assert_eq!(
        nina.sign_in("nina", "at least ten").await.status,
        StatusCode::SEE_OTHER
    );
    anna.post("/accounts/remove", &[("name", "nina")]).await;
    assert_eq!(
        nina.get("/work").await.status,
        StatusCode::SEE_OTHER,
        "removed"
    );
    assert_eq!(site.change(&before).await, Vec::<String>::new());
}

#[tokio::test]
async fn over_tls_the_cookie_is_this_address_alone_and_the_agent_makes_a_certificate_once() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..Config::default()
    };
    let (clock, random) = (site.bench.clock(), seeded(9));
    let file = folder.path().join("site-page.pem");
    assert!(
        tls(&config, folder.path(), &clock, &random)
            .unwrap()
            .is_some()
    );
    let made = std::fs::read(&file).unwrap();
    assert!(
        tls(&config, folder.path(), &clock, &random)
            .unwrap()
            .is_some()
    );
    assert_eq!(
        std::fs::read(&file).unwrap(),
        made,
        "the same at the next start"
    );
    assert!(
        tls(&Config::default(), folder.path(), &clock, &random)
            .unwrap()
            .is_none()
    );

    let mut page = site.page.clone();
    page.secure = true;
    let mut browser = Browser {
        router: page.router(),
        cookies: Vec::new(),
    };
    let answer = browser.get("/sign-in").await;
    let set = answer.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(
        set.starts_with("__Host-causeway-form=") && set.ends_with("; Secure"),
        "{set}"
    );
}
