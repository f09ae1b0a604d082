//! Giving a task up, cancelling it for everybody, and ending it with a signed report.

use causeway_proto::random::Random;
use causeway_proto::time::Timestamp;
use sqlx::{Any, Transaction};

use super::claim::{ClaimError, holder, locked, may, note};
use super::rules::NewWorkitem;
use super::state::{Lock, State, Step};
use super::{DISCONTINUED, RESCHEDULED};
use crate::eligibility::{Act, Subject};
use crate::rows::Rows;

/// Gives a task up: it is cancelled with 110528 and replaced by a new SCHEDULED one that names it and corrects what it corrected.
/// The draft stays with the case.
///
/// # Errors
/// When he does not hold it, or the database refuses.
pub async fn put_back(
    rows: &Rows,
    subject: &Subject,
    uid: &str,
    reason: &str,
    at: Timestamp,
    random: &Random,
) -> Result<(String, String), ClaimError> {
    let mut tx = rows.begin().await?;
    let found = locked(&mut tx, subject, uid).await?;
    let held = match &found.state {
        State::InProgress(held) if held.account == subject.account => held.clone(),
        State::InProgress(held) => {
            return Err(ClaimError::Taken(
                holder(&mut tx, &held.account, found.claimed_us).await?,
            ));
        }
        _ => Lock {
            transaction_uid: String::new(),
            account: subject.account.clone(),
        },
    };
    found.state.clone().after(Step::Cancel(held))?;
    end(&mut tx, (uid, &found.state), RESCHEDULED, reason, at).await?;
    let replacement = random.uid();
    let new = NewWorkitem {
        uid: replacement.clone(),
        case: &found.case,
        code: &found.code,
        readiness: &found.readiness,
        priority: &found.priority,
        replaces: Some(uid),
        reason: found.reason.as_deref(),
    };
    new.insert(&mut tx, at).await?;
    sqlx::query(
        "INSERT INTO workitem_study (workitem_uid, site_id, agreement_id, study_uid)
         SELECT $1, site_id, agreement_id, study_uid FROM workitem_study WHERE workitem_uid = $2",
    )
    .bind(&replacement)
    .bind(uid)
    .execute(&mut *tx)
    .await?;
    note(
        &mut tx,
        subject,
        &found.case,
        &found.site,
        "workitem-put-back",
        uid,
        at,
    )
    .await?;
    tx.commit().await?;
    Ok((replacement, found.case))
}

/// Cancels a task that was judged in this state.
async fn end(
    tx: &mut Transaction<'_, Any>,
    (uid, judged): (&str, &State),
    code: &str,
    reason: &str,
    at: Timestamp,
) -> Result<(), ClaimError> {
    let done = sqlx::query(
        "UPDATE workitem SET state = 'CANCELED', reason_code = $1, reason = $2, changed_us = $3 WHERE uid = $4 AND state = $5",
    )
    .bind(code)
    .bind(reason)
    .bind(at.0)
    .bind(uid)
    .bind(judged.word())
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(ClaimError::Changed)
    }
}

/// An operator cancels a waiting task for everybody; one that a reader holds must be put back by him (C313).
///
/// # Errors
/// When he is no operator, the task is held or has ended, or the database refuses.
pub async fn cancel(
    rows: &Rows,
    subject: &Subject,
    uid: &str,
    reason: &str,
    at: Timestamp,
) -> Result<String, ClaimError> {
    let mut tx = rows.begin().await?;
    let found = locked(&mut tx, subject, uid).await?;
    may(subject, &found, Act::Operate)?;
    found.state.clone().after(Step::RequestCancel)?;
    end(&mut tx, (uid, &found.state), DISCONTINUED, reason, at).await?;
    note(
        &mut tx,
        subject,
        &found.case,
        &found.site,
        "workitem-canceled",
        uid,
        at,
    )
    .await?;
    tx.commit().await?;
    Ok(found.case)
}

/// The holder has signed final: the task is COMPLETED. False when it is no longer his or no longer in progress.
///
/// # Errors
/// When the database refuses.
pub async fn complete(
    tx: &mut Transaction<'_, Any>,
    uid: &str,
    account: &str,
    at: Timestamp,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE workitem SET state = 'COMPLETED', changed_us = $1 WHERE uid = $2 AND state = 'IN PROGRESS' AND claimed_by = $3",
    )
    .bind(at.0)
    .bind(uid)
    .bind(account)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
