//! The door of every page: who is signed in, that a form is one of ours, and what each answer says of itself to the browser.

use std::net::{IpAddr, SocketAddr};

use axum::Form;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, OriginalUri, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use causeway_proto::digest::Digest;

use super::Page;
use super::accounts::Role;
use super::answer::Refusal;
use super::session::Person;

/// Own files only, nothing inline, in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The field of every form that shows that the page was ours.
pub(super) const FORM: &str = "form";

/// A page that refreshes itself is nobody's doing: it keeps no session alive.
const REFRESH: &str = "causeway-refresh";

/// Adds to every answer what it says of itself. Nothing of a page is stored: it names patients.
pub(super) async fn always(response: Response) -> Response {
    dressed(response)
}

/// The same where there is no page behind.
pub(super) fn dressed(mut response: Response) -> Response {
    const ALWAYS: [(HeaderName, &str); 6] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        // a picture is no other page's to show
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The name of a cookie: over TLS the browser itself sees to it that it is this address's own.
pub(super) fn cookie_name(secure: bool, what: &str) -> String {
    let mark = if secure { "__Host-" } else { "" };
    format!("{mark}causeway-{what}")
}

/// What the browser is told to keep; an empty value removes it.
pub(super) fn set_cookie(secure: bool, what: &str, value: &str) -> Result<HeaderValue, Refusal> {
    let name = cookie_name(secure, what);
    let secure = if secure { "; Secure" } else { "" };
    let age = if value.is_empty() { "; Max-Age=0" } else { "" };
    HeaderValue::try_from(format!(
        "{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}"
    ))
    .map_err(|error| Refusal::Broken("a cookie", error.into()))
}

/// The value of a cookie.
pub(super) fn cookie(headers: &HeaderMap, secure: bool, what: &str) -> Option<String> {
    let name = cookie_name(secure, what);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then(|| value.to_owned()))
}

/// Compares two secrets in a time that says nothing of them.
pub(super) fn same(one: &str, other: &str) -> bool {
    Digest::of(one.as_bytes()) == Digest::of(other.as_bytes())
}

impl FromRequestParts<Page> for Person {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, page: &Page) -> Result<Self, Refusal> {
        let to = match parts.method {
            // a nested route sees only its own part of the path
            Method::GET => {
                let whole = parts.extensions.get::<OriginalUri>();
                whole
                    .map_or_else(|| parts.uri.path(), |uri| uri.path())
                    .to_owned()
            }
            _ => String::new(),
        };
        let Some(word) = cookie(&parts.headers, page.secure, "session") else {
            return Err(Refusal::SignIn(to));
        };
        let active = !parts.headers.contains_key(REFRESH);
        let person = page.sessions.of(&word, active).await?;
        person.ok_or(Refusal::SignIn(to))
    }
}

impl Person {
    /// Whether this person decides about cases.
    pub(super) fn decides(&self) -> bool {
        self.role == Role::Radiographer
    }

    /// Only a radiographer goes on.
    pub(super) fn must_decide(&self) -> Result<(), Refusal> {
        if self.decides() {
            return Ok(());
        }
        Err(Refusal::forbidden(
            "Only a radiographer decides this. You are signed in as an administrator.",
        ))
    }

    /// Only an administrator goes on.
    pub(super) fn must_administer(&self) -> Result<(), Refusal> {
        if self.role == Role::Administrator {
            return Ok(());
        }
        Err(Refusal::forbidden(
            "Only an administrator keeps the accounts.",
        ))
    }
}

/// A form that was sent from one of this person's pages.
#[derive(Debug)]
pub(super) struct Posted {
    /// Who sent it.
    pub(super) person: Person,
    fields: Fields,
}

/// The fields of a form. They may be about a patient: Debug shows nothing of them.
pub(super) struct Fields(pub(super) Vec<(String, String)>);

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fields")
    }
}

impl Fields {
    /// The first value of a field, without blanks around it; empty when there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.trim()).unwrap_or_default()
    }
}

impl Posted {
    /// The first value of a field, without blanks around it; empty when there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.fields.get(name)
    }

    /// A field as it was typed.
    pub(super) fn raw(&self, name: &str) -> &str {
        let found = self.fields.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Every value of a field.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.fields.0.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }
}

impl FromRequest<Page> for Posted {
    type Rejection = Refusal;

    async fn from_request(request: Request, page: &Page) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let person = Person::from_request_parts(&mut parts, page).await?;
        let fields = fields(Request::from_parts(parts, body), page).await?;
        if !same(fields.get(FORM), &person.form) {
            return Err(Refusal::forbidden(
                "This form is not of your session. Load the page again, and then do it.",
            ));
        }
        Ok(Self { person, fields })
    }
}

/// The fields of a form that is not too long.
pub(super) async fn fields(request: Request, page: &Page) -> Result<Fields, Refusal> {
    match Form::<Vec<(String, String)>>::from_request(request, page).await {
        Ok(Form(fields)) => Ok(Fields(fields)),
        Err(error) if causeway_http::is_late(&error) => Err(Refusal::Not(
            StatusCode::REQUEST_TIMEOUT,
            "The form was not there in time. Send it again.".to_owned(),
        )),
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Refusal::Not(
            StatusCode::PAYLOAD_TOO_LARGE,
            "The form is too long.".to_owned(),
        )),
        Err(_) => Err(Refusal::wrong("This is no form.")),
    }
}

/// Where a request comes from.
pub(super) fn address(request: &Request) -> Option<IpAddr> {
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>();
    from.map(|ConnectInfo(address)| address.ip())
}
