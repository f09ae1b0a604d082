//! Signed reports that the hospital's systems do not have.

use std::time::Duration;

use causeway_proto::ids::CaseCode;
use causeway_proto::time::Timestamp;

use super::withdrawn::TAKEN_BACK;
use super::work::parsed;
use super::{DeliveryError, NONE, SITE, refused};
use crate::rows::{Rows, from_row};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

/// What is older is nobody's news any more.
const LONG_AGO: Duration = Duration::from_secs(30 * 24 * 3600);

/// Reports of one case that no destination has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    /// The case.
    pub case: CaseCode,
    /// When the first of them was signed.
    pub signed: Timestamp,
    /// How many.
    pub reports: u64,
}

/// Every report that has a destination and is at none, by case, the oldest first, at most 200; without those that were taken back, or
/// that a person has refused.
///
/// # Errors
/// When the rows refuse.
pub async fn reports(rows: &Rows, now: Timestamp) -> Result<Vec<Late>, DeliveryError> {
    let found = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT r.case_code, MIN(r.signed_us), COUNT(*) FROM report r WHERE r.signed_us > $1 \
         AND EXISTS (SELECT 1 FROM delivery d WHERE d.report_id = r.id AND d.destination NOT IN ($2, $3)) \
         AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.report_id = r.id AND d.destination <> $2 AND d.state = 'delivered') \
         AND NOT EXISTS (SELECT 1 FROM restoration x WHERE x.report_id = r.id AND x.state = 'refused') AND NOT {TAKEN_BACK} \
         GROUP BY r.case_code ORDER BY 2 LIMIT 200"
    )))
    .bind(now.minus(LONG_AGO).0)
    .bind(SITE)
    .bind(NONE)
    .fetch_all(rows.read())
    .await
    .map_err(refused("listing late reports"))?;
    let late = |row: &SqliteRow| {
        Ok(Late {
            case: parsed(row, 0)?,
            signed: Timestamp(row.try_get(1)?),
            reports: from_row(row.try_get(2)?),
        })
    };
    found
        .iter()
        .map(late)
        .collect::<Result<_, _>>()
        .map_err(refused("reading late reports"))
}
