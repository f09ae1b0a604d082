//! Signed reports: read by whoever sees the case, changed by nobody.

use axum::Json as Answer;
use axum::extract::State as From;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use causeway_proto::report::sr;
use serde_json::{Value, json};

use super::body::Named;
use super::cases;
use crate::archive::BlobKey;
use crate::eligibility::Subject;
use crate::http::State;
use crate::http::error::Problem;
use crate::report::{self, Signed};
use crate::worklist::CaseFacts;

/// The report and its case, if that exists for this person.
async fn visible(
    state: &State,
    subject: &Subject,
    id: &str,
) -> Result<(Signed, CaseFacts), Problem> {
    let mut reading = state.rows.read().acquire().await?;
    let found = report::one(&mut reading, id).await?;
    drop(reading);
    let found = found.ok_or_else(Problem::not_found)?;
    let facts = cases::visible(state, subject, &found.case_id).await?;
    Ok((found, facts))
}

/// The signed reports of a case, oldest first, with where each stands on its way home.
#[utoipa::path(get, path = "/cases/{case}/reports", params(("case" = String, Path)), responses((status = 200, body = Object), (status = 404)))]
pub(super) async fn of_case(
    From(state): From<State>,
    subject: Subject,
    Named(case): Named,
) -> Result<Answer<Value>, Problem> {
    cases::visible(&state, &subject, &case).await?;
    Ok(Answer(
        json!({ "reports": cases::reports(&state, &case).await? }),
    ))
}

/// One signed report; its text is null for somebody who may not read it.
#[utoipa::path(get, path = "/reports/{id}", params(("id" = String, Path)), responses((status = 200, body = Object), (status = 404)))]
pub(super) async fn one(
    From(state): From<State>,
    subject: Subject,
    Named(id): Named,
) -> Result<Answer<Value>, Problem> {
    let (signed, facts) = visible(&state, &subject, &id).await?;
    if cases::may_view(&subject, &facts) {
        cases::looked(&state, &subject, &facts, "report-read").await?;
    }
    let all = cases::reports(&state, &signed.case_id).await?;
    let mut view = all
        .into_iter()
        .find(|v| v.get("id").and_then(Value::as_str) == Some(id.as_str()))
        .ok_or_else(Problem::not_found)?;
    let mut reading = state.rows.read().acquire().await?;
    let documents = report::documents(&mut reading, &id).await?;
    let documents: Vec<Value> = documents
        .iter()
        .map(|d| json!({ "study": d.study_uid, "series": d.series_uid, "instance": d.sop_uid, "digest": d.digest, "length": d.length }))
        .collect();
    if let Some(members) = view.as_object_mut() {
        let content: Value = if cases::may_view(&subject, &facts) {
            serde_json::from_str(&signed.content).unwrap_or_default()
        } else {
            Value::Null
        };
        members.insert("case".to_owned(), json!(signed.case_id));
        members.insert("content".to_owned(), content);
        members.insert("documents".to_owned(), json!(documents));
    }
    Ok(Answer(view))
}

/// The signed document as a DICOM file; that of the first study when there are several.
#[utoipa::path(get, path = "/reports/{id}/sr", params(("id" = String, Path)), responses((status = 200, content_type = "application/dicom"), (status = 403), (status = 404)))]
pub(super) async fn document(
    From(state): From<State>,
    subject: Subject,
    Named(id): Named,
) -> Result<Response, Problem> {
    let (_, facts) = visible(&state, &subject, &id).await?;
    if !cases::may_view(&subject, &facts) {
        return Err(Problem::forbidden("you may not read this report"));
    }
    cases::looked(&state, &subject, &facts, "report-read").await?;
    let mut reading = state.rows.read().acquire().await?;
    let documents = report::documents(&mut reading, &id).await?;
    drop(reading);
    let first = documents.first().ok_or_else(Problem::not_found)?;
    let key: BlobKey = first.blob_key.parse().map_err(|e| Problem::internal(&e))?;
    let bytes = state.archive.blobs.read(&key).await;
    let bytes = bytes.map_err(|e| Problem::internal(&e))?;
    let file = sr::part10(&bytes).map_err(|e| Problem::internal(&e))?;
    let mut answer = file.into_response();
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/dicom"),
    );
    Ok(answer)
}

/// Every attempt to write to a signed report: it is refused, and what helps is said.
pub(super) async fn immutable(
    From(state): From<State>,
    subject: Subject,
    Named(id): Named,
) -> Result<(), Problem> {
    let (signed, _) = visible(&state, &subject, &id).await?;
    Err(Problem::conflict(
        "immutable",
        "a signed report never changes; a correction is a new version that names it",
    )
    .with(
        "correct",
        format!("/api/v1/cases/{}/correct", signed.case_id),
    ))
}
