//! The worker that finds out whose report it is before anybody is offered it, and what a person decides where the PACS and the site
//! disagree (P3). A delivery mirrors its report's restoration, so that the gateway hears why it waits, and never whom it names.

use std::time::Duration;

use bytes::Bytes;
use causeway_proto::dataset::Dataset;
use causeway_proto::link::message::DeliveryState;
use causeway_proto::time::Timestamp;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;
use tokio_util::sync::CancellationToken;

use super::outcome::pause;
use super::withdrawn::TAKEN_BACK;
use super::work::{FARTHEST, names};
use super::{Deliveries, DeliveryError, lost, refused};
use crate::audit;
use crate::restore::rows::{self, Decision, Due, Mismatch};
use crate::restore::{self as room, Asked, Home, Ours, Restoring, Verdict};

/// Who the PACS said that the patient is holds for so long; a report that is offered later is asked about again.
pub(super) const FRESH: Duration = Duration::from_secs(900);

/// So many questions are asked at the same time: one that the PACS leaves without an answer keeps a place until its time is over.
const AT_ONCE: usize = 4;

/// What a person decides about a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ruling {
    /// Delivered under the name that the site knows.
    Ours,
    /// Delivered as the PACS files the study; which of its answers, from 0.
    Pacs(usize),
    /// Never delivered.
    Refuse,
}

/// Finds out until `cancel` fires. A question without an answer, or a decision that is not written down, holds up no other report.
pub(super) async fn serve(
    deliveries: &Deliveries,
    restoring: &Restoring,
    cancel: &CancellationToken,
) {
    let mut under_way = FuturesUnordered::new();
    // what is asked about now, and what could not be written down a moment ago
    let (mut asked, mut failed) = (Vec::new(), Vec::new());
    while !cancel.is_cancelled() {
        while under_way.len() < AT_ONCE {
            let due = match next(deliveries, &[&asked[..], &failed[..]].concat()).await {
                Ok(Some(due)) => due,
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "nothing is restored now");
                    break;
                }
            };
            asked.push(due.report);
            under_way.push(async move {
                let written = restore(deliveries, restoring, &due).await;
                (due.report, written)
            });
        }
        tokio::select! {
            () = cancel.cancelled() => {}
            Some((report, written)) = under_way.next() => {
                asked.retain(|it| *it != report);
                if let Err(error) = written {
                    tracing::error!(%error, "a restoration was not written down; it comes again");
                    failed.push(report);
                }
            }
            () = deliveries.inner.due.notified() => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => failed.clear(),
        }
    }
}

/// What has been due the longest, but for `passed_over`.
pub(super) async fn next(
    deliveries: &Deliveries,
    passed_over: &[i64],
) -> Result<Option<Due>, DeliveryError> {
    let now = deliveries.inner.clock.now();
    let rows = deliveries.inner.spool.rows();
    rows::next(rows, now, now.minus(FRESH), now.plus(FARTHEST), passed_over)
        .await
        .map_err(refused("looking for what is to be restored"))
}

/// Finds out whose report it is, and writes it down.
pub(super) async fn restore(
    deliveries: &Deliveries,
    restoring: &Restoring,
    due: &Due,
) -> Result<(), DeliveryError> {
    let (report, ours) = match read(deliveries, restoring, due).await {
        Ok(read) => read,
        Err(error) => {
            // one report that cannot be read now holds up no other
            tracing::error!(%error, "a report waits for its restoration");
            let waiting = "the site could not read it or what it knows of its study".to_owned();
            let verdict = Verdict::Waiting(waiting);
            return conclude(deliveries, due, &verdict, &Found::default()).await;
        }
    };
    let Some(report) = report else {
        return damaged(deliveries, due).await;
    };
    let asked = restoring.find.ask(&due.study).await;
    let refusals = due
        .refusals
        .saturating_add(i64::from(matches!(asked, Asked::Refused(_))));
    let verdict = room::decide(&restoring.config, &due.study, &asked, &ours, refusals);
    let found = Found {
        named: named(&report, &verdict, &ours),
        ours,
        refusals,
    };
    conclude(deliveries, due, &verdict, &found).await
}

/// Bytes that are not those that were verified are asked for; whose they are is found out when they are back.
async fn damaged(deliveries: &Deliveries, due: &Due) -> Result<(), DeliveryError> {
    let now = deliveries.inner.clock.now();
    let mut tx = deliveries.begin().await?;
    let work = async {
        lost::found(&mut tx, due.report, now.0).await?;
        tx.commit().await
    };
    work.await.map_err(refused("asking for a damaged report"))?;
    tracing::error!(report = due.report, "a report's bytes are damaged");
    deliveries.inner.changed.notify_waiters();
    Ok(())
}

