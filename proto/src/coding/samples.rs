//! Rows of samples: each is guessed from its neighbours to the left and above, and what the guess is off by is written in the context of
//! how far off the guesses above it were. That row is known to the end before the next begins, so that neither guessing nor contexts wait
//! for the bits.

use super::entropy::{
    BLOCK, Bits, CONTEXTS, Counts, MOVED, PLAIN, STATES, STILL, Tables, Writer, is_zero, symbol,
};
use super::rows::Rows;

/// How a sample is guessed. All arithmetic is modulo 2^16, so that signed samples need not be known as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guess {
    /// `left + up - upleft`: for what is smooth.
    Gradient,
    /// `(left + up) / 2`: for noise.
    Average,
    /// `(3 left + 3 up - 2 upleft) / 4`: for what lies between.
    Weighted,
}

const GUESSES: [Guess; 3] = [Guess::Gradient, Guess::Average, Guess::Weighted];
/// The guess of a piece is chosen by so many of its rows.
const TRIED_ROWS: usize = 16;
/// The contexts of a first row.
const FIRST_CONTEXT: u16 = 5;

#[inline(always)]
fn guess<const G: u8>(left: u16, up: u16, upleft: u16) -> u16 {
    let across = up.wrapping_sub(left);
    let corner = up.wrapping_sub(upleft);
    let sum = corner.wrapping_add(corner).wrapping_add(across);
    match G {
        0 => left.wrapping_add(corner),
        1 => left.wrapping_add((across.cast_signed() >> 1).cast_unsigned()),
        _ => left.wrapping_add((sum.cast_signed() >> 2).cast_unsigned()),
    }
}

/// How far off a guess is, small in both directions; in samples of 16 bits less `S`.
#[inline(always)]
fn fold<const S: u32>(sample: u16, guess: u16) -> u16 {
    let off = (sample.wrapping_sub(guess) << S).cast_signed() >> S;
    ((off << 1) ^ (off >> 15)).cast_unsigned()
}

#[inline(always)]
fn unfold(folded: u16) -> u16 {
    (folded >> 1) ^ (folded & 1).wrapping_neg()
}

/// What the guesses of a row are off by. The first samples of a row have no left neighbour and are guessed to be what is above them.
fn off<const G: u8, const S: u32>(step: usize, above: &[u16], row: &[u16], out: &mut [u16]) {
    for ((out, sample), up) in out.iter_mut().zip(row).zip(above).take(step) {
        *out = fold::<S>(*sample, *up);
    }
    let out = out.iter_mut().skip(step).zip(row.iter().skip(step));
    let up = above.iter().skip(step);
    for (((out, sample), left), (up, upleft)) in out.zip(row).zip(up.zip(above)) {
        *out = fold::<S>(*sample, guess::<G>(*left, *up, *upleft));
    }
}

/// A row on its way back, sample by sample: its left neighbour and what is above that.
#[derive(Clone, Copy)]
struct Trace {
    left: u16,
    upleft: u16,
}

impl Trace {
    /// Before the first sample, which is guessed to be what is above it.
    fn new(up: u16) -> Self {
        Self {
            left: up,
            upleft: up,
        }
    }

    #[inline(always)]
    fn next<const G: u8, const S: u32>(&mut self, up: u16, folded: u16) -> u16 {
        let guess = guess::<G>(self.left, up, self.upleft);
        self.left = guess.wrapping_add(unfold(folded)) & (u16::MAX >> S);
        self.upleft = up;
        self.left
    }
}

