//! Pixels that give somebody away, through the worker on a real spool: withheld once, masked by what a person drew, and nothing else.

use causeway_proto::dataset::Value;
use dicom_core::{Tag, VR};

use super::worker::{leaving, protector, pseudonymous, sent};
use super::*;
use crate::mask::Rectangle;
use crate::spool::decision::By;
use crate::spool::disk::memory::Call;
use crate::spool::masks::{Drawn, met};
use crate::spool::tests::{Bench, What};
use crate::spool::view;

pub(super) const BY: By<'static> = By {
    who: "anna",
    reason: "looked at",
};
pub(super) const PIXELS: Tag = Tag(0x7FE0, 0x0010);

pub(super) fn banner(right: u32, bottom: u32) -> Rectangle {
    Rectangle {
        left: 0,
        top: 0,
        right,
        bottom,
    }
}

/// An ultrasound picture, 8 columns by 6 rows, of a device.
pub(super) fn picture(instance: &str, model: &str) -> Dataset {
    let mut it = Dataset::new();
    for (tag, vr, text) in [
        ((0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY"),
        ((0x0008, 0x0016), VR::UI, "1.2.840.10008.5.1.4.1.1.6.1"),
        ((0x0008, 0x0018), VR::UI, instance),
        ((0x0008, 0x0070), VR::LO, "Maker"),
        ((0x0008, 0x1090), VR::LO, model),
        ((0x0010, 0x0020), VR::LO, "PID-1"),
        ((0x0020, 0x000D), VR::UI, "1.2.1"),
        ((0x0020, 0x000E), VR::UI, "1.2.3.4"),
        ((0x0028, 0x0004), VR::CS, "MONOCHROME2"),
        ((0x0028, 0x0301), VR::CS, "YES"),
    ] {
        it.put_text(Tag(tag.0, tag.1), vr, text);
    }
    for (element, number) in [
        (0x0002, 1),
        (0x0010, 6),
        (0x0011, 8),
        (0x0100, 8),
        (0x0101, 8),
        (0x0102, 7),
        (0x0103, 0),
    ] {
        short(&mut it, Tag(0x0028, element), number);
    }
    it.put(PIXELS, VR::OB, Value::Bytes(vec![7; 48]));
    it
}

pub(super) fn short(dataset: &mut Dataset, tag: Tag, number: u16) {
    dataset.put(tag, VR::US, Value::Bytes(number.to_le_bytes().to_vec()));
}

/// Where ultrasound was scanned.
fn region(left: u32, top: u32, right: u32, bottom: u32) -> Vec<Dataset> {
    let mut item = Dataset::new();
    for (element, corner) in [
        (0x6018, left),
        (0x601A, top),
        (0x601C, right),
        (0x601E, bottom),
    ] {
        item.put(
            Tag(0x0018, element),
            VR::UL,
            Value::Bytes(corner.to_le_bytes().to_vec()),
        );
    }
    vec![item]
}

pub(super) async fn store(bench: &Bench, dataset: &Dataset) {
    let what = What::image("1.2.1", &dataset.code(Tag(0x0008, 0x0018)));
    bench
        .store(&what.with_bytes(&dataset.write()))
        .await
        .unwrap();
}

/// What is withheld, with its reasons.
async fn withheld(bench: &Bench) -> Vec<String> {
    let held = view::held(bench.spool.rows()).await.unwrap();
    held.into_iter().map(|one| one.why).collect()
}

pub(super) async fn draw(bench: &Bench, rectangles: &[Rectangle], confirmed: bool) -> Drawn {
    let known = met(bench.spool.rows()).await.unwrap();
    assert!(!known.is_empty(), "{:?}", withheld(bench).await);
    bench
        .spool
        .draw_mask(known[0].id, rectangles, confirmed, BY)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_device_is_withheld_once_and_masked_ever_after() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    for n in 1..=3 {
        store(&bench, &picture(&format!("1.2.1.{n}"), "Alpha")).await;
    }
    let protector = protector(&bench).await;
    assert!(leaving(&bench).await.is_empty());
    let reasons = withheld(&bench).await;
    assert!(reasons[0].contains("of an unknown device"), "{reasons:?}");
    assert!(!reasons[0].contains("MAKER") && !reasons[0].contains("Maker"));

    assert_eq!(draw(&bench, &[banner(8, 2)], false).await, Drawn::Made(3));
    while protector.work().await.unwrap() > 0 {}
    for n in 4..=9 {
        store(&bench, &picture(&format!("1.2.1.{n}"), "Alpha")).await;
    }
    store(&bench, &picture("1.2.1.10", "Beta")).await;
    while protector.work().await.unwrap() > 0 {}
    let out = leaving(&bench).await;
    assert_eq!(out.len(), 9, "all but the one of the other device");
    let masked = sent(&protector, &out[0]).await;
    assert_eq!(masked.bytes(PIXELS), [vec![0; 16], vec![7; 32]].concat());
    assert_eq!(masked.code(Tag(0x0028, 0x0301)), "NO");
    let codes = masked
        .items(Tag(0x0012, 0x0064))
        .iter()
        .map(|item| item.code(Tag(0x0008, 0x0100)));
    assert!(codes.into_iter().any(|code| code == "113101"));
    assert!(
        masked
            .code(Tag(0x0012, 0x0063))
            .contains("Causeway protection")
    );
    let open = bench.spool.studies_to_open().await.unwrap();
    assert_eq!(open[0].open.remarks, ["banner masked at the site"]);
    assert_eq!(open[0].progress.held, 1);
}

#[tokio::test]
async fn a_device_on_which_nothing_is_burned_in_is_not_touched() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    store(&bench, &picture("1.2.1.1", "Alpha")).await;
    let protector = protector(&bench).await;
    assert_eq!(draw(&bench, &[], false).await, Drawn::Made(1));
    while protector.work().await.unwrap() > 0 {}
    let out = leaving(&bench).await;
    let masked = sent(&protector, &out[0]).await;
    assert_eq!(masked.bytes(PIXELS), vec![7; 48]);
    assert_eq!(masked.code(Tag(0x0028, 0x0301)), "NO");
    assert!(
        bench.spool.studies_to_open().await.unwrap()[0]
            .open
            .remarks
            .is_empty()
    );
}

#[tokio::test]
async fn scan_area_is_never_hidden_without_a_word() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    let mut first = picture("1.2.1.1", "Alpha");
    first.put_items(Tag(0x0018, 0x6011), region(0, 3, 7, 5));
    store(&bench, &first).await;
    let protector = protector(&bench).await;
    assert_eq!(draw(&bench, &[banner(8, 4)], false).await, Drawn::Covers);
    assert_eq!(draw(&bench, &[banner(8, 3)], false).await, Drawn::Made(1));
    // an object of the same device whose scan area begins higher
    let mut second = picture("1.2.1.2", "Alpha");
    second.put_items(Tag(0x0018, 0x6011), region(0, 2, 7, 5));
    store(&bench, &second).await;
    while protector.work().await.unwrap() > 0 {}
    assert_eq!(leaving(&bench).await.len(), 1);
    let reasons = withheld(&bench).await;
    assert!(reasons[0].contains("would hide scan area"), "{reasons:?}");
    assert_eq!(draw(&bench, &[banner(8, 3)], true).await, Drawn::Made(1));
    while protector.work().await.unwrap() > 0 {}
    assert_eq!(leaving(&bench).await.len(), 2);
}

