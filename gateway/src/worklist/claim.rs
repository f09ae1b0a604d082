//! Taking a task. Exactly one claim wins: changes of one case wait for each other, and the UPDATE names the old state.

use causeway_proto::random::Random;
use causeway_proto::time::Timestamp;
use sqlx::{Any, Transaction};
use thiserror::Error;

use super::reserved::{Reservations, Reserved};
use super::rules::lock;
use super::state::{InvalidTransition, Lock, State, Step};
use crate::audit;
use crate::eligibility::{Act, Decision, Subject, decide};
use crate::rows::Rows;

/// A task that its reader now holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The workitem.
    pub workitem: String,
    /// Its case.
    pub case: String,
    /// The Transaction UID, for nobody but the holder.
    pub transaction_uid: String,
}

/// Who holds a task that somebody else wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// His name.
    pub name: String,
    /// Since when.
    pub since: Timestamp,
}

/// A task could not be taken, put back or cancelled.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// There is no such task, or none that this person may know of.
    #[error("there is no such task")]
    Unknown,
    /// The person may know of it but not do this.
    #[error("you may not do this: {}", .0.reasons.join("; "))]
    NotEligible(Decision),
    /// Somebody else holds it.
    #[error("the task is held by {}", .0.name)]
    Taken(Holder),
    /// Somebody reads it next.
    #[error("the task is reserved for {}", .0.name)]
    Reserved(Reserved),
    /// Its state does not allow it.
    #[error(transparent)]
    State(#[from] InvalidTransition),
    /// It was changed between being looked at and being changed.
    #[error("the task was changed by somebody else at the same moment; look again")]
    Changed,
    /// The database refused.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    /// The act could not be written to the audit trail, so it was not done.
    #[error("the audit trail could not be written")]
    Audit(#[from] audit::AuditError),
}

/// A workitem as it stands in its row.
pub(super) struct Found {
    pub(super) case: String,
    pub(super) site: String,
    pub(super) agreement: String,
    pub(super) code: String,
    pub(super) readiness: String,
    pub(super) priority: String,
    pub(super) state: State,
    pub(super) claimed_us: i64,
    pub(super) reason: Option<String>,
}

type FoundRow = (
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<String>,
);

pub(super) async fn find(
    tx: &mut Transaction<'_, Any>,
    subject: &Subject,
    uid: &str,
) -> Result<Found, ClaimError> {
    let row: Option<FoundRow> = sqlx::query_as(
        "SELECT w.case_id, c.site_id, c.agreement_id, w.code, w.readiness, w.priority, w.state, w.transaction_uid, w.claimed_by, w.claimed_us, w.reason
         FROM workitem w JOIN reading_case c ON c.id = w.case_id WHERE w.uid = $1",
    )
    .bind(uid)
    .fetch_optional(&mut **tx)
    .await?;
    let row = row.ok_or(ClaimError::Unknown)?;
    let (case, site, agreement, code, readiness, priority, word, transaction, by, since, reason) =
        row;
    let state = State::from_row(&word, transaction, by).ok_or(ClaimError::Unknown)?;
    if !subject.sees(&site, &agreement) {
        return Err(ClaimError::Unknown);
    }
    Ok(Found {
        case,
        site,
        agreement,
        code,
        readiness,
        priority,
        state,
        claimed_us: since.unwrap_or(0),
        reason,
    })
}

/// Holds the task's case against every other change until the transaction ends, then looks at the task.
pub(super) async fn locked(
    tx: &mut Transaction<'_, Any>,
    subject: &Subject,
    uid: &str,
) -> Result<Found, ClaimError> {
    let found = find(tx, subject, uid).await?;
    lock(tx, &found.case).await?;
    find(tx, subject, uid).await
}

pub(super) async fn holder(
    tx: &mut Transaction<'_, Any>,
    account: &str,
    since: i64,
) -> Result<Holder, sqlx::Error> {
    let name: Option<(String, String)> =
        sqlx::query_as("SELECT given_name, family_name FROM account WHERE id = $1")
            .bind(account)
            .fetch_optional(&mut **tx)
            .await?;
    let (given, family) = name.unwrap_or_default();
    Ok(Holder {
        name: format!("{given} {family}").trim().to_owned(),
        since: Timestamp(since),
    })
}

pub(super) fn may(subject: &Subject, found: &Found, act: Act) -> Result<(), ClaimError> {
    let decision = decide(subject, &found.site, &found.agreement, act);
    if decision.allowed {
        Ok(())
    } else {
        Err(ClaimError::NotEligible(decision))
    }
}

/// Takes a task for the person who asks. Asking again for a task one holds answers the same lock.
///
/// # Errors
/// When he may not, when somebody else was first or reads it next, when the task has ended, or when the database refuses.
pub async fn claim(
    rows: &Rows,
    reservations: &Reservations,
    subject: &Subject,
    uid: &str,
    at: Timestamp,
    random: &Random,
) -> Result<Claimed, ClaimError> {
    let mut tx = rows.begin().await?;
    let found = locked(&mut tx, subject, uid).await?;
    may(subject, &found, Act::Claim)?;
    if let State::InProgress(held) = &found.state {
        if held.account == subject.account {
            return Ok(Claimed {
                workitem: uid.to_owned(),
                case: found.case,
                transaction_uid: held.transaction_uid.clone(),
            });
        }
        return Err(ClaimError::Taken(
            holder(&mut tx, &held.account, found.claimed_us).await?,
        ));
    }
    if let Some(other) = reservations.against(uid, &subject.account, &found.priority, at) {
        return Err(ClaimError::Reserved(other));
    }
    let mine = Lock {
        transaction_uid: random.uid(),
        account: subject.account.clone(),
    };
    found.state.clone().after(Step::Claim(mine.clone()))?;
    let won = sqlx::query(
        "UPDATE workitem SET state = 'IN PROGRESS', transaction_uid = $1, claimed_by = $2, claimed_us = $3, changed_us = $3 WHERE uid = $4 AND state = 'SCHEDULED'",
    )
    .bind(&mine.transaction_uid)
    .bind(&mine.account)
    .bind(at.0)
    .bind(uid)
    .execute(&mut *tx)
    .await?;
    if won.rows_affected() == 0 {
        return Err(ClaimError::Changed);
    }
    note(
        &mut tx,
        subject,
        &found.case,
        &found.site,
        "workitem-claimed",
        uid,
        at,
    )
    .await?;
    tx.commit().await?;
    reservations.end(uid);
    Ok(Claimed {
        workitem: uid.to_owned(),
        case: found.case,
        transaction_uid: mine.transaction_uid,
    })
}

pub(super) async fn note(
    tx: &mut Transaction<'_, Any>,
    subject: &Subject,
    case: &str,
    site: &str,
    event: &'static str,
    uid: &str,
    at: Timestamp,
) -> Result<(), ClaimError> {
    let detail = serde_json::json!({ "workitem": uid });
    audit::record(tx, at, event, &subject.account, site, case, &detail).await?;
    Ok(())
}
