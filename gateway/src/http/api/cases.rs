//! One case: where it comes from, who it is, what was asked, every series, the priors, the report and what you may do.

use axum::extract::State as From;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use causeway_proto::digest::Digest;
use causeway_proto::link::message::terms;
use causeway_proto::time::Timestamp;
use serde_json::{Map, Value, json};

use super::body::Named;
use super::letters;
use super::shown::{Shown, shown};
use super::worklist::site;
use crate::audit::Look;
use crate::delivery::{self, DocumentView};
use crate::eligibility::{Act, Subject, decide};
use crate::http::State;
use crate::http::auth::{Who, is_ahead};
use crate::http::error::Problem;
use crate::report::{self, Signed};
use crate::worklist::{self, CaseFacts, Series, Study, StudyFacts, Task};

/// The patient as pages show him.
pub(super) fn patient(study: &Study) -> Value {
    json!({ "name": study.patient_name, "id": study.patient_id, "sex": study.sex, "birth_date": study.birth_date, "age": study.age_at_study() })
}

/// The case, if it exists for this person.
pub(super) async fn visible(
    state: &State,
    subject: &Subject,
    id: &str,
) -> Result<CaseFacts, Problem> {
    let mut reading = state.rows.read().acquire().await?;
    let facts = worklist::case(&mut reading, id).await?;
    facts
        .filter(|f| subject.sees(&f.site.site_id, &f.agreement))
        .ok_or_else(Problem::not_found)
}

/// Whether this person may read what is said of the patient: an operator sees that a case exists and no more.
pub(super) fn may_view(subject: &Subject, facts: &CaseFacts) -> bool {
    decide(subject, &facts.site.site_id, &facts.agreement, Act::View).allowed
}

/// Writes down that somebody is about to see this case, before he sees anything of it.
pub(super) async fn looked(
    state: &State,
    subject: &Subject,
    facts: &CaseFacts,
    event: &'static str,
) -> Result<(), Problem> {
    let look = Look {
        event,
        actor: subject.account.clone(),
        site: facts.site.site_id.clone(),
        subject: facts.id.clone(),
        detail: json!({ "case": facts.code, "agreement": facts.agreement }),
    };
    Ok(state.trail.looked(state.clock.now(), look).await?)
}

fn series(one: &Series) -> Value {
    let (place, name) = shown(&one.sop_class);
    let reason = (place == Shown::Nowhere).then_some(name);
    json!({
        "uid": one.series_uid, "number": one.number, "modality": one.modality, "description": one.description, "body_part": one.body_part,
        "class": one.sop_class, "class_name": name, "instances": one.instances, "shown": place.word(), "reason": reason,
        "first": one.first_sop_uid,
    })
}

/// A study's date, or nothing where it is shifted; then where it lies from the first study of the case.
fn dated(row: &Study, first: Option<&Study>) -> (String, Option<String>) {
    if !row.has_shifted_dates() {
        return (row.study_date.clone(), None);
    }
    let lies = match first {
        Some(first) if first.study_uid != row.study_uid => worklist::interval(first, row)
            .unwrap_or_else(|| "how long before or after this study is not known".to_owned()),
        _ => SHIFTED.to_owned(),
    };
    (String::new(), Some(lies))
}

/// What stands in the place of a date that is shifted.
pub(super) const SHIFTED: &str = "dates shifted";

fn study(one: &StudyFacts, role: &str, first: Option<&Study>) -> Value {
    let (row, withheld) = (&one.study, &one.withheld);
    let (date, interval) = dated(row, first);
    let withheld: Vec<Value> = withheld
        .iter()
        .map(|w| json!({ "modality": w.modality, "class": w.class, "class_name": shown(&w.class).1, "count": w.count, "reason": w.reason }))
        .collect();
    json!({
        "uid": row.study_uid, "role": role, "description": row.description, "date": date, "interval": interval, "time": row.study_time,
        "accession": row.accession, "manifest_version": row.manifest_version, "sealed_at": row.sealed_us.map(|at| Timestamp(at).to_string()),
        "withheld": withheld, "series": one.series.iter().map(series).collect::<Vec<_>>(),
        "recalled": row.recalled_us.is_some(), "images_gone": row.images_gone(), "remarks": row.remarks(),
        "quarantined": one.quarantined.iter().map(|q| json!({ "count": q.count, "reason": q.reason })).collect::<Vec<_>>(),
    })
}

