//! A withheld object as a person at the site may look at it before deciding: what it is, and one frame of it as a picture. What is
//! coded or large is made into a picture by a child process under limits of its own; this process only finds where the frame lies.

mod header;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use causeway_proto::ids::TransferSyntaxUid;
use causeway_proto::report::outline::{Line, outline};
use dicom_core::Tag;
use thiserror::Error;
use tokio::sync::Semaphore;

use super::Protector;
use super::coded::{CodeError, FRAME_MAX_BYTES, JPEG, frames, read};
use super::form::Received;
use super::prepare::{PrepareError, received};
use super::source::Source;
use super::worker::blocking;
use crate::mask::child::{DecodeError, Decoder, Frame};
use crate::mask::decode::View;
use crate::mask::native::Layout;
use crate::mask::{frame_bits, is_native};
use crate::spool::{Kept, Private, Spool, SpoolError};
use header::Head;

/// Pictures that are made at a time: each may hold a whole frame in memory.
const AT_ONCE: usize = 2;
/// How long somebody waits for that.
const PATIENCE: Duration = Duration::from_secs(10);
/// Everything together.
const LIMIT: Duration = Duration::from_secs(40);
/// A report that is longer is not read here, in bytes.
const LONGEST_REPORT: u64 = 4 << 20;

const STORAGE: &str = "1.2.840.10008.5.1.4.1.1.";

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// It has frames that can be looked at.
    Picture(Size),
    /// A structured report or a selection of key images, in words.
    Report(Vec<Line>),
    /// A document in another format, which is not opened here.
    Document {
        /// What format.
        kind: &'static str,
        /// (0042,0010).
        title: Private,
        /// (0042,0012).
        format: String,
    },
    /// Nothing that can be shown, in a sentence.
    Nothing(String),
}

/// How large the frames of an object are, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// (0028,0010).
    pub rows: u32,
    /// (0028,0011).
    pub columns: u32,
    /// (0028,0008).
    pub frames: u64,
}

/// Why nothing is shown. The sentences are for the person who looks, and name no patient.
#[derive(Debug, Error)]
pub enum PreviewError {
    /// Others look at the same time.
    #[error("too many pictures are being made at the moment; load it again in a few seconds")]
    Busy,
    /// There is no such frame.
    #[error("it has no such frame")]
    NoFrame,
    /// Its header does not say how its pixels lie, or in a way that is not understood.
    #[error("its header does not say how its pixels lie")]
    Layout,
    /// It has none.
    #[error("it has no pixel data")]
    NoPixels,
    /// One frame is more than is shown here.
    #[error("one frame of it is too large to be shown here")]
    TooLarge,
    /// The object cannot be walked.
    #[error("{0}")]
    Unreadable(String),
    /// The child refused.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The spool refused.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl From<CodeError> for PreviewError {
    fn from(error: CodeError) -> Self {
        match error {
            CodeError::TooLong => Self::TooLarge,
            CodeError::Layout => Self::Layout,
            CodeError::Decode(error) => Self::Decode(error),
            other => Self::Unreadable(other.to_string()),
        }
    }
}

impl From<PrepareError> for PreviewError {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Spool(error) => Self::Spool(error),
            other => Self::Unreadable(other.to_string()),
        }
    }
}

/// How somebody looks at a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// As it is read: by its own window.
    Plain,
    /// So that nothing faint or dark stays hidden.
    Faint,
}

/// Makes previews. Cheap to clone; all clones share their turns.
#[derive(Clone, Debug)]
pub struct Previews {
    protector: Protector,
    decoder: Decoder,
    turns: Arc<Semaphore>,
}

/// One frame of an object, ready for the child.
struct Found {
    syntax: String,
    layout: Layout,
    palette: Vec<u8>,
    view: View,
    bytes: Bytes,
}

impl Previews {
    /// Of what `spool` keeps, by children of `decoder`: one of its own, so that nobody who looks waits for what is being masked.
    #[must_use]
    pub fn new(spool: Spool, decoder: Decoder) -> Self {
        Self {
            protector: Protector::new(spool),
            decoder,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// What an object is; `class` is its (0008,0016).
    ///
    /// # Errors
    /// See [`PreviewError`].
    pub async fn content(&self, kept: &Kept, class: &str) -> Result<Content, PreviewError> {
        let kind = class.strip_prefix(STORAGE).unwrap_or_default().to_owned();
        let (protector, kept) = (self.protector.clone(), kept.clone());
        self.bounded(async move {
            blocking(move || {
                let (received, syntax) = received(&protector, &kept)?;
                match kind.split('.').next() {
                    Some("88") => report(&protector.spool, &received, &syntax),
                    _ => what(&protector.spool, &received, &syntax, &kind),
                }
            })
            .await?
        })
        .await
    }

    /// One frame of an object as a PNG file; the first is 1.
    ///
    /// # Errors
    /// See [`PreviewError`].
    pub async fn picture(
        &self,
        kept: &Kept,
        frame: u64,
        look: Look,
    ) -> Result<Bytes, PreviewError> {
        let (protector, kept) = (self.protector.clone(), kept.clone());
        self.bounded(async move {
            let found = blocking(move || {
                let (received, syntax) = received(&protector, &kept)?;
                find(&protector.spool, &received, &syntax, frame, look)
            })
            .await??;
            let job = Frame {
                syntax: &found.syntax,
                layout: &found.layout,
                palette: &found.palette,
                bytes: found.bytes,
            };
            Ok(self.decoder.picture(job, found.view).await?)
        })
        .await
    }

    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, PreviewError>>,
    ) -> Result<T, PreviewError> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(PreviewError::Busy);
        };
        match tokio::time::timeout(LIMIT, work).await {
            Ok(done) => done,
            Err(_) => Err(PreviewError::Decode(DecodeError::Invalid)),
        }
    }
}

