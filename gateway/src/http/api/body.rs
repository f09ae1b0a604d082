//! What comes in: bodies are JSON, bounded; names in a path are UIDs or identifiers of ours. Everything else is refused as a problem.

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::http::State;
use crate::http::error::Problem;

/// A JSON body.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<State> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        let media = |kind| Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", kind);
        if request.headers().contains_key(header::CONTENT_ENCODING) {
            return Err(media("a compressed body is not taken"));
        }
        let json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.split(';').next())
            .is_some_and(|v| v.trim().eq_ignore_ascii_case("application/json"));
        if !json {
            return Err(media("the body must be application/json"));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|e| {
            if e.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Problem::new(e.status(), "too-large", "the body is too large")
            } else if causeway_http::is_late(&e) {
                let late = "the body was not there in time";
                Problem::new(StatusCode::REQUEST_TIMEOUT, "too-late", late)
            } else {
                Problem::bad_request("the body could not be read")
            }
        })?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Self(value)),
            // line and column say where; the text itself is not repeated
            Err(e) => Err(Problem::bad_request(format!(
                "the body is not what is expected here (line {}, column {})",
                e.line(),
                e.column()
            ))),
        }
    }
}

/// A name in a path: a UID, or an identifier of ours.
#[derive(Debug)]
pub(super) struct Named(pub(super) String);

/// Letters, digits, dots and hyphens, at most 64, as every identifier that this gateway knows.
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
}

impl FromRequestParts<State> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) if is_name(&name) => Ok(Self(name)),
            _ => Err(Problem::bad_request("the path names nothing that could be")),
        }
    }
}
