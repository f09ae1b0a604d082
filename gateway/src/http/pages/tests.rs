//! The pages through their routes: who sees what, and under which headers.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::assets::Web;

async fn get(path: &str) -> Response {
    let router: Router = super::routes();
    let asked = Request::get(path).body(Body::empty()).unwrap();
    router.oneshot(asked).await.unwrap()
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Every address that the text names in double or single quotes after one of the given words.
fn named(text: &str, before: &str) -> Vec<String> {
    text.split(before)
        .skip(1)
        .filter_map(|rest| {
            let rest = rest.trim_start();
            let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            rest.get(1..)?.split(quote).next().map(str::to_owned)
        })
        .collect()
}

#[tokio::test]
async fn every_page_is_guarded_and_loads_only_files_that_are_there() {
    for page in ["/", "/sign-in", "/case/x", "/case/x/images", "/admin"] {
        let response = get(page).await;
        assert_eq!(response.status(), StatusCode::OK, "{page}");
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
        assert_eq!(
            response.headers()["cross-origin-embedder-policy"],
            "require-corp"
        );
        let page_text = text(response).await;
        let mut loaded = named(&page_text, "src=");
        loaded.extend(named(&page_text, "href="));
        assert!(loaded.len() >= 5, "{page} loads {loaded:?}");
        for address in loaded {
            assert_eq!(get(&address).await.status(), StatusCode::OK, "{address}");
        }
    }
}

#[test]
fn modules_import_only_files_that_are_there_and_nothing_is_asked_elsewhere() {
    let mut modules = 0;
    for path in Web::iter() {
        let bytes = Web::get(&path).unwrap().data;
        let source = std::str::from_utf8(&bytes).unwrap();
        let elsewhere = source
            .match_indices("://")
            .filter(|(at, _)| !source[at + 3..].starts_with("www.w3.org/2000/svg"));
        assert_eq!(elsewhere.count(), 0, "{path} names another server");
        if !path.ends_with(".js") {
            continue;
        }
        modules += 1;
        for import in named(source, "from ") {
            let Some(absolute) = import.strip_prefix("/web/") else {
                panic!("{path} imports {import}, which is not under /web/");
            };
            assert!(Web::get(absolute).is_some(), "{path} imports {import}");
        }
        for forbidden in ["innerHTML", "eval(", "document.write", "insertAdjacentHTML"] {
            assert!(!source.contains(forbidden), "{path} uses {forbidden}");
        }
    }
    assert!(modules > 5);
}

#[tokio::test]
async fn a_file_the_browser_has_is_not_sent_again() {
    let first = get("/web/style/base.css").await;
    let etag = first.headers()[header::ETAG].clone();
    assert_eq!(
        first.headers()[header::CONTENT_TYPE],
        "text/css; charset=utf-8"
    );
    let router: Router = super::routes();
    let again = Request::get("/web/style/base.css")
        .header(header::IF_NONE_MATCH, etag)
        .body(Body::empty())
        .unwrap();
    let response = router.oneshot(again).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    assert!(text(response).await.is_empty());
}

#[tokio::test]
async fn what_is_not_there_is_404_and_never_another_file() {
    for path in [
        "/web/none.js",
        "/web/../Cargo.toml",
        "/web/%2e%2e/Cargo.toml",
        "/web//etc/passwd",
        "/case/x/other",
    ] {
        assert_eq!(get(path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}