/// A structured report in words.
fn report(
    spool: &Spool,
    received: &Received,
    syntax: &TransferSyntaxUid,
) -> Result<Content, PreviewError> {
    if received.length() > LONGEST_REPORT {
        let sentence = "A structured report that is too long to be shown here.";
        return Ok(Content::Nothing(sentence.to_owned()));
    }
    let mut reader = received.reader(spool);
    let mut source = Source::new(&mut reader, received.length());
    let bytes = source.read(0..received.length()).map_err(CodeError::Read)?;
    Ok(match outline(&bytes, syntax) {
        Ok(lines) => Content::Report(lines),
        Err(_) => Content::Nothing("A structured report that cannot be read.".to_owned()),
    })
}

/// What the header of any other object says that it is.
fn what(
    spool: &Spool,
    received: &Received,
    syntax: &TransferSyntaxUid,
    kind: &str,
) -> Result<Content, PreviewError> {
    let mut reader = received.reader(spool);
    let mut source = Source::new(&mut reader, received.length());
    let head = Head::read(&mut source, syntax).map_err(CodeError::Read)?;
    if let Some(number) = kind.strip_prefix("104.") {
        let set = head.shown.header.character_set();
        return Ok(Content::Document {
            kind: match number {
                "1" => "PDF document",
                "2" => "CDA document",
                _ => "model for 3D printing",
            },
            title: Private::new(head.shown.header.text(Tag(0x0042, 0x0010), &set)),
            format: head.shown.header.code(Tag(0x0042, 0x0012)),
        });
    }
    if !head.pixels {
        return Ok(Content::Nothing("It holds no picture.".to_owned()));
    }
    Ok(match head.shown.layout() {
        Some(layout) => Content::Picture(Size {
            rows: layout.rows,
            columns: layout.columns,
            frames: layout.frames,
        }),
        None => Content::Nothing(
            "It holds pixels, but its header does not say how they lie: it cannot be shown here."
                .to_owned(),
        ),
    })
}

/// Finds one frame and how it is shown.
fn find(
    spool: &Spool,
    received: &Received,
    syntax: &TransferSyntaxUid,
    frame: u64,
    look: Look,
) -> Result<Found, PreviewError> {
    let mut reader = received.reader(spool);
    let mut source = Source::new(&mut reader, received.length());
    let head = Head::read(&mut source, syntax).map_err(CodeError::Read)?;
    if !head.pixels {
        return Err(PreviewError::NoPixels);
    }
    let layout = head.shown.layout().ok_or(PreviewError::Layout)?;
    let index = frame.checked_sub(1).filter(|at| *at < layout.frames);
    let index = index.ok_or(PreviewError::NoFrame)?;
    let (palette, first) = match layout.photometric.as_str() {
        "PALETTE COLOR" => header::palette(&head.shown.header).ok_or(PreviewError::Layout)?,
        _ => (Vec::new(), 0),
    };
    let mut view = View {
        window: head.window(),
        faint: look == Look::Faint,
        first,
        ..View::default()
    };
    (view.slope, view.intercept) = head.rescale();
    let place = &head.shown.place;
    let bytes = if place.coded {
        let begins = JPEG.contains(&syntax.as_str());
        let all = frames(&mut source, &head.shown, &layout, begins)?;
        let at = usize::try_from(index).ok().and_then(|at| all.get(at));
        read(&mut source, at.ok_or(PreviewError::NoFrame)?)?
    } else {
        let bits = frame_bits(&layout).ok_or(PreviewError::Layout)?;
        let from = bits.checked_mul(index).ok_or(PreviewError::NoFrame)?;
        let to = from.checked_add(bits).ok_or(PreviewError::NoFrame)?;
        let range = place.value.start + from / 8..place.value.start + to.div_ceil(8);
        if range.end > place.value.end {
            return Err(PreviewError::NoFrame);
        }
        if range.end - range.start > FRAME_MAX_BYTES {
            return Err(PreviewError::TooLarge);
        }
        view.big = head.big;
        view.skip = u8::try_from(from % 8).unwrap_or(0);
        source.read(range).map_err(CodeError::Read)?
    };
    // pixels that are not coded are read as they lie, whatever syntax the object names
    let syntax = match place.coded == is_native(syntax.as_str()) {
        true => return Err(PreviewError::Decode(DecodeError::Unsupported)),
        false => syntax.to_string(),
    };
    Ok(Found {
        syntax,
        layout,
        palette,
        view,
        bytes: bytes.into(),
    })
}
