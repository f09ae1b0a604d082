//! What the link is given to send, and what the gateway's answers do to it.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use causeway_proto::digest::Digest;
use causeway_proto::ids::{AgreementId, Priority, StudyUid};
use causeway_proto::link::close::Code;
use causeway_proto::link::codec::{REMARKS_MAX, sentence};
use causeway_proto::link::message::terms;
use causeway_proto::link::message::{InstanceKey, Open, Progress, Receipt, Refused};
use causeway_proto::time::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::disk::Handle;
use super::entry::{Kept, Outgoing, Sent};
use super::manifest::{FARTHEST, MUCH_LATER, SILENCE, new_version};
use super::study::ToOpen;
use super::{Spool, SpoolError, greet, loss, manifest, parsed, refused_row, retain};
use crate::rows::{from_row, number, set_fact, to_row};

/// A study's rank in the queue (P26): the same order as [`Priority`].
pub(super) const BY_URGENCY: &str =
    "CASE s.priority WHEN 'stat' THEN 0 WHEN 'urgent' THEN 1 ELSE 2 END, s.id";

/// How the reason of an instance begins that the gateway refused for good, or until the link gave up.
pub(super) const NOT_TAKEN: &str = "the gateway did not take it: ";

/// See [`Spool::studies_to_open`].
pub(super) async fn studies_to_open(spool: &Spool) -> Result<Vec<ToOpen>, SpoolError> {
    let rows = sqlx::query(
        "SELECT s.study_uid, s.agreement, s.purpose, s.priority, s.case_code, s.first_us, \
         (SELECT COUNT(*) FROM instance i WHERE i.study_id = s.id), \
         (SELECT COUNT(*) FROM instance i WHERE i.study_id = s.id AND i.state = 'withheld'), s.blocked, \
         (SELECT GROUP_CONCAT(r, CHAR(10)) FROM (SELECT DISTINCT i.remarks r FROM instance i \
         WHERE i.study_id = s.id AND i.remarks <> '')), s.bound_id, s.corrected FROM study s JOIN agreement a ON a.id = s.agreement AND a.in_force = 1 \
         WHERE (a.identity = 'identified' OR s.named = 'may') AND (s.state IN ('arriving', 'complete') \
         OR (s.state = 'handed-off' AND EXISTS (SELECT 1 FROM instance i WHERE i.study_id = s.id AND i.state = 'waiting')) \
         OR (s.state = 'handed-off' AND (s.blocked <> '' OR s.corrected <> '' OR EXISTS (SELECT 1 FROM decision d WHERE d.study_id = s.id \
         AND d.what IN ('raise', 'unblock') AND d.at_us >= s.handed_off_us)))) \
         ORDER BY s.id",
    )
    .fetch_all(spool.inner.rows.read())
    .await
    .map_err(refused_row("listing the studies to open"))?;
    rows.iter()
        .map(|row| to_open(spool, row))
        .collect::<Result<_, _>>()
        .map_err(refused_row("reading the studies to open"))
}

fn to_open(spool: &Spool, row: &SqliteRow) -> Result<ToOpen, sqlx::Error> {
    let study: StudyUid = parsed(row, 0, "a study UID")?;
    let agreement: AgreementId = parsed(row, 1, "an agreement")?;
    let count = |index| -> Result<u32, sqlx::Error> {
        Ok(u32::try_from(row.try_get::<i64, _>(index)?).unwrap_or(u32::MAX))
    };
    Ok(ToOpen {
        progress: Progress {
            study: study.clone(),
            agreement: agreement.clone(),
            at_site: count(6)?,
            held: count(7)?,
        },
        open: Open {
            study,
            agreement,
            purpose: parsed(row, 2, "a purpose")?,
            priority: parsed(row, 3, "a priority")?,
            case: parsed(row, 4, "a case code")?,
            first_received: Timestamp(row.try_get(5)?),
            blocked: Some(row.try_get::<String, _>(8)?).filter(|why| !why.is_empty()),
            remarks: remarks(&format!(
                "{}\n{}",
                row.try_get::<String, _>(11)?,
                row.try_get::<Option<String>, _>(9)?.unwrap_or_default()
            )),
            identity: (!spool.is_established(row.try_get(10)?))
                .then(|| terms::NOT_ESTABLISHED.to_owned()),
        },
    })
}

