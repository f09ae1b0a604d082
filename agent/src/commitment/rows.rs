//! The rows of requests: each step in one transaction, with its record in the audit trail.

use std::collections::BTreeMap;
use std::time::Duration;

use causeway_proto::time::Timestamp;
use serde_json::json;
use sqlx::{Row, SqliteConnection};

use super::{CommitmentError, Inner, Named, Report, Request, refused};
use crate::audit;
use crate::rows::{Write, to_row};
use crate::spool::AeTitle;

/// How long a transaction UID is remembered after its request has ended.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);
/// So many are remembered at most; the last that ended.
const MOST_REMEMBERED: i64 = 100_000;
/// A row due later than this was written under a clock that was set back since: it is due now.
const FARTHEST: Duration = Duration::from_secs(2 * 3600);
/// Whoever says a result and does not come to an end says it again after so long.
const LEASE: Duration = Duration::from_secs(600);

/// See [`super::Commitments::take`]; answers the request's row.
pub(super) async fn take(inner: &Inner, request: &Request) -> Result<i64, CommitmentError> {
    let config = &inner.config;
    if request.instances.len() as u64 > u64::from(config.max_instances) {
        return Err(CommitmentError::Full("it names too many instances"));
    }
    let now = inner.clock.now();
    let named = request.instances.iter();
    let named: Vec<[&str; 2]> = named
        .map(|(class, uid)| [class.as_str(), uid.as_str()])
        .collect();
    let instances = json!(named).to_string();
    let mut tx = begin(inner).await?;
    let known: Vec<(i64, String, String, bool)> = sqlx::query_as(
        "SELECT id, state, instances, again FROM commitment WHERE calling = $1 AND transaction_uid = $2 ORDER BY id",
    )
    .bind(request.calling.as_str())
    .bind(request.transaction.as_str())
    .fetch_all(&mut *tx)
    .await
    .map_err(refused("looking for a transaction"))?;
    let same = known
        .iter()
        .find(|(_, state, theirs, again)| state == "open" && !again && *theirs == instances);
    if let Some((id, ..)) = same {
        return Ok(*id);
    }
    let (open, of_title): (i64, i64) = sqlx::query_as(
        "SELECT COUNT(*), COUNT(CASE WHEN calling = $1 THEN 1 END) FROM commitment WHERE state = 'open'",
    )
    .bind(request.calling.as_str())
    .fetch_one(&mut *tx)
    .await
    .map_err(refused("counting open requests"))?;
    if open >= config.max_open.into() || of_title >= config.max_open_per_title.into() {
        return Err(CommitmentError::Full("too many requests are open"));
    }
    let work = async {
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO commitment (calling, called, transaction_uid, again, instances, state, asked_us, due_us) \
             VALUES ($1, $2, $3, $4, $5, 'open', $6, $6) RETURNING id",
        )
        .bind(request.calling.as_str())
        .bind(request.called.as_str())
        .bind(request.transaction.as_str())
        .bind(!known.is_empty())
        .bind(&instances)
        .bind(now.0)
        .fetch_one(&mut *tx)
        .await?;
        let detail =
            json!({ "instances": request.instances.len(), "used_before": !known.is_empty() });
        let (who, uid) = (request.calling.as_str(), request.transaction.as_str());
        audit::record(&mut tx, now, "commitment-asked", who, uid, &detail).await?;
        tx.commit().await?;
        Ok(id)
    };
    work.await.map_err(refused("keeping a request"))
}

/// An open request that may be looked at, without its instances.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) id: i64,
    pub(super) calling: AeTitle,
    pub(super) again: bool,
    /// Its limit is over.
    pub(super) late: bool,
}

/// Open requests that are due, the longest due first. Those that were asked for in the future, under a clock that was set back since,
/// were asked for now.
pub(super) async fn due(inner: &Inner) -> Result<Vec<Open>, CommitmentError> {
    let now = inner.clock.now();
    let limit = Duration::from_secs(inner.config.answer_within_s);
    let rows = sqlx::query(
        "SELECT id, calling, again, asked_us FROM commitment WHERE state = 'open' AND (due_us <= $1 OR due_us > $2) \
         ORDER BY due_us, id LIMIT $3",
    )
    .bind(now.0)
    .bind(now.plus(FARTHEST).0)
    .bind(to_row(inner.config.max_open.into()))
    .fetch_all(inner.spool.rows().read())
    .await
    .map_err(refused("listing open requests"))?;
    let mut ahead = false;
    let mut open = |row: &sqlx::sqlite::SqliteRow| {
        let asked = Timestamp(row.try_get(3)?);
        ahead |= asked > now;
        Ok(Open {
            id: row.try_get(0)?,
            calling: parsed(row.try_get(1)?)?,
            again: row.try_get(2)?,
            late: asked.plus(limit) <= now,
        })
    };
    let all: Result<Vec<Open>, sqlx::Error> = rows.iter().map(&mut open).collect();
    let all = all.map_err(refused("reading an open request"))?;
    if ahead {
        let mut tx = begin(inner).await?;
        let set = sqlx::query(
            "UPDATE commitment SET asked_us = $1 WHERE state = 'open' AND asked_us > $1",
        )
        .bind(now.0)
        .execute(&mut *tx);
        set.await.map_err(refused("dating a request anew"))?;
        tx.commit()
            .await
            .map_err(refused("dating a request anew"))?;
    }
    Ok(all)
}

