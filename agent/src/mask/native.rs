//! Pixels that are not coded, blacked in place as their bytes pass by: of any length, in the memory of a few numbers.

use serde::{Deserialize, Serialize};

use super::Rectangle;

/// More rectangles nobody draws.
pub const RECTANGLES: usize = 32;

/// How the samples of native pixel data lie (PS3.5 8.1, PS3.3 C.7.6.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// (0028,0010).
    pub rows: u32,
    /// (0028,0011).
    pub columns: u32,
    /// (0028,0008).
    pub frames: u64,
    /// (0028,0002).
    pub samples: u16,
    /// (0028,0006) is 1: one plane after the other.
    pub planar: bool,
    /// (0028,0100).
    pub allocated: u16,
    /// (0028,0101).
    pub stored: u16,
    /// (0028,0102).
    pub high: u16,
    /// (0028,0103) is 1.
    pub signed: bool,
    /// (0028,0004).
    pub photometric: String,
    /// Of a palette: the index of its darkest colour.
    pub darkest: u16,
}

/// Columns `from..to` of a band of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Band {
    top: u64,
    bottom: u64,
    columns: Vec<(u64, u64)>,
}

/// What blacks native pixel data. Cheap to keep: it holds the rectangles, not the pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Black {
    /// Bits of one pixel in one row of one plane.
    pixel: u64,
    row: u64,
    sheet: u64,
    /// What black is, per plane of a frame; of single bits: one byte, 0 or 1.
    patterns: Vec<Vec<u8>>,
    bands: Vec<Band>,
    /// Bits of all of it.
    whole: u64,
}

impl Black {
    /// For pixel data of this layout; none where what is black, or where a pixel lies, is not known.
    #[must_use]
    pub fn new(layout: &Layout, rectangles: &[Rectangle]) -> Option<Self> {
        let (rows, columns) = (u64::from(layout.rows), u64::from(layout.columns));
        let bits = u64::from(layout.allocated);
        let known = matches!(bits, 1 | 8 | 16 | 32) && layout.frames > 0 && rows * columns > 0;
        if !known || rectangles.len() > RECTANGLES {
            return None;
        }
        // two pixels share their colour differences (PS3.3 C.7.6.3.1.2)
        let paired = matches!(
            layout.photometric.as_str(),
            "YBR_FULL_422" | "YBR_PARTIAL_422"
        );
        let patterns = patterns(layout)?;
        let (pixel, planes) = match layout.samples {
            1 => (bits, 1),
            3 if paired && bits == 8 && columns.is_multiple_of(2) && !layout.planar => (16, 1),
            3 if paired || bits == 1 => return None,
            3 if layout.planar => (bits, 3),
            3 => (bits * 3, 1),
            _ => return None,
        };
        let row = pixel.checked_mul(columns)?;
        let sheet = row.checked_mul(rows)?;
        let whole = sheet.checked_mul(planes)?.checked_mul(layout.frames)?;
        Some(Self {
            pixel,
            row,
            sheet,
            patterns,
            bands: bands(layout, rectangles, paired),
            whole,
        })
    }

    /// Whether anything is black.
    #[must_use]
    pub fn hides(&self) -> bool {
        !self.bands.is_empty()
    }

    /// How many bytes the pixel data have, without padding.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.whole.div_ceil(8)
    }

    /// Blacks a piece of the pixel data that begins at byte `at`.
    pub fn apply(&self, at: u64, bytes: &mut [u8]) {
        let from = at.saturating_mul(8);
        let to = from.saturating_add(bytes.len() as u64 * 8).min(self.whole);
        if from >= to || self.bands.is_empty() {
            return;
        }
        for sheet in from / self.sheet..=(to - 1) / self.sheet {
            let planes = self.patterns.len() as u64;
            let plane = usize::try_from(sheet % planes).unwrap_or(0);
            let Some(pattern) = self.patterns.get(plane) else {
                return;
            };
            let start = sheet * self.sheet;
            let first = from.saturating_sub(start) / self.row;
            let last = (to - start).min(self.sheet).div_ceil(self.row);
            for band in &self.bands {
                for row in first.max(band.top)..last.min(band.bottom) {
                    for (left, right) in &band.columns {
                        let begin = start + row * self.row;
                        let run = (begin + left * self.pixel, begin + right * self.pixel);
                        self.fill(run, pattern, (from, to), bytes);
                    }
                }
            }
        }
    }

    /// Fills a run of bits as far as it lies in a piece.
    fn fill(&self, run: (u64, u64), pattern: &[u8], piece: (u64, u64), bytes: &mut [u8]) {
        let (from, to) = (run.0.max(piece.0), run.1.min(piece.1));
        if from >= to {
            return;
        }
        let place = |bit: u64| usize::try_from((bit - piece.0) / 8).unwrap_or(usize::MAX);
        if self.pixel == 1 {
            let black = pattern.first().copied().unwrap_or(0) & 1;
            for bit in from..to {
                if let Some(byte) = bytes.get_mut(place(bit)) {
                    // PS3.5 8.2: the first pixel is the least significant bit
                    let shift = bit % 8;
                    *byte = (*byte & !(1 << shift)) | (black << shift);
                }
            }
            return;
        }
        let phase = usize::try_from((from - run.0) / 8).unwrap_or(0);
        let colours = pattern.iter().cycle().skip(phase % pattern.len().max(1));
        if let Some(bytes) = bytes.get_mut(place(from)..place(to)) {
            for (byte, colour) in bytes.iter_mut().zip(colours) {
                *byte = *colour;
            }
        }
    }
}