/// What the reader is told of the protection of all objects of a study, each sentence once.
fn remarks(lines: &str) -> Vec<String> {
    let said: BTreeSet<&str> = lines.lines().filter(|line| !line.is_empty()).collect();
    said.into_iter()
        .take(REMARKS_MAX)
        .map(|line| sentence(line.to_owned()))
        .collect()
}

/// See [`Spool::next_to_send`].
pub(super) async fn next_to_send(
    spool: &Spool,
    limit: usize,
    in_flight: &HashSet<InstanceKey>,
) -> Result<Vec<Outgoing>, SpoolError> {
    let now = spool.inner.clock.now();
    let studies = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT s.id, s.study_uid, s.agreement, s.priority FROM study s \
         JOIN agreement a ON a.id = s.agreement AND a.in_force = 1 WHERE s.state <> 'recalled' AND (a.identity = 'identified' OR s.named = 'may') \
         AND EXISTS (SELECT 1 FROM instance i WHERE i.study_id = s.id AND i.state = 'waiting' AND i.lost = 0 \
         AND i.sent_digest IS NOT NULL) \
         ORDER BY {BY_URGENCY}"
    )))
    .fetch_all(spool.inner.rows.read())
    .await
    .map_err(refused_row("listing the studies to send"))?;
    let mut out = Vec::new();
    for study in studies {
        if out.len() >= limit {
            break;
        }
        let most = limit
            .saturating_sub(out.len())
            .saturating_add(in_flight.len());
        let rows = sqlx::query(
            "SELECT sop_uid, series_uid, sop_class, modality, syntax, length, source_digest, handle, sent_digest, sent_length, \
             sent_syntax, profile, turn FROM instance \
             WHERE study_id = $1 AND state = 'waiting' AND lost = 0 AND handle IS NOT NULL AND sent_digest IS NOT NULL \
             AND (next_try_us <= $2 OR next_try_us > $4) \
             ORDER BY turn, id LIMIT $3",
        )
        .bind(study.try_get::<i64, _>(0).map_err(refused_row("reading a study to send"))?)
        .bind(now.0)
        .bind(to_row(most as u64))
        .bind(now.plus(FARTHEST).0)
        .fetch_all(spool.inner.rows.read())
        .await
        .map_err(refused_row("listing the instances to send"))?;
        for row in rows {
            let next = outgoing(spool, &study, &row)?;
            if out.len() < limit && !in_flight.contains(&next.key) {
                out.push(next);
            }
        }
    }
    Ok(out)
}

fn outgoing(spool: &Spool, study: &SqliteRow, row: &SqliteRow) -> Result<Outgoing, SpoolError> {
    let read = || -> Result<Outgoing, sqlx::Error> {
        let source = kept(row, 4)?;
        let agreement: AgreementId = parsed(study, 2, "an agreement")?;
        let undecided = || sqlx::Error::Decode("a form of an object without a digest".into());
        Ok(Outgoing {
            key: InstanceKey {
                agreement,
                instance: parsed(row, 0, "an instance UID")?,
                source_tag: source.digest.ok_or_else(undecided)?,
            },
            study: parsed(study, 1, "a study UID")?,
            series: parsed(row, 1, "a series UID")?,
            class: parsed(row, 2, "a class UID")?,
            modality: row.try_get(3)?,
            priority: parsed::<Priority>(study, 3, "a priority")?,
            place: place(study.try_get(0)?, row.try_get(12)?),
            source,
            sent: Sent {
                digest: parsed(row, 8, "a digest")?,
                length: from_row(row.try_get(9)?),
                syntax: parsed(row, 10, "a transfer syntax")?,
            },
            profile: u32::try_from(row.try_get::<i64, _>(11)?).unwrap_or(u32::MAX),
        })
    };
    let mut next = read().map_err(refused_row("reading an instance to send"))?;
    next.key.source_tag = tag(spool, &next.key.agreement, &next.key.source_tag)?;
    Ok(next)
}

