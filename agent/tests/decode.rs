//! The decoding child as a real process of this program, under its own limits: one image in many codings comes out the same, and what
//! is hostile harms nothing but the child.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test's helpers may fail and say so"
)]

use std::path::Path;

use causeway_agent::mask::child::{DecodeError, Decoder, Frame, Limits};
use causeway_agent::mask::decode::View;
use causeway_agent::mask::native::Layout;
use dicom_core::Tag;
use dicom_core::value::Value;
use dicom_object::{DefaultDicomObject, OpenFileOptions};

/// Images without loss in several codings, the first of them not coded.
const IMAGES: [&[&str]; 2] = [
    &[
        "mr-small/MR_small.dcm",
        "mr-small/MR_small_RLE.dcm",
        "mr-small/MR_small_jp2klossless.dcm",
    ],
    &[
        "colour-test-pattern/PM5644-960x540_RGB.dcm",
        "colour-test-pattern/PM5644-960x540_JPEG-Lossless_RGB.dcm",
        "colour-test-pattern/PM5644-960x540_JPEG2000-Lossless.dcm",
        "colour-test-pattern/PM5644-960x540_RLE-Lossless.dcm",
    ],
];

/// A public image; none, said loudly, where they are missing.
fn public(name: &str) -> Option<DefaultDicomObject> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = [
        "../../shared/dicom/syntaxes",
        "../../../shared/dicom/syntaxes",
    ]
    .iter()
    .map(|up| root.join(up).join(name))
    .find(|path| path.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: no public test data for {name}");
        assert!(
            option_env!("CI").is_none(),
            "CI must have the public test data"
        );
    }
    found.map(|path| OpenFileOptions::new().open_file(path).unwrap())
}

fn decoder() -> Decoder {
    Decoder::new(
        env!("CARGO_BIN_EXE_causeway-agent").into(),
        Limits::default(),
    )
}

fn layout(object: &DefaultDicomObject) -> Layout {
    let short = |element| {
        let found = object.element(Tag(0x0028, element)).unwrap();
        found.to_int::<u16>().unwrap()
    };
    let photometric = object.element(Tag(0x0028, 0x0004)).unwrap();
    Layout {
        rows: short(0x0010).into(),
        columns: short(0x0011).into(),
        frames: 1,
        samples: short(0x0002),
        allocated: short(0x0100),
        stored: short(0x0101),
        high: short(0x0102),
        signed: short(0x0103) == 1,
        photometric: photometric.to_str().unwrap().trim().to_owned(),
        ..Layout::default()
    }
}

fn bytes(object: &DefaultDicomObject) -> Vec<u8> {
    match object.element(Tag(0x7FE0, 0x0010)).unwrap().value() {
        Value::PixelSequence(sequence) => sequence.fragments().concat(),
        value => value.to_bytes().unwrap().into_owned(),
    }
}

#[tokio::test]
async fn one_image_in_the_codings_without_loss_comes_out_the_same() {
    let decoder = decoder();
    let mut differ = Vec::new();
    for names in IMAGES {
        let Some(objects) = names
            .iter()
            .map(|name| public(name))
            .collect::<Option<Vec<_>>>()
        else {
            return;
        };
        let expected = bytes(&objects[0]);
        for (name, object) in names.iter().zip(&objects).skip(1) {
            let layout = layout(object);
            let frame = Frame {
                syntax: object.meta().transfer_syntax(),
                layout: &layout,
                palette: &[],
                bytes: bytes(object).into(),
            };
            let native = decoder.frame(frame.clone()).await.unwrap();
            let pairs = native.bytes.iter().zip(&expected);
            let others = pairs.filter(|(is, wanted)| is != wanted).count();
            assert_eq!(native.bytes.len(), expected.len(), "{name}");
            differ.push(others);
            let view = View {
                longest: 50,
                ..View::default()
            };
            let picture = decoder.picture(frame, view).await.unwrap();
            let picture = image::load_from_memory(&picture).unwrap();
            assert_eq!(picture.width().max(picture.height()), 50);
        }
    }
    // the colour files are not of one picture to the last bit: DCMTK counts the same for JPEG and RLE, and does not decode the other
    assert_eq!(differ, [0, 0, 1212, 1458, 762]);
}

/// As large as the child is promised to take: coded, decoded and all that is between have room within its limit of memory.
#[tokio::test]
async fn a_frame_of_the_greatest_length_is_decoded() {
    let layout = Layout {
        rows: 14_000,
        columns: 14_000,
        frames: 1,
        samples: 1,
        allocated: 8,
        stored: 8,
        high: 7,
        photometric: "MONOCHROME2".to_owned(),
        ..Layout::default()
    };
    let run: Vec<u8> = std::iter::once(127).chain(0..=127).collect();
    // PS3.5 G.3: one segment, which begins behind the header
    let mut coded = [1, 64].map(u32::to_le_bytes).concat();
    coded.resize(64, 0);
    coded.extend(run.repeat(14_000 * 14_000 / 128));
    assert!(coded.len() > 185 << 20);
    let frame = Frame {
        syntax: "1.2.840.10008.1.2.5",
        layout: &layout,
        palette: &[],
        bytes: coded.into(),
    };
    let decoder = decoder();
    let native = decoder.frame(frame).await.unwrap();
    let mut wanted = (0..=127_u8).cycle();
    assert!(native.bytes.iter().all(|byte| wanted.next() == Some(*byte)));
}

#[tokio::test]
async fn rubbish_costs_one_child_each() {
    let layout = Layout {
        rows: 64,
        columns: 64,
        frames: 1,
        samples: 3,
        allocated: 8,
        stored: 8,
        high: 7,
        photometric: "RGB".to_owned(),
        ..Layout::default()
    };
    let decoder = decoder();
    let heads: [&[u8]; 4] = [b"", b"\xFF\xD8\xFF\xC0", b"\xFF\x4F\xFF\x51", &[0xFF; 64]];
    for syntax in [
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.4.80",
        "1.2.3.4",
    ] {
        for head in heads {
            let bytes: Vec<u8> = head
                .iter()
                .copied()
                .chain((0..=255).cycle().take(5000))
                .collect();
            let frame = Frame {
                syntax,
                layout: &layout,
                palette: &[],
                bytes: bytes.into(),
            };
            let error = decoder.frame(frame).await.unwrap_err();
            let refused = matches!(error, DecodeError::Invalid | DecodeError::Unsupported);
            assert!(refused, "{syntax}: {error}");
        }
    }
}
