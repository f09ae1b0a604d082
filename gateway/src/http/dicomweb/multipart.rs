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

/// What stands before a part.
fn opening(first: bool, boundary: &str, media: &str, location: Option<&str>) -> String {
    let before = if first { "" } else { "\r\n" };
    let mut head = format!("{before}--{boundary}\r\nContent-Type: {media}\r\n");
    if let Some(location) = location {
        head.push_str("Content-Location: ");
        head.push_str(location);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head
}

fn closing(boundary: &str) -> String {
    format!("\r\n--{boundary}--\r\n")
}

fn content_type(media: &str, boundary: &str) -> String {
    format!("multipart/related; type=\"{media}\"; boundary={boundary}")
}

/// The answer: parts of one media type, each read when the one before it has gone. `sizes` are the parts' Content-Types and lengths
/// where they are known beforehand, so that the answer's length is.
pub(super) fn related(
    media: &str,
    parts: BoxStream<'static, Result<Part, BlobError>>,
    sizes: Option<&mut dyn Iterator<Item = (String, u64)>>,
    random: &Random,
) -> Result<Response, Problem> {
    let boundary = random.token();
    let kind = content_type(media, &boundary);
    let length = sizes.map(|sizes| {
        let mut all = closing(&boundary).len() as u64;
        for (at, (media, length)) in sizes.enumerate() {
            let head = opening(at == 0, &boundary, &media, None).len() as u64;
            all = all.saturating_add(head).saturating_add(length);
        }
        all
    });
    let (within, mut first) = (boundary.clone(), true);
    let body = parts.flat_map(move |part| match part {
        Ok(part) => {
            let first = std::mem::take(&mut first);
            let head = opening(first, &within, &part.media, part.location.as_deref());
            ready(head.into()).chain(part.body).boxed()
        }
        Err(error) => stream::once(async { Err(error) }).boxed(),
    });
    let body = body.chain(ready(closing(&boundary).into()));
    let mut response = answer(&kind, Body::from_stream(logged(body.boxed())))?;
    if let Some(length) = length {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(response)
}

/// One part whose bytes are there already.
pub(super) fn lone(
    media: &str,
    full: &str,
    location: &str,
    bytes: Bytes,
    random: &Random,
) -> Result<Response, Problem> {
    let boundary = random.token();
    let head = opening(true, &boundary, full, Some(location));
    let tail = closing(&boundary);
    let length = (head.len() + bytes.len() + tail.len()) as u64;
    let pieces = [Bytes::from(head), bytes, Bytes::from(tail)];
    let body = stream::iter(pieces.map(Ok::<_, BlobError>));
    let mut response = answer(&content_type(media, &boundary), Body::from_stream(body))?;
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    Ok(response)
}

/// Bytes that are there already as the whole body.
pub(super) fn plain(media: &str, bytes: Bytes) -> Result<Response, Problem> {
    answer(media, Body::from(bytes))
}

/// A single part of known length as the whole body.
pub(super) fn single(media: &str, length: u64, body: Stream) -> Result<Response, Problem> {
    let mut response = answer(media, Body::from_stream(logged(body)))?;
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    Ok(response)
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