/// Studies one after the other, and each by turns.
fn place(study: i64, turn: i64) -> u64 {
    let turn = u64::try_from(turn).unwrap_or(0) & 0xFF;
    study.unsigned_abs() << 8 | turn
}

/// Syntax, length, digest and handle of the bytes as received, in four columns from `first`.
pub(super) fn kept(row: &SqliteRow, first: usize) -> Result<Kept, sqlx::Error> {
    Ok(Kept {
        syntax: parsed(row, first, "a transfer syntax")?,
        length: from_row(row.try_get(first + 1)?),
        digest: digest(row, first + 2)?,
        handle: Handle::from_row(row.try_get(first + 3)?),
    })
}

/// The digest of the bytes as received, once it is known.
pub(super) fn digest(row: &SqliteRow, column: usize) -> Result<Option<Digest>, sqlx::Error> {
    let known: Option<&str> = row.try_get(column)?;
    known.map(|_| parsed(row, column, "a digest")).transpose()
}

fn tag(spool: &Spool, agreement: &AgreementId, source: &Digest) -> Result<Digest, SpoolError> {
    Ok(spool.inner.keys.source_tag(agreement, source)?)
}

/// The row that an answer of the gateway is about.
pub(super) struct Answered {
    pub(super) id: i64,
    pub(super) sent: Option<(String, i64)>,
    profile: i64,
}

/// The row that an answer of the gateway is about, when its tag is that of the content held here.
pub(super) async fn row_of(
    spool: &Spool,
    key: &InstanceKey,
) -> Result<Option<Answered>, SpoolError> {
    let row = sqlx::query(
        "SELECT id, source_digest, sent_digest, COALESCE(sent_length, 0), profile FROM instance \
         WHERE agreement = $1 AND sop_uid = $2 AND source_digest IS NOT NULL",
    )
    .bind(key.agreement.as_str())
    .bind(key.instance.as_str())
    .fetch_optional(spool.inner.rows.read())
    .await
    .map_err(refused_row("looking for an answered instance"))?;
    let Some(row) = row else { return Ok(None) };
    let read = || -> Result<(Digest, Answered), sqlx::Error> {
        let length: i64 = row.try_get(3)?;
        let sent: Option<String> = row.try_get(2)?;
        let answered = Answered {
            id: row.try_get(0)?,
            sent: sent.map(|digest| (digest, length)),
            profile: row.try_get(4)?,
        };
        Ok((parsed(&row, 1, "a digest")?, answered))
    };
    let (source, answered) = read().map_err(refused_row("reading an answered instance"))?;
    let ours = tag(spool, &key.agreement, &source)? == key.source_tag;
    Ok(ours.then_some(answered))
}

/// See [`Spool::receipted`] and [`Spool::had`]: in one transaction, and in this order whether each changes something.
pub(super) async fn receipted(
    spool: &Spool,
    receipts: &[Receipt],
    earlier: bool,
) -> Result<Vec<bool>, SpoolError> {
    let mut known = Vec::with_capacity(receipts.len());
    for receipt in receipts {
        known.push(known_as(spool, receipt, earlier).await?);
    }
    let mut tx = spool.begin_rows().await?;
    let work = async {
        let epoch = number(&mut tx, greet::EPOCH).await?;
        let running = number(&mut tx, retain::RUNNING).await?;
        let mut taken = Vec::with_capacity(receipts.len());
        let mut seen = number(&mut tx, greet::RECEIPT_SEEN).await?;
        let before = seen;
        for (receipt, id) in receipts.iter().zip(known) {
            let id = id.filter(|_| receipt.epoch == epoch);
            taken.push(id.is_some());
            let Some(id) = id else {
                continue;
            };
            sqlx::query(
                "UPDATE instance SET state = 'receipted', receipt_us = $2, receipt_running = $3, receipt_number = $4, \
                 receipt_epoch = $5, quarantined = $6, sent_digest = $7, sent_length = $8 WHERE id = $1 AND state = 'waiting'",
            )
            .bind(id)
            .bind(spool.inner.clock.now().0)
            .bind(to_row(running))
            .bind(to_row(receipt.number))
            .bind(to_row(receipt.epoch))
            .bind(i64::from(receipt.quarantined))
            .bind(receipt.sent_digest.to_string())
            .bind(to_row(receipt.length))
            .execute(&mut *tx)
            .await?;
            seen = seen.max(receipt.number);
        }
        if seen != before {
            set_fact(&mut tx, greet::RECEIPT_SEEN, seen).await?;
        }
        tx.commit().await?;
        Ok(taken)
    };
    let taken = work.await.map_err(refused_row("taking receipts"))?;
    spool.wake();
    Ok(taken)
}

