//! What went wrong, as `application/problem+json` (RFC 9457). No text of it repeats anything that was received, nor names a patient.

use std::error::Error;
use std::io;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::access::AccessError;
use crate::audit::AuditError;
use crate::delivery::DeliveryError;
use crate::directory::DirectoryError;
use crate::ingest::IngestError;
use crate::report::{ContentError, ReportError};
use crate::sign::{ActError, SignError};
use crate::talk::TalkError;
use crate::worklist::ClaimError;

/// A refusal on its way to whoever asked.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    detail: String,
    more: Map<String, Value>,
}

impl Problem {
    /// With a status, a word that scripts may rely on, and a sentence.
    #[must_use]
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            detail: detail.into(),
            more: Map::new(),
        }
    }

    /// With one more member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// 404: there is no such thing, or none for you; the two look the same.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "there is nothing here")
    }

    /// 400.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// 401.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "signed-out", "sign in first")
    }

    /// 403.
    #[must_use]
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 409.
    #[must_use]
    pub fn conflict(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, kind, detail)
    }

    /// 412.
    #[must_use]
    pub fn stale(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, kind, detail)
    }

    /// 500, or 507 (RFC 4918 11.5) when the disk is full; the cause goes to the log, never to the answer.
    #[must_use]
    pub fn internal(cause: &(dyn Error + 'static)) -> Self {
        let mut chain = cause.to_string();
        let (mut source, mut full) = (cause.source(), is_full(cause));
        while let Some(next) = source {
            chain.push_str(": ");
            chain.push_str(&next.to_string());
            full |= is_full(next);
            source = next.source();
        }
        tracing::error!(cause = chain, "a request failed");
        if full {
            return Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "no-room",
                "there is no room left on the disk of the gateway, and nothing was changed: whoever runs it has to make some; try again then",
            );
        }
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the gateway could not do this; it was logged",
        )
    }
}

/// Whether the disk of the bytes or of the rows has said that it is full.
fn is_full(cause: &(dyn Error + 'static)) -> bool {
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
    }
    let rows = cause.downcast_ref::<sqlx::Error>();
    let code = rows.and_then(|it| it.as_database_error()?.code());
    // SQLITE_FULL, and disk_full of PostgreSQL
    code.is_some_and(|code| matches!(&*code, "13" | "53100"))
}

/// What never comes as far as a handler.
#[must_use]
pub fn refused(refusal: causeway_http::Refusal) -> Response {
    let kind = match refusal {
        causeway_http::Refusal::Head => "head-too-large",
        causeway_http::Refusal::Target => "target-too-long",
        causeway_http::Refusal::Encoded => "media-type",
        causeway_http::Refusal::Method => "method",
    };
    Problem::new(refusal.status(), kind, refusal.sentence()).into_response()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": format!("urn:causeway:problem:{}", self.kind),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(members) = body.as_object_mut() {
            members.extend(self.more);
        }
        let mut answer = (self.status, body.to_string()).into_response();
        let headers = answer.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = body.get("retry_after_s").and_then(Value::as_u64) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}

/// The answer to a path that leads nowhere.
pub(super) async fn not_found() -> Problem {
    Problem::not_found()
}

/// The answer when a handler panicked: the same as for any failure, and the panic's words stay in the log.
pub(super) fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    tracing::error!("a request handler panicked");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "the gateway could not do this; it was logged",
    )
    .into_response()
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        Self::internal(&error)
    }
}

impl From<DirectoryError> for Problem {
    fn from(error: DirectoryError) -> Self {
        Self::internal(&error)
    }
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        Self::internal(&error)
    }
}

