//! The audit trail: one row per act, written in the transaction of the act and chained by SHA-256, append only.
//!
//! `chain = SHA-256(previous ‖ the row's fields, each with its length)`. Taking a row out, changing one or re-ordering two breaks
//! the chain at that place. A row names objects by our own identifiers, never a patient.

use aws_lc_rs::digest::{Context, SHA256};
use causeway_proto::time::Timestamp;
use sqlx::{Any, Transaction};
use thiserror::Error;

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
    let row = Row {
        seq,
        at_us: at.0,
        event: event.to_owned(),
        actor: actor.to_owned(),
        site_id: site.to_owned(),
        subject: subject.to_owned(),
        detail,
    };
    let chain = row.chain(previous);
    sqlx::query(
        "INSERT INTO audit_event (seq, at_us, event, actor, site_id, subject, detail, previous, chain) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(row.seq)
    .bind(row.at_us)
    .bind(&row.event)
    .bind(&row.actor)
    .bind(&row.site_id)
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

/// One row without its links.
#[derive(Debug, sqlx::FromRow)]
struct Row {
    seq: i64,
    at_us: i64,
    event: String,
    actor: String,
    site_id: String,
    subject: String,
    detail: String,
}

impl Row {
    fn chain(&self, previous: &str) -> String {
        let mut hash = Context::new(&SHA256);
        let seq = self.seq.to_string();
        let at = self.at_us.to_string();
        for part in [
            previous,
            &seq,
            &at,
            &self.event,
            &self.actor,
            &self.site_id,
            &self.subject,
            &self.detail,
        ] {
            hash.update(part.len().to_string().as_bytes());
            hash.update(b":");
            hash.update(part.as_bytes());
        }
        hex::encode(hash.finish())
    }
}

/// Whether the last row is the one that was written last: rows cut off the end leave a whole chain behind.
async fn ends_at_head(pool: &sqlx::AnyPool, seq: i64, chain: &str) -> Result<bool, AuditError> {
    let head: Option<(String,)> = sqlx::query_as("SELECT value FROM gateway_fact WHERE name = $1")
        .bind(HEAD)
        .fetch_optional(pool)
        .await?;
    Ok(head.map_or(seq == 0, |(head,)| head == format!("{seq}:{chain}")))
}

/// Walks the chain from the first row. None: it is whole; otherwise the number of the first row that does not fit.
///
/// # Errors
/// When the database refuses.
pub async fn first_break(pool: &sqlx::AnyPool) -> Result<Option<i64>, AuditError> {
    const PAGE: i64 = 1000;
    let mut previous = String::new();
    let mut seq = 0_i64;
    loop {
        let links: Vec<(i64, String)> = sqlx::query_as(
            "SELECT seq, chain FROM audit_event WHERE seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(seq)
        .bind(PAGE)
        .fetch_all(pool)
        .await?;
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT seq, at_us, event, actor, site_id, subject, detail FROM audit_event WHERE seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(seq)
        .bind(PAGE)
        .fetch_all(pool)
        .await?;
        if links.is_empty() {
            if ends_at_head(pool, seq, &previous).await? {
                return Ok(None);
            }
            let (more,): (i64,) = sqlx::query_as("SELECT count(*) FROM audit_event WHERE seq > $1")
                .bind(seq)
                .fetch_one(pool)
                .await?;
            if more == 0 {
                return Ok(Some(seq.saturating_add(1)));
            }
            // written since the page was read
            continue;
        }
        for ((_, chain), row) in links.iter().zip(&rows) {
            if row.seq != seq.saturating_add(1) || *chain != row.chain(&previous) {
                return Ok(Some(row.seq));
            }
            previous.clone_from(chain);
            seq = row.seq;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::on_sqlite;

    async fn three(rows: &crate::rows::Rows) {
        for n in 0..3 {
            let mut tx = rows.begin().await.unwrap();
            let detail = serde_json::json!({ "n": n });
            record(&mut tx, Timestamp(n), "tried", "a", "s", "x", &detail)
                .await
                .unwrap();
            tx.commit().await.unwrap();
        }
    }

    #[tokio::test]
    async fn an_untouched_chain_is_whole() {
        let (_folder, rows) = on_sqlite().await;
        assert_eq!(first_break(rows.read()).await.unwrap(), None);
        three(&rows).await;
        assert_eq!(first_break(rows.read()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_changed_or_missing_row_is_found() {
        for damage in [
            "UPDATE audit_event SET actor = 'b' WHERE seq = 2",
            "DELETE FROM audit_event WHERE seq = 2",
            "DELETE FROM audit_event WHERE seq = 3",
        ] {
            let (_folder, rows) = on_sqlite().await;
            three(&rows).await;
            let mut tx = rows.begin().await.unwrap();
            sqlx::query(damage).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
            let found = first_break(rows.read()).await.unwrap();
            assert!(found == Some(2) || found == Some(3), "{damage}: {found:?}");
        }
    }
}
