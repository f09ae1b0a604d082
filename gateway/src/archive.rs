//! What the gateway holds of the sites' studies: the bytes as sent (`blobs`), partial bytes on their way in (`parts`), and the
//! catalogue of studies, series and instances. Only this room knows file paths.

pub mod blobs;
pub(crate) mod catalog;
pub mod frames;
pub mod name;
pub mod parts;
pub mod retrieve;
pub mod search;

use std::path::Path;

use crate::rows::Rows;

pub use blobs::{BlobError, BlobKey, Blobs, Stray};
pub use parts::{Part, PartName, Parts};

/// The archive: rows and bytes together. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Archive {
    /// The catalogue.
    pub rows: Rows,
    /// The bytes.
    pub blobs: Blobs,
    /// Bytes of instances that have not wholly arrived.
    pub parts: Parts,
}

impl Archive {
    /// Opens the archive in the gateway's data folder, making `blobs/` and `incoming/` there when they are missing.
    ///
    /// # Errors
    /// When a folder cannot be made or read.
    pub fn open(rows: Rows, data: &Path) -> Result<Self, BlobError> {
        Ok(Self {
            rows,
            blobs: Blobs::open(&data.join("blobs"))?,
            parts: Parts::open(&data.join("incoming"))?,
        })
    }
}
