//! Frames of every public image, and what the decoding child makes of them.

use std::io::Write as _;

use causeway_proto::element::Encoding;

use crate::archive::frames::Frames;
use crate::archive::jpegls;
use crate::http::dicomweb::part10;
use crate::http::dicomweb::render::{Form, Job, render_frame};
use crate::http::dicomweb::wanted::with_frame;

use crate::ingest::tests::{CT, Content, Object, index, public_object, samples};

use super::desk::{Desk, parts};

const EVERY: &str = "multipart/related; type=application/octet-stream; transfer-syntax=*";

#[tokio::test]
async fn every_frame_of_every_public_image_can_be_had() {
    let desk = Desk::on_sqlite().await;
    let (mut images, mut frames) = (0, 0);
    for path in samples(&["studies", "syntaxes"]) {
        let Some(object) = public_object(&path) else {
            continue;
        };
        if desk.keep(&object).await.quarantined {
            continue;
        }
        let row: Option<(String,)> =
            sqlx::query_as("SELECT pixels FROM instance WHERE sop_uid = $1")
                .bind(&object.sop)
                .fetch_optional(desk.state.rows.read())
                .await
                .unwrap();
        let found: Frames = row.unwrap().0.parse().unwrap();
        if found.count() == 0 {
            continue;
        }
        images += 1;
        let last = found.count();
        let answer = desk
            .get(&format!("{}/frames/1,{last}", object.path()), EVERY)
            .await;
        assert_eq!(answer.status, 200, "{}", path.display());
        let parts = parts(&answer);
        assert_eq!(parts.len(), 2);
        assert!(
            parts
                .iter()
                .all(|(head, bytes)| head.contains("transfer-syntax=1.2.") && !bytes.is_empty())
        );
        frames += last;
        assert_eq!(
            desk.get(&format!("{}/frames/{}", object.path(), last + 1), EVERY)
                .await
                .status,
            404
        );
    }
    eprintln!("{images} images, {frames} frames");
}

const CODED: &str = "multipart/related; type=image/jls; transfer-syntax=1.2.840.10008.1.2.4.80, \
    multipart/related; type=application/octet-stream; transfer-syntax=*";

#[tokio::test]
async fn grey_frames_are_coded_for_who_asks_for_it_and_kept() {
    let desk = Desk::on_sqlite().await;
    let image = |sop, samples: &'static [u8]| {
        Object::made(
            sop,
            CT,
            &[
                (0x0028_0002, "US", samples),
                (0x0028_0008, "IS", b"2"),
                (0x0028_0010, "US", &[1, 0]),
                (0x0028_0011, "US", &[3, 0]),
                (0x0028_0100, "US", &[8, 0]),
                (0x7FE0_0010, "OB", b"abcdefghiabcdefghi"),
            ],
        )
    };
    let (grey, colour) = (image("1.1", &[1, 0]), image("1.2", &[3, 0]));
    for object in [&grey, &colour] {
        desk.keep(object).await;
    }
    let frames = |object: &Object| format!("{}/frames/1,2", object.path());
    let coded = |samples: &[u8]| jpegls::encode(samples, 3, 1, 1).unwrap();
    for _ in 0..2 {
        let answer = parts(&desk.get(&frames(&grey), CODED).await);
        assert!(
            answer[0]
                .0
                .contains("image/jls; transfer-syntax=1.2.840.10008.1.2.4.80")
        );
        let bytes: Vec<Vec<u8>> = answer.into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(bytes, [coded(b"abc"), coded(b"def")]);
    }
    let one = desk.get(&format!("{}/frames/2", grey.path()), CODED).await;
    assert_eq!(parts(&one)[0].1, coded(b"def"));
    let length = one.headers["content-length"].to_str().unwrap();
    assert_eq!(length, one.bytes.len().to_string());
    // a wildcard is no wish for it, and colour is not coded
    for (object, accept) in [(&grey, EVERY), (&grey, "*/*"), (&colour, CODED)] {
        let answer = parts(&desk.get(&frames(object), accept).await);
        assert!(answer[0].0.contains("octet-stream"), "{accept}");
        assert!(b"abcdefghi".starts_with(&answer[0].1), "{accept}");
    }
    // what was coded goes with the study
    desk.sql("UPDATE study SET recalled_us = 1").await;
    assert_eq!(desk.get(&frames(&grey), CODED).await.status, 410);
}

