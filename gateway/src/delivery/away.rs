//! Signed reports that are not home yet, for the operator.

use causeway_proto::time::Timestamp;
use sqlx::FromRow;

use super::DeliveryError;
use crate::rows::Rows;

/// How many are listed at most.
const LISTED: i64 = 500;

/// A document that no system of the hospital holds yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    /// The case.
    pub case: String,
    /// Its code, to say on the telephone.
    pub code: String,
    /// The site.
    pub site: String,
    /// The state's word.
    pub state: String,
    /// What the site last said of a destination; empty when it has said nothing.
    pub sentence: String,
    /// When it was signed.
    pub signed: Timestamp,
    /// How often it was offered to the site.
    pub attempts: i64,
    /// When a destination is tried next.
    pub next_try: Option<Timestamp>,
}

#[derive(FromRow)]
struct AwayRow {
    case_id: String,
    code: String,
    site_id: String,
    state: String,
    sentence: String,
    signed_us: i64,
    attempts: i64,
    next_try_us: Option<i64>,
}

/// Everything signed that is neither in a system of the hospital nor without one that takes it, the oldest first.
///
/// # Errors
/// When the database refuses.
pub async fn away(rows: &Rows) -> Result<Vec<Away>, DeliveryError> {
    let found: Vec<AwayRow> = sqlx::query_as(
        "SELECT c.id AS case_id, c.code, d.site_id, d.state, p.signed_us, d.attempts,
                COALESCE((SELECT max(f.sentence) FROM delivery_form f WHERE f.delivery_id = d.id AND f.state = d.state), '') AS sentence,
                (SELECT min(f.next_try_us) FROM delivery_form f WHERE f.delivery_id = d.id) AS next_try_us
         FROM delivery d JOIN report_document r ON r.sop_uid = d.sop_uid JOIN report p ON p.id = r.report_id JOIN reading_case c ON c.id = p.case_id
         WHERE d.state <> 'delivered' ORDER BY p.signed_us LIMIT $1",
    )
    .bind(LISTED)
    .fetch_all(rows.read())
    .await?;
    let away = found.into_iter().map(|row| Away {
        case: row.case_id,
        code: row.code,
        site: row.site_id,
        state: row.state,
        sentence: row.sentence,
        signed: Timestamp(row.signed_us),
        attempts: row.attempts,
        next_try: row.next_try_us.map(Timestamp),
    });
    Ok(away.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_signed_is_nothing_away() {
        let (_folder, rows) = crate::rows::tests::on_sqlite().await;
        assert_eq!(away(&rows).await.unwrap(), []);
    }
}
