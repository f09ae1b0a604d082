//! What a person is shown: the right frame, by its window, through its palette, of every coding that has a decoder; and a sentence
//! for everything else.

use bytes::Bytes;
use causeway_proto::dataset::Value;
use dicom_core::{Tag, VR};

use super::*;
use crate::mask::child::Limits;
use crate::mask::decode;
use crate::protect::preview::{Content, Look, PreviewError, Previews, Size};
use crate::spool::shown::shown;
use crate::spool::tests::{Bench, What};
use crate::spool::{Kept, Private};

/// A stand-in for the child: says that it is a picture, and repeats what it was asked. The child itself is then played here.
pub(crate) fn echo(folder: &Path) -> Decoder {
    let program = folder.join("echo");
    let text = "#!/bin/sh\nprintf '\\211PNG\\r\\n\\032\\n'\nexec cat\n";
    write_program(&program, text);
    Decoder::new(program, Limits::default())
}

/// What the child was asked.
struct Asked(Bytes);

impl Asked {
    fn job(&self) -> String {
        let line = self.0[8..].split(|byte| *byte == b'\n').next().unwrap();
        String::from_utf8(line.to_vec()).unwrap()
    }

    fn frame(&self) -> &[u8] {
        let line = self.0[8..].iter().position(|byte| *byte == b'\n').unwrap();
        &self.0[8 + line + 1..]
    }

    /// What the child makes of it.
    fn png(&self) -> Result<image::DynamicImage, decode::Refusal> {
        let mut out = Vec::new();
        decode::answer(&self.0[8..], &mut out)?;
        Ok(image::load_from_memory(&out).unwrap())
    }
}

struct Room {
    bench: Bench,
    previews: Previews,
}

impl Room {
    async fn new() -> Self {
        let bench = Bench::new().await;
        bench.greet(1, 0).await;
        let previews = Previews::new(bench.spool.clone(), echo(bench.folder.path()));
        Self { bench, previews }
    }

    /// Stores a dataset, withheld, and finds it as the page does.
    async fn kept(&self, number: usize, syntax: &str, dataset: &[u8]) -> Kept {
        let what = What {
            syntax: syntax.to_owned(),
            ..What::image("1.2.1", &format!("1.2.1.{number}"))
        };
        self.bench.store(&what.with_bytes(dataset)).await.unwrap();
        let rows = self.bench.spool.rows();
        let mut tx = rows.begin().await.unwrap();
        sqlx::query("UPDATE instance SET state = 'withheld', reason = 'x'")
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let case: String = sqlx::query_scalar("SELECT case_code FROM study")
            .fetch_one(rows.read())
            .await
            .unwrap();
        let id: i64 = sqlx::query_scalar("SELECT MAX(id) FROM instance")
            .fetch_one(rows.read())
            .await
            .unwrap();
        let found = shown(rows, &case.parse().unwrap(), id).await.unwrap();
        found.unwrap().kept.unwrap()
    }

    async fn asked(&self, kept: &Kept, frame: u64, look: Look) -> Result<Asked, PreviewError> {
        self.previews.picture(kept, frame, look).await.map(Asked)
    }
}

const BIG: &str = "1.2.840.10008.1.2.2";
const CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";

fn short(dataset: &mut Dataset, element: u16, number: u16) {
    let value = number.to_le_bytes().to_vec();
    dataset.put(Tag(0x0028, element), VR::US, Value::Bytes(value));
}

/// 4 columns by 2 rows in two frames.
fn picture(bits: u16, photometric: &str, pixels: &[u8]) -> Dataset {
    let mut it = Dataset::new();
    it.put_text(Tag(0x0028, 0x0004), VR::CS, photometric);
    it.put_text(Tag(0x0028, 0x0008), VR::IS, "2");
    for (element, number) in [
        (0x0002, 1),
        (0x0010, 2),
        (0x0011, 4),
        (0x0100, bits),
        (0x0101, bits),
        (0x0102, bits - 1),
        (0x0103, 0),
    ] {
        short(&mut it, element, number);
    }
    let pixels = Value::Bytes(pixels.to_vec());
    it.put(Tag(0x7FE0, 0x0010), VR::OW, pixels);
    it
}

