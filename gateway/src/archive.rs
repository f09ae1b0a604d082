//! What the gateway holds of the sites' studies: the bytes as sent (`blobs`), partial bytes on their way in (`parts`), and the
//! catalogue of studies, series and instances. Only this room knows file paths.

pub mod blobs;
pub(crate) mod catalog;
pub mod derived;
pub mod fault;
pub mod floor;
pub mod frames;
pub mod jpegls;
pub mod name;
pub mod named;
pub mod parts;
pub mod retrieve;
pub mod scrub;
pub mod search;

use std::path::Path;

use object_store::PutPayload;
use serde::Deserialize;

use crate::rows::Rows;

pub use blobs::{BlobError, BlobKey, Blobs, Given, Named, State, Stray};
pub use derived::Derived;
pub use floor::Floor;
pub use parts::{Part, PartName, Parts};

/// The archive: rows and bytes together. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Archive {
    /// The catalogue.
    pub rows: Rows,
    /// The bytes.
    pub blobs: Blobs,
    /// What was made of the bytes, for a while.
    pub derived: Derived,
    /// Bytes of instances that have not wholly arrived.
    pub parts: Parts,
    /// How much room must be left.
    pub floor: Floor,
}

/// Bounds of the archive.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Coded frames and pictures, which can be made again, take at most this many bytes of disk.
    pub derived_max_bytes: u64,
    /// How much room must be left on the disk.
    pub disk: floor::Config,
    /// How fast, and how often, every blob is read again.
    pub scrub: scrub::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            derived_max_bytes: 16 << 30,
            disk: floor::Config::default(),
            scrub: scrub::Config::default(),
        }
    }
}

impl Archive {
    /// Opens the archive in the gateway's data folder, making `blobs/` and `incoming/` there when they are missing.
    ///
    /// # Errors
    /// When a folder cannot be made or read.
    pub fn open(config: &Config, rows: Rows, data: &Path) -> Result<Self, BlobError> {
        let blobs = Blobs::open(&data.join("blobs"))?;
        let floor = Floor::new(data, config.disk.clone());
        let derived = Derived::new(&blobs, &data.join("derived"), config.derived_max_bytes);
        Ok(Self {
            rows,
            derived: derived.above(floor.clone()),
            blobs,
            parts: Parts::open(&data.join("incoming"))?,
            floor,
        })
    }

    /// Stores a signed report; durable when it returns. On a full disk it takes its room from what is held for rows and audit.
    ///
    /// # Errors
    /// As [`Blobs::put`].
    pub async fn put_report(
        &self,
        key: &BlobKey,
        bytes: impl Into<PutPayload>,
    ) -> Result<(), BlobError> {
        if let Some(reserve) = self.rows.reserve() {
            reserve.make_way();
        }
        self.blobs.put(key, bytes).await
    }
}
