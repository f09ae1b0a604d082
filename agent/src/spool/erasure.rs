//! What the gateway says when the bytes of a study are gone there: how much, when, and who had opened it. The record of a breach
//! (P17), kept with the study for good.

use causeway_proto::link::message::{Deleted, deleted};
use causeway_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Spool, SpoolError, refused_row};
use crate::audit;
use crate::rows::{Rows, from_row, to_row};

/// One person who had opened something of the study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The account at the gateway.
    pub account: String,
    /// The name.
    pub name: String,
    /// The reading organisation.
    pub organisation: String,
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// What, in the link's words: `case`, `images`, `download`, `report`.
    pub what: Vec<String>,
}

/// What is gone at the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// The study was taken back; otherwise its time was over.
    pub recalled: bool,
    /// How many objects.
    pub objects: u64,
    /// How many bytes.
    pub bytes: u64,
    /// How many objects had arrived only in part.
    pub parts: u64,
    /// How many signed documents stay.
    pub reports: u64,
    /// When the last byte was gone, by the gateway's clock.
    pub at: Timestamp,
    /// Who had opened it, the first who did first.
    pub opened: Vec<Opened>,
    /// How many more had, beyond those that the message could name.
    pub more: u64,
    /// When it was heard here.
    pub heard: Timestamp,
}

/// See [`Spool::deleted`].
pub(super) async fn deleted(spool: &Spool, said: &Deleted) -> Result<(), SpoolError> {
    let opened: Vec<Opened> = said
        .opened
        .iter()
        .map(|one| Opened {
            account: one.account.clone(),
            name: one.name.clone(),
            organisation: one.organisation.clone(),
            first: one.first,
            last: one.last,
            what: one.what.clone(),
        })
        .collect();
    let now = spool.inner.clock.now();
    let mut tx = spool.begin_rows().await?;
    let work = async {
        let kept = sqlx::query(
            "INSERT INTO erasure (study_id, why, objects, bytes, parts, reports, at_us, opened, more, heard_us) \
             SELECT id, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM study WHERE study_uid = $1 AND agreement = $2 \
             ON CONFLICT (study_id) DO UPDATE SET why = excluded.why, objects = excluded.objects, bytes = excluded.bytes, \
             parts = excluded.parts, reports = excluded.reports, at_us = excluded.at_us, opened = excluded.opened, \
             more = excluded.more, heard_us = excluded.heard_us WHERE erasure.at_us <> excluded.at_us OR erasure.why <> excluded.why",
        )
        .bind(said.study.as_str())
        .bind(said.agreement.as_str())
        .bind(&said.why)
        .bind(to_row(said.objects))
        .bind(to_row(said.bytes))
        .bind(to_row(said.parts))
        .bind(to_row(said.reports))
        .bind(said.at.0)
        .bind(json!(opened).to_string())
        .bind(to_row(said.more))
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        if kept.rows_affected() > 0 {
            let detail = json!({ "agreement": said.agreement.as_str(), "why": said.why, "objects": said.objects, "bytes": said.bytes,
                "opened_by": opened.len() });
            let study = said.study.as_str();
            audit::record(&mut tx, now, "images-deleted", "gateway", study, &detail).await?;
        }
        tx.commit().await
    };
    work.await
        .map_err(refused_row("keeping what the gateway has deleted"))
}

/// What is gone at the gateway of a study; none when nothing is, or the gateway has not said so yet.
pub(super) async fn of_study(rows: &Rows, id: i64) -> Result<Option<Erasure>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT why, objects, bytes, parts, reports, at_us, opened, more, heard_us FROM erasure WHERE study_id = $1",
    )
    .bind(id)
    .fetch_optional(rows.read())
    .await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &SqliteRow) -> Result<Erasure, sqlx::Error> {
    let count = |index| -> Result<u64, sqlx::Error> { Ok(from_row(row.try_get(index)?)) };
    let opened: String = row.try_get(6)?;
    let opened = serde_json::from_str(&opened);
    Ok(Erasure {
        recalled: row.try_get::<String, _>(0)? == deleted::RECALLED,
        objects: count(1)?,
        bytes: count(2)?,
        parts: count(3)?,
        reports: count(4)?,
        at: Timestamp(row.try_get(5)?),
        opened: opened.map_err(|error| sqlx::Error::Decode(error.into()))?,
        more: count(7)?,
        heard: Timestamp(row.try_get(8)?),
    })
}
