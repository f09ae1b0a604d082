//! What stands before every handler: a head within its bounds, a body within its time, an answer that is being taken.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use thiserror::Error;
use tokio::time::{Instant, Sleep};
use tower::Service;

use crate::bounds::{LONGEST_HEAD, LONGEST_TARGET, MOST_FIELDS, PIECE};
use crate::places::{Answering, Asking, Connection};

/// Why a request does not come as far as its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// More than 32 KiB or 100 fields.
    Head,
    /// More than 8 KiB.
    Target,
    /// Bodies are taken as they are only.
    Encoded,
    /// `TRACE` or `CONNECT`.
    Method,
}

impl Refusal {
    /// What it is in HTTP.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Head => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Target => StatusCode::URI_TOO_LONG,
            Self::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// What it is in a sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Head => "the request has more header fields than are taken here",
            Self::Target => "the address is longer than any that is here",
            Self::Encoded => "a compressed body is not taken",
            Self::Method => "this method is not served",
        }
    }
}

/// How a program words a refusal.
pub type Refuse = fn(Refusal) -> Response;

/// The body of a request was not there in time.
#[derive(Debug, Error)]
#[error("the request's body was not there in time")]
struct Late;

/// Whether reading a body failed because it was not there in time: 408 is the answer.
#[must_use]
pub fn is_late(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(one) = next {
        if one.is::<Late>() {
            return true;
        }
        next = one.source();
    }
    false
}

fn judge<B>(request: &Request<B>) -> Option<Refusal> {
    let target = request.uri().path_and_query();
    let long = target.is_some_and(|target| target.as_str().len() > LONGEST_TARGET);
    if long {
        return Some(Refusal::Target);
    }
    if *request.method() == Method::TRACE || *request.method() == Method::CONNECT {
        return Some(Refusal::Method);
    }
    let fields = request.headers();
    if fields.len() > MOST_FIELDS || length(fields) > LONGEST_HEAD {
        return Some(Refusal::Head);
    }
    let encoded = fields
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    encoded.then_some(Refusal::Encoded)
}

fn length(fields: &HeaderMap) -> usize {
    let one = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        name.as_str().len().saturating_add(value.len())
    };
    fields.iter().map(one).sum()
}

/// The handlers of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Guarded<S> {
    pub(crate) inner: S,
    pub(crate) connection: Arc<Connection>,
    pub(crate) refuse: Refuse,
    pub(crate) body: Duration,
}

impl<S, B> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answering = self.connection.begin();
        if let Some(refusal) = judge(&request) {
            let answer = (self.refuse)(refusal).map(|body| watched(body, answering));
            return Box::pin(std::future::ready(Ok(answer)));
        }
        let (limit, asking) = (self.body, answering.asking());
        let request = request.map(|inner| {
            Body::new(Timed {
                inner,
                limit,
                begun: None,
                asking,
            })
        });
        let answer = self.inner.call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| watched(body, answering))) })
    }
}

/// The body of a request, within its time from when it is first asked for.
struct Timed<B> {
    inner: B,
    limit: Duration,
    begun: Option<(Instant, Pin<Box<Sleep>>)>,
    asking: Asking,
}

impl<B> Timed<B> {
    /// Since when it is asked for; none when its time is over.
    fn begun(&mut self, cx: &mut Context<'_>) -> Option<Instant> {
        let limit = self.limit;
        let (since, end) = self
            .begun
            .get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(limit))));
        end.as_mut().poll(cx).is_pending().then_some(*since)
    }
}

impl<B> HttpBody for Timed<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<axum::BoxError>,
{
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let Some(since) = self.begun(cx) else {
            self.asking.awaits(None);
            return Poll::Ready(Some(Err(Late.into())));
        };
        let next = Pin::new(&mut self.inner).poll_frame(cx);
        self.asking.awaits(next.is_pending().then_some(since));
        next.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> Drop for Timed<B> {
    fn drop(&mut self) {
        // nobody asks for the rest
        if self.begun.is_some() {
            self.asking.awaits(None);
        }
    }
}

/// An answer that knows whose turn it is, in pieces that show that something is taken.
struct Watched {
    inner: Body,
    rest: Bytes,
    answering: Answering,
}

fn watched(inner: Body, answering: Answering) -> Body {
    let rest = Bytes::new();
    Body::new(Watched {
        inner,
        rest,
        answering,
    })
}

impl Watched {
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return Poll::Ready(other),
            }
        }
        let piece = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let next = self.next(cx);
        self.answering.handed_over(next.is_ready());
        next
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.inner.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(most) = inner.upper() {
            hint.set_upper(most.saturating_add(rest));
        }
        hint.set_lower(inner.lower().saturating_add(rest));
        hint
    }
}
