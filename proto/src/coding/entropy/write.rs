//! Symbols to bits.

use super::{
    BLOCK, CONTEXTS, ENTRIES, FLAGS, LANES, LITERAL, PLAIN, STATE_BITS, STATES, STILL, TOKENS,
    class, spread,
};

/// Steps of all contexts, as a power of two that indices are masked to.
const STEPS: usize = (CONTEXTS * TOKENS).next_power_of_two();
/// A symbol and the bits of its value take at most so many bits, in bytes.
const SYMBOL_BYTES: usize = 3;

/// How often each token stands in each context.
#[derive(Clone, Debug)]
pub(in crate::coding) struct Counts([[u32; CONTEXTS * TOKENS]; LANES]);

impl Counts {
    pub(in crate::coding) fn new() -> Self {
        Self([[0; CONTEXTS * TOKENS]; LANES])
    }

    /// Counts symbols. Neighbours are often alike, and one counter would wait for itself: each of four has its own.
    #[inline]
    pub(in crate::coding) fn add(&mut self, symbols: &[u32]) {
        let (fours, rest) = symbols.as_chunks::<LANES>();
        for four in fours {
            for (counts, symbol) in self.0.iter_mut().zip(four) {
                if let Some(count) = counts.get_mut(place(*symbol)) {
                    *count += 1;
                }
            }
        }
        for (counts, symbol) in self.0.iter_mut().zip(rest) {
            if let Some(count) = counts.get_mut(place(*symbol)) {
                *count += 1;
            }
        }
    }

    #[inline]
    pub(in crate::coding) fn add_flag(&mut self, flag: u8) {
        self.add(&[flag_symbol(flag)]);
    }

    fn of(&self, context: usize) -> [u64; TOKENS] {
        let mut out = [0; TOKENS];
        for counts in &self.0 {
            let counts = counts.iter().skip(context * TOKENS);
            for (sum, count) in out.iter_mut().zip(counts) {
                *sum += u64::from(*count);
            }
        }
        out
    }
}

#[inline(always)]
fn place(symbol: u32) -> usize {
    (symbol & 0xFFFF) as usize
}

#[inline]
fn flag_symbol(flag: u8) -> u32 {
    u32::try_from(FLAGS * TOKENS).unwrap_or_default() + u32::from(flag)
}

/// What is written for a value in a context: its place among all tokens in the lower half, the bits behind the token in the upper.
#[inline]
pub(in crate::coding) fn symbol(context: u16, value: u16) -> u32 {
    // a float of 32 bits has the highest bit as its exponent and the two below first in its fraction; a compiler does four at once
    let float = f32::from(value).to_bits();
    let class = (float >> 21).wrapping_sub(508);
    let least = (f32::from_bits(float & 0xFFE0_0000) + 8_388_608.0).to_bits() & 0x7F_FFFF;
    let value = u32::from(value);
    let token = if value < LITERAL {
        value
    } else {
        class | value.wrapping_sub(least) << 16
    };
    u32::from(context) * (TOKENS as u32) + token
}

/// Shares of [`STATES`], at least one for each token that occurs; all zero when none does.
fn shares(counts: &[u64; TOKENS]) -> [u16; TOKENS] {
    let mut shares = [0_u16; TOKENS];
    let total: u64 = counts.iter().sum();
    let mut sum = 0;
    for (share, count) in shares.iter_mut().zip(counts) {
        if *count > 0 {
            let exact = (count * STATES as u64 * 2 + total) / (2 * total);
            *share = u16::try_from(exact.max(1)).unwrap_or(1);
            sum += usize::from(*share);
        }
    }
    // the most frequent give and take what rounding has left over
    while total > 0 && sum != STATES {
        let Some(most) = shares.iter_mut().max() else {
            break;
        };
        if sum > STATES {
            let cut = (sum - STATES).min(usize::from(*most / 2).max(1));
            *most -= u16::try_from(cut).unwrap_or_default();
            sum -= cut;
        } else {
            *most += u16::try_from(STATES - sum).unwrap_or_default();
            sum = STATES;
        }
    }
    shares
}

fn describe(shares: &[u16; TOKENS], out: &mut Vec<u8>) {
    let present = shares.iter().enumerate().filter(|(_, share)| **share > 0);
    let set = present
        .clone()
        .fold(0_u64, |set, (token, _)| set | 1 << token);
    let bytes = u64::BITS.div_ceil(8) - set.leading_zeros() / 8;
    out.extend(u8::try_from(bytes));
    out.extend(set.to_le_bytes().iter().take(bytes as usize));
    for (_, share) in present {
        let less = share - 1;
        let low = (less & 0x7F) as u8;
        if less < 0x80 {
            out.push(low);
        } else {
            out.extend_from_slice(&[low | 0x80, (less >> 7) as u8]);
        }
    }
}

/// Writes. Keeps its memory from one use to the next.
#[derive(Debug)]
pub(in crate::coding) struct Writer {
    tables: Box<Steps>,
    bits: Vec<u8>,
}

/// For each symbol what makes the number of bits out of a state, and what leads to the next state with, in its upper half, how many
/// bits the value has; then the next states.
#[derive(Debug)]
struct Steps {
    steps: [(u32, u32); STEPS],
    next: [u16; ENTRIES],
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            tables: Box::new(Steps {
                steps: [(0, 0); STEPS],
                next: [0; ENTRIES],
            }),
            bits: Vec::new(),
        }
    }
}

