//! One instance whose pixels or bulk data somebody wants: where its bytes are, and each of its frames.

use std::borrow::Cow;
use std::io::Read;

use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use causeway_proto::element::Encoding;
use tokio::sync::OwnedSemaphorePermit;

use super::render::{Job, RenderError};
use super::{Caller, EXPLICIT_LITTLE, Web, part10, undamaged};
use crate::archive::frames::{Frames, FramesError, Stretch};
use crate::archive::retrieve::{Served, Target};
use crate::archive::{BlobError, BlobKey};
use crate::http::error::Problem;
use crate::ingest::{inflated_limit, little_endian};

/// One request names at most so many frames.
const MOST_FRAMES: usize = 1_000;

/// A dataset that was deflated, and the right to hold it.
pub(super) struct Inflated {
    bytes: Bytes,
    _right: OwnedSemaphorePermit,
}

impl Inflated {
    /// A part by itself: a slice would hold the whole dataset for as long as somebody takes to read it.
    fn part(&self, start: u64, end: u64) -> Option<Bytes> {
        let range = usize::try_from(start).ok()?..usize::try_from(end).ok()?;
        self.bytes.get(range).map(Bytes::copy_from_slice)
    }
}

/// An instance whose pixels somebody wants.
pub(super) struct Wanted {
    pub(super) web: Web,
    pub(super) served: Served,
    pub(super) key: BlobKey,
    pub(super) frames: Frames,
}

impl Wanted {
    pub(super) async fn find(web: Web, caller: &Caller, of: &Target) -> Result<Self, Problem> {
        let (_, all) = web.viewed(caller, of).await?;
        // of a series or a study: the middle one that has frames says most
        let served = if of.instance.is_some() {
            all.into_iter().next()
        } else {
            let mut shown = all;
            shown.retain(|one| !matches!(one.pixels.as_str(), "" | "invalid"));
            if shown.iter().any(|one| one.fault.is_none()) {
                shown.retain(|one| one.fault.is_none());
            } else {
                undamaged(&shown)?;
            }
            let middle = shown.len() / 2;
            shown.into_iter().nth(middle)
        };
        let Some(served) = served else {
            return Err(web.nothing(caller, of).await);
        };
        let frames = served
            .pixels
            .parse()
            .map_err(|error: FramesError| Problem::internal(&error))?;
        Ok(Self {
            key: served.blob_key.parse()?,
            web,
            served,
            frames,
        })
    }

    pub(super) fn syntax(&self) -> &str {
        &self.served.transfer_syntax
    }

    pub(super) fn encoding(&self) -> (Encoding, bool) {
        self.syntax()
            .parse()
            .map_or((Encoding::ExplicitLittle, false), |syntax| {
                Encoding::of(&syntax)
            })
    }

    /// The dataset inflated, when its syntax is deflated.
    pub(super) async fn inflated(&self) -> Result<Option<Inflated>, Problem> {
        if !self.encoding().1 {
            return Ok(None);
        }
        let right = self.web.renderer.inflating().await?;
        let blob = self.web.state.archive.blobs.read(&self.key).await?;
        let limit = inflated_limit(self.served.length.unsigned_abs());
        let inflate = tokio::task::spawn_blocking(move || {
            let mut out = Vec::new();
            flate2::read::DeflateDecoder::new(&blob[..])
                .take(limit)
                .read_to_end(&mut out)?;
            // who asked may have left: the right is given back when the bytes are
            Ok::<_, std::io::Error>(Inflated {
                bytes: out.into(),
                _right: right,
            })
        });
        match inflate.await {
            Ok(Ok(inflated)) => Ok(Some(inflated)),
            _ => Err(invalid("the deflated dataset is damaged")),
        }
    }

    pub(super) async fn stretch(
        &self,
        inflated: Option<&Inflated>,
        at: Stretch,
    ) -> Result<Bytes, Problem> {
        let (start, end) = (at.offset, at.offset.saturating_add(at.length));
        if let Some(inflated) = inflated {
            return inflated.part(start, end).ok_or_else(Problem::not_found);
        }
        if end > self.served.length.unsigned_abs() {
            return Err(Problem::not_found());
        }
        Ok(self
            .web
            .state
            .archive
            .blobs
            .range(&self.key, start..end)
            .await?)
    }

