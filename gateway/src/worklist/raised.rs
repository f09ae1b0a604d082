//! A site raises the priority of a study whose task is open.

use causeway_proto::ids::{Priority, StudyKey};
use causeway_proto::time::Timestamp;
use sqlx::{Any, Transaction};

use super::{Changed, cases_of};

/// To be called when the site says a study's priority again: open tasks of its cases that are less urgent get it. A case may hold
/// other, more urgent studies, so nothing is lowered.
///
/// # Errors
/// When the database refuses.
pub async fn study_raised(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    priority: Priority,
    at: Timestamp,
) -> Result<Changed, sqlx::Error> {
    let rank: i64 = match priority.as_str() {
        "stat" => 0,
        "urgent" => 1,
        "routine" => 2,
        _ => 3,
    };
    let mut cases = Vec::new();
    for case in cases_of(tx, key).await? {
        let raised = sqlx::query(
            "UPDATE workitem SET priority = $1, changed_us = $2 WHERE case_id = $3 AND state IN ('SCHEDULED', 'IN PROGRESS')
                AND CASE priority WHEN 'stat' THEN 0 WHEN 'urgent' THEN 1 WHEN 'routine' THEN 2 ELSE 3 END > $4",
        )
        .bind(priority.as_str())
        .bind(at.0)
        .bind(&case)
        .bind(rank)
        .execute(&mut **tx)
        .await?;
        if raised.rows_affected() > 0 {
            cases.push(case);
        }
    }
    Ok(Changed { cases })
}

/// `stat` or `urgent`, when an open task that reads the study is that; the higher of several.
///
/// # Errors
/// When the database refuses.
pub async fn urgent(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
) -> Result<Option<String>, sqlx::Error> {
    let found: Option<(String,)> = sqlx::query_as(
        "SELECT w.priority FROM workitem w JOIN workitem_study t ON t.workitem_uid = w.uid WHERE t.site_id = $1 AND t.agreement_id = $2
         AND t.study_uid = $3 AND w.state IN ('SCHEDULED', 'IN PROGRESS') AND w.priority IN ('stat', 'urgent')
         ORDER BY w.priority LIMIT 1",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .fetch_optional(&mut **tx)
    .await?;
    Ok(found.map(|(priority,)| priority))
}
