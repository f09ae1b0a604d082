//! Naming what came before its agreement: rows without one take the agreement that the gateway has said, and join what is there
//! under it already. Nothing in here may break a UNIQUE: the link greets before it does anything else.

use causeway_proto::link::message::HelloGateway;
use causeway_proto::time::Timestamp;
use sqlx::SqliteConnection;

use super::retain::RUNNING;
use crate::rows::{number, to_row};

/// Gives studies without an agreement the only one of the gateway, else the one under which the study is here already.
pub(super) async fn adopt(
    tx: &mut SqliteConnection,
    hello: &HelloGateway,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let nameless: Vec<(i64, String)> =
        sqlx::query_as("SELECT id, study_uid FROM study WHERE agreement = '' ORDER BY id")
            .fetch_all(&mut *tx)
            .await?;
    for (id, uid) in nameless {
        let agreement = match hello.agreements.as_slice() {
            [only] => Some(only.id.as_str().to_owned()),
            _ => under(tx, &uid).await?,
        };
        if let Some(agreement) = agreement {
            name(tx, id, &uid, &agreement, now).await?;
        }
    }
    Ok(())
}

/// The agreement in force under which this study is here already; the newest when there are several.
async fn under(tx: &mut SqliteConnection, study_uid: &str) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT s.agreement FROM study s JOIN agreement a ON a.id = s.agreement AND a.in_force = 1 \
         WHERE s.study_uid = $1 ORDER BY s.id DESC LIMIT 1",
    )
    .bind(study_uid)
    .fetch_optional(tx)
    .await
}

async fn name(
    tx: &mut SqliteConnection,
    id: i64,
    uid: &str,
    agreement: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let there: Option<i64> =
        sqlx::query_scalar("SELECT id FROM study WHERE study_uid = $1 AND agreement = $2")
            .bind(uid)
            .bind(agreement)
            .fetch_optional(&mut *tx)
            .await?;
    settle(tx, id, agreement).await?;
    let moved =
        sqlx::query("UPDATE instance SET agreement = $2, study_id = $3 WHERE study_id = $1")
            .bind(id)
            .bind(agreement)
            .bind(there.unwrap_or(id))
            .execute(&mut *tx)
            .await?
            .rows_affected();
    match there {
        Some(there) => join(tx, id, there, moved > 0, now).await?,
        None => {
            for statement in [
                "UPDATE study SET agreement = $2 WHERE id = $1",
                "UPDATE manifest SET agreement = $2 WHERE study_id = $1",
            ] {
                let statement = sqlx::query(statement).bind(id).bind(agreement);
                statement.execute(&mut *tx).await?;
            }
        }
    }
    // a study whose instances have all found their places elsewhere is no study: it could never be sealed
    for statement in [
        "DELETE FROM manifest WHERE study_id = $1 AND NOT EXISTS (SELECT 1 FROM instance WHERE study_id = $1)",
        "DELETE FROM study WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM instance WHERE study_id = $1)",
    ] {
        sqlx::query(statement).bind(id).execute(&mut *tx).await?;
    }
    Ok(())
}

/// What the study that stays takes over from the one that goes. A recall of either is a recall; with more instances than it was
/// sealed with it is sealed again.
async fn join(
    tx: &mut SqliteConnection,
    id: i64,
    there: i64,
    more: bool,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE study SET purpose = CASE WHEN 'read' IN (study.purpose, f.purpose) THEN 'read' ELSE study.purpose END, \
         priority = CASE WHEN 'stat' IN (study.priority, f.priority) THEN 'stat' \
           WHEN 'urgent' IN (study.priority, f.priority) THEN 'urgent' \
           WHEN 'routine' IN (study.priority, f.priority) THEN 'routine' ELSE study.priority END, \
         kind = CASE WHEN 'modality' IN (study.kind, f.kind) THEN 'modality' ELSE study.kind END, \
         paused = MAX(study.paused, f.paused), first_us = MIN(study.first_us, f.first_us), \
         last_us = MAX(study.last_us, f.last_us), \
         recalled_us = COALESCE(study.recalled_us, f.recalled_us), \
         recall_reason = COALESCE(study.recall_reason, f.recall_reason), \
         silent_from_us = CASE WHEN $3 = 1 THEN $4 ELSE study.silent_from_us END, \
         send_now = CASE WHEN $3 = 1 THEN MAX(study.send_now, f.send_now) ELSE study.send_now END, \
         state = CASE WHEN 'recalled' IN (study.state, f.state) THEN 'recalled' WHEN $3 = 1 THEN 'arriving' ELSE study.state END \
         FROM study f WHERE study.id = $2 AND f.id = $1",
    )
    .bind(id)
    .bind(there)
    .bind(i64::from(more))
    .bind(now.0)
    .execute(tx)
    .await?;
    Ok(())
}