/// How identity travels, in the agreement's word.
pub(super) fn mode(pseudonymous: bool) -> &'static str {
    if pseudonymous {
        terms::PSEUDONYMOUS
    } else {
        terms::IDENTIFIED
    }
}

fn identity(facts: &CaseFacts) -> Value {
    let established = facts.established();
    let sentence = match (established, facts.pseudonymous) {
        (false, _) => "identity not established at the site",
        (true, true) => "a pseudonym: the identity stays at the site",
        (true, false) => "as the image headers say",
    };
    json!({ "mode": mode(facts.pseudonymous), "established": established, "version": facts.identity_version(), "sentence": sentence })
}

/// What the headers of an image say of the order (P9), by our names for it.
const ASKED: [(&str, &str); 7] = [
    ("00321060", "procedure"),
    ("00401002", "reason"),
    ("001021B0", "history"),
    ("00081080", "admitting_diagnoses"),
    ("00204000", "comments"),
    ("00104000", "patient_comments"),
    ("00181030", "protocol"),
];

async fn request_text(state: &State, facts: &CaseFacts) -> Result<Value, Problem> {
    let mut out = Map::new();
    let Some(first) = facts.studies.first() else {
        return Ok(Value::Null);
    };
    let row = &first.study;
    for (name, text) in [
        ("description", &row.description),
        ("referrer", &row.referrer),
    ] {
        if !text.is_empty() {
            out.insert(name.to_owned(), json!(text.replace('^', " ").trim()));
        }
    }
    let image = first.series.iter().find(|s| s.is_evidence());
    if let Some(image) = image {
        let metadata = worklist::header(&state.rows, row, &image.first_sop_uid).await?;
        for (tag, name) in ASKED {
            let value = metadata.pointer(&format!("/{tag}/Value/0"));
            if let Some(text) = value
                .and_then(Value::as_str)
                .filter(|t| !t.trim().is_empty())
            {
                out.insert(name.to_owned(), json!(text.trim()));
            }
        }
    }
    Ok(Value::Object(out))
}

/// Where a report stands: the worst of its documents, and every destination and form.
pub(super) fn delivered(report: &str, documents: &[DocumentView]) -> Value {
    let mine: Vec<&DocumentView> = documents.iter().filter(|d| d.report == report).collect();
    let Some(worst) = mine.iter().min_by_key(|d| delivery::rank(&d.state)) else {
        return Value::Null;
    };
    let forms: Vec<Value> = mine
        .iter()
        .flat_map(|d| &d.forms)
        .map(|f| {
            json!({ "destination": f.destination, "form": f.form, "state": f.state, "sentence": f.sentence,
                "next_try": f.next_try.map(|t| t.to_string()), "since": f.since.to_string() })
        })
        .collect();
    json!({ "state": worst.state, "sentence": worst.sentence, "forms": forms })
}

pub(super) fn report_view(
    signed: &Signed,
    name: &(String, String),
    documents: &[DocumentView],
    withdrawn: bool,
) -> Value {
    json!({
        "id": signed.id, "version": signed.version, "status": signed.status, "signed_at": signed.at().to_string(),
        "signed_by": { "name": name.0, "title": name.1 }, "predecessor": signed.predecessor_id,
        "withdrawn": signed.status == delivery::WITHDRAWN || withdrawn, "acknowledged": acknowledged(signed, documents),
        "delivery": delivered(&signed.id, documents),
    })
}

