//! Reports whose bytes were lost at the site: the gateway is asked to send them again, and until it has nothing of them is offered.

use causeway_proto::link::message::DeliveryState;
use sqlx::SqliteConnection;

use super::{Deliveries, DeliveryError, SITE, refused};

const OF_LOST: &str = "report_id IN (SELECT r.id FROM report r JOIN own_report o ON o.sop_uid = r.sop_uid WHERE o.lost = 1)";

/// What stands meanwhile at a row that was not offered yet, or not since a person has ordered it.
const WAITS: &str = "its bytes were lost at the site: waits for the gateway";

/// Asks for what was found lost at the start.
pub(super) async fn ask_again(deliveries: &Deliveries) -> Result<(), DeliveryError> {
    let mut tx = deliveries.begin().await?;
    let asked = ask(&mut tx, deliveries.inner.clock.now().0)
        .await
        .map_err(refused("asking for lost reports"))?;
    tx.commit()
        .await
        .map_err(refused("asking for lost reports"))?;
    if asked > 0 {
        tracing::error!(
            reports = asked,
            "the bytes of reports are missing; the gateway is asked to send them again"
        );
    }
    Ok(())
}

/// A report that every destination holds is not needed any more. The word of the agent itself asks for the others; what waits for
/// the bytes is due as soon as they are back. Answers for how many reports the gateway has to hear it.
async fn ask(tx: &mut SqliteConnection, now: i64) -> Result<u64, sqlx::Error> {
    let waiting = DeliveryState::Waiting.as_str();
    let asked = sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE delivery SET state = $1, sentence = 'its bytes were lost at the site: it has to be sent again', since_us = $2, \
         revision = revision + 1 WHERE {OF_LOST} AND destination = $3 AND form = 'sr' AND state <> 'rejected' AND EXISTS \
         (SELECT 1 FROM delivery d WHERE d.report_id = delivery.report_id AND d.destination <> $3 AND d.state <> 'delivered')",
    )))
    .bind(waiting)
    .bind(now)
    .bind(SITE)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE delivery SET state = $1, sentence = '{WAITS}', due_us = $2, since_us = $2, revision = revision + 1 \
         WHERE {OF_LOST} AND destination <> $3 AND (state = 'at-site' OR state = 'waiting' AND attempts = 0 AND unknown <> 1 AND sentence <> '{WAITS}')",
    )))
    .bind(waiting)
    .bind(now)
    .bind(SITE)
    .execute(&mut *tx)
    .await?;
    Ok(asked)
}

/// The bytes of one report turned out to be damaged or gone when it was to be offered.
pub(super) async fn found(
    tx: &mut SqliteConnection,
    report: i64,
    now: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE own_report SET lost = 1 WHERE sop_uid = (SELECT sop_uid FROM report WHERE id = $1)",
    )
    .bind(report)
    .execute(&mut *tx)
    .await?;
    ask(tx, now).await?;
    Ok(())
}