/// Rows between the edges of rectangles, with the columns that are black there.
fn bands(layout: &Layout, rectangles: &[Rectangle], paired: bool) -> Vec<Band> {
    let within: Vec<Rectangle> = rectangles
        .iter()
        .map(|one| one.within(layout.rows, layout.columns))
        .filter(|one| !one.is_empty())
        .collect();
    let mut edges: Vec<u32> = within.iter().flat_map(|it| [it.top, it.bottom]).collect();
    edges.sort_unstable();
    edges.dedup();
    let pairs = edges.iter().zip(edges.iter().skip(1));
    let bands = pairs.map(|(top, bottom)| {
        let inside = within
            .iter()
            .filter(|it| it.top <= *top && it.bottom >= *bottom);
        let mut columns: Vec<(u64, u64)> = inside
            .map(|it| (u64::from(it.left), u64::from(it.right)))
            .map(|(left, right)| match paired {
                true => (left & !1, right.next_multiple_of(2)),
                false => (left, right),
            })
            .collect();
        columns.sort_unstable();
        Band {
            top: u64::from(*top),
            bottom: u64::from(*bottom),
            columns,
        }
    });
    bands.filter(|band| !band.columns.is_empty()).collect()
}

/// What black is: one pattern for each plane of a frame.
fn patterns(layout: &Layout) -> Option<Vec<Vec<u8>>> {
    let sample = |value: u64| {
        let bytes = usize::from(layout.allocated.div_ceil(8));
        value.to_le_bytes().into_iter().take(bytes).collect()
    };
    let colour = |samples: [u64; 3]| -> Vec<Vec<u8>> {
        let planes = samples.map(sample);
        match layout.planar {
            true => planes.to_vec(),
            false => vec![planes.concat()],
        }
    };
    let middle = 1_u64.checked_shl(u32::from(layout.stored.checked_sub(1)?))?;
    match (layout.photometric.as_str(), layout.samples) {
        ("MONOCHROME1" | "MONOCHROME2", 1) => Some(vec![sample(darkest(layout)?)]),
        ("PALETTE COLOR", 1) => Some(vec![sample(u64::from(layout.darkest))]),
        ("RGB", 3) => Some(colour([0, 0, 0])),
        ("YBR_FULL" | "YBR_ICT" | "YBR_RCT", 3) => Some(colour([0, middle, middle])),
        ("YBR_FULL_422", 3) => Some(vec![vec![0, 0, 128, 128]]),
        ("YBR_PARTIAL_422", 3) => Some(vec![vec![16, 16, 128, 128]]),
        _ => None,
    }
}

/// The darkest grey of a monochrome image, in its cell.
fn darkest(layout: &Layout) -> Option<u64> {
    let (stored, high) = (u32::from(layout.stored), u32::from(layout.high));
    let shift = (high + 1).checked_sub(stored)?;
    if stored == 0 || high >= u32::from(layout.allocated) {
        return None;
    }
    let all = u64::MAX >> 64_u32.checked_sub(stored)?;
    let half = all >> 1;
    let inverse = layout.photometric == "MONOCHROME1";
    let value = match (inverse, layout.signed) {
        (false, false) => 0,
        (true, false) => all,
        (true, true) => half,
        // the lowest of two's complement, with its sign carried into the bits above
        (false, true) => !half,
    };
    let cell = u64::MAX >> 64_u32.checked_sub(u32::from(layout.allocated))?;
    Some((value << shift) & cell)
}

#[cfg(test)]
mod tests;
