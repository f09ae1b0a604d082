//! What can go wrong in the spool, named by what was tried.

use std::io;

use thiserror::Error;

use super::disk::checked::is_rotten;

/// The spool could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The disk refused.
    #[error("the spool folder cannot be used: {tried}")]
    Disk {
        /// What was tried.
        tried: &'static str,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The rows refused.
    #[error(transparent)]
    Rows(#[from] crate::rows::RowsError),
    /// A row could not be read or written.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Another agent uses this folder.
    #[error("another causeway-agent is running on this spool folder (AG-007)")]
    Locked,
}

/// An instance could not be stored; nothing of it is kept and no success may be said.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Below the hard floor, or in safe mode: 0xA700.
    #[error("the spool takes nothing now: {0}")]
    Full(&'static str),
    /// Larger than the site allows: 0xA700.
    #[error("the instance is larger than {0} bytes")]
    TooLarge(u64),
    /// The disk refused: 0xA700.
    #[error("the disk refused an instance: {tried}")]
    Disk {
        /// What was tried.
        tried: &'static str,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The rows refused, or the process is ending: 0xA700.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// Reading or changing the spool failed.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// The disk refused.
    #[error("the disk refused: {tried}")]
    Disk {
        /// What was tried.
        tried: &'static str,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The rows refused.
    #[error("the spool's rows refused: {tried}")]
    Rows {
        /// What was tried.
        tried: &'static str,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// A file of the spool holds less than its row says.
    #[error("a file of the spool is short")]
    Short,
    /// So many objects were refused their rows that no more are put aside.
    #[error("too many received objects have no rows: see `held`")]
    Full,
    /// Chance gave eight case codes that were taken.
    #[error("no free case code was found")]
    NoCaseCode,
    /// The agreement's key refused.
    #[error(transparent)]
    Keys(#[from] crate::keys::KeysError),
    /// A blocking task was lost: the process is ending.
    #[error("the agent is ending")]
    Ending,
}

/// SQLite's SQLITE_ERROR, SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH and SQLITE_RANGE: what is written is refused, and not for now.
const REFUSED: [u32; 5] = [1, 18, 19, 20, 25];

impl SpoolError {
    /// Whether the rows of another object may be written all the same: not when they are busy, or their disk refuses.
    pub(super) fn is_of_the_object(&self) -> bool {
        match self {
            Self::Disk { .. } | Self::Short | Self::NoCaseCode | Self::Keys(_) => true,
            Self::Rows { source, .. } => match source {
                sqlx::Error::Database(said) => {
                    let code = said.code().and_then(|code| code.parse::<u32>().ok());
                    code.is_some_and(|code| REFUSED.contains(&(code & 0xFF)))
                }
                sqlx::Error::Decode(_)
                | sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::Encode(_) => true,
                _ => false,
            },
            Self::Full | Self::Ending => false,
        }
    }

    /// Whether it speaks of the bytes of an object, and if so whether they are gone; a disk that refuses to read may read them yet.
    pub(crate) fn of_the_bytes(&self) -> Option<bool> {
        match self {
            Self::Short => Some(true),
            Self::Disk { source, .. } => Some(
                is_rotten(source)
                    || matches!(
                        source.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
                    ),
            ),
            Self::Rows { .. } | Self::NoCaseCode | Self::Keys(_) | Self::Full | Self::Ending => {
                None
            }
        }
    }
}
