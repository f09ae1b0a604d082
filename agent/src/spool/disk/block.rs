//! The memory for one object on its way into a segment: room for the head of its frame before it, at an address and in lengths that
//! a disk can take without a copy, and the checksum of what was put in. Used again for the next object.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::Crc;

use super::pack;

/// What a disk reads and writes at once, and what a frame is a multiple of.
pub(super) const ALIGN: usize = 4096;
/// The head of a frame.
pub(super) const HEAD: usize = 4096;
/// The longest object that is kept in a segment, in bytes.
pub(super) const LONGEST: usize = 1 << 20;
/// So many are kept for the next objects; each is a mebibyte.
const SPARE: usize = 8;

/// One object, and the head of its frame.
pub(in crate::spool) struct Block {
    bytes: Vec<u8>,
    lead: usize,
    checksum: Crc,
    spare: Arc<Spare>,
}

/// Blocks that wait for their next object.
#[derive(Default)]
pub(super) struct Spare(Mutex<Vec<Vec<u8>>>);

impl Spare {
    pub(super) fn block(self: &Arc<Self>) -> Block {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut bytes = kept.unwrap_or_else(|| Vec::with_capacity(ALIGN + HEAD + LONGEST));
        // an allocation that cannot be aligned is written with a copy, no more
        let lead = bytes.as_ptr().align_offset(ALIGN).min(ALIGN);
        bytes.clear();
        bytes.resize(lead + HEAD, 0);
        Block {
            bytes,
            lead,
            checksum: Crc::new(),
            spare: Arc::clone(self),
        }
    }
}

impl Block {
    /// How much more fits.
    #[must_use]
    pub(in crate::spool) fn room(&self) -> usize {
        LONGEST.saturating_sub(self.content().len())
    }

    /// Puts more of the object in; the caller has looked at [`Self::room`].
    pub(in crate::spool) fn push(&mut self, more: &[u8]) {
        self.checksum.update(more);
        self.bytes.extend_from_slice(more);
    }

    /// Takes everything out again.
    pub(in crate::spool) fn clear(&mut self) {
        self.bytes.truncate(self.lead + HEAD);
        self.checksum = Crc::new();
    }

    /// The object as far as it is here.
    #[must_use]
    pub(in crate::spool) fn content(&self) -> &[u8] {
        self.bytes.get(self.lead + HEAD..).unwrap_or_default()
    }

    /// The checksum of [`Self::content`].
    #[must_use]
    pub(super) fn checksum(&self) -> &Crc {
        &self.checksum
    }

    /// Makes it a frame that says `told`. False when that is too long for the head of one.
    pub(in crate::spool) fn seal(&mut self, told: &[u8]) -> bool {
        let length = self.content().len() as u64;
        let checksum = self.checksum.sum();
        let head = self.bytes.get_mut(self.lead..self.lead + HEAD);
        head.is_some_and(|head| pack::write_head(head, told, length, checksum))
    }

    /// Length of the frame.
    #[must_use]
    pub(super) fn frame_length(&self) -> u64 {
        pack::frame_length(self.content().len() as u64)
    }

    /// The whole frame.
    pub(super) fn frame(&mut self) -> &[u8] {
        let length = self.content().len();
        let padding = length.next_multiple_of(ALIGN) - length;
        self.bytes.resize(self.bytes.len() + padding, 0);
        self.bytes.get(self.lead..).unwrap_or_default()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut spare = self.spare.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE {
            spare.push(bytes);
        }
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} bytes)", self.content().len())
    }
}

impl fmt::Debug for Spare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spare")
    }
}
