//! The entropy coder under predicted samples: asymmetric numeral systems with tables (J. Duda, arXiv:1311.2540), one table for each
//! context, and four states that take turns over one string of bits. It is written from the last symbol to the first, and read from its
//! end: what was written last is what is read first.
//!
//! Tables stand in front, one for each context: how many bytes the set of its tokens takes, that set with the lowest token in the
//! lowest bit, and for each token its share of [`STATES`] less one, in one byte up to 127 and else in two, seven bits in the first.
//! Behind them the four states, two bytes each, the number of bits in the last byte (0: all), all little endian, and the bits.
//!
//! In a row, each whole [`BLOCK`] in which every context is the lowest is preceded by a token in the context [`FLAGS`]: [`STILL`], all of
//! its values are zero and nothing else is said of them, or [`MOVED`].

#[expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "indices and numbers are taken modulo the size of their table; a check at each would be half of the time"
)]
mod read;
#[expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "indices and numbers are taken modulo the size of their table; a check at each would be half of the time"
)]
mod write;

pub(super) use read::{Bits, Tables};
pub(super) use write::{Counts, Writer, symbol};

/// Bits of a state.
const STATE_BITS: u32 = 9;
/// A table has so many entries.
pub(super) const STATES: usize = 1 << STATE_BITS;
/// Different tokens.
pub(super) const TOKENS: usize = 64;
/// Different contexts.
pub(super) const CONTEXTS: usize = 12;
/// The last context is that of the flags.
pub(super) const FLAGS: usize = CONTEXTS - 1;
/// Entries of all tables, as a power of two that indices are masked to.
const ENTRIES: usize = (CONTEXTS * STATES).next_power_of_two();
/// How many states take turns.
const LANES: usize = 4;
/// So many values have a flag.
pub(super) const BLOCK: usize = 16;
/// The flag of a block of nothing but zeros.
pub(super) const STILL: u8 = 0;
/// The flag of a block with something in it.
pub(super) const MOVED: u8 = 1;
/// The block has no flag; never written.
pub(super) const PLAIN: u8 = 2;

/// Below this a value is its own token. Above it the token is its highest bit and the two below, and the rest follows as bits.
const LITERAL: u32 = 16;

/// How many bits follow a token, and the least value it stands for.
const fn class(token: u32) -> (u32, u32) {
    if token < LITERAL {
        (0, token)
    } else {
        let bits = (token >> 2) - 2;
        (bits, (4 + (token & 3)) << bits)
    }
}

/// Whether all of a block is zero.
#[inline(always)]
pub(super) fn is_zero(block: &[u16; BLOCK]) -> bool {
    block.iter().fold(0, |all, one| all | one) == 0
}

/// The order in which tokens take the entries of a table.
fn spread(shares: &[u16; TOKENS]) -> [u8; STATES] {
    let mut out = [0_u8; STATES];
    let mut at = 0_usize;
    for (token, share) in (0_u8..).zip(shares) {
        for _ in 0..*share {
            if let Some(entry) = out.get_mut(at % STATES) {
                *entry = token;
            }
            // odd, so that every entry is met once
            at += STATES / 2 + STATES / 8 + 3;
        }
    }
    out
}
