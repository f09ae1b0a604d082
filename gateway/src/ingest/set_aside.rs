//! What was kept aside, for the operator: never served, never lost, with its reason.

use causeway_proto::time::Timestamp;
use sqlx::FromRow;

use super::IngestError;
use crate::rows::Rows;

/// How many are listed at most.
const LISTED: i64 = 500;

/// One object that is kept and not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Our identifier.
    pub id: String,
    /// The site that sent it.
    pub site: String,
    /// Its study.
    pub study: String,
    /// Why.
    pub reason: String,
    /// In bytes.
    pub length: i64,
    /// When it came.
    pub received: Timestamp,
}

#[derive(FromRow)]
struct SetAsideRow {
    id: String,
    site_id: String,
    study_uid: String,
    reason: String,
    length: i64,
    received_us: i64,
}

/// Everything that waits for a person, the newest first.
///
/// # Errors
/// When the database refuses.
pub async fn set_aside(rows: &Rows) -> Result<Vec<SetAside>, IngestError> {
    let found: Vec<SetAsideRow> = sqlx::query_as(
        "SELECT id, site_id, study_uid, reason, length, received_us FROM quarantine WHERE resolved_us IS NULL ORDER BY received_us DESC LIMIT $1",
    )
    .bind(LISTED)
    .fetch_all(rows.read())
    .await?;
    let items = found.into_iter().map(|row| SetAside {
        id: row.id,
        site: row.site_id,
        study: row.study_uid,
        reason: row.reason,
        length: row.length,
        received: Timestamp(row.received_us),
    });
    Ok(items.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_is_listed_and_what_was_resolved_is_not() {
        let (_folder, rows) = crate::rows::tests::on_sqlite().await;
        for (id, resolved) in [("open", None), ("done", Some(9_i64))] {
            let mut tx = rows.begin().await.unwrap();
            sqlx::query(
                "INSERT INTO quarantine (id, site_id, agreement_id, study_uid, sop_uid, sent_digest, source_tag, length, blob_key, reason, receipt_number, receipt_epoch, received_us, resolved_us)
                 VALUES ($1, 's', 'a', '1.2', '1.2.3', $1, 't', 5, 'k', 'other pixels', 1, 1, 7, $2)",
            )
            .bind(id)
            .bind(resolved)
            .execute(&mut *tx)
            .await
            .unwrap();
            tx.commit().await.unwrap();
        }
        let listed = set_aside(&rows).await.unwrap();
        let expected = SetAside {
            id: "open".to_owned(),
            site: "s".to_owned(),
            study: "1.2".to_owned(),
            reason: "other pixels".to_owned(),
            length: 5,
            received: Timestamp(7),
        };
        assert_eq!(listed, [expected]);
    }
}
