//! One coded frame as native samples, by the codecs that the gateway has too. This runs in the child, where it may fail.

use std::borrow::Cow;
use std::io::Cursor;

use dicom_core::smallvec::smallvec;
use dicom_encoding::adapters::{PixelDataObject, RawPixelData};
use dicom_encoding::{Codec, TransferSyntaxIndex};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};

use super::decode::Refusal;
use super::native::Layout;

/// Before anything of a frame is held in memory, and all that is made of it, in bytes.
pub(super) const LONGEST_FRAME: u64 = 192 << 20;

/// What a transfer syntax means for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// Not coded.
    Native,
    /// JPEG with a cosine transform, whose colours are mostly YBR.
    Lossy,
    /// JPEG without loss: samples come out as they went in.
    Lossless,
    /// JPEG 2000 in its kinds.
    Wavelet,
    /// Anything else that the registry can decode, RLE for one.
    Other,
}

impl Coding {
    fn of(syntax: &str) -> Self {
        match syntax.strip_prefix("1.2.840.10008.1.2") {
            Some("" | ".1" | ".2" | ".1.99") => Self::Native,
            Some(".4.50" | ".4.51" | ".4.53" | ".4.55") => Self::Lossy,
            Some(".4.57" | ".4.70") => Self::Lossless,
            Some(".4.90" | ".4.91" | ".4.201" | ".4.202" | ".4.203") => Self::Wavelet,
            _ => Self::Other,
        }
    }
}

/// Whether pixel data of a transfer syntax are not coded.
#[must_use]
pub(crate) fn is_native(syntax: &str) -> bool {
    Coding::of(syntax) == Coding::Native
}

/// How the samples of one frame lie once it is decoded.
#[must_use]
pub(super) fn decoded(syntax: &str, layout: &Layout) -> Layout {
    let coding = Coding::of(syntax);
    if coding == Coding::Native {
        return layout.clone();
    }
    let photometric = match (coding, layout.samples, layout.photometric.as_str()) {
        (Coding::Lossy, 3, _) | (Coding::Wavelet, 3, "YBR_ICT" | "YBR_RCT") => "RGB",
        // the halved colours of a coded frame are whole again
        (_, _, "YBR_FULL_422") => "YBR_FULL",
        (_, _, said) => said,
    };
    Layout {
        frames: 1,
        planar: false,
        photometric: photometric.to_owned(),
        ..layout.clone()
    }
}

/// Bits of one frame of native pixel data; none when there are too many.
#[must_use]
pub(crate) fn frame_bits(layout: &Layout) -> Option<u64> {
    // two pixels share their colour differences (PS3.3 C.7.6.3.1.2)
    let samples = match layout.photometric.as_str() {
        "YBR_FULL_422" | "YBR_PARTIAL_422" if layout.samples == 3 => 2,
        _ => u64::from(layout.samples),
    };
    let bits = [
        u64::from(layout.rows),
        u64::from(layout.columns),
        samples,
        u64::from(layout.allocated),
    ];
    let bits = bits.into_iter().try_fold(1_u64, u64::checked_mul)?;
    (bits > 0 && bits <= LONGEST_FRAME * 8).then_some(bits)
}

/// The native samples of one coded frame, little endian, as [`decoded`] says.
pub(super) fn decode(syntax: &str, layout: &Layout, coded: &[u8]) -> Result<Vec<u8>, Refusal> {
    let of = decoded(syntax, layout);
    let length = frame_bits(&of)
        .filter(|bits| bits % 8 == 0 && matches!(of.allocated, 8 | 16))
        .and_then(|bits| usize::try_from(bits / 8).ok())
        .ok_or(Refusal::Invalid)?;
    let bytes = match Coding::of(syntax) {
        Coding::Native => return Err(Refusal::Invalid),
        coding @ (Coding::Lossy | Coding::Lossless) => {
            jpeg(layout, coded, coding == Coding::Lossy)?
        }
        coding => {
            if coding == Coding::Wavelet && !is_whole_wavelet(layout, coded) {
                return Err(Refusal::Invalid);
            }
            registered(syntax, layout, coded, length)?
        }
    };
    match bytes.len() == length {
        true => Ok(bytes),
        false => Err(Refusal::Invalid),
    }
}

/// JPEG of 8 bits, and of up to 16 without loss. The object says what its colours are, unless the frame itself says more.
fn jpeg(layout: &Layout, coded: &[u8], lossy: bool) -> Result<Vec<u8>, Refusal> {
    let mut decoder = Decoder::new(Cursor::new(coded));
    decoder.set_max_decoding_buffer_size(usize::try_from(LONGEST_FRAME).unwrap_or(usize::MAX));
    let broken = |error| match error {
        jpeg_decoder::Error::Unsupported(_) => Refusal::Unsupported,
        _ => Refusal::Invalid,
    };
    decoder.read_info().map_err(broken)?;
    let info = decoder.info().ok_or(Refusal::Invalid)?;
    let size = (u32::from(info.height), u32::from(info.width));
    let samples = match info.pixel_format {
        PixelFormat::L8 | PixelFormat::L16 => 1,
        PixelFormat::RGB24 => 3,
        PixelFormat::CMYK32 => return Err(Refusal::Unsupported),
    };
    if size != (layout.rows, layout.columns) || samples != layout.samples {
        return Err(Refusal::Invalid);
    }
    if samples == 3 {
        let ybr = layout.photometric != "RGB" || says_ybr(coded);
        decoder.set_color_transform(match lossy && ybr {
            true => ColorTransform::YCbCr,
            false => ColorTransform::None,
        });
    }
    let bytes = decoder.decode().map_err(broken)?;
    Ok(match (info.pixel_format, layout.allocated) {
        // its samples come as this machine has them
        (PixelFormat::L16, _) => {
            let samples = bytes.as_chunks::<2>().0.iter();
            samples
                .flat_map(|sample| u16::from_ne_bytes(*sample).to_le_bytes())
                .collect()
        }
        (_, 16) => bytes.into_iter().flat_map(|byte| [byte, 0]).collect(),
        _ => bytes,
    })
}