/// The signed reports of a case as pages show them.
pub(super) async fn reports(state: &State, case: &str) -> Result<Vec<Value>, Problem> {
    let mut reading = state.rows.read().acquire().await?;
    let signed = report::of_case(&mut reading, case).await?;
    drop(reading);
    let documents = delivery::of_case(&state.rows, case).await?;
    let mut out = Vec::new();
    for one in &signed {
        let by = one.verifier_id.as_ref().unwrap_or(&one.author_id);
        let account = crate::access::accounts::by_id(&state.rows, by).await?;
        let name = account.map_or_else(Default::default, |a| {
            let name = format!("{} {}", a.given_name, a.family_name);
            (name.trim().to_owned(), a.title)
        });
        let after = signed
            .iter()
            .find(|next| next.predecessor_id.as_ref() == Some(&one.id));
        let withdrawn = after.is_some_and(|next| next.status == delivery::WITHDRAWN);
        out.push(report_view(one, &name, &documents, withdrawn));
    }
    Ok(out)
}

/// Since when a withdrawal is acknowledged at the site for each of its documents; null while it is not, and for other reports.
fn acknowledged(signed: &Signed, documents: &[DocumentView]) -> Value {
    if signed.status != delivery::WITHDRAWN {
        return Value::Null;
    }
    let mine = documents.iter().filter(|d| d.report == signed.id);
    let all: Option<Vec<_>> = mine.map(|d| d.acknowledged).collect();
    let last = all.and_then(|all| all.into_iter().max());
    json!(last.map(|at| at.to_string()))
}

/// Whether this person may withdraw the newest report of the case.
async fn may_withdraw(
    state: &State,
    subject: &Subject,
    facts: &CaseFacts,
) -> Result<bool, Problem> {
    let mut reading = state.rows.read().acquire().await?;
    let last = report::of_case(&mut reading, &facts.id).await?.pop();
    let last = last.filter(|one| one.status != delivery::WITHDRAWN);
    let signer = last.map(|one| one.verifier_id.unwrap_or(one.author_id));
    let (site, agreement) = (&facts.site.site_id, &facts.agreement);
    Ok(signer.is_some_and(|by| super::withdraw::may(subject, site, agreement, Some(&by))))
}

/// What this person may do now, and why not.
fn may(
    subject: &Subject,
    facts: &CaseFacts,
    task: Option<&Task>,
    (reported, withdraw): (bool, bool),
) -> Value {
    let ask = |act| decide(subject, &facts.site.site_id, &facts.agreement, act);
    let mine = task.is_some_and(|t| t.state == "IN PROGRESS" && t.holder_id == subject.account);
    let waiting = task.is_some_and(|t| t.state == "SCHEDULED");
    let free = facts.blocked().is_none();
    let live = !facts.recalled();
    let whose = !facts.another_patient();
    let done = !mine && reported && task.is_none_or(|t| t.state != "IN PROGRESS");
    let mut reasons: Vec<&str> = ask(Act::SignFinal).reasons;
    if !live {
        reasons.push("the site has taken a study of this case back");
    }
    if !whose {
        reasons.push("objects of another patient came under a study of this case; the operator has to decide on them first");
    }
    if !free {
        reasons.push("nothing may be signed now");
    }
    if mine && !facts.complete() {
        reasons.push("images are still arriving: signing final needs a reason");
    }
    json!({
        "claim": waiting && live && ask(Act::Claim).allowed,
        "put_back": mine,
        "write": mine && ask(Act::Write).allowed,
        "sign_preliminary": mine && live && whose && free && ask(Act::SignPreliminary).allowed,
        "sign_final": mine && live && whose && free && ask(Act::SignFinal).allowed,
        "correct": done && ask(Act::Write).allowed,
        "withdraw": withdraw,
        "letter": live && ask(Act::Write).allowed,
        "reasons": reasons,
    })
}