#[tokio::test]
async fn native_frames_are_cut_out_and_bits_are_shifted() {
    let desk = Desk::on_sqlite().await;
    let image = |sop, bits: &'static [u8], pixels: &'static [u8]| {
        Object::made(
            sop,
            CT,
            &[
                (0x0028_0002, "US", &[1, 0]),
                (0x0028_0008, "IS", b"3"),
                (0x0028_0010, "US", &[1, 0]),
                (0x0028_0011, "US", &[3, 0]),
                (0x0028_0100, "US", bits),
                (0x7FE0_0010, "OB", pixels),
            ],
        )
    };
    let bytes = image("1.1", &[8, 0], b"abcdefghi\0");
    // three frames of three bits: 101, 011, 110, from the lowest bit on
    let bits = image("1.2", &[1, 0], &[0b1101_1101, 0b0]);
    for object in [&bytes, &bits] {
        desk.keep(object).await;
    }
    let get = async |object: &Object, list: &str| {
        let answer = desk
            .get(&format!("{}/frames/{list}", object.path()), EVERY)
            .await;
        parts(&answer)
            .into_iter()
            .map(|(_, bytes)| bytes)
            .collect::<Vec<_>>()
    };
    assert_eq!(get(&bytes, "2,3").await, [b"def", b"ghi"]);
    assert_eq!(get(&bits, "1,2,3").await, [[0b101], [0b011], [0b011]]);
    for (list, status) in [("0", 400), ("x", 400), ("4", 404), ("1", 200)] {
        let answer = desk
            .get(&format!("{}/frames/{list}", bytes.path()), EVERY)
            .await;
        assert_eq!(answer.status, status, "{list}");
    }
    let single = desk
        .get(
            &format!("{}/frames/2", bytes.path()),
            "application/octet-stream",
        )
        .await;
    assert_eq!(single.bytes, b"def");
    let wrong = desk
        .get(
            &format!("{}/frames/2", bytes.path()),
            "multipart/related; type=\"image/jpeg\"",
        )
        .await;
    assert_eq!(wrong.status, 406);
    let none = Object::made("1.3", CT, &[]);
    desk.keep(&none).await;
    assert_eq!(
        desk.get(&format!("{}/rendered", none.path()), "*/*")
            .await
            .status,
        415
    );
    assert_eq!(
        desk.get(&format!("{}/frames/1", none.path()), EVERY)
            .await
            .status,
        404
    );
}

fn rendered(object: &Object, form: Form) -> Result<Vec<u8>, u8> {
    let job = Job {
        frame: 1,
        alone: false,
        form,
        width: Some(256),
        height: Some(256),
        window: None,
    };
    by_child(&job, object, &object.bytes)
}

fn by_child(job: &Job, object: &Object, dataset: &[u8]) -> Result<Vec<u8>, u8> {
    let mut input = serde_json::to_vec(job).unwrap();
    input.push(b'\n');
    input
        .write_all(&part10::header(&object.class, &object.sop, &object.syntax))
        .unwrap();
    input.write_all(dataset).unwrap();
    let mut out = Vec::new();
    render_frame(&input[..], &mut out).map(|()| out)
}

#[test]
fn what_there_is_a_decoder_for_is_rendered_and_the_rest_is_said_to_be_unsupported() {
    let (mut done, mut unsupported, mut invalid) = (0, Vec::new(), Vec::new());
    for path in samples(&[
        "syntaxes/ct-one-image-all",
        "syntaxes/mr-small",
        "syntaxes/htj2k",
        "syntaxes/photometric",
    ]) {
        let Some(object) = public_object(&path) else {
            continue;
        };
        match rendered(&object, Form::Jpeg) {
            Ok(jpeg) => {
                assert_eq!(&jpeg[..2], [0xFF, 0xD8]);
                done += 1;
            }
            Err(3) => unsupported.push(path.file_name().unwrap().to_owned()),
            Err(_) => invalid.push(path.file_name().unwrap().to_owned()),
        }
    }
    eprintln!("{done} rendered, unsupported {unsupported:?}, invalid {invalid:?}");
}

