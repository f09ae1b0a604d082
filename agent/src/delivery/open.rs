//! Cases that are open: received to be read, and without a final report in the hospital's systems.

use std::time::Duration;

use causeway_proto::ids::CaseCode;
use causeway_proto::time::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::work::parsed;
use super::{DeliveryError, refused};
use crate::rows::{Rows, from_row};

/// What came before is asked for by other means.
const LONG_AGO: Duration = Duration::from_secs(14 * 24 * 3600);
/// At most so many are listed.
const MOST: i64 = 1000;

/// An open case, without anything that names a patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The word for it.
    pub case: CaseCode,
    /// `stat`, `urgent`, `routine` or `unstated`.
    pub priority: String,
    /// Modalities, comma-separated: at most four words of at most eight characters. `...` stands for all else that was received as one.
    pub modalities: String,
    /// When the first instance came.
    pub received: Timestamp,
    /// Objects received.
    pub at_site: u64,
    /// Of these, confirmed by the gateway.
    pub receipted: u64,
    /// A signed report of it is here, preliminary or not delivered.
    pub reported: bool,
}

/// Every case of the last fortnight that is open at `now`: the most urgent first, then the oldest.
///
/// # Errors
/// When the rows refuse.
pub async fn cases(rows: &Rows, now: Timestamp) -> Result<Vec<Open>, DeliveryError> {
    let found = sqlx::query(
        "SELECT s.case_code, s.priority, (SELECT GROUP_CONCAT(DISTINCT modality) FROM instance i WHERE i.study_id = s.id AND modality <> ''), \
         s.first_us, (SELECT COUNT(*) FROM instance i WHERE i.study_id = s.id), \
         (SELECT COUNT(*) FROM instance i WHERE i.study_id = s.id AND i.state = 'receipted'), \
         EXISTS (SELECT 1 FROM report r WHERE r.case_code = s.case_code) FROM study s \
         WHERE s.purpose = 'read' AND s.state <> 'recalled' AND s.first_us > $1 AND NOT EXISTS (SELECT 1 FROM report r \
           JOIN delivery d ON d.report_id = r.id WHERE r.case_code = s.case_code AND r.status = 'final' AND d.destination <> 'site' \
           AND d.state = 'delivered') \
         ORDER BY CASE s.priority WHEN 'stat' THEN 0 WHEN 'urgent' THEN 1 ELSE 2 END, s.first_us LIMIT $2",
    )
    .bind(now.minus(LONG_AGO).0)
    .bind(MOST)
    .fetch_all(rows.read())
    .await
    .map_err(refused("listing open cases"))?;
    let open = |row: &SqliteRow| {
        Ok(Open {
            case: parsed(row, 0)?,
            priority: row.try_get(1)?,
            modalities: kinds(&row.try_get::<Option<String>, _>(2)?.unwrap_or_default()),
            received: Timestamp(row.try_get(3)?),
            at_site: from_row(row.try_get(4)?),
            receipted: from_row(row.try_get(5)?),
            reported: row.try_get::<i64, _>(6)? != 0,
        })
    };
    found
        .iter()
        .map(open)
        .collect::<Result<_, _>>()
        .map_err(refused("reading open cases"))
}

/// What of the received modalities goes onto paper: words that can be one (PS3.3 C.7.3.1.1.1 has none longer than eight characters).
fn kinds(received: &str) -> String {
    const MOST: usize = 4;
    let legal = |word: &&str| {
        (1..=8).contains(&word.len())
            && word
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    let all = received.split(',').filter(|word| !word.is_empty()).count();
    let mut kinds: Vec<&str> = received.split(',').filter(legal).take(MOST).collect();
    if kinds.len() < all {
        kinds.push("...");
    }
    kinds.join(",")
}

#[cfg(test)]
mod tests {
    use super::kinds;

    #[test]
    fn modalities_on_paper_are_few_short_words() {
        let long = format!("CT,{}", "X".repeat(4000));
        for (received, expect) in [
            ("", ""),
            ("CT", "CT"),
            ("RTSTRUCT,PT", "RTSTRUCT,PT"),
            ("CT,SR,PR,KO,SEG,DOC", "CT,SR,PR,KO,..."),
            ("CT,Doe Jane\nMR", "CT,..."),
            ("Doe^Jane", "..."),
            (long.as_str(), "CT,..."),
        ] {
            assert_eq!(kinds(received), expect, "{received}");
        }
    }
}
