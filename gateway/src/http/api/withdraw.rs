//! Withdrawing a signed report, and the list of withdrawals that nobody at the site has acknowledged.

use axum::Json as Answer;
use axum::extract::State as From;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::body::{Json, Named};
use super::cases::visible;
use super::reporting::{SignedReport, person};
use super::worklist::Reason;
use crate::delivery::{self, Withdrawal};
use crate::eligibility::{Act, Subject, decide};
use crate::http::State;
use crate::http::auth::Who;
use crate::http::error::Problem;
use crate::sign::{Signer, Withdrawn};
use crate::worklist::Changed;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Withdraw {
    /// The report that you saw as the newest.
    report: String,
    /// Why; it stands in the new version.
    reason: String,
}

/// Withdraws the newest report of a case: a new signed version that begins WITHDRAWN, DO NOT USE and goes home before all else.
#[utoipa::path(post, path = "/cases/{case}/withdraw", params(("case" = String, Path)), request_body = Withdraw, responses((status = 201, body = SignedReport), (status = 401, description = "the signing key is locked"), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn withdraw(
    From(state): From<State>,
    who: Who,
    Named(id): Named,
    Json(said): Json<Withdraw>,
) -> Result<Response, Problem> {
    visible(&state, &who.subject, &id).await?;
    let reason = Reason {
        reason: said.reason,
    };
    let signer = Signer {
        subject: &who.subject,
        session: &who.session,
        person: person(&who.account),
        author_id: &who.account.id,
        author: person(&who.account),
    };
    let wanted = Withdrawn {
        case: &id,
        report: &said.report,
        reason: reason.checked()?,
    };
    let done = state
        .signing
        .withdraw(&state.archive, &signer, &wanted)
        .await?;
    state.homeward.ring();
    state.events.announce(&Changed::one(&id));
    let view = SignedReport {
        report: done.report,
        version: done.version,
    };
    Ok((StatusCode::CREATED, Answer(view)).into_response())
}

/// What stays open: for whoever sees the case; `mine` where this person signed the report that waits to be withdrawn.
pub(super) async fn open(state: &State, subject: &Subject) -> Result<Vec<Value>, Problem> {
    let all = delivery::open_withdrawals(&state.rows).await?;
    let seen = all
        .iter()
        .filter(|one| subject.sees(&one.site_id, &one.agreement_id));
    Ok(seen.map(|one| line(one, subject)).collect())
}

fn line(one: &Withdrawal, subject: &Subject) -> Value {
    let withdrawn = one.status == delivery::WITHDRAWN;
    let sentence = if withdrawn {
        "withdrawn; nobody at the site has acknowledged it yet"
    } else {
        "the site has taken the study back, and its signed report stands: withdraw it"
    };
    json!({
        "case": one.case_id, "code": one.code, "site": one.site, "report": one.report, "status": one.status,
        "signed_at": one.signed().to_string(), "mine": one.signer == subject.account, "sentence": sentence,
    })
}

/// Whether this person may withdraw the newest report of a case.
pub(super) fn may(subject: &Subject, site: &str, agreement: &str, signer: Option<&str>) -> bool {
    let theirs = signer == Some(subject.account.as_str()) || subject.roles.operator;
    theirs && decide(subject, site, agreement, Act::SignFinal).allowed
}