/// The row of what a receipt is for; none when it names what is not held here, or other bytes than were sent.
async fn known_as(
    spool: &Spool,
    receipt: &Receipt,
    earlier: bool,
) -> Result<Option<i64>, SpoolError> {
    let there = row_of(spool, &receipt.key).await?;
    let Some(Answered { id, sent, profile }) = there else {
        tracing::warn!("a receipt for content that is not held here changes nothing");
        return Ok(None);
    };
    let named = (receipt.sent_digest.to_string(), to_row(receipt.length));
    // another protected form of the same content, sent before a protection was made anew, is kept (reliability B.0)
    let former = earlier && profile > 0;
    if sent.as_ref() != Some(&named) && !former {
        tracing::warn!("a receipt that names other bytes than were sent changes nothing");
        return Ok(None);
    }
    Ok(Some(id))
}

/// See [`Spool::refused`].
pub(super) async fn refused(spool: &Spool, refused: &Refused) -> Result<(), SpoolError> {
    let Some(key) = &refused.key else {
        return manifest::refused(spool, refused).await;
    };
    let Some(Answered { id, .. }) = row_of(spool, key).await? else {
        return Ok(());
    };
    if refused.code == Code::DigestMismatch.number() && loss::have_changed(spool, key).await? {
        spool.wake();
        return Ok(());
    }
    let now = spool.inner.clock.now();
    let mut tx = spool.begin_rows().await?;
    match refused.retry_after_ms {
        Some(ms) => {
            let next = now.plus(Duration::from_millis(ms).min(MUCH_LATER));
            sqlx::query(
                "UPDATE instance SET next_try_us = $2, refusals = refusals + 1, reason = $3 WHERE id = $1 AND state = 'waiting'",
            )
            .bind(id)
            .bind(next.0)
            .bind(&refused.sentence)
            .execute(&mut *tx)
            .await
        }
        None => {
            sqlx::query(
                "UPDATE instance SET state = 'withheld', refusals = refusals + 1, \
                 reason = $3 || $2 WHERE id = $1 AND state = 'waiting'",
            )
            .bind(id)
            .bind(&refused.sentence)
            .bind(NOT_TAKEN)
            .execute(&mut *tx)
            .await
        }
    }
    .map_err(refused_row("taking a refusal"))?;
    if refused.retry_after_ms.is_none() {
        renew(&mut tx, id, now).await.map_err(refused_row(
            "sealing a study again without what was refused",
        ))?;
    }
    tx.commit().await.map_err(refused_row("taking a refusal"))?;
    spool.wake();
    Ok(())
}

/// A complete study whose manifest may have been said already needs a new version when one of its instances turns out to stay here.
pub(super) async fn renew(
    tx: &mut SqliteConnection,
    instance: i64,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let study: Option<i64> = sqlx::query_scalar(
        "SELECT s.id FROM study s JOIN instance i ON i.study_id = s.id WHERE i.id = $1 AND s.state = 'complete'",
    )
    .bind(instance)
    .fetch_optional(&mut *tx)
    .await?;
    match study {
        Some(study) => new_version(tx, study, SILENCE, now).await,
        None => Ok(()),
    }
}