/// A request with all that it names.
pub(super) async fn whole(inner: &Inner, id: i64) -> Result<Option<Request>, CommitmentError> {
    let row: Option<(String, String, String, String)> = sqlx::query_as(
        "SELECT calling, called, transaction_uid, instances FROM commitment WHERE id = $1 AND state = 'open'",
    )
    .bind(id)
    .fetch_optional(inner.spool.rows().read())
    .await
    .map_err(refused("reading a request"))?;
    let read = |(calling, called, transaction, instances): (String, String, String, String)| {
        let named: Vec<(String, String)> = match serde_json::from_str(&instances) {
            Ok(named) => named,
            Err(error) => return Err(sqlx::Error::Decode(error.into())),
        };
        let named = named.into_iter();
        let instances = named
            .map(|(class, uid)| Ok((parsed(class)?, parsed(uid)?)))
            .collect::<Result<Vec<Named>, sqlx::Error>>()?;
        Ok(Request {
            calling: parsed(calling)?,
            called: parsed(called)?,
            transaction: parsed(transaction)?,
            instances,
        })
    };
    row.map(read)
        .transpose()
        .map_err(refused("reading a request"))
}

/// A result is about to be said: counted, so that a crash while it is said counts too. Answers the how-manyth time it is.
pub(super) async fn claim(inner: &Inner, id: i64) -> Result<i64, CommitmentError> {
    let until = inner.clock.now().plus(LEASE).0;
    let mut tx = begin(inner).await?;
    let work = async {
        let tries = sqlx::query_scalar(
            "UPDATE commitment SET tries = tries + 1, due_us = $2, sentence = '' WHERE id = $1 RETURNING tries",
        )
        .bind(id)
        .bind(until)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(tries)
    };
    work.await.map_err(refused("claiming a request"))
}

/// At a start: nobody says a result any more, and whoever waits for one need not wait for the lease of a process that has ended. What
/// pauses after a try that failed says why, and goes on pausing.
pub(super) async fn take_up(inner: &Inner) -> Result<(), CommitmentError> {
    let now = inner.clock.now().0;
    let mut tx = begin(inner).await?;
    let work = async {
        let leased = "UPDATE commitment SET due_us = $1 WHERE state = 'open' AND sentence = '' AND due_us > $1";
        sqlx::query(leased).bind(now).execute(&mut *tx).await?;
        tx.commit().await
    };
    work.await.map_err(refused("taking up what was being said"))
}

/// How saying a result has ended.
pub(super) enum Ended {
    Reported,
    GivenUp(String),
    Again(String, Duration),
}

/// Writes down how saying `report` has ended.
pub(super) async fn ended(
    inner: &Inner,
    id: i64,
    report: &Report,
    ended: Ended,
) -> Result<(), CommitmentError> {
    let now = inner.clock.now();
    let (state, sentence, due) = match &ended {
        Ended::Reported => ("reported", "", now),
        Ended::GivenUp(why) => ("given-up", why.as_str(), now),
        Ended::Again(why, wait) => ("open", why.as_str(), now.plus(*wait)),
    };
    let mut tx = begin(inner).await?;
    let work = async {
        sqlx::query(
            "UPDATE commitment SET state = $2, sentence = $3, due_us = $4, ended_us = CASE WHEN $2 = 'open' THEN NULL ELSE $5 END, \
             instances = CASE WHEN $2 = 'open' THEN instances ELSE '' END WHERE id = $1 AND state = 'open'",
        )
        .bind(id)
        .bind(state)
        .bind(sentence)
        .bind(due.0)
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        if state != "open" {
            record(&mut tx, now, report, state).await?;
        }
        tx.commit().await
    };
    work.await
        .map_err(refused("writing down what came of a request"))
}

async fn record(
    tx: &mut SqliteConnection,
    now: Timestamp,
    report: &Report,
    state: &str,
) -> Result<(), sqlx::Error> {
    let mut failed = BTreeMap::new();
    for (_, failure) in &report.failed {
        *failed.entry(failure.word()).or_insert(0_u64) += 1;
    }
    let detail = json!({ "committed": report.committed.len(), "failed": failed });
    let event = match state {
        "reported" => "commitment-reported",
        _ => "commitment-given-up",
    };
    let (who, uid) = (report.calling.as_str(), report.transaction.as_str());
    audit::record(tx, now, event, who, uid, &detail).await
}

/// Forgets transactions that ended long ago.
pub(super) async fn forget(inner: &Inner) -> Result<(), CommitmentError> {
    let mut tx = begin(inner).await?;
    let work = async {
        sqlx::query(
            "DELETE FROM commitment WHERE state <> 'open' AND (ended_us < $1 OR id NOT IN \
             (SELECT id FROM commitment WHERE state <> 'open' ORDER BY id DESC LIMIT $2))",
        )
        .bind(inner.clock.now().minus(REMEMBERED).0)
        .bind(MOST_REMEMBERED)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    };
    work.await.map_err(refused("forgetting old transactions"))
}

async fn begin(inner: &Inner) -> Result<Write, CommitmentError> {
    let rows = inner.spool.rows();
    rows.begin().await.map_err(refused("beginning a write"))
}

fn parsed<T: std::str::FromStr>(text: String) -> Result<T, sqlx::Error> {
    match text.parse() {
        Ok(value) => Ok(value),
        Err(_) => Err(sqlx::Error::Decode("an identifier of a request".into())),
    }
}
