//! Bits to values.

use super::{
    BLOCK, CONTEXTS, ENTRIES, FLAGS, LANES, STATE_BITS, STATES, STILL, TOKENS, class, is_zero,
    spread,
};

/// The least value of each token.
const LEAST: [u16; TOKENS] = {
    let mut least = [0; TOKENS];
    let mut token = 0;
    while token < TOKENS {
        least[token] = class(token as u32).1 as u16;
        token += 1;
    }
    least
};

/// Reads tables. Keeps its memory from one use to the next.
#[derive(Debug)]
pub(in crate::coding) struct Tables(Box<Entries>);

/// An entry: the next state without its bits (10 bits), 63 less the number of all bits that are read (6), how many of these are the
/// value's (6), four that say nothing, the token (6).
#[derive(Debug)]
struct Entries {
    entries: [u32; ENTRIES],
    least: [u16; TOKENS],
}

impl Default for Tables {
    fn default() -> Self {
        Self(Box::new(Entries {
            entries: [0; ENTRIES],
            least: LEAST,
        }))
    }
}

impl Tables {
    /// Takes the tables off the front of `bytes`; none when they are not possible.
    pub(in crate::coding) fn read(&mut self, bytes: &mut &[u8]) -> Option<()> {
        for table in self.0.entries.chunks_exact_mut(STATES).take(CONTEXTS) {
            let mut next = described(bytes)?;
            for (entry, token) in table.iter_mut().zip(spread(&next)) {
                let state = next.get_mut(usize::from(token))?;
                // a context without tokens is read only in what was not written by a writer
                let now = u32::from(*state).max(1);
                *state += 1;
                let bits = STATE_BITS.saturating_sub(now.ilog2());
                let base = (now << bits) % STATES as u32;
                let extra = class(u32::from(token)).0;
                *entry = base | (63 - bits - extra) << 10 | extra << 16 | u32::from(token) << 26;
            }
        }
        Some(())
    }
}

fn described(bytes: &mut &[u8]) -> Option<[u16; TOKENS]> {
    let mut take = || {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        Some(*first)
    };
    let mut set = [0_u8; 8];
    for byte in set.get_mut(..usize::from(take()?))? {
        *byte = take()?;
    }
    let set = u64::from_le_bytes(set);
    let mut shares = [0_u16; TOKENS];
    let mut sum = 0;
    for (token, share) in shares.iter_mut().enumerate() {
        if set >> token & 1 == 1 {
            let low = u16::from(take()?);
            let high = if low < 0x80 { 0 } else { take()? };
            *share = 1 + (low & 0x7F | u16::from(high) << 7);
            sum += usize::from(*share);
        }
    }
    (sum == STATES || set == 0).then_some(shares)
}

/// Where bits are read, from the last to the first.
#[derive(Debug)]
pub(in crate::coding) struct Bits<'a> {
    bytes: &'a [u8],
    /// One behind the last byte that is not wholly read.
    end: usize,
    /// How many bits of it are.
    used: u32,
    states: [u32; LANES],
}

impl<'a> Bits<'a> {
    /// The states and bits that stand in `bytes`.
    pub(in crate::coding) fn new(bytes: &'a [u8]) -> Option<Self> {
        let (head, bytes) = bytes.split_first_chunk::<{ 2 * LANES + 1 }>()?;
        let (pairs, odd) = head.as_chunks();
        let mut states = [0; LANES];
        for (state, pair) in states.iter_mut().zip(pairs) {
            *state = u32::from(u16::from_le_bytes(*pair)) % STATES as u32;
        }
        let odd = u32::from(*odd.first()?);
        Some(Self {
            bytes,
            end: bytes.len(),
            used: odd.wrapping_neg() % 8,
            states,
        })
    }

    /// Puts the values of a row in the place of their contexts, which stand in `row` times [`STATES`].
    #[inline]
    pub(in crate::coding) fn row(&mut self, tables: &Tables, row: &mut [u16]) {
        let tables = &*tables.0;
        let (blocks, rest) = row.as_chunks_mut::<BLOCK>();
        let [mut a, mut b, mut c, mut d] = self.states;
        let (bytes, mut end, mut used) = (self.bytes, self.end, self.used);
        for block in blocks {
            if is_zero(block) {
                let held = fill(bytes, &mut end, &mut used);
                let flag = one(tables, held, &mut used, &mut a, (FLAGS * STATES) as u16);
                if flag == u16::from(STILL) {
                    continue;
                }
            }
            for [first, second, third, fourth] in block.as_chunks_mut::<LANES>().0 {
                let held = fill(bytes, &mut end, &mut used);
                *first = one(tables, held, &mut used, &mut a, *first);
                *second = one(tables, held, &mut used, &mut b, *second);
                let held = fill(bytes, &mut end, &mut used);
                *third = one(tables, held, &mut used, &mut c, *third);
                *fourth = one(tables, held, &mut used, &mut d, *fourth);
            }
        }
        let mut states = [a, b, c, d];
        for (lane, value) in rest.iter_mut().enumerate() {
            let held = fill(bytes, &mut end, &mut used);
            *value = one(tables, held, &mut used, &mut states[lane % LANES], *value);
        }
        (self.states, self.end, self.used) = (states, end, used);
    }

    /// Whether every bit was read, and no more.
    pub(in crate::coding) fn is_at_end(&self) -> bool {
        self.end.checked_mul(8) == Some(self.used as usize)
    }
}

#[inline(always)]
fn one(tables: &Entries, held: u64, used: &mut u32, state: &mut u32, context: u16) -> u16 {
    let entry = tables.entries[(u32::from(context) + *state) as usize % ENTRIES];
    // shifted once more, because a shift by all 64 bits would be one by none
    let read = (held.wrapping_shl(*used) >> 1).wrapping_shr(entry >> 10);
    let high = read.wrapping_shr(entry >> 16);
    *state = (entry & 0x3FF).wrapping_add(high as u32);
    *used += 63 - (entry >> 10 & 63);
    let low = read.wrapping_sub(high.wrapping_shl(entry >> 16));
    tables.least[(entry >> 26) as usize % TOKENS].wrapping_add(low as u16)
}

/// The next 56 bits or more from the top; zeros behind the last.
#[inline(always)]
fn fill(bytes: &[u8], end: &mut usize, used: &mut u32) -> u64 {
    *end = end.saturating_sub((*used >> 3) as usize);
    *used &= 7;
    let eight = bytes.get(end.wrapping_sub(8)..*end);
    match eight.and_then(|eight| eight.first_chunk()) {
        Some(eight) => u64::from_le_bytes(*eight),
        None => last(bytes, *end),
    }
}

#[cold]
#[inline(never)]
fn last(bytes: &[u8], end: usize) -> u64 {
    let few = bytes.get(..end).unwrap_or_default();
    let mut eight = [0; 8];
    for (to, from) in eight.iter_mut().rev().zip(few.iter().rev()) {
        *to = *from;
    }
    u64::from_le_bytes(eight)
}
