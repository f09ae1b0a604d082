//! The form in which one instance leaves, as bytes that can be read from any offset: header bytes in memory, all else from the spool.

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use causeway_proto::digest::{ContentHasher, Digest};
use causeway_proto::ids::TransferSyntaxUid;

use super::pieces::Piece;
use crate::mask::native::Black;
use crate::spool::{Checked, Kept, MaskedPixels, Spool, SpoolError};

/// A stretch of the form.
#[derive(Clone, Debug)]
pub(super) enum Stretch {
    /// Bytes made here.
    Made(Bytes),
    /// Bytes as received: a range of the source.
    Received(Range<u64>),
    /// Pixels as received, with some of them blacked as they pass by.
    Blacked(Range<u64>, Arc<Black>),
    /// A range of the file of pixels that were coded anew.
    Masked(Range<u64>),
}

impl Stretch {
    fn length(&self) -> u64 {
        match self {
            Self::Made(bytes) => bytes.len() as u64,
            Self::Received(range) | Self::Blacked(range, _) | Self::Masked(range) => {
                range.end.saturating_sub(range.start)
            }
        }
    }
}

impl From<Piece> for Stretch {
    fn from(piece: Piece) -> Self {
        match piece {
            Piece::Bytes(bytes) => Self::Made(bytes.into()),
            Piece::Source(range) => Self::Received(range),
            Piece::Blacked(range, black) => Self::Blacked(range, black),
            Piece::Masked(range) => Self::Masked(range),
        }
    }
}

/// Where the received bytes are.
#[derive(Clone, Debug)]
pub(super) enum Received {
    /// In the spool, as they came.
    Kept(Kept),
    /// In memory: they came deflated.
    Inflated(Bytes),
}

impl Received {
    /// To be read from the beginning, on a blocking thread.
    pub(super) fn reader(&self, spool: &Spool) -> Box<dyn ReadSeek> {
        match self {
            Self::Kept(kept) => Box::new(BufReader::with_capacity(256 * 1024, spool.reader(kept))),
            Self::Inflated(bytes) => Box::new(io::Cursor::new(bytes.clone())),
        }
    }

    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Kept(kept) => kept.length,
            Self::Inflated(bytes) => bytes.len() as u64,
        }
    }
}

/// A source that can be read and sought.
pub(super) trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

/// The form in which one instance leaves. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Form {
    spool: Spool,
    received: Received,
    pixels: Option<MaskedPixels>,
    stretches: Arc<[Stretch]>,
}

impl Form {
    pub(super) fn new(
        spool: &Spool,
        received: Received,
        pixels: Option<MaskedPixels>,
        stretches: Vec<Stretch>,
    ) -> Self {
        Self {
            spool: spool.clone(),
            received,
            pixels,
            stretches: stretches.into(),
        }
    }

    /// The instance as it was received.
    pub(super) fn as_received(spool: &Spool, kept: &Kept) -> Self {
        let whole = Stretch::Received(0..kept.length);
        Self::new(spool, Received::Kept(kept.clone()), None, vec![whole])
    }

    /// Bytes of it that are in memory; none where what it is made of may go before it leaves, or is much.
    pub(super) fn held(&self) -> Option<usize> {
        let Received::Kept(_) = self.received else {
            return None;
        };
        let each = self.stretches.iter().map(|stretch| match stretch {
            Stretch::Made(bytes) => Some(bytes.len()),
            Stretch::Received(_) => Some(0),
            Stretch::Blacked(..) | Stretch::Masked(_) => None,
        });
        // what a form and each of its stretches weigh besides
        let made = each.sum::<Option<usize>>()?;
        Some(made + 1024 + 128 * self.stretches.len())
    }

    /// The same, of bytes that lie where they do now.
    pub(super) fn lying(self, kept: &Kept) -> Self {
        Self {
            received: Received::Kept(kept.clone()),
            ..self
        }
    }

