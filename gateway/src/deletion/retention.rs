//! Whose time is over: the report is in the hospital's systems for the days that the agreement names, nobody reads the study or has
//! it beside what he reads (P20).

use causeway_proto::ids::StudyKey;
use causeway_proto::time::Timestamp;
use sqlx::{Any, FromRow, Transaction};

use super::{DeletionError, Deletions};
use crate::worklist::{self, is_placeholder};

const DAY_US: i64 = 86_400_000_000;
/// So many candidates are looked at together.
const PAGE: i64 = 500;

/// Studies that hold something, with nothing new for the days agreed, and no open task of their own.
const CANDIDATES: &str = "SELECT s.site_id, s.agreement_id, s.study_uid FROM study s JOIN agreement a ON a.id = s.agreement_id
    WHERE a.retention_days > 0 AND s.recalled_us IS NULL AND s.last_us <= $1 - a.retention_days * 86400000000
    AND EXISTS (SELECT 1 FROM instance i WHERE i.site_id = s.site_id AND i.agreement_id = s.agreement_id AND i.study_uid = s.study_uid)
    AND NOT EXISTS (SELECT 1 FROM case_study cs JOIN workitem w ON w.case_id = cs.case_id AND w.state IN ('SCHEDULED', 'IN PROGRESS')
        WHERE cs.site_id = s.site_id AND cs.agreement_id = s.agreement_id AND cs.study_uid = s.study_uid)
    AND NOT EXISTS (SELECT 1 FROM deletion d WHERE d.site_id = s.site_id AND d.agreement_id = s.agreement_id AND d.study_uid = s.study_uid AND d.state <> 'done')
    ORDER BY s.site_id, s.agreement_id, s.study_uid LIMIT $2 OFFSET $3";

#[derive(FromRow)]
struct StudyRow {
    patient_id: String,
    patient_issuer: String,
    last_us: i64,
    recalled_us: Option<i64>,
    retention_days: i64,
}

