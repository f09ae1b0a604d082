//! Native samples as a picture for a person: grey by a window, colours as RGB, never larger than asked for.

use image::imageops::{FilterType, resize};
use image::{GrayImage, RgbImage};

use super::coded::frame_bits;
use super::decode::{Refusal, View};
use super::native::Layout;

/// Values are counted in so many steps.
const STEPS: usize = 1 << 16;

/// A picture of 8 bits.
pub(super) enum Picture {
    Grey(GrayImage),
    Colour(RgbImage),
}

/// The samples of one frame.
struct Samples<'a> {
    layout: &'a Layout,
    bytes: &'a [u8],
    big: bool,
    /// Bits before the first, of single bits.
    skip: usize,
}

impl Samples<'_> {
    /// A sample as it is stored, without the bits around it.
    fn at(&self, index: usize) -> u32 {
        let of = |bytes: usize| self.bytes.get(index * bytes..).unwrap_or_default();
        let raw = match (self.layout.allocated, self.big) {
            (1, _) => {
                let bit = self.skip + index;
                let byte = self.bytes.get(bit / 8).copied().unwrap_or(0);
                return u32::from(byte >> (bit % 8) & 1);
            }
            (16, true) => of(2)
                .first_chunk()
                .map_or(0, |two| u16::from_be_bytes(*two).into()),
            (16, false) => of(2)
                .first_chunk()
                .map_or(0, |two| u16::from_le_bytes(*two).into()),
            (32, true) => of(4)
                .first_chunk()
                .map_or(0, |four| u32::from_be_bytes(*four)),
            (32, false) => of(4)
                .first_chunk()
                .map_or(0, |four| u32::from_le_bytes(*four)),
            _ => of(1).first().copied().map_or(0, u32::from),
        };
        let (stored, high) = (self.layout.stored, self.layout.high);
        let shift = (high + 1).saturating_sub(stored).min(31);
        let mask = u32::MAX.checked_shr(32_u32.saturating_sub(stored.into()));
        raw >> shift & mask.unwrap_or(0)
    }

    /// A sample with its sign.
    fn signed(&self, index: usize) -> i64 {
        let raw = i64::from(self.at(index));
        let half = 1_i64 << self.layout.stored.clamp(1, 32) >> 1;
        if self.layout.signed && raw >= half {
            raw - 2 * half
        } else {
            raw
        }
    }

    /// A sample of a colour, in 8 bits.
    fn eight(&self, index: usize) -> u8 {
        let sample = u64::from(self.at(index));
        let most = (1_u64 << self.layout.stored.clamp(1, 32)) - 1;
        u8::try_from(sample * 255 / most).unwrap_or(u8::MAX)
    }
}

/// Draws one frame of native samples. `palette` holds red, green and blue of each entry.
pub(super) fn draw(
    layout: &Layout,
    view: &View,
    palette: &[u8],
    bytes: &[u8],
) -> Result<Picture, Refusal> {
    let bits = frame_bits(layout).ok_or(Refusal::Invalid)?;
    let needed = (bits + u64::from(view.skip)).div_ceil(8);
    let good = matches!(layout.allocated, 1 | 8 | 16 | 32)
        && layout.stored > 0
        && layout.stored <= layout.allocated
        && layout.high < layout.allocated;
    if !good || needed > bytes.len() as u64 {
        return Err(Refusal::Invalid);
    }
    let samples = Samples {
        layout,
        bytes,
        big: view.big,
        skip: view.skip.into(),
    };
    let whole = match (layout.samples, layout.photometric.as_str()) {
        (1, "PALETTE COLOR") => colour(layout, |pixel| entry(&samples, view, palette, pixel))?,
        (1, _) => grey(&samples, view)?,
        (3, _) => {
            let faint = view.faint;
            colour(layout, |pixel| {
                let shade = rgb(&samples, pixel);
                if faint { shade.map(brighter) } else { shade }
            })?
        }
        _ => return Err(Refusal::Unsupported),
    };
    Ok(fitted(whole, view.longest))
}

fn count(layout: &Layout) -> usize {
    let pixels = u64::from(layout.rows) * u64::from(layout.columns);
    usize::try_from(pixels).unwrap_or(usize::MAX)
}

/// Grey: by the window, else over the whole range, else so that what differs is seen to differ.
fn grey(samples: &Samples<'_>, view: &View) -> Result<Picture, Refusal> {
    let layout = samples.layout;
    let values = || (0..count(layout)).map(|pixel| samples.signed(pixel));
    let (least, most) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
    let span = (most - least).max(1);
    let last = i64::try_from(STEPS).unwrap_or(i64::MAX) - 1;
    // no more steps than there are values
    let steps = span.min(last);
    let step = |value: i64| usize::try_from((value - least) * steps / span).unwrap_or(0);
    let shades: Vec<u8> = match (view.faint, view.window) {
        (true, _) => {
            let mut counted = vec![0_u64; STEPS];
            for value in values() {
                if let Some(count) = counted.get_mut(step(value)) {
                    *count += 1;
                }
            }
            equal(&counted)
        }
        (false, window) => (0..=steps)
            .map(|step| {
                let stored = shade_of(least + step * span / steps);
                match window {
                    Some([centre, width]) => {
                        // PS3.3 C.11.2.1.2.1, after the modality's own rescaling
                        let value = stored * view.slope + view.intercept;
                        let width = width.max(1.0);
                        let part = (value - (centre - 0.5)) / (width - 1.0).max(1e-9) + 0.5;
                        eight(part)
                    }
                    None => eight((stored - shade_of(least)) / shade_of(span)),
                }
            })
            .collect(),
    };
    let inverse = layout.photometric == "MONOCHROME1";
    let drawn = values()
        .map(|value| {
            let shade = shades.get(step(value)).copied().unwrap_or(0);
            if inverse { 255 - shade } else { shade }
        })
        .collect();
    let picture = GrayImage::from_raw(layout.columns, layout.rows, drawn);
    picture.map(Picture::Grey).ok_or(Refusal::Invalid)
}