/// The other way, two rows at once: each sample waits for its left neighbour, and the second row waits for the first no longer than that.
fn on<const G: u8, const S: u32>(above: &[u16], folded: [&[u16]; 2], rows: [&mut [u16]; 2]) {
    let ([folded, folded_below], [row, below]) = (folded, rows);
    if G == 0 {
        on_one::<G, S>(above, folded, row);
        on_one::<G, S>(row, folded_below, below);
        return;
    }
    let (Some(up), Some(first)) = (above.first(), folded.first()) else {
        return;
    };
    let mut upper = Trace::new(*up);
    let mut last = upper.next::<G, S>(*up, *first);
    row[0] = last;
    let mut lower = Trace::new(last);
    let upper_row = row
        .iter_mut()
        .skip(1)
        .zip(above.iter().skip(1))
        .zip(folded.iter().skip(1));
    let lower_row = below.iter_mut().zip(folded_below);
    for (((sample, up), folded), (under, folded_below)) in upper_row.zip(lower_row) {
        let now = upper.next::<G, S>(*up, *folded);
        *under = lower.next::<G, S>(last, *folded_below);
        *sample = now;
        last = now;
    }
    if let ([.., under], [.., folded]) = (below, folded_below) {
        *under = lower.next::<G, S>(last, *folded);
    }
}

/// The same for one row; a gradient is only added up, and waits for nothing.
fn on_one<const G: u8, const S: u32>(above: &[u16], folded: &[u16], row: &mut [u16]) {
    let Some(up) = above.first() else { return };
    let mut trace = Trace::new(*up);
    for ((sample, up), folded) in row.iter_mut().zip(above).zip(folded) {
        *sample = trace.next::<G, S>(*up, *folded);
    }
}

/// The same where the left neighbour lies farther back.
fn on_apart<const G: u8, const S: u32>(
    step: usize,
    above: &[u16],
    folded: &[u16],
    row: &mut [u16],
) {
    for at in 0..row.len().min(folded.len()).min(above.len()) {
        let up = above[at];
        let guessed = match at.checked_sub(step) {
            Some(before) => guess::<G>(row[before], up, above[before]),
            None => up,
        };
        row[at] = guessed.wrapping_add(unfold(folded[at])) & (u16::MAX >> S);
    }
}

type One = fn(usize, &[u16], &[u16], &mut [u16]);
type Two = fn(&[u16], [&[u16]; 2], [&mut [u16]; 2]);

fn off_of(guess: Guess, rows: Rows) -> One {
    match (guess, rows.is_wide()) {
        (Guess::Gradient, true) => off::<0, 0>,
        (Guess::Gradient, false) => off::<0, 8>,
        (Guess::Average, true) => off::<1, 0>,
        (Guess::Average, false) => off::<1, 8>,
        (Guess::Weighted, true) => off::<2, 0>,
        (Guess::Weighted, false) => off::<2, 8>,
    }
}

/// What the other way leads through.
struct On {
    one: One,
    two: Two,
}

fn on_of(guess: Guess, rows: Rows) -> On {
    fn of<const G: u8, const S: u32>() -> On {
        On {
            one: on_apart::<G, S>,
            two: on::<G, S>,
        }
    }
    match (guess, rows.is_wide()) {
        (Guess::Gradient, true) => of::<0, 0>(),
        (Guess::Gradient, false) => of::<0, 8>(),
        (Guess::Average, true) => of::<1, 0>(),
        (Guess::Average, false) => of::<1, 8>(),
        (Guess::Weighted, true) => of::<2, 0>(),
        (Guess::Weighted, false) => of::<2, 8>(),
    }
}

/// The highest bit of a number and the three below it: eight times its logarithm, nearly.
#[inline(always)]
fn logarithm(value: u32) -> u32 {
    ((value as f32).to_bits() >> 20).wrapping_sub(127 << 3)
}

