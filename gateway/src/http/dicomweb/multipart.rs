//! `multipart/related` answers (RFC 2387), streamed part by part.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use causeway_proto::random::Random;
use futures::stream::{self, BoxStream, StreamExt};

use crate::archive::BlobError;
use crate::http::error::Problem;

/// A stream of bytes.
pub(super) type Stream = BoxStream<'static, Result<Bytes, BlobError>>;

/// One part.
pub(super) struct Part {
    /// Its Content-Type.
    pub(super) media: String,
    /// Its Content-Location, when it has one.
    pub(super) location: Option<String>,
    /// Its bytes.
    pub(super) body: Stream,
}

/// Bytes that are there already, as a stream.
pub(super) fn ready(bytes: Bytes) -> Stream {
    stream::once(async { Ok(bytes) }).boxed()
}

/// The answer: parts of one media type, each read when the one before it has gone.
pub(super) fn related(
    media: &str,
    parts: BoxStream<'static, Result<Part, BlobError>>,
    random: &Random,
) -> Result<Response, Problem> {
    let boundary = random.token();
    let content_type = format!("multipart/related; type=\"{media}\"; boundary={boundary}");
    let opening = boundary.clone();
    let mut first = true;
    let body = parts.flat_map(move |part| match part {
        Ok(part) => {
            let before = if std::mem::take(&mut first) {
                ""
            } else {
                "\r\n"
            };
            let mut head = format!("{before}--{opening}\r\nContent-Type: {}\r\n", part.media);
            if let Some(location) = part.location {
                head.push_str(&format!("Content-Location: {location}\r\n"));
            }
            head.push_str("\r\n");
            ready(head.into()).chain(part.body).boxed()
        }
        Err(error) => stream::once(async { Err(error) }).boxed(),
    });
    let body = body.chain(ready(format!("\r\n--{boundary}--\r\n").into()));
    answer(&content_type, Body::from_stream(logged(body.boxed())))
}

/// A single part as the whole body.
pub(super) fn single(media: &str, body: Stream) -> Result<Response, Problem> {
    answer(media, Body::from_stream(logged(body)))
}

/// A read that fails after the head has gone cuts the connection; the log says why.
fn logged(body: Stream) -> impl futures::Stream<Item = Result<Bytes, BlobError>> {
    body.inspect(|piece| {
        if let Err(error) = piece {
            tracing::error!(%error, "an answer was cut short because its bytes could not be read");
        }
    })
}

/// An answer that nobody on the way may keep.
pub(super) fn answer(media: &str, body: Body) -> Result<Response, Problem> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    let media = HeaderValue::from_str(media).map_err(|error| Problem::internal(&error))?;
    headers.insert(header::CONTENT_TYPE, media);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
