//! The packaged viewer through its routes: what is served, under which headers, and what is not there.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::{OpenViewerError, Viewer, named_by_content, refuses_gzip};

fn archive(folder: &Path, facts: &str) -> std::path::PathBuf {
    let path = folder.join("viewer.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
    for (name, bytes) in [
        ("facts.json", facts),
        ("files/index.html", "<script>one</script>"),
        ("files/app.bundle.096daabbdde29bd851ab.js.gz", "squeezed"),
        ("files/147.css", "plain"),
    ] {
        let mut head = tar::Header::new_ustar();
        head.set_size(bytes.len() as u64);
        head.set_mode(0o644);
        head.set_cksum();
        tar.append_data(&mut head, name, bytes.as_bytes()).unwrap();
    }
    tar.finish().unwrap();
    path
}

fn packaged() -> Router {
    let folder = tempfile::tempdir().unwrap();
    let facts = r#"{"format":2,"inline_scripts":["'sha256-AAAA'","'sha256-BBBB'"],"decode_workers":["147.css"]}"#;
    let viewer = Viewer::open(&archive(folder.path(), facts)).unwrap();
    super::routes(Some(Arc::new(viewer)))
}

async fn get(router: &Router, path: &str, accept: Option<&str>) -> Response {
    let mut asked = Request::get(path);
    if let Some(accept) = accept {
        asked = asked.header(header::ACCEPT_ENCODING, accept);
    }
    let asked = asked.body(Body::empty()).unwrap();
    router.clone().oneshot(asked).await.unwrap()
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn the_page_is_isolated_and_allows_its_own_inline_scripts_only() {
    let page = get(&packaged(), "/viewer/viewer?StudyInstanceUIDs=1.2", None).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(page.headers()["cross-origin-opener-policy"], "same-origin");
    assert_eq!(
        page.headers()["cross-origin-embedder-policy"],
        "require-corp"
    );
    let policy = page.headers()[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap();
    let scripts = policy
        .split(';')
        .find(|part| part.trim().starts_with("script-src"));
    let scripts = scripts.unwrap();
    assert!(scripts.contains("'sha256-AAAA' 'sha256-BBBB'"));
    assert!(!scripts.contains("unsafe-inline") && !scripts.contains("'unsafe-eval'"));
    assert!(!policy.contains("http:") && !policy.contains("https:"));
}

#[tokio::test]
async fn a_viewer_that_stands_ready_has_a_black_image_of_nobody() {
    let router = packaged();
    let ready = get(&router, "/viewer/ready", None).await;
    assert_eq!(ready.headers()["cross-origin-opener-policy"], "same-origin");
    let script = text(get(&router, "/viewer/app-config.js", None).await).await;
    let json = async |path: &str| {
        let said = get(&router, path, None).await;
        assert_eq!(said.status(), StatusCode::OK, "{path}");
        serde_json::from_str::<serde_json::Value>(&text(said).await).unwrap()
    };
    let uid = |said: &serde_json::Value, tag: &str| {
        said[0][tag]["Value"][0]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let found = json("/viewer/blank/studies?StudyInstanceUID=1").await;
    let study = uid(&found, "0020000D");
    assert!(script.contains(&format!("const BLANK = '{study}'")));
    assert_eq!(found[0]["00100020"], serde_json::json!({ "vr": "LO" }));
    let below = format!("/viewer/blank/studies/{study}/series");
    let series = uid(&json(&below).await, "0020000E");
    let image = json(&format!("{below}/{series}/metadata")).await;
    let instance = uid(&image, "00080018");
    let frame = format!("{below}/{series}/instances/{instance}/frames/1");
    let frame = get(&router, &frame, None).await;
    assert_eq!(
        frame.headers()[header::CONTENT_TYPE],
        "multipart/related; type=\"image/jls\"; boundary=blank"
    );
    let bytes = frame.into_body().collect().await.unwrap().to_bytes();
    let coded = [0xFF, 0xD8, 0xFF, 0xF7];
    assert!(bytes.windows(4).any(|four| four == coded), "SOI, SOF55");
    let other = get(&router, "/viewer/blank/studies/1.2/series", None).await;
    assert_eq!(other.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn files_go_out_as_they_were_compressed_and_only_under_their_names() {
    let router = packaged();
    let bundle = "/viewer/app.bundle.096daabbdde29bd851ab.js";
    let sent = get(&router, bundle, Some("gzip, br")).await;
    assert_eq!(sent.headers()[header::CONTENT_ENCODING], "gzip");
    assert_eq!(
        sent.headers()[header::CONTENT_TYPE],
        "text/javascript; charset=utf-8"
    );
    assert!(
        sent.headers()[header::CACHE_CONTROL]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    assert_eq!(text(sent).await, "squeezed");
    let refused = get(&router, bundle, Some("identity")).await;
    assert_eq!(refused.status(), StatusCode::NOT_ACCEPTABLE);
    let plain = get(&router, "/viewer/147.css", Some("identity")).await;
    let kept = &plain.headers()[header::CACHE_CONTROL];
    assert_eq!(kept, "public, max-age=0, stale-while-revalidate=86400");
    assert_eq!(text(plain).await, "plain");
    for missing in [
        "/viewer/9999.bundle.js",
        "/viewer/local",
        "/viewer/app.bundle.096daabbdde29bd851ab.js.gz",
        "/viewer/../facts.json",
    ] {
        assert_eq!(
            get(&router, missing, None).await.status(),
            StatusCode::NOT_FOUND,
            "{missing}"
        );
    }
}

#[tokio::test]
async fn only_the_decoders_worker_may_build_functions_from_text() {
    let router = packaged();
    let policy = async |path: &str| {
        let sent = get(&router, path, None).await;
        let policy = sent.headers()[header::CONTENT_SECURITY_POLICY].clone();
        policy.to_str().unwrap().contains("'unsafe-eval'")
    };
    assert!(policy("/viewer/147.css").await);
    assert!(!policy("/viewer/app.bundle.096daabbdde29bd851ab.js").await);
    assert!(!policy("/viewer/viewer").await);
}

#[tokio::test]
async fn the_configuration_names_no_other_server_and_is_not_kept() {
    let sent = get(&packaged(), "/viewer/app-config.js", None).await;
    assert_eq!(sent.headers()[header::CACHE_CONTROL], "no-store");
    let config = text(sent).await;
    assert!(!config.contains("://") && config.matches("namespace:").count() == 1);
    for source in ["dicomjson", "dicomlocal", "proxy", "merge"] {
        assert!(!config.contains(source), "{source}");
    }
}

#[tokio::test]
async fn without_an_archive_every_address_says_how_to_package_it() {
    let router: Router = super::routes(None);
    for path in [
        "/viewer/",
        "/viewer/viewer",
        "/viewer/app-config.js",
        "/viewer/x.js",
    ] {
        let sent = get(&router, path, None).await;
        assert_eq!(sent.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(text(sent).await.contains("package.mjs"), "{path}");
    }
}

#[test]
fn another_layout_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for facts in [
        r#"{"format":1,"inline_scripts":[],"decode_workers":[]}"#,
        "no json",
    ] {
        let refused = Viewer::open(&archive(folder.path(), facts)).unwrap_err();
        assert!(matches!(refused, OpenViewerError::Foreign { .. }));
        assert!(refused.to_string().contains("package it again"));
    }
    let missing = Viewer::open(&folder.path().join("none.tar")).unwrap_err();
    assert!(matches!(missing, OpenViewerError::Read { .. }));
}

#[test]
fn gzip_is_refused_by_its_weight_or_by_its_absence() {
    let check = |accept: &str, expected: bool| {
        let mut headers = axum::http::HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, accept.parse().unwrap());
        assert_eq!(refuses_gzip(&headers), expected, "{accept}");
    };
    check("gzip", false);
    check("br, gzip;q=0.5", false);
    check("*", false);
    check("identity", true);
    check("gzip;q=0, *", true);
    check("", true);
    assert!(!refuses_gzip(&axum::http::HeaderMap::new()));
}

#[test]
fn only_names_that_carry_a_hash_are_kept_for_ever() {
    assert!(named_by_content("app.bundle.096daabbdde29bd851ab.js"));
    assert!(named_by_content("17dd54813d5acc10bf8f.wasm"));
    assert!(!named_by_content("147.css"));
    assert!(!named_by_content("assets/favicon.ico"));
}
