//! The draft of a case: saved as it is typed, by the person who holds the task, never over somebody else's version.

use causeway_proto::time::Timestamp;
use sqlx::{Any, AnyConnection, FromRow, Transaction};

use super::{Content, ReportError};
use crate::rows::Rows;
use crate::worklist::{self, Holder};

/// A draft as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Rises by one with every change.
    pub version: i64,
    /// The account that wrote it last.
    pub author: String,
    /// The text.
    pub content: Content,
}

/// What a writer believes to overwrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is no draft yet.
    Nothing,
    /// This version.
    Version(i64),
}

#[derive(FromRow)]
struct DraftRow {
    version: i64,
    author_id: String,
    content: String,
}

#[derive(FromRow)]
struct HolderRow {
    state: String,
    claimed_us: Option<i64>,
    given_name: Option<String>,
    family_name: Option<String>,
}

/// The draft of a case.
///
/// # Errors
/// When the database refuses or the row cannot be read.
pub async fn draft(
    connection: &mut AnyConnection,
    case: &str,
) -> Result<Option<Draft>, ReportError> {
    let row: Option<DraftRow> =
        sqlx::query_as("SELECT version, author_id, content FROM draft WHERE case_id = $1")
            .bind(case)
            .fetch_optional(connection)
            .await?;
    row.map(|row| {
        Ok(Draft {
            version: row.version,
            author: row.author_id,
            content: serde_json::from_str(&row.content).or(Err(ReportError::Row("draft")))?,
        })
    })
    .transpose()
}

/// Saves the draft of a case whose task the account holds; answers the new version.
///
/// # Errors
/// When the task is not his, the report is signed, the text may not be kept, or somebody saved in between.
pub async fn put(
    rows: &Rows,
    case: &str,
    account: &str,
    content: &Content,
    expect: Expect,
    at: Timestamp,
) -> Result<i64, ReportError> {
    content.check()?;
    let mut tx = rows.begin().await?;
    hold(&mut tx, case, account).await?;
    let version = store(&mut tx, case, account, content, expect, at).await?;
    tx.commit().await?;
    Ok(version)
}

/// Holds the case's task against every other change until the transaction ends, and answers it and its reason; refuses when it
/// is not this account's.
pub(crate) async fn hold(
    tx: &mut Transaction<'_, Any>,
    case: &str,
    account: &str,
) -> Result<(String, Option<String>), ReportError> {
    worklist::lock(tx, case).await?;
    let mine: Option<(String, Option<String>)> = sqlx::query_as(
        "UPDATE workitem SET changed_us = changed_us WHERE case_id = $1 AND state = 'IN PROGRESS' AND claimed_by = $2 RETURNING uid, reason",
    )
    .bind(case)
    .bind(account)
    .fetch_optional(&mut **tx)
    .await?;
    if let Some(held) = mine {
        return Ok(held);
    }
    let last: Option<HolderRow> = sqlx::query_as(
        "SELECT w.state, w.claimed_us, p.given_name, p.family_name FROM workitem w LEFT JOIN account p ON p.id = w.claimed_by
         WHERE w.case_id = $1 ORDER BY CASE w.state WHEN 'CANCELED' THEN 2 WHEN 'COMPLETED' THEN 1 ELSE 0 END, w.created_us DESC, w.uid DESC LIMIT 1",
    )
    .bind(case)
    .fetch_optional(&mut **tx)
    .await?;
    let Some(last) = last else {
        return Err(ReportError::NotClaimed);
    };
    let (given, family) = (last.given_name, last.family_name);
    let (given, family) = (given.unwrap_or_default(), family.unwrap_or_default());
    Err(match last.state.as_str() {
        "COMPLETED" => ReportError::Immutable,
        "IN PROGRESS" => ReportError::Taken(Holder {
            name: format!("{given} {family}").trim().to_owned(),
            since: Timestamp(last.claimed_us.unwrap_or(0)),
        }),
        _ => ReportError::NotClaimed,
    })
}

/// Writes the draft's row.
pub(crate) async fn store(
    tx: &mut Transaction<'_, Any>,
    case: &str,
    account: &str,
    content: &Content,
    expect: Expect,
    at: Timestamp,
) -> Result<i64, ReportError> {
    let text = serde_json::to_string(content).or(Err(ReportError::Row("draft")))?;
    let (version, done) = match expect {
        Expect::Nothing => {
            let done = sqlx::query(
                "INSERT INTO draft (case_id, version, author_id, content, changed_us) VALUES ($1, 1, $2, $3, $4) ON CONFLICT DO NOTHING",
            )
            .bind(case)
            .bind(account)
            .bind(text)
            .bind(at.0)
            .execute(&mut **tx)
            .await?;
            (1, done)
        }
        Expect::Version(old) => {
            let done = sqlx::query(
                "UPDATE draft SET version = version + 1, author_id = $1, content = $2, changed_us = $3 WHERE case_id = $4 AND version = $5",
            )
            .bind(account)
            .bind(text)
            .bind(at.0)
            .bind(case)
            .bind(old)
            .execute(&mut **tx)
            .await?;
            (old.saturating_add(1), done)
        }
    };
    if done.rows_affected() == 1 {
        Ok(version)
    } else {
        Err(ReportError::Stale)
    }
}
