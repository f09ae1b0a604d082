//! What the gateway asks for again: bytes that it had receipted and that its disk has lost since.

use causeway_proto::ids::SopInstanceUid;
use causeway_proto::link::message::{Again, AgainKey};
use sqlx::SqliteConnection;

use super::{Spool, SpoolError, refused_row};

impl Spool {
    /// Offers again what is still kept of these bytes, and answers which are not: their receipts are void. A study that this spool does not know is not answered for.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn offer_again(&self, asked: &Again) -> Result<Vec<SopInstanceUid>, SpoolError> {
        let mut tx = self.begin_rows().await?;
        let work = async {
            let study: Option<(i64, String)> = sqlx::query_as(
                "SELECT id, state FROM study WHERE study_uid = $1 AND agreement = $2",
            )
            .bind(asked.study.as_str())
            .bind(asked.agreement.as_str())
            .fetch_optional(&mut *tx)
            .await?;
            let Some((id, state)) = study else {
                return Ok(Vec::new());
            };
            let mut gone = Vec::new();
            for one in &asked.instances {
                if state == "recalled" || !offered(&mut tx, id, one).await? {
                    void(&mut tx, id, one).await?;
                    gone.push(one.instance.clone());
                }
            }
            tx.commit().await?;
            Ok(gone)
        };
        let gone = work
            .await
            .map_err(refused_row("offering again what the gateway has lost"))?;
        self.wake();
        Ok(gone)
    }
}

/// Whether these very bytes are on their way, now or already before.
async fn offered(
    tx: &mut SqliteConnection,
    study: i64,
    one: &AgainKey,
) -> Result<bool, sqlx::Error> {
    let (digest, uid) = (one.sent_digest.to_string(), one.instance.as_str());
    sqlx::query(
        "UPDATE instance SET state = 'waiting', receipt_us = NULL, receipt_running = NULL, receipt_number = NULL, \
         receipt_epoch = NULL, refusals = 0, next_try_us = 0 \
         WHERE study_id = $1 AND sop_uid = $2 AND sent_digest = $3 AND state = 'receipted' AND handle IS NOT NULL AND lost = 0",
    )
    .bind(study)
    .bind(uid)
    .bind(&digest)
    .execute(&mut *tx)
    .await?;
    let (waiting,): (i64,) = sqlx::query_as(
        "SELECT COUNT(*) FROM instance WHERE study_id = $1 AND sop_uid = $2 AND sent_digest = $3 AND state = 'waiting' AND lost = 0",
    )
    .bind(study)
    .bind(uid)
    .bind(&digest)
    .fetch_one(&mut *tx)
    .await?;
    Ok(waiting > 0)
}

/// The receipt of bytes that are neither there nor here counts no more: nobody may hear that they are safe. The instance stays receipted
/// until it is sent again, as there is nothing to offer.
async fn void(tx: &mut SqliteConnection, study: i64, one: &AgainKey) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE instance SET receipt_epoch = 0 WHERE study_id = $1 AND sop_uid = $2 AND sent_digest = $3 \
         AND state = 'receipted' AND (handle IS NULL OR lost <> 0)",
    )
    .bind(study)
    .bind(one.instance.as_str())
    .bind(one.sent_digest.to_string())
    .execute(tx)
    .await?;
    Ok(())
}