    /// Length of the whole, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.stretches.iter().map(Stretch::length).sum()
    }

    /// Up to `max` bytes from `offset`; fewer at the end of a stretch, none at the end of the whole.
    ///
    /// # Errors
    /// When the spool cannot be read.
    pub async fn read(&self, offset: u64, max: usize) -> Result<Bytes, SpoolError> {
        let mut rest = offset;
        for stretch in self.stretches.iter() {
            if rest >= stretch.length() {
                rest -= stretch.length();
                continue;
            }
            let most = usize::try_from(stretch.length() - rest)
                .unwrap_or(usize::MAX)
                .min(max);
            return match stretch {
                Stretch::Made(bytes) => Ok(cut(bytes, rest, most)),
                Stretch::Received(range) => {
                    self.received(range.start.saturating_add(rest), most).await
                }
                Stretch::Blacked(range, black) => {
                    let read = self
                        .received(range.start.saturating_add(rest), most)
                        .await?;
                    let mut bytes = BytesMut::from(read);
                    black.apply(rest, &mut bytes);
                    Ok(bytes.freeze())
                }
                Stretch::Masked(range) => match &self.pixels {
                    Some(pixels) => {
                        let at = range.start.saturating_add(rest);
                        self.spool.read(&pixels.handle, at, most).await
                    }
                    None => Err(SpoolError::Short),
                },
            };
        }
        Ok(Bytes::new())
    }

    async fn received(&self, at: u64, most: usize) -> Result<Bytes, SpoolError> {
        match &self.received {
            Received::Inflated(bytes) => Ok(cut(bytes, at, most)),
            Received::Kept(kept) => self.spool.read(&kept.handle, at, most).await,
        }
    }

    /// The digest over the whole, once it is made of bytes that are what was received: they are compared as they are read here. Blocks:
    /// not for an async thread.
    ///
    /// # Errors
    /// When the source cannot be read as far as the form says, and [`crate::spool::is_rotten`].
    pub(super) fn digest(&self, syntax: &TransferSyntaxUid) -> io::Result<Digest> {
        let mut hasher = ContentHasher::new(syntax);
        let mut source = Source::of(&self.received, &self.spool)?;
        let pixels = self.pixels.as_ref();
        let mut masked = pixels
            .map(|pixels| self.spool.checked_pixels(pixels))
            .transpose()?;
        let mut buffer = vec![0; 256 * 1024];
        for stretch in self.stretches.iter() {
            let (range, black, from): (_, _, &mut dyn ReadSeek) = match (stretch, &mut masked) {
                (Stretch::Made(bytes), _) => {
                    hasher.update(bytes);
                    continue;
                }
                (Stretch::Received(range), _) => (range, None, source.reader()),
                (Stretch::Blacked(range, black), _) => (range, Some(black), source.reader()),
                (Stretch::Masked(range), Some(masked)) => (range, None, masked),
                (Stretch::Masked(_), None) => return Err(io::ErrorKind::NotFound.into()),
            };
            from.seek(SeekFrom::Start(range.start))?;
            let mut at = 0;
            while at < stretch.length() {
                let most = usize::try_from(stretch.length() - at)
                    .unwrap_or(usize::MAX)
                    .min(buffer.len());
                let piece = buffer.get_mut(..most).unwrap_or_default();
                from.read_exact(piece)?;
                if let Some(black) = black {
                    black.apply(at, piece);
                }
                hasher.update(piece);
                at += piece.len() as u64;
            }
        }
        source.end()?;
        masked.map_or(Ok(()), Checked::end)?;
        Ok(hasher.finish())
    }
}

/// The received bytes of a form while its digest is made.
enum Source {
    Kept(Checked),
    /// Compared when they were inflated.
    Inflated(io::Cursor<Bytes>),
}

impl Source {
    fn of(received: &Received, spool: &Spool) -> io::Result<Self> {
        match received {
            Received::Kept(kept) => spool.checked(kept).map(Self::Kept),
            Received::Inflated(bytes) => Ok(Self::Inflated(io::Cursor::new(bytes.clone()))),
        }
    }

    fn reader(&mut self) -> &mut dyn ReadSeek {
        match self {
            Self::Kept(checked) => checked,
            Self::Inflated(bytes) => bytes,
        }
    }

    fn end(self) -> io::Result<()> {
        match self {
            Self::Kept(checked) => checked.end(),
            Self::Inflated(_) => Ok(()),
        }
    }
}

fn cut(bytes: &Bytes, from: u64, most: usize) -> Bytes {
    let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(from..from.saturating_add(most).min(bytes.len()))
}