impl Writer {
    /// Appends tables, states and bits of rows of so many symbols; `flags` has those of each row's whole blocks.
    pub(in crate::coding) fn write(
        &mut self,
        counts: &Counts,
        symbols: &[u32],
        flags: &[u8],
        row: usize,
        out: &mut Vec<u8>,
    ) {
        for context in 0..CONTEXTS {
            let shares = shares(&counts.of(context));
            describe(&shares, out);
            self.table(context, &shares);
        }
        let most = (symbols.len() + flags.len()) * SYMBOL_BYTES + 16;
        if self.bits.len() < most {
            self.bits.resize(most, 0);
        }
        let mut pen = Pen::new(&self.tables, &mut self.bits);
        pen.rows(symbols, flags, row);
        let (states, bits) = pen.end();
        for state in states {
            out.extend_from_slice(&(state as u16).to_le_bytes());
        }
        out.push((bits % 8) as u8);
        out.extend(self.bits.iter().take(bits.div_ceil(8)));
    }

    fn table(&mut self, context: usize, shares: &[u16; TOKENS]) {
        let mut next = [0_usize; TOKENS];
        let mut begin = context * STATES;
        let steps = self.tables.steps.iter_mut().skip(context * TOKENS);
        for (((token, share), next), step) in (0..).zip(shares).zip(&mut next).zip(steps) {
            *next = begin;
            let share = u32::from(*share);
            if share > 0 {
                // a state of `share` to twice that is left after so many bits, or one less
                let most = match share {
                    1 => STATE_BITS,
                    share => STATE_BITS - (share - 1).ilog2(),
                };
                let delta = (most << 16).wrapping_sub(share << most);
                let find = (begin as u32).wrapping_sub(share) & 0xFFFF;
                *step = (delta, find | class(token).0 << 16);
            }
            begin += share as usize;
        }
        for (state, token) in (0..).zip(spread(shares)) {
            if let Some(at) = next.get_mut(usize::from(token)) {
                if let Some(entry) = self.tables.next.get_mut(*at % ENTRIES) {
                    *entry = STATES as u16 + state;
                }
                *at += 1;
            }
        }
    }
}

/// Where bits are written.
struct Pen<'a> {
    tables: &'a Steps,
    bits: &'a mut [u8],
    held: u64,
    count: u32,
    at: usize,
    states: [u32; LANES],
}

impl<'a> Pen<'a> {
    fn new(tables: &'a Steps, bits: &'a mut [u8]) -> Self {
        Self {
            tables,
            bits,
            held: 0,
            count: 0,
            at: 0,
            states: [STATES as u32; LANES],
        }
    }

    #[inline(always)]
    fn put(&mut self, state: &mut u32, symbol: u32) {
        let (delta, find) = self.tables.steps[symbol as usize % STEPS];
        let shift = state.wrapping_add(delta) >> 16;
        let high = state.wrapping_shr(shift);
        let low = state.wrapping_sub(high.wrapping_shl(shift));
        let extra = find >> 16;
        self.held |= u64::from(symbol >> 16 | low.wrapping_shl(extra)).wrapping_shl(self.count);
        self.count += shift + extra;
        let next = high.wrapping_add(find & 0xFFFF) & 0xFFFF;
        *state = u32::from(self.tables.next[next as usize % ENTRIES]);
    }

    /// Fewer than eight bits are held from now on.
    #[inline(always)]
    fn flush(&mut self) {
        if let Some(there) = self.bits.get_mut(self.at..self.at + 8) {
            there.copy_from_slice(&self.held.to_le_bytes());
        }
        self.at += (self.count >> 3) as usize;
        self.held = self.held.wrapping_shr(self.count & !7);
        self.count &= 7;
    }

    fn rows(&mut self, symbols: &[u32], flags: &[u8], row: usize) {
        let [mut a, mut b, mut c, mut d] = self.states;
        let mut flags = flags.iter().rev();
        for symbols in symbols.chunks(row.max(1)).rev() {
            let (blocks, rest) = symbols.as_chunks::<BLOCK>();
            for (lane, symbol) in rest.iter().enumerate().rev() {
                let state = match lane % LANES {
                    0 => &mut a,
                    1 => &mut b,
                    2 => &mut c,
                    _ => &mut d,
                };
                self.put(state, *symbol);
                self.flush();
            }
            for block in blocks.iter().rev() {
                let flag = flags.next().copied().unwrap_or(PLAIN);
                if flag != STILL {
                    for [first, second, third, fourth] in block.as_chunks().0.iter().rev() {
                        self.put(&mut d, *fourth);
                        self.put(&mut c, *third);
                        self.flush();
                        self.put(&mut b, *second);
                        self.put(&mut a, *first);
                        self.flush();
                    }
                }
                if flag != PLAIN {
                    self.put(&mut a, flag_symbol(flag));
                    self.flush();
                }
            }
        }
        self.states = [a, b, c, d];
    }

    /// The last states, from which reading begins, and how many bits there are.
    fn end(self) -> ([u32; LANES], usize) {
        (self.states, self.at * 8 + self.count as usize)
    }
}
