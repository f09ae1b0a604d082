//! The hand-written files of `agent/web`, part of the program.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::answer::Refusal;

/// Name, type, and the file.
const FILES: [(&str, &str, &str); 5] = [
    (
        "site.css",
        "text/css; charset=utf-8",
        include_str!("../../web/site.css"),
    ),
    (
        "site.js",
        "text/javascript; charset=utf-8",
        include_str!("../../web/site.js"),
    ),
    (
        "draw.js",
        "text/javascript; charset=utf-8",
        include_str!("../../web/draw.js"),
    ),
    (
        "theme.js",
        "text/javascript; charset=utf-8",
        include_str!("../../web/theme.js"),
    ),
    (
        "mark.svg",
        "image/svg+xml",
        include_str!("../../web/mark.svg"),
    ),
];

/// Answers one file.
pub(super) async fn file(Path(name): Path<String>) -> Response {
    let found = FILES.iter().find(|(file, ..)| *file == name);
    let Some((_, kind, text)) = found else {
        return Refusal::none("There is no such file.").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, *kind),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, *text).into_response()
}
