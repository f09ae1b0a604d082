//! The example of the standard, and what a decoder of our own, written from the decoding side of T.87, makes of what was coded. DCMTK's
//! decoder is asked in `tests/interop`.

use proptest::prelude::*;

use super::{ORDERS, RESET, encode};

/// T.87 H.3.
#[test]
fn the_standards_example_is_coded_as_it_says() {
    let image = [
        0, 0, 90, 74, 68, 50, 43, 205, 64, 145, 145, 145, 100, 145, 145, 145,
    ];
    let coded = hex::encode(encode(&image, 4, 4, 1).unwrap());
    let expect = [
        "ffd8",
        "fff7000b08000400040101",
        "1100",
        "ffda00080101",
        "00000000",
        "c000006c80208e01c0000057400000",
        "6ee6000001bc18000005d800009160",
        "ffd9",
    ];
    assert_eq!(coded, expect.concat());
}

/// Bits of a scan, without those that were stuffed.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    bit: u32,
}

impl Bits<'_> {
    fn one(&mut self) -> i32 {
        let after_ones = self.at > 0 && self.bytes[self.at - 1] == 0xFF;
        if self.bit == 0 && after_ones {
            assert_eq!(self.bytes[self.at] >> 7, 0, "a bit is stuffed after ones");
            self.bit = 1;
        }
        let bit = i32::from(self.bytes[self.at] >> (7 - self.bit)) & 1;
        self.bit += 1;
        if self.bit == 8 {
            (self.bit, self.at) = (0, self.at + 1);
        }
        bit
    }

    fn many(&mut self, count: u32) -> i32 {
        (0..count).fold(0, |all, _| all << 1 | self.one())
    }

    fn golomb(&mut self, order: u32, limit: u32, depth: u32) -> i32 {
        let mut zeros = 0;
        while self.one() == 0 {
            zeros += 1;
        }
        if zeros < limit - depth - 1 {
            i32::try_from(zeros << order).unwrap() | self.many(order)
        } else {
            self.many(depth) + 1
        }
    }
}

/// The variables of T.87 by their names there, and the image as far as it is known.
struct Decoder<'a> {
    input: Bits<'a>,
    depth: u32,
    width: usize,
    image: Vec<i32>,
    corner: i32,
    a: [i32; 367],
    b: [i32; 367],
    c: [i32; 367],
    n: [i32; 367],
    nn: [i32; 2],
    run_index: usize,
}

impl Decoder<'_> {
    fn range(&self) -> i32 {
        1 << self.depth
    }

    fn limit(&self) -> u32 {
        2 * (self.depth + self.depth.max(8))
    }

    /// The sample above column `x` of the line that begins at `start`, or its last one.
    fn up(&self, start: usize, x: usize) -> i32 {
        match start {
            0 => 0,
            _ => self.image[start - self.width + x.min(self.width - 1)],
        }
    }

    fn line(&mut self, start: usize) {
        let first = self.up(start, 0);
        let first_corner = std::mem::replace(&mut self.corner, first);
        let mut x = 0;
        while x < self.width {
            let rb = self.up(start, x);
            let (ra, rc) = match x {
                0 => (rb, first_corner),
                _ => (self.image[start + x - 1], self.up(start, x - 1)),
            };
            let rd = self.up(start, x + 1);
            let steps = [rd - rb, rb - rc, rc - ra].map(|d| self.quantised(d));
            let place = 81 * steps[0] + 9 * steps[1] + steps[2];
            if place == 0 {
                x = self.run(start, x, ra);
            } else {
                self.image[start + x] = self.sample(ra, rb, rc, place);
                x += 1;
            }
        }
    }

    fn quantised(&self, d: i32) -> i32 {
        let thresholds = if self.depth == 8 {
            [1, 3, 7, 21]
        } else {
            [1, 18, 67, 276]
        };
        thresholds
            .map(|t| i32::from(d.abs() >= t))
            .iter()
            .sum::<i32>()
            * d.signum()
    }

    fn run(&mut self, start: usize, mut x: usize, ra: i32) -> usize {
        while x < self.width {
            let order = ORDERS[self.run_index];
            let whole = self.input.one() == 1;
            let length = if whole {
                (1 << order).min(self.width - x)
            } else {
                usize::try_from(self.input.many(order)).unwrap()
            };
            self.image[start + x..start + x + length].fill(ra);
            x += length;
            if !whole {
                self.image[start + x] = self.run_end(ra, self.up(start, x));
                self.run_index = self.run_index.saturating_sub(1);
                return x + 1;
            }
            if length == 1 << order {
                self.run_index = (self.run_index + 1).min(31);
            }
        }
        x
    }

    fn run_end(&mut self, ra: i32, rb: i32) -> i32 {
        let same = ra == rb;
        let (kind, place) = (i32::from(same), 365 + usize::from(same));
        let nn = usize::from(same);
        let sum = self.a[place] + kind * (self.n[place] >> 1);
        let k = least(self.n[place], sum);
        let limit = self.limit() - ORDERS[self.run_index] - 1;
        let em = self.input.golomb(k, limit, self.depth);
        let map = (em + kind) & 1;
        let size = (em + kind + map) / 2;
        let turned = k != 0 || 2 * self.nn[nn] >= self.n[place];
        let error = if turned == (map == 1) { -size } else { size };
        self.nn[nn] += i32::from(error < 0);
        self.a[place] += (em + 1 - kind) >> 1;
        if self.n[place] == RESET {
            for one in [&mut self.a[place], &mut self.n[place], &mut self.nn[nn]] {
                *one >>= 1;
            }
        }
        self.n[place] += 1;
        let sign = if !same && ra > rb { -1 } else { 1 };
        let guess = if same { ra } else { rb };
        (guess + sign * error).rem_euclid(self.range())
    }

    fn sample(&mut self, ra: i32, rb: i32, rc: i32, place: i32) -> i32 {
        let (sign, p) = (place.signum(), usize::try_from(place.abs()).unwrap());
        let guess = if rc >= ra.max(rb) {
            ra.min(rb)
        } else if rc <= ra.min(rb) {
            ra.max(rb)
        } else {
            ra + rb - rc
        };
        let guess = (guess + sign * self.c[p]).clamp(0, self.range() - 1);
        let k = least(self.n[p], self.a[p]);
        let m = self.input.golomb(k, self.limit(), self.depth);
        let mut error = if m % 2 == 0 { m / 2 } else { -(m + 1) / 2 };
        if k == 0 && 2 * self.b[p] <= -self.n[p] {
            error = -(error + 1);
        }
        self.b[p] += error;
        self.a[p] += error.abs();
        if self.n[p] == RESET {
            for one in [&mut self.a[p], &mut self.b[p], &mut self.n[p]] {
                *one >>= 1;
            }
        }
        self.n[p] += 1;
        if self.b[p] <= -self.n[p] {
            self.b[p] = (self.b[p] + self.n[p]).max(1 - self.n[p]);
            self.c[p] = (self.c[p] - 1).max(-128);
        } else if self.b[p] > 0 {
            self.b[p] = (self.b[p] - self.n[p]).min(0);
            self.c[p] = (self.c[p] + 1).min(127);
        }
        (guess + sign * error).rem_euclid(self.range())
    }
}

