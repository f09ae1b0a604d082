//! Reports that their reader has withdrawn: what is still on its way stops, and a person here says that he has seen it.

use causeway_proto::ids::CaseCode;
use causeway_proto::link::message::DeliveryState;
use serde_json::json;
use sqlx::SqliteConnection;

use super::{ACKNOWLEDGED, Deliveries, DeliveryError, SITE, WITHDRAWN, refused};
use crate::audit;

/// What a withdrawal that was signed later takes back: no such report is offered. `r` is its row.
pub(super) const TAKEN_BACK: &str = "EXISTS (SELECT 1 FROM report w WHERE w.study_uid = r.study_uid AND w.case_code = r.case_code \
     AND w.status = 'withdrawn' AND w.signer <> '' AND w.signed_us > r.signed_us)";

/// Stops what of a case is on its way and was taken back, and says so of what its destination may hold, or is offered now. To be called
/// whenever a report came, and after every offer: its withdrawal may have come meanwhile.
pub(super) async fn stop(
    tx: &mut SqliteConnection,
    case: &CaseCode,
    now: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE delivery SET state = $1, sentence = CASE WHEN unknown = 0 AND lease_until_us = 0 THEN '' \
         ELSE 'not known whether the PACS has it: ' END || 'its reader has withdrawn it: it is not delivered any more', due_us = NULL, \
         since_us = $2, revision = revision + 1 WHERE destination <> $3 AND state IN ('at-site', 'waiting') \
         AND report_id IN (SELECT r.id FROM report r WHERE r.case_code = $4 AND {TAKEN_BACK})"
    )))
    .bind(DeliveryState::Held.as_str())
    .bind(now)
    .bind(SITE)
    .bind(case.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether a withdrawal that has come takes this report back.
pub(super) async fn is_taken_back(
    deliveries: &Deliveries,
    report: i64,
) -> Result<bool, DeliveryError> {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "SELECT EXISTS (SELECT 1 FROM report r WHERE r.id = $1 AND {TAKEN_BACK})"
    )))
    .bind(report)
    .fetch_one(deliveries.inner.spool.rows().read())
    .await
    .map_err(refused("asking whether a report was withdrawn"))
}

/// See [`Deliveries::acknowledge`].
pub(super) async fn acknowledge(
    deliveries: &Deliveries,
    report: i64,
    who: &str,
) -> Result<bool, DeliveryError> {
    let now = deliveries.inner.clock.now();
    let mut tx = deliveries.begin().await?;
    let work = async {
        let changed = sqlx::query(
            "UPDATE delivery SET state = $1, sentence = 'a person at the site has seen it', since_us = $2, revision = revision + 1 \
             WHERE report_id = $3 AND destination = $4 AND form = $5 AND state = 'held'",
        )
        .bind(DeliveryState::Delivered.as_str())
        .bind(now.0)
        .bind(report)
        .bind(SITE)
        .bind(ACKNOWLEDGED)
        .execute(&mut *tx)
        .await?;
        if changed.rows_affected() == 0 {
            return Ok(false);
        }
        let (case, uid): (String, String) =
            sqlx::query_as("SELECT case_code, sop_uid FROM report WHERE id = $1")
                .bind(report)
                .fetch_one(&mut *tx)
                .await?;
        let detail = json!({ "case": case, "report": uid, "status": WITHDRAWN });
        audit::record(&mut tx, now, "withdrawal-acknowledged", who, &case, &detail).await?;
        tx.commit().await?;
        Ok(true)
    };
    let done = work.await.map_err(refused("noting an acknowledgement"))?;
    deliveries.inner.changed.notify_waiters();
    Ok(done)
}
