//! Manifests: which instances a sealed version of a study holds, what stays at the site, and what the gateway answers.

use std::time::Duration;

use causeway_proto::link::codec::{REPORTS_MAX, sentence};
use causeway_proto::link::message::{Manifest, ManifestEntry, Refused, Sealed, Withheld};
use causeway_proto::time::Timestamp;
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{Spool, SpoolError, parsed, refused_row};
use crate::audit;
use crate::rows::{from_row, to_row};

/// A manifest that was answered with something missing, or refused, is not said again before this.
const AGAIN: Duration = Duration::from_secs(1);

/// A manifest of which the gateway says that trying again will not help is still tried now and then: people mend gateways.
pub(super) const MUCH_LATER: Duration = Duration::from_secs(3600);

/// What is to be tried later than this was put off under a clock that was set back since: it is due now (R18).
pub(super) const FARTHEST: Duration = Duration::from_secs(7200);

/// So many are said before any of them is answered: after the gateway was restored all of them are due.
const AT_ONCE: i64 = 64;

/// The basis of a version that nobody asked for.
pub(super) const SILENCE: &str = "silence";

/// The next version of a study's manifest, over everything received so far.
pub(super) async fn new_version(
    tx: &mut SqliteConnection,
    id: i64,
    basis: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE study SET state = 'complete', send_now = 0, handed_off_us = NULL, manifest_version = manifest_version + 1 \
         WHERE id = $1",
    )
    .bind(id)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO manifest (study_id, version, agreement, basis, through_id, sealed_us) \
         SELECT s.id, s.manifest_version, s.agreement, $2, (SELECT MAX(i.id) FROM instance i WHERE i.study_id = s.id), $3 \
         FROM study s WHERE s.id = $1",
    )
    .bind(id)
    .bind(basis)
    .bind(now.0)
    .execute(&mut *tx)
    .await?;
    sealing(tx, id, basis, now).await
}

/// One record for each version: how many instances it has, and how many of them stay at the site.
async fn sealing(
    tx: &mut SqliteConnection,
    id: i64,
    basis: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let (study, case, agreement, version, all, withheld): (String, String, String, i64, i64, i64) = sqlx::query_as(
        "SELECT s.study_uid, s.case_code, s.agreement, s.manifest_version, \
         (SELECT COUNT(*) FROM instance i WHERE i.study_id = s.id), \
         (SELECT COUNT(*) FROM instance i WHERE i.study_id = s.id AND i.state = 'withheld') FROM study s WHERE s.id = $1",
    )
    .bind(id)
    .fetch_one(&mut *tx)
    .await?;
    let detail = json!({ "case": case, "agreement": agreement, "version": version, "basis": basis, "instances": all, "withheld": withheld });
    audit::record(tx, now, "study-sealed", "agent", &study, &detail).await
}

/// See [`Spool::manifests_due`].
pub(super) async fn manifests_due(spool: &Spool) -> Result<Vec<Manifest>, SpoolError> {
    let now = spool.inner.clock.now();
    let rows = sqlx::query(
        "SELECT s.id, s.study_uid, m.agreement, m.version, m.basis, m.sealed_us, m.through_id \
         FROM manifest m JOIN study s ON s.id = m.study_id AND s.manifest_version = m.version \
         JOIN agreement a ON a.id = m.agreement AND a.in_force = 1 \
         WHERE s.state = 'complete' AND (a.identity = 'identified' OR s.named = 'may') AND m.confirmed_us IS NULL AND (m.next_try_us <= $1 OR m.next_try_us > $2) AND NOT EXISTS \
         (SELECT 1 FROM instance i WHERE i.study_id = s.id AND i.state = 'waiting' AND i.id <= m.through_id) ORDER BY s.id LIMIT $3",
    )
    .bind(now.0)
    .bind(now.plus(FARTHEST).0)
    .bind(AT_ONCE)
    .fetch_all(spool.inner.rows.read())
    .await
    .map_err(refused_row("listing the manifests"))?;
    let mut due = Vec::with_capacity(rows.len());
    for row in rows {
        due.push(
            manifest(spool, &row)
                .await
                .map_err(refused_row("reading a manifest"))?,
        );
    }
    Ok(due)
}

