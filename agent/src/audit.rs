//! The site's audit trail: one row per act, written in the transaction of the act and chained as `proto::audit` says, append only.
//!
//! A row names a study by its UID, a case by its word and a patient by the pseudonym at most: never by name or number. Acts that change
//! rows are recorded in their own transaction by [`record`]; what leaves the house is recorded by [`Trail`], many in one commit, before
//! its first byte. [`verify`] reads the chain back; [`witness`] holds what the gateway's trail had come to.

mod export;
#[cfg(test)]
mod tamper;
#[cfg(test)]
mod tests;
mod trail;
mod verify;
pub mod witness;

use causeway_proto::audit::{Head, Record};
use causeway_proto::time::Timestamp;
use sqlx::SqliteConnection;
use thiserror::Error;

use crate::rows::{Rows, fact, set_fact};

pub use export::export;
pub use trail::{Look, Trail};
pub use verify::verify;

const HEAD: &str = "audit-head";

/// An act could not be written to the audit trail, or the trail not be read.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The rows refused.
    #[error("the audit trail could not be written or read")]
    Database(#[from] sqlx::Error),
    /// It was to be written together with others, and that failed.
    #[error("the audit trail could not be written; the log says why")]
    Group,
}

/// The stored head of the chain is not what this program writes.
#[derive(Debug, Error)]
#[error("the head of the audit chain cannot be read")]
struct NoHead;

fn no_head() -> sqlx::Error {
    sqlx::Error::Decode(Box::new(NoHead))
}

/// Writes one act, in the transaction of the act. Answers as the rows do, so that whoever acts refuses with them.
///
/// `event` is our word for the act, `actor` an application entity, `gateway`, `agent`, `operator` at the command line or the account of a
/// person at the site, `subject` the identifier of what was acted on.
///
/// # Errors
/// When the rows refuse, or the head of the chain was tampered with.
pub async fn record(
    tx: &mut SqliteConnection,
    at: Timestamp,
    event: &str,
    actor: &str,
    subject: &str,
    detail: &serde_json::Value,
) -> Result<(), sqlx::Error> {
    // the one writer's transaction: nobody else continues the same head
    let head = fact(&mut *tx, HEAD)
        .await?
        .unwrap_or_else(|| "0:".to_owned());
    let (number, previous) = head.split_once(':').ok_or_else(no_head)?;
    let number: i64 = number.parse().or(Err(no_head()))?;
    let row = Record {
        seq: number.saturating_add(1),
        at_us: at.0,
        event: event.to_owned(),
        actor: actor.to_owned(),
        site: String::new(),
        subject: subject.to_owned(),
        detail: detail.to_string(),
    };
    let chain = row.chain(previous).to_string();
    sqlx::query(
        "INSERT INTO audit_event (seq, at_us, event, actor, subject, detail, previous, chain) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(row.seq)
    .bind(row.at_us)
    .bind(&row.event)
    .bind(&row.actor)
    .bind(&row.subject)
    .bind(&row.detail)
    .bind(previous)
    .bind(&chain)
    .execute(&mut *tx)
    .await?;
    set_fact(tx, HEAD, format!("{}:{chain}", row.seq)).await
}

/// Of when the last record is; none where there is none.
///
/// # Errors
/// When the rows refuse.
pub async fn last_at(rows: &Rows) -> Result<Option<Timestamp>, AuditError> {
    let last: Option<i64> =
        sqlx::query_scalar("SELECT at_us FROM audit_event ORDER BY seq DESC LIMIT 1")
            .fetch_optional(rows.read())
            .await?;
    Ok(last.map(Timestamp))
}

/// Where the trail ends.
///
/// # Errors
/// When the rows refuse, or the stored head cannot be read.
pub async fn head(connection: &mut SqliteConnection) -> Result<Head, AuditError> {
    match fact(connection, HEAD).await?.as_deref() {
        None | Some("0:") => Ok(Head::empty()),
        Some(head) => Ok(head.parse().or(Err(no_head()))?),
    }
}
