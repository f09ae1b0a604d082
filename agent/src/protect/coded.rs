//! Coded pixels, masked: JPEG block by block, everything else decoded; into a file of the spool, frame by frame.

use std::io::{self, Read, Seek};
use std::ops::Range;
use std::sync::Arc;

use causeway_proto::element::{Encoding, ITEM, PIXEL_DATA, SEQUENCE_END};
use dicom_core::{Tag, VR};

use super::Protector;
use super::masked::{Anew, Change};
use super::picture::Shown;
use super::prepare::{Coded, EXPLICIT_LITTLE, PrepareError};
use super::source::{Source, Unreadable};
use super::transform::write;
use super::worker::blocking;
use crate::mask::child::{DecodeError, Frame};
use crate::mask::native::{Black, Layout};
use crate::mask::{Rectangle, jpeg};
use crate::spool::{MaskedPixels, Masking};

/// A coded frame is at most so long.
pub(super) const FRAME_MAX_BYTES: u64 = 64 << 20;
/// Frames of one object; an offset table names each (PS3.5 A.4).
const FRAMES_MAX: u64 = 100_000;

/// JPEG Baseline and Extended (PS3.5 A.4.1): what [`jpeg`] understands.
pub(super) const JPEG: [&str; 2] = ["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"];

/// Codings that lose something and whose objects may not say so (PS3.3 C.7.6.1.1.5).
const LOSSY: [&str; 5] = [
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.203",
];

