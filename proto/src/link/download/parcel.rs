//! A report as it arrives at the agent: bounded, hashed as it comes, whole or not at all.

use super::super::close::Code;
use super::super::message::{Report, Trailer};
use crate::digest::ContentHasher;

/// Largest report taken, in bytes.
pub const REPORT_MAX_BYTES: usize = 16 * 1024 * 1024;

/// A report whose bytes are arriving.
#[derive(Clone, Debug)]
pub struct Parcel {
    hasher: ContentHasher,
    dataset: Vec<u8>,
}

impl Parcel {
    /// Begins with the first frame.
    #[must_use]
    pub fn begin(report: &Report) -> Self {
        Self {
            hasher: ContentHasher::new(&report.syntax),
            dataset: Vec::new(),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// TOO_LARGE.
    pub fn data(&mut self, bytes: &[u8]) -> Result<(), Code> {
        if self.dataset.len().saturating_add(bytes.len()) > REPORT_MAX_BYTES {
            return Err(Code::TooLarge);
        }
        self.hasher.update(bytes);
        self.dataset.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes the end and gives the dataset.
    ///
    /// # Errors
    /// TRUNCATED when the length is another one, DIGEST_MISMATCH when the bytes are others.
    pub fn finish(self, trailer: &Trailer) -> Result<Vec<u8>, Code> {
        if u64::try_from(self.dataset.len()).ok() != Some(trailer.length) {
            return Err(Code::Truncated);
        }
        if self.hasher.finish() != trailer.digest {
            return Err(Code::DigestMismatch);
        }
        Ok(self.dataset)
    }
}
