//! Segments: objects one behind the other in one file, so that one sync makes all of them durable that wait for it.
//!
//! A frame is a head of 4096 bytes, the object, and zeros up to the next multiple of 4096. The head is the magic, the length of the
//! object, its checksum, the length of what is told of it, a checksum over the head so far and over that, and what is told: enough to
//! write the rows of the object again. A segment is written from its beginning to its end by one process and never after a failure.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{MutexGuard, PoisonError};

use bytes::Bytes;
use flate2::Crc;

use super::block::{ALIGN, Block, HEAD, LONGEST};
use super::checked::rotten;
use super::{Appending, Disk, Folder, Found, Handle, Place};

const MAGIC: [u8; 8] = *b"CWFRAME1";
/// Magic, length, checksum of the object, length of what is told, checksum of all that and of what is told.
const PREFIX: usize = 28;
/// A segment takes no further frames beyond this length.
pub(super) const SEGMENT: u64 = 64 << 20;
/// What is read at a time of the room behind the last frame, and what is not worth giving back.
const PIECE: usize = 1 << 20;

/// The segments of this process.
#[derive(Debug, Default)]
pub(super) struct Packs {
    current: Option<Current>,
    /// The segment whose file is in the hands of a writer: it is not in `current` then, and must not go.
    in_hand: Option<String>,
    /// Where in each segment objects lie that a row names, or is about to.
    live: HashMap<String, HashSet<u64>>,
}

#[derive(Debug)]
struct Current {
    name: String,
    file: Box<dyn Appending>,
    at: u64,
}

/// Where frames will lie that are not written yet.
#[derive(Debug)]
pub(in crate::spool) struct Placed {
    /// In which segment.
    pub(in crate::spool) segment: String,
    /// One for each.
    pub(in crate::spool) handles: Vec<Handle>,
    /// Where each of them ends.
    pub(in crate::spool) ends: Vec<u64>,
}

/// A frame that was found.
#[derive(Debug)]
pub(in crate::spool) struct Frame {
    pub(in crate::spool) handle: Handle,
    /// What is told of the object.
    pub(in crate::spool) told: Vec<u8>,
    /// The object, whole; none when its room was given back, or it was torn or damaged.
    pub(in crate::spool) content: Option<Bytes>,
    /// Where the next frame begins.
    pub(in crate::spool) end: u64,
}

struct Head {
    length: u64,
    checksum: u32,
    told: Vec<u8>,
}

/// Length of the frame of an object.
pub(super) fn frame_length(object: u64) -> u64 {
    HEAD as u64 + object.next_multiple_of(ALIGN as u64)
}

/// Writes the head of a frame; false when `told` does not fit.
pub(super) fn write_head(head: &mut [u8], told: &[u8], length: u64, checksum: u32) -> bool {
    let Ok(told_length) = u32::try_from(told.len()) else {
        return false;
    };
    let mut out = Vec::with_capacity(PREFIX + told.len());
    out.extend(MAGIC);
    out.extend(length.to_le_bytes());
    out.extend(checksum.to_le_bytes());
    out.extend(told_length.to_le_bytes());
    let mut whole = Crc::new();
    whole.update(&out);
    whole.update(told);
    out.extend(whole.sum().to_le_bytes());
    out.extend_from_slice(told);
    let Some((start, rest)) = head.split_at_mut_checked(out.len()) else {
        return false;
    };
    start.copy_from_slice(&out);
    rest.fill(0);
    true
}

/// Reads the head of a frame; none when there is none, or it was torn.
fn read_head(bytes: &[u8]) -> Option<Head> {
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX>()?;
    let (checked, _) = prefix.split_at_checked(PREFIX - 4)?;
    let number = |at: usize| {
        let four = prefix.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*four))
    };
    let length = u64::from_le_bytes(*prefix.get(8..)?.first_chunk::<8>()?);
    let told = rest.get(..usize::try_from(number(20)?).ok()?)?;
    let mut whole = Crc::new();
    whole.update(checked);
    whole.update(told);
    let sound =
        prefix.starts_with(&MAGIC) && number(24)? == whole.sum() && length <= LONGEST as u64;
    sound.then(|| Head {
        length,
        checksum: number(16).unwrap_or(0),
        told: told.to_vec(),
    })
}

fn offset(handle: &Handle) -> Option<u64> {
    match handle.place() {
        Place::Packed { offset, .. } => Some(offset),
        Place::File(_) => None,
    }
}

impl Disk {
    fn packs(&self) -> MutexGuard<'_, Packs> {
        self.packs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory for an object that may go into a segment.
    #[must_use]
    pub(in crate::spool) fn block(&self) -> Block {
        self.spare.block()
    }

