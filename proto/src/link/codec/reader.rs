//! The incremental reader: takes bytes as they come, gives messages and pieces of datasets, and refuses the rest by its code.

use super::{
    CHUNK_MAX_BYTES, CONTROL_MAX_BYTES, CRITICAL, CodecError, HEADER_BYTES, Kind, Message, Place,
    Speaker,
};

/// One thing that was read.
#[derive(Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "made and taken apart one at a time, never kept"
)]
pub enum Part<'a> {
    /// A whole message.
    Message(Message),
    /// The next bytes of the dataset.
    Data(&'a [u8]),
}

/// States of a stream:
///
/// | State | Takes | Then |
/// |---|---|---|
/// | `Control` | messages of the control stream | `Control` |
/// | `Head` | INSTANCE, REPORT | `Chunk` |
/// | | MANIFEST | `Done` |
/// | | unknown, not critical | UNKNOWN_TYPE |
/// | `Chunk` | a length | `Data`, or `End` when 0 |
/// | `Data` | that many bytes | `Chunk` |
/// | `End` | TRAILER | `Done` |
/// | `Done` | nothing | |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Control,
    Head,
    Chunk,
    Data(usize),
    End,
    Done,
}

/// Reads one stream of one speaker. Keeps at most one frame plus what was pushed last.
#[derive(Debug)]
pub struct Reader {
    speaker: Speaker,
    state: State,
    buffer: Vec<u8>,
    start: usize,
}

impl Reader {
    /// For the control stream, read by the side that hears `speaker`.
    #[must_use]
    pub fn control(speaker: Speaker) -> Self {
        Self::new(speaker, State::Control)
    }

    /// For a unidirectional stream.
    #[must_use]
    pub fn stream(speaker: Speaker) -> Self {
        Self::new(speaker, State::Head)
    }

    fn new(speaker: Speaker, state: State) -> Self {
        Self {
            speaker,
            state,
            buffer: Vec::new(),
            start: 0,
        }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes are held that no part was made of yet.
    #[must_use]
    pub fn held(&self) -> usize {
        self.left().len()
    }

    /// The next part, none when more bytes are needed.
    ///
    /// # Errors
    /// When the bytes break the protocol; the stream or connection is then closed with [`CodecError::code`].
    pub fn next_part(&mut self) -> Result<Option<Part<'_>>, CodecError> {
        loop {
            match self.state {
                State::Control | State::Head | State::End => match self.frame()? {
                    Frame::Wanting => return Ok(None),
                    Frame::Ignored => {}
                    Frame::Whole(message) => return Ok(Some(Part::Message(message))),
                },
                State::Chunk => {
                    let Some(length) = self.word() else {
                        return Ok(None);
                    };
                    self.chunk(length)?;
                }
                State::Data(left) => return Ok(self.data(left)),
                State::Done if self.left().is_empty() => return Ok(None),
                State::Done => return Err(CodecError::Surplus),
            }
        }
    }

    /// Called at the stream's end.
    ///
    /// # Errors
    /// When the content is not complete.
    pub fn finish(&self) -> Result<(), CodecError> {
        let complete = matches!(self.state, State::Done | State::Control);
        if complete && self.left().is_empty() {
            Ok(())
        } else {
            Err(CodecError::Truncated)
        }
    }

    fn left(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn word(&mut self) -> Option<u32> {
        let bytes = self.left().first_chunk::<4>().copied()?;
        self.start = self.start.saturating_add(4);
        Some(u32::from_be_bytes(bytes))
    }

    fn chunk(&mut self, length: u32) -> Result<(), CodecError> {
        if length > CHUNK_MAX_BYTES {
            return Err(CodecError::TooLarge {
                what: "chunk",
                length: u64::from(length),
                bound: u64::from(CHUNK_MAX_BYTES),
            });
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.state = if length == 0 {
            State::End
        } else {
            State::Data(length)
        };
        Ok(())
    }

    fn data(&mut self, left: usize) -> Option<Part<'_>> {
        let take = left.min(self.left().len());
        if take == 0 {
            return None;
        }
        let begin = self.start;
        self.start = begin.saturating_add(take);
        self.state = match left.saturating_sub(take) {
            0 => State::Chunk,
            rest => State::Data(rest),
        };
        self.buffer.get(begin..self.start).map(Part::Data)
    }

    fn frame(&mut self) -> Result<Frame, CodecError> {
        let Some(header) = self.left().first_chunk::<HEADER_BYTES>() else {
            return Ok(Frame::Wanting);
        };
        let [t0, t1, l0, l1, l2, l3] = *header;
        let code = u16::from_be_bytes([t0, t1]);
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        let kind = self.admit(code)?;
        let bound = kind.map_or(CONTROL_MAX_BYTES, |kind| kind.max_bytes);
        if length > bound {
            return Err(CodecError::TooLarge {
                what: kind.map_or("message", |kind| kind.name),
                length: u64::from(length),
                bound: u64::from(bound),
            });
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let end = HEADER_BYTES.saturating_add(length);
        let Some(body) = self.left().get(HEADER_BYTES..end) else {
            return Ok(Frame::Wanting);
        };
        let message = kind.map(|kind| Message::decode(kind, body)).transpose()?;
        self.start = self.start.saturating_add(end);
        let (Some(message), Some(kind)) = (message, kind) else {
            return Ok(Frame::Ignored);
        };
        self.state = match kind.place {
            Place::Control => State::Control,
            Place::Dataset => State::Chunk,
            Place::Alone | Place::End => State::Done,
        };
        Ok(Frame::Whole(message))
    }

    /// Whether a message of this type may come here; none: it is ignored.
    fn admit(&self, code: u16) -> Result<Option<&'static Kind>, CodecError> {
        let Some(kind) = Kind::of(code) else {
            return match self.state {
                State::Control if code & CRITICAL == 0 => Ok(None),
                State::Head if code & CRITICAL == 0 => Err(CodecError::UnknownStream(code)),
                _ => Err(CodecError::UnknownCritical(code)),
            };
        };
        let here = match kind.place {
            Place::Control => self.state == State::Control,
            Place::Dataset | Place::Alone => self.state == State::Head,
            Place::End => self.state == State::End,
        };
        let theirs = kind.speaker.is_none_or(|speaker| speaker == self.speaker);
        if here && theirs {
            Ok(Some(kind))
        } else {
            Err(CodecError::Misplaced(kind.name))
        }
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "made and taken apart one at a time, never kept"
)]
enum Frame {
    Wanting,
    Ignored,
    Whole(Message),
}
