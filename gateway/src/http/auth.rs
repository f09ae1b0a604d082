//! Who is asking: a session cookie or a bearer token, checked on every request, and the rule against cross-site requests.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};

use super::State;
use super::error::Problem;
use crate::access::sessions::Cookie;
use crate::access::{Account, Known};
use causeway_proto::digest::Digest;

pub use crate::eligibility::Subject;

/// Said by a page that asks by the clock: such a request keeps no session alive.
const BACKGROUND: &str = "x-causeway-background";

/// Said by a page that fetches the next case before it is opened (P23): written down as such.
const AHEAD: &str = "x-causeway-ahead";

/// Whether this is fetched before anybody looks at it.
pub(super) fn is_ahead(headers: &HeaderMap) -> bool {
    headers.contains_key(AHEAD)
}

/// The person behind a request.
#[derive(Clone, Debug)]
pub struct Who {
    /// His account.
    pub account: Account,
    /// What `eligibility` needs to know of him.
    pub subject: Subject,
    /// Names the session or the token, for what is kept in memory for it.
    pub session: String,
    /// The cookie, when it was one.
    pub cookie: Option<Cookie>,
}

/// The name of the session cookie: bound to host and TLS when the reading room is served over TLS.
fn cookie_name(state: &State) -> &'static str {
    if state.config.public_url.starts_with("https:") {
        "__Host-causeway"
    } else {
        "causeway"
    }
}

/// The header that hands a session to the browser, or takes it back.
pub(super) fn set_cookie(state: &State, cookie: Option<&Cookie>) -> Option<HeaderValue> {
    let name = cookie_name(state);
    let secure = if name.starts_with("__Host-") {
        "; Secure"
    } else {
        ""
    };
    let (value, age) = match cookie {
        Some(cookie) => (cookie.0.as_str(), ""),
        None => ("", "; Max-Age=0"),
    };
    HeaderValue::from_str(&format!(
        "{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}"
    ))
    .ok()
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<Cookie> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, value)| *key == name && value.len() <= 128)
        .map(|(_, value)| Cookie(value.to_owned()))
}

/// Refuses what another site makes a browser send. Safe methods change nothing and pass.
///
/// # Errors
/// 403 when the browser says that the request comes from elsewhere.
pub(super) fn same_site(
    state: &State,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let said = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let fetched_here = matches!(said("sec-fetch-site"), None | Some("same-origin" | "none"));
    let origin_here = match said("origin") {
        None => true,
        Some(origin) => {
            said("sec-fetch-site") == Some("same-origin")
                || origin == state.config.public_url.trim_end_matches('/')
        }
    };
    if fetched_here && origin_here {
        Ok(())
    } else {
        Err(Problem::forbidden("this request comes from another site"))
    }
}

/// A page that listens for events is open, which is not the same as somebody being there; its request cannot carry a header of ours.
fn listens(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .is_some_and(|accepted| accepted.as_bytes() == b"text/event-stream")
}

impl Who {
    async fn find(parts: &Parts, state: &State) -> Result<Option<Self>, Problem> {
        if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(|v| v.strip_prefix("Bearer "));
            let Some(token) = token else {
                return Ok(None);
            };
            let Some(known) = state.access.by_token(token).await? else {
                return Ok(None);
            };
            let session = Digest::of(token.as_bytes()).to_string();
            return Ok(Some(Self::of(known, session, None)));
        }
        let Some(cookie) = cookie(&parts.headers, cookie_name(state)) else {
            return Ok(None);
        };
        let by_itself = parts.headers.contains_key(BACKGROUND) || is_ahead(&parts.headers);
        let active = !by_itself && !listens(&parts.headers);
        let Some(known) = state.access.by_session(&cookie, active).await? else {
            return Ok(None);
        };
        same_site(state, &parts.method, &parts.headers)?;
        let changes = !matches!(parts.method, Method::GET | Method::HEAD);
        if changes && parts.headers.get("x-causeway").is_none_or(|v| v != "1") {
            return Err(Problem::forbidden(
                "a request that changes something carries the header X-Causeway: 1",
            ));
        }
        let session = cookie.hash();
        if active {
            state.signing.active(&session, &known.account.id);
        }
        Ok(Some(Self::of(known, session, Some(cookie))))
    }

    fn of(known: Known, session: String, cookie: Option<Cookie>) -> Self {
        Self {
            subject: known.subject,
            account: known.account,
            session,
            cookie,
        }
    }
}

impl FromRequestParts<State> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        Self::find(parts, state)
            .await?
            .ok_or_else(Problem::unauthenticated)
    }
}

impl OptionalFromRequestParts<State> for Who {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &State,
    ) -> Result<Option<Self>, Infallible> {
        Ok(Self::find(parts, state).await.unwrap_or_default())
    }
}

impl FromRequestParts<State> for Subject {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let who = Who::find(parts, state).await?;
        Ok(who.ok_or_else(Problem::unauthenticated)?.subject)
    }
}