/// The contexts of a row by what stands above: the logarithm of how far off those guesses were together.
fn contexts(above: &[u16], out: &mut [u16]) {
    let sum = |left: u16, up: u16, right: u16| {
        let log = logarithm(u32::from(left) + 2 * u32::from(up) + u32::from(right) + 1) >> 3;
        (log as u16).min(CONTEXTS as u16 - 2) * STATES as u16
    };
    let first = above.first().copied().unwrap_or_default();
    let second = above.get(1).copied().unwrap_or(first);
    if let Some(out) = out.first_mut() {
        *out = sum(first, first, second);
    }
    let ups = above.iter().skip(1);
    let rights = above.iter().skip(2);
    for (((out, left), up), right) in out.iter_mut().skip(1).zip(above).zip(ups).zip(rights) {
        *out = sum(*left, *up, *right);
    }
    if let ([.., before, last], [_, .., out]) = (above, out) {
        *out = sum(*before, *last, *last);
    }
}

/// Makes rows smaller. Keeps its memory from one use to the next.
#[derive(Debug, Default)]
pub(super) struct Press {
    samples: Vec<u16>,
    off: Vec<u16>,
    symbols: Vec<u32>,
    flags: Vec<u8>,
    contexts: Vec<u16>,
    zeros: Vec<u16>,
    writer: Writer,
}

impl Press {
    /// Appends the rows of `raw`, made smaller or not.
    pub(super) fn press(&mut self, raw: &[u8], rows: Rows, out: &mut Vec<u8>) {
        rows.write(out);
        self.samples.clear();
        if rows.is_wide() {
            let pairs = raw.as_chunks().0.iter();
            self.samples
                .extend(pairs.map(|pair| u16::from_le_bytes(*pair)));
        } else {
            self.samples.extend(raw.iter().map(|byte| u16::from(*byte)));
        }
        let width = rows.samples();
        self.off.resize(self.samples.len(), 0);
        self.zeros.resize(width, 0);
        self.contexts.resize(width, 0);
        let guess = self.choose(rows);
        out.push(guess as u8);
        let counts = self.symbols(guess, rows);
        self.writer
            .write(&counts, &self.symbols, &self.flags, width, out);
    }

    /// The guess that is least off.
    fn choose(&mut self, rows: Rows) -> Guess {
        let width = rows.samples();
        let there = self.samples.len() / width;
        let apart = (there / TRIED_ROWS).max(1);
        let tried = self.contexts.as_mut_slice();
        let cost = |guess: &Guess| {
            let off = off_of(*guess, rows);
            let mut cost = 0_u64;
            for second in (1..there).step_by(apart) {
                let both = self.samples.get((second - 1) * width..).unwrap_or_default();
                let (above, row) = both.split_at(width.min(both.len()));
                off(rows.step(), above, row, tried);
                let bits = tried.iter().map(|off| logarithm(u32::from(*off) + 1));
                cost += bits.map(u64::from).sum::<u64>();
            }
            cost
        };
        let least = GUESSES.into_iter().min_by_key(cost);
        least.unwrap_or(Guess::Gradient)
    }

    fn symbols(&mut self, guess: Guess, rows: Rows) -> Counts {
        let width = rows.samples();
        let mut counts = Counts::new();
        self.symbols.resize(self.samples.len(), 0);
        self.flags.clear();
        let mut above: Option<(&[u16], &[u16])> = None;
        let offs = self.off.chunks_mut(width);
        let symbols = self.symbols.chunks_mut(width);
        for ((row, offs), symbols) in self.samples.chunks(width).zip(offs).zip(symbols) {
            let contexts = self.contexts.get_mut(..row.len()).unwrap_or_default();
            match above {
                Some((above, above_off)) => {
                    off_of(guess, rows)(rows.step(), above, row, offs);
                    self::contexts(above_off.get(..row.len()).unwrap_or_default(), contexts);
                }
                None => {
                    off_of(Guess::Gradient, rows)(rows.step(), &self.zeros, row, offs);
                    contexts.fill(FIRST_CONTEXT * STATES as u16);
                }
            }
            for ((out, context), off) in symbols.iter_mut().zip(&*contexts).zip(&*offs) {
                *out = symbol(*context / STATES as u16, *off);
            }
            let (blocks, rest) = symbols.as_chunks::<BLOCK>();
            let about = contexts.as_chunks().0.iter().zip(offs.as_chunks().0);
            for (symbols, (contexts, offs)) in blocks.iter().zip(about) {
                let flag = match (is_zero(contexts), is_zero(offs)) {
                    (true, true) => STILL,
                    (true, false) => MOVED,
                    (false, _) => PLAIN,
                };
                self.flags.push(flag);
                if flag != PLAIN {
                    counts.add_flag(flag);
                }
                if flag != STILL {
                    counts.add(symbols);
                }
            }
            counts.add(rest);
            above = Some((row, offs));
        }
        counts
    }
}

