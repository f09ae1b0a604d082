//! Withdrawals that stay open: until a person at the site has said that he has seen one (P17), and signed reports on a study that the
//! site has taken back, which wait for their reader.

use causeway_proto::time::Timestamp;
use sqlx::FromRow;

use super::{ACKNOWLEDGED, DeliveryError, WITHDRAWN};
use crate::rows::Rows;

/// At most so many are listed.
const MOST: i64 = 200;

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Withdrawal {
    /// The case.
    pub case_id: String,
    /// The word for it.
    pub code: String,
    /// The site.
    pub site_id: String,
    /// Its name.
    pub site: String,
    /// Under which agreement.
    pub agreement_id: String,
    /// The report.
    pub report: String,
    /// `withdrawn`, or what a report on a recalled study was signed as.
    pub status: String,
    /// Who signed it.
    pub signer: String,
    /// When.
    pub signed_us: i64,
}

impl Withdrawal {
    /// When the report was signed.
    #[must_use]
    pub fn signed(&self) -> Timestamp {
        Timestamp(self.signed_us)
    }
}

/// The newest reports that are withdrawn and not acknowledged for each of their documents, and those that stand on a study that was
/// taken back; the oldest first.
///
/// # Errors
/// When the database refuses.
pub async fn open_withdrawals(rows: &Rows) -> Result<Vec<Withdrawal>, DeliveryError> {
    let found = sqlx::query_as(
        "SELECT p.case_id, c.code, s.id AS site_id, s.name AS site, c.agreement_id, p.id AS report, p.status,
                COALESCE(p.verifier_id, p.author_id) AS signer, p.signed_us
         FROM report p JOIN reading_case c ON c.id = p.case_id JOIN site s ON s.id = c.site_id
         WHERE p.version = (SELECT max(q.version) FROM report q WHERE q.case_id = p.case_id)
         AND ((p.status = $1 AND EXISTS (SELECT 1 FROM report_document r JOIN delivery d ON d.sop_uid = r.sop_uid WHERE r.report_id = p.id
                 AND NOT EXISTS (SELECT 1 FROM delivery_form f WHERE f.delivery_id = d.id AND f.destination = 'site' AND f.form = $2 AND f.state = 'delivered')))
           OR (p.status <> $1 AND EXISTS (SELECT 1 FROM case_study cs JOIN study t ON t.site_id = cs.site_id AND t.agreement_id = cs.agreement_id
                 AND t.study_uid = cs.study_uid WHERE cs.case_id = p.case_id AND t.recalled_us IS NOT NULL)))
         ORDER BY p.signed_us LIMIT $3",
    )
    .bind(WITHDRAWN)
    .bind(ACKNOWLEDGED)
    .bind(MOST)
    .fetch_all(rows.read())
    .await?;
    Ok(found)
}
