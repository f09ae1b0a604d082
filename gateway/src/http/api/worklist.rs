//! The list, and taking, putting back and cancelling tasks.

use std::collections::HashMap;

use axum::Json as Answer;
use axum::extract::State as From;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::body::{Json, Named};
use crate::delivery;
use crate::eligibility::{Act, decide};
use crate::http::State;
use crate::http::auth::{Subject, Who};
use crate::http::error::Problem;
use crate::talk;
use crate::worklist::{self, Changed, Item, Line, Reach, Site};
use causeway_proto::time::Timestamp;

/// A reason has at most this many characters.
const REASON: usize = 500;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    pub(super) reason: String,
}

impl Reason {
    /// The reason, when it is one.
    pub(super) fn checked(&self) -> Result<&str, Problem> {
        let reason = self.reason.trim();
        let legal = !reason.is_empty()
            && reason.chars().count() <= REASON
            && !reason.chars().any(char::is_control);
        if legal {
            Ok(reason)
        } else {
            Err(Problem::bad_request(
                "a reason has 1 to 500 characters on one line",
            ))
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct Claim {
    transaction_uid: String,
    case: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Reservation {
    case: String,
    until: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct PutBack {
    replacement: String,
}

/// A site as pages show it.
pub(super) fn site(site: &Site, now: Timestamp) -> Value {
    let (local, offset) = site.local(now);
    json!({
        "id": site.site_id, "name": site.name, "country": site.country, "time_zone": site.time_zone, "utc_offset": offset,
        "local_time": local, "language": site.language, "phone": site.phone,
    })
}

fn line(line: &Line) -> Value {
    let study = &line.study;
    let shifted = study.has_shifted_dates();
    let date = if shifted { "" } else { &study.study_date };
    json!({
        "uid": study.study_uid, "date": date, "interval": shifted.then_some(super::cases::SHIFTED), "time": study.study_time, "description": study.description,
        "modalities": line.modalities, "body_part": line.body_part, "instances": line.here, "at_site": study.at_site, "held": study.held_at_site,
    })
}

/// What is shown of a case beside its task.
struct Beside {
    reports: HashMap<String, (String, String)>,
    asked: HashMap<String, String>,
    unread: HashMap<String, i64>,
}

fn item(state: &State, subject: &Subject, item: &Item, beside: &Beside) -> Value {
    let report = beside.reports.get(&item.case);
    let views = decide(subject, &item.site.site_id, &item.agreement, Act::View).allowed;
    let asked = beside.asked.get(&item.case).filter(|_| views);
    let unread = beside.unread.get(&item.case).filter(|_| views);
    let reserved = state.reservations.of(&item.workitem, state.clock.now());
    let reserved = reserved.filter(|_| item.state == "SCHEDULED").map(|one| {
        json!({ "name": one.name, "mine": one.account == subject.account, "until": one.until.to_string() })
    });
    let sum = |of: fn(&Line) -> i64| item.studies.iter().map(of).sum::<i64>();
    let holder = item
        .holder
        .as_ref()
        .map(|(account, name)| json!({ "name": name, "mine": *account == subject.account }));
    json!({
        "workitem": item.workitem, "case": item.case, "code": item.code, "state": item.state, "readiness": item.readiness,
        "priority": item.priority, "claimed_by": holder, "reserved": reserved, "waiting_since": item.waiting_since.to_string(),
        "site": site(&item.site, state.clock.now()),
        "patient": item.studies.first().map(|l| super::cases::patient(&l.study)),
        "identity": { "mode": super::cases::mode(item.pseudonymous), "established": item.studies.iter().all(|l| l.study.is_established()) },
        "blocked": item.studies.iter().map(|l| l.study.blocked()).find(|words| !words.is_empty()),
        "studies": item.studies.iter().map(line).collect::<Vec<_>>(),
        "arriving": { "at_site": sum(|l| l.study.at_site), "held": sum(|l| l.study.held_at_site), "here": sum(|l| l.here) },
        "priors": item.priors, "question": asked, "unread": unread.copied().unwrap_or(0),
        "report": report.map(|(status, delivery)| json!({ "status": status, "delivery": delivery })),
    })
}

/// Every task that you may see: most urgent first, then who has waited longest.
#[utoipa::path(get, path = "/worklist", responses((status = 200, body = Object), (status = 401)))]
pub(super) async fn list(
    From(state): From<State>,
    subject: Subject,
) -> Result<Answer<Value>, Problem> {
    let now = state.clock.now();
    let items = worklist::list(&state.rows, &Reach::of(&subject), now).await?;
    let beside = Beside {
        reports: delivery::states(&state.rows).await?,
        asked: talk::asked(&state.rows).await?,
        unread: talk::unread(&state.rows).await?,
    };
    let items: Vec<Value> = items
        .iter()
        .map(|one| item(&state, &subject, one, &beside))
        .collect();
    let withdrawals = super::withdraw::open(&state, &subject).await?;
    Ok(Answer(
        json!({ "now": now.to_string(), "items": items, "withdrawals": withdrawals }),
    ))
}

/// Takes a task. Exactly one claim wins.
#[utoipa::path(post, path = "/workitems/{uid}/claim", params(("uid" = String, Path)), responses((status = 200, body = Claim), (status = 404), (status = 409, description = "held by somebody else, or ended")))]
pub(super) async fn claim(
    From(state): From<State>,
    who: Who,
    Named(uid): Named,
) -> Result<Answer<Claim>, Problem> {
    let now = state.clock.now();
    let (rows, held) = (&state.rows, &state.reservations);
    let won = worklist::claim(rows, held, &who.subject, &uid, now, &state.random).await?;
    state.events.announce(&Changed::one(&won.case));
    Ok(Answer(Claim {
        transaction_uid: won.transaction_uid,
        case: won.case,
    }))
}

/// Reserves a waiting task for two minutes: the one that you read next. You have one at a time; a STAT task is kept from nobody.
#[utoipa::path(post, path = "/workitems/{uid}/reserve", params(("uid" = String, Path)), responses((status = 200, body = Reservation), (status = 404), (status = 409, description = "held by or reserved for somebody else, or ended")))]
pub(super) async fn reserve(
    From(state): From<State>,
    who: Who,
    Named(uid): Named,
) -> Result<Answer<Reservation>, Problem> {
    let now = state.clock.now();
    let (rows, held) = (&state.rows, &state.reservations);
    let (case, until) =
        worklist::reserve(rows, held, &who.subject, &uid, now, &state.random).await?;
    state.events.announce(&Changed::one(&case));
    Ok(Answer(Reservation {
        case,
        until: until.to_string(),
    }))
}

/// Puts a task back: it is cancelled as rescheduled and replaced by a new one; the draft stays.
#[utoipa::path(post, path = "/workitems/{uid}/put-back", params(("uid" = String, Path)), request_body = Reason, responses((status = 200, body = PutBack), (status = 404), (status = 409)))]
pub(super) async fn put_back(
    From(state): From<State>,
    who: Who,
    Named(uid): Named,
    Json(said): Json<Reason>,
) -> Result<Answer<PutBack>, Problem> {
    let (reason, now) = (said.checked()?, state.clock.now());
    let (replacement, case) =
        worklist::put_back(&state.rows, &who.subject, &uid, reason, now, &state.random).await?;
    state.events.announce(&Changed::one(&case));
    Ok(Answer(PutBack { replacement }))
}

/// Cancels a waiting task for everybody. For operators.
#[utoipa::path(post, path = "/workitems/{uid}/cancel", params(("uid" = String, Path)), request_body = Reason, responses((status = 204), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn cancel(
    From(state): From<State>,
    who: Who,
    Named(uid): Named,
    Json(said): Json<Reason>,
) -> Result<axum::http::StatusCode, Problem> {
    let (reason, now) = (said.checked()?, state.clock.now());
    let case = worklist::cancel(&state.rows, &who.subject, &uid, reason, now).await?;
    state.events.announce(&Changed::one(&case));
    Ok(axum::http::StatusCode::NO_CONTENT)
}