/// An instance whose UID is under the agreement already gives way to the one that is there.
#[derive(sqlx::FromRow)]
struct Both {
    from: i64,
    into: i64,
    /// The same bytes; whatever stands against bytes that were lost before they had a digest, and so before they left.
    same: bool,
    /// The one that is there needs the bytes of the other: its own were lost before the gateway had them.
    needs: bool,
}

/// Instances of this study whose UIDs are under the agreement already: the same content is one instance, other content is kept
/// aside (P24). Files that no row names any more are collected as orphans.
async fn settle(tx: &mut SqliteConnection, study: i64, agreement: &str) -> Result<(), sqlx::Error> {
    let both: Vec<Both> = sqlx::query_as(
        "SELECT i.id AS \"from\", j.id AS \"into\", COALESCE(i.source_digest = j.source_digest, i.source_digest IS NOT NULL) AS same, \
         j.state <> 'receipted' AND (j.handle IS NULL OR j.lost = 1) AND i.handle IS NOT NULL AND i.lost = 0 AS needs \
         FROM instance i JOIN instance j ON j.agreement = $2 AND j.sop_uid = i.sop_uid WHERE i.study_id = $1",
    )
    .bind(study)
    .bind(agreement)
    .fetch_all(&mut *tx)
    .await?;
    let running = to_row(number(tx, RUNNING).await?);
    for one in both {
        let took = match (one.same, one.needs) {
            (true, true) => give_bytes(tx, &one).await?,
            (true, false) => false,
            (false, _) => put_aside(tx, &one).await?,
        };
        if took {
            sqlx::query("UPDATE instance SET handle = NULL WHERE id = $1")
                .bind(one.from)
                .execute(&mut *tx)
                .await?;
        }
        give_way(tx, &one, running).await?;
    }
    Ok(())
}

/// The bytes that were lost have come again, as in a repeated store.
async fn give_bytes(tx: &mut SqliteConnection, both: &Both) -> Result<bool, sqlx::Error> {
    for statement in [
        "UPDATE instance SET handle = i.handle, syntax = i.syntax, length = i.length, source_digest = i.source_digest, \
         lost = 0, refusals = 0, next_try_us = 0, state = 'waiting', reason = '' \
         FROM instance i WHERE instance.id = $2 AND i.id = $1",
        "UPDATE study SET state = 'arriving', send_now = 0 WHERE state IN ('complete', 'handed-off') \
         AND id = (SELECT study_id FROM instance WHERE id = $2) AND $1 > 0",
    ] {
        let statement = sqlx::query(statement).bind(both.from).bind(both.into);
        statement.execute(&mut *tx).await?;
    }
    Ok(true)
}

/// Answers whether the row aside names the file from now on.
async fn put_aside(tx: &mut SqliteConnection, both: &Both) -> Result<bool, sqlx::Error> {
    let aside = sqlx::query(
        "INSERT INTO aside (instance_id, kind, study_uid, syntax, length, source_digest, pixel_digest, handle, patient_id, \
         patient_issuer, patient_name, accession, calling, received_us, seen_us) \
         SELECT j.id, CASE WHEN NULLIF(i.pixel_digest, '') = j.pixel_digest AND s.study_uid = t.study_uid THEN 'correction' ELSE 'conflict' END, \
         s.study_uid, i.syntax, i.length, i.source_digest, i.pixel_digest, CASE WHEN i.lost = 0 THEN i.handle END, s.patient_id, \
         s.patient_issuer, s.patient_name, s.accession, i.calling, i.received_us, i.seen_us \
         FROM instance i JOIN study s ON s.id = i.study_id JOIN instance j ON j.id = $2 JOIN study t ON t.id = j.study_id \
         WHERE i.id = $1 AND i.source_digest IS NOT NULL ON CONFLICT (instance_id, source_digest) DO NOTHING",
    )
    .bind(both.from)
    .bind(both.into)
    .execute(tx)
    .await?;
    Ok(aside.rows_affected() > 0)
}

async fn give_way(tx: &mut SqliteConnection, both: &Both, running: i64) -> Result<(), sqlx::Error> {
    for statement in [
        "UPDATE OR IGNORE aside SET instance_id = $2 WHERE instance_id = $1",
        "UPDATE instance SET seen_us = MAX(instance.seen_us, i.seen_us) FROM instance i \
         WHERE instance.id = $2 AND i.id = $1 AND i.source_digest = instance.source_digest",
    ] {
        let statement = sqlx::query(statement).bind(both.from).bind(both.into);
        statement.execute(&mut *tx).await?;
    }
    sqlx::query(
        "INSERT INTO orphan (handle, running_s) SELECT handle, $2 FROM (SELECT handle FROM instance WHERE id = $1 \
         UNION SELECT handle FROM aside WHERE instance_id = $1) WHERE handle IS NOT NULL ON CONFLICT (handle) DO NOTHING",
    )
    .bind(both.from)
    .bind(running)
    .execute(&mut *tx)
    .await?;
    for statement in [
        "DELETE FROM aside WHERE instance_id = $1",
        "DELETE FROM instance WHERE id = $1",
    ] {
        sqlx::query(statement)
            .bind(both.from)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}
