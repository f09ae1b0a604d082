//! When studies make, ready, re-open and cancel tasks. Called by `ingest` in the transaction that changes the study.

use causeway_proto::ids::StudyKey;
use causeway_proto::random::Random;
use causeway_proto::time::Timestamp;
use sqlx::{Any, Transaction};

use super::{ADDENDUM, Changed, DISCONTINUED, INTERPRETATION};

/// Whether an instance of this class alone makes a study one to be read (P4): a study of nothing but structured reports, key
/// object selections, presentation states or encapsulated documents makes no task.
#[must_use]
pub fn makes_task(class: &str) -> bool {
    const WITHOUT_IMAGES: [&str; 3] = [
        "1.2.840.10008.5.1.4.1.1.88.",
        "1.2.840.10008.5.1.4.1.1.11.",
        "1.2.840.10008.5.1.4.1.1.104.",
    ];
    !WITHOUT_IMAGES
        .iter()
        .any(|prefix| class.starts_with(prefix))
}

/// To be called when an instance whose class [`makes_task`] was added to a study: makes the case and its task the first time,
/// does nothing when there is one, and nothing for priors and recalled studies.
///
/// # Errors
/// When the database refuses.
pub async fn study_opened(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    at: Timestamp,
    random: &Random,
) -> Result<Changed, sqlx::Error> {
    let study: Option<(String, String, String)> = sqlx::query_as(
        "SELECT purpose, priority, case_code FROM study WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 AND recalled_us IS NULL",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .fetch_optional(&mut **tx)
    .await?;
    let Some((purpose, priority, code)) = study else {
        return Ok(Changed::default());
    };
    if purpose != "read" || !cases_of(tx, key).await?.is_empty() {
        return Ok(Changed::default());
    }
    let case = case_with_code(tx, key, &code, at, random).await?;
    let linked = sqlx::query(
        "INSERT INTO case_study (case_id, site_id, agreement_id, study_uid) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(&case)
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .execute(&mut **tx)
    .await?;
    if linked.rows_affected() == 0 {
        return Ok(Changed::default());
    }
    reopen(tx, &case, &priority, at, random).await?;
    Ok(Changed::one(&case))
}

/// To be called when an instance whose class [`makes_task`] was added to a study that had been sealed: open tasks go back to
/// INCOMPLETE; a case whose last task is COMPLETED gets an addendum task.
///
/// # Errors
/// When the database refuses.
pub async fn study_grew(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    at: Timestamp,
    random: &Random,
) -> Result<Changed, sqlx::Error> {
    let cases = cases_of(tx, key).await?;
    if cases.is_empty() {
        return study_opened(tx, key, at, random).await;
    }
    for case in &cases {
        lock(tx, case).await?;
        let (priority,): (String,) = sqlx::query_as(
            "SELECT priority FROM study WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
        )
        .bind(key.site.as_str())
        .bind(key.agreement.as_str())
        .bind(key.study.as_str())
        .fetch_one(&mut **tx)
        .await?;
        reopen(tx, case, &priority, at, random).await?;
    }
    Ok(Changed { cases })
}

/// To be called after the study's row says that it is sealed: tasks all of whose studies are sealed become READY.
///
/// # Errors
/// When the database refuses.
pub async fn study_sealed(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    at: Timestamp,
) -> Result<Changed, sqlx::Error> {
    let cases = cases_of(tx, key).await?;
    for case in &cases {
        lock(tx, case).await?;
        sqlx::query(
            "UPDATE workitem SET readiness = 'READY', changed_us = $1 WHERE case_id = $2 AND state IN ('SCHEDULED', 'IN PROGRESS') AND NOT EXISTS (
                SELECT 1 FROM workitem_study ws JOIN study s ON s.site_id = ws.site_id AND s.agreement_id = ws.agreement_id AND s.study_uid = ws.study_uid
                WHERE ws.workitem_uid = workitem.uid AND s.sealed_us IS NULL)",
        )
        .bind(at.0)
        .bind(case)
        .execute(&mut **tx)
        .await?;
    }
    Ok(Changed { cases })
}

/// To be called when the site has taken a study back: its open tasks are cancelled; nothing new is made.
///
/// # Errors
/// When the database refuses.
pub async fn study_recalled(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    at: Timestamp,
) -> Result<Changed, sqlx::Error> {
    let cases = cases_of(tx, key).await?;
    for case in &cases {
        lock(tx, case).await?;
        sqlx::query(
            "UPDATE workitem SET state = 'CANCELED', readiness = 'UNAVAILABLE', reason_code = $1, reason = 'the site has taken the study back', changed_us = $2
             WHERE case_id = $3 AND state IN ('SCHEDULED', 'IN PROGRESS')",
        )
        .bind(DISCONTINUED)
        .bind(at.0)
        .bind(case)
        .execute(&mut **tx)
        .await?;
    }
    Ok(Changed { cases })
}

/// Serialises all changes to one case: a second transaction waits here, and then sees what the first one did.
pub(crate) async fn lock(tx: &mut Transaction<'_, Any>, case: &str) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE reading_case SET code = code WHERE id = $1")
        .bind(case)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The cases that read a study.
///
/// # Errors
/// When the database refuses.
pub async fn cases_of(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
) -> Result<Vec<String>, sqlx::Error> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT case_id FROM case_study WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 ORDER BY case_id",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// The case that this site calls `code`, made when there is none, and locked.
async fn case_with_code(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    code: &str,
    at: Timestamp,
    random: &Random,
) -> Result<String, sqlx::Error> {
    sqlx::query(
        "INSERT INTO reading_case (id, site_id, agreement_id, code, created_us) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(random.token())
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(code)
    .bind(at.0)
    .execute(&mut **tx)
    .await?;
    let (case,): (String,) = sqlx::query_as(
        "SELECT id FROM reading_case WHERE site_id = $1 AND agreement_id = $2 AND code = $3",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(code)
    .fetch_one(&mut **tx)
    .await?;
    lock(tx, &case).await?;
    Ok(case)
}

/// The case has something new to read: its open task becomes INCOMPLETE, or a new one is made. A case whose last task was
/// cancelled by an operator stays without.
async fn reopen(
    tx: &mut Transaction<'_, Any>,
    case: &str,
    priority: &str,
    at: Timestamp,
    random: &Random,
) -> Result<(), sqlx::Error> {
    let open = sqlx::query(
        "UPDATE workitem SET readiness = 'INCOMPLETE', changed_us = $1 WHERE case_id = $2 AND state IN ('SCHEDULED', 'IN PROGRESS')",
    )
    .bind(at.0)
    .bind(case)
    .execute(&mut **tx)
    .await?;
    if open.rows_affected() == 0 {
        let last: Option<(String,)> = sqlx::query_as(
            "SELECT state FROM workitem WHERE case_id = $1 ORDER BY created_us DESC, uid DESC LIMIT 1",
        )
        .bind(case)
        .fetch_optional(&mut **tx)
        .await?;
        let code = match last.as_ref().map(|(state,)| state.as_str()) {
            None => INTERPRETATION,
            Some("COMPLETED") => ADDENDUM,
            Some(_) => return Ok(()),
        };
        let new = NewWorkitem {
            uid: random.uid(),
            case,
            code,
            readiness: "INCOMPLETE",
            priority,
            replaces: None,
            reason: None,
        };
        new.insert(tx, at).await?;
    }
    sqlx::query(
        "INSERT INTO workitem_study (workitem_uid, site_id, agreement_id, study_uid)
         SELECT w.uid, cs.site_id, cs.agreement_id, cs.study_uid FROM workitem w JOIN case_study cs ON cs.case_id = w.case_id
         WHERE w.case_id = $1 AND w.state IN ('SCHEDULED', 'IN PROGRESS') ON CONFLICT DO NOTHING",
    )
    .bind(case)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A workitem about to be made, SCHEDULED.
pub(super) struct NewWorkitem<'a> {
    pub(super) uid: String,
    pub(super) case: &'a str,
    pub(super) code: &'a str,
    pub(super) readiness: &'a str,
    pub(super) priority: &'a str,
    pub(super) replaces: Option<&'a str>,
    /// What it corrects.
    pub(super) reason: Option<&'a str>,
}

impl NewWorkitem<'_> {
    /// To be called while the case is locked: its tasks stand in the order in which they came, whatever was done to the clock meanwhile.
    pub(super) async fn insert(
        &self,
        tx: &mut Transaction<'_, Any>,
        at: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let (last,): (Option<i64>,) =
            sqlx::query_as("SELECT max(created_us) FROM workitem WHERE case_id = $1")
                .bind(self.case)
                .fetch_one(&mut **tx)
                .await?;
        let created = last.map_or(at.0, |last| at.0.max(last.saturating_add(1)));
        sqlx::query(
            "INSERT INTO workitem (uid, case_id, code, state, readiness, priority, replaces_uid, created_us, changed_us, reason)
             VALUES ($1, $2, $3, 'SCHEDULED', $4, $5, $6, $7, $9, $8)",
        )
        .bind(&self.uid)
        .bind(self.case)
        .bind(self.code)
        .bind(self.readiness)
        .bind(self.priority)
        .bind(self.replaces)
        .bind(created)
        .bind(self.reason)
        .bind(at.0)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}
