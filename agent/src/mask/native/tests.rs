//! Every layout against a slow picture of its pixels: inside the rectangles black, outside not one bit changed, in pieces of any size.

use super::*;

fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// Bit `n` of the pixel data.
fn bit(bytes: &[u8], n: u64) -> u8 {
    bytes[(n / 8) as usize] >> (n % 8) & 1
}

/// Where the bits of a sample lie, said once more and slowly.
fn bits_of(it: &Layout, frame: u64, plane: u64, row: u64, column: u64) -> std::ops::Range<u64> {
    let (rows, columns) = (u64::from(it.rows), u64::from(it.columns));
    let (bits, samples) = (u64::from(it.allocated), u64::from(it.samples));
    let pixel = (frame * rows + row) * columns + column;
    let at = if it.photometric.ends_with("422") {
        let pair = pixel / 2 * 4;
        let byte = match plane {
            0 => pair + pixel % 2,
            other => pair + 1 + other,
        };
        return byte * 8..byte * 8 + 8;
    } else if it.planar {
        ((frame * samples + plane) * rows + row) * columns + column
    } else {
        pixel * samples + plane
    };
    at * bits..at * bits + bits
}

fn black(it: &Layout, plane: u64) -> u64 {
    match (it.photometric.as_str(), plane) {
        ("MONOCHROME1", _) => (1 << it.stored) - 1,
        ("PALETTE COLOR", _) => u64::from(it.darkest),
        ("YBR_FULL", 1 | 2) => 1 << (it.stored - 1),
        ("YBR_FULL_422" | "YBR_PARTIAL_422", 1 | 2) => 128,
        ("YBR_PARTIAL_422", 0) => 16,
        _ => 0,
    }
}

fn check(it: &Layout, seed: u64) {
    let mut random = seed;
    let mut rectangles = Vec::new();
    for _ in 0..next(&mut random) % 4 {
        let mut edge = |size: u32| u32::try_from(next(&mut random) % u64::from(size + 3)).unwrap();
        let (left, right, top, bottom) = (
            edge(it.columns),
            edge(it.columns),
            edge(it.rows),
            edge(it.rows),
        );
        rectangles.push(Rectangle {
            left,
            top,
            right,
            bottom,
        });
    }
    let made = Black::new(it, &rectangles).unwrap_or_else(|| panic!("seed {seed}: {it:?}"));
    let before: Vec<u8> = (0..made.length() + 1)
        .map(|_| next(&mut random).to_le_bytes()[0])
        .collect();
    let mut after = before.clone();
    let mut at = 0;
    while at < after.len() {
        let end = (at + 1 + (next(&mut random) % 40) as usize).min(after.len());
        made.apply(at as u64, &mut after[at..end]);
        at = end;
    }
    let paired = it.photometric.ends_with("422");
    let inside = |row: u64, column: u64| {
        rectangles.iter().any(|one| {
            (u64::from(one.top)..u64::from(one.bottom)).contains(&row)
                && (u64::from(one.left)..u64::from(one.right)).contains(&column)
        })
    };
    let mut expected = before.clone();
    for frame in 0..it.frames {
        for row in 0..u64::from(it.rows) {
            for column in 0..u64::from(it.columns) {
                let pair = column ^ 1;
                let whole = inside(row, column) || (paired && inside(row, pair));
                for plane in (0..u64::from(it.samples)).filter(|_| whole) {
                    for (nth, n) in bits_of(it, frame, plane, row, column).enumerate() {
                        let black = u8::try_from(black(it, plane) >> nth & 1).unwrap();
                        let byte = &mut expected[(n / 8) as usize];
                        *byte = (*byte & !(1 << (n % 8))) | black << (n % 8);
                    }
                }
            }
        }
    }
    let differs = (0..before.len() as u64 * 8).find(|n| bit(&after, *n) != bit(&expected, *n));
    assert_eq!(differs, None, "seed {seed}: {it:?} {rectangles:?}");
}

#[test]
fn every_layout_is_black_inside_and_untouched_outside() {
    let layouts: [(&str, u16, bool, u16, u16); 12] = [
        ("MONOCHROME2", 1, false, 1, 1),
        ("MONOCHROME2", 1, false, 8, 8),
        ("MONOCHROME1", 1, false, 16, 12),
        ("MONOCHROME2", 1, false, 32, 32),
        ("PALETTE COLOR", 1, false, 8, 8),
        ("PALETTE COLOR", 1, false, 16, 16),
        ("RGB", 3, false, 8, 8),
        ("RGB", 3, true, 16, 16),
        ("YBR_FULL", 3, false, 8, 8),
        ("YBR_FULL", 3, true, 8, 8),
        ("YBR_FULL_422", 3, false, 8, 8),
        ("YBR_PARTIAL_422", 3, false, 8, 8),
    ];
    for seed in 1..=60_u64 {
        for (photometric, samples, planar, allocated, stored) in layouts {
            check(
                &Layout {
                    rows: 5 + u32::try_from(seed % 7).unwrap(),
                    columns: 6 + 2 * u32::try_from(seed % 5).unwrap(),
                    frames: 1 + seed % 3,
                    samples,
                    planar,
                    allocated,
                    stored,
                    high: stored - 1,
                    signed: false,
                    photometric: photometric.to_owned(),
                    darkest: 37,
                },
                seed,
            );
        }
    }
}

#[test]
fn what_is_black_depends_on_how_greys_are_written() {
    let grey = |photometric: &str, stored, high, signed| Layout {
        rows: 1,
        columns: 1,
        frames: 1,
        samples: 1,
        allocated: 16,
        stored,
        high,
        signed,
        photometric: photometric.to_owned(),
        ..Layout::default()
    };
    let cell = |it: Layout| {
        let whole = Rectangle {
            left: 0,
            top: 0,
            right: 1,
            bottom: 1,
        };
        let mut bytes = [0x5A; 2];
        Black::new(&it, &[whole]).unwrap().apply(0, &mut bytes);
        u16::from_le_bytes(bytes)
    };
    assert_eq!(cell(grey("MONOCHROME2", 12, 11, false)), 0);
    assert_eq!(cell(grey("MONOCHROME1", 12, 11, false)), 0x0FFF);
    assert_eq!(cell(grey("MONOCHROME1", 12, 15, false)), 0xFFF0);
    assert_eq!(cell(grey("MONOCHROME2", 12, 11, true)), 0xF800);
    assert_eq!(cell(grey("MONOCHROME1", 12, 11, true)), 0x07FF);
    assert_eq!(cell(grey("MONOCHROME2", 16, 15, true)), 0x8000);
}

#[test]
fn what_is_not_understood_is_not_blacked() {
    let good = Layout {
        rows: 4,
        columns: 4,
        frames: 1,
        samples: 3,
        allocated: 8,
        stored: 8,
        high: 7,
        photometric: "RGB".to_owned(),
        ..Layout::default()
    };
    assert!(Black::new(&good, &[]).is_some());
    for bad in [
        Layout {
            photometric: "HSV".to_owned(),
            ..good.clone()
        },
        Layout {
            allocated: 12,
            ..good.clone()
        },
        Layout {
            samples: 4,
            ..good.clone()
        },
        Layout {
            frames: 0,
            ..good.clone()
        },
        Layout {
            stored: 0,
            ..good.clone()
        },
        Layout {
            columns: 5,
            photometric: "YBR_FULL_422".to_owned(),
            ..good.clone()
        },
        Layout {
            rows: u32::MAX,
            columns: u32::MAX,
            frames: u64::MAX,
            ..good
        },
    ] {
        assert_eq!(Black::new(&bad, &[]), None, "{bad:?}");
    }
}
