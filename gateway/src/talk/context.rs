//! The context of a study, as its site says it: the highest version counts.

use std::collections::HashMap;

use causeway_proto::ids::{SiteId, StudyKey};
use causeway_proto::link::message::{Context, ContextHeld, Facts};
use causeway_proto::link::talk::{held, plain};
use causeway_proto::time::Timestamp;
use serde_json::json;

use super::{LONG, SHORT, TalkError, in_force};
use crate::audit;
use crate::rows::Rows;
use crate::worklist::{Changed, cases_of};

/// A context that is durable.
#[derive(Debug)]
#[must_use = "the site is answered, and open pages learn of the change"]
pub struct Taken {
    /// The answer.
    pub held: ContextHeld,
    /// The cases that show it.
    pub changed: Changed,
}

/// Takes a context of a site. None when the site has no such study here: it is not answered, and says it again.
///
/// # Errors
/// When the database refuses; nothing is kept then.
pub async fn take_context(
    rows: &Rows,
    site: &SiteId,
    context: &Context,
    now: Timestamp,
) -> Result<Option<Taken>, TalkError> {
    let key = StudyKey {
        site: site.clone(),
        agreement: context.agreement.clone(),
        study: context.study.clone(),
    };
    let mut tx = rows.begin().await?;
    // the row of the study is held: a recall comes before or after
    let known = sqlx::query(
        "UPDATE study SET last_us = last_us WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 AND recalled_us IS NULL",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .execute(&mut *tx)
    .await?;
    if known.rows_affected() == 0 || !in_force(&mut tx, site, &context.agreement, now).await? {
        return Ok(None);
    }
    let facts = context.facts.map(|field, text| match field {
        "question" => plain(text, true, LONG),
        _ => plain(text, false, SHORT),
    });
    let version = i64::try_from(context.version).unwrap_or(i64::MAX);
    let new = sqlx::query(
        "INSERT INTO study_context (site_id, agreement_id, study_uid, version, facts, received_us) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (site_id, agreement_id, study_uid) DO UPDATE SET version = excluded.version, facts = excluded.facts,
         received_us = excluded.received_us WHERE study_context.version < excluded.version",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .bind(version)
    .bind(serde_json::to_string(&facts).or(Err(TalkError::Row))?)
    .bind(now.0)
    .execute(&mut *tx)
    .await?;
    let mut changed = Changed::default();
    if new.rows_affected() > 0 {
        changed.cases = cases_of(&mut tx, &key).await?;
        let detail = json!({ "agreement": key.agreement, "version": version });
        let (site, study) = (key.site.as_str(), key.study.as_str());
        audit::record(
            &mut tx,
            now,
            "context-received",
            "site",
            site,
            study,
            &detail,
        )
        .await?;
    }
    tx.commit().await?;
    Ok(Some(Taken {
        held: held(context),
        changed,
    }))
}

/// The clinical questions of cases with tasks that are open or were lately, by case: for the list.
///
/// # Errors
/// When the database refuses.
pub async fn asked(rows: &Rows) -> Result<HashMap<String, String>, sqlx::Error> {
    let found: Vec<(String, String)> = sqlx::query_as(
        "SELECT cs.case_id, c.facts FROM study_context c JOIN case_study cs ON cs.site_id = c.site_id
         AND cs.agreement_id = c.agreement_id AND cs.study_uid = c.study_uid
         WHERE EXISTS (SELECT 1 FROM workitem w WHERE w.case_id = cs.case_id AND w.state IN ('SCHEDULED', 'IN PROGRESS'))
         ORDER BY cs.case_id, c.study_uid DESC",
    )
    .fetch_all(rows.read())
    .await?;
    let question = |(case, facts): (String, String)| {
        let facts: Facts = serde_json::from_str(&facts).ok()?;
        (!facts.question.is_empty()).then_some((case, facts.question))
    };
    Ok(found.into_iter().filter_map(question).collect())
}
