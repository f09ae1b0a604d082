//! Letters between the readers of a case and its site, and what the site says of its studies.

use axum::Json as Answer;
use axum::extract::State as From;
use axum::http::StatusCode;
use causeway_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::body::{Json, Named};
use super::cases::{may_view, visible};
use crate::eligibility::{Act, Subject, decide};
use crate::http::State;
use crate::http::auth::Who;
use crate::http::error::Problem;
use crate::talk::{self, Line, Written};
use crate::worklist::{CaseFacts, Changed};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    text: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Sent {
    letter: String,
}

/// What the site says of the studies of a case, each with its fields that say something.
pub(super) fn contexts(subject: &Subject, facts: &CaseFacts) -> Value {
    if !may_view(subject, facts) {
        return json!([]);
    }
    let said = facts.studies.iter().filter_map(|one| {
        let context = one.context.as_ref()?;
        let mut out = Map::new();
        for (field, text) in context.facts.fields() {
            if !text.is_empty() {
                out.insert(field.to_owned(), json!(text));
            }
        }
        out.insert("study".to_owned(), json!(one.study.study_uid));
        out.insert("version".to_owned(), json!(context.version));
        out.insert("received".to_owned(), json!(context.received.to_string()));
        Some(Value::Object(out))
    });
    said.collect()
}

fn view(line: &Line, account: &str) -> Value {
    let from_site = line.from_site == 1;
    let state = match (from_site, line.read_us, line.heard_us) {
        (_, Some(_), _) => "read",
        (true, None, _) => "new",
        (false, None, Some(_)) => "at-site",
        (false, None, None) => "sent",
    };
    json!({
        "id": line.id, "from": if from_site { "site" } else { "reader" }, "who": line.who,
        "mine": !from_site && line.account_id == account, "text": line.text, "written": Timestamp(line.written_us).to_string(),
        "state": state, "read": line.read_us.map(|at| Timestamp(at).to_string()),
    })
}

/// The letters of a case, for somebody who may read it.
pub(super) async fn letters(
    state: &State,
    subject: &Subject,
    facts: &CaseFacts,
) -> Result<Value, Problem> {
    if !may_view(subject, facts) {
        return Ok(json!([]));
    }
    let lines = talk::of_case(&state.rows, &facts.id).await?;
    Ok(lines
        .iter()
        .map(|line| view(line, &subject.account))
        .collect())
}

async fn readable(state: &State, who: &Who, id: &str, act: Act) -> Result<CaseFacts, Problem> {
    let facts = visible(state, &who.subject, id).await?;
    let decision = decide(&who.subject, &facts.site.site_id, &facts.agreement, act);
    if decision.allowed {
        return Ok(facts);
    }
    let sentence = format!("you may not do this: {}", decision.reasons.join("; "));
    Err(Problem::forbidden(sentence).with("reasons", decision.reasons))
}

/// Writes to the site of a case.
#[utoipa::path(post, path = "/cases/{case}/letters", params(("case" = String, Path)), request_body = Text, responses((status = 201, body = Sent), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn write(
    From(state): From<State>,
    who: Who,
    Named(id): Named,
    Json(said): Json<Text>,
) -> Result<(StatusCode, Answer<Sent>), Problem> {
    let facts = readable(&state, &who, &id, Act::Write).await?;
    let account = &who.account;
    let name = format!(
        "{} {} {}",
        account.title, account.given_name, account.family_name
    );
    let written = Written {
        account: &account.id,
        name: name.trim(),
        text: &said.text,
    };
    let now = state.clock.now();
    let letter = talk::write(&state.rows, &facts, written, &state.random, now).await?;
    // whoever answers has read; the letter stands, whatever becomes of that, and must not be written twice
    if let Err(error) = talk::mark_read(&state.rows, &facts, &account.id, now).await {
        tracing::error!(%error, "what a letter answers stays unread");
    }
    state.events.announce(&Changed::one(&facts.id));
    state.homeward.ring();
    Ok((StatusCode::CREATED, Answer(Sent { letter })))
}

/// Says that you have read what the site has written about a case.
#[utoipa::path(post, path = "/cases/{case}/letters/read", params(("case" = String, Path)), responses((status = 204), (status = 403), (status = 404)))]
pub(super) async fn read(
    From(state): From<State>,
    who: Who,
    Named(id): Named,
) -> Result<StatusCode, Problem> {
    let facts = readable(&state, &who, &id, Act::View).await?;
    let now = state.clock.now();
    if talk::mark_read(&state.rows, &facts, &who.account.id, now).await? > 0 {
        state.events.announce(&Changed::one(&facts.id));
        state.homeward.ring();
    }
    Ok(StatusCode::NO_CONTENT)
}
