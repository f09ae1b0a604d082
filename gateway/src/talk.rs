//! What a site and its readers say to each other of a case: the context that the site gives (P9), and letters by case code.
//!
//! Of the site's words the gateway holds what the site let out, and nothing else. A letter of a reader waits here until its site has it;
//! a letter of the site waits until a reader has read it, and the site is told.

mod context;
mod letters;
#[cfg(test)]
mod tests;

use causeway_proto::ids::{AgreementId, SiteId, StudyKey};
use causeway_proto::time::Timestamp;
use sqlx::{Any, Transaction};
use thiserror::Error;

use crate::audit::AuditError;

pub use context::{Taken, asked, take_context};
pub use letters::{Line, Written, due, heard, mark_read, of_case, readings, take, unread, write};

/// A case has at most so many letters of each side.
pub const LETTERS: i64 = 200;
/// The longest letter and the longest clinical question, in characters.
pub const LONG: usize = 2000;
/// The longest of the other fields of a context, in characters.
pub const SHORT: usize = 200;

/// Something could not be said or heard.
#[derive(Debug, Error)]
pub enum TalkError {
    /// The site has taken a study of the case back.
    #[error("the site has taken a study of this case back: nothing more is said about it")]
    Recalled,
    /// Enough was written.
    #[error("{LETTERS} letters are the most that a case can have: telephone instead")]
    TooMany,
    /// There is nothing to send.
    #[error("a message has 1 to {LONG} characters")]
    Length,
    /// A row says what this program never writes.
    #[error("the words about a case cannot be understood")]
    Row,
    /// The database refused.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    /// The audit trail could not be written.
    #[error("the audit trail could not be written")]
    Audit(#[from] AuditError),
}

/// Forgets the site's words about a study that it has taken back, or whose time is over, and what was written about its case.
///
/// # Errors
/// When the database refuses.
pub async fn forget(tx: &mut Transaction<'_, Any>, key: &StudyKey) -> Result<(), sqlx::Error> {
    for statement in [
        "DELETE FROM study_context WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
        "UPDATE letter SET text = '' WHERE site_id = $1 AND agreement_id = $2 AND case_code IN (SELECT case_code FROM study
         WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3)",
    ] {
        sqlx::query(statement)
            .bind(key.site.as_str())
            .bind(key.agreement.as_str())
            .bind(key.study.as_str())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Whether the site may say something under this agreement.
async fn in_force(
    tx: &mut Transaction<'_, Any>,
    site: &SiteId,
    agreement: &AgreementId,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let row: Option<(i64,)> = sqlx::query_as(
        "SELECT created_us FROM agreement WHERE id = $1 AND site_id = $2 AND ended_us IS NULL
         AND (from_us IS NULL OR from_us <= $3) AND (until_us IS NULL OR until_us > $3)",
    )
    .bind(agreement.as_str())
    .bind(site.as_str())
    .bind(now.0)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.is_some())
}
