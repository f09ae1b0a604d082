//! The image viewer under `/viewer/`: OHIF, packaged by `gateway/viewer`, held in memory and served as it was compressed.

mod archive;
mod blank;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

pub use self::archive::{OpenViewerError, Viewer};

/// The places in the viewer's address space that are pages: the viewer on the studies named in the query, and the viewer that stands ready
/// for the case that is opened next.
const PAGES: [&str; 2] = ["viewer", "ready"];

/// The routes under `/viewer`. Without a packaged viewer every one of them says how to package it.
pub fn routes<S: Clone + Send + Sync + 'static>(viewer: Option<Arc<Viewer>>) -> Router<S> {
    Router::new()
        .route("/viewer", get(|| async { Redirect::to("/") }))
        .route("/viewer/", get(home))
        .route("/viewer/app-config.js", get(configuration))
        .route("/viewer/{*path}", get(file))
        .with_state(viewer)
        .merge(blank::routes())
}

async fn home(State(viewer): State<Option<Arc<Viewer>>>) -> Response {
    match viewer {
        Some(_) => Redirect::to("/").into_response(),
        None => not_packaged(),
    }
}

/// Written for each request, never stored: the one data source is this gateway, reached with the reader's own session. Sources that
/// load from an address in the query are left out.
async fn configuration(State(viewer): State<Option<Arc<Viewer>>>) -> Response {
    if viewer.is_none() {
        return not_packaged();
    }
    let mut answer = (
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")],
        include_str!("viewer/app-config.js"),
    )
        .into_response();
    isolate(answer.headers_mut(), "no-store");
    answer
}

async fn file(
    State(viewer): State<Option<Arc<Viewer>>>,
    Path(path): Path<String>,
    asked: HeaderMap,
) -> Response {
    let Some(viewer) = viewer else {
        return not_packaged();
    };
    if PAGES.contains(&path.as_str()) {
        return page(&viewer);
    }
    let Some(stored) = viewer.file(&path) else {
        return (StatusCode::NOT_FOUND, "The viewer has no such file.\n").into_response();
    };
    if stored.gzipped && refuses_gzip(&asked) {
        return (
            StatusCode::NOT_ACCEPTABLE,
            "The viewer's files are sent with gzip only.\n",
        )
            .into_response();
    }
    let unchanged = asked.get(header::IF_NONE_MATCH) == Some(&stored.etag);
    let mut answer = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        stored.bytes.clone().into_response()
    };
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(media_type(&path)),
    );
    headers.insert(header::ETAG, stored.etag.clone());
    if stored.gzipped {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    let keep = if named_by_content(&path) {
        "public, max-age=31536000, immutable"
    } else {
        // styles under names that stay: shown at once, and asked for again meanwhile (RFC 5861 3); the start waits for some, one after
        // the other
        "public, max-age=0, stale-while-revalidate=86400"
    };
    isolate(headers, keep);
    // a worker is isolated by its own answer's policy, not by that of the page that started it
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        viewer.worker_policy(&path).clone(),
    );
    answer
}

fn page(viewer: &Viewer) -> Response {
    let mut answer = (
        [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
        viewer.page().clone(),
    )
        .into_response();
    let headers = answer.headers_mut();
    isolate(headers, "no-cache");
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        viewer.page_policy().clone(),
    );
    answer
}

fn not_packaged() -> Response {
    let mut answer = (
        StatusCode::NOT_FOUND,
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        "The image viewer is not installed on this gateway.\n\n\
         Package it once:   node gateway/viewer/package.mjs <archive>\n\
         Then name it:      [http] viewer = \"<archive>\"   in gateway.toml, and start the gateway again.\n",
    )
        .into_response();
    isolate(answer.headers_mut(), "no-store");
    answer
}

/// Cross-origin isolation, without which the viewer has no shared memory and builds no volumes.
fn isolate(headers: &mut HeaderMap, keep: &'static str) {
    const ALWAYS: [(HeaderName, &str); 6] = [
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-embedder-policy"),
            "require-corp",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    ];
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
}

/// RFC 9110 12.5.3: no field means that anything is accepted.
fn refuses_gzip(asked: &HeaderMap) -> bool {
    let Some(accepted) = asked.get(header::ACCEPT_ENCODING) else {
        return false;
    };
    let Ok(accepted) = accepted.to_str() else {
        return true;
    };
    let mut any = None;
    for choice in accepted.split(',') {
        let (name, weight) = choice.split_once(';').unwrap_or((choice, ""));
        let wanted = !matches!(
            weight.trim().strip_prefix("q="),
            Some("0" | "0." | "0.0" | "0.00" | "0.000")
        );
        match name.trim() {
            "gzip" | "x-gzip" => return !wanted,
            "*" => any = Some(wanted),
            _ => {}
        }
    }
    any != Some(true)
}

/// The packager of the viewer puts a hash of the content into these names, so they may be kept for ever.
fn named_by_content(path: &str) -> bool {
    path.rsplit('/')
        .next()
        .unwrap_or_default()
        .split('.')
        .any(|part| part.len() == 20 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("json") => "application/json",
        Some("xml") => "application/xml",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        None => "text/plain; charset=utf-8",
        Some(_) => "application/octet-stream",
    }
}
