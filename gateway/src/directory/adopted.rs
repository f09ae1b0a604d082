//! Certificates that were issued after the backup to which the rows were put back. Their authority is ours and verified; only the row is
//! lost, and with it whether they were revoked meanwhile.

use std::time::Duration;

use causeway_certs::identity::Peer;
use causeway_proto::time::{Clock, Timestamp};
use serde_json::json;
use sqlx::{Any, Transaction};

use super::certificate::{Denied, hold_site};
use crate::audit;
use crate::rows::Rows;

const TAKEN: &str = "restored_from_us";
const RESTORED: &str = "restored_us";
/// Of what time the first backup was to which the rows were put back; only where that was done more than once.
const FIRST: &str = "restored_first_us";
/// By so much a certificate may begin before it was issued.
const EARLIER: Duration = Duration::from_secs(3600);

/// Notes that the rows were put back to a backup of `taken`, and ends every code that is open in them: one that was used since would be
/// taken a second time. Says how many. Called in the transaction that makes a restore count.
///
/// # Errors
/// When the database refuses.
pub async fn restored(
    tx: &mut Transaction<'_, Any>,
    taken: Timestamp,
    now: Timestamp,
) -> Result<u64, sqlx::Error> {
    sqlx::query(
        "INSERT INTO gateway_fact (name, value) SELECT $1, value FROM gateway_fact WHERE name = $2 ON CONFLICT (name) DO NOTHING",
    )
    .bind(FIRST)
    .bind(TAKEN)
    .execute(&mut **tx)
    .await?;
    for (name, at) in [(TAKEN, taken), (RESTORED, now)] {
        sqlx::query(
            "INSERT INTO gateway_fact (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(name)
        .bind(at.0.to_string())
        .execute(&mut **tx)
        .await?;
    }
    let ended = sqlx::query(
        "UPDATE enrolment_code SET expires_us = $1 WHERE used_us IS NULL AND expires_us > $1",
    )
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(ended.rows_affected())
}

/// When the rows were last put back to a backup, and from when that was; none when they never were.
///
/// # Errors
/// When the database refuses.
pub async fn last_restore(rows: &Rows) -> Result<Option<(Timestamp, Timestamp)>, sqlx::Error> {
    let mut reading = rows.read().acquire().await?;
    let mut at = [None; 2];
    for (name, at) in [RESTORED, TAKEN].into_iter().zip(&mut at) {
        let found: Option<(String,)> =
            sqlx::query_as("SELECT value FROM gateway_fact WHERE name = $1")
                .bind(name)
                .fetch_optional(&mut *reading)
                .await?;
        *at = found.and_then(|(value,)| value.parse().ok()).map(Timestamp);
    }
    let [restored, taken] = at;
    Ok(restored.zip(taken))
}

/// Of what time the oldest backup was to which these rows were ever put back; none when they never were.
///
/// # Errors
/// When the database refuses.
pub async fn oldest_taken(rows: &Rows) -> Result<Option<Timestamp>, sqlx::Error> {
    let found: Vec<(String,)> =
        sqlx::query_as("SELECT value FROM gateway_fact WHERE name IN ($1, $2)")
            .bind(FIRST)
            .bind(TAKEN)
            .fetch_all(rows.read())
            .await?;
    let taken = found.into_iter().filter_map(|(value,)| value.parse().ok());
    Ok(taken.min().map(Timestamp))
}

/// Takes a verified certificate into the rows that can only have been issued between the backup and the restore, for a site that still
/// has one that is not revoked and none that was issued later. Says when it counts as issued; none when it is not such a one.
pub(super) async fn adopt(rows: &Rows, clock: &Clock, peer: &Peer) -> Result<Option<i64>, Denied> {
    let Some((restored, taken)) = last_restore(rows).await? else {
        return Ok(None);
    };
    let begins = peer.validity.not_before;
    if begins < taken.minus(EARLIER) || begins > restored {
        return Ok(None);
    }
    let now = clock.now();
    let mut tx = rows.begin().await?;
    hold_site(&mut tx, &peer.site).await?;
    let (in_force,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM site_certificate WHERE site_id = $1 AND revoked_us IS NULL",
    )
    .bind(peer.site.as_str())
    .fetch_one(&mut *tx)
    .await?;
    // one that the site got a successor of is not taken over, whoever has kept it: it would be as good as the successor
    let (later,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM site_certificate WHERE site_id = $1 AND not_before_us > $2",
    )
    .bind(peer.site.as_str())
    .bind(begins.0)
    .fetch_one(&mut *tx)
    .await?;
    if in_force == 0 || later > 0 {
        return Ok(None);
    }
    sqlx::query(
        "INSERT INTO site_certificate (serial, site_id, not_before_us, not_after_us, issued_us) VALUES ($1, $2, $3, $4, $3) ON CONFLICT DO NOTHING",
    )
    .bind(peer.serial.as_str())
    .bind(peer.site.as_str())
    .bind(begins.0)
    .bind(peer.validity.not_after.0)
    .execute(&mut *tx)
    .await?;
    let (site, serial) = (peer.site.as_str(), peer.serial.as_str());
    let (event, detail) = (
        "certificate-adopted",
        json!({ "begins": begins.to_string() }),
    );
    audit::record(&mut tx, now, event, "gateway", site, serial, &detail).await?;
    tx.commit().await?;
    tracing::warn!(
        site,
        serial,
        "a certificate from after the backup is taken over: revoke the site if it should not connect"
    );
    Ok(Some(begins.0))
}