/// Each shade for as many pixels as any other: nothing faint stays hidden.
fn equal(counted: &[u64]) -> Vec<u8> {
    let all: u64 = counted.iter().sum();
    let mut below = 0_u64;
    let shades = counted.iter().map(|count| {
        let middle = below + count / 2;
        below += count;
        u8::try_from(middle * 255 / all.max(1)).unwrap_or(u8::MAX)
    });
    shades.collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a stored value has at most 33 bits"
)]
fn shade_of(value: i64) -> f64 {
    value as f64
}

/// A part of one as a shade.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number between 0 and 255"
)]
fn eight(part: f64) -> u8 {
    (part.clamp(0.0, 1.0) * 255.0).round() as u8
}

fn colour(layout: &Layout, at: impl Fn(usize) -> [u8; 3]) -> Result<Picture, Refusal> {
    let drawn: Vec<u8> = (0..count(layout)).flat_map(at).collect();
    let picture = RgbImage::from_raw(layout.columns, layout.rows, drawn);
    picture.map(Picture::Colour).ok_or(Refusal::Invalid)
}

/// An entry of the palette (PS3.3 C.7.6.3.1.5).
fn entry(samples: &Samples<'_>, view: &View, palette: &[u8], pixel: usize) -> [u8; 3] {
    let entries = palette.as_chunks::<3>().0;
    let index = (samples.signed(pixel) - i64::from(view.first)).max(0);
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let found = entries.get(index).or_else(|| entries.last());
    found.copied().unwrap_or_default()
}

/// One pixel of three samples as red, green and blue.
fn rgb(samples: &Samples<'_>, pixel: usize) -> [u8; 3] {
    let layout = samples.layout;
    let three = |at: [usize; 3]| at.map(|index| samples.eight(index));
    let plane = count(layout);
    let parts = match layout.photometric.as_str() {
        // two pixels: Y, Y, and the colours of both (PS3.3 C.7.6.3.1.2)
        "YBR_FULL_422" | "YBR_PARTIAL_422" => {
            let pair = pixel / 2 * 4;
            three([pair + pixel % 2, pair + 2, pair + 3])
        }
        _ if layout.planar => three([pixel, plane + pixel, 2 * plane + pixel]),
        _ => three([3 * pixel, 3 * pixel + 1, 3 * pixel + 2]),
    };
    match layout.photometric.as_str() {
        "RGB" => parts,
        "YBR_PARTIAL_422" => {
            let [y, cb, cr] = parts.map(f64::from);
            full([(y - 16.0) * 255.0 / 219.0, wide(cb), wide(cr)])
        }
        _ => full(parts.map(f64::from)),
    }
}

fn wide(difference: f64) -> f64 {
    (difference - 128.0) * 255.0 / 224.0 + 128.0
}

/// PS3.3 C.7.6.3.1.2, the other way round.
fn full([y, cb, cr]: [f64; 3]) -> [u8; 3] {
    let (cb, cr) = (cb - 128.0, cr - 128.0);
    [
        y + 1.402 * cr,
        y - 0.344_136 * cb - 0.714_136 * cr,
        y + 1.772 * cb,
    ]
    .map(|shade| eight(shade / 255.0))
}

/// What is dark becomes visible.
fn brighter(shade: u8) -> u8 {
    eight((f64::from(shade) / 255.0).powf(0.4))
}

/// Smaller if need be, never larger, in its own proportions.
fn fitted(picture: Picture, longest: u32) -> Picture {
    let (width, height) = match &picture {
        Picture::Grey(grey) => grey.dimensions(),
        Picture::Colour(colour) => colour.dimensions(),
    };
    let (long, longest) = (width.max(height), longest.max(1));
    if long <= longest {
        return picture;
    }
    let scaled = |edge: u32| {
        let edge = u64::from(edge) * u64::from(longest) / u64::from(long);
        u32::try_from(edge).unwrap_or(1).max(1)
    };
    let (width, height, filter) = (scaled(width), scaled(height), FilterType::Triangle);
    match picture {
        Picture::Grey(grey) => Picture::Grey(resize(&grey, width, height, filter)),
        Picture::Colour(colour) => Picture::Colour(resize(&colour, width, height, filter)),
    }
}
