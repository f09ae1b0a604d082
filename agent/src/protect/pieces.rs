//! The protected form as pieces: bytes of ours, and ranges of what was received. Of any size, in the memory of what changed.

use std::ops::Range;
use std::sync::Arc;

use crate::mask::native::Black;

/// A stretch of the protected form.
#[derive(Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes that stand there instead.
    Bytes(Vec<u8>),
    /// Bytes of the received dataset, unchanged.
    Source(Range<u64>),
    /// The received pixel data, with some of them blacked.
    Blacked(Range<u64>, Arc<Black>),
    /// Bytes of the file of pixels that were coded anew.
    Masked(Range<u64>),
}

/// Lengths only: the bytes may be anything.
impl std::fmt::Debug for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Source(range) => write!(f, "Source({range:?})"),
            Self::Blacked(range, _) => write!(f, "Blacked({range:?})"),
            Self::Masked(range) => write!(f, "Masked({range:?})"),
        }
    }
}

/// Pieces as they are made.
#[derive(Default)]
pub(super) struct Pieces {
    pieces: Vec<Piece>,
    /// Pieces before this one are not added to.
    closed: usize,
    literal: usize,
}

/// A place to go back to.
pub(super) struct Mark {
    count: usize,
    last: u64,
    literal: usize,
}

impl Pieces {
    /// Appends bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.literal += bytes.len();
        let open = self.pieces.len() > self.closed;
        match self.pieces.last_mut() {
            Some(Piece::Bytes(last)) if open => last.extend_from_slice(bytes),
            _ => self.pieces.push(Piece::Bytes(bytes.to_vec())),
        }
    }

    /// Appends a range of what was received.
    pub(super) fn source(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let open = self.pieces.len() > self.closed;
        match self.pieces.last_mut() {
            Some(Piece::Source(last)) if open && last.end == range.start => last.end = range.end,
            _ => self.pieces.push(Piece::Source(range)),
        }
    }

    /// Appends a piece as it is.
    pub(super) fn piece(&mut self, piece: Piece) {
        if let Piece::Bytes(bytes) = &piece {
            self.literal += bytes.len();
        }
        self.pieces.push(piece);
        self.closed = self.pieces.len();
    }

    /// How many bytes of ours there are.
    pub(super) fn literal(&self) -> usize {
        self.literal
    }

    /// Ends the last piece here and says which index the next one gets.
    pub(super) fn boundary(&mut self) -> usize {
        self.closed = self.pieces.len();
        self.closed
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            count: self.pieces.len(),
            last: match self.pieces.last() {
                Some(Piece::Bytes(bytes)) => bytes.len() as u64,
                Some(Piece::Source(range) | Piece::Blacked(range, _) | Piece::Masked(range)) => {
                    range.end
                }
                None => 0,
            },
            literal: self.literal,
        }
    }

    /// Forgets everything since a mark.
    pub(super) fn reset(&mut self, mark: &Mark) {
        self.pieces.truncate(mark.count);
        self.literal = mark.literal;
        match self.pieces.last_mut() {
            Some(Piece::Bytes(bytes)) => {
                bytes.truncate(usize::try_from(mark.last).unwrap_or(usize::MAX));
            }
            Some(Piece::Source(range)) => range.end = mark.last,
            // whole, and closed
            Some(Piece::Blacked(..) | Piece::Masked(_)) | None => {}
        }
    }

    pub(super) fn finish(self) -> Vec<Piece> {
        self.pieces
    }
}
