//! The rows of alarms that were told and stand.

use causeway_observe::{ChannelState, Entry, GONE, Judged, KEEP, KNOWN, Row, STANDING};
use causeway_proto::time::Timestamp;
use serde_json::json;

use crate::audit::{self, AuditError};
use crate::rows::Rows;

/// How the channels stand, for commands that are not the process itself.
const CHANNELS: &str = "alarm-channels";

/// The alarms that stand, the oldest first.
///
/// # Errors
/// When the database refuses.
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
/// When the database refuses.
pub async fn acknowledge(
    rows: &Rows,
    now: Timestamp,
    (rule, about): (Option<&str>, Option<&str>),
    who: &str,
) -> Result<u64, AuditError> {
    if rule == Some("") || about == Some("") {
        return Ok(0); // a name that was left out is not all of them
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
        audit::record(&mut tx, now, "alarm-acknowledged", who, "", about, &detail).await?;
    }
    tx.commit().await?;
    Ok(known.len() as u64)
}

/// Writes how the channels stand, when that is another than what was written last.
pub(super) async fn keep_channels(rows: &Rows, states: &[ChannelState]) -> Result<(), sqlx::Error> {
    let text = json!(states).to_string();
    let known: Option<(String,)> = sqlx::query_as("SELECT value FROM gateway_fact WHERE name = $1")
        .bind(CHANNELS)
        .fetch_optional(rows.read())
        .await?;
    let nothing = states.is_empty() && known.is_none();
    if nothing || known.is_some_and(|(known,)| known == text) {
        return Ok(());
    }
    let mut tx = rows.begin().await?;
    sqlx::query(
        "INSERT INTO gateway_fact (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(CHANNELS)
    .bind(&text)
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// How the channels stood when the process that serves looked last.
///
/// # Errors
/// When the database refuses.
pub async fn channels(rows: &Rows) -> Result<Vec<ChannelState>, sqlx::Error> {
    let known: Option<(String,)> = sqlx::query_as("SELECT value FROM gateway_fact WHERE name = $1")
        .bind(CHANNELS)
        .fetch_optional(rows.read())
        .await?;
    Ok(known
        .and_then(|(text,)| serde_json::from_str(&text).ok())
        .unwrap_or_default())
}
