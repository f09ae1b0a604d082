//! Records: made from pieces of a dataset, and read as their bytes come.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use super::RECORD_MAX_BYTES;
use super::rows::Rows;
use super::samples::{Press, Unpress};

const AS_IS: u8 = 0;
const ZSTD: u8 = 1;
const PREDICTED: u8 = 2;
/// Kind and two lengths.
const HEAD_BYTES: usize = 9;
/// The level that costs least of those that look for repetitions at all.
const ZSTD_LEVEL: i32 = 1;
/// Below this a record is not worth its head.
const SMALLEST: usize = 64;

/// The bytes are no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the coded bytes cannot be undone")]
pub struct Broken;

/// Makes records. Keeps its memory from one use to the next: about six bytes for each of a record.
#[derive(Debug, Default)]
pub struct Encoder {
    press: Press,
}

impl Encoder {
    /// The record of a piece of a dataset, at most [`RECORD_MAX_BYTES`]; what is behind that is left out. With `rows` it is whole rows
    /// of samples.
    #[must_use]
    pub fn record(&mut self, piece: &[u8], rows: Option<Rows>) -> Bytes {
        let piece = piece.get(..RECORD_MAX_BYTES).unwrap_or(piece);
        let mut out = Vec::with_capacity(HEAD_BYTES + piece.len() / 2);
        out.resize(HEAD_BYTES, 0);
        let kind = match rows {
            _ if piece.len() < SMALLEST => AS_IS,
            Some(rows) if piece.len() % rows.bytes() == 0 => {
                self.press.press(piece, rows, &mut out);
                PREDICTED
            }
            _ => match zstd::bulk::compress(piece, ZSTD_LEVEL) {
                Ok(packed) => {
                    out.extend_from_slice(&packed);
                    ZSTD
                }
                Err(_) => AS_IS,
            },
        };
        let kind = if kind == AS_IS || out.len() >= HEAD_BYTES + piece.len() {
            out.truncate(HEAD_BYTES);
            out.extend_from_slice(piece);
            AS_IS
        } else {
            kind
        };
        let coded = out.len() - HEAD_BYTES;
        if let Some(head) = out.first_chunk_mut::<HEAD_BYTES>() {
            *head = head_of(kind, piece.len(), coded);
        }
        out.into()
    }
}

fn head_of(kind: u8, length: usize, coded: usize) -> [u8; HEAD_BYTES] {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let [e, f, g, h] = u32::try_from(coded).unwrap_or(u32::MAX).to_be_bytes();
    [kind, a, b, c, d, e, f, g, h]
}

/// Reads records as their bytes come. Holds one at most, and what it stands for.
#[derive(Debug, Default)]
pub struct Decoder {
    held: BytesMut,
    head: Option<Head>,
    unpress: Unpress,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    kind: u8,
    length: usize,
    coded: usize,
}

impl Head {
    /// None when no record begins like this.
    fn of(head: [u8; HEAD_BYTES]) -> Option<Self> {
        let [kind, a, b, c, d, e, f, g, h] = head;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        let coded = usize::try_from(u32::from_be_bytes([e, f, g, h])).ok()?;
        let fits = (1..=RECORD_MAX_BYTES).contains(&length);
        let said = match kind {
            AS_IS => coded == length,
            ZSTD | PREDICTED => coded < length,
            _ => false,
        };
        (fits && said).then_some(Self {
            kind,
            length,
            coded,
        })
    }
}

impl Decoder {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next bytes of the dataset; none when more are needed.
    ///
    /// # Errors
    /// When what was pushed is no record.
    pub fn next_bytes(&mut self) -> Result<Option<Bytes>, Broken> {
        let head = match self.head {
            Some(head) => head,
            None => {
                let Some(head) = self.held.first_chunk().copied() else {
                    return Ok(None);
                };
                self.held.advance(HEAD_BYTES);
                let head = Head::of(head).ok_or(Broken)?;
                self.held
                    .reserve(head.coded.saturating_sub(self.held.len()));
                *self.head.insert(head)
            }
        };
        if head.kind == AS_IS {
            return Ok(self.as_they_come(head));
        }
        if self.held.len() < head.coded {
            return Ok(None);
        }
        self.head = None;
        let coded = self.held.split_to(head.coded);
        let mut out = Vec::with_capacity(head.length);
        if head.kind == PREDICTED {
            let undone = self.unpress.unpress(&coded, head.length, &mut out);
            undone.ok_or(Broken)?;
        } else {
            out = zstd::bulk::decompress(&coded, head.length).or(Err(Broken))?;
        }
        if out.len() == head.length {
            Ok(Some(out.into()))
        } else {
            Err(Broken)
        }
    }

    fn as_they_come(&mut self, head: Head) -> Option<Bytes> {
        let take = head.length.min(self.held.len());
        let rest = head.length - take;
        self.head = (rest > 0).then_some(Head {
            length: rest,
            coded: rest,
            ..head
        });
        (take > 0).then(|| self.held.split_to(take).freeze())
    }

    /// Whether nothing of a record is held: the dataset may end here.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.head.is_none() && self.held.is_empty()
    }
}
