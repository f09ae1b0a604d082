//! The task that a correction brings: made, or taken when late images have made one already.

use causeway_proto::random::Random;
use causeway_proto::time::Timestamp;
use sqlx::{Any, Transaction};

use super::ADDENDUM;
use super::claim::{ClaimError, Claimed, find, holder, may};
use super::rules::{NewWorkitem, lock};
use super::state::State;
use crate::eligibility::{Act, Subject};

/// An addendum task (128001) for a reported case, held by the person who corrects: the waiting one when late images have made
/// one already, else a new one.
///
/// # Errors
/// When somebody else holds the case's task, or the database refuses.
pub async fn correction(
    tx: &mut Transaction<'_, Any>,
    subject: &Subject,
    case: &str,
    reason: &str,
    at: Timestamp,
    random: &Random,
) -> Result<Claimed, ClaimError> {
    lock(tx, case).await?;
    let uid = open_or_new(tx, case, at, random).await?;
    let found = find(tx, subject, &uid).await?;
    may(subject, &found, Act::Write)?;
    if let State::InProgress(held) = &found.state
        && held.account != subject.account
    {
        let who = holder(tx, &held.account, found.claimed_us).await?;
        return Err(ClaimError::Taken(who));
    }
    let judged = found.state.word();
    let transaction_uid = match found.state {
        State::InProgress(held) => held.transaction_uid,
        _ => random.uid(),
    };
    let taken = sqlx::query(
        "UPDATE workitem SET state = 'IN PROGRESS', transaction_uid = $1, claimed_by = $2, claimed_us = $3, changed_us = $3, reason = $4
         WHERE uid = $5 AND state = $6",
    )
    .bind(&transaction_uid)
    .bind(&subject.account)
    .bind(at.0)
    .bind(reason)
    .bind(&uid)
    .bind(judged)
    .execute(&mut **tx)
    .await?;
    if taken.rows_affected() == 0 {
        return Err(ClaimError::Changed);
    }
    Ok(Claimed {
        workitem: uid,
        case: case.to_owned(),
        transaction_uid,
    })
}

/// The case's open task, made when there is none.
async fn open_or_new(
    tx: &mut Transaction<'_, Any>,
    case: &str,
    at: Timestamp,
    random: &Random,
) -> Result<String, sqlx::Error> {
    let open: Option<(String,)> = sqlx::query_as(
        "SELECT uid FROM workitem WHERE case_id = $1 AND state IN ('SCHEDULED', 'IN PROGRESS')",
    )
    .bind(case)
    .fetch_optional(&mut **tx)
    .await?;
    if let Some((uid,)) = open {
        return Ok(uid);
    }
    let (priority,): (String,) = sqlx::query_as(
        "SELECT priority FROM workitem WHERE case_id = $1 ORDER BY created_us DESC, uid DESC LIMIT 1",
    )
    .bind(case)
    .fetch_one(&mut **tx)
    .await?;
    let new = NewWorkitem {
        uid: random.uid(),
        case,
        code: ADDENDUM,
        readiness: "READY",
        priority: &priority,
        replaces: None,
        reason: None,
    };
    new.insert(tx, at).await?;
    sqlx::query(
        "INSERT INTO workitem_study (workitem_uid, site_id, agreement_id, study_uid)
         SELECT $1, site_id, agreement_id, study_uid FROM case_study WHERE case_id = $2",
    )
    .bind(&new.uid)
    .bind(case)
    .execute(&mut **tx)
    .await?;
    Ok(new.uid)
}
