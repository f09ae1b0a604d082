//! The rows of alarms that were told and stand.

use causeway_observe::{About, Acknowledged, Book, Entry, Judged};
use causeway_proto::time::Timestamp;
use serde_json::json;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::audit;
use crate::rows::{Rows, from_row, to_row};

/// The alarms that stand, the oldest first.
///
/// # Errors
/// When the rows refuse.
pub async fn standing(rows: &Rows) -> Result<Vec<Entry>, sqlx::Error> {
    let found = sqlx::query(
        "SELECT rule, about, sentence, since_us, raised_us, told_us, times, weight, acknowledged_us, acknowledged_by FROM alarm \
         ORDER BY raised_us, rule, about",
    )
    .fetch_all(rows.read())
    .await?;
    found.iter().map(entry).collect()
}

fn entry(row: &SqliteRow) -> Result<Entry, sqlx::Error> {
    let at: Option<i64> = row.try_get(8)?;
    let by: String = row.try_get(9)?;
    Ok(Entry {
        rule: row.try_get(0)?,
        about: About::kept(row.try_get(1)?),
        sentence: row.try_get(2)?,
        since: Timestamp(row.try_get(3)?),
        raised: Timestamp(row.try_get(4)?),
        told: Timestamp(row.try_get(5)?),
        times: from_row(row.try_get(6)?),
        weight: from_row(row.try_get(7)?),
        acknowledged: at.map(|at| Acknowledged {
            at: Timestamp(at),
            by,
        }),
    })
}

pub(super) async fn kept(rows: &Rows) -> Result<Book, sqlx::Error> {
    Ok(Book::of(standing(rows).await?))
}

/// Writes what came of a look. A person's word that came meanwhile stays, unless the alarm has become more.
pub(super) async fn keep(rows: &Rows, judged: &Judged) -> Result<(), sqlx::Error> {
    if judged.kept.is_empty() && judged.gone.is_empty() {
        return Ok(());
    }
    let mut tx = rows.begin().await?;
    for entry in &judged.kept {
        sqlx::query(
            "INSERT INTO alarm (rule, about, sentence, since_us, raised_us, told_us, times, weight) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (rule, about) DO UPDATE SET sentence = excluded.sentence, \
             since_us = excluded.since_us, told_us = excluded.told_us, times = excluded.times, \
             acknowledged_us = CASE WHEN excluded.weight > alarm.weight THEN NULL ELSE alarm.acknowledged_us END, weight = excluded.weight",
        )
        .bind(&entry.rule)
        .bind(entry.about.as_str())
        .bind(&entry.sentence)
        .bind(entry.since.0)
        .bind(entry.raised.0)
        .bind(entry.told.0)
        .bind(to_row(entry.times))
        .bind(to_row(entry.weight))
        .execute(&mut *tx)
        .await?;
    }
    for (rule, about) in &judged.gone {
        sqlx::query("DELETE FROM alarm WHERE rule = $1 AND about = $2")
            .bind(rule)
            .bind(about.as_str())
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await
}

/// Writes down that a person knows: of all alarms, or of those of a rule, or of one. Answers of how many that is new.
///
/// # Errors
/// When the rows refuse.
pub async fn acknowledge(
    rows: &Rows,
    now: Timestamp,
    (rule, about): (Option<&str>, Option<&str>),
    who: &str,
) -> Result<u64, sqlx::Error> {
    let mut tx = rows.begin().await?;
    let known: Vec<(String, String)> = sqlx::query_as(
        "UPDATE alarm SET acknowledged_us = $1, acknowledged_by = $2 WHERE acknowledged_us IS NULL AND ($3 IS NULL OR rule = $3) \
         AND ($4 IS NULL OR about = $4) RETURNING rule, about",
    )
    .bind(now.0)
    .bind(who)
    .bind(rule)
    .bind(about)
    .fetch_all(&mut *tx)
    .await?;
    for (rule, about) in &known {
        let detail = json!({ "rule": rule });
        audit::record(&mut tx, now, "alarm-acknowledged", who, about, &detail).await?;
    }
    tx.commit().await?;
    Ok(known.len() as u64)
}
