//! Signing in and out, tokens, and the signing key.

use axum::Json as Answer;
use axum::extract::State as From;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Json;
use crate::access::{AccessError, Account, accounts};
use crate::audit::Look;
use crate::http::State;
use crate::http::auth::{Who, same_site, set_cookie};
use crate::http::error::Problem;
use crate::sign::SignError;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    user: String,
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Password {
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    old: String,
    new: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SigningKey {
    /// `unlocked`, `locked` or `none`.
    state: &'static str,
    /// Until when it stays usable without activity.
    until: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct AccountView {
    id: String,
    user: String,
    name: String,
    title: String,
    organisation: String,
    country: String,
    roles: Vec<&'static str>,
    signing_key: SigningKey,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SignedIn {
    account: AccountView,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Token {
    token: String,
    expires_at: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Until {
    until: String,
}

async fn view(state: &State, account: &Account, session: &str) -> Result<AccountView, Problem> {
    let until = state.signing.until(session);
    let key = if until.is_some() {
        "unlocked"
    } else if may_sign(account) && state.signing.has_key(&account.id).await? {
        "locked"
    } else {
        "none"
    };
    Ok(AccountView {
        id: account.id.clone(),
        user: account.user_name.clone(),
        name: format!("{} {}", account.given_name, account.family_name)
            .trim()
            .to_owned(),
        title: account.title.clone(),
        organisation: account.organisation.clone(),
        country: account.country.clone(),
        roles: account.roles().words(),
        signing_key: SigningKey {
            state: key,
            until: until.map(|t| t.to_string()),
        },
    })
}

fn may_sign(account: &Account) -> bool {
    account.roles().reader || account.roles().verifier
}

async fn unlock_for(
    state: &State,
    account: &Account,
    password: &str,
    session: &str,
) -> Result<causeway_proto::time::Timestamp, SignError> {
    let person = account.person();
    state
        .signing
        .unlock(&account.id, &person, password, session)
        .await
}

/// Signs in: answers a session cookie and unlocks the signing key.
#[utoipa::path(post, path = "/session", request_body = Credentials, responses(
    (status = 200, body = SignedIn), (status = 401, description = "user name or password are not right"), (status = 429, description = "too many wrong passwords")))]
pub(super) async fn sign_in(
    From(state): From<State>,
    method: Method,
    headers: HeaderMap,
    Json(said): Json<Credentials>,
) -> Result<Response, Problem> {
    same_site(&state, &method, &headers)?;
    let account = state.access.login(&said.user, &said.password).await?;
    let cookie = state.access.begin_session(&account).await?;
    if may_sign(&account)
        && let Err(error) = unlock_for(&state, &account, &said.password, &cookie.hash()).await
    {
        // he can read without it; the page shows that the key is locked
        tracing::warn!(account = account.id, %error, "the signing key stays locked");
    }
    let account = view(&state, &account, &cookie.hash()).await?;
    let mut answer = Answer(SignedIn { account }).into_response();
    if let Some(value) = set_cookie(&state, Some(&cookie)) {
        answer.headers_mut().insert(header::SET_COOKIE, value);
    }
    Ok(answer)
}

/// Signs out: the session ends and the signing key is locked.
#[utoipa::path(delete, path = "/session", responses((status = 204)))]
pub(super) async fn sign_out(From(state): From<State>, who: Who) -> Result<Response, Problem> {
    if let Some(cookie) = &who.cookie {
        state.access.end_session(cookie).await?;
    }
    state.signing.lock(&who.session);
    let mut answer = StatusCode::NO_CONTENT.into_response();
    if let Some(value) = set_cookie(&state, None) {
        answer.headers_mut().insert(header::SET_COOKIE, value);
    }
    Ok(answer)
}

/// Who is signed in.
#[utoipa::path(get, path = "/me", responses((status = 200, body = AccountView), (status = 401)))]
pub(super) async fn me(From(state): From<State>, who: Who) -> Result<Answer<AccountView>, Problem> {
    Ok(Answer(view(&state, &who.account, &who.session).await?))
}

/// A bearer token for scripts. It reads and writes at once; before it signs, unlock the signing key with it.
#[utoipa::path(post, path = "/token", request_body = Credentials, responses((status = 200, body = Token), (status = 401), (status = 429)))]
pub(super) async fn token(
    From(state): From<State>,
    method: Method,
    headers: HeaderMap,
    Json(said): Json<Credentials>,
) -> Result<Answer<Token>, Problem> {
    same_site(&state, &method, &headers)?;
    let account = state.access.login(&said.user, &said.password).await?;
    let (token, expires) = state.access.token(&account)?;
    let look = Look {
        event: "token-issued",
        actor: account.id.clone(),
        site: String::new(),
        subject: account.id.clone(),
        detail: serde_json::json!({}),
    };
    state.trail.looked(state.clock.now(), look).await?;
    Ok(Answer(Token {
        token,
        expires_at: expires.to_string(),
    }))
}

/// Unlocks the signing key for this session or token.
#[utoipa::path(post, path = "/signing-key/unlock", request_body = Password, responses((status = 200, body = Until), (status = 403), (status = 429)))]
pub(super) async fn unlock(
    From(state): From<State>,
    who: Who,
    Json(said): Json<Password>,
) -> Result<Answer<Until>, Problem> {
    check_own(&state, &who.account, &said.password).await?;
    if !may_sign(&who.account) {
        return Err(SignError::NoKey.into());
    }
    let until = unlock_for(&state, &who.account, &said.password, &who.session).await?;
    Ok(Answer(Until {
        until: until.to_string(),
    }))
}

/// Changes one's own password: every session and token of before ends, this one too.
#[utoipa::path(post, path = "/password", request_body = NewPassword, responses((status = 204), (status = 400), (status = 403), (status = 429)))]
pub(super) async fn password(
    From(state): From<State>,
    who: Who,
    Json(said): Json<NewPassword>,
) -> Result<StatusCode, Problem> {
    match accounts::change_password(&state.access, &who.account, &said.old, &said.new).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(AccessError::Refused) => Err(Problem::forbidden("that is not the password")),
        Err(other) => Err(other.into()),
    }
}

/// 403 for a wrong password of somebody who is signed in: 401 would say that he is not.
async fn check_own(state: &State, account: &Account, password: &str) -> Result<(), Problem> {
    match state.access.check_password(account, password).await {
        Err(AccessError::Refused) => Err(Problem::forbidden("that is not the password")),
        other => Ok(other?),
    }
}
