//! The audit trail: one row per act, written in the transaction of the act and chained as `proto::audit` says, append only.
//!
//! A row names objects by our own identifiers and a patient by the pseudonym at most. Acts that change rows are recorded in their own
//! transaction by [`record`]; who looks at something is recorded by [`Trail`], many in one commit, before he sees it. [`verify`] reads
//! the chain back; [`witness`] holds what agents' trails had come to, so that neither end goes back unseen.

mod export;
#[cfg(test)]
mod tamper;
#[cfg(test)]
mod tests;
mod trail;
mod verify;
pub mod witness;

use std::sync::Arc;

use causeway_proto::audit::{Head, Record};
use causeway_proto::time::Timestamp;
use sqlx::{Any, AnyConnection, AnyPool, Transaction};
use thiserror::Error;

pub use export::export;
pub use trail::{Look, Trail};
pub use verify::{first_break, verify};

const HEAD: &str = "audit-head";

/// An act could not be written to the audit trail.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The database refused.
    #[error("the audit trail could not be written")]
    Database(#[from] sqlx::Error),
    /// The stored head of the chain is not what this program writes.
    #[error("the head of the audit chain cannot be read")]
    Head,
    /// It was to be written together with others, and that failed.
    #[error("the audit trail could not be written, nor what waited with it")]
    Group(#[source] Arc<Self>),
}

/// Writes one act. Call it last in a transaction: from here to the commit no other act can be written.
///
/// `event` is our word for the act, `actor` an account or `site` or `gateway`, `subject` the identifier of what was acted on.
///
/// # Errors
/// When the database refuses, or the head of the chain was tampered with.
pub async fn record(
    tx: &mut Transaction<'_, Any>,
    at: Timestamp,
    event: &str,
    actor: &str,
    site: &str,
    subject: &str,
    detail: &serde_json::Value,
) -> Result<(), AuditError> {
    sqlx::query("INSERT INTO gateway_fact (name, value) VALUES ($1, '0:') ON CONFLICT DO NOTHING")
        .bind(HEAD)
        .execute(&mut **tx)
        .await?;
    // takes the row's lock, so that two transactions never continue the same head
    let (head,): (String,) =
        sqlx::query_as("UPDATE gateway_fact SET value = value WHERE name = $1 RETURNING value")
            .bind(HEAD)
            .fetch_one(&mut **tx)
            .await?;
    let (number, previous) = head.split_once(':').ok_or(AuditError::Head)?;
    let Ok(number) = number.parse::<i64>() else {
        return Err(AuditError::Head);
    };
    let seq = number.saturating_add(1);
    let detail = detail.to_string();
    let row = Record {
        seq,
        at_us: at.0,
        event: event.to_owned(),
        actor: actor.to_owned(),
        site: site.to_owned(),
        subject: subject.to_owned(),
        detail,
    };
    let chain = row.chain(previous).to_string();
    sqlx::query(
        "INSERT INTO audit_event (seq, at_us, event, actor, site_id, subject, detail, previous, chain) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(row.seq)
    .bind(row.at_us)
    .bind(&row.event)
    .bind(&row.actor)
    .bind(&row.site)
    .bind(&row.subject)
    .bind(&row.detail)
    .bind(previous)
    .bind(&chain)
    .execute(&mut **tx)
    .await?;
    sqlx::query("UPDATE gateway_fact SET value = $1 WHERE name = $2")
        .bind(format!("{seq}:{chain}"))
        .bind(HEAD)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Of when the last record is; none where there is none.
///
/// # Errors
/// When the database refuses.
pub async fn last_at(rows: &AnyPool) -> Result<Option<Timestamp>, sqlx::Error> {
    let last: Option<(i64,)> =
        sqlx::query_as("SELECT at_us FROM audit_event ORDER BY seq DESC LIMIT 1")
            .fetch_optional(rows)
            .await?;
    Ok(last.map(|(at,)| Timestamp(at)))
}

/// Where the trail ends.
///
/// # Errors
/// When the database refuses, or the stored head cannot be read.
pub async fn head(connection: &mut AnyConnection) -> Result<Head, AuditError> {
    let stored: Option<(String,)> =
        sqlx::query_as("SELECT value FROM gateway_fact WHERE name = $1")
            .bind(HEAD)
            .fetch_optional(connection)
            .await?;
    match stored.as_ref().map(|(head,)| head.as_str()) {
        None | Some("0:") => Ok(Head::empty()),
        Some(head) => head.parse().or(Err(AuditError::Head)),
    }
}
