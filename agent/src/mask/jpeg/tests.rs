//! Frames of many kinds are blacked out: what is masked is black, everything else keeps its coefficients; rubbish harms nobody.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::bits::Reader;
use super::huffman::Table;
use super::picture::Choice;
use super::scan::Grid;
use super::*;

const ROWS: u32 = 59;
const COLUMNS: u32 = 77;

/// Numbers that look random and are the same each time (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % below
    }
}

fn said(photometric: &str) -> Layout {
    Layout {
        rows: ROWS,
        columns: COLUMNS,
        photometric: photometric.to_owned(),
        ..Layout::default()
    }
}

fn rectangle(left: u32, top: u32, right: u32, bottom: u32) -> Rectangle {
    Rectangle {
        left,
        top,
        right,
        bottom,
    }
}

/// A bright picture with letters' worth of edges in it.
fn samples(per_pixel: u32) -> Vec<u8> {
    let mut numbers = Numbers(7);
    (0..ROWS * COLUMNS * per_pixel)
        .map(|at| {
            let (x, y) = (at / per_pixel % COLUMNS, at / per_pixel / COLUMNS);
            let stroke = if (x / 3 + y / 5) % 2 == 0 { 90 } else { 0 };
            u8::try_from(100 + stroke + numbers.next(60)).unwrap()
        })
        .collect()
}

struct Kind {
    colour: ColorType,
    sampling: SamplingFactor,
    restart: u16,
    optimised: bool,
    quality: u8,
}

fn encoded(kind: &Kind) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, kind.quality);
    encoder.set_sampling_factor(kind.sampling);
    encoder.set_restart_interval(kind.restart);
    encoder.set_optimized_huffman_tables(kind.optimised);
    encoder
        .add_app_segment(9, b"PATIENT^ONE in application data".to_vec())
        .unwrap();
    let pixels = samples(if kind.colour == ColorType::Luma { 1 } else { 3 });
    let (columns, rows) = (COLUMNS.try_into().unwrap(), ROWS.try_into().unwrap());
    encoder.encode(&pixels, columns, rows, kind.colour).unwrap();
    out
}

fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    for (colour, sampling) in [
        (ColorType::Luma, SamplingFactor::F_1_1),
        (ColorType::Rgb, SamplingFactor::F_1_1),
        (ColorType::Ycbcr, SamplingFactor::F_2_1),
        (ColorType::Rgb, SamplingFactor::F_1_2),
        (ColorType::Rgb, SamplingFactor::F_2_2),
        (ColorType::Rgb, SamplingFactor::F_4_1),
        (ColorType::Rgb, SamplingFactor::F_4_2),
    ] {
        for (restart, optimised, quality) in [
            (0, false, 100),
            (0, true, 70),
            (3, false, 30),
            (1, false, 95),
        ] {
            kinds.push(Kind {
                colour,
                sampling,
                restart,
                optimised,
                quality,
            });
        }
    }
    kinds
}

/// Component, place of the unit, and coefficients as they are quantised.
type Block = (usize, (u32, u32), [i64; 64]);

/// Every block of a frame, in the order of its scans.
fn blocks(frame: &[u8]) -> Vec<Block> {
    let (mut tables, mut picture, mut restart) = (Tables::default(), None, 0);
    let (mut at, mut found) = (2, Vec::new());
    while frame[at + 1] != EOI {
        let marker = frame[at + 1];
        let length = usize::from(u16::from_be_bytes([frame[at + 2], frame[at + 3]]));
        let segment = &frame[at + 4..at + 2 + length];
        at += 2 + length;
        match marker {
            DQT => tables.divisors(segment).unwrap(),
            DHT => tables.huffman(segment).unwrap(),
            DRI => restart = u32::from(u16::from_be_bytes([segment[0], segment[1]])),
            0xC0 | 0xC1 => picture = Some(Picture::read(segment).unwrap()),
            SOS => {
                let picture = picture.as_ref().unwrap();
                let chosen = picture.chosen(segment).unwrap();
                let grid = picture.grid(&chosen, restart);
                let scan = (&chosen[..], &grid, picture);
                at = scanned(frame, at, scan, &tables, &mut found);
            }
            _ => {}
        }
    }
    found
}