    /// Where the frames of these blocks will lie. The caller writes them before it asks again.
    pub(in crate::spool) fn place(&self, blocks: &[&Block]) -> Placed {
        let total: u64 = blocks.iter().map(|block| block.frame_length()).sum();
        let (segment, mut at) = match &self.packs().current {
            Some(current) if current.at.saturating_add(total) <= SEGMENT => {
                (current.name.clone(), current.at)
            }
            _ => (self.random.token(), 0),
        };
        let mut handles = Vec::with_capacity(blocks.len());
        let mut ends = Vec::with_capacity(blocks.len());
        for block in blocks {
            let length = block.content().len() as u64;
            handles.push(Handle::packed(&segment, at + HEAD as u64, length));
            at += block.frame_length();
            ends.push(at);
        }
        Placed {
            segment,
            handles,
            ends,
        }
    }

    /// Makes frames durable where they were placed, all with one sync. When it fails none of them is kept, and the segment is written
    /// no more: it goes at once when nothing in it is needed, else the room does that it has from the start.
    ///
    /// # Errors
    /// As the disk says.
    pub(in crate::spool) fn write(&self, placed: &Placed, blocks: &mut [Block]) -> io::Result<()> {
        let written = self.write_in_hand(placed, blocks);
        let mut packs = self.packs();
        packs.in_hand = None;
        let current = match written {
            Ok(current) => current,
            Err(error) => {
                drop(packs);
                self.give_up(placed);
                return Err(error);
            }
        };
        let offsets = placed.handles.iter().filter_map(offset);
        packs
            .live
            .entry(current.name.clone())
            .or_default()
            .extend(offsets);
        packs.current = Some(current);
        Ok(())
    }

    /// Removes what a failed write leaves of a segment. Nothing of that was acknowledged, and nothing stands behind it.
    fn give_up(&self, placed: &Placed) {
        self.forget_when_empty(&placed.segment);
        let first = placed.handles.first().and_then(offset);
        let from = first.map_or(0, |object| object.saturating_sub(HEAD as u64));
        let room = SEGMENT.saturating_sub(from);
        drop(self.seam.punch(Folder::Packed, &placed.segment, from, room));
    }

    fn write_in_hand(&self, placed: &Placed, blocks: &mut [Block]) -> io::Result<Current> {
        let mut current = self.current(&placed.segment)?;
        for block in blocks.iter_mut() {
            current.file.append(block.frame())?;
        }
        current.file.sync()?;
        current.at = placed.ends.last().copied().unwrap_or(current.at);
        Ok(current)
    }

    /// Takes the segment that is written, or begins the one of this name in its place.
    fn current(&self, segment: &str) -> io::Result<Current> {
        let before = {
            let mut packs = self.packs();
            packs.in_hand = Some(segment.to_owned());
            packs.current.take()
        };
        match before {
            Some(current) if current.name == segment => return Ok(current),
            Some(full) => self.forget_when_empty(&full.name),
            None => {}
        }
        let file = self.seam.open(Folder::Packed, segment)?;
        if let Err(error) = self.seam.sync_dir(Folder::Packed) {
            drop(self.seam.remove(Folder::Packed, segment));
            return Err(error);
        }
        Ok(Current {
            name: segment.to_owned(),
            file,
            at: 0,
        })
    }

    fn forget_when_empty(&self, segment: &str) {
        let mut packs = self.packs();
        if packs.live.get(segment).is_none_or(HashSet::is_empty) {
            packs.live.remove(segment);
            drop(packs);
            drop(self.seam.remove(Folder::Packed, segment));
        }
    }

    /// Gives back the room of an object that no row names any more, and removes its segment with the last one.
    pub(super) fn remove_packed(&self, segment: &str, offset: u64, length: u64) -> io::Result<()> {
        let mut packs = self.packs();
        let being_written = packs.in_hand.as_deref() == Some(segment)
            || packs.current.as_ref().is_some_and(|it| it.name == segment);
        let others = packs.live.get_mut(segment).is_some_and(|live| {
            live.remove(&offset);
            !live.is_empty()
        });
        if others || being_written {
            drop(packs);
            // the head stays: by it the frames behind are found
            let room = length.next_multiple_of(ALIGN as u64);
            return self.seam.punch(Folder::Packed, segment, offset, room);
        }
        packs.live.remove(segment);
        drop(packs);
        self.seam.remove(Folder::Packed, segment)
    }

