//! Signing in and out. The form carries a word that a cookie holds too, so that nobody is signed in by another's page.

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use maud::html;
use serde::Deserialize;

use super::answer::Refusal;
use super::guard::{self, FORM, Posted};
use super::{Page, shell};

/// Where to go afterwards.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    to: String,
}

/// A path of ours, or the first page.
fn place(to: &str) -> &str {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-');
    let ours = to.starts_with('/') && !to.starts_with("//") && to.bytes().all(legal);
    if ours { to } else { "/work" }
}

/// The form.
pub(super) async fn form(
    State(page): State<Page>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let known = guard::cookie(&headers, page.secure, "form").filter(|word| word.len() == 32);
    answer(&page, known, place(&asked.to), None)
}

fn answer(
    page: &Page,
    known: Option<String>,
    to: &str,
    trouble: Option<(StatusCode, String)>,
) -> Result<Response, Refusal> {
    let word = known.unwrap_or_else(|| page.random.token());
    let (status, sentence) = match trouble {
        Some((status, sentence)) => (status, Some(sentence)),
        None => (StatusCode::OK, None),
    };
    let body = html! {
        form.sign-in method="post" action="/sign-in" {
            h1 { "Sign in" }
            p.dim { "For people in this hospital, with an account of this page." }
            @if let Some(sentence) = sentence { p.alert role="alert" { (sentence) } }
            input type="hidden" name=(FORM) value=(word);
            input type="hidden" name="to" value=(to);
            label for="name" { "Name" }
            input id="name" name="name" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus;
            label for="password" { "Password" }
            input id="password" name="password" type="password" autocomplete="current-password" required;
            button.primary { "Sign in" }
        }
    };
    let cookie = guard::set_cookie(page.secure, "form", &word)?;
    Ok((
        status,
        AppendHeaders([(header::SET_COOKIE, cookie)]),
        shell::page(None, "", "Sign in", &body),
    )
        .into_response())
}

/// Signs in.
pub(super) async fn enter(
    State(page): State<Page>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    let address = guard::address(&request);
    let word = guard::cookie(&headers, page.secure, "form");
    let fields = guard::fields(request, &page).await?;
    let (name, to) = (fields.get("name"), place(fields.get("to")));
    if !word
        .as_deref()
        .is_some_and(|word| guard::same(word, fields.get(FORM)))
    {
        let sentence = "The form had grown old. Try once more.".to_owned();
        return answer(&page, None, to, Some((StatusCode::FORBIDDEN, sentence)));
    }
    if let Err(wait) = page.throttle.attempt(name, address, page.clock.now()) {
        let seconds = wait.as_secs().saturating_add(1);
        let sentence = format!("Too many wrong tries. Wait {seconds} s and try again.");
        return answer(
            &page,
            word,
            to,
            Some((StatusCode::TOO_MANY_REQUESTS, sentence)),
        );
    }
    let password = fields.0.iter().find(|(key, _)| key == "password");
    let password = password
        .map(|(_, value)| value.as_str())
        .unwrap_or_default();
    let Some(account) = page.accounts.check(name, password).await? else {
        page.accounts.failed(name, address).await?;
        tracing::warn!("somebody could not sign in at the site page");
        let sentence = "Name or password are not right.".to_owned();
        return answer(&page, word, to, Some((StatusCode::UNAUTHORIZED, sentence)));
    };
    page.throttle.right(name, address, page.clock.now());
    let session = page.sessions.begin(&account).await?;
    tracing::info!(who = %account.name, "signed in at the site page");
    let cookies = [
        (
            header::SET_COOKIE,
            guard::set_cookie(page.secure, "session", &session)?,
        ),
        (
            header::SET_COOKIE,
            guard::set_cookie(page.secure, "form", "")?,
        ),
    ];
    Ok((AppendHeaders(cookies), Redirect::to(to)).into_response())
}

/// Signs out.
pub(super) async fn leave(State(page): State<Page>, posted: Posted) -> Result<Response, Refusal> {
    page.sessions.end(&posted.person).await?;
    let cookie = guard::set_cookie(page.secure, "session", "")?;
    Ok((
        AppendHeaders([(header::SET_COOKIE, cookie)]),
        Redirect::to("/sign-in"),
    )
        .into_response())
}
