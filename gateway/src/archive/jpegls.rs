//! Lossless JPEG-LS (ITU-T T.87) of one grey frame: what a reader's slow line carries in place of raw samples. Every bit of the samples
//! is coded as it stands, whatever Bits Stored says, so that signs and high bits come back as they were.

#[cfg(test)]
mod tests;

/// T.87 C.2.4.1.1, the default thresholds for 8 bits, and for all depths from 12 bits on.
const THRESHOLDS_8: [i32; 3] = [3, 7, 21];
const THRESHOLDS_16: [i32; 3] = [18, 67, 276];
/// T.87 C.2.4.1.1: after so many samples a context halves what it has counted.
const RESET: i32 = 64;
/// T.87 A.2.1: the orders of run lengths.
const ORDERS: [u32; 32] = [
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13,
    14, 15,
];

/// Codes a frame of `columns` by `rows` samples of `bytes` bytes each (1 or 2, little endian). None when the sizes do not fit together.
#[must_use]
pub fn encode(samples: &[u8], columns: u16, rows: u16, bytes: usize) -> Option<Vec<u8>> {
    let (width, height) = (usize::from(columns), usize::from(rows));
    let fits = width > 0 && height > 0 && samples.len() == width * height * bytes;
    if !fits || !matches!(bytes, 1 | 2) {
        return None;
    }
    let depth = if bytes == 1 { 8 } else { 16 };
    let mut coder = Coder::new(depth, samples.len() / 2);
    coder.head(columns, rows);
    // a sample on either side of each line: T.87 A.2.1 says what stands there
    let (mut above, mut line) = (vec![0_i32; width + 2], vec![0_i32; width + 2]);
    let mut steps = vec![0_i32; width + 1];
    for row in samples.chunks_exact(width * bytes) {
        let inside = line.iter_mut().skip(1);
        if bytes == 1 {
            inside
                .zip(row)
                .for_each(|(to, from)| *to = i32::from(*from));
        } else {
            inside.zip(row.as_chunks::<2>().0).for_each(|(to, pair)| {
                *to = i32::from(u16::from_le_bytes(*pair));
            });
        }
        edge(&mut above, &mut line, width);
        coder.line(&above, &line, &mut steps);
        std::mem::swap(&mut above, &mut line);
    }
    Some(coder.end())
}

/// Left of a line stands what is above its first sample; right of the line above, that line's last sample once more.
fn edge(above: &mut [i32], line: &mut [i32], width: usize) {
    let (first, last) = (
        above.get(1).copied().unwrap_or(0),
        above.get(width).copied().unwrap_or(0),
    );
    if let Some(left) = line.first_mut() {
        *left = first;
    }
    if let Some(right) = above.last_mut() {
        *right = last;
    }
}

/// What is known of one context (T.87 A.2.1: A, B, C, N).
#[derive(Clone, Copy)]
struct Context {
    sum: i32,
    bias: i32,
    correction: i32,
    count: i32,
}

/// What is known of how runs end (contexts 365 and 366).
#[derive(Clone, Copy)]
struct RunEnd {
    sum: i32,
    count: i32,
    negative: i32,
}

struct Coder {
    depth: u32,
    most: i32,
    range: i32,
    limit: u32,
    thresholds: [i32; 3],
    contexts: [Context; 365],
    ends: [RunEnd; 2],
    run_index: usize,
    out: Bits,
}

impl Coder {
    fn new(depth: u32, expected: usize) -> Self {
        let range = 1 << depth;
        let sum = ((range + 32) >> 6).max(2);
        Self {
            depth,
            most: range - 1,
            range,
            limit: 2 * (depth + depth.max(8)),
            thresholds: if depth == 8 {
                THRESHOLDS_8
            } else {
                THRESHOLDS_16
            },
            contexts: [Context {
                sum,
                bias: 0,
                correction: 0,
                count: 1,
            }; 365],
            ends: [RunEnd {
                sum,
                count: 1,
                negative: 0,
            }; 2],
            run_index: 0,
            out: Bits::new(expected),
        }
    }

    /// SOI, SOF 55 and SOS (T.87 C.2.2, C.2.3): one component, no interleave, NEAR 0.
    fn head(&mut self, columns: u16, rows: u16) {
        let depth = self.depth.to_le_bytes()[0];
        let ([y1, y0], [x1, x0]) = (rows.to_be_bytes(), columns.to_be_bytes());
        self.out.bytes.extend_from_slice(&[
            0xFF, 0xD8, 0xFF, 0xF7, 0, 11, depth, y1, y0, x1, x0, 1, 1, 0x11, 0, 0xFF, 0xDA, 0, 8,
            1, 1, 0, 0, 0, 0,
        ]);
    }

