//! The statements that name what was stored: studies, instances, and other content kept aside.

use causeway_proto::ids::{CaseCode, Priority, Purpose};
use sqlx::SqliteConnection;

use super::disk::Handle;
use super::entry::{CallingKind, Stored};
use super::store::Incoming;
use super::there::There;
use super::{Spool, SpoolError, refused_row, uids};
use crate::rows::to_row;

/// Modalities that are acquired with pauses (P30).
const PAUSED: [&str; 2] = ["US", "XA"];

pub(super) async fn insert_study(
    spool: &Spool,
    tx: &mut SqliteConnection,
    incoming: &Incoming,
) -> Result<i64, SpoolError> {
    let header = &incoming.header;
    for _ in 0..8 {
        let id: Option<i64> = sqlx::query_scalar(
            "INSERT INTO study (agreement, study_uid, purpose, priority, case_code, state, kind, paused, bound_id, \
             bound_issuer, patient_id, patient_issuer, patient_name, accession, description, first_us, last_us) \
             VALUES ($1, $2, $3, $4, $5, 'arriving', $6, $7, $8, $9, $8, $9, $10, $11, $12, $13, $13) \
             ON CONFLICT (case_code) DO NOTHING RETURNING id",
        )
        .bind(&incoming.agreement)
        .bind(header.study.as_str())
        .bind(incoming.arrival.purpose.as_str())
        .bind(incoming.arrival.priority.as_str())
        .bind(CaseCode::draw(&spool.inner.random).as_str())
        .bind(kind_word(incoming.kind))
        .bind(i64::from(PAUSED.contains(&header.modality.as_str())))
        .bind(header.patient_id.reveal())
        .bind(header.issuer.reveal())
        .bind(header.patient_name.reveal())
        .bind(header.accession.reveal())
        .bind(header.description.reveal())
        .bind(incoming.now.0)
        .fetch_optional(&mut *tx)
        .await
        .map_err(refused_row("opening a study"))?;
        if let Some(id) = id {
            uids::decide(tx, &spool.inner.config.agreement)
                .await
                .map_err(refused_row("deciding under which UIDs a study leaves"))?;
            return Ok(id);
        }
    }
    Err(SpoolError::NoCaseCode)
}

pub(super) async fn grow_study(
    tx: &mut SqliteConnection,
    incoming: &Incoming,
    id: i64,
    purpose: Purpose,
    priority: Priority,
) -> Result<(), SpoolError> {
    sqlx::query(
        "UPDATE study SET purpose = $2, priority = $3, last_us = $4, silent_from_us = NULL, \
         kind = CASE WHEN $5 = 'modality' THEN 'modality' ELSE kind END, paused = MAX(paused, $6), \
         send_now = CASE WHEN $7 = 1 AND state IN ('complete', 'handed-off') THEN 0 ELSE send_now END, \
         state = CASE WHEN $7 = 1 AND state IN ('complete', 'handed-off') THEN 'arriving' ELSE state END \
         WHERE id = $1",
    )
    .bind(id)
    .bind(purpose.as_str())
    .bind(priority.as_str())
    .bind(incoming.now.0)
    .bind(kind_word(incoming.kind))
    .bind(i64::from(PAUSED.contains(&incoming.header.modality.as_str())))
    .bind(i64::from(incoming.header.image))
    .execute(tx)
    .await
    .map_err(refused_row("growing a study"))?;
    Ok(())
}

/// Instances whose UIDs are new, each with its study, in this order.
pub(super) async fn insert_instances(
    tx: &mut SqliteConnection,
    all: &[(i64, &Incoming, &Handle)],
) -> Result<(), SpoolError> {
    let rows: Vec<_> = all
        .iter()
        .map(|(study, incoming, handle)| {
            let (header, arrival) = (&incoming.header, &incoming.arrival);
            serde_json::json!({
                "study": study,
                "sop": header.instance,
                "series": header.series,
                "class": header.class,
                "modality": header.modality,
                "image": i64::from(header.image),
                "syntax": arrival.syntax,
                "length": to_row(incoming.length),
                "digest": incoming.digest,
                "pixels": header.pixel_digest,
                "handle": handle.as_row(),
                "calling": arrival.calling,
                "called": arrival.called,
                "address": arrival.address,
                "turn": header.turn.as_row(),
                "now": incoming.now.0,
            })
        })
        .collect();
    // under an agreement that this site lets be identified its form is what was received, as soon as that has its digest
    sqlx::query(
        "INSERT INTO instance (study_id, agreement, sop_uid, series_uid, sop_class, modality, image, syntax, length, \
         source_digest, pixel_digest, handle, calling, called, address, turn, state, reason, received_us, seen_us, \
         sent_digest, sent_length, sent_syntax) \
         SELECT id, agreement, v ->> 'sop', v ->> 'series', v ->> 'class', v ->> 'modality', v ->> 'image', v ->> 'syntax', \
         v ->> 'length', v ->> 'digest', v ->> 'pixels', v ->> 'handle', v ->> 'calling', v ->> 'called', v ->> 'address', v ->> 'turn', \
         CASE WHEN state = 'recalled' THEN 'withheld' ELSE 'waiting' END, \
         CASE WHEN state = 'recalled' THEN 'the site has recalled the study' ELSE '' END, v ->> 'now', v ->> 'now', \
         CASE WHEN plain THEN v ->> 'digest' END, CASE WHEN plain THEN v ->> 'length' END, CASE WHEN plain THEN v ->> 'syntax' END \
         FROM (SELECT s.id, s.agreement, s.state, j.value AS v, j.value ->> 'digest' IS NOT NULL AND s.state <> 'recalled' \
         AND s.uids <> 'replaced' AND EXISTS (SELECT 1 FROM agreement a WHERE a.id = s.agreement AND a.identity = 'identified') AS plain \
         FROM json_each($1) j JOIN study s ON s.id = j.value ->> 'study' ORDER BY j.key)",
    )
    .bind(serde_json::Value::from(rows).to_string())
    .execute(&mut *tx)
    .await
    .map_err(refused_row("naming instances"))?;
    Ok(())
}

