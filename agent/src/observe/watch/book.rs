//! The rows of alarms that were told and stand.

use causeway_observe::{Entry, GONE, Judged, KEEP, KNOWN, Row, STANDING};
use causeway_proto::time::Timestamp;
use serde_json::json;

use crate::audit;
use crate::rows::Rows;

/// The alarms that stand, the oldest first.
///
/// # Errors
/// When the rows refuse.
pub async fn standing(rows: &Rows) -> Result<Vec<Entry>, sqlx::Error> {
    let found: Vec<Row> = sqlx::query_as(STANDING).fetch_all(rows.read()).await?;
    Ok(found.into_iter().map(Entry::from).collect())
}

/// Writes what came of looks. A person's word that came meanwhile stays, unless the alarm has doubled.
pub(super) async fn keep(rows: &Rows, judged: &Judged) -> Result<(), sqlx::Error> {
    if judged.is_written() {
        return Ok(());
    }
    let mut tx = rows.begin().await?;
    for entry in &judged.kept {
        let (rule, about, sentence, since, raised, told, sent, times, weight, ..) =
            Row::from(entry);
        let keeping = sqlx::query(KEEP).bind(rule).bind(about).bind(sentence);
        let keeping = keeping.bind(since).bind(raised).bind(told);
        let keeping = keeping.bind(sent).bind(times).bind(weight);
        keeping.execute(&mut *tx).await?;
    }
    for (rule, about) in &judged.gone {
        let ending = sqlx::query(GONE).bind(rule).bind(about.as_str());
        ending.execute(&mut *tx).await?;
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
    if rule == Some("") || about == Some("") {
        return Ok(0); // a name that was left out of a form is not all of them
    }
    let mut tx = rows.begin().await?;
    let known: Vec<(String, String)> = sqlx::query_as(KNOWN)
        .bind(now.0)
        .bind(who)
        .bind(rule.unwrap_or_default())
        .bind(about.unwrap_or_default())
        .fetch_all(&mut *tx)
        .await?;
    for (rule, about) in &known {
        let detail = json!({ "rule": rule });
        audit::record(&mut tx, now, "alarm-acknowledged", who, about, &detail).await?;
    }
    tx.commit().await?;
    Ok(known.len() as u64)
}