fn task_view(task: &Task, subject: &Subject) -> Value {
    let mine = task.state == "IN PROGRESS" && task.holder_id == subject.account;
    let holder = (task.state == "IN PROGRESS").then(
        || json!({ "name": task.holder, "mine": mine, "since": task.since.map(|t| t.to_string()) }),
    );
    let mut out = json!({
        "uid": task.uid, "code": task.code, "state": task.state, "readiness": task.readiness, "claimed_by": holder, "reason": task.reason,
        "replaces": task.replaces,
    });
    // the lock is shown to nobody but its holder
    if let (true, Some(members)) = (mine, out.as_object_mut()) {
        members.insert("transaction_uid".to_owned(), json!(task.transaction_uid));
    }
    out
}

fn viewer_url(facts: &CaseFacts) -> String {
    let all = facts.studies.iter().chain(&facts.priors);
    let all = all.filter(|one| one.here() > 0);
    let uids: Vec<&str> = all.map(|s| s.study.study_uid.as_str()).collect();
    format!("/viewer/viewer?StudyInstanceUIDs={}", uids.join(","))
}

/// A case with everything that reading it needs. The ETag changes when anything of it does.
#[utoipa::path(get, path = "/cases/{case}", params(("case" = String, Path)), responses((status = 200, body = Object), (status = 304), (status = 404)))]
pub(super) async fn case(
    From(state): From<State>,
    who: Who,
    Named(id): Named,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let facts = visible(&state, &who.subject, &id).await?;
    let event = if is_ahead(&headers) {
        "case-prefetched"
    } else {
        "case-opened"
    };
    looked(&state, &who.subject, &facts, event).await?;
    let task = worklist::task(&state.rows, &id).await?;
    let draft = if may_view(&who.subject, &facts) {
        let mut reading = state.rows.read().acquire().await?;
        report::draft(&mut reading, &id).await?
    } else {
        None
    };
    let reports = reports(&state, &id).await?;
    let withdraw = may_withdraw(&state, &who.subject, &facts).await?;
    let sum = |of: fn(&StudyFacts) -> i64| facts.studies.iter().map(of).sum::<i64>();
    let first = facts.studies.first().map(|s| &s.study);
    let current = facts.studies.iter().map(|s| study(s, "current", first));
    let priors = facts.priors.iter().map(|s| study(s, "prior", first));
    let mut body = json!({
        "case": facts.id, "code": facts.code,
        "workitem": task.as_ref().map(|t| task_view(t, &who.subject)),
        "patient": facts.studies.first().map(|s| patient(&s.study)),
        "identity": identity(&facts),
        "blocked": facts.blocked(),
        "priority": task.as_ref().map(|t| t.priority.clone()),
        "context": letters::contexts(&who.subject, &facts),
        "letters": letters::letters(&state, &who.subject, &facts).await?,
        "request_text": request_text(&state, &facts).await?,
        "studies": current.chain(priors).collect::<Vec<_>>(),
        "manifest_version": facts.manifest_version(),
        "recalled": facts.recalled(),
        "recall_reason": facts.studies.iter().find_map(|s| s.study.recall_reason.clone()),
        "arriving": { "at_site": sum(|s| s.study.at_site), "held": sum(|s| s.study.held_at_site), "here": sum(StudyFacts::here) },
        "viewer_url": viewer_url(&facts),
        "draft": draft.map(|d| json!({ "version": d.version, "content": d.content })),
        "may": may(&who.subject, &facts, task.as_ref(), (!reports.is_empty(), withdraw)),
        "reports": reports,
    });
    let etag = format!("\"{}\"", Digest::of(body.to_string().as_bytes()));
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|v| *v == etag)
    {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    // the wall clock of the site is no part of the case's version
    if let Some(members) = body.as_object_mut() {
        members.insert("site".to_owned(), site(&facts.site, state.clock.now()));
        members.insert("now".to_owned(), json!(state.clock.now().to_string()));
    }
    let mut answer = axum::Json(body).into_response();
    if let Ok(value) = HeaderValue::from_str(&etag) {
        answer.headers_mut().insert(header::ETAG, value);
    }
    Ok(answer)
}
