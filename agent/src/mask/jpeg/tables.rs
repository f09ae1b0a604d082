//! The tables of a JPEG frame by their numbers, as they stand where the walk has come to.

use super::huffman::Table;
use super::picture::{Choice, Picture};
use super::scan::Part;
use super::{Black, JpegError};

/// Tables by their numbers.
#[derive(Default)]
pub(super) struct Tables {
    /// The divisors of DC coefficients.
    pub(super) divisors: [Option<u16>; 4],
    /// DC differences as they are read.
    pub(super) read: [Option<Table>; 4],
    /// And as they are written.
    pub(super) write: [Option<Table>; 4],
    pub(super) ac: [Option<Table>; 4],
}

impl Tables {
    /// DQT (T.81 B.2.4.1): only the first divisor of each table matters here.
    pub(super) fn divisors(&mut self, mut segment: &[u8]) -> Result<(), JpegError> {
        const WRONG: JpegError = JpegError::Broken("DQT");
        while let Some((&head, rest)) = segment.split_first() {
            let (wide, number) = (head >> 4, head & 15);
            let length = match wide {
                0 => 64,
                1 => 128,
                _ => return Err(WRONG),
            };
            let (values, rest) = rest.split_at_checked(length).ok_or(WRONG)?;
            let first = match (wide, values) {
                (0, [first, ..]) => u16::from(*first),
                (_, [high, low, ..]) => u16::from_be_bytes([*high, *low]),
                _ => 0,
            };
            let place = self.divisors.get_mut(usize::from(number)).ok_or(WRONG)?;
            *place = Some(first).filter(|first| *first > 0);
            segment = rest;
        }
        Ok(())
    }

    /// DHT (T.81 B.2.4.2).
    pub(super) fn huffman(&mut self, mut segment: &[u8]) -> Result<(), JpegError> {
        const WRONG: JpegError = JpegError::Broken("DHT");
        while let Some((&head, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or(WRONG)?;
            let count = counts.iter().map(|count| usize::from(*count)).sum();
            let (symbols, rest) = rest.split_at_checked(count).ok_or(WRONG)?;
            let table = Table::new(counts, symbols)?;
            let number = usize::from(head & 15);
            let place = match head >> 4 {
                0 => {
                    if let Some(write) = self.write.get_mut(number) {
                        *write = Some(table.clone());
                    }
                    self.read.get_mut(number)
                }
                1 => self.ac.get_mut(number),
                _ => None,
            };
            *place.ok_or(WRONG)? = Some(table);
            segment = rest;
        }
        Ok(())
    }

    /// From now on DC differences of this table are written with one that has a code for each; answers its segment.
    pub(super) fn make_room(&mut self, number: u8) -> Result<Vec<u8>, JpegError> {
        if let Some(place) = self.write.get_mut(usize::from(number)) {
            *place = Some(Table::roomy()?);
        }
        Ok(Table::segment(number))
    }

    pub(super) fn part<'a>(
        &'a self,
        picture: &Picture,
        choice: &Choice,
        black: Black,
        together: bool,
    ) -> Result<Part<'a>, JpegError> {
        const MISSING: JpegError = JpegError::Broken("a table is missing");
        let component = picture.components.get(choice.component).ok_or(MISSING)?;
        let divisor = self.divisors.get(usize::from(component.divisor));
        let divisor = divisor.copied().flatten().ok_or(MISSING)?;
        let table = |from: &'a [Option<Table>; 4], number: u8| {
            from.get(usize::from(number))
                .and_then(Option::as_ref)
                .ok_or(MISSING)
        };
        // a DC coefficient is eight times the mean, less half of the range; past the end of the range it is cut off
        let half = 1_i64 << (picture.precision - 1);
        let steps = |mean: i64| (mean * 8 + i64::from(divisor) - 1) / i64::from(divisor);
        let black = match black {
            Black::Ybr if choice.component > 0 => 0,
            Black::Least | Black::Ybr => -steps(half),
            Black::Most => steps(half - 1),
        };
        Ok(Part {
            across: if together { component.across } else { 1 },
            down: if together { component.down } else { 1 },
            black,
            read: table(&self.read, choice.dc)?,
            write: table(&self.write, choice.dc)?,
            ac: table(&self.ac, choice.ac)?,
            was: 0,
            is: 0,
        })
    }
}