/// A frame that is cut out of an uncompressed object gives the image that the whole object gives, in samples and rendered:
/// windows and rescaling of each frame included.
#[test]
fn a_frame_alone_is_rendered_as_in_its_whole() {
    let made = Object::made(
        "1.1",
        CT,
        &[
            (0x0028_0002, "US", &[1, 0]),
            (0x0028_0004, "CS", b"MONOCHROME2"),
            (0x0028_0008, "IS", b"3"),
            (0x0028_0010, "US", &[1, 0]),
            (0x0028_0011, "US", &[3, 0]),
            (0x0028_0100, "US", &[8, 0]),
            (0x0028_0101, "US", &[8, 0]),
            (0x0028_0102, "US", &[7, 0]),
            (0x0028_0103, "US", &[0, 0]),
            (0x5200_9230, "SQ", &windows(&[b"100", b"50", b"9 "])),
            (0x7FE0_0010, "OB", b"abcdefghi\0"),
        ],
    );
    let public = samples(&["studies", "syntaxes"]);
    let public = public.iter().filter_map(|path| public_object(path));
    let mut compared = 0;
    for object in std::iter::once(made).chain(public) {
        let Some((value, size, count)) = native(&object) else {
            continue;
        };
        for frame in [1, count / 2 + 1, count] {
            let start = value + size * (usize::try_from(frame).unwrap() - 1);
            let (encoding, _) = Encoding::of(&object.syntax.parse().unwrap());
            let (before, pixels) = (&object.bytes[..value], &object.bytes[start..start + size]);
            let cut = with_frame(before, pixels, encoding);
            for form in [Form::Samples, Form::Png] {
                let job = |alone| Job {
                    alone,
                    form,
                    ..Job::samples(frame)
                };
                let whole = by_child(&job(false), &object, &object.bytes);
                assert_eq!(whole, by_child(&job(true), &object, &cut), "{}", object.sop);
                compared += usize::from(whole.is_ok());
            }
        }
    }
    eprintln!("{compared} images of single frames compared");
    assert!(compared >= 6);
}

/// Where uncompressed frames of whole bytes begin, the size of one, and how many there are, if several.
fn native(object: &Object) -> Option<(usize, usize, u64)> {
    let syntax = object.syntax.parse().unwrap();
    let open = || Ok(Content::Memory(object.bytes.clone()));
    let length = u64::try_from(object.bytes.len()).unwrap();
    let found = index(open, length, &syntax).ok()?.frames;
    let Frames::Native {
        value,
        frame_bits,
        count,
        ..
    } = found
    else {
        return None;
    };
    let fits = count > 1 && frame_bits % 8 == 0 && !Encoding::of(&syntax).1;
    let value = usize::try_from(value.offset).unwrap();
    fits.then(|| (value, usize::try_from(frame_bits / 8).unwrap(), count))
}

/// Per-frame Functional Groups with a window for each frame, explicit little endian with lengths.
fn windows(centres: &[&[u8]]) -> Vec<u8> {
    let element = |tag: [u8; 4], vr: &[u8], value: &[u8]| {
        let mut out = [&tag[..], vr].concat();
        let padded = value.len() + value.len() % 2;
        if vr == b"SQ" {
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&u32::try_from(padded).unwrap().to_le_bytes());
        } else {
            out.extend_from_slice(&u16::try_from(padded).unwrap().to_le_bytes());
        }
        out.extend_from_slice(value);
        out.resize(out.len() + padded - value.len(), b' ');
        out
    };
    let item = |content: &[u8]| {
        let length = u32::try_from(content.len()).unwrap().to_le_bytes();
        [&[0xFE, 0xFF, 0x00, 0xE0], &length[..], content].concat()
    };
    let group = |centre: &&[u8]| {
        let mut voi = element([0x28, 0, 0x50, 0x10], b"DS", centre);
        voi.extend(element([0x28, 0, 0x51, 0x10], b"DS", b"20"));
        item(&element([0x28, 0, 0x32, 0x91], b"SQ", &item(&voi)))
    };
    centres.iter().flat_map(group).collect()
}

#[test]
fn hostile_descriptions_end_in_a_code() {
    for (rows, columns, bits) in [
        ([255, 255], [255, 255], [16, 0]),
        ([0, 0], [1, 0], [16, 0]),
        ([1, 0], [1, 0], [255, 255]),
    ] {
        let object = Object::made(
            "1.1",
            CT,
            &[
                (0x0028_0002, "US", &[1, 0]),
                (0x0028_0004, "CS", b"MONOCHROME2"),
                (0x0028_0010, "US", &rows),
                (0x0028_0011, "US", &columns),
                (0x0028_0100, "US", &bits),
                (0x7FE0_0010, "OW", b"ab"),
            ],
        );
        assert_eq!(rendered(&object, Form::Png), Err(4));
    }
}