#[tokio::test]
async fn what_a_person_draws_on_one_object_is_for_that_one_alone() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    for n in 1..=2 {
        let mut capture = picture(&format!("1.2.1.{n}"), "Alpha");
        capture.put_text(Tag(0x0008, 0x0016), VR::UI, "1.2.840.10008.5.1.4.1.1.7");
        store(&bench, &capture).await;
    }
    let protector = protector(&bench).await;
    assert!(
        met(bench.spool.rows()).await.unwrap().is_empty(),
        "no rule for captures"
    );
    let (case, one) = first_object(&bench).await;
    let spot = Rectangle {
        left: 2,
        top: 1,
        right: 4,
        bottom: 2,
    };
    assert!(
        bench
            .spool
            .mask_object(&case, one, &[spot], BY)
            .await
            .unwrap()
    );
    while protector.work().await.unwrap() > 0 {}
    let out = leaving(&bench).await;
    assert_eq!(out.len(), 1);
    let masked = sent(&protector, &out[0]).await;
    let mut expected = vec![7; 48];
    expected[10..12].fill(0);
    assert_eq!(masked.bytes(PIXELS), expected);
    let open = bench.spool.studies_to_open().await.unwrap();
    assert_eq!(open[0].open.remarks, ["masked by hand at the site"]);
}

pub(super) async fn first_object(bench: &Bench) -> (causeway_proto::ids::CaseCode, i64) {
    let open = bench.spool.studies_to_open().await.unwrap();
    let case = open[0].open.case.clone();
    let objects = crate::spool::withheld::objects(bench.spool.rows(), &case)
        .await
        .unwrap();
    (case, objects[0].id)
}

