//! Objects that are read as text: structured reports, key object selections and their like, of others and of this gateway.

use std::str::FromStr;

use axum::extract::{Path, State as From};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use causeway_proto::ids::TransferSyntaxUid;
use causeway_proto::report::outline;

use super::body::is_name;
use super::cases::visible;
use crate::archive::BlobKey;
use crate::eligibility::{Act, decide};
use crate::http::State;
use crate::http::auth::Subject;
use crate::http::dicomweb::noted;
use crate::http::error::Problem;
use crate::worklist::{self, Stored};

/// A document longer than this is not rendered.
const LONGEST: i64 = 16 << 20;

/// A structured report or the like of a case's study or prior, as plain text; of the case's own site, whoever else sent that UID.
#[utoipa::path(get, path = "/cases/{case}/readable/{study}/{series}/{instance}", params(("case" = String, Path), ("study" = String, Path), ("series" = String, Path), ("instance" = String, Path)),
    responses((status = 200, content_type = "text/plain"), (status = 403), (status = 404), (status = 413)))]
pub(super) async fn readable(
    From(state): From<State>,
    subject: Subject,
    Path((case, study, series, instance)): Path<(String, String, String, String)>,
) -> Result<Response, Problem> {
    if ![&case, &study, &series, &instance]
        .into_iter()
        .all(|uid| is_name(uid))
    {
        return Err(Problem::bad_request("the path names nothing that could be"));
    }
    let names = [case.as_str(), &study, &series, &instance];
    let found = loop {
        let found = allowed(&state, &subject, names).await?;
        let owner = (parsed(&found.site_id)?, parsed(&found.agreement_id)?);
        // he looks at an object of the study, as at its images
        let (account, uid) = (&subject.account, parsed(&study)?);
        if !noted(&state, "images-viewed", account, &owner, &uid).await? {
            break found;
        }
        // what was taken back while that was written is not shown
    };
    let key: BlobKey = parsed(&found.blob_key)?;
    let syntax: TransferSyntaxUid = parsed(&found.transfer_syntax)?;
    let bytes = state.archive.blobs.read(&key).await;
    let bytes = bytes.map_err(|e| Problem::internal(&e))?;
    let lines = tokio::task::spawn_blocking(move || outline::outline(&bytes, &syntax)).await;
    let lines = match lines {
        Ok(Ok(lines)) => lines,
        Ok(Err(error)) => return Err(Problem::conflict("not-readable", error.to_string())),
        Err(error) => return Err(Problem::internal(&error)),
    };
    let mut text = String::new();
    for line in lines {
        for _ in 0..line.depth.min(16) {
            text.push_str("  ");
        }
        text.push_str(&line.text);
        text.push('\n');
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// What a row says, or a path that a row was found by.
fn parsed<T: FromStr>(text: &str) -> Result<T, Problem>
where
    T::Err: std::error::Error + 'static,
{
    text.parse().map_err(|error| Problem::internal(&error))
}

/// The object of a case's study or prior, if he may look at it and it can be shown.
async fn allowed(
    state: &State,
    subject: &Subject,
    [case, study, series, instance]: [&str; 4],
) -> Result<Stored, Problem> {
    let facts = visible(state, subject, case).await?;
    let (site, agreement) = (&facts.site.site_id, &facts.agreement);
    let decision = decide(subject, site, agreement, Act::View);
    if !decision.allowed {
        return Err(
            Problem::forbidden("you may not look at this").with("reasons", decision.reasons)
        );
    }
    let mut all = facts.studies.iter().chain(&facts.priors);
    if !all.any(|one| one.study.study_uid == study) {
        return Err(Problem::not_found());
    }
    let found = worklist::stored(&state.rows, study, series, instance).await?;
    let own = |one: &Stored| one.site_id == *site && one.agreement_id == *agreement;
    let found = found.into_iter().find(own).ok_or_else(Problem::not_found)?;
    if found.length > LONGEST {
        return Err(Problem::new(
            axum::http::StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "this object is too large to be shown as text",
        ));
    }
    Ok(found)
}
