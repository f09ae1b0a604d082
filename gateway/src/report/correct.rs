//! A correction: a task of its own, and a draft that begins where the last signed report ended, or that goes on with what was
//! written since. What was signed stays as it is.

use causeway_proto::random::Random;
use causeway_proto::time::Timestamp;
use serde_json::json;

use super::draft::store;
use super::{Content, Expect, ReportError, draft, of_case};
use crate::audit;
use crate::eligibility::Subject;
use crate::rows::Rows;
use crate::worklist::{self, Claimed};

/// Opens a correction of a case's newest report for the person who asks; answers the task and the draft's version.
///
/// # Errors
/// When nothing was signed yet, when somebody else holds the case's task, or when the database refuses.
pub async fn correct(
    rows: &Rows,
    subject: &Subject,
    case: &str,
    reason: &str,
    at: Timestamp,
    random: &Random,
) -> Result<(Claimed, i64), ReportError> {
    let mut tx = rows.begin().await?;
    worklist::lock(&mut tx, case).await?;
    // a withdrawal has no text to go on with
    let mut signed = of_case(&mut tx, case).await?;
    signed.retain(|one| one.status != "withdrawn");
    let last = signed.pop().ok_or(ReportError::NoDraft)?;
    let claimed = worklist::correction(&mut tx, subject, case, reason, at, random).await?;
    let content: Content =
        serde_json::from_str(&last.content).or(Err(ReportError::Row("content")))?;
    let version = match draft(&mut tx, case).await? {
        // somebody wrote after the report was signed, for late images or for a correction that he put back: it stays
        Some(now) if now.version > last.draft_version => now.version,
        found => {
            let expect = found.map_or(Expect::Nothing, |now| Expect::Version(now.version));
            store(&mut tx, case, &subject.account, &content, expect, at).await?
        }
    };
    let detail = json!({ "case_id": case, "workitem": claimed.workitem });
    audit::record(
        &mut tx,
        at,
        "correction-begun",
        &subject.account,
        "",
        &last.id,
        &detail,
    )
    .await?;
    tx.commit().await?;
    Ok((claimed, version))
}