/// A frame too few, a frame too many, an odd photometric, a size that is not said: nothing of it leaves.
#[tokio::test]
async fn pixels_that_do_not_lie_where_the_header_says_stay() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    let changes: [&dyn Fn(&mut Dataset); 5] = [
        &|it| it.put(PIXELS, VR::OB, Value::Bytes(vec![7; 46])),
        &|it| it.put(PIXELS, VR::OB, Value::Bytes(vec![7; 96])),
        &|it| it.put_text(Tag(0x0028, 0x0008), VR::IS, "2"),
        &|it| it.put_text(Tag(0x0028, 0x0004), VR::CS, "HSV"),
        &|it| short(it, Tag(0x0028, 0x0100), 12),
    ];
    for (n, change) in changes.iter().enumerate() {
        let mut it = picture(&format!("1.2.1.{n}"), "Alpha");
        change(&mut it);
        store(&bench, &it).await;
    }
    store(&bench, &picture("1.2.1.9", "Alpha")).await;
    let protector = protector(&bench).await;
    assert_eq!(draw(&bench, &[banner(8, 2)], false).await, Drawn::Made(6));
    while protector.work().await.unwrap() > 0 {}
    let out = leaving(&bench).await;
    assert_eq!(out.len(), 1, "the good one");
    assert_eq!(out[0].key.instance.as_str(), "1.2.1.9");
}

#[tokio::test]
async fn the_darkest_colour_of_a_palette_is_its_black() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    let mut it = picture("1.2.1.1", "Alpha");
    it.put_text(Tag(0x0028, 0x0004), VR::CS, "PALETTE COLOR");
    for table in 0..3 {
        let words = |numbers: &[u16]| {
            Value::Bytes(numbers.iter().flat_map(|it| it.to_le_bytes()).collect())
        };
        it.put(Tag(0x0028, 0x1101 + table), VR::US, words(&[4, 10, 16]));
        it.put(
            Tag(0x0028, 0x1201 + table),
            VR::OW,
            words(&[900, 800, 5, 700]),
        );
    }
    store(&bench, &it).await;
    let protector = protector(&bench).await;
    draw(&bench, &[banner(8, 1)], false).await;
    while protector.work().await.unwrap() > 0 {}
    let out = leaving(&bench).await;
    let masked = sent(&protector, &out[0]).await;
    assert_eq!(masked.bytes(PIXELS), [vec![12; 8], vec![7; 40]].concat());
}

/// A public file as one object of a study of its own.
async fn public(bench: &Bench, path: &Path, number: usize) -> Dataset {
    let file = std::fs::read(path).unwrap();
    let (syntax, bytes) = dataset_of(&file);
    let mut dataset = Dataset::read(bytes, &uid(&syntax)).unwrap();
    // the bench binds a study to a number without an issuer
    dataset.remove(Tag(0x0010, 0x0021));
    if number > 0 {
        dataset.put_text(Tag(0x0008, 0x0018), VR::UI, &format!("2.25.77{number}"));
    }
    let patient = dataset.code(Tag(0x0010, 0x0020));
    let what = What {
        patient: Box::leak(patient.into_boxed_str()),
        syntax,
        ..What::image(
            &dataset.code(Tag(0x0020, 0x000D)),
            &dataset.code(Tag(0x0008, 0x0018)),
        )
    };
    bench
        .store(&what.with_bytes(&dataset.write()))
        .await
        .unwrap();
    dataset
}

#[tokio::test]
async fn the_banner_of_the_burned_in_sample_goes_and_nothing_else() {
    let Some(data) = public_data() else { return };
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    let path = files(&data.join("studies/us-burned-in-fake-identity")).remove(0);
    let before = public(&bench, &path, 0).await;
    let protector = protector(&bench).await;
    assert!(leaving(&bench).await.is_empty());
    assert_eq!(
        draw(&bench, &[banner(1024, 23)], false).await,
        Drawn::Made(1)
    );
    while protector.work().await.unwrap() > 0 {}
    let after = sent(&protector, &leaving(&bench).await[0]).await;
    let (before, after) = (before.bytes(PIXELS), after.bytes(PIXELS));
    assert!(
        before[..1024 * 23].iter().any(|it| *it > 100),
        "something stood there"
    );
    assert!(after[..1024 * 23].iter().all(|it| *it == 0));
    assert!(before[1024 * 23..] == after[1024 * 23..]);
}

/// P6: 24 loops, one action; more of the device, none. The forms are the same after a restart.
#[tokio::test]
async fn the_stress_echo_needs_one_person_once() {
    let Some(data) = public_data() else { return };
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    let loops = files(&data.join("studies/us-stress-echo-acuson"));
    for path in &loops {
        public(&bench, path, 0).await;
    }
    let first = protector(&bench).await;
    assert!(leaving(&bench).await.is_empty());
    assert_eq!(draw(&bench, &[banner(384, 16)], false).await, Drawn::Covers);
    assert_eq!(
        draw(&bench, &[banner(384, 16)], true).await,
        Drawn::Made(24)
    );
    while first.work().await.unwrap() > 0 {}
    assert_eq!(withheld(&bench).await, Vec::<String>::new());
    let before = leaving(&bench).await;
    assert_eq!(before.len(), 24);
    sent(&first, &before[0]).await;
    drop(first);

    let bench = bench.restart().await;
    let again = protector(&bench).await;
    let after = leaving(&bench).await;
    assert_eq!(after[0].sent, before[0].sent);
    let masked = sent(&again, &after[0]).await;
    let Value::Fragments(frames) = &masked.get(PIXELS).unwrap().value else {
        panic!("not encapsulated");
    };
    let count: usize = masked.code(Tag(0x0028, 0x0008)).parse().unwrap();
    assert_eq!((frames.len(), frames[0].len()), (count + 1, count * 4));

    for number in 1..=24 {
        public(&bench, &loops[number % 24], number).await;
    }
    while again.work().await.unwrap() > 0 {}
    assert_eq!(withheld(&bench).await, Vec::<String>::new());
    assert_eq!(leaving(&bench).await.len(), 48);
}

