//! What is answered when something is not shown: a sentence that says what to do, and nothing of what is behind it.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;

use super::PageError;
use super::{guard, shell};
use crate::delivery::DeliveryError;
use crate::mask::child::DecodeError;
use crate::observe::status::ViewError;
use crate::protect::preview::PreviewError;
use crate::spool::SpoolError;
use crate::talk::TalkError;

/// Why a request is not done.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nobody is signed in; afterwards the browser goes there.
    SignIn(String),
    /// Not now, not so, or not by this person.
    Not(StatusCode, String),
    /// The agent could not.
    Broken(&'static str, Box<dyn std::error::Error + Send + Sync>),
}

impl Refusal {
    /// What this person may not do.
    pub(super) fn forbidden(sentence: &str) -> Self {
        Self::Not(StatusCode::FORBIDDEN, sentence.to_owned())
    }

    /// What was asked cannot be done so.
    pub(super) fn wrong(sentence: impl Into<String>) -> Self {
        Self::Not(StatusCode::BAD_REQUEST, sentence.into())
    }

    /// What was asked has changed since the page was loaded.
    pub(super) fn changed(sentence: &str) -> Self {
        Self::Not(StatusCode::CONFLICT, sentence.to_owned())
    }

    /// Something is there, and cannot be shown.
    pub(super) fn unshown(error: &PreviewError) -> Self {
        let status = match error {
            PreviewError::Busy | PreviewError::Decode(DecodeError::Busy) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            PreviewError::NoFrame | PreviewError::NoPixels => StatusCode::NOT_FOUND,
            PreviewError::Spool(_) | PreviewError::Decode(DecodeError::Failed(_)) => {
                tracing::error!(%error, "a picture could not be made");
                StatusCode::INTERNAL_SERVER_ERROR
            }
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::Not(status, format!("It cannot be shown: {error}."))
    }

    /// There is nothing there.
    pub(super) fn none(sentence: &str) -> Self {
        Self::Not(StatusCode::NOT_FOUND, sentence.to_owned())
    }
}

/// What never comes as far as a page.
pub(super) fn refused(refusal: causeway_http::Refusal) -> Response {
    let sentence = format!("{}.", refusal.sentence());
    let answer = Refusal::Not(refusal.status(), sentence).into_response();
    guard::dressed(answer)
}

impl From<SpoolError> for Refusal {
    fn from(error: SpoolError) -> Self {
        Self::Broken("the spool", error.into())
    }
}

impl From<DeliveryError> for Refusal {
    fn from(error: DeliveryError) -> Self {
        Self::Broken("the deliveries", error.into())
    }
}

impl From<ViewError> for Refusal {
    fn from(error: ViewError) -> Self {
        Self::Broken("the views", error.into())
    }
}

impl From<TalkError> for Refusal {
    fn from(error: TalkError) -> Self {
        match error {
            TalkError::Unknown => Self::none("There is no case of this code at this site."),
            TalkError::Empty => Self::wrong(format!("{error}.")),
            TalkError::Recalled | TalkError::Unchecked | TalkError::TooMany => {
                Self::changed(&format!("{error}."))
            }
            TalkError::Rows { .. } | TalkError::Keys(_) | TalkError::Spool(_) => {
                Self::Broken("the words about cases", error.into())
            }
        }
    }
}

impl From<PageError> for Refusal {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Name | PageError::Password | PageError::Taken => {
                Self::wrong(format!("{error}."))
            }
            PageError::Unknown => Self::none("There is no account of this name."),
            other => Self::Broken("the site page", other.into()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, sentence) = match self {
            Self::SignIn(to) => {
                let place = match to.as_str() {
                    "/" | "" => "/sign-in".to_owned(),
                    to => format!("/sign-in?to={to}"),
                };
                return Redirect::to(&place).into_response();
            }
            Self::Not(status, sentence) => (status, sentence),
            Self::Broken(part, error) => {
                tracing::error!(%error, part, "a page could not be answered");
                let sentence = "The agent could not do this just now; nothing was changed. Try again. If it stays so, tell the \
                    administrator: the agent's log says why.";
                (StatusCode::INTERNAL_SERVER_ERROR, sentence.to_owned())
            }
        };
        let body = html! {
            div.note-page {
                p.alert role="alert" { (capital(&sentence)) }
                p { a href="/work" { "Back to work" } }
            }
        };
        (status, shell::page(None, "", "Not done", &body)).into_response()
    }
}

/// A sentence of an error begins small.
fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

/// For every address that is none of ours.
pub(super) async fn nowhere() -> Refusal {
    Refusal::none("There is no such page.")
}
