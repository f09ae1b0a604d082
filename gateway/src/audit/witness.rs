//! What agents' audit trails had come to, and what they hold of ours: whoever goes back or writes his trail anew is found.
//!
//! A doubt stands until a person has settled it; until then nothing newer of that trail is believed.

use causeway_proto::audit::{Doubt, Head, judge, recollect};
use causeway_proto::link::message::AuditHead;
use causeway_proto::time::Timestamp;
use serde_json::json;
use sqlx::AnyConnection;

use super::{AuditError, head, record};
use crate::rows::Rows;

/// A doubt that nobody has settled yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The site.
    pub site: String,
    /// What was found, for people.
    pub sentence: String,
    /// When.
    pub found: Timestamp,
}

/// The farthest head that is held of each site's trail.
///
/// # Errors
/// When the database refuses.
pub async fn held(rows: &Rows) -> Result<Vec<(String, Head, Timestamp)>, AuditError> {
    let found: Vec<(String, i64, String, i64)> = sqlx::query_as(
        "SELECT w.site_id, w.seq, w.digest, w.heard_us FROM audit_witness w WHERE w.void_us IS NULL AND w.seq = \
         (SELECT max(x.seq) FROM audit_witness x WHERE x.site_id = w.site_id AND x.void_us IS NULL) ORDER BY w.site_id",
    )
    .fetch_all(rows.read())
    .await?;
    let read = |(site, seq, digest, at)| Some((site, head_of(seq, digest)?, Timestamp(at)));
    Ok(found.into_iter().filter_map(read).collect())
}

/// The doubts that stand.
///
/// # Errors
/// When the database refuses.
pub async fn standing(rows: &Rows) -> Result<Vec<Standing>, AuditError> {
    let found: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT site_id, sentence, found_us FROM audit_doubt WHERE settled_us IS NULL ORDER BY found_us",
    )
    .fetch_all(rows.read())
    .await?;
    let read = |(site, sentence, found)| Standing {
        site,
        sentence,
        found: Timestamp(found),
    };
    Ok(found.into_iter().map(read).collect())
}

/// What is said to a site: our head, what we hold of its trail, and in an answer what we now show.
///
/// # Errors
/// When the database refuses.
pub async fn say(
    rows: &Rows,
    site: &str,
    at: Timestamp,
    again: Option<Head>,
) -> Result<AuditHead, AuditError> {
    let mut reading = rows.read().acquire().await?;
    let ours = head(&mut reading).await?;
    Ok(AuditHead {
        sequence: ours.sequence,
        digest: ours.digest,
        at,
        held: newest(&mut reading, site).await?,
        again,
    })
}

/// Takes what a site says; answers what to answer, if anything.
///
/// # Errors
/// When the database refuses.
pub async fn hear(
    rows: &Rows,
    site: &str,
    said: &AuditHead,
    now: Timestamp,
) -> Result<Option<AuditHead>, AuditError> {
    let mut reading = rows.read().acquire().await?;
    let newest = newest(&mut reading, site).await?;
    let asked = match &said.again {
        Some(again) => witnessed(&mut reading, site, again.sequence).await?,
        None => None,
    };
    let theirs = judge(
        newest.as_ref(),
        &said.head(),
        asked.as_ref(),
        said.again.as_ref(),
    );
    let question = said.held.filter(|_| said.again.is_none());
    let ours = match &question {
        Some(held) => {
            let mine = own(&mut reading, held.sequence).await?;
            Some(recollect(held, mine.as_ref(), &head(&mut reading).await?))
        }
        None => None,
    };
    drop(reading);
    match theirs {
        Ok(()) if newest != Some(said.head()) => keep(rows, site, said, now).await?,
        Ok(()) => {}
        Err(doubt) => {
            let sentence = format!("site {site}: {doubt}");
            raise(rows, site, "theirs", &sentence, now).await?;
        }
    }
    let Some(ours) = ours else { return Ok(None) };
    let shown = match ours {
        Ok(shown) => shown,
        Err(doubt) => {
            let sentence =
                format!("this gateway, by what the agent of site {site} remembers: {doubt}");
            raise(rows, site, "ours", &sentence, now).await?;
            Doubt::said(&doubt)
        }
    };
    say(rows, site, now, Some(shown)).await.map(Some)
}