async fn manifest(spool: &Spool, row: &SqliteRow) -> Result<Manifest, sqlx::Error> {
    let id: i64 = row.try_get(0)?;
    let through: i64 = row.try_get(6)?;
    let entries = sqlx::query(
        "SELECT sop_uid, sent_digest, sent_length FROM instance WHERE study_id = $1 AND id <= $2 AND state = 'receipted' \
         AND quarantined = 0 ORDER BY id",
    )
    .bind(id)
    .bind(through)
    .fetch_all(spool.inner.rows.read())
    .await?;
    let withheld = sqlx::query(
        "SELECT sop_class, modality, COUNT(*), CASE WHEN quarantined = 1 THEN \
         'kept apart at the gateway: it has other content under the same UID' ELSE reason END AS why FROM instance \
         WHERE study_id = $1 AND id <= $2 AND (state = 'withheld' OR quarantined = 1) \
         GROUP BY sop_class, modality, why ORDER BY sop_class, modality, why",
    )
    .bind(id)
    .bind(through)
    .fetch_all(spool.inner.rows.read())
    .await?;
    let reports = sqlx::query(
        "SELECT sop_uid FROM report r WHERE r.agreement = $1 AND r.study_uid = $2 AND NOT EXISTS (SELECT 1 FROM delivery d \
         WHERE d.report_id = r.id AND d.destination = 'site' AND d.state = 'rejected') ORDER BY r.signed_us DESC, r.id DESC LIMIT $3",
    )
    .bind(row.try_get::<String, _>(2)?)
    .bind(row.try_get::<String, _>(1)?)
    .bind(to_row(REPORTS_MAX as u64))
    .fetch_all(spool.inner.rows.read())
    .await?;
    let reports = reports.iter().map(|row| parsed(row, 0, "a report UID"));
    Ok(Manifest {
        reports: Some(reports.collect::<Result<_, _>>()?),
        study: parsed(row, 1, "a study UID")?,
        agreement: parsed(row, 2, "an agreement")?,
        version: u32::try_from(row.try_get::<i64, _>(3)?).unwrap_or(u32::MAX),
        entries: entries.iter().map(entry).collect::<Result<_, _>>()?,
        withheld: together(withheld.iter().map(group).collect::<Result<_, _>>()?),
        basis: row.try_get(4)?,
        sealed_at: Timestamp(row.try_get(5)?),
    })
}

fn entry(row: &SqliteRow) -> Result<ManifestEntry, sqlx::Error> {
    Ok(ManifestEntry {
        instance: parsed(row, 0, "an instance UID")?,
        sent_digest: parsed(row, 1, "a digest")?,
        length: from_row(row.try_get(2)?),
    })
}

/// Groups that say the same are one.
fn together(groups: Vec<Withheld>) -> Vec<Withheld> {
    let mut out: Vec<Withheld> = Vec::with_capacity(groups.len());
    for group in groups {
        let same = out.iter_mut().find(|it| {
            (&it.class, &it.modality, &it.reason) == (&group.class, &group.modality, &group.reason)
        });
        match same {
            Some(same) => same.count = same.count.saturating_add(group.count),
            None => out.push(group),
        }
    }
    out
}

/// (0008,0060) of an object that stays is as it was received, and may be anything: only defined terms (PS3.3 C.7.3.1.1.1) leave.
fn modality(received: &str) -> &str {
    let received = received.trim();
    MODALITIES.binary_search(&received).map_or("", |_| received)
}

const MODALITIES: [&str; 78] = [
    "AR",
    "ASMT",
    "AU",
    "BDUS",
    "BI",
    "BMD",
    "CFM",
    "CR",
    "CT",
    "CTPROTOCOL",
    "DG",
    "DMS",
    "DOC",
    "DX",
    "ECG",
    "EEG",
    "EMG",
    "EOG",
    "EPS",
    "ES",
    "FID",
    "GM",
    "HC",
    "HD",
    "IO",
    "IOL",
    "IVOCT",
    "IVUS",
    "KER",
    "KO",
    "LEN",
    "LS",
    "M3D",
    "MG",
    "MR",
    "NM",
    "OAM",
    "OCT",
    "OP",
    "OPM",
    "OPT",
    "OPTBSV",
    "OPTENF",
    "OPV",
    "OSS",
    "OT",
    "PA",
    "PLAN",
    "POS",
    "PR",
    "PT",
    "PX",
    "REG",
    "RESP",
    "RF",
    "RG",
    "RTDOSE",
    "RTIMAGE",
    "RTINTENT",
    "RTPLAN",
    "RTRAD",
    "RTRECORD",
    "RTSEGANN",
    "RTSTRUCT",
    "RWV",
    "SEG",
    "SM",
    "SMR",
    "SR",
    "SRF",
    "STAIN",
    "TEXTUREMAP",
    "TG",
    "US",
    "VA",
    "XA",
    "XAPROTOCOL",
    "XC",
];

fn group(row: &SqliteRow) -> Result<Withheld, sqlx::Error> {
    Ok(Withheld {
        class: parsed(row, 0, "a class UID")?,
        modality: modality(row.try_get(1)?).to_owned(),
        count: u32::try_from(row.try_get::<i64, _>(2)?).unwrap_or(u32::MAX),
        reason: sentence(row.try_get(3)?),
    })
}