fn scanned(
    frame: &[u8],
    at: usize,
    (chosen, grid, picture): (&[Choice], &Grid, &Picture),
    tables: &Tables,
    found: &mut Vec<Block>,
) -> usize {
    let (mut reader, mut before) = (Reader::new(frame, at), [0; 3]);
    for unit in 0..grid.across * grid.down {
        if grid.restart > 0 && unit > 0 && unit % grid.restart == 0 {
            reader = Reader::new(frame, reader.end() + 2);
            before = [0; 3];
        }
        let (x, y) = (unit % grid.across, unit / grid.across);
        let place = (x / grid.shared.0, y / grid.shared.1);
        for choice in chosen {
            let component = &picture.components[choice.component];
            let count = match chosen.len() {
                1 => 1,
                _ => component.across * component.down,
            };
            for _ in 0..count {
                let dc = tables.read[usize::from(choice.dc)].as_ref().unwrap();
                let ac = tables.ac[usize::from(choice.ac)].as_ref().unwrap();
                let mut block = [0; 64];
                before[choice.component] += value(dc, &mut reader).1;
                block[0] = before[choice.component];
                let mut zigzag = 1;
                while zigzag < 64 {
                    let (symbol, value) = value(ac, &mut reader);
                    if symbol == 0 {
                        break;
                    }
                    zigzag += usize::from(symbol >> 4);
                    block[zigzag] = value;
                    zigzag += 1;
                }
                found.push((choice.component, place, block));
            }
        }
    }
    reader.end()
}

fn value(table: &Table, reader: &mut Reader<'_>) -> (u8, i64) {
    let symbol = table.read(reader).unwrap();
    let size = symbol & 15;
    let bits = i64::from(reader.take(size).unwrap());
    let negative = size > 0 && bits >> (size - 1) == 0;
    (
        symbol,
        if negative {
            bits - (1 << size) + 1
        } else {
            bits
        },
    )
}

/// The size of a unit of the frame, in pixels.
fn unit(frame: &[u8]) -> (u32, u32) {
    let at = frame
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    match (frame[at + 9], frame[at + 11]) {
        (1, _) => (8, 8),
        (_, sampling) => (8 * u32::from(sampling >> 4), 8 * u32::from(sampling & 15)),
    }
}

#[test]
fn what_a_rectangle_touches_is_black_and_every_other_coefficient_stays() {
    let rectangles = [
        rectangle(0, 0, COLUMNS, 5),
        rectangle(40, 33, 41, 34),
        rectangle(64, 48, 4000, 50),
        rectangle(9, 9, 9, 50),
    ];
    for kind in kinds() {
        let frame = encoded(&kind);
        let masked = black_out(&frame, &rectangles, &said("YBR_FULL_422")).unwrap();
        let (width, height) = unit(&frame);
        let (before, after) = (blocks(&frame), blocks(&masked));
        assert_eq!(before.len(), after.len());
        let mut blackened = 0;
        for ((component, place, was), (_, _, is)) in before.iter().zip(&after) {
            let (left, top) = (place.0 * width, place.1 * height);
            let cell = rectangle(left, top, left + width, top + height);
            let hit = rectangles
                .iter()
                .any(|one| !one.is_empty() && one.meet(&cell).is_some());
            if !hit {
                assert_eq!(was, is, "component {component} at {place:?}");
                continue;
            }
            blackened += 1;
            assert!(is[1..].iter().all(|coefficient| *coefficient == 0));
            assert_eq!(
                is[0] == 0,
                *component > 0,
                "component {component}: {}",
                is[0]
            );
        }
        assert!(blackened > 0);
        assert!(!masked.windows(7).any(|window| window == b"PATIENT"));
    }
}