/// Under an agreement that this site lets be identified, everything leaves as it was received; but what has begun to leave under other
/// UIDs goes on so.
pub(super) async fn leaves_as_received(tx: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE instance SET sent_digest = source_digest, sent_length = length, sent_syntax = syntax, profile = 0 \
         WHERE state = 'waiting' AND sent_digest IS NULL AND source_digest IS NOT NULL \
         AND agreement IN (SELECT id FROM agreement WHERE identity = 'identified') \
         AND study_id NOT IN (SELECT id FROM study WHERE uids = 'replaced')",
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn insert_aside(
    tx: &mut SqliteConnection,
    incoming: &Incoming,
    handle: &Handle,
    there: &There,
    stored: Stored,
) -> Result<(), SpoolError> {
    let (header, arrival) = (&incoming.header, &incoming.arrival);
    let kind = if stored == Stored::Correction {
        "correction"
    } else {
        "conflict"
    };
    sqlx::query(
        "INSERT INTO aside (instance_id, kind, study_uid, syntax, length, source_digest, pixel_digest, handle, patient_id, \
         patient_issuer, patient_name, accession, calling, received_us, seen_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14) \
         ON CONFLICT (instance_id, source_digest) DO UPDATE SET handle = excluded.handle, seen_us = excluded.seen_us",
    )
    .bind(there.id)
    .bind(kind)
    .bind(header.study.as_str())
    .bind(arrival.syntax.as_str())
    .bind(to_row(incoming.length))
    .bind(incoming.digest.map(|d| d.to_string()))
    .bind(header.pixel_digest.map(|d| d.to_string()))
    .bind(handle.as_row())
    .bind(header.patient_id.reveal())
    .bind(header.issuer.reveal())
    .bind(header.patient_name.reveal())
    .bind(header.accession.reveal())
    .bind(arrival.calling.as_str())
    .bind(incoming.now.0)
    .execute(tx)
    .await
    .map_err(refused_row("putting other content aside"))?;
    Ok(())
}

/// A correction that names another patient: nobody signs before a person at the site has decided (P24).
pub(super) async fn block_other_patient(
    tx: &mut SqliteConnection,
    incoming: &Incoming,
    study: i64,
) -> Result<(), SpoolError> {
    sqlx::query("UPDATE study SET blocked = $3 WHERE id = $1 AND patient_id <> $2")
        .bind(study)
        .bind(incoming.header.patient_id.reveal())
        .bind("The hospital has sent this study again under another patient ID.")
        .execute(tx)
        .await
        .map_err(refused_row("noting another patient"))?;
    Ok(())
}

/// People at the site find the study under its newest name from now on.
pub(super) async fn correct_study(
    tx: &mut SqliteConnection,
    incoming: &Incoming,
    study: i64,
) -> Result<(), SpoolError> {
    let header = &incoming.header;
    sqlx::query(
        "UPDATE study SET patient_id = $2, patient_issuer = $3, patient_name = $4, accession = $5, description = $6 \
         WHERE id = $1",
    )
    .bind(study)
    .bind(header.patient_id.reveal())
    .bind(header.issuer.reveal())
    .bind(header.patient_name.reveal())
    .bind(header.accession.reveal())
    .bind(header.description.reveal())
    .execute(tx)
    .await
    .map_err(refused_row("correcting a study's names"))?;
    Ok(())
}

fn kind_word(kind: CallingKind) -> &'static str {
    match kind {
        CallingKind::Pacs => "pacs",
        CallingKind::Modality => "modality",
    }
}
