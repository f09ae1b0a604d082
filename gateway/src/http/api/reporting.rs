//! The draft of a case, its preview, signing it, and correcting what was signed.

use axum::Json as Answer;
use axum::extract::State as From;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use causeway_proto::report::model::{Person, Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Json, Named};
use super::cases::{looked, visible};
use super::worklist::Reason;
use crate::access::{Account, accounts};
use crate::eligibility::{Act, decide};
use crate::http::State;
use crate::http::auth::Who;
use crate::http::error::Problem;
use crate::report::{self, Basis, Content, Copy, Draft, Expect};
use crate::sign::{Signer, Wanted};
use crate::worklist::{self, CaseFacts, Changed};

#[derive(Serialize, ToSchema)]
pub(super) struct Version {
    version: i64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct DraftView {
    version: i64,
    content: Content,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Final,
    Preliminary,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PreviewWanted {
    status: Status,
    #[serde(default)]
    override_reason: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Preview {
    html: String,
    text: String,
    draft_version: i64,
    manifest_version: String,
    identity_version: String,
    warnings: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignWanted {
    status: Status,
    draft_version: i64,
    manifest_version: String,
    identity_version: String,
    #[serde(default)]
    acknowledged_withheld: bool,
    #[serde(default)]
    override_reason: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SignedReport {
    pub(super) report: String,
    pub(super) version: i64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Correction {
    workitem: String,
    transaction_uid: String,
    draft_version: i64,
}

/// How a person stands in a report.
pub(super) fn person(account: &Account) -> Person {
    Person {
        family: account.family_name.clone(),
        given: account.given_name.clone(),
        title: account.title.clone(),
        organisation: account.organisation.clone(),
        registration: account.registration_number.clone(),
        country: account.country.clone(),
        phone: account.phone.clone(),
        role: Role::Physician,
    }
}

/// The case, for somebody who may do this to it.
async fn for_act(state: &State, who: &Who, id: &str, act: Act) -> Result<CaseFacts, Problem> {
    let facts = visible(state, &who.subject, id).await?;
    let decision = decide(&who.subject, &facts.site.site_id, &facts.agreement, act);
    if decision.allowed {
        return Ok(facts);
    }
    let sentence = format!("you may not do this: {}", decision.reasons.join("; "));
    Err(Problem::forbidden(sentence).with("reasons", decision.reasons))
}

async fn draft_of(state: &State, case: &str) -> Result<Option<Draft>, Problem> {
    let mut reading = state.rows.read().acquire().await?;
    Ok(report::draft(&mut reading, case).await?)
}

fn etag(answer: &mut Response, version: i64) {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{version}\"")) {
        answer.headers_mut().insert(header::ETAG, value);
    }
}

/// The draft as the server has it.
#[utoipa::path(get, path = "/cases/{case}/draft", params(("case" = String, Path)), responses((status = 200, body = DraftView), (status = 404)))]
pub(super) async fn draft(
    From(state): From<State>,
    who: Who,
    Named(id): Named,
) -> Result<Response, Problem> {
    for_act(&state, &who, &id, Act::View).await?;
    let draft = draft_of(&state, &id).await?;
    let draft = draft.ok_or_else(Problem::not_found)?;
    let version = draft.version;
    let view = DraftView {
        version,
        content: draft.content,
    };
    let mut answer = Answer(view).into_response();
    etag(&mut answer, version);
    Ok(answer)
}

/// What the writer believes to overwrite, from `If-Match` or `If-None-Match: *`.
fn expected(headers: &HeaderMap) -> Result<Expect, Problem> {
    let said = |name| {
        headers
            .get(name)
            .and_then(|v: &HeaderValue| v.to_str().ok())
    };
    if let Some(value) = said(header::IF_MATCH) {
        let number = value
            .trim()
            .strip_prefix('"')
            .and_then(|v| v.strip_suffix('"'))
            .and_then(|v| v.parse().ok());
        return number
            .map(Expect::Version)
            .ok_or_else(|| Problem::bad_request("If-Match names a version of the draft"));
    }
    match said(header::IF_NONE_MATCH) {
        Some("*") => Ok(Expect::Nothing),
        _ => Err(Problem::new(
            StatusCode::PRECONDITION_REQUIRED,
            "precondition-required",
            "name the version to overwrite with If-Match, or If-None-Match: * for the first",
        )),
    }
}

/// Saves the draft. Nobody's version is overwritten unseen.
#[utoipa::path(put, path = "/cases/{case}/draft", params(("case" = String, Path)), request_body = Content, responses((status = 200, body = Version), (status = 404), (status = 409), (status = 412), (status = 428)))]
pub(super) async fn save(
    From(state): From<State>,
    who: Who,
    Named(id): Named,
    headers: HeaderMap,
    Json(content): Json<Content>,
) -> Result<Response, Problem> {
    for_act(&state, &who, &id, Act::Write).await?;
    let expect = expected(&headers)?;
    let (account, now) = (&who.account.id, state.clock.now());
    let version = report::put(&state.rows, &id, account, &content, expect, now).await?;
    let mut answer = Answer(Version { version }).into_response();
    etag(&mut answer, version);
    Ok(answer)
}

/// The report as it would be signed now, and the versions that the signature will name.
#[utoipa::path(post, path = "/cases/{case}/preview", params(("case" = String, Path)), request_body = PreviewWanted, responses((status = 200, body = Preview), (status = 404), (status = 409)))]
pub(super) async fn preview(
    From(state): From<State>,
    who: Who,
    Named(id): Named,
    Json(said): Json<PreviewWanted>,
) -> Result<Answer<Preview>, Problem> {
    let facts = for_act(&state, &who, &id, Act::Write).await?;
    let draft = draft_of(&state, &id).await?;
    let draft = draft.ok_or(report::ReportError::NoDraft)?;
    looked(&state, &who.subject, &facts, "report-previewed").await?;
    let is_final = said.status == Status::Final;
    let author = author(&state, &who, &draft).await?;
    let task = worklist::task(&state.rows, &id).await?;
    let warnings = report::warnings(&facts, &draft.content, is_final);
    let (manifest_version, identity_version) = (facts.manifest_version(), facts.identity_version());
    let mut reading = state.rows.read().acquire().await?;
    let ground = report::gather(&mut reading, facts).await?;
    drop(reading);
    let placeholder = Copy {
        series: "2.25.0".to_owned(),
        instance: "2.25.0".to_owned(),
    };
    let copies = vec![placeholder; ground.facts.studies.len()];
    let basis = Basis {
        content: &draft.content,
        author: person(&author),
        verifier: is_final.then(|| person(&who.account)),
        override_reason: said.override_reason.as_deref(),
        correction: task.as_ref().and_then(|t| t.reason.as_deref()),
        at: state.clock.now(),
    };
    let first = ground.compose(&basis, &copies)?.into_iter().next();
    let first = first.ok_or_else(Problem::not_found)?;
    Ok(Answer(Preview {
        html: report::html(&first),
        text: report::text(&first),
        draft_version: draft.version,
        manifest_version,
        identity_version,
        warnings,
    }))
}

/// The account that wrote the draft last.
async fn author(state: &State, who: &Who, draft: &Draft) -> Result<Account, Problem> {
    if draft.author == who.account.id {
        return Ok(who.account.clone());
    }
    let found = accounts::by_id(&state.rows, &draft.author).await?;
    found.ok_or_else(Problem::not_found)
}

/// Signs. The versions are those of the preview: anything that has changed since answers 409 or 412 and nothing is signed.
#[utoipa::path(post, path = "/cases/{case}/sign", params(("case" = String, Path)), request_body = SignWanted, responses((status = 201, body = SignedReport), (status = 401, description = "the signing key is locked"), (status = 404), (status = 409), (status = 412)))]
pub(super) async fn sign(
    From(state): From<State>,
    who: Who,
    Named(id): Named,
    Json(said): Json<SignWanted>,
) -> Result<Response, Problem> {
    visible(&state, &who.subject, &id).await?;
    let draft = draft_of(&state, &id).await?;
    let draft = draft.ok_or(report::ReportError::NoDraft)?;
    let author = author(&state, &who, &draft).await?;
    if let Some(reason) = &said.override_reason {
        let reason = Reason {
            reason: reason.clone(),
        };
        reason.checked()?;
    }
    let wanted = Wanted {
        case: id.clone(),
        is_final: said.status == Status::Final,
        draft_version: said.draft_version,
        manifest_version: said.manifest_version,
        identity_version: said.identity_version,
        acknowledged_withheld: said.acknowledged_withheld,
        override_reason: said.override_reason,
    };
    let signer = Signer {
        subject: &who.subject,
        session: &who.session,
        person: person(&who.account),
        author_id: &author.id,
        author: person(&author),
    };
    let done = state.signing.sign(&state.archive, &signer, &wanted).await?;
    state.homeward.ring();
    state.events.announce(&Changed::one(&id));
    let view = SignedReport {
        report: done.report,
        version: done.version,
    };
    Ok((StatusCode::CREATED, Answer(view)).into_response())
}

/// Opens a correction of the newest signed report: a task of yours and a draft that begins where the report ended.
#[utoipa::path(post, path = "/cases/{case}/correct", params(("case" = String, Path)), request_body = Reason, responses((status = 201, body = Correction), (status = 404), (status = 409)))]
pub(super) async fn correct(
    From(state): From<State>,
    who: Who,
    Named(id): Named,
    Json(said): Json<Reason>,
) -> Result<Response, Problem> {
    for_act(&state, &who, &id, Act::Write).await?;
    let (reason, now) = (said.checked()?, state.clock.now());
    let (task, draft_version) =
        report::correct(&state.rows, &who.subject, &id, reason, now, &state.random).await?;
    state.events.announce(&Changed::one(&id));
    let view = Correction {
        workitem: task.workitem,
        transaction_uid: task.transaction_uid,
        draft_version,
    };
    Ok((StatusCode::CREATED, Answer(view)).into_response())
}
