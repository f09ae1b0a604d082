//! The transport coding of datasets on the link: pixels that are not compressed are made smaller on the way, and at the other end every
//! byte is again what it was.
//!
//! A dataset goes as records, one behind the other, each of which can be undone without the others:
//!
//! | Bytes | Content |
//! |---|---|
//! | 1 | kind: 0 as it is, 1 zstd (RFC 8878), 2 predicted samples |
//! | 4 | length of what it stands for, at most [`RECORD_MAX_BYTES`] |
//! | 4 | length of what follows: equal for kind 0, else less |
//!
//! Predicted samples are whole rows of unsigned numbers of 8 or 16 bits, little endian:
//!
//! | Bytes | Content |
//! |---|---|
//! | 4 | samples in a row |
//! | 1 | how many samples back the left neighbour lies, 1 to 8; plus 128 for samples of 16 bits |
//! | 1 | how a sample is guessed: 0 `left + up - upleft`, 1 `(left + up) / 2`, 2 `(3 left + 3 up - 2 upleft) / 4`; the first row by 0 with nothing above it |
//! | | tables, states and bits of `coding::entropy` |
//!
//! Numbers of the records are big-endian like those of the link. What a record says of itself bounds what is held for it, before a
//! byte of it is looked at.

mod entropy;
mod geometry;
mod record;
mod rows;
#[expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "samples and logarithms fit by construction; a check at each would be most of the time"
)]
mod samples;
#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "what pictures are made of may wrap"
)]
mod tests;

pub use geometry::{Finder, Geometry, Piece};
pub use record::{Broken, Decoder, Encoder};
pub use rows::Rows;

/// A record stands for at most so many bytes.
pub const RECORD_MAX_BYTES: usize = 512 << 10;