/// Why pixels could not be coded anew.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodeError {
    #[error("where one frame ends and the next begins is not said")]
    Frames,
    #[error("its header does not say how its pixels lie")]
    Layout,
    #[error("a frame is too long")]
    TooLong,
    #[error(transparent)]
    Read(#[from] Unreadable),
    #[error("the disk of the site is full, or refused")]
    Disk(#[from] io::Error),
    #[error("its coding is not understood here")]
    Decoder,
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Jpeg(#[from] jpeg::JpegError),
}

impl From<CodeError> for PrepareError {
    fn from(error: CodeError) -> Self {
        Self::Withheld(format!("could not be masked: {error}"))
    }
}

/// Codes the pixels of an object anew, masked; durable when this returns.
pub(super) async fn anew(
    protector: &Protector,
    coded: Coded,
) -> Result<MaskedPixels, PrepareError> {
    let coded = Arc::new(coded);
    if JPEG.contains(&coded.syntax.as_str()) {
        let (this, of) = (protector.clone(), Arc::clone(&coded));
        match blocking(move || by_blocks(&this, &of)).await? {
            Err(CodeError::Jpeg(_)) => {}
            done => return done.map_err(Into::into),
        }
    }
    by_decoding(protector, &coded).await
}

/// Every frame decoded by a child, masked, as it is.
async fn by_decoding(
    protector: &Protector,
    coded: &Arc<Coded>,
) -> Result<MaskedPixels, PrepareError> {
    let decoder = protector.decoder.as_ref().ok_or(CodeError::Decoder)?;
    let layout = coded.shown.layout().ok_or(CodeError::Layout)?;
    let (this, of, lies) = (protector.clone(), Arc::clone(coded), layout.clone());
    let (frames, mut out) = blocking(move || {
        let mut reader = of.received.reader(&this.spool);
        let mut source = Source::new(&mut reader, of.received.length());
        let frames = frames(&mut source, &of.shown, &lies, false)?;
        Ok::<_, CodeError>((frames, this.spool.masking(&of.syntax)?))
    })
    .await??;
    let mut native = None;
    for frame in frames {
        let (this, of) = (protector.clone(), Arc::clone(coded));
        let bytes = blocking(move || {
            let mut reader = of.received.reader(&this.spool);
            let mut source = Source::new(&mut reader, of.received.length());
            read(&mut source, &frame)
        })
        .await??;
        let job = Frame {
            syntax: coded.syntax.as_str(),
            layout: &layout,
            palette: &[],
            bytes: bytes.into(),
        };
        let decoded = decoder.frame(job).await.map_err(CodeError::from)?;
        let one = Layout {
            frames: 1,
            ..decoded.layout.clone()
        };
        let black = Black::new(&one, &coded.rectangles).ok_or(CodeError::Layout)?;
        if black.length() != decoded.bytes.len() as u64 {
            return Err(CodeError::Layout.into());
        }
        out = blocking(move || {
            let mut bytes = Vec::from(decoded.bytes);
            black.apply(0, &mut bytes);
            out.append(&bytes)?;
            Ok::<_, CodeError>(out)
        })
        .await??;
        native = Some(decoded.layout);
    }
    let native = native.ok_or(CodeError::Frames)?;
    let rectangles = coded.rectangles.clone();
    let lossy = LOSSY.contains(&coded.syntax.as_str());
    let said = !coded.shown.header.bytes(Tag(0x0028, 0x2110)).is_empty();
    let kept = blocking(move || plain(out, &native, rectangles, lossy && !said));
    kept.await?.map_err(Into::into)
}

/// What stands before decoded frames, and what the header says of them.
fn plain(
    mut out: Masking,
    native: &Layout,
    rectangles: Vec<Rectangle>,
    lossy: bool,
) -> Result<MaskedPixels, CodeError> {
    if out.length() % 2 == 1 {
        out.append(&[0])?;
    }
    let length = usize::try_from(out.length()).or(Err(CodeError::TooLong))?;
    if u32::try_from(length).is_err() {
        return Err(CodeError::TooLong);
    }
    let vr = if native.allocated > 8 { VR::OW } else { VR::OB };
    let short = |element, number: u16| {
        let value = number.to_le_bytes().to_vec();
        Change::new(Tag(0x0028, element), VR::US, value)
    };
    let photometric = native.photometric.clone().into_bytes();
    let mut changes = vec![
        short(0x0002, native.samples),
        Change::new(Tag(0x0028, 0x0004), VR::CS, photometric),
        short(0x0100, native.allocated),
        short(0x0101, native.stored),
        short(0x0102, native.high),
    ];
    if native.samples > 1 {
        changes.push(short(0x0006, u16::from(native.planar)));
    }
    if lossy {
        changes.push(Change::new(Tag(0x0028, 0x2110), VR::CS, b"01".to_vec()));
    }
    let anew = Anew {
        rectangles,
        syntax: EXPLICIT_LITTLE.to_owned(),
        head: write::header(PIXEL_DATA, vr, Some(length), Encoding::ExplicitLittle),
        tail: Vec::new(),
        changes,
    };
    Ok(keep(out, &anew)?)
}

/// Every frame with its blocks blacked, in fragments of their own.
fn by_blocks(protector: &Protector, coded: &Coded) -> Result<MaskedPixels, CodeError> {
    let layout = coded.shown.layout().ok_or(CodeError::Layout)?;
    let mut reader = coded.received.reader(&protector.spool);
    let mut source = Source::new(&mut reader, coded.received.length());
    let frames = frames(&mut source, &coded.shown, &layout, true)?;
    let mut out = protector.spool.masking(&coded.syntax)?;
    let mut offsets = Vec::with_capacity(frames.len());
    for frame in &frames {
        let bytes = read(&mut source, frame)?;
        let black = jpeg::black_out(&bytes, &coded.rectangles, &layout)?;
        offsets.push(out.length());
        fragment(&mut out, &black)?;
    }
    let mut head = write::header(PIXEL_DATA, VR::OB, None, Encoding::ExplicitLittle);
    head.extend(offset_table(&offsets));
    let anew = Anew {
        rectangles: coded.rectangles.clone(),
        syntax: coded.syntax.to_string(),
        head,
        tail: write::header(SEQUENCE_END, VR::UN, Some(0), Encoding::ExplicitLittle),
        changes: Vec::new(),
    };
    Ok(keep(out, &anew)?)
}

fn keep(out: Masking, anew: &Anew) -> io::Result<MaskedPixels> {
    out.keep(serde_json::to_string(anew)?)
}

/// An item with a frame in it, padded to an even length.
fn fragment(out: &mut Masking, bytes: &[u8]) -> io::Result<()> {
    let odd = bytes.len() % 2;
    let length = Some(bytes.len() + odd);
    out.append(&write::header(
        ITEM,
        VR::UN,
        length,
        Encoding::ExplicitLittle,
    ))?;
    out.append(bytes)?;
    match odd {
        0 => Ok(()),
        _ => out.append(&[0]),
    }
}

/// The Basic Offset Table (PS3.5 A.4); empty where an offset is longer than it can say.
fn offset_table(offsets: &[u64]) -> Vec<u8> {
    let table: Option<Vec<[u8; 4]>> = offsets
        .iter()
        .map(|offset| u32::try_from(*offset).ok().map(u32::to_le_bytes))
        .collect();
    let table = table.unwrap_or_default().concat();
    let mut item = write::header(ITEM, VR::UN, Some(table.len()), Encoding::ExplicitLittle);
    item.extend(table);
    item
}

/// The bytes of one frame.
pub(super) fn read<S: Read + Seek>(
    source: &mut Source<'_, S>,
    frame: &[Range<u64>],
) -> Result<Vec<u8>, CodeError> {
    let length: u64 = frame.iter().map(|part| part.end - part.start).sum();
    if length > FRAME_MAX_BYTES {
        return Err(CodeError::TooLong);
    }
    let mut bytes = Vec::new();
    for part in frame {
        bytes.extend(source.read(part.clone())?);
    }
    Ok(bytes)
}

/// Where the frames lie: one in each fragment, all fragments in one, as the offset table says, or where a picture begins.
pub(super) fn frames<S: Read + Seek>(
    source: &mut Source<'_, S>,
    shown: &Shown,
    layout: &Layout,
    begins: bool,
) -> Result<Vec<Vec<Range<u64>>>, CodeError> {
    if !(1..=FRAMES_MAX).contains(&layout.frames) {
        return Err(CodeError::Frames);
    }
    let count = usize::try_from(layout.frames).unwrap_or(usize::MAX);
    let limit = source.length();
    source.go(shown.place.value.start);
    let table = source.fragment(limit)?.ok_or(Unreadable::Malformed)?;
    let base = table.end;
    source.go(base);
    let mut fragments = Vec::new();
    while let Some(fragment) = source.fragment(limit)? {
        source.go(fragment.end);
        fragments.push(fragment);
    }
    if fragments.len() == count {
        return Ok(fragments.into_iter().map(|one| vec![one]).collect());
    }
    if count == 1 {
        return Ok(vec![fragments]);
    }
    let starts = offsets(source, &table, count)?;
    let starts: Vec<u64> = match starts {
        Some(offsets) => offsets.iter().map(|offset| base + offset + 8).collect(),
        None if begins => pictures(source, &fragments)?,
        None => return Err(CodeError::Frames),
    };
    let mut frames: Vec<Vec<Range<u64>>> = Vec::new();
    for fragment in fragments {
        if starts.get(frames.len()) == Some(&fragment.start) {
            frames.push(vec![fragment]);
        } else {
            frames.last_mut().ok_or(CodeError::Frames)?.push(fragment);
        }
    }
    if frames.len() == count {
        Ok(frames)
    } else {
        Err(CodeError::Frames)
    }
}

/// What the offset table says, when it names every frame.
fn offsets<S: Read + Seek>(
    source: &mut Source<'_, S>,
    table: &Range<u64>,
    count: usize,
) -> Result<Option<Vec<u64>>, CodeError> {
    if table.end - table.start != count as u64 * 4 {
        return Ok(None);
    }
    let bytes = source.read(table.clone())?;
    let numbers = bytes.chunks_exact(4).map(|four| match *four {
        [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
        _ => u64::MAX >> 1,
    });
    Ok(Some(numbers.collect()))
}

/// Fragments with which a JPEG picture begins.
fn pictures<S: Read + Seek>(
    source: &mut Source<'_, S>,
    fragments: &[Range<u64>],
) -> Result<Vec<u64>, CodeError> {
    let mut starts = Vec::new();
    for fragment in fragments {
        let two = fragment.end.min(fragment.start + 2);
        if source.read(fragment.start..two)? == [0xFF, 0xD8] {
            starts.push(fragment.start);
        }
    }
    Ok(starts)
}
