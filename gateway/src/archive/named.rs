//! Every blob that a row names, in the order of their keys.

use sqlx::FromRow;

use super::{BlobError, Named};
use crate::rows::Rows;

#[derive(FromRow)]
struct NamedRow {
    blob_key: String,
    length: i64,
    transfer_syntax: String,
}

impl NamedRow {
    fn named(self) -> Result<Named, BlobError> {
        Ok(Named {
            key: self.blob_key.parse()?,
            length: self.length.unsigned_abs(),
            syntax: self.transfer_syntax.parse().ok(),
        })
    }
}

/// Blobs that rows could not be asked for.
#[derive(Debug, thiserror::Error)]
pub enum NamedError {
    /// The database refused.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    /// A row names what is no key.
    #[error(transparent)]
    Key(#[from] BlobError),
}

/// At most `limit` blobs behind the key `after`, each once.
///
/// # Errors
/// When the database refuses, or a row names what is no key.
pub async fn named(rows: &Rows, after: &str, limit: i64) -> Result<Vec<Named>, NamedError> {
    let found: Vec<NamedRow> = sqlx::query_as(
        "SELECT blob_key, length, transfer_syntax FROM instance WHERE blob_key > $1
         UNION SELECT blob_key, length, transfer_syntax FROM quarantine WHERE blob_key > $1
         UNION SELECT blob_key, length, transfer_syntax FROM report_document WHERE blob_key > $1
         ORDER BY blob_key, transfer_syntax DESC LIMIT $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(rows.read())
    .await?;
    let mut all: Vec<Named> = Vec::with_capacity(found.len());
    for row in found {
        // of two rows about one blob the one without a syntax says less
        let again = all
            .last()
            .is_some_and(|last| last.key.as_str() == row.blob_key);
        if !again {
            all.push(row.named()?);
        }
    }
    Ok(all)
}
