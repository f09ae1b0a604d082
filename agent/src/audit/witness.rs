//! What the gateway's audit trail had come to, and what it holds of ours: whoever goes back or writes his trail anew is found.
//!
//! A doubt stands until a person has settled it; until then nothing newer of that trail is believed.

use causeway_proto::audit::{Doubt, Head, judge, recollect};
use causeway_proto::link::message::AuditHead;
use causeway_proto::time::Timestamp;
use serde_json::json;
use sqlx::SqliteConnection;

use super::{AuditError, head, record};
use crate::rows::{Rows, to_row};

/// The farthest head that is held of the gateway's trail, and when it was heard.
///
/// # Errors
/// When the rows refuse.
pub async fn held(rows: &Rows) -> Result<Option<(Head, Timestamp)>, AuditError> {
    let found: Option<(i64, String, i64)> = sqlx::query_as(
        "SELECT seq, digest, heard_us FROM audit_witness WHERE void_us IS NULL ORDER BY seq DESC LIMIT 1",
    )
    .fetch_optional(rows.read())
    .await?;
    Ok(found.and_then(|(seq, digest, at)| Some((head_of(seq, &digest)?, Timestamp(at)))))
}

/// The doubts that stand, as sentences for people.
///
/// # Errors
/// When the rows refuse.
pub async fn standing(rows: &Rows) -> Result<Vec<String>, AuditError> {
    let found: Vec<(String, i64)> = sqlx::query_as(
        "SELECT sentence, found_us FROM audit_doubt WHERE settled_us IS NULL ORDER BY found_us",
    )
    .fetch_all(rows.read())
    .await?;
    let words = |(sentence, found)| format!("{sentence} (found {})", Timestamp(found));
    Ok(found.into_iter().map(words).collect())
}

/// What is said to the gateway: our head, what we hold of its trail, and in an answer what we now show.
///
/// # Errors
/// When the rows refuse.
pub async fn say(rows: &Rows, at: Timestamp, again: Option<Head>) -> Result<AuditHead, AuditError> {
    let ours = head(&mut *rows.read().acquire().await?).await?;
    Ok(AuditHead {
        sequence: ours.sequence,
        digest: ours.digest,
        at,
        held: held(rows).await?.map(|(head, _)| head),
        again,
    })
}

/// Takes what the gateway says; answers what to answer, if anything.
///
/// # Errors
/// When the rows refuse.
pub async fn hear(
    rows: &Rows,
    said: &AuditHead,
    now: Timestamp,
) -> Result<Option<AuditHead>, AuditError> {
    let newest = held(rows).await?.map(|(head, _)| head);
    let mut reading = rows.read().acquire().await?;
    let asked = match &said.again {
        Some(again) => {
            let sql = "SELECT digest FROM audit_witness WHERE seq = $1 AND void_us IS NULL";
            at(&mut reading, sql, again.sequence).await?
        }
        None => None,
    };
    let theirs = judge(
        newest.as_ref(),
        &said.head(),
        asked.as_ref(),
        said.again.as_ref(),
    );
    let ours = match said.held.filter(|_| said.again.is_none()) {
        Some(held) => {
            let sql = "SELECT chain FROM audit_event WHERE seq = $1";
            let mine = at(&mut reading, sql, held.sequence).await?;
            Some(recollect(&held, mine.as_ref(), &head(&mut reading).await?))
        }
        None => None,
    };
    drop(reading);
    match theirs {
        Ok(()) if newest != Some(said.head()) => keep(rows, said, now).await?,
        Ok(()) => {}
        Err(doubt) => raise(rows, "theirs", &format!("the gateway: {doubt}"), now).await?,
    }
    let Some(ours) = ours else { return Ok(None) };
    let shown = match ours {
        Ok(shown) => shown,
        Err(doubt) => {
            let sentence = format!("this agent, by what the gateway remembers: {doubt}");
            raise(rows, "ours", &sentence, now).await?;
            Doubt::said(&doubt)
        }
    };
    say(rows, now, Some(shown)).await.map(Some)
}

/// A person has looked into the doubts: they are closed, and the gateway's trail is believed from what it says next. Answers how many.
///
/// # Errors
/// When the rows refuse.
pub async fn settle(rows: &Rows, reason: &str, now: Timestamp) -> Result<u64, AuditError> {
    let mut tx = rows.begin().await?;
    let closed =
        sqlx::query("UPDATE audit_doubt SET settled_us = $1, reason = $2 WHERE settled_us IS NULL")
            .bind(now.0)
            .bind(reason)
            .execute(&mut *tx)
            .await?
            .rows_affected();
    if closed > 0 {
        sqlx::query("UPDATE audit_witness SET void_us = $1 WHERE void_us IS NULL")
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
        let detail = json!({ "reason": reason });
        let event = "audit-doubt-settled";
        record(&mut tx, now, event, "operator", "gateway", &detail).await?;
    }
    tx.commit().await?;
    Ok(closed)
}

async fn keep(rows: &Rows, said: &AuditHead, now: Timestamp) -> Result<(), AuditError> {
    let mut tx = rows.begin().await?;
    sqlx::query(
        "INSERT INTO audit_witness (seq, digest, at_us, heard_us) SELECT $1, $2, $3, $4 WHERE NOT EXISTS \
         (SELECT 1 FROM audit_doubt WHERE settled_us IS NULL) \
         ON CONFLICT (seq, digest) DO UPDATE SET void_us = NULL, heard_us = excluded.heard_us",
    )
    .bind(to_row(said.sequence))
    .bind(said.digest.to_string())
    .bind(said.at.0)
    .bind(now.0)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Raised once while it stands; said in the log each time.
async fn raise(rows: &Rows, whose: &str, sentence: &str, now: Timestamp) -> Result<(), AuditError> {
    tracing::error!(sentence, "an audit trail is in doubt");
    let mut tx = rows.begin().await?;
    let fresh = sqlx::query(
        "INSERT INTO audit_doubt (whose, found_us, sentence) SELECT $1, $2, $3 WHERE NOT EXISTS \
         (SELECT 1 FROM audit_doubt WHERE whose = $1 AND settled_us IS NULL) ON CONFLICT DO NOTHING",
    )
    .bind(whose)
    .bind(now.0)
    .bind(sentence)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if fresh > 0 {
        let detail = json!({ "whose": whose, "sentence": sentence });
        record(&mut tx, now, "audit-doubted", "agent", "gateway", &detail).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The head with this number, as a statement knows it.
async fn at(
    connection: &mut SqliteConnection,
    sql: &'static str,
    sequence: u64,
) -> Result<Option<Head>, sqlx::Error> {
    let found: Option<String> = sqlx::query_scalar(sql)
        .bind(to_row(sequence))
        .fetch_optional(connection)
        .await?;
    Ok(found.and_then(|digest| head_of(to_row(sequence), &digest)))
}

fn head_of(seq: i64, digest: &str) -> Option<Head> {
    Some(Head {
        sequence: u64::try_from(seq).ok()?,
        digest: digest.parse().ok()?,
    })
}