    /// Refuses to take so many bytes of a frame or a value into memory, where that is too much.
    pub(super) fn bearable(&self, length: u64) -> Result<(), Problem> {
        if length <= self.web.renderer.limits().max_input_bytes {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "this is too large to be had by itself; ask for the whole object, or for its bulk data as they are stored",
        ))
    }

    /// The bytes of one frame, counted from 1, as they are stored; native ones little endian.
    pub(super) async fn frame(
        &self,
        inflated: Option<&Inflated>,
        number: u64,
    ) -> Result<Bytes, Problem> {
        let index = number - 1;
        match &self.frames {
            Frames::Native {
                value,
                frame_bits,
                word,
                ..
            } => {
                let (encoding, first) = (self.encoding().0, index * frame_bits);
                let (from, to) = (first / 8, (first + frame_bits).div_ceil(8));
                // a frame may begin and end inside of a word, and words are turned whole
                let unit = if encoding == Encoding::ExplicitBig {
                    u64::from(*word).max(1)
                } else {
                    1
                };
                let start = from - from % unit;
                let at = Stretch {
                    offset: value.offset + start,
                    length: to.next_multiple_of(unit).min(value.length) - start,
                };
                self.bearable(at.length)?;
                let words = self.stretch(inflated, at).await?;
                let words = swapped(words, usize::from(*word), encoding);
                let range = |at: u64| usize::try_from(at - start).unwrap_or(usize::MAX);
                let bytes = words.get(range(from)..range(to)).ok_or(BlobError::Short)?;
                let shift = u32::try_from(first % 8).unwrap_or(0);
                if *frame_bits % 8 != 0 || shift != 0 {
                    return Ok(bits(bytes, shift, *frame_bits));
                }
                Ok(words.slice_ref(bytes))
            }
            Frames::Fragments(all) => {
                let at = usize::try_from(index).ok().and_then(|index| all.get(index));
                self.fragments(inflated, at.ok_or_else(Problem::not_found)?)
                    .await
            }
            Frames::Without | Frames::Whole(_) | Frames::Invalid => Err(Problem::not_found()),
        }
    }

    /// The fragments of a frame, in one piece of memory.
    async fn fragments(
        &self,
        inflated: Option<&Inflated>,
        all: &[Stretch],
    ) -> Result<Bytes, Problem> {
        let length = all.iter().map(|one| one.length);
        self.bearable(length.fold(0, u64::saturating_add))?;
        if let [only] = all {
            return self.stretch(inflated, *only).await;
        }
        if inflated.is_some() {
            let mut out = BytesMut::new();
            for one in all {
                out.extend_from_slice(&self.stretch(inflated, *one).await?);
            }
            return Ok(out.freeze());
        }
        let range = |one: &Stretch| one.offset..one.offset.saturating_add(one.length);
        let parts = all.iter().map(range).collect();
        let blobs = &self.web.state.archive.blobs;
        Ok(blobs.joined(&self.key, parts).await?)
    }

    /// Which frames a path names.
    pub(super) fn named(&self, list: &str) -> Result<Vec<u64>, Problem> {
        let numbers: Option<Vec<u64>> = list
            .split(',')
            .map(|one| one.parse().ok().filter(|number| *number > 0))
            .collect();
        let numbers = numbers
            .filter(|numbers| numbers.len() <= MOST_FRAMES)
            .ok_or_else(|| {
                Problem::bad_request(
                    "frames are numbers from 1 on, with commas between them, at most 1000",
                )
            })?;
        match &self.frames {
            Frames::Invalid => {
                return Err(invalid(
                    "the pixel data and their description do not hold together",
                ));
            }
            Frames::Whole(_) => {
                return Err(invalid(
                    "the frames of these pixel data cannot be told apart; ask for bulk/pixels",
                ));
            }
            _ => {}
        }
        if numbers.iter().any(|number| *number > self.frames.count()) {
            return Err(Problem::not_found());
        }
        Ok(numbers)
    }

    pub(super) fn native(&self) -> bool {
        matches!(self.frames, Frames::Native { .. })
    }

    pub(super) fn address(&self, base: &str) -> String {
        format!(
            "{base}/studies/{}/series/{}/instances/{}",
            self.served.study_uid, self.served.series_uid, self.served.sop_uid
        )
    }

    /// The dataset as a file for the child that decodes it: whole, or with the frame that is wanted alone where frames lie one
    /// after the other.
    async fn file(&self, job: &mut Job) -> Result<(Bytes, Bytes), Problem> {
        let limit = self.web.renderer.limits().max_input_bytes;
        let served = &self.served;
        let bounded = |length: u64| {
            if length > limit {
                Err(invalid("the object is too large to be rendered here"))
            } else {
                Ok(())
            }
        };
        let alone = self.alone(job.frame);
        let longest = match alone {
            Some((value, frame)) => value.offset.saturating_add(frame.length),
            None => served.length.unsigned_abs(),
        };
        bounded(longest)?;
        let (syntax, dataset) = match (self.inflated().await?, alone) {
            (Some(inflated), _) => (EXPLICIT_LITTLE, inflated.bytes),
            (None, Some((value, frame))) => {
                let before = Stretch {
                    offset: 0,
                    length: value.offset,
                };
                let before = self.stretch(None, before).await?;
                let frame = self.stretch(None, frame).await?;
                job.alone = true;
                (
                    self.syntax(),
                    with_frame(&before, &frame, self.encoding().0),
                )
            }
            (None, None) => (
                self.syntax(),
                self.web.state.archive.blobs.read(&self.key).await?,
            ),
        };
        bounded(u64::try_from(dataset.len()).unwrap_or(u64::MAX))?;
        let head = part10::header(&served.sop_class, &served.sop_uid, syntax);
        Ok((head, dataset))
    }

    /// Where the pixel data and one of several frames lie, when that frame can be cut out.
    fn alone(&self, number: u64) -> Option<(Stretch, Stretch)> {
        let (encoding, deflated) = self.encoding();
        match &self.frames {
            Frames::Native {
                value,
                frame_bits,
                count,
                word,
            } if !deflated && *count > 1 && frame_bits % 8 == 0 && value.offset >= 4 => {
                let length = frame_bits / 8;
                // one that begins inside of a word cannot be cut out as it stands
                if encoding == Encoding::ExplicitBig && length % u64::from(*word).max(1) != 0 {
                    return None;
                }
                let offset = value.offset + number.saturating_sub(1) * length;
                Some((*value, Stretch { offset, length }))
            }
            _ => None,
        }
    }

    pub(super) async fn decoded(&self, job: &Job) -> Result<Bytes, Problem> {
        // first the slot: who waits for one must not hold an object in memory meanwhile
        let slot = self.web.renderer.slot().await?;
        let mut job = job.clone();
        let (head, dataset) = self.file(&mut job).await?;
        Ok(self.web.renderer.run(slot, &job, head, dataset).await?)
    }
}

