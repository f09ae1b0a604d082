//! The bounds, the filing attributes, and every public file.

use super::*;
use crate::public_data::{dataset_of, files, public_data};

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";

fn scan(bytes: &[u8], syntax: &str) -> Result<Scan, PrescanError> {
    prescan(bytes, &syntax.parse().unwrap(), &Limits::default())
}

fn check(bytes: &[u8], syntax: &str, expect: &str) {
    let told = match scan(bytes, syntax) {
        Ok(scan) => format!("{} elements, depth {}", scan.elements, scan.depth),
        Err(error) => error.to_string(),
    };
    assert_eq!(told, expect);
}

/// An explicit VR little endian element with a long length.
fn long(tag: (u16, u16), vr: &str, length: u32, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(tag.0.to_le_bytes());
    out.extend(tag.1.to_le_bytes());
    out.extend(vr.as_bytes());
    out.extend([0, 0]);
    out.extend(length.to_le_bytes());
    out.extend(value);
    out
}

fn short(tag: (u16, u16), vr: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(tag.0.to_le_bytes());
    out.extend(tag.1.to_le_bytes());
    out.extend(vr.as_bytes());
    out.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
    out.extend(value);
    out
}

fn bare(element: u16, length: u32, value: &[u8]) -> Vec<u8> {
    let mut out = vec![0xFE, 0xFF];
    out.extend(element.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(value);
    out
}

const OPEN: u32 = u32::MAX;

#[test]
fn the_attributes_by_which_an_instance_is_filed() {
    let bytes = [
        short((0x0008, 0x0005), "CS", b"ISO_IR 126"),
        short((0x0008, 0x0016), "UI", b"1.2.840.10008.5.1.4.1.1.2\0"),
        short((0x0008, 0x0018), "UI", b"1.2.3\0"),
        short((0x0008, 0x0060), "CS", b"CT"),
        short((0x0008, 0x0050), "SH", b"A-77"),
        short((0x0010, 0x0010), "PN", &[b'x'; 5000]),
        short((0x0010, 0x0020), "LO", b"\xC4-1 "),
        short((0x0020, 0x000D), "UI", b"1.2\0"),
        short((0x0020, 0x000E), "UI", b""),
        long((0x7FE0, 0x0010), "OW", 4, b"abcd"),
    ]
    .concat();
    let limits = Limits {
        digest_pixels: true,
        ..Limits::default()
    };
    let scan = prescan(&bytes[..], &EXPLICIT.parse().unwrap(), &limits).unwrap();
    assert_eq!(scan.study.unwrap().as_str(), "1.2");
    assert_eq!(scan.series, None);
    assert_eq!(scan.instance.unwrap().as_str(), "1.2.3");
    assert_eq!(scan.class.unwrap().as_str(), "1.2.840.10008.5.1.4.1.1.2");
    assert_eq!(scan.modality, "CT");
    assert_eq!(scan.patient_id.reveal(), "Δ-1");
    assert_eq!(scan.accession.reveal(), "A-77");
    assert!(scan.patient_name.is_empty());
    assert_eq!(scan.bytes, bytes.len() as u64);
    assert_eq!(scan.pixel_digest, Some(Digest::of(b"abcd")));
    let pixels = scan.pixel_data.unwrap();
    assert_eq!(pixels.value_offset, bytes.len() as u64 - 4);
    assert_eq!(pixels.offset, pixels.value_offset - 12);
    assert_eq!(pixels.length, Some(4));
}

#[test]
fn nesting_is_counted_and_bounded_without_recursion() {
    let deep = |levels: usize| {
        let mut bytes = Vec::new();
        for _ in 0..levels {
            bytes.extend(long((0x0040, 0xA730), "SQ", OPEN, &bare(0xE000, OPEN, b"")));
        }
        for _ in 0..levels {
            bytes.extend(bare(0xE00D, 0, b""));
            bytes.extend(bare(0xE0DD, 0, b""));
        }
        bytes
    };
    check(&deep(64), EXPLICIT, "64 elements, depth 64");
    check(
        &deep(65),
        EXPLICIT,
        "nesting or size limit: more than 64 levels of sequences",
    );
    check(
        &deep(200_000),
        EXPLICIT,
        "nesting or size limit: more than 64 levels of sequences",
    );
    let limits = Limits {
        depth: usize::MAX,
        items: u64::MAX,
        ..Limits::default()
    };
    let scan = prescan(&deep(200_000)[..], &EXPLICIT.parse().unwrap(), &limits).unwrap();
    assert_eq!(scan.depth, 200_000);
}

#[test]
fn counts_are_bounded() {
    let many = short((0x0009, 0x0001), "SH", b"").repeat(1_000_001);
    check(
        &many,
        EXPLICIT,
        "nesting or size limit: more than 1000000 elements",
    );
    let items = bare(0xE000, 0, b"").repeat(200_001);
    let length = u32::try_from(items.len()).unwrap();
    let many = long((0x0008, 0x1140), "SQ", length, &items);
    check(
        &many,
        EXPLICIT,
        "nesting or size limit: more than 200000 items",
    );
}

#[test]
fn lengths_are_not_believed() {
    let lie = long((0x0009, 0x0001), "OW", 4_000_000_000, b"abcd");
    check(
        &lie,
        EXPLICIT,
        "the dataset ends inside an element at byte 0",
    );
    let limits = Limits {
        total_bytes: Some(lie.len() as u64),
        ..Limits::default()
    };
    let told = prescan(&lie[..], &EXPLICIT.parse().unwrap(), &limits).unwrap_err();
    assert!(matches!(told, PrescanError::Truncated { at: 0 }));
    let inner = short((0x0008, 0x1150), "UI", b"1.2.3.4.");
    let item = bare(0xE000, 10, &inner);
    let beyond = long((0x0008, 0x1140), "SQ", 24, &item);
    check(
        &beyond,
        EXPLICIT,
        "the length of (0008,1150) at byte 20 reaches beyond what encloses it",
    );
    let item = bare(0xE000, 40, &inner);
    let beyond = long((0x0008, 0x1140), "SQ", 24, &item);
    check(
        &beyond,
        EXPLICIT,
        "the length of (FFFE,E000) at byte 12 reaches beyond what encloses it",
    );
}

#[test]
fn every_cut_is_noticed() {
    let whole = [
        short((0x0008, 0x0018), "UI", b"1.2.3\0"),
        long(
            (0x0040, 0xA730),
            "SQ",
            OPEN,
            &bare(0xE000, OPEN, &short((0x0040, 0xA040), "CS", b"TEXT")),
        ),
        bare(0xE00D, 0, b""),
        bare(0xE0DD, 0, b""),
        long((0x7FE0, 0x0010), "OB", OPEN, &bare(0xE000, 0, b"")),
        bare(0xE000, 4, b"abcd"),
        bare(0xE0DD, 0, b""),
    ]
    .concat();
    assert_eq!(scan(&whole, EXPLICIT).unwrap().items, 3);
    // only between two elements at the top level does a cut leave a whole dataset
    let clean: Vec<usize> = (0..whole.len())
        .filter(|cut| scan(&whole[..*cut], EXPLICIT).is_ok())
        .collect();
    assert_eq!(clean, [0, 14, 62]);
}

#[test]
fn delimiters_out_of_place() {
    check(
        &bare(0xE00D, 0, b""),
        EXPLICIT,
        "item or delimiter out of place at byte 0",
    );
    check(
        &bare(0xE000, 0, b""),
        IMPLICIT,
        "item or delimiter out of place at byte 0",
    );
    let twice = [
        long((0x0008, 0x1140), "SQ", OPEN, &bare(0xE00D, 0, b"")),
        bare(0xE000, 0, b""),
    ]
    .concat();
    check(
        &twice,
        EXPLICIT,
        "item or delimiter out of place at byte 12",
    );
}

/// A dataset in a syntax, the remarks on it, and where nobody can read on.
type Strange = (Vec<u8>, &'static str, &'static [Remark], Option<u64>);

#[test]
#[expect(clippy::too_many_lines, reason = "a table stays a table")]
fn what_is_strange_is_remarked_and_what_nobody_can_read_is_placed() {
    use Remark::{ForeignGroup, LeadingZeros, OddLength, UnknownVr};
    let uid = |value: &[u8]| short((0x0020, 0x000D), "UI", value);
    let inside = |inner: &[u8]| {
        let item = bare(0xE000, u32::try_from(inner.len()).unwrap(), inner);
        long(
            (0x0040, 0xA730),
            "SQ",
            u32::try_from(item.len()).unwrap(),
            &item,
        )
    };
    let unknown = |vr| long((0x0029, 0x1001), vr, 4, b"abcd");
    let implicit = [0x29, 0, 1, 0x10, 3, 0, 0, 0, b'a', b'b', b'c'];
    let table: [Strange; 16] = [
        (uid(b"1.2.0.30"), EXPLICIT, &[], None),
        (uid(b"1.02"), EXPLICIT, &[LeadingZeros], None),
        (uid(b"00.2"), EXPLICIT, &[LeadingZeros], None),
        (inside(&uid(b"1.02")), EXPLICIT, &[], None),
        (
            short((0x0002, 0x0010), "UI", b"1.2\0"),
            EXPLICIT,
            &[ForeignGroup],
            None,
        ),
        (
            short((0x0000, 0x0100), "US", &[1, 0]),
            EXPLICIT,
            &[ForeignGroup],
            None,
        ),
        (
            inside(&short((0x0002, 0x0010), "UI", b"1.2\0")),
            EXPLICIT,
            &[ForeignGroup],
            None,
        ),
        (unknown("??"), EXPLICIT, &[UnknownVr], None),
        (unknown("\0\0"), EXPLICIT, &[UnknownVr], None),
        (unknown("UN"), EXPLICIT, &[], None),
        (
            long((0x7FE0, 0x0010), "OB", 3, b"abc"),
            EXPLICIT,
            &[OddLength],
            None,
        ),
        (
            short((0x0010, 0x0010), "PN", b"A^B"),
            EXPLICIT,
            &[OddLength],
            None,
        ),
        (
            long((0x0029, 0x1001), "UN", 3, b"abc"),
            EXPLICIT,
            &[],
            Some(0),
        ),
        (
            long((0x0029, 0x1001), "??", 3, b"abc"),
            EXPLICIT,
            &[UnknownVr],
            Some(0),
        ),
        // the sequence around it is odd as well
        (
            inside(&long((0x0029, 0x1001), "UN", 3, b"abc")),
            EXPLICIT,
            &[OddLength],
            Some(20),
        ),
        // in implicit VR nothing says UN
        (implicit.to_vec(), IMPLICIT, &[OddLength], None),
    ];
    for (bytes, syntax, remarks, odd) in table {
        let found = scan(&bytes, syntax).unwrap();
        assert_eq!(
            (&found.remarks[..], found.odd_unknown),
            (remarks, odd),
            "{bytes:02X?}"
        );
    }
}

#[test]
fn unknown_of_undefined_length_is_implicit_inside() {
    let inner = [&[0x40, 0, 0x40, 0xA0, 4, 0, 0, 0][..], b"TEXT"].concat();
    let implicit = [
        long((0x0009, 0x1001), "UN", OPEN, &bare(0xE000, OPEN, &inner)),
        bare(0xE00D, 0, b""),
        bare(0xE0DD, 0, b""),
    ]
    .concat();
    let told = scan(&implicit, EXPLICIT).unwrap();
    assert!(told.ambiguous);
    assert_eq!((told.elements, told.depth), (2, 1));
    let explicit = [
        long(
            (0x0009, 0x1001),
            "UN",
            OPEN,
            &bare(0xE000, OPEN, &short((0x0040, 0xA040), "CS", b"TEXT")),
        ),
        bare(0xE00D, 0, b""),
        bare(0xE0DD, 0, b""),
    ]
    .concat();
    check(&explicit, EXPLICIT, "2 elements, depth 1");
}

#[test]
fn identity_stands_once() {
    let twice = |other: &[u8]| {
        [
            short((0x0020, 0x000D), "UI", b"1.2\0"),
            short((0x0020, 0x000D), "UI", other),
        ]
        .concat()
    };
    check(&twice(b"1.2\0"), EXPLICIT, "2 elements, depth 0");
    check(
        &twice(b"1.3\0"),
        EXPLICIT,
        "Study Instance UID stands twice with different values",
    );
    check(
        &short((0x0008, 0x0018), "UI", b"../x"),
        EXPLICIT,
        "SOP Instance UID is not a UID",
    );
}

#[test]
fn a_deflated_bomb_costs_no_more_than_its_header() {
    use std::io::Write;
    let mut deflated = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    deflated
        .write_all(&short((0x0008, 0x0018), "UI", b"1.2.3\0"))
        .unwrap();
    deflated
        .write_all(&long((0x0009, 0x0001), "OB", 1 << 30, b""))
        .unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..64 {
        deflated.write_all(&zeros).unwrap();
    }
    let bytes = deflated.finish().unwrap();
    let told = scan(&bytes, "1.2.840.10008.1.2.1.99").unwrap();
    assert!(told.opaque);
    assert_eq!(told.bytes, 1 << 20);
    assert_eq!(told.instance.unwrap().as_str(), "1.2.3");
    check(
        b"\xFF\xFF\xFF\xFF",
        "1.2.840.10008.1.2.1.99",
        "the deflated dataset is damaged",
    );
}

#[test]
fn every_good_file_passes_and_every_bad_one_gets_an_answer() {
    let Some(data) = public_data() else { return };
    let mut passed = 0;
    let mut odd = 0;
    for part in ["studies", "syntaxes", "charsets", "sr"] {
        for path in files(&data.join(part)) {
            let file = std::fs::read(&path).unwrap();
            let (syntax, bytes) = dataset_of(&file);
            match scan(bytes, &syntax) {
                Ok(scan) => {
                    passed += 1;
                    assert_eq!(scan.odd_unknown, None, "{path:?}");
                    odd += usize::from(scan.remarks.contains(&Remark::OddLength));
                    assert!(scan.opaque || scan.bytes == bytes.len() as u64, "{path:?}");
                }
                // without a file header nothing says which syntax it is
                Err(error) => assert!(bytes.len() == file.len(), "{path:?}: {error}"),
            }
        }
    }
    assert!(passed > 500, "only {passed} files passed");
    assert!(odd > 0, "odd lengths are met in the field, and are taken");
    for path in files(&data.join("bad")) {
        let file = std::fs::read(&path).unwrap();
        let (syntax, bytes) = dataset_of(&file);
        let Ok(syntax) = syntax.parse() else { continue };
        let limits = Limits {
            total_bytes: Some(bytes.len() as u64),
            ..Limits::default()
        };
        let known = prescan(bytes, &syntax, &limits).is_ok();
        let unknown = prescan(bytes, &syntax, &Limits::default()).is_ok();
        assert_eq!(known, unknown, "{path:?}");
    }
}

/// How deep the object reader of dicom-rs nests a dataset.
fn depth(object: &dicom_object::InMemDicomObject) -> usize {
    let items = object.iter().filter_map(|element| element.items());
    let deepest = items.flatten().map(|item| 1 + depth(item)).max();
    deepest.unwrap_or(0)
}

/// What passes here may go to a recursive reader: it sees no more levels than were counted, whatever the bytes are.
#[test]
fn no_mutant_that_passes_nests_deeper_in_another_reader() {
    use dicom_object::InMemDicomObject;
    use dicom_transfer_syntax_registry::entries::{
        EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
    };
    let Some(data) = public_data() else { return };
    let readers = [
        (EXPLICIT, EXPLICIT_VR_LITTLE_ENDIAN.erased()),
        (IMPLICIT, IMPLICIT_VR_LITTLE_ENDIAN.erased()),
        ("1.2.840.10008.1.2.2", EXPLICIT_VR_BIG_ENDIAN.erased()),
    ];
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for part in ["bad", "sr/text", "sr/tid1500/dwv"] {
        let small = files(&data.join(part))
            .into_iter()
            .map(|path| std::fs::read(path).unwrap());
        seeds.extend(small.filter(|file| file.len() < 12_000));
    }
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % bound as u64).unwrap()
    };
    let mut compared = 0;
    for round in 0..6 {
        for seed in &seeds {
            let (_, bytes) = dataset_of(seed);
            let mut mutant = bytes.to_vec();
            for _ in 0..round {
                let at = draw(mutant.len().max(1)).min(mutant.len().saturating_sub(1));
                match (draw(3), mutant.get_mut(at)) {
                    (0, Some(byte)) => *byte ^= 1 << draw(8),
                    (1, Some(byte)) => *byte = [0, 0xFF, 0xFE, 0xE0, 0xDD, 0x0D][draw(6)],
                    _ => mutant.truncate(at),
                }
            }
            for (syntax, reader) in &readers {
                let Ok(scan) = scan(&mutant, syntax) else {
                    continue;
                };
                if scan.ambiguous || scan.opaque {
                    continue;
                }
                let read = InMemDicomObject::read_dataset_with_ts(&mutant[..], reader);
                if let Ok(object) = read {
                    compared += 1;
                    assert!(
                        depth(&object) <= scan.depth,
                        "deeper than {} in {syntax}",
                        scan.depth
                    );
                }
            }
        }
    }
    assert!(compared > 200, "only {compared} mutants were read by both");
}
