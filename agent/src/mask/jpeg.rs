//! Blacks out rectangles of a JPEG frame without decoding it (P6): blocks that touch one become black, every other coefficient stays as
//! it was (ITU-T T.81, sequential Huffman, 8 and 12 bits, one or three components).
//!
//! What may carry words leaves with the picture: comments, application data but for what says the colours, whatever stands behind the
//! data. Where the frame's own Huffman tables have no code for a black block's brightness, a table that has takes their place.

mod bits;
mod huffman;
mod picture;
mod scan;
mod tables;
#[cfg(test)]
mod tests;

use thiserror::Error;

use super::Rectangle;
use super::native::Layout;
use picture::Picture;
use tables::Tables;

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DHT: u8 = 0xC4;
const DQT: u8 = 0xDB;
const DRI: u8 = 0xDD;
const RST0: u8 = 0xD0;
const APP0: u8 = 0xE0;
const APP14: u8 = 0xEE;
const COM: u8 = 0xFE;

/// Why a frame was not blacked out.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum JpegError {
    /// It is coded in a way that this does not read.
    #[error("a frame is not sequential JPEG of one or three components")]
    Unsupported,
    /// It does not hold together.
    #[error("a JPEG frame is broken: {0}")]
    Broken(&'static str),
    /// Its tables have no code for what has to be written.
    #[error("a JPEG frame has no code for a black block")]
    NoCode,
}

/// What black is in the samples of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Black {
    /// Every sample at its least: MONOCHROME2, RGB.
    Least,
    /// Every sample at its most: MONOCHROME1.
    Most,
    /// The first component at its least, the two of the colour in their middle: YBR_FULL and its kin.
    Ybr,
}

impl Black {
    /// By (0028,0004).
    fn of(photometric: &str) -> Self {
        match photometric {
            "MONOCHROME1" => Self::Most,
            ybr if ybr.starts_with("YBR") => Self::Ybr,
            _ => Self::Least,
        }
    }
}

/// A frame with `rectangles` blacked out, each widened to the blocks that it touches. What the frame itself says of its colours goes
/// before what its object says.
///
/// # Errors
/// When the frame is not sequential JPEG, is broken, or is of another size than the object says: what nobody has looked at may stand in
/// the rest of it. Nothing of it is to be sent then.
pub fn black_out(
    frame: &[u8],
    rectangles: &[Rectangle],
    said: &Layout,
) -> Result<Vec<u8>, JpegError> {
    let mut walk = Walk {
        bytes: frame,
        at: 0,
        out: Vec::with_capacity(frame.len()),
        said,
        colours: None,
        jfif: false,
        tables: Tables::default(),
        restart: 0,
        picture: None,
    };
    if walk.marker()? != SOI {
        return Err(JpegError::Broken("it does not begin as JPEG"));
    }
    walk.out.extend([0xFF, SOI]);
    while walk.step(rectangles)? {}
    walk.out.extend([0xFF, EOI]);
    Ok(walk.out)
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    out: Vec<u8>,
    said: &'a Layout,
    /// What an Adobe segment says: 0 is RGB.
    colours: Option<u8>,
    jfif: bool,
    tables: Tables,
    restart: u32,
    picture: Option<Picture>,
}