/// Bytes whose words are little endian now.
pub(super) fn swapped(bytes: Bytes, word: usize, encoding: Encoding) -> Bytes {
    match little_endian(&bytes, word, encoding) {
        Cow::Borrowed(_) => bytes,
        Cow::Owned(other) => other.into(),
    }
}

/// What stands before the pixel data, their length (the four bytes before the value, PS3.5 7.1) made that of one frame, and
/// that frame.
pub(super) fn with_frame(before: &[u8], frame: &[u8], encoding: Encoding) -> Bytes {
    let padded = frame.len() + frame.len() % 2;
    let length = u32::try_from(padded).unwrap_or(u32::MAX);
    let length = if encoding == Encoding::ExplicitBig {
        length.to_be_bytes()
    } else {
        length.to_le_bytes()
    };
    let header = before.len().saturating_sub(length.len());
    let mut out = BytesMut::with_capacity(before.len() + padded);
    out.extend_from_slice(before.get(..header).unwrap_or_default());
    out.extend_from_slice(&length);
    out.extend_from_slice(frame);
    out.resize(before.len() + padded, 0);
    out.freeze()
}

impl From<RenderError> for Problem {
    fn from(error: RenderError) -> Self {
        match error {
            RenderError::Unsupported => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-decodable",
                "this gateway does not decode this transfer syntax; ask for it with transfer-syntax=*",
            ),
            RenderError::Invalid => {
                invalid("the pixel data could not be decoded within the limits")
            }
            RenderError::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "too many images are being decoded",
            )
            .with("retry_after_s", 2),
            RenderError::Failed(_) => Self::internal(&error),
        }
    }
}

pub(super) fn invalid(detail: &str) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "pixel-data-invalid",
        detail,
    )
}

/// A frame of single bits that begins `shift` bits into its first byte, moved to a byte's beginning (PS3.5 8.1.1: the first
/// pixel is the lowest bit).
fn bits(bytes: &[u8], shift: u32, count: u64) -> Bytes {
    let mut out: Vec<u8> = bytes
        .iter()
        .enumerate()
        .map(|(index, byte)| {
            let next = bytes.get(index + 1).copied().unwrap_or(0);
            let pair = u16::from_le_bytes([*byte, next]) >> shift;
            pair.to_le_bytes()[0]
        })
        .collect();
    out.truncate(usize::try_from(count.div_ceil(8)).unwrap_or(usize::MAX));
    let surplus = u32::try_from(count % 8).unwrap_or(0);
    if let (Some(last), true) = (out.last_mut(), surplus > 0) {
        *last &= 0xFF >> (8 - surplus);
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    #[test]
    fn a_part_of_what_was_inflated_does_not_hold_the_whole() {
        let whole = Bytes::from(b"abcdef".to_vec());
        let right = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let inflated = Inflated {
            bytes: whole.clone(),
            _right: right,
        };
        let part = inflated.part(1, 3).unwrap();
        assert!(inflated.part(5, 7).is_none() && inflated.part(3, 1).is_none());
        drop(inflated);
        assert!(whole.is_unique());
        assert_eq!(&part[..], b"bc");
    }
}