impl Deletions {
    /// Puts every study whose time is over into the queue, and says how many.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn order_what_is_over(&self) -> Result<usize, DeletionError> {
        let now = self.clock.now();
        let mut ordered = 0;
        let mut offset = 0;
        loop {
            let page: Vec<(String, String, String)> = sqlx::query_as(CANDIDATES)
                .bind(now.0)
                .bind(PAGE)
                .bind(offset)
                .fetch_all(self.archive.rows.read())
                .await?;
            let whole = i64::try_from(page.len()).unwrap_or(0) == PAGE;
            for (site, agreement, study) in page {
                let (Ok(site), Ok(agreement), Ok(study)) =
                    (site.parse(), agreement.parse(), study.parse())
                else {
                    return Err(DeletionError::Row("study"));
                };
                let key = StudyKey {
                    site,
                    agreement,
                    study,
                };
                if self.order(&key, now).await? {
                    ordered += 1;
                } else {
                    // what is in the queue is no candidate any more; what is not is passed over
                    offset += 1;
                }
            }
            if !whole {
                return Ok(ordered);
            }
        }
    }

    async fn order(&self, key: &StudyKey, now: Timestamp) -> Result<bool, DeletionError> {
        let mut tx = self.archive.rows.begin().await?;
        if over(&mut tx, key, now).await?.is_none() {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO deletion (site_id, agreement_id, study_uid, why, state, ordered_us) VALUES ($1, $2, $3, 'retention', 'ordered', $4)
             ON CONFLICT (site_id, agreement_id, study_uid) DO UPDATE SET state = 'ordered', ordered_us = excluded.ordered_us, heard_us = NULL
                WHERE deletion.state = 'done' AND deletion.why = 'retention'",
        )
        .bind(key.site.as_str())
        .bind(key.agreement.as_str())
        .bind(key.study.as_str())
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// The days agreed, when they are over for this study; none while anything needs it.
pub(super) async fn over(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    now: Timestamp,
) -> Result<Option<i64>, sqlx::Error> {
    let study: Option<StudyRow> = sqlx::query_as(
        "SELECT s.patient_id, s.patient_issuer, s.last_us, s.recalled_us, a.retention_days FROM study s JOIN agreement a ON a.id = s.agreement_id
         WHERE s.site_id = $1 AND s.agreement_id = $2 AND s.study_uid = $3",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .fetch_optional(&mut **tx)
    .await?;
    let Some(study) = study.filter(|s| s.retention_days > 0 && s.recalled_us.is_none()) else {
        return Ok(None);
    };
    let before = now.0.saturating_sub(study.retention_days * DAY_US);
    if study.last_us > before {
        return Ok(None);
    }
    let own = worklist::cases_of(tx, key).await?;
    let related = if is_placeholder(&study.patient_id) {
        Vec::new()
    } else {
        of_patient(tx, key, &study).await?
    };
    for case in own.iter().chain(&related) {
        if is_open(tx, case).await? {
            return Ok(None);
        }
    }
    // a study without a task of its own came to stand beside others: their reports decide
    let decide = if own.is_empty() { &related } else { &own };
    if decide.is_empty() {
        return Ok(None);
    }
    for case in decide {
        if !home_since(tx, case, before).await? {
            return Ok(None);
        }
    }
    Ok(Some(study.retention_days))
}

/// The cases of the same patient under the same agreement.
async fn of_patient(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    study: &StudyRow,
) -> Result<Vec<String>, sqlx::Error> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT DISTINCT cs.case_id FROM study s JOIN case_study cs ON cs.site_id = s.site_id AND cs.agreement_id = s.agreement_id AND cs.study_uid = s.study_uid
         WHERE s.site_id = $1 AND s.agreement_id = $2 AND s.patient_id = $3 AND s.patient_issuer = $4 AND s.recalled_us IS NULL ORDER BY cs.case_id",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(&study.patient_id)
    .bind(&study.patient_issuer)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|(case,)| case).collect())
}

async fn is_open(tx: &mut Transaction<'_, Any>, case: &str) -> Result<bool, sqlx::Error> {
    let (open,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM workitem WHERE case_id = $1 AND state IN ('SCHEDULED', 'IN PROGRESS')",
    )
    .bind(case)
    .fetch_one(&mut **tx)
    .await?;
    Ok(open > 0)
}

/// Whether the case's last report is in the hospital's systems since before this moment, under every study of the case, and no
/// earlier one is still on its way.
async fn home_since(
    tx: &mut Transaction<'_, Any>,
    case: &str,
    before: i64,
) -> Result<bool, sqlx::Error> {
    let (last, home, on_the_way): (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM report_document r JOIN report p ON p.id = r.report_id
                 WHERE p.case_id = $1 AND p.version = (SELECT max(q.version) FROM report q WHERE q.case_id = $1)) AS documents,
                (SELECT count(*) FROM report_document r JOIN report p ON p.id = r.report_id JOIN delivery d ON d.sop_uid = r.sop_uid
                 WHERE p.case_id = $1 AND p.version = (SELECT max(q.version) FROM report q WHERE q.case_id = $1)
                 AND d.state = 'delivered' AND d.changed_us <= $2) AS home,
                (SELECT count(*) FROM report_document r JOIN report p ON p.id = r.report_id JOIN delivery d ON d.sop_uid = r.sop_uid
                 WHERE p.case_id = $1 AND d.state IN ('waiting', 'at-site')) AS away",
    )
    .bind(case)
    .bind(before)
    .fetch_one(&mut **tx)
    .await?;
    Ok(last > 0 && home == last && on_the_way == 0)
}

/// Notes in the study's row that its images are gone.
pub(super) async fn mark(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    days: i64,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE study SET deleted_us = $4, deleted_days = $5 WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .bind(at.0)
    .bind(days)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