#[tokio::test]
async fn one_frame_goes_to_the_child_and_no_other() {
    let room = Room::new().await;
    let pixels: Vec<u8> = (0..16).collect();
    let dataset = picture(8, "MONOCHROME2", &pixels);
    let kept = room.kept(1, EXPLICIT, &dataset.write()).await;
    let content = room.previews.content(&kept, CAPTURE).await.unwrap();
    let size = Size {
        rows: 2,
        columns: 4,
        frames: 2,
    };
    assert_eq!(content, Content::Picture(size));
    for (frame, from) in [(1, 0), (2, 8)] {
        let asked = room.asked(&kept, frame, Look::Plain).await.unwrap();
        assert_eq!(asked.frame(), &pixels[from..from + 8], "{frame}");
    }
    for frame in [0, 3, u64::MAX] {
        let refused = room.asked(&kept, frame, Look::Plain).await.err();
        assert!(matches!(refused, Some(PreviewError::NoFrame)), "{frame}");
    }
    // single bits: the second frame begins in the middle of a byte of the whole
    let mut bits = picture(1, "MONOCHROME2", &[0b1010_0101, 0b0000_1111]);
    short(&mut bits, 0x0010, 1);
    let kept = room.kept(2, EXPLICIT, &bits.write()).await;
    let second = room.asked(&kept, 2, Look::Plain).await.unwrap();
    let grey = second.png().unwrap().into_luma8();
    assert_eq!(grey.into_raw(), [0, 255, 0, 255]);
}

#[tokio::test]
async fn sixteen_bits_are_shown_by_their_window_and_what_is_faint_on_request() {
    let room = Room::new().await;
    let values = [0_u16, 1000, 1040, 1041, 1080, 4000, 4000, 4000].repeat(2);
    for (number, syntax) in [(1, EXPLICIT), (2, BIG)] {
        let pixels: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
        let mut dataset = picture(16, "MONOCHROME2", &pixels);
        for (element, text) in [
            (0x1050, "40\\600"),
            (0x1051, "80\\1600"),
            (0x1052, "-1000"),
            (0x1053, "1"),
        ] {
            dataset.put_text(Tag(0x0028, element), VR::DS, text);
        }
        let bytes = match syntax {
            BIG => big(&dataset),
            _ => dataset.write(),
        };
        let kept = room.kept(number, syntax, &bytes).await;
        let plain = room.asked(&kept, 2, Look::Plain).await.unwrap();
        let grey = plain.png().unwrap().into_luma8().into_raw();
        assert_eq!([grey[0], grey[1], grey[5]], [0, 0, 255], "{syntax}");
        assert!((120..=136).contains(&grey[2]), "{syntax}: {grey:?}");
        let faint = room.asked(&kept, 2, Look::Faint).await.unwrap();
        assert!(faint.job().contains("\"faint\":true"), "{}", faint.job());
        let grey = faint.png().unwrap().into_luma8().into_raw();
        assert!(grey[0] < grey[1] && grey[2] < grey[3], "{syntax}: {grey:?}");
    }
}

/// A dataset of short elements in explicit big endian.
fn big(dataset: &Dataset) -> Vec<u8> {
    let mut out = Vec::new();
    for (tag, element) in dataset.iter() {
        let mut value = dataset.bytes(tag).to_vec();
        if matches!(element.vr, VR::US | VR::OW) {
            for pair in value.as_chunks_mut::<2>().0 {
                pair.reverse();
            }
        }
        out.extend(tag.0.to_be_bytes());
        out.extend(tag.1.to_be_bytes());
        out.extend(element.vr.to_bytes());
        match element.vr {
            VR::OW => {
                out.extend([0, 0]);
                out.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
            }
            _ => out.extend(u16::try_from(value.len()).unwrap().to_be_bytes()),
        }
        out.extend(value);
    }
    out
}

#[tokio::test]
async fn a_palette_gives_the_colours() {
    let room = Room::new().await;
    let mut dataset = picture(8, "PALETTE COLOR", &[7, 8, 9, 7].repeat(4));
    for (element, table) in [
        (0x1201, [255_u8, 0, 0, 0]),
        (0x1202, [0, 255, 0, 0]),
        (0x1203, [0, 0, 255, 0]),
    ] {
        let descriptor = [3_u16, 7, 8].map(u16::to_le_bytes).concat();
        let place = Tag(0x0028, element - 0x0100);
        dataset.put(place, VR::US, Value::Bytes(descriptor));
        let table = Value::Bytes(table.to_vec());
        dataset.put(Tag(0x0028, element), VR::OW, table);
    }
    let kept = room.kept(1, EXPLICIT, &dataset.write()).await;
    let asked = room.asked(&kept, 1, Look::Plain).await.unwrap();
    let colours = asked.png().unwrap().into_rgb8().into_raw();
    assert_eq!(&colours[..9], [255, 0, 0, 0, 255, 0, 0, 0, 255]);
    // without its tables there is no picture, and no guess
    dataset.remove(Tag(0x0028, 0x1202));
    let kept = room.kept(2, EXPLICIT, &dataset.write()).await;
    let refused = room.asked(&kept, 1, Look::Plain).await.err();
    assert!(matches!(refused, Some(PreviewError::Layout)));
}

