//! The hand-written files of `gateway/web`, part of the program.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/web"]
pub(super) struct Web;

/// Answers one file, or 304 when the browser has it already.
pub(super) async fn file(Path(path): Path<String>, asked: HeaderMap) -> Response {
    answer(&path, &asked)
}

/// Answers the mark where browsers look for it unasked.
pub(super) async fn icon(asked: HeaderMap) -> Response {
    answer("mark.svg", &asked)
}

fn answer(path: &str, asked: &HeaderMap) -> Response {
    let Some(found) = Web::get(path) else {
        return (StatusCode::NOT_FOUND, "There is no such file.\n").into_response();
    };
    let etag = format!("\"{}\"", hex::encode(found.metadata.sha256_hash()));
    let unchanged = asked
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let kind = kind(path, found.metadata.mimetype());
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        found.data.into_owned().into_response()
    };
    let headers = response.headers_mut();
    super::guard(headers);
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(header::ETAG, etag);
    }
    if let Ok(kind) = HeaderValue::try_from(kind) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    response
}

/// Text is UTF-8, and says so.
fn kind(path: &str, guessed: &str) -> String {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("js" | "mjs") => "text/javascript; charset=utf-8".to_owned(),
        Some("css") => "text/css; charset=utf-8".to_owned(),
        _ => guessed.to_owned(),
    }
}