impl From<DeliveryError> for Problem {
    fn from(error: DeliveryError) -> Self {
        Self::internal(&error)
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Refused => Self::new(
                StatusCode::UNAUTHORIZED,
                "refused",
                AccessError::Refused.to_string(),
            ),
            AccessError::Later { seconds } => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-tries",
                format!("too many wrong passwords, try again in {seconds} s"),
            )
            .with("retry_after_s", seconds),
            AccessError::Field(why) => Self::bad_request(why),
            AccessError::Taken => Self::conflict("taken", AccessError::Taken.to_string()),
            AccessError::Unknown => Self::not_found(),
            AccessError::Sign(sign) => sign.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<SignError> for Problem {
    fn from(error: SignError) -> Self {
        match error {
            SignError::Locked => Self::new(
                StatusCode::UNAUTHORIZED,
                "signing-key-locked",
                "your signing key is locked; unlock it with your password",
            ),
            SignError::Password => Self::forbidden(SignError::Password.to_string()),
            SignError::NoKey => Self::forbidden(SignError::NoKey.to_string()),
            other => Self::internal(&other),
        }
    }
}

impl From<ClaimError> for Problem {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Unknown => Self::not_found(),
            ClaimError::NotEligible(decision) => Self::forbidden(format!(
                "you may not do this: {}",
                decision.reasons.join("; ")
            ))
            .with("reasons", decision.reasons),
            ClaimError::Taken(holder) => Self::conflict(
                "held-by-other",
                format!("{} holds this task since {}", holder.name, holder.since),
            )
            .with("holder", holder.name)
            .with("since", holder.since.to_string()),
            ClaimError::Reserved(other) => {
                Self::conflict("reserved", format!("{} reads this task next", other.name))
                    .with("holder", other.name)
                    .with("until", other.until.to_string())
            }
            ClaimError::State(why) => {
                Self::conflict("state", why.sentence).with("ups_status", why.code)
            }
            ClaimError::Changed => Self::conflict("changed", ClaimError::Changed.to_string()),
            ClaimError::Database(e) => Self::internal(&e),
            ClaimError::Audit(e) => Self::internal(&e),
        }
    }
}

impl From<TalkError> for Problem {
    fn from(error: TalkError) -> Self {
        let sentence = error.to_string();
        match error {
            TalkError::Recalled => Self::conflict("recalled", sentence),
            TalkError::TooMany => Self::conflict("too-many", sentence),
            TalkError::Length => Self::bad_request(sentence),
            other => Self::internal(&other),
        }
    }
}

impl From<ReportError> for Problem {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Content(ContentError::Empty) => {
                Self::conflict("empty", ContentError::Empty.to_string())
            }
            ReportError::Content(why) => Self::bad_request(why.to_string()),
            ReportError::Stale => Self::stale("stale", ReportError::Stale.to_string()),
            ReportError::NotClaimed => {
                Self::conflict("not-claimed", ReportError::NotClaimed.to_string())
            }
            ReportError::NoDraft => Self::conflict("no-draft", ReportError::NoDraft.to_string()),
            ReportError::Immutable => {
                Self::conflict("immutable", ReportError::Immutable.to_string())
            }
            ReportError::Taken(holder) => ClaimError::Taken(holder).into(),
            ReportError::Claim(claim) => claim.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<ActError> for Problem {
    fn from(error: ActError) -> Self {
        let sentence = error.to_string();
        match error {
            ActError::Unknown => Self::not_found(),
            ActError::NotEligible(decision) => {
                Self::forbidden(sentence).with("reasons", decision.reasons)
            }
            ActError::Recalled => Self::conflict("recalled", sentence),
            ActError::AnotherPatient => Self::conflict("another-patient", sentence),
            ActError::Blocked(why) => {
                Self::conflict("blocked-by-site", sentence).with("blocked", why)
            }
            ActError::IdentityChanged => Self::conflict("identity-changed", sentence),
            ActError::Incomplete => Self::conflict("incomplete", sentence),
            ActError::Dated(found) => Self::conflict("dated", sentence).with("sections", found),
            ActError::Withheld => Self::conflict("withheld", sentence),
            ActError::Stale(changed) => Self::stale("stale", sentence).with("changed", changed),
            ActError::Already(done) => Self::conflict("already-signed", sentence)
                .with("report", done.report)
                .with("version", done.version),
            ActError::TextWithdrawn => Self::conflict("text-withdrawn", sentence),
            ActError::NotTheLast => Self::conflict("not-the-newest", sentence),
            ActError::Report(report) => report.into(),
            ActError::Key(key) => key.into(),
            other => Self::internal(&other),
        }
    }
}