/// A person has looked into the doubts about a site: they are closed, and its trail is believed from what it says next. Answers how
/// many.
///
/// # Errors
/// When the database refuses.
pub async fn settle(
    rows: &Rows,
    site: &str,
    reason: &str,
    now: Timestamp,
) -> Result<u64, AuditError> {
    let mut tx = rows.begin().await?;
    let closed = sqlx::query(
        "UPDATE audit_doubt SET settled_us = $2, reason = $3 WHERE site_id = $1 AND settled_us IS NULL",
    )
    .bind(site)
    .bind(now.0)
    .bind(reason)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if closed > 0 {
        sqlx::query("UPDATE audit_witness SET void_us = $2 WHERE site_id = $1 AND void_us IS NULL")
            .bind(site)
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
        let detail = json!({ "reason": reason });
        let event = "audit-doubt-settled";
        record(&mut tx, now, event, "operator", site, site, &detail).await?;
    }
    tx.commit().await?;
    Ok(closed)
}

async fn keep(rows: &Rows, site: &str, said: &AuditHead, now: Timestamp) -> Result<(), AuditError> {
    let mut tx = rows.begin().await?;
    sqlx::query(
        "INSERT INTO audit_witness (site_id, seq, digest, at_us, heard_us) SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS \
         (SELECT 1 FROM audit_doubt WHERE site_id = $1 AND settled_us IS NULL) ON CONFLICT (site_id, seq, digest) DO UPDATE SET void_us = NULL, heard_us = excluded.heard_us",
    )
    .bind(site)
    .bind(row(said.sequence))
    .bind(said.digest.to_string())
    .bind(said.at.0)
    .bind(now.0)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Raised once while it stands; said in the log each time.
async fn raise(
    rows: &Rows,
    site: &str,
    whose: &str,
    sentence: &str,
    now: Timestamp,
) -> Result<(), AuditError> {
    tracing::error!(site, sentence, "an audit trail is in doubt");
    let mut tx = rows.begin().await?;
    let fresh = sqlx::query(
        "INSERT INTO audit_doubt (site_id, whose, found_us, sentence) SELECT $1, $2, $3, $4 WHERE NOT EXISTS \
         (SELECT 1 FROM audit_doubt WHERE site_id = $1 AND whose = $2 AND settled_us IS NULL) ON CONFLICT DO NOTHING",
    )
    .bind(site)
    .bind(whose)
    .bind(now.0)
    .bind(sentence)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if fresh > 0 {
        let detail = json!({ "whose": whose, "sentence": sentence });
        record(
            &mut tx,
            now,
            "audit-doubted",
            "gateway",
            site,
            site,
            &detail,
        )
        .await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn newest(connection: &mut AnyConnection, site: &str) -> Result<Option<Head>, sqlx::Error> {
    let found: Option<(i64, String)> = sqlx::query_as(
        "SELECT seq, digest FROM audit_witness WHERE site_id = $1 AND void_us IS NULL ORDER BY seq DESC LIMIT 1",
    )
    .bind(site)
    .fetch_optional(connection)
    .await?;
    Ok(found.and_then(|(seq, digest)| head_of(seq, digest)))
}

async fn witnessed(
    connection: &mut AnyConnection,
    site: &str,
    sequence: u64,
) -> Result<Option<Head>, sqlx::Error> {
    let found: Option<(i64, String)> = sqlx::query_as(
        "SELECT seq, digest FROM audit_witness WHERE site_id = $1 AND seq = $2 AND void_us IS NULL",
    )
    .bind(site)
    .bind(row(sequence))
    .fetch_optional(connection)
    .await?;
    Ok(found.and_then(|(seq, digest)| head_of(seq, digest)))
}

/// Our own record of a number.
async fn own(connection: &mut AnyConnection, sequence: u64) -> Result<Option<Head>, sqlx::Error> {
    let found: Option<(i64, String)> =
        sqlx::query_as("SELECT seq, chain FROM audit_event WHERE seq = $1")
            .bind(row(sequence))
            .fetch_optional(connection)
            .await?;
    Ok(found.and_then(|(seq, digest)| head_of(seq, digest)))
}

fn head_of(seq: i64, digest: String) -> Option<Head> {
    Some(Head {
        sequence: u64::try_from(seq).ok()?,
        digest: digest.parse().ok()?,
    })
}

fn row(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}
