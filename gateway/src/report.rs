//! Reports before and after they are signed: the draft of a case, the model that is previewed and signed, and the signed rows.
//!
//! One draft per case, with a version that rises with every change; it outlives put-back tasks and signed reports, so that an
//! addendum begins where the last report ended. Signed rows are never changed: nothing in this room updates or deletes one.

mod compose;
mod content;
mod correct;
mod draft;
pub mod elsewhere;
mod ground;
mod preview;
mod signed;
mod supplied;
mod warnings;

use thiserror::Error;

use crate::audit::AuditError;
use crate::worklist::{ClaimError, Holder};

pub use compose::{Basis, Copy};
pub use content::{Content, ContentError};
pub use correct::correct;
pub(crate) use draft::hold;
pub use draft::{Draft, Expect, draft, put};
pub use ground::{Ground, gather};
pub use preview::{html, text};
pub use signed::{NewReport, Signed, SignedDocument, documents, insert, of_case, one};
pub use warnings::warnings;

/// A draft could not be read or written, or a report not be put together.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The text is not what a report may hold.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Somebody saved another version in between.
    #[error("the draft was changed elsewhere")]
    Stale,
    /// The case's task is not in progress.
    #[error("claim the task first")]
    NotClaimed,
    /// Somebody else holds the case's task.
    #[error("the task is held by {}", .0.name)]
    Taken(Holder),
    /// The report is signed; only a correction adds to it.
    #[error("the report is signed and does not change; write a correction")]
    Immutable,
    /// Nothing was written yet.
    #[error("there is no draft")]
    NoDraft,
    /// The database refused.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    /// The act could not be written to the audit trail.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The task could not be taken.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// A row holds something that this program does not write.
    #[error("a row of the report cannot be read: {0}")]
    Row(&'static str),
}