/// The signed report, none when it is not what was verified, and what the site knows of its study.
async fn read(
    deliveries: &Deliveries,
    restoring: &Restoring,
    due: &Due,
) -> Result<(Option<Dataset>, Ours), DeliveryError> {
    let Some(report) = document(deliveries, due).await? else {
        return Ok((None, Ours::default()));
    };
    let ours = known(deliveries, restoring, due, &report).await?;
    Ok((Some(report), ours))
}

async fn document(deliveries: &Deliveries, due: &Due) -> Result<Option<Dataset>, DeliveryError> {
    let spool = &deliveries.inner.spool;
    let whole = usize::try_from(due.length).unwrap_or(usize::MAX);
    let bytes: Bytes = spool.read(&due.handle, 0, whole).await?;
    if !spool
        .is_intact(&due.handle, &due.syntax, bytes.clone())
        .await?
    {
        return Ok(None);
    }
    Ok(Dataset::read(&bytes, &due.syntax).ok())
}

/// What the site knows of the study.
async fn known(
    deliveries: &Deliveries,
    restoring: &Restoring,
    due: &Due,
    report: &Dataset,
) -> Result<Ours, DeliveryError> {
    let received = rows::received(&deliveries.inner.spool, &due.study, &due.agreement)
        .await
        .map_err(refused("looking for what was received"))?;
    let (report, due, unseal) = (report.clone(), due.clone(), restoring.unseal.clone());
    // an RSA decryption is not work for the runtime's threads
    let sealed = tokio::task::spawn_blocking(move || {
        room::originals(&report, &due.agreement, &due.study, &unseal)
    });
    let mut ours = Ours {
        received,
        sealed: sealed.await.ok().flatten(),
        placeholder: false,
    };
    ours.placeholder = ours
        .best()
        .is_some_and(|home| (restoring.is_placeholder)(home.id.reveal()));
    Ok(ours)
}

/// What of the patient stands in the report's own words, comma-separated.
fn named(report: &Dataset, verdict: &Verdict, ours: &Ours) -> String {
    let mut patients: Vec<&Home> = ours.received.iter().chain(&ours.sealed).collect();
    match verdict {
        Verdict::Restore(home, _) => patients.push(home),
        Verdict::Held(_, theirs) => patients.extend(theirs),
        Verdict::Waiting(_) => {}
    }
    if ours.placeholder {
        // "UNKNOWN" and "TRAUMA" are words of any report
        patients.retain(|home| Some(*home) != ours.received.as_ref());
    }
    room::named_in(report, &patients).join(", ")
}

/// What was found out on the way to a verdict.
#[derive(Default)]
struct Found {
    ours: Ours,
    /// What of the patient stands in the report's own words.
    named: String,
    refusals: i64,
}

/// Writes down what follows, in both tables at once.
async fn conclude(
    deliveries: &Deliveries,
    due: &Due,
    verdict: &Verdict,
    found: &Found,
) -> Result<(), DeliveryError> {
    let now = deliveries.inner.clock.now();
    let again = now.plus(pause(
        due.attempts.saturating_add(1),
        &deliveries.inner.random,
    ));
    let best = found.ours.best();
    let mut decision = Decision {
        ours: best.as_ref(),
        names: &found.named,
        refusals: found.refusals,
        ..Decision::default()
    };
    let (state, due_at) = match verdict {
        Verdict::Restore(home, by) => {
            decision.state = "done";
            decision.sentence = "its patient is known; not offered yet";
            decision.home = Some(home);
            decision.by = by;
            (DeliveryState::AtSite, Some(now))
        }
        Verdict::Held(sentence, theirs) => {
            decision.state = "held";
            decision.sentence = sentence;
            decision.theirs = theirs;
            (DeliveryState::Held, None)
        }
        Verdict::Waiting(sentence) => {
            decision.state = "due";
            decision.sentence = sentence;
            decision.due = Some(again);
            (DeliveryState::Waiting, Some(again))
        }
    };
    tracing::info!(
        report = due.report,
        state = decision.state,
        sentence = decision.sentence,
        "whose report it is was asked"
    );
    let standing = Standing {
        state,
        sentence: decision.sentence,
        due: due_at.map(|at| at.0),
        from: &["at-site", "waiting"],
    };
    let mut tx = deliveries.begin().await?;
    let work = async {
        // what was offered before stays where it is; only its patient is known anew
        let anew = due.state == "done" && decision.state == "done";
        if rows::decided(&mut tx, due, &decision, now).await? && !anew {
            mirror(deliveries, &mut tx, due.report, &standing).await?;
        }
        tx.commit().await
    };
    work.await.map_err(refused("writing down a restoration"))?;
    deliveries.inner.changed.notify_waiters();
    deliveries.inner.due.notify_waiters();
    Ok(())
}