#[test]
fn another_decoder_sees_black_there_and_the_same_elsewhere() {
    let rectangles = [rectangle(16, 16, 48, 32)];
    for (colour, black, shade) in [
        (ColorType::Luma, "MONOCHROME2", 0),
        (ColorType::Luma, "MONOCHROME1", 255),
        (ColorType::Rgb, "YBR_FULL", 0),
    ] {
        let frame = encoded(&Kind {
            colour,
            sampling: SamplingFactor::F_1_1,
            restart: 0,
            optimised: true,
            quality: 60,
        });
        let masked = black_out(&frame, &rectangles, &said(black)).unwrap();
        let decoded = |frame: &[u8]| image::load_from_memory(frame).unwrap().to_rgb8();
        let (was, is) = (decoded(&frame), decoded(&masked));
        for (x, y, pixel) in is.enumerate_pixels() {
            if (16..48).contains(&x) && (16..32).contains(&y) {
                assert_eq!(pixel.0, [shade; 3], "at {x}, {y}");
            } else {
                assert_eq!(pixel, was.get_pixel(x, y), "at {x}, {y}");
            }
        }
    }
}

#[test]
fn a_table_without_a_code_for_black_is_replaced() {
    // one even shade: the frame's own table of DC differences has two codes
    let mut frame = Vec::new();
    let mut encoder = Encoder::new(&mut frame, 50);
    encoder.set_optimized_huffman_tables(true);
    let pixels = vec![200; usize::try_from(ROWS * COLUMNS).unwrap()];
    let (columns, rows) = (COLUMNS.try_into().unwrap(), ROWS.try_into().unwrap());
    encoder
        .encode(&pixels, columns, rows, ColorType::Luma)
        .unwrap();
    let masked = black_out(&frame, &[rectangle(8, 8, 16, 16)], &said("MONOCHROME2")).unwrap();
    let tables = |frame: &[u8]| frame.windows(2).filter(|two| *two == [0xFF, DHT]).count();
    assert_eq!(tables(&masked), tables(&frame) + 1);
    let is = image::load_from_memory(&masked).unwrap().to_luma8();
    for (x, y, pixel) in is.enumerate_pixels() {
        let black = (8..16).contains(&x) && (8..16).contains(&y);
        assert_eq!(pixel.0 == [0], black, "at {x}, {y}");
    }
}

#[test]
fn what_is_not_sequential_or_not_as_said_is_refused() {
    let kind = &kinds()[0];
    let frame = encoded(kind);
    let mut progressive = Vec::new();
    let mut encoder = Encoder::new(&mut progressive, 80);
    encoder.set_progressive(true);
    let (columns, rows) = (COLUMNS.try_into().unwrap(), ROWS.try_into().unwrap());
    encoder
        .encode(&samples(1), columns, rows, ColorType::Luma)
        .unwrap();
    let of = &said("MONOCHROME2");
    assert_eq!(
        black_out(&progressive, &[], of),
        Err(JpegError::Unsupported)
    );
    let other = &Layout {
        rows: 80,
        ..of.clone()
    };
    assert!(matches!(
        black_out(&frame, &[], other),
        Err(JpegError::Broken(_))
    ));
    for end in 0..frame.len() - 2 {
        assert!(black_out(&frame[..end], &[], of).is_err(), "cut at {end}");
    }
    let mut longer = frame.clone();
    longer.extend(b"PATIENT^ONE behind the end");
    assert_eq!(black_out(&longer, &[], of), black_out(&frame, &[], of));
}

#[test]
fn rubbish_is_refused_or_read_and_never_more() {
    let rectangles = [rectangle(0, 0, 60, 9), rectangle(50, 40, 70, 80)];
    let mut numbers = Numbers(0x5EED);
    let frames: Vec<Vec<u8>> = kinds().iter().map(encoded).collect();
    let (mut read, mut refused) = (0, 0);
    for _ in 0..2000 {
        let mut frame = frames[numbers.next(frames.len())].clone();
        for _ in 0..1 + numbers.next(6) {
            // half of the changes lie in the headers
            let within = [frame.len(), 700.min(frame.len())][numbers.next(2)];
            let at = numbers.next(within);
            frame[at] = u8::try_from(numbers.next(256)).unwrap();
        }
        frame.truncate(frame.len() - [0, numbers.next(frame.len())][numbers.next(2)]);
        match black_out(&frame, &rectangles, &said("YBR_FULL_422")) {
            Ok(masked) => {
                read += 1;
                assert!(masked.len() < 32 * frame.len());
            }
            Err(_) => refused += 1,
        }
    }
    assert!(
        read > 100 && refused > 100,
        "{read} read, {refused} refused"
    );
}
