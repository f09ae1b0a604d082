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

/// Reports of one case that no destination has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    /// The case.
    pub case: CaseCode,
    /// When the first of them was signed.
    pub signed: Timestamp,
    /// How many.
    pub reports: u64,
    /// How many of them were signed so long ago that they are late.
    pub late: u64,
}

/// Every report that has a destination and is at none, by case, without those that were taken back, or that a person has refused. At most
/// the 200 oldest cases, which may stay for ever, and the 200 of which something has become late last: that is what was signed longer ago
/// than `bound`, or after `now`, under another clock.
///
/// # Errors
/// When the rows refuse.
pub async fn reports(
    rows: &Rows,
    bound: Duration,
    now: Timestamp,
) -> Result<Vec<Late>, DeliveryError> {
    // once over what is not delivered, not for every report that ever was
    let found = sqlx::query(sqlx::AssertSqlSafe(format!(
        "WITH open AS (SELECT r.case_code AS code, MIN(r.signed_us) AS signed_us, COUNT(*) AS reports, \
         COUNT(CASE WHEN r.signed_us > $3 AND r.signed_us <= $4 THEN NULL ELSE 1 END) AS late, \
         MAX(CASE WHEN r.signed_us > $3 AND r.signed_us <= $4 THEN 0 ELSE r.signed_us END) AS last_us FROM report r WHERE r.id IN \
         (SELECT d.report_id FROM delivery d WHERE d.state <> 'delivered' AND d.destination NOT IN ($1, $2)) \
         AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.report_id = r.id AND d.destination <> $1 AND d.state = 'delivered') \
         AND NOT EXISTS (SELECT 1 FROM restoration x WHERE x.report_id = r.id AND x.state = 'refused') AND NOT {TAKEN_BACK} \
         GROUP BY r.case_code) \
         SELECT code, signed_us, reports, late FROM (SELECT * FROM open ORDER BY signed_us LIMIT 200) \
         UNION SELECT code, signed_us, reports, late FROM (SELECT * FROM open ORDER BY last_us DESC LIMIT 200) ORDER BY 2"
    )))
    .bind(SITE)
    .bind(NONE)
    .bind(now.minus(bound).0)
    .bind(now.0)
    .fetch_all(rows.read())
    .await
    .map_err(refused("listing late reports"))?;
    let late = |row: &SqliteRow| {
        Ok(Late {
            case: parsed(row, 0)?,
            signed: Timestamp(row.try_get(1)?),
            reports: from_row(row.try_get(2)?),
            late: from_row(row.try_get(3)?),
        })
    };
    found
        .iter()
        .map(late)
        .collect::<Result<_, _>>()
        .map_err(refused("reading late reports"))
}
