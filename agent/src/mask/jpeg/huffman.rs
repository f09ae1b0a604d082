//! Huffman tables (ITU-T T.81 annex C): a code to its symbol, and a symbol to its code.

use super::JpegError;
use super::bits::{Reader, Writer};

/// Codes of each length from 1 to 16 of a table that has every category of a DC difference, of 8 and of 12 bits.
const ROOMY: [u8; 16] = [0, 1, 5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0];

/// One table.
#[derive(Clone)]
pub(super) struct Table {
    /// By length: the first code behind those of this length, where its symbols begin less its first code, both as 16 bits hold them.
    lengths: [Option<Run>; 16],
    symbols: Vec<u8>,
    codes: [Option<(u16, u8)>; 256],
}

/// The codes of one length.
#[derive(Clone, Copy)]
struct Run {
    first: u32,
    count: u32,
    symbol: usize,
}

impl Table {
    /// `counts` of codes by length from 1 to 16, and their symbols in the order of the codes.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Self, JpegError> {
        let mut table = Self {
            lengths: [None; 16],
            symbols: symbols.to_vec(),
            codes: [None; 256],
        };
        let (mut code, mut symbol) = (0_u32, 0_usize);
        for ((length, &count), run) in (1_u8..).zip(counts).zip(&mut table.lengths) {
            let count = u32::from(count);
            if code + count > 1 << length {
                return Err(JpegError::Broken("a Huffman table has too many codes"));
            }
            *run = (count > 0).then_some(Run {
                first: code,
                count,
                symbol,
            });
            for number in code..code + count {
                let Some(&known) = symbols.get(symbol) else {
                    return Err(JpegError::Broken("a Huffman table lacks symbols"));
                };
                let entry = table.codes.get_mut(usize::from(known));
                if let Some(free @ None) = entry {
                    *free = u16::try_from(number).ok().map(|number| (number, length));
                }
                symbol += 1;
            }
            code = (code + count) << 1;
        }
        Ok(table)
    }

    /// A table in which any DC difference has a code.
    pub(super) fn roomy() -> Result<Self, JpegError> {
        Self::new(&ROOMY, &(0..16).collect::<Vec<u8>>())
    }

    /// The next symbol.
    pub(super) fn read(&self, reader: &mut Reader<'_>) -> Result<u8, JpegError> {
        let ahead = u32::from(reader.look());
        for (length, run) in (1_u8..).zip(&self.lengths) {
            let Some(run) = run else { continue };
            let code = ahead >> (16 - length);
            let Some(past) = code.checked_sub(run.first) else {
                break;
            };
            if past < run.count {
                reader.take(length)?;
                let at = run.symbol + usize::try_from(past).unwrap_or(usize::MAX);
                return self.symbols.get(at).copied().ok_or(NO_CODE);
            }
        }
        Err(NO_CODE)
    }

    /// Writes a symbol; an error when it has no code.
    pub(super) fn write(&self, symbol: u8, writer: &mut Writer) -> Result<(), JpegError> {
        let code = self.codes.get(usize::from(symbol)).copied().flatten();
        let (code, length) = code.ok_or(JpegError::NoCode)?;
        writer.put(code, length);
        Ok(())
    }

    /// The table as a DHT segment says it, for DC differences, under a number.
    pub(super) fn segment(number: u8) -> Vec<u8> {
        // length 2 + 1 + 16 + 16 symbols
        let mut segment = vec![0xFF, super::DHT, 0, 35, number];
        segment.extend(ROOMY);
        segment.extend(0..16_u8);
        segment
    }
}

const NO_CODE: JpegError = JpegError::Broken("a code is in no Huffman table");