/// Makes rows what they were. Keeps its memory from one use to the next.
#[derive(Debug, Default)]
pub(super) struct Unpress {
    samples: [Vec<u16>; 3],
    off: [Vec<u16>; 3],
    tables: Tables,
}

impl Unpress {
    /// Appends the `length` bytes that `pressed` stands for. None when it was not made by [`Press`]: then something else was appended, of at
    /// most that length.
    pub(super) fn unpress(
        &mut self,
        mut pressed: &[u8],
        length: usize,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let rows = Rows::read(&mut pressed)?;
        let (guess, mut rest) = pressed.split_first()?;
        let guess = *GUESSES.get(usize::from(*guess))?;
        self.tables.read(&mut rest)?;
        let mut bits = Bits::new(rest)?;
        // before anything is made for a row: how long it is, is the record's own word
        let mut left = length / rows.bytes();
        (left > 0 && left * rows.bytes() == length).then_some(())?;
        let width = rows.samples();
        for buffer in self.samples.iter_mut().chain(&mut self.off) {
            buffer.clear();
            buffer.resize(width, 0);
        }
        let [above, first, second] = &mut self.samples;
        let [off_above, off_first, off_second] = &mut self.off;
        off_above.fill(FIRST_CONTEXT * STATES as u16);
        bits.row(&self.tables, off_above);
        // what is above the first row is zero
        (on_of(Guess::Gradient, rows).one)(rows.step(), first, off_above, above);
        give(above, rows, out);
        left -= 1;
        let on = on_of(guess, rows);
        while left > 0 {
            contexts(off_above, off_first);
            bits.row(&self.tables, off_first);
            if left == 1 || rows.step() > 1 {
                (on.one)(rows.step(), above, off_first, first);
                give(first, rows, out);
                std::mem::swap(above, first);
                std::mem::swap(off_above, off_first);
                left -= 1;
                continue;
            }
            contexts(off_first, off_second);
            bits.row(&self.tables, off_second);
            (on.two)(above, [off_first, off_second], [first, second]);
            give(first, rows, out);
            give(second, rows, out);
            std::mem::swap(above, second);
            std::mem::swap(off_above, off_second);
            left -= 2;
        }
        bits.is_at_end().then_some(())
    }
}

fn give(samples: &[u16], rows: Rows, out: &mut Vec<u8>) {
    if rows.is_wide() {
        out.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    } else {
        out.extend(samples.iter().map(|sample| *sample as u8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_longer_than_its_record_takes_no_memory() {
        let wide = Rows::new(200_000, 1, true).unwrap();
        let mut pressed = Vec::new();
        Press::default().press(&vec![7; wide.bytes()], wide, &mut pressed);
        for length in [64, wide.bytes() - 2, wide.bytes() + 2] {
            let (mut unpress, mut out) = (Unpress::default(), Vec::new());
            assert_eq!(unpress.unpress(&pressed, length, &mut out), None);
            let taken = unpress.samples.iter().chain(&unpress.off);
            assert!(taken.map(Vec::capacity).all(|samples| samples == 0));
        }
        let (mut unpress, mut out) = (Unpress::default(), Vec::new());
        let undone = unpress.unpress(&pressed, wide.bytes(), &mut out);
        assert_eq!((undone, out.len()), (Some(()), wide.bytes()));
    }
}
