//! Native samples of each kind become pictures; what is no job is refused.

use image::RgbImage;

use super::*;

fn layout(columns: u32, samples: u16, photometric: &str) -> Layout {
    Layout {
        rows: 2,
        columns,
        frames: 1,
        samples,
        allocated: 8,
        stored: 8,
        high: 7,
        photometric: photometric.to_owned(),
        ..Layout::default()
    }
}

const NATIVE: &str = "1.2.840.10008.1.2.1";

fn asked(
    syntax: &str,
    layout: &Layout,
    view: Option<View>,
    palette: &[u8],
    bytes: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let job = Job {
        syntax: syntax.to_owned(),
        layout: layout.clone(),
        palette: palette.len() as u64,
        length: bytes.len() as u64,
        view,
    };
    let mut input = serde_json::to_vec(&job).unwrap();
    input.push(b'\n');
    input.extend(palette);
    input.extend(bytes);
    let mut out = Vec::new();
    answer(&input[..], &mut out).map(|()| out)
}

/// The picture of a frame as red, green and blue.
fn seen(layout: &Layout, view: View, palette: &[u8], bytes: &[u8]) -> RgbImage {
    let png = asked(NATIVE, layout, Some(view), palette, bytes).unwrap();
    image::load_from_memory(&png).unwrap().to_rgb8()
}

fn greys(picture: &RgbImage) -> Vec<u8> {
    picture.pixels().map(|pixel| pixel.0[0]).collect()
}

#[test]
fn grey_is_shown_by_its_window_or_over_its_range() {
    let of = |photometric: &str| Layout {
        allocated: 16,
        stored: 12,
        high: 11,
        signed: true,
        ..layout(2, 1, photometric)
    };
    // -100, 0, 100, 2047 in 12 bits with rubbish above them
    let bytes: Vec<u8> = [0xFF9C_u16, 0xF000, 0x3064, 0x07FF]
        .into_iter()
        .flat_map(u16::to_le_bytes)
        .collect();
    let view = View {
        window: Some([0.5, 201.0]),
        ..View::default()
    };
    let grey = |photometric: &str, view| greys(&seen(&of(photometric), view, &[], &bytes));
    assert_eq!(grey("MONOCHROME2", view), [0, 128, 255, 255]);
    assert_eq!(grey("MONOCHROME1", view), [255, 127, 0, 0]);
    let rescaled = View {
        window: Some([1000.5, 401.0]),
        slope: 2.0,
        intercept: 1000.0,
        ..View::default()
    };
    assert_eq!(grey("MONOCHROME2", rescaled), [0, 128, 255, 255]);
    let whole = View::default();
    assert_eq!(grey("MONOCHROME2", whole), [0, 12, 24, 255]);
    let swapped: Vec<u8> = bytes.chunks(2).flat_map(|two| [two[1], two[0]]).collect();
    let big = View { big: true, ..whole };
    let picture = seen(&of("MONOCHROME2"), big, &[], &swapped);
    assert_eq!(greys(&picture), [0, 12, 24, 255]);
}

#[test]
fn what_is_faint_can_be_seen() {
    // a name in a grey that no eye tells from its ground, beside something bright
    let mut bytes = vec![10; 2 * 50];
    bytes[3] = 11;
    bytes[99] = 255;
    let of = layout(50, 1, "MONOCHROME2");
    let plain = greys(&seen(&of, View::default(), &[], &bytes));
    assert!(plain[3] - plain[2] <= 2);
    let faint = View {
        faint: true,
        ..View::default()
    };
    let shown = greys(&seen(&of, faint, &[], &bytes));
    assert!(shown[3] - shown[2] > 100, "{} and {}", shown[2], shown[3]);
}