/// Whatever the disk refuses while pixels are coded anew: that object stays or is tried again, and no unmasked one goes.
#[tokio::test]
async fn no_fault_lets_a_banner_out() {
    let Some(data) = public_data() else { return };
    let path = files(&data.join("studies/us-stress-echo-acuson")).remove(0);
    let mut met_faults = 0;
    for (call, most) in [
        (Call::Open, 1),
        (Call::Append, 10),
        (Call::Sync, 1),
        (Call::Rename, 1),
        (Call::SyncDir, 1),
        (Call::Read, 9),
    ] {
        for nth in (0..most).step_by(3) {
            let bench = pseudonymous().await;
            bench.greet(1, 0).await;
            public(&bench, &path, 0).await;
            let protector = protector(&bench).await;
            draw(&bench, &[banner(384, 16)], true).await;
            bench.disk.fail(call, nth);
            let worked = protector.work().await;
            bench.disk.mend();
            let out = leaving(&bench).await;
            met_faults += usize::from(worked.is_err() || out.is_empty());
            for one in &out {
                let masked = sent(&protector, one).await;
                assert_eq!(masked.code(Tag(0x0028, 0x0301)), "NO", "{call:?} {nth}");
            }
            for reason in withheld(&bench).await {
                assert!(
                    reason.contains("mask") || reason.contains("read"),
                    "{reason}"
                );
            }
            // a person tries again
            draw(&bench, &[banner(384, 16)], true).await;
            while protector.work().await.unwrap() > 0 {}
            assert_eq!(
                leaving(&bench).await.len(),
                1,
                "{call:?} {nth}: it leaves after all"
            );
        }
    }
    assert!(met_faults > 3, "{met_faults}");
}

/// A stand-in for the decoder: says what it is told to, and ends.
pub(super) fn decoder(folder: &Path, says: &str) -> Decoder {
    let program = folder.join("decoder");
    write_program(&program, &format!("#!/bin/sh\ncat >/dev/null\n{says}\n"));
    Decoder::new(program, crate::mask::child::Limits::default())
}

#[tokio::test]
async fn frames_in_another_coding_are_decoded_masked_and_leave_plain() {
    let sevens = format!("printf '{}'", "\\007".repeat(48));
    for (says, leave) in [
        (sevens.as_str(), 2),
        ("kill -9 $$", 1),
        ("printf short", 1),
        ("exit 3", 1),
        ("cat /dev/zero", 1),
    ] {
        let bench = pseudonymous().await;
        bench.greet(1, 0).await;
        let mut coded = picture("1.2.1.1", "Alpha");
        coded.put_text(Tag(0x0028, 0x0008), VR::IS, "2");
        let frames = vec![Vec::new(), vec![1; 20], vec![2; 30]];
        coded.put(PIXELS, VR::OB, Value::Fragments(frames));
        let what = What {
            syntax: "1.2.840.10008.1.2.5".to_owned(),
            ..What::image("1.2.1", "1.2.1.1")
        };
        bench.store(&what.with_bytes(&coded.write())).await.unwrap();
        store(&bench, &picture("1.2.1.2", "Alpha")).await;
        let protector = protector(&bench).await;
        let protector = protector.with_decoder(decoder(bench.folder.path(), says));
        assert_eq!(draw(&bench, &[banner(8, 2)], false).await, Drawn::Made(2));
        while protector.work().await.unwrap() > 0 {}
        let out = leaving(&bench).await;
        assert_eq!(out.len(), leave, "{says}: {:?}", withheld(&bench).await);
        if leave == 2 {
            assert_eq!(out[0].sent.syntax.as_str(), EXPLICIT);
            let masked = sent(&protector, &out[0]).await;
            let frame = [vec![0; 16], vec![7; 32]].concat();
            assert_eq!(masked.bytes(PIXELS), frame.repeat(2));
            assert_eq!(masked.code(Tag(0x0028, 0x0004)), "MONOCHROME2");
        }
    }
}
