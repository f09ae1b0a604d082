//! Round trips of every geometry, of real objects, and of bytes that nobody coded.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::ids::TransferSyntaxUid;
use crate::public_data::{dataset_of, files, public_data};

fn undone(records: &[Bytes], cut: usize) -> Result<Vec<u8>, Broken> {
    let mut decoder = Decoder::default();
    let mut out = Vec::new();
    for bytes in records.concat().chunks(cut.max(1)) {
        decoder.push(bytes);
        while let Some(bytes) = decoder.next_bytes()? {
            assert!(bytes.len() <= RECORD_MAX_BYTES);
            out.extend_from_slice(&bytes);
        }
    }
    assert!(decoder.is_between(), "a record was not taken to its end");
    Ok(out)
}

/// The records of a dataset from an offset on, as a sender makes them.
fn coded(dataset: &[u8], offset: u64, geometry: Option<&Geometry>) -> Vec<Bytes> {
    let mut encoder = Encoder::default();
    let (mut records, mut at) = (Vec::new(), offset);
    while at < dataset.len() as u64 {
        let piece = Piece::at(at, dataset.len() as u64, geometry);
        assert!(piece.length > 0 && piece.length <= RECORD_MAX_BYTES);
        let bytes = &dataset[at as usize..][..piece.length];
        records.push(encoder.record(bytes, piece.rows));
        at += piece.length as u64;
    }
    records
}

fn found(dataset: &[u8], syntax: &str, step: usize) -> Option<Geometry> {
    let syntax: TransferSyntaxUid = syntax.parse().unwrap();
    let mut finder = Finder::new(&syntax)?;
    while let Some(at) = finder.wants() {
        let rest = &dataset[at as usize..];
        finder.take(&rest[..rest.len().min(step)], dataset.len() as u64);
    }
    finder.found()
}

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";

/// What images are made of: flats, ramps, noise of every strength, and whatever.
fn samples(wide: bool) -> impl Strategy<Value = u16> {
    let most = if wide { u16::MAX } else { 0xFF };
    prop_oneof![
        4 => Just(0_u16),
        4 => 0..8_u16,
        2 => 0..200_u16,
        1 => Just(most),
        1 => 0..=most,
    ]
}

fn picture() -> impl Strategy<Value = (Rows, Vec<u8>)> {
    (1..70_usize, 1..9_usize, any::<bool>(), 0..40_usize).prop_flat_map(
        |(width, step, wide, height)| {
            let rows = Rows::new(width, step, wide).unwrap();
            let noise = prop::collection::vec(samples(wide), width * height);
            let slope = (0..300_u16, 0..300_u16, any::<u16>());
            (Just(rows), noise, slope).prop_map(move |(rows, noise, (across, down, base))| {
                let sample = |(at, noise): (usize, &u16)| {
                    let (x, y) = ((at % width) as u16, (at / width) as u16);
                    let flat = base.wrapping_add(x.wrapping_mul(across));
                    flat.wrapping_add(y.wrapping_mul(down)).wrapping_add(*noise)
                };
                let all = noise.iter().enumerate().map(sample);
                let bytes = if wide {
                    all.flat_map(u16::to_le_bytes).collect()
                } else {
                    all.map(|sample| sample as u8).collect()
                };
                (rows, bytes)
            })
        },
    )
}

proptest! {
    #[test]
    fn every_geometry_comes_back((rows, bytes) in picture(), cut in 1..5000_usize) {
        let record = Encoder::default().record(&bytes, Some(rows));
        prop_assert!(record.len() <= bytes.len() + 9);
        let records = if bytes.is_empty() { Vec::new() } else { vec![record] };
        prop_assert_eq!(undone(&records, cut), Ok(bytes));
    }

    #[test]
    fn an_encoder_that_was_used_before_makes_the_same(
        (rows, bytes) in picture(), (other_rows, other) in picture(),
    ) {
        let mut encoder = Encoder::default();
        let first = encoder.record(&bytes, Some(rows));
        drop(encoder.record(&other, Some(other_rows)));
        prop_assert_eq!(encoder.record(&bytes, Some(rows)), first);
    }

    #[test]
    fn bytes_that_nobody_coded_are_refused_or_bounded(
        mut bytes in prop::collection::vec(any::<u8>(), 0..3000), kind in 0..4_u8, length in 0..3000_u32,
        cut in 1..500_usize,
    ) {
        if let Some(head) = bytes.first_chunk_mut() {
            let [a, b, c, d] = length.to_be_bytes();
            *head = [kind, a, b, c, d];
        }
        let mut decoder = Decoder::default();
        for bytes in bytes.chunks(cut) {
            decoder.push(bytes);
            while let Ok(Some(bytes)) = decoder.next_bytes() {
                prop_assert!(bytes.len() <= RECORD_MAX_BYTES);
            }
        }
    }

    #[test]
    fn a_record_that_was_bent_is_refused_or_stands_for_as_many_bytes(
        (rows, bytes) in picture(), at in any::<prop::sample::Index>(), bend in 1..=255_u8,
    ) {
        let record = Encoder::default().record(&bytes, Some(rows));
        let mut bent = record.to_vec();
        *at.get_mut(&mut bent) ^= bend;
        let mut decoder = Decoder::default();
        decoder.push(&bent);
        if let Ok(Some(undone)) = decoder.next_bytes() {
            let said = u32::from_be_bytes(*bent[1..].first_chunk().unwrap());
            prop_assert!(undone.len() as u64 <= u64::from(said));
        }
    }
}