#[tokio::test]
async fn what_is_no_picture_says_what_it_is() {
    let room = Room::new().await;
    let mut report = Dataset::new();
    report.put_text(Tag(0x0040, 0xA040), VR::CS, "CONTAINER");
    let mut document = Dataset::new();
    document.put_text(Tag(0x0042, 0x0010), VR::ST, "Request");
    document.put(
        Tag(0x0042, 0x0011),
        VR::OB,
        Value::Bytes(b"%PDF-1.4".to_vec()),
    );
    document.put_text(Tag(0x0042, 0x0012), VR::LO, "application/pdf");
    let mut state = Dataset::new();
    state.put_text(Tag(0x0070, 0x0080), VR::CS, "NOTE");
    let kind = |class: &str| format!("1.2.840.10008.5.1.4.1.1.{class}");
    let kept = room.kept(1, EXPLICIT, &report.write()).await;
    let said = room.previews.content(&kept, &kind("88.11")).await.unwrap();
    assert!(matches!(said, Content::Report(lines) if lines[0].text == "Document without a title"));
    let kept = room.kept(2, EXPLICIT, &document.write()).await;
    let said = room.previews.content(&kept, &kind("104.1")).await.unwrap();
    let expected = Content::Document {
        kind: "PDF document",
        title: Private::new("Request"),
        format: "application/pdf".to_owned(),
    };
    assert_eq!(said, expected);
    let kept = room.kept(3, EXPLICIT, &state.write()).await;
    let said = room.previews.content(&kept, &kind("11.1")).await.unwrap();
    assert_eq!(said, Content::Nothing("It holds no picture.".to_owned()));
    let refused = room.asked(&kept, 1, Look::Plain).await.err();
    assert!(matches!(refused, Some(PreviewError::NoPixels)));
    // what cannot be walked, or ends too soon, is said and no more
    let kept = room.kept(4, EXPLICIT, b"no dataset at all").await;
    let refused = room.previews.content(&kept, CAPTURE).await.unwrap_err();
    assert_eq!(refused.to_string(), "the dataset is malformed");
    let mut cut = picture(8, "MONOCHROME2", &[0; 16]).write();
    cut.truncate(cut.len() - 2);
    let kept = room.kept(5, EXPLICIT, &cut).await;
    assert!(room.asked(&kept, 1, Look::Plain).await.is_err());
}

#[tokio::test]
async fn every_coding_with_a_decoder_is_shown_and_every_other_is_refused() {
    let Some(data) = public_data() else { return };
    let room = Room::new().await;
    let (mut drawn, mut refused) = (0, Vec::new());
    let folders = [
        "ct-one-image-all",
        "colour-test-pattern",
        "photometric",
        "htj2k",
    ];
    let all = folders.map(|folder| files(&data.join("syntaxes").join(folder)));
    for (number, path) in all.iter().flatten().enumerate() {
        let file = std::fs::read(path).unwrap();
        let (syntax, dataset) = dataset_of(&file);
        let kept = room.kept(number + 1, &syntax, dataset).await;
        let name = path.file_name().unwrap().to_string_lossy();
        let asked = match room.asked(&kept, 1, Look::Plain).await {
            Ok(asked) => asked,
            Err(error) => {
                refused.push(format!("{name}: {error}"));
                continue;
            }
        };
        match asked.png() {
            Ok(png) => {
                let grey = png.into_luma8();
                let (least, most) = (grey.iter().min().unwrap(), grey.iter().max().unwrap());
                assert!(most - least > 100, "{name} shows something: {least} {most}");
                drawn += 1;
            }
            Err(refusal) => refused.push(format!("{name}: {refusal:?}")),
        }
    }
    println!("{drawn} drawn; {}", refused.join("; "));
    assert!(drawn >= 25, "{drawn} drawn; {}", refused.join("; "));
}
