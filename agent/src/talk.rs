//! What the site and the reader say to each other of a case: the context that a person gives (P9), and letters by case code.
//!
//! Under a pseudonymous agreement nothing that is typed leaves before what names its patient was taken out of it; the person sees what
//! was taken out and may word it anew. What was typed stays in the rows of the site as it was.
//!
//! | A letter | State |
//! |---|---|
//! | of the site | written → held at the gateway → read by a reader |
//! | of a reader | arrived → read by a person of the site → the gateway knows |

mod check;
mod context;
mod dates;
mod letters;
#[cfg(test)]
mod tests;

use causeway_proto::ids::CaseCode;
use thiserror::Error;

use crate::keys::KeysError;
use crate::protect::Protector;
use crate::rows::{Rows, Write};
use crate::spool::{Spool, SpoolError};

pub use check::{Checked, Removal};
pub use context::{Said, Standing, context};
pub use letters::{Line, Question, letters, questions, unread};

/// A case has at most so many letters of each side.
pub const LETTERS: i64 = 200;
/// The longest letter and the longest clinical question, in characters.
pub const LONG: usize = 2000;
/// The longest of the other fields of a context, in characters.
pub const SHORT: usize = 200;

/// Something could not be said or heard.
#[derive(Debug, Error)]
pub enum TalkError {
    /// The rows refused.
    #[error("the words about a case could not be kept or read: {tried}")]
    Rows {
        /// What was tried.
        tried: &'static str,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// The spool refused.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// No case of this site has this code.
    #[error("there is no case of this code at this site")]
    Unknown,
    /// The site has taken the study back.
    #[error("the study was recalled: nothing more is said about it")]
    Recalled,
    /// Nobody can tell whether the words name the patient.
    #[error(
        "nothing of this study can be read any more, so that nobody can check whether these words name the patient; nothing is sent"
    )]
    Unchecked,
    /// By how much dates are shifted cannot be told.
    #[error("the keys of the site cannot be used; nothing is sent")]
    Keys(#[from] KeysError),
    /// Enough was written.
    #[error("{LETTERS} letters of the site are the most that a case can have: telephone instead")]
    TooMany,
    /// There is nothing to send.
    #[error("write something first")]
    Empty,
}

/// The words of both sides. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Talk {
    spool: Spool,
    protector: Protector,
}

/// One study of this site, as far as talking about it goes.
#[derive(Clone, Debug)]
struct Study {
    id: i64,
    uid: String,
    agreement: String,
    identified: bool,
    recalled: bool,
}

impl Talk {
    /// Over the spool's rows and what it has received.
    #[must_use]
    pub fn new(spool: Spool) -> Self {
        let protector = Protector::new(spool.clone());
        Self { spool, protector }
    }

    async fn begin(&self) -> Result<Write, TalkError> {
        let begun = self.spool.rows().begin().await;
        begun.map_err(refused("beginning a write"))
    }

    /// The study of a case that may still be talked about.
    async fn study(&self, case: &CaseCode) -> Result<Study, TalkError> {
        let found = study(self.spool.rows(), case).await?;
        match found.ok_or(TalkError::Unknown)? {
            study if study.recalled => Err(TalkError::Recalled),
            study => Ok(study),
        }
    }
}

async fn study(rows: &Rows, case: &CaseCode) -> Result<Option<Study>, TalkError> {
    let row: Option<(i64, String, String, String, String)> = sqlx::query_as(
        "SELECT s.id, s.study_uid, s.agreement, COALESCE(a.identity, ''), s.state FROM study s \
         LEFT JOIN agreement a ON a.id = s.agreement WHERE s.case_code = $1",
    )
    .bind(case.as_str())
    .fetch_optional(rows.read())
    .await
    .map_err(refused("looking for a case"))?;
    Ok(row.map(|(id, uid, agreement, identity, state)| Study {
        id,
        uid,
        agreement,
        identified: identity == "identified",
        recalled: state == "recalled",
    }))
}

/// Says what was tried when the rows refused.
fn refused(tried: &'static str) -> impl FnOnce(sqlx::Error) -> TalkError {
    move |source| TalkError::Rows { tried, source }
}

/// A column as an identifier of ours.
fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, sqlx::Error> {
    text.parse()
        .or(Err(sqlx::Error::Decode("an identifier".into())))
}
