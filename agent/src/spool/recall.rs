//! Taking a study back (P17): nothing more of it is sent, and the gateway is told until it confirms.

use causeway_proto::ids::CaseCode;
use causeway_proto::link::codec::sentence;
use causeway_proto::link::message::{Recall, Recalled};
use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::decision::By;
use super::{Spool, SpoolError, parsed, refused_row};
use crate::audit;

/// What the gateway hears under a pseudonymous agreement: a person's own words may name the patient, and stay at the site.
const NO_WORDS: &str = "the hospital has taken the study back; ask it why";

/// See [`Spool::recall`].
pub(super) async fn recall(spool: &Spool, case: &CaseCode, by: By<'_>) -> Result<bool, SpoolError> {
    let mut tx = spool.begin_rows().await?;
    let now = spool.inner.clock.now();
    let changed: Vec<(String, String)> = sqlx::query_as(
        "UPDATE study SET state = 'recalled', recalled_us = $2, recall_reason = $3 WHERE case_code = $1 AND state <> 'recalled' \
         RETURNING study_uid, agreement",
    )
    .bind(case.as_str())
    .bind(now.0)
    .bind(by.reason)
    .fetch_all(&mut *tx)
    .await
    .map_err(refused_row("recalling a study"))?;
    for (study, agreement) in &changed {
        // the reason is free text of a person and may name the patient: it stays in the study's row
        let detail = json!({ "case": case.as_str(), "agreement": agreement });
        audit::record(&mut tx, now, "study-recalled", by.who, study, &detail)
            .await
            .map_err(refused_row("recording a recall"))?;
    }
    tx.commit()
        .await
        .map_err(refused_row("recalling a study"))?;
    spool.wake();
    Ok(!changed.is_empty())
}

/// See [`Spool::recalls`].
pub(super) async fn recalls(spool: &Spool) -> Result<Vec<Recall>, SpoolError> {
    let rows = sqlx::query(
        "SELECT s.study_uid, s.agreement, CASE WHEN a.identity = 'identified' THEN COALESCE(s.recall_reason, '') ELSE $1 END \
         FROM study s LEFT JOIN agreement a ON a.id = s.agreement WHERE s.state = 'recalled' \
         AND s.recall_heard_us IS NULL AND s.agreement <> '' AND (a.identity = 'identified' OR s.named = 'may') ORDER BY s.recalled_us",
    )
    .bind(NO_WORDS)
    .fetch_all(spool.inner.rows.read())
    .await
    .map_err(refused_row("listing the recalls"))?;
    let read = |row: &SqliteRow| {
        Ok(Recall {
            study: parsed(row, 0, "a study UID")?,
            agreement: parsed(row, 1, "an agreement")?,
            reason: sentence(row.try_get(2)?),
        })
    };
    rows.iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(refused_row("reading the recalls"))
}

/// See [`Spool::recalled`].
pub(super) async fn recalled(spool: &Spool, answer: &Recalled) -> Result<(), SpoolError> {
    let mut tx = spool.begin_rows().await?;
    sqlx::query(
        "UPDATE study SET recall_heard_us = $3 WHERE study_uid = $1 AND agreement = $2 AND state = 'recalled'",
    )
    .bind(answer.study.as_str())
    .bind(answer.agreement.as_str())
    .bind(spool.inner.clock.now().0)
    .execute(&mut *tx)
    .await
    .map_err(refused_row("noting a confirmed recall"))?;
    tx.commit()
        .await
        .map_err(refused_row("noting a confirmed recall"))
}
