//! What the gateway has to hear of each row, until it has noted it.

use causeway_proto::link::message::{Delivery as Message, DeliveryState};
use causeway_proto::time::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Deliveries, DeliveryError, Untold, refused};

/// See [`Deliveries::messages`].
pub(super) async fn messages(deliveries: &Deliveries) -> Result<Vec<Untold>, DeliveryError> {
    let rows = sqlx::query(
        "SELECT r.delivery, d.destination, d.form, d.state, d.sentence, d.due_us, d.since_us, d.revision \
         FROM delivery d JOIN report r ON r.id = d.report_id WHERE d.told_revision < d.revision \
         ORDER BY d.since_us, d.rowid LIMIT 256",
    )
    .fetch_all(deliveries.inner.spool.rows().read())
    .await
    .map_err(refused("listing what is to be told"))?;
    rows.iter()
        .map(untold)
        .collect::<Result<_, _>>()
        .map_err(refused("reading what is to be told"))
}

fn untold(row: &SqliteRow) -> Result<Untold, sqlx::Error> {
    let state: String = row.try_get(3)?;
    let state = state_of(&state)?;
    let due: Option<i64> = row.try_get(5)?;
    Ok(Untold {
        message: Message {
            delivery: row.try_get(0)?,
            destination: row.try_get(1)?,
            form: row.try_get(2)?,
            state,
            sentence: row.try_get(4)?,
            next_try: due
                .filter(|_| state == DeliveryState::Waiting)
                .map(Timestamp),
            since: Timestamp(row.try_get(6)?),
        },
        revision: row.try_get(7)?,
    })
}

fn state_of(word: &str) -> Result<DeliveryState, sqlx::Error> {
    [
        DeliveryState::AtSite,
        DeliveryState::Delivered,
        DeliveryState::Waiting,
        DeliveryState::NotTaken,
        DeliveryState::Held,
        DeliveryState::Rejected,
    ]
    .into_iter()
    .find(|state| state.as_str() == word)
    .ok_or_else(|| sqlx::Error::Decode("a delivery state".into()))
}

/// See [`Deliveries::told`].
pub(super) async fn told(
    deliveries: &Deliveries,
    messages: &[Untold],
) -> Result<(), DeliveryError> {
    let mut tx = deliveries.begin().await?;
    for told in messages {
        sqlx::query(
            "UPDATE delivery SET told_revision = $4 WHERE destination = $2 AND form = $3 AND told_revision < $4 \
             AND report_id IN (SELECT id FROM report WHERE delivery = $1)",
        )
        .bind(&told.message.delivery)
        .bind(&told.message.destination)
        .bind(&told.message.form)
        .bind(told.revision)
        .execute(&mut *tx)
        .await
        .map_err(refused("noting what was told"))?;
    }
    tx.commit().await.map_err(refused("noting what was told"))
}