/// How a delivery stands while its report's patient is in question, and out of which states it comes there.
struct Standing<'a> {
    state: DeliveryState,
    sentence: &'a str,
    due: Option<i64>,
    from: &'a [&'a str],
}

/// Every configured destination that has not got the report stands as its restoration does; what its reader has withdrawn goes on
/// standing as that left it.
async fn mirror(
    deliveries: &Deliveries,
    tx: &mut SqliteConnection,
    report: i64,
    standing: &Standing<'_>,
) -> Result<(), sqlx::Error> {
    let from = serde_json::Value::from_iter(standing.from.iter().copied());
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE delivery SET state = $2, sentence = $3, due_us = $4, since_us = $5, revision = revision + 1 \
         WHERE report_id = $1 AND destination IN (SELECT value FROM json_each($6)) \
         AND state IN (SELECT value FROM json_each($7)) \
         AND NOT EXISTS (SELECT 1 FROM report r WHERE r.id = $1 AND {TAKEN_BACK})"
    )))
    .bind(report)
    .bind(standing.state.as_str())
    .bind(standing.sentence)
    .bind(standing.due)
    .bind(deliveries.inner.clock.now().0)
    .bind(names(deliveries))
    .bind(from.to_string())
    .execute(tx)
    .await?;
    Ok(())
}

/// See [`Deliveries::rule`].
pub(super) async fn rule(
    deliveries: &Deliveries,
    report: i64,
    ruling: Ruling,
    who: &str,
) -> Result<u64, DeliveryError> {
    let held = rows::mismatches(deliveries.inner.spool.rows(), Some(report))
        .await
        .map_err(refused("looking for a report"))?;
    let Some(held) = held.into_iter().next() else {
        return Ok(0);
    };
    let home = chosen(&held, ruling)?;
    let now = deliveries.inner.clock.now();
    let (state, sentence, due) = match home {
        Some(_) => (
            DeliveryState::Waiting,
            "a person at the site has decided who the patient is; offered next",
            Some(now.0),
        ),
        None => (
            DeliveryState::Held,
            "a person at the site has refused to file it",
            None,
        ),
    };
    let mut tx = deliveries.begin().await?;
    let work = async {
        let ruled = rows::ruled(&mut tx, report, home.as_ref(), now).await?;
        if ruled {
            let standing = Standing {
                state,
                sentence,
                due,
                from: &["at-site", "waiting", "held"],
            };
            mirror(deliveries, &mut tx, report, &standing).await?;
            note(&mut tx, report, ruling, (who, now)).await?;
        }
        tx.commit().await?;
        Ok(u64::from(ruled))
    };
    let ruled = work.await.map_err(refused("writing down a decision"))?;
    deliveries.inner.changed.notify_waiters();
    deliveries.inner.due.notify_waiters();
    Ok(ruled)
}

/// Writes down whose word a person took, never the word itself: it names the patient.
async fn note(
    tx: &mut SqliteConnection,
    report: i64,
    ruling: Ruling,
    (who, now): (&str, Timestamp),
) -> Result<(), sqlx::Error> {
    let (case, uid): (String, String) =
        sqlx::query_as("SELECT case_code, sop_uid FROM report WHERE id = $1")
            .bind(report)
            .fetch_one(&mut *tx)
            .await?;
    let word = match ruling {
        Ruling::Refuse => "refused",
        Ruling::Ours => "ours",
        Ruling::Pacs(_) => "pacs",
    };
    let detail = serde_json::json!({ "case": case, "report": uid, "as": word });
    audit::record(tx, now, "held-decided", who, &case, &detail).await
}

/// The set that a person has chosen; none when the report is refused.
fn chosen(held: &Mismatch, ruling: Ruling) -> Result<Option<Home>, DeliveryError> {
    let ours = held.ours.clone();
    let home = match ruling {
        Ruling::Refuse => return Ok(None),
        Ruling::Ours => ours,
        Ruling::Pacs(which) => held.theirs.get(which).map(|theirs| match &ours {
            Some(ours) => theirs.clone().completed_by(ours),
            None => theirs.clone(),
        }),
    };
    let home = home.ok_or(DeliveryError::Choice("there is no such set"))?;
    if home.is_undecodable() {
        return Err(DeliveryError::Choice(
            "this set is in no readable character set",
        ));
    }
    Ok(Some(home))
}

#[cfg(test)]
mod tests;
