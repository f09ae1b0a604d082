//! Which readers' certificates no longer hold: the list that goes home with every report.

use causeway_certs::revoke::Revoked;
use causeway_proto::time::Timestamp;

use crate::rows::Rows;

/// Every revoked certificate. Reports signed before stay valid by their time; the site's agent judges.
///
/// # Errors
/// When the database refuses.
pub async fn revoked_signers(rows: &Rows) -> Result<Vec<Revoked>, sqlx::Error> {
    let found: Vec<(String, i64)> = sqlx::query_as(
        "SELECT serial, revoked_us FROM signing_key WHERE revoked_us IS NOT NULL ORDER BY serial",
    )
    .fetch_all(rows.read())
    .await?;
    Ok(found
        .into_iter()
        .filter_map(|(serial, since)| {
            Some(Revoked {
                serial: serial.parse().ok()?,
                since: Timestamp(since),
            })
        })
        .collect())
}