#[test]
fn a_record_says_no_more_than_the_bound() {
    let over = u32::try_from(RECORD_MAX_BYTES + 1).unwrap().to_be_bytes();
    for kind in 0..3 {
        let mut decoder = Decoder::default();
        decoder.push(&[kind]);
        decoder.push(&over);
        decoder.push(&[0, 0, 0, 1]);
        assert_eq!(decoder.next_bytes(), Err(Broken), "{kind}");
    }
    // a bomb: a little that zstd makes more of than was said
    let bomb = zstd::bulk::compress(&vec![0; 1 << 20], 1).unwrap();
    let mut decoder = Decoder::default();
    decoder.push(&[1, 0, 0, 16, 0, 0, 0, 0]);
    decoder.push(&[u8::try_from(bomb.len()).unwrap()]);
    decoder.push(&bomb);
    assert_eq!(decoder.next_bytes(), Err(Broken));
}

fn element(tag: (u16, u16), vr: &str, value: &[u8], explicit: bool) -> Vec<u8> {
    let mut out = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
    let length = u32::try_from(value.len()).unwrap();
    if !explicit {
        out.extend_from_slice(&length.to_le_bytes());
    } else if matches!(vr, "OW" | "SQ" | "UN") {
        out.extend_from_slice(vr.as_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&length.to_le_bytes());
    } else {
        out.extend_from_slice(vr.as_bytes());
        out.extend_from_slice(&u16::try_from(length).unwrap().to_le_bytes());
    }
    out.extend_from_slice(value);
    out
}

/// A dataset with a sequence of undefined length that holds pixels of its own in front.
fn dataset(
    columns: u16,
    bits: u16,
    components: u16,
    planar: u16,
    explicit: bool,
) -> (Vec<u8>, usize) {
    let number = |tag, value: u16| element(tag, "US", &value.to_le_bytes(), explicit);
    let mut open = element((0x0088, 0x0200), "SQ", &[], explicit);
    let length = open.len() - 4;
    open[length..].fill(0xFF);
    let thumbnail = [
        number((0x0028, 0x0011), 3),
        element((0x7FE0, 0x0010), "OW", &[1; 18], explicit),
    ];
    let mut out = [
        element((0x0008, 0x0060), "CS", b"CT", explicit),
        open,
        vec![0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF],
        thumbnail.concat(),
        vec![0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0],
        vec![0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0],
    ]
    .concat();
    // tags need not be in order for the finder
    out.extend(
        [
            number((0x0028, 0x0002), components),
            number((0x0028, 0x0006), planar),
            number((0x0028, 0x0011), columns),
            number((0x0028, 0x0100), bits),
        ]
        .concat(),
    );
    let row = usize::from(columns) * usize::from(components) * usize::from(bits) / 8;
    let pixels: Vec<u8> = (0..row * 37).map(|at| (at / 7 + at % 3) as u8).collect();
    out.extend(element((0x7FE0, 0x0010), "OW", &pixels, explicit));
    let end = out.len();
    out.extend(element((0xFFFC, 0xFFFC), "OB", &[0; 100], false));
    (out, end - pixels.len())
}

#[test]
fn pixels_are_found_in_every_geometry_and_resumed_anywhere() {
    for explicit in [true, false] {
        let syntax = if explicit { EXPLICIT } else { IMPLICIT };
        for (bits, components, planar) in [
            (8, 1, 0),
            (8, 3, 0),
            (8, 3, 1),
            (16, 1, 0),
            (16, 3, 0),
            (32, 1, 0),
        ] {
            let (bytes, begin) = dataset(21, bits, components, planar, explicit);
            let geometry = found(&bytes, syntax, 64).expect("its pixels");
            assert_eq!(found(&bytes, syntax, usize::MAX), Some(geometry));
            let piece = Piece::at(begin as u64, bytes.len() as u64, Some(&geometry));
            assert!(
                piece.rows.is_some(),
                "{bits} {components} {planar} {explicit}"
            );
            for offset in (0..bytes.len())
                .step_by(97)
                .chain([begin, begin + 1, bytes.len()])
            {
                let records = coded(&bytes, offset as u64, Some(&geometry));
                assert_eq!(undone(&records, 1000).unwrap(), &bytes[offset..]);
            }
        }
    }
}

#[test]
fn what_has_no_such_pixels_is_coded_without() {
    let (bytes, _) = dataset(21, 1, 1, 0, true);
    assert_eq!(found(&bytes, EXPLICIT, 64), None);
    for coded_syntax in [
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.4.80",
    ] {
        assert!(Finder::new(&coded_syntax.parse().unwrap()).is_none());
    }
    for length in [0, 1, 63, 64, 300_000] {
        let bytes = vec![7; length];
        assert_eq!(found(&bytes, IMPLICIT, 64), None);
        assert_eq!(undone(&coded(&bytes, 0, None), 77).unwrap(), bytes);
    }
}

#[test]
fn every_public_object_comes_back_and_pictures_get_smaller() {
    let Some(folder) = public_data() else { return };
    let (mut pictures, mut raw, mut small) = (0, 0, 0);
    for path in files(&folder) {
        let file = std::fs::read(&path).unwrap();
        let (syntax, dataset) = dataset_of(&file);
        if syntax.parse::<TransferSyntaxUid>().is_err() || ![EXPLICIT, IMPLICIT].contains(&&*syntax)
        {
            continue;
        }
        let geometry = found(dataset, &syntax, 4096);
        let records = coded(dataset, 0, geometry.as_ref());
        assert!(
            undone(&records, 100_000).unwrap() == dataset,
            "{}",
            path.display()
        );
        if geometry.is_some() && dataset.len() > 100_000 {
            pictures += 1;
            raw += dataset.len();
            small += records.iter().map(Bytes::len).sum::<usize>();
        }
    }
    assert!(pictures > 50, "{pictures}");
    assert!(small * 5 < raw * 2, "{small} of {raw} bytes");
}