    fn end(mut self) -> Vec<u8> {
        self.out.flush();
        self.out.bytes.extend_from_slice(&[0xFF, 0xD9]);
        self.out.bytes
    }

    /// T.87 A.3.3.
    fn quantised(&self, difference: i32) -> i32 {
        let [one, two, three] = self.thresholds;
        let size = difference.abs();
        let steps = i32::from(size > 0)
            + i32::from(size >= one)
            + i32::from(size >= two)
            + i32::from(size >= three);
        if difference < 0 { -steps } else { steps }
    }

    /// Codes a line (T.87 A.3 to A.7). `above` and `line` have a sample more on either side; `steps` is room for the quantised
    /// differences of the line above, each of which two samples use.
    #[expect(
        clippy::indexing_slicing,
        reason = "the hottest loop of the reading side: `at` stays within the lines, a context's number is 0 to 364 by its making"
    )]
    fn line(&mut self, above: &[i32], line: &[i32], steps: &mut [i32]) {
        let width = line.len() - 2;
        for (step, pair) in steps.iter_mut().zip(above.windows(2)) {
            *step = self.quantised(pair[1] - pair[0]);
        }
        let mut at = 1;
        while at <= width {
            let (left, up, corner) = (line[at - 1], above[at], above[at - 1]);
            let (first, second, third) = (steps[at], steps[at - 1], self.quantised(corner - left));
            let place = 81 * first + 9 * second + third;
            if place == 0 {
                at = self.run(above, line, at, width);
                continue;
            }
            let guess = median(left, up, corner);
            self.sample(line[at], guess, place);
            at += 1;
        }
    }

    /// A sample in the regular mode (T.87 A.4 to A.6).
    #[expect(
        clippy::indexing_slicing,
        reason = "a context's number is 0 to 364 by its making"
    )]
    fn sample(&mut self, value: i32, guess: i32, place: i32) {
        let negative = place < 0;
        let index = usize::try_from(place.unsigned_abs()).unwrap_or(0);
        let context = &mut self.contexts[index];
        let correction = if negative {
            -context.correction
        } else {
            context.correction
        };
        let guess = (guess + correction).clamp(0, self.most);
        let error = if negative {
            guess - value
        } else {
            value - guess
        };
        let error = reduced(error, self.range);
        let order = order(context.count, context.sum);
        let turned = order == 0 && 2 * context.bias <= -context.count;
        let mapped = if turned {
            if error >= 0 {
                2 * error + 1
            } else {
                -2 * (error + 1)
            }
        } else if error >= 0 {
            2 * error
        } else {
            -2 * error - 1
        };
        context.learn(error);
        self.out
            .golomb(mapped.unsigned_abs(), order, self.limit, self.depth);
    }

    /// A run of samples equal to the one on their left, and what ends it (T.87 A.7). Returns where the next sample stands.
    #[expect(
        clippy::indexing_slicing,
        reason = "`at` stays within the lines, `run_index` within 0 to 31"
    )]
    fn run(&mut self, above: &[i32], line: &[i32], start: usize, width: usize) -> usize {
        let value = line[start - 1];
        let mut at = start;
        while at <= width && line[at] == value {
            at += 1;
        }
        let mut left = at - start;
        while left >= 1 << ORDERS[self.run_index] {
            self.out.put(1, 1);
            left -= 1 << ORDERS[self.run_index];
            self.run_index = (self.run_index + 1).min(31);
        }
        if at > width {
            if left > 0 {
                self.out.put(1, 1);
            }
            return at;
        }
        // a zero, and how much of the next order's length there was
        let order = ORDERS[self.run_index];
        self.out.put(u32::try_from(left).unwrap_or(0), order + 1);
        self.run_end(line[at], value, above[at], order);
        self.run_index = self.run_index.saturating_sub(1);
        at + 1
    }

    /// The sample that ends a run (T.87 A.7.2).
    #[expect(clippy::indexing_slicing, reason = "there are two kinds of ends")]
    fn run_end(&mut self, sample: i32, left: i32, up: i32, length_order: u32) {
        let same = left == up;
        let kind = i32::from(same);
        let mut error = if same { sample - left } else { sample - up };
        if !same && left > up {
            error = -error;
        }
        let error = reduced(error, self.range);
        let end = &mut self.ends[usize::from(same)];
        let sum = if same {
            end.sum + (end.count >> 1)
        } else {
            end.sum
        };
        let order = order(end.count, sum);
        let map = if error > 0 {
            order == 0 && 2 * end.negative < end.count
        } else {
            error < 0 && (order != 0 || 2 * end.negative >= end.count)
        };
        let mapped = 2 * error.abs() - kind - i32::from(map);
        if error < 0 {
            end.negative += 1;
        }
        end.sum += (mapped + 1 - kind) >> 1;
        if end.count == RESET {
            end.sum >>= 1;
            end.count >>= 1;
            end.negative >>= 1;
        }
        end.count += 1;
        let limit = self.limit - length_order - 1;
        self.out
            .golomb(mapped.unsigned_abs(), order, limit, self.depth);
    }
}