#[test]
fn colours_are_red_green_and_blue() {
    let view = View::default();
    let red = [250, 10, 20];
    let grey = [90, 90, 90];
    let expected = |picture: &RgbImage, slack: u8| {
        for (pixel, wanted) in picture.pixels().zip([red, grey, grey, red]) {
            for (is, wanted) in pixel.0.into_iter().zip(wanted) {
                assert!(is.abs_diff(wanted) <= slack, "{pixel:?}, not {wanted:?}");
            }
        }
    };
    let interleaved = [red, grey, grey, red].concat();
    expected(&seen(&layout(2, 3, "RGB"), view, &[], &interleaved), 0);
    let plane = |of: usize| [red[of], grey[of], grey[of], red[of]];
    let planes = [plane(0), plane(1), plane(2)].concat();
    let planar = Layout {
        planar: true,
        ..layout(2, 3, "RGB")
    };
    expected(&seen(&planar, view, &[], &planes), 0);
    // this red is 83, 93, 247 in full YBR (PS3.3 C.7.6.3.1.2)
    let ybr = [[83, 93, 247], [90, 128, 128], [90, 128, 128], [83, 93, 247]].concat();
    expected(&seen(&layout(2, 3, "YBR_FULL"), view, &[], &ybr), 3);
    let halved = [90, 90, 128, 128, 83, 83, 93, 247];
    let picture = seen(&layout(2, 3, "YBR_FULL_422"), view, &[], &halved);
    assert_eq!(picture.get_pixel(0, 0).0, grey);
    assert!(picture.get_pixel(1, 1).0[0] > 245);
    let palette = [[0, 0, 0], red, grey].concat();
    let indexed = View { first: 4, ..view };
    let of = layout(2, 1, "PALETTE COLOR");
    expected(&seen(&of, indexed, &palette, &[5, 6, 200, 5]), 0);
    let below = seen(&of, indexed, &palette, &[0, 4, 4, 4]);
    assert_eq!(below.get_pixel(0, 0).0, [0; 3]);
}

#[test]
fn single_bits_and_large_frames_are_shown_small() {
    let bits = Layout {
        allocated: 1,
        stored: 1,
        high: 0,
        ..layout(4, 1, "MONOCHROME2")
    };
    let view = View {
        skip: 3,
        ..View::default()
    };
    let picture = seen(&bits, view, &[], &[0b0110_1000, 0b0000_0101]);
    assert_eq!(greys(&picture), [255, 0, 255, 255, 0, 255, 0, 255]);
    let small = View {
        longest: 100,
        ..View::default()
    };
    let picture = seen(&layout(1000, 1, "MONOCHROME2"), small, &[], &[9; 2000]);
    assert_eq!(picture.dimensions(), (100, 1));
}

#[test]
fn what_is_no_job_or_too_short_is_refused() {
    let mut out = Vec::new();
    for input in [&b""[..], b"\n", b"{}\n", b"{\"syntax\":1}\n", &[b'x'; 9000]] {
        assert_eq!(answer(input, &mut out), Err(Refusal::Invalid));
    }
    let of = layout(2, 1, "MONOCHROME2");
    for length in [5, LONGEST_FRAME + 1, u64::MAX] {
        let job = Job {
            syntax: NATIVE.to_owned(),
            layout: of.clone(),
            palette: 0,
            length,
            view: None,
        };
        let mut input = serde_json::to_vec(&job).unwrap();
        input.extend(b"\n1234");
        assert_eq!(answer(&input[..], &mut out), Err(Refusal::Invalid));
    }
    assert!(out.is_empty());
    let view = Some(View::default());
    assert!(asked(NATIVE, &of, view, &[], &[0; 3]).is_err());
    let wrong: [fn(&mut Layout); 7] = [
        |layout| layout.rows = 0,
        |layout| (layout.rows, layout.columns) = (u32::MAX, u32::MAX),
        |layout| layout.allocated = 64,
        |layout| layout.stored = 0,
        |layout| layout.stored = 9,
        |layout| layout.high = 8,
        |layout| layout.samples = 4,
    ];
    for change in wrong {
        let mut layout = of.clone();
        change(&mut layout);
        assert!(
            asked(NATIVE, &layout, view, &[], &[0; 64]).is_err(),
            "{layout:?}"
        );
    }
    let unknown = asked("1.2.3.4", &of, None, &[], &[0; 4]);
    assert_eq!(unknown, Err(Refusal::Unsupported));
}