fn least(count: i32, sum: i32) -> u32 {
    (0..).find(|k| count << k >= sum).unwrap()
}

fn decode(coded: &[u8], width: usize, height: usize, depth: u32) -> Vec<i32> {
    let start = (((1 << depth) + 32) >> 6).max(2);
    let mut decoder = Decoder {
        input: Bits {
            bytes: &coded[25..coded.len() - 2],
            at: 0,
            bit: 0,
        },
        depth,
        width,
        image: vec![0; width * height],
        corner: 0,
        a: [start; 367],
        b: [0; 367],
        c: [0; 367],
        n: [1; 367],
        nn: [0; 2],
        run_index: 0,
    };
    for line in 0..height {
        decoder.line(line * width);
    }
    decoder.image
}

fn holds(samples: &[u16], width: u16, height: u16, bytes: usize) {
    let raw: Vec<u8> = samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes().into_iter().take(bytes))
        .collect();
    let coded = encode(&raw, width, height, bytes).unwrap();
    let depth = if bytes == 1 { 8 } else { 16 };
    let back = decode(&coded, width.into(), height.into(), depth);
    let expect: Vec<i32> = samples.iter().map(|sample| i32::from(*sample)).collect();
    assert_eq!(back, expect);
}

proptest! {
    /// Flat parts, steps, noise and extremes, of any small size and either depth.
    #[test]
    fn what_is_coded_comes_back(
        width in 1_u16..40, height in 1_u16..12, two in any::<bool>(), spread in 0_u32..17,
        noise in prop::collection::vec(any::<u16>(), 480), flat in prop::collection::vec(0_usize..9, 480),
    ) {
        let count = usize::from(width) * usize::from(height);
        let mut samples: Vec<u16> = Vec::new();
        for at in 0..count {
            let last = samples.last().copied().unwrap_or(0);
            let change = noise[at].checked_shr(16 - spread.min(16)).unwrap_or(0);
            samples.push(if flat[at] > 3 { last } else { last.wrapping_add(change) });
        }
        if !two {
            samples.iter_mut().for_each(|sample| *sample &= 0xFF);
        }
        holds(&samples, width, height, if two { 2 } else { 1 });
    }
}

#[test]
fn extremes_come_back() {
    holds(&[0; 4096], 64, 64, 2);
    holds(&[u16::MAX; 4096], 4096, 1, 2);
    let chequered: Vec<u16> = (0..4095).map(|at| at % 2 * u16::MAX).collect();
    holds(&chequered, 63, 65, 2);
    let signs: Vec<u16> = (0..4096_u16)
        .map(|at| (at.wrapping_mul(at) % 7).wrapping_sub(3))
        .collect();
    holds(&signs, 64, 64, 2);
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    assert!(encode(&[0; 8], 2, 2, 1).is_none());
    assert!(encode(&[0; 16], 2, 2, 4).is_none());
    assert!(encode(&[], 0, 0, 1).is_none());
}
