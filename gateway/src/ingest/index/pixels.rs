//! From where pixel data lie to where each frame lies: by size, by offset table, or by where code streams begin.

use super::facts::Facts;
use super::walk::{Fragment, Pixels};
use crate::archive::frames::{Frames, Stretch};

/// The frames of an image whose header says `facts`.
pub(super) fn frames(pixels: Pixels, extended: &[u8], facts: &Facts) -> Frames {
    match pixels {
        Pixels::Without => Frames::Without,
        Pixels::Native { value, word } => native(value, word, facts),
        Pixels::Encapsulated { table, fragments } => {
            encapsulated(&table, extended, &fragments, facts.frames.max(1))
        }
    }
}

/// PS3.5 8.1.1 and PS3.3 C.7.6.3.1.2: in uncompressed 4:2:2 two samples are shared by two pixels, in 4:2:0 by four.
fn native(value: Stretch, word: u8, facts: &Facts) -> Frames {
    let samples_twice = match facts.photometric.as_str() {
        "YBR_FULL_422" | "YBR_PARTIAL_422" => 4,
        "YBR_PARTIAL_420" => 3,
        _ => 2 * facts.samples.max(1),
    };
    let bits = [
        facts.rows,
        facts.columns,
        facts.bits_allocated,
        samples_twice,
    ]
    .into_iter()
    .try_fold(1_u64, u64::checked_mul)
    .map(|twice| twice / 2);
    let there = value.length.checked_mul(8);
    match (bits, there) {
        (Some(frame_bits), Some(there)) if frame_bits > 0 && frame_bits <= there => {
            Frames::Native {
                value,
                frame_bits,
                count: (there / frame_bits).min(facts.frames.max(1)),
                word,
            }
        }
        _ => Frames::Invalid,
    }
}

fn encapsulated(table: &[u8], extended: &[u8], fragments: &[Fragment], frames: u64) -> Frames {
    let count = usize::try_from(frames).unwrap_or(usize::MAX);
    if fragments.is_empty() {
        return Frames::Invalid;
    }
    if count == 1 {
        return Frames::Fragments(vec![fragments.iter().map(|one| one.at).collect()]);
    }
    // PS3.3 C.7.6.3.1.8, then PS3.5 A.4
    let wide: Vec<u64> = chunks(extended, u64::from_le_bytes);
    let narrow: Vec<u64> = chunks(table, |four| u64::from(u32::from_le_bytes(four)));
    for offsets in [wide, narrow] {
        if let Some(grouped) = (offsets.len() == count)
            .then(|| by_offsets(&offsets, fragments))
            .flatten()
        {
            return Frames::Fragments(grouped);
        }
    }
    if fragments.len() == count {
        return Frames::Fragments(fragments.iter().map(|one| vec![one.at]).collect());
    }
    let grouped = by_beginnings(fragments);
    if grouped.len() == count {
        return Frames::Fragments(grouped);
    }
    Frames::Whole(fragments.iter().map(|one| one.at).collect())
}

fn chunks<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> u64) -> Vec<u64> {
    bytes
        .chunks_exact(N)
        .filter_map(|chunk| Some(number(*chunk.first_chunk()?)))
        .collect()
}

/// Groups fragments by a table, if every offset is where a fragment begins and the first is the first.
fn by_offsets(offsets: &[u64], fragments: &[Fragment]) -> Option<Vec<Vec<Stretch>>> {
    let mut out: Vec<Vec<Stretch>> = Vec::with_capacity(offsets.len());
    let mut next = offsets.iter().peekable();
    for one in fragments {
        if next.peek().is_some_and(|offset| **offset == one.relative) {
            next.next();
            out.push(Vec::new());
        }
        out.last_mut()?.push(one.at);
    }
    next.peek().is_none().then_some(out)
}

/// Groups fragments by where a code stream begins: JPEG and JPEG-LS (SOI), JPEG 2000 (SOC, or its file format), JPEG XL.
fn by_beginnings(fragments: &[Fragment]) -> Vec<Vec<Stretch>> {
    let mut out: Vec<Vec<Stretch>> = Vec::new();
    for one in fragments {
        let begins = matches!(
            one.begins,
            [0xFF, 0xD8, 0xFF, _] | [0xFF, 0x4F, 0xFF, 0x51] | [0, 0, 0, 0x0C] | [0xFF, 0x0A, _, _]
        );
        match out.last_mut() {
            Some(frame) if !begins => frame.push(one.at),
            _ => out.push(vec![one.at]),
        }
    }
    out
}