/// Whether a JPEG frame of three components says by itself that they are YBR: by JFIF, by Adobe's segment, or as the colours have fewer
/// samples.
fn says_ybr(coded: &[u8]) -> bool {
    let mut rest = coded.get(2..).unwrap_or_default();
    let mut jfif = false;
    while let [0xFF, marker, high, low, ..] = *rest {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some(segment) = rest.get(4..2 + length) else {
            return jfif;
        };
        match marker {
            0xE0 if segment.starts_with(b"JFIF\0") => jfif = true,
            0xEE if segment.starts_with(b"Adobe") => return segment.get(11) != Some(&0),
            0xC0..=0xC2 => {
                let sampling = |at: usize| segment.get(at).copied().unwrap_or_default();
                return jfif || sampling(7) != sampling(10);
            }
            0xDA => return jfif,
            _ => {}
        }
        rest = rest.get(2 + length..).unwrap_or_default();
    }
    jfif
}

/// Whether a JPEG 2000 code stream is of the size that the object says, with no component of another (ISO/IEC 15444-1 A.5.1).
fn is_whole_wavelet(layout: &Layout, coded: &[u8]) -> bool {
    let Some([0xFF, 0x4F, 0xFF, 0x51]) = coded.first_chunk() else {
        return false;
    };
    let number = |at: usize| {
        let four = coded.get(at..).and_then(<[u8]>::first_chunk);
        four.map(|four| u32::from_be_bytes(*four))
    };
    let span = |end: usize, start: usize| number(end)?.checked_sub(number(start)?);
    let count = coded.get(40..).and_then(<[u8]>::first_chunk);
    let count = count.map(|two| u16::from_be_bytes(*two));
    let parts = coded.get(42..42 + 3 * usize::from(layout.samples));
    let even = |parts: &[u8]| {
        let parts = parts.as_chunks::<3>().0;
        parts
            .iter()
            .all(|[_, across, down]| (*across, *down) == (1, 1))
    };
    span(8, 16) == Some(layout.columns)
        && span(12, 20) == Some(layout.rows)
        && count == Some(layout.samples)
        && parts.is_some_and(even)
}

/// By the registry's decoder, into a buffer of `length` bytes: as long as its samples are.
fn registered(
    syntax: &str,
    layout: &Layout,
    coded: &[u8],
    length: usize,
) -> Result<Vec<u8>, Refusal> {
    let known = TransferSyntaxRegistry.get(syntax);
    let Some(Codec::EncapsulatedPixelData(Some(decoder), _)) = known.map(|known| known.codec())
    else {
        return Err(Refusal::Unsupported);
    };
    let small = |number: u32| u16::try_from(number).ok();
    let frame = Frame {
        syntax,
        layout,
        rows: small(layout.rows),
        columns: small(layout.columns),
        coded,
    };
    let mut out = Vec::new();
    out.try_reserve_exact(length).or(Err(Refusal::Invalid))?;
    match decoder.decode_frame(&frame, 0, &mut out) {
        Ok(()) => Ok(out),
        Err(_) => Err(Refusal::Invalid),
    }
}

/// One frame as the codecs want to see it.
struct Frame<'a> {
    syntax: &'a str,
    layout: &'a Layout,
    rows: Option<u16>,
    columns: Option<u16>,
    coded: &'a [u8],
}

impl PixelDataObject for Frame<'_> {
    fn transfer_syntax_uid(&self) -> &str {
        self.syntax
    }

    fn rows(&self) -> Option<u16> {
        self.rows
    }

    fn cols(&self) -> Option<u16> {
        self.columns
    }

    fn samples_per_pixel(&self) -> Option<u16> {
        Some(self.layout.samples)
    }

    fn bits_allocated(&self) -> Option<u16> {
        Some(self.layout.allocated)
    }

    fn bits_stored(&self) -> Option<u16> {
        Some(self.layout.stored)
    }

    fn photometric_interpretation(&self) -> Option<&str> {
        Some(&self.layout.photometric)
    }

    fn number_of_frames(&self) -> Option<u32> {
        Some(1)
    }

    fn number_of_fragments(&self) -> Option<u32> {
        Some(1)
    }

    fn fragment(&self, fragment: usize) -> Option<Cow<'_, [u8]>> {
        (fragment == 0).then_some(Cow::Borrowed(self.coded))
    }

    fn offset_table(&self) -> Option<Cow<'_, [u32]>> {
        Some(Cow::Borrowed(&[]))
    }

    fn raw_pixel_data(&self) -> Option<RawPixelData> {
        Some(RawPixelData {
            fragments: smallvec![self.coded.to_vec()],
            offset_table: smallvec![],
        })
    }
}