    /// Gives back the room behind the last frame of a segment of an earlier process, as far as nothing was ever written there. Where a row
    /// names an object behind it, a head before that is rotten, and nothing is given back: objects may end in zeros.
    ///
    /// # Errors
    /// As the disk says.
    pub(in crate::spool) fn trim(&self, segment: &Found, end: u64) -> io::Result<()> {
        let is_behind = |live: &HashSet<u64>| live.iter().any(|offset| *offset >= end);
        if self.packs().live.get(&segment.name).is_some_and(is_behind) {
            return Ok(());
        }
        let (mut at, mut keep) = (end, end);
        while at < segment.length {
            let piece = self.seam.read(Folder::Packed, &segment.name, at, PIECE)?;
            if piece.is_empty() {
                break;
            }
            at = at.saturating_add(piece.len() as u64);
            if piece.iter().any(|byte| *byte != 0) {
                keep = at;
            }
        }
        match segment.length.saturating_sub(keep) > PIECE as u64 {
            true => self.seam.shorten(Folder::Packed, &segment.name, keep),
            false => Ok(()),
        }
    }

    /// The segments that are there, with their lengths.
    ///
    /// # Errors
    /// As the disk says.
    pub(in crate::spool) fn segments(&self) -> io::Result<Vec<Found>> {
        self.seam.list(Folder::Packed)
    }

    /// Counts an object of an earlier process that a row names.
    pub(in crate::spool) fn count(&self, handle: &Handle) {
        if let Place::Packed {
            segment, offset, ..
        } = handle.place()
        {
            let mut packs = self.packs();
            let live = packs.live.entry(segment.to_owned()).or_default();
            live.insert(offset);
        }
    }

    /// Removes the segments in which no row names anything, but for the one that is being written.
    ///
    /// # Errors
    /// As the disk says.
    pub(in crate::spool) fn sweep(&self) -> io::Result<()> {
        for found in self.segments()? {
            let needed = {
                let packs = self.packs();
                let live = packs.live.get(&found.name);
                live.is_some_and(|live| !live.is_empty())
                    || packs
                        .current
                        .as_ref()
                        .is_some_and(|it| it.name == found.name)
            };
            if !needed {
                self.seam.remove(Folder::Packed, &found.name)?;
            }
        }
        Ok(())
    }

    /// The frame of the object that lies at `offset`.
    ///
    /// # Errors
    /// As the disk says.
    pub(in crate::spool) fn frame_of(
        &self,
        segment: &str,
        offset: u64,
    ) -> io::Result<Option<Frame>> {
        self.frame(segment, offset.saturating_sub(HEAD as u64))
    }

    /// The object of a handle in a segment, whole and as it was when it came.
    ///
    /// # Errors
    /// As the disk says; [`super::checked::is_rotten`] when it is not what it was, or nothing says what it was.
    pub(super) fn packed(&self, segment: &str, offset: u64, length: u64) -> io::Result<Bytes> {
        let from = offset.saturating_sub(HEAD as u64);
        let most = usize::try_from(length).unwrap_or(LONGEST).min(LONGEST);
        let frame = self
            .seam
            .read(Folder::Packed, segment, from, HEAD.saturating_add(most))?;
        let mut content = Bytes::from(frame);
        let head = content.split_to(content.len().min(HEAD));
        let mut sum = Crc::new();
        sum.update(&content);
        let whole = read_head(&head).is_some_and(|head| {
            head.length == length && content.len() as u64 == length && head.checksum == sum.sum()
        });
        if whole { Ok(content) } else { Err(rotten()) }
    }

    /// Whether a frame of an object of this length lies where the handle says, as far as its head tells.
    ///
    /// # Errors
    /// As the disk says.
    pub(in crate::spool) fn has_head(&self, handle: &Handle) -> io::Result<bool> {
        let Place::Packed {
            segment,
            offset,
            length,
        } = handle.place()
        else {
            return Ok(false);
        };
        let from = offset.saturating_sub(HEAD as u64);
        let head = self.seam.read(Folder::Packed, segment, from, HEAD)?;
        Ok(read_head(&head).is_some_and(|head| head.length == length))
    }

    /// The frame that begins at `at`; none when there is none: the end, or what was being written when the power went.
    ///
    /// # Errors
    /// As the disk says.
    pub(in crate::spool) fn frame(&self, segment: &str, at: u64) -> io::Result<Option<Frame>> {
        let head = self.seam.read(Folder::Packed, segment, at, HEAD)?;
        let Some(head) = read_head(&head) else {
            return Ok(None);
        };
        let handle = Handle::packed(segment, at + HEAD as u64, head.length);
        let longest = usize::try_from(head.length).unwrap_or(LONGEST);
        let content = self.read(&handle, 0, longest)?;
        let mut checksum = Crc::new();
        checksum.update(&content);
        let whole = content.len() as u64 == head.length && checksum.sum() == head.checksum;
        Ok(Some(Frame {
            handle,
            told: head.told,
            content: Some(content).filter(|_| whole),
            end: at + frame_length(head.length),
        }))
    }
}