impl Context {
    /// T.87 A.6.
    fn learn(&mut self, error: i32) {
        self.bias += error;
        self.sum += error.abs();
        if self.count == RESET {
            self.sum >>= 1;
            self.bias >>= 1;
            self.count >>= 1;
        }
        self.count += 1;
        if self.bias <= -self.count {
            self.bias = (self.bias + self.count).max(1 - self.count);
            self.correction = (self.correction - 1).max(-128);
        } else if self.bias > 0 {
            self.bias = (self.bias - self.count).min(0);
            self.correction = (self.correction + 1).min(127);
        }
    }
}

/// T.87 A.4.1: what the neighbours let expect.
fn median(left: i32, up: i32, corner: i32) -> i32 {
    let (low, high) = (left.min(up), left.max(up));
    if corner >= high {
        low
    } else if corner <= low {
        high
    } else {
        left + up - corner
    }
}

/// T.87 A.4.5: an error modulo the range of samples.
fn reduced(error: i32, range: i32) -> i32 {
    let up = if error < 0 { error + range } else { error };
    if up >= (range + 1) / 2 {
        up - range
    } else {
        up
    }
}

/// T.87 A.5.1: the least k for which `count << k` is not less than `sum`.
fn order(count: i32, sum: i32) -> u32 {
    let guess = count.leading_zeros().saturating_sub(sum.leading_zeros());
    guess + u32::from((count << guess) < sum)
}

/// Bits into bytes, the highest first; after a byte of ones the next begins with a zero (T.87 A.1).
struct Bits {
    bytes: Vec<u8>,
    waiting: u64,
    count: u32,
}

impl Bits {
    fn new(expected: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(expected + 64),
            waiting: 0,
            count: 0,
        }
    }

    /// Appends the lowest `count` bits of `value`, at most 32.
    fn put(&mut self, value: u32, count: u32) {
        self.waiting = (self.waiting << count) | u64::from(value);
        self.count += count;
        if self.count >= 32 {
            self.drain();
        }
    }

    /// T.87 A.5.3: `value` as a unary part and `order` bits, or, where that were longer than `limit`, as `depth` bits.
    fn golomb(&mut self, value: u32, order: u32, limit: u32, depth: u32) {
        let unary = value >> order;
        let longest = limit - depth - 1;
        if unary < longest {
            let rest = value & ((1 << order) - 1);
            if unary + 1 + order <= 32 {
                self.put((1 << order) | rest, unary + 1 + order);
            } else {
                self.zeros(unary);
                self.put((1 << order) | rest, order + 1);
            }
        } else {
            self.zeros(longest);
            self.put((1 << depth) | (value - 1), depth + 1);
        }
    }

    fn zeros(&mut self, count: u32) {
        let first = count.min(32);
        self.put(0, first);
        self.put(0, count - first);
    }

    /// Moves whole bytes out until less than 32 bits wait.
    fn drain(&mut self) {
        let word = u32::try_from((self.waiting >> (self.count - 32)) & 0xFFFF_FFFF).unwrap_or(0);
        let plain = self.bytes.last() != Some(&0xFF) && !has_ones(word);
        if plain {
            self.bytes.extend_from_slice(&word.to_be_bytes());
            self.count -= 32;
            return;
        }
        while self.count >= 8 {
            self.byte();
        }
    }

    fn byte(&mut self) {
        let take = if self.bytes.last() == Some(&0xFF) {
            7
        } else {
            8
        };
        self.count -= take;
        let bits = (self.waiting >> self.count) & ((1 << take) - 1);
        self.bytes.push(bits.to_le_bytes()[0]);
    }

    /// Fills the last byte with zeros; one of ones is not left at the end.
    fn flush(&mut self) {
        while self.count >= 8 {
            self.byte();
        }
        let last = self.bytes.last() == Some(&0xFF);
        if self.count > 0 || last {
            let take = if last { 7 } else { 8 };
            self.waiting <<= take - self.count.min(take);
            self.count = self.count.max(take);
            self.byte();
        }
        if self.bytes.last() == Some(&0xFF) {
            self.bytes.push(0);
        }
    }
}

/// Whether one of four bytes is all ones.
fn has_ones(word: u32) -> bool {
    let turned = !word;
    (turned.wrapping_sub(0x0101_0101) & !turned & 0x8080_8080) != 0
}
