//! What is held in memory, how words are turned where frames begin inside of them, and what leaves when a study is taken back meanwhile.

use causeway_proto::digest::Digest;
use serde_json::json;

use super::desk::{Desk, parts};
use crate::archive::retrieve::{Opened, Served};
use crate::http::dicomweb::render::Limits;
use crate::ingest::tests::{CT, Object};

const ALL: &str = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";
const EVERY: &str = "multipart/related; type=application/octet-stream; transfer-syntax=*";
const CODED: &str = "multipart/related; type=image/jls; transfer-syntax=1.2.840.10008.1.2.4.80";

/// A grey image of 8 bits, one row and 100 columns.
fn image(sop: &str, pixels: &[(u32, &str, &[u8])]) -> Object {
    let described: [(u32, &str, &[u8]); 4] = [
        (0x0028_0002, "US", &[1, 0]),
        (0x0028_0010, "US", &[1, 0]),
        (0x0028_0011, "US", &[100, 0]),
        (0x0028_0100, "US", &[8, 0]),
    ];
    Object::made(sop, CT, &[&described[..], pixels].concat())
}

/// The same with its one frame in these fragments.
fn fragments(sop: &str, all: &[&[u8]]) -> Object {
    let mut object = image(sop, &[]);
    let mut bytes = object.bytes.to_vec();
    bytes.extend_from_slice(b"\xE0\x7F\x10\x00OB\0\0\xFF\xFF\xFF\xFF");
    for item in std::iter::once(&[][..]).chain(all.iter().copied()) {
        bytes.extend_from_slice(b"\xFE\xFF\x00\xE0");
        bytes.extend_from_slice(&u32::try_from(item.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(item);
    }
    bytes.extend_from_slice(b"\xFE\xFF\xDD\xE0\0\0\0\0");
    object.syntax = "1.2.840.10008.1.2.4.50".to_owned();
    object.tag = Digest::of(&bytes);
    object.bytes = bytes.into();
    object
}

#[tokio::test]
async fn a_frame_of_very_many_fragments_is_one_frame() {
    let desk = Desk::on_sqlite().await;
    let numbers: Vec<[u8; 2]> = (0..20_000_u16).map(u16::to_be_bytes).collect();
    let all: Vec<&[u8]> = numbers.iter().map(|two| &two[..]).collect();
    let object = fragments("1.1", &all);
    assert!(!desk.keep(&object).await.quarantined);
    let answer = desk
        .get(&format!("{}/frames/1", object.path()), EVERY)
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(parts(&answer)[0].1, numbers.concat());
}

#[tokio::test]
async fn a_frame_too_long_for_memory_is_refused_and_the_object_is_not() {
    let desk = Desk::within(Limits {
        max_input_bytes: 64,
        ..Limits::default()
    })
    .await;
    let native = image("1.1", &[(0x7FE0_0010, "OB", &[7; 100])]);
    let halves = [&[1_u8; 50][..], &[2; 50]];
    let several = fragments("1.2", &halves);
    let short = fragments("1.3", &[&[1_u8; 30], &[2; 30]]);
    for object in [&native, &several, &short] {
        assert!(!desk.keep(object).await.quarantined);
    }
    let frame = |object: &Object| format!("{}/frames/1", object.path());
    for (object, accept) in [(&native, EVERY), (&native, CODED), (&several, EVERY)] {
        let answer = desk.get(&frame(object), accept).await;
        assert_eq!(answer.status, 413, "{}", object.sop);
        assert_eq!(answer.json()["type"], "urn:causeway:problem:too-large");
        assert_eq!(desk.get(&object.path(), ALL).await.status, 200);
    }
    assert_eq!(desk.get(&frame(&short), EVERY).await.status, 200);
    let whole = format!("{}/bulk/pixels", several.path());
    let whole = desk.get(&whole, "application/octet-stream").await;
    assert_eq!(whole.bytes, halves.concat());
}

/// Explicit big endian, with pixels of words of two bytes: three rows and three columns, two frames.
fn big_endian(sop: &str, bits: u8, little: &[u8]) -> Object {
    let turned: Vec<u8> = little.chunks(2).flat_map(|two| [two[1], two[0]]).collect();
    let elements: [(u32, &[u8], &[u8]); 11] = [
        (0x0008_0016, b"UI", CT.as_bytes()),
        (0x0008_0018, b"UI", sop.as_bytes()),
        (0x0008_0060, b"CS", b"OT"),
        (0x0020_000D, b"UI", b"1.2.3"),
        (0x0020_000E, b"UI", b"1.2.3.4"),
        (0x0028_0002, b"US", &[0, 1]),
        (0x0028_0008, b"IS", b"2"),
        (0x0028_0010, b"US", &[0, 3]),
        (0x0028_0011, b"US", &[0, 3]),
        (0x0028_0100, b"US", &[0, bits]),
        (0x7FE0_0010, b"OW", &turned),
    ];
    let mut bytes = Vec::new();
    for (tag, vr, value) in elements {
        let padded = value.len() + value.len() % 2;
        bytes.extend_from_slice(&tag.to_be_bytes());
        bytes.extend_from_slice(vr);
        if vr == b"OW" {
            bytes.extend_from_slice(&u64::try_from(padded).unwrap().to_be_bytes()[2..]);
        } else {
            bytes.extend_from_slice(&u16::try_from(padded).unwrap().to_be_bytes());
        }
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len() + padded - value.len(), 0);
    }
    let mut object = Object::made(sop, CT, &[]);
    object.syntax = "1.2.840.10008.1.2.2".to_owned();
    object.tag = Digest::of(&bytes);
    object.bytes = bytes.into();
    object
}

#[tokio::test]
async fn words_are_turned_whole_where_a_frame_begins_inside_of_one() {
    let desk = Desk::on_sqlite().await;
    let bytes = big_endian("1.1", 8, b"abcdefghijklmnopqr");
    // 9 bits and 9 bits, from the lowest on: 1 1000 0001, 1 0101 0101
    let bits = big_endian("1.2", 1, &[0b1000_0001, 0b1010_1011, 0b10, 0]);
    let expect: [(&Object, [&[u8]; 2]); 2] = [
        (&bytes, [b"abcdefghi", b"jklmnopqr"]),
        (&bits, [&[0b1000_0001, 1], &[0b0101_0101, 1]]),
    ];
    for (object, frames) in expect {
        assert!(!desk.keep(object).await.quarantined);
        let path = format!("{}/frames/1,2", object.path());
        let found = parts(&desk.get(&path, EVERY).await);
        let found: Vec<&[u8]> = found.iter().map(|(_, bytes)| &bytes[..]).collect();
        assert_eq!(found, frames, "{}", object.sop);
    }
}

#[tokio::test]
async fn what_is_taken_back_while_the_record_is_written_does_not_leave() {
    for event in ["images-viewed", "images-downloaded"] {
        let desk = Desk::on_sqlite().await;
        let object = image("1.1", &[(0x7FE0_0010, "OB", &[7; 100])]);
        desk.keep(&object).await;
        // the recall stands in the same commit as the record
        desk.sql(match event {
            "images-viewed" => {
                "CREATE TRIGGER recall AFTER INSERT ON audit_event WHEN new.event = 'images-viewed' \
                 BEGIN UPDATE study SET recalled_us = 1; END"
            }
            _ => {
                "CREATE TRIGGER recall AFTER INSERT ON audit_event WHEN new.event = 'images-downloaded' \
                 BEGIN UPDATE study SET recalled_us = 1; END"
            }
        })
        .await;
        for path in [object.path(), "/studies/1.2.3".to_owned()] {
            let answer = desk.get(&path, ALL).await;
            assert_eq!(answer.status, 410, "{event} {path}");
            assert_eq!(
                answer.json()["type"],
                json!("urn:causeway:problem:withdrawn")
            );
        }
    }
}

#[test]
fn what_is_remembered_of_an_object_weighs_what_its_frames_take_to_say() {
    let nothing = Opened::default().weight();
    assert!(nothing > 0);
    let pixels = "1+2,".repeat(1_000);
    let served = Served {
        site_id: String::new(),
        agreement_id: String::new(),
        study_uid: String::new(),
        series_uid: String::new(),
        sop_uid: String::new(),
        sop_class: String::new(),
        transfer_syntax: String::new(),
        length: 0,
        blob_key: String::new(),
        pixels,
        image_rows: None,
        image_columns: None,
        bits_allocated: None,
        fault: None,
    };
    let long = Opened {
        owners: Vec::new(),
        served: vec![served],
    };
    assert!(long.weight() > nothing + 4_000);
}
