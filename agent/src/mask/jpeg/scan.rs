//! One scan of a frame: every block is read and written again, black where its place is masked.

use super::JpegError;
use super::bits::{Reader, Writer};
use super::huffman::Table;
use crate::mask::Rectangle;

const TOO_FAR: JpegError = JpegError::Broken("a coefficient lies outside its block");
/// A block's end (T.81 F.1.2.2).
const END: u8 = 0x00;
/// Sixteen zeros.
const ZEROS: u8 = 0xF0;

/// One component of a scan.
pub(super) struct Part<'a> {
    /// Blocks across and down in a unit of several components.
    pub(super) across: u32,
    /// See `across`.
    pub(super) down: u32,
    /// The DC coefficient of a black block, as it is quantised.
    pub(super) black: i64,
    /// DC differences as they are read.
    pub(super) read: &'a Table,
    /// And as they are written.
    pub(super) write: &'a Table,
    /// AC coefficients.
    pub(super) ac: &'a Table,
    /// The DC coefficient of the block before, as it was read.
    pub(super) was: i64,
    /// And as it was written.
    pub(super) is: i64,
}

/// Where the units of a scan lie.
pub(super) struct Grid {
    /// Units across the scan and down.
    pub(super) across: u32,
    pub(super) down: u32,
    /// What one unit covers of the frame, in pixels.
    pub(super) width: u32,
    pub(super) height: u32,
    /// So many units share a place: what is masked is the whole place.
    pub(super) shared: (u32, u32),
    /// Units between restart markers; 0 when there are none.
    pub(super) restart: u32,
}

/// Writes the scan that begins at `at`; answers it with the place of the marker behind it.
pub(super) fn rewrite(
    bytes: &[u8],
    at: usize,
    grid: &Grid,
    parts: &mut [Part<'_>],
    rectangles: &[Rectangle],
) -> Result<(Vec<u8>, usize), JpegError> {
    let (mut reader, mut writer) = (Reader::new(bytes, at), Writer::new());
    let (mut until_restart, mut restarts) = (grid.restart, 0_u8);
    for row in 0..grid.down {
        let touched = grid.touched(row, rectangles);
        for column in 0..grid.across {
            if grid.restart > 0 && until_restart == 0 {
                reader = restart(bytes, reader.end(), restarts)?;
                writer.marker(super::RST0 + restarts);
                restarts = (restarts + 1) % 8;
                until_restart = grid.restart;
                for part in &mut *parts {
                    (part.was, part.is) = (0, 0);
                }
            }
            until_restart = until_restart.saturating_sub(1);
            let masked = grid.masked(column, &touched);
            for part in &mut *parts {
                for _ in 0..part.across * part.down {
                    part.block(&mut reader, &mut writer, masked)?;
                }
            }
        }
    }
    Ok((writer.finish(), reader.end()))
}

fn restart(bytes: &[u8], at: usize, number: u8) -> Result<Reader<'_>, JpegError> {
    let rest = bytes.get(at..).unwrap_or_default();
    let fill = rest.iter().take_while(|byte| **byte == 0xFF).count();
    if rest.get(fill) != Some(&(super::RST0 + number)) {
        return Err(JpegError::Broken("a restart marker is missing"));
    }
    Ok(Reader::new(bytes, at + fill + 1))
}

impl Grid {
    /// The rectangles that a row of units touches, as half-open ranges of pixels across.
    fn touched(&self, row: u32, rectangles: &[Rectangle]) -> Vec<(u32, u32)> {
        let top = (row / self.shared.1).saturating_mul(self.height);
        let bottom = top.saturating_add(self.height);
        let meets = |one: &&Rectangle| {
            one.top < bottom && one.bottom > top && one.top < one.bottom && one.left < one.right
        };
        let met = rectangles.iter().filter(meets);
        met.map(|one| (one.left, one.right)).collect()
    }

    fn masked(&self, column: u32, touched: &[(u32, u32)]) -> bool {
        let left = (column / self.shared.0).saturating_mul(self.width);
        let right = left.saturating_add(self.width);
        touched.iter().any(|(from, to)| *from < right && *to > left)
    }
}

impl Part<'_> {
    /// One block of 8 x 8 coefficients. What is not masked keeps each of them; only the difference of the first is taken anew.
    fn block(
        &mut self,
        reader: &mut Reader<'_>,
        writer: &mut Writer,
        masked: bool,
    ) -> Result<(), JpegError> {
        self.was += difference(self.read, reader)?;
        let value = if masked { self.black } else { self.was };
        put_difference(self.write, value - self.is, writer)?;
        self.is = value;
        if masked {
            self.ac.write(END, writer)?;
        }
        let mut place = 1_u8;
        while place < 64 {
            let symbol = self.ac.read(reader)?;
            if !masked {
                self.ac.write(symbol, writer)?;
            }
            let (zeros, size) = (symbol >> 4, symbol & 15);
            match symbol {
                END => break,
                ZEROS => place += 16,
                _ if size == 0 => return Err(TOO_FAR),
                _ => {
                    place += zeros + 1;
                    let bits = reader.take(size)?;
                    if !masked {
                        writer.put(bits, size);
                    }
                }
            }
            if place > 64 {
                return Err(TOO_FAR);
            }
        }
        Ok(())
    }
}

/// A DC difference (T.81 F.2.2.1).
fn difference(table: &Table, reader: &mut Reader<'_>) -> Result<i64, JpegError> {
    let size = table.read(reader)?;
    if size > 15 {
        return Err(JpegError::Broken("a coefficient is too large"));
    }
    let bits = i64::from(reader.take(size)?);
    let half = 1_i64 << size >> 1;
    Ok(if bits < half {
        bits + 1 - (1_i64 << size)
    } else {
        bits
    })
}

/// Writes a DC difference (T.81 F.1.2.1).
fn put_difference(table: &Table, value: i64, writer: &mut Writer) -> Result<(), JpegError> {
    let size = u8::try_from(i64::BITS - value.unsigned_abs().leading_zeros()).unwrap_or(u8::MAX);
    if size > 15 {
        return Err(JpegError::Broken("a coefficient is too large"));
    }
    let bits = if value < 0 {
        value + (1_i64 << size) - 1
    } else {
        value
    };
    table.write(size, writer)?;
    writer.put(u16::try_from(bits).unwrap_or(0), size);
    Ok(())
}