/// See [`Spool::sealed`].
pub(super) async fn sealed(spool: &Spool, answer: &Sealed) -> Result<(), SpoolError> {
    let now = spool.inner.clock.now();
    let mut tx = spool.begin_rows().await?;
    let work = async {
        let id: Option<i64> = sqlx::query_scalar(
            "SELECT id FROM study WHERE study_uid = $1 AND agreement = $2 AND manifest_version = $3 AND state = 'complete'",
        )
        .bind(answer.study.as_str())
        .bind(answer.agreement.as_str())
        .bind(i64::from(answer.version))
        .fetch_optional(&mut *tx)
        .await?;
        // an answer to an older version: a newer one is on its way
        let Some(id) = id else { return Ok(()) };
        if answer.missing.is_empty() {
            hand_off(&mut tx, id, now).await?;
        } else {
            offer_missing(&mut tx, id, answer, now).await?;
            put_off(&mut tx, id, now.plus(AGAIN)).await?;
        }
        tx.commit().await
    };
    work.await
        .map_err(refused_row("taking the answer to a manifest"))?;
    spool.wake();
    Ok(())
}

/// The gateway does not take a manifest now; see [`Spool::refused`].
pub(super) async fn refused(spool: &Spool, refused: &Refused) -> Result<(), SpoolError> {
    let wait = match refused.retry_after_ms {
        Some(ms) => Duration::from_millis(ms).clamp(AGAIN, MUCH_LATER),
        None => MUCH_LATER,
    };
    let until = spool.inner.clock.now().plus(wait);
    let mut tx = spool.begin_rows().await?;
    let work = async {
        let id: Option<i64> =
            sqlx::query_scalar("SELECT id FROM study WHERE study_uid = $1 AND agreement = $2")
                .bind(refused.study.as_str())
                .bind(refused.agreement.as_str())
                .fetch_optional(&mut *tx)
                .await?;
        if let Some(id) = id {
            put_off(&mut tx, id, until).await?;
        }
        tx.commit().await
    };
    work.await.map_err(refused_row("putting a manifest off"))
}

/// The newest manifest of a study is not said again before `until`.
async fn put_off(tx: &mut SqliteConnection, id: i64, until: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE manifest SET next_try_us = $2 WHERE study_id = $1 AND version = \
         (SELECT manifest_version FROM study WHERE id = $1)",
    )
    .bind(id)
    .bind(until.0)
    .execute(tx)
    .await?;
    Ok(())
}

async fn hand_off(tx: &mut SqliteConnection, id: i64, now: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE study SET state = 'handed-off', handed_off_us = $2 WHERE id = $1")
        .bind(id)
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "UPDATE manifest SET confirmed_us = $2 WHERE study_id = $1 AND version = \
         (SELECT manifest_version FROM study WHERE id = $1)",
    )
    .bind(id)
    .bind(now.0)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// What the gateway misses is offered again while it is kept; what is not kept any more is named as withheld, in a new version.
async fn offer_missing(
    tx: &mut SqliteConnection,
    id: i64,
    answer: &Sealed,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let mut gone = 0;
    for missing in &answer.missing {
        let offered = sqlx::query(
            "UPDATE instance SET state = 'waiting', receipt_us = NULL, receipt_running = NULL, next_try_us = 0 \
             WHERE study_id = $1 AND sop_uid = $2 AND handle IS NOT NULL AND lost = 0",
        )
        .bind(id)
        .bind(missing.as_str())
        .execute(&mut *tx)
        .await?;
        if offered.rows_affected() == 0 {
            gone += sqlx::query(
                "UPDATE instance SET state = 'withheld', reason = 'no longer kept at the site' \
                 WHERE study_id = $1 AND sop_uid = $2 AND state = 'receipted'",
            )
            .bind(id)
            .bind(missing.as_str())
            .execute(&mut *tx)
            .await?
            .rows_affected();
        }
    }
    if gone > 0 {
        new_version(tx, id, SILENCE, now).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_as_a_modality_is_not_repeated() {
        assert!(MODALITIES.is_sorted());
        assert_eq!(modality("CT "), "CT");
        assert_eq!(modality("DOE"), "");
        assert_eq!(modality("MUSTERMANN"), "");
        let group = |modality: &str, count| Withheld {
            class: "1.2.840.10008.5.1.4.1.1.7".parse().unwrap(),
            modality: super::modality(modality).to_owned(),
            count,
            reason: "stays".to_owned(),
        };
        let told = together(vec![group("DOE", 1), group("JANE", 2), group("CT", 3)]);
        assert_eq!(told, [group("", 3), group("CT", 3)]);
    }
}