impl<'a> Walk<'a> {
    fn marker(&mut self) -> Result<u8, JpegError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let fill = rest.iter().take_while(|byte| **byte == 0xFF).count();
        match rest.get(fill) {
            Some(marker) if fill > 0 => {
                self.at += fill + 1;
                Ok(*marker)
            }
            _ => Err(JpegError::Broken("a marker is missing")),
        }
    }

    fn segment(&mut self) -> Result<&'a [u8], JpegError> {
        const ENDS: JpegError = JpegError::Broken("a segment ends early");
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk().ok_or(ENDS)?));
        let segment = rest.get(2..length).ok_or(ENDS)?;
        self.at += length;
        Ok(segment)
    }

    /// One marker and what belongs to it; false at the end.
    fn step(&mut self, rectangles: &[Rectangle]) -> Result<bool, JpegError> {
        let whole = self.picture.as_ref().is_some_and(Picture::is_whole);
        if whole && self.at >= self.bytes.len() {
            return Ok(false); // the end was left out
        }
        match self.marker()? {
            EOI if whole => return Ok(false),
            EOI => return Err(JpegError::Broken("it ends before its data")),
            APP0 => self.jfif()?,
            APP14 => self.adobe()?,
            COM | 0xE1..=0xEF => {
                self.segment()?;
            }
            DQT => {
                let segment = self.segment()?;
                self.tables.divisors(segment)?;
                self.copy(DQT, segment);
            }
            DHT => {
                let segment = self.segment()?;
                self.tables.huffman(segment)?;
                self.copy(DHT, segment);
            }
            DRI => {
                let segment = self.segment()?;
                let [high, low] = *segment else {
                    return Err(JpegError::Broken("DRI"));
                };
                self.restart = u16::from_be_bytes([high, low]).into();
                self.copy(DRI, segment);
            }
            marker @ (0xC0 | 0xC1) if self.picture.is_none() => {
                let segment = self.segment()?;
                let picture = Picture::read(segment)?;
                if (picture.height, picture.width) != (self.said.rows, self.said.columns) {
                    return Err(JpegError::Broken(
                        "it is of another size than its object says",
                    ));
                }
                self.picture = Some(picture);
                self.copy(marker, segment);
            }
            SOS => self.scan(rectangles)?,
            _ => return Err(JpegError::Unsupported),
        }
        Ok(true)
    }

    fn copy(&mut self, marker: u8, segment: &[u8]) {
        let length = u16::try_from(segment.len() + 2).unwrap_or(u16::MAX);
        self.out.extend([0xFF, marker]);
        self.out.extend(length.to_be_bytes());
        self.out.extend(segment);
    }

    /// JFIF says that the colours are YBR, and the shape of a pixel; no more of it is kept.
    fn jfif(&mut self) -> Result<(), JpegError> {
        let segment = self.segment()?;
        if let (true, Some(shape), false) = (
            segment.starts_with(b"JFIF\0"),
            segment.get(7..12),
            self.jfif,
        ) {
            let kept = [b"JFIF\0\x01\x01", shape, &[0, 0]].concat();
            self.copy(APP0, &kept);
            self.jfif = true;
        }
        Ok(())
    }

    /// Adobe's segment says whether three components are RGB; no more of it is kept.
    fn adobe(&mut self) -> Result<(), JpegError> {
        let segment = self.segment()?;
        if let (true, Some(&colours @ 0..=2), None) =
            (segment.starts_with(b"Adobe"), segment.get(11), self.colours)
        {
            self.copy(APP14, &[b"Adobe\0\x64\0\0\0\0", &[colours][..]].concat());
            self.colours = Some(colours);
        }
        Ok(())
    }

    fn scan(&mut self, rectangles: &[Rectangle]) -> Result<(), JpegError> {
        let header = self.segment()?;
        let Some(picture) = &mut self.picture else {
            return Err(JpegError::Broken("data stand before their description"));
        };
        let chosen = picture.chosen(header)?;
        let grid = picture.grid(&chosen, self.restart);
        let black = picture.black(Black::of(&self.said.photometric), self.colours, self.jfif);
        let mut roomy = false;
        let (scan, at) = loop {
            let mut parts = Vec::with_capacity(chosen.len());
            for choice in &chosen {
                parts.push(self.tables.part(picture, choice, black, chosen.len() > 1)?);
            }
            match scan::rewrite(self.bytes, self.at, &grid, &mut parts, rectangles) {
                Err(JpegError::NoCode) if !roomy => {
                    drop(parts);
                    roomy = true;
                    for choice in &chosen {
                        self.out.extend(self.tables.make_room(choice.dc)?);
                    }
                }
                done => break done?,
            }
        };
        for choice in &chosen {
            if let Some(component) = picture.components.get_mut(choice.component) {
                component.seen = true;
            }
        }
        let named = header.get(..1 + 2 * chosen.len()).unwrap_or_default();
        self.copy(SOS, &[named, &[0, 63, 0]].concat());
        self.out.extend(scan);
        self.at = at;
        Ok(())
    }
}
