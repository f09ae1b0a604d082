//! `dciodvfy`, a judge that is not ours: no form that leaves has an error that the received object had not, masked or not.

use std::collections::{BTreeMap, BTreeSet};

use causeway_proto::dataset::Value;
use dicom_core::{Tag, VR};

use super::masked::{BY, decoder, draw, first_object};
use super::public::shifted;
use super::worker::{bytes_sent, leaving, protector, pseudonymous};
use super::*;
use crate::mask::Rectangle;
use crate::spool::masks::met;
use crate::spool::tests::What;
use crate::spool::view;

const JUDGE: &str = "/usr/bin/dciodvfy";

/// Whether the judge is here; said loudly when not.
fn there() -> bool {
    let there = Path::new(JUDGE).exists();
    if !there {
        eprintln!("NOT RUN: dciodvfy is missing");
    }
    there
}

/// What the judge calls an error in a file, without the places where it found them.
fn errors(path: &Path) -> BTreeSet<String> {
    let told = std::process::Command::new(JUDGE)
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8_lossy(&told.stderr)
        .lines()
        .filter(|line| line.starts_with("Error"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_protected_form_has_no_error_that_the_received_one_had_not() {
    compare(&Options::default());
}

#[test]
fn the_form_with_shifted_dates_has_no_error_that_the_received_one_had_not() {
    compare(&shifted());
}

fn compare(options: &Options) {
    let Some(data) = public_data() else { return };
    if !there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path_out = folder.path().join("protected.dcm");
    let mut worse = BTreeMap::new();
    let mut compared = 0;
    for (number, path) in files(&data.join("studies")).into_iter().enumerate() {
        // of long series of like images, some
        if number % 10 != 0
            && ["ct-head-phantom", "mr-epi-phantom-ge", "ct-tiny-50"]
                .iter()
                .any(|like| path.to_string_lossy().contains(like))
        {
            continue;
        }
        let file = std::fs::read(&path).unwrap();
        let (syntax, dataset) = dataset_of(&file);
        let Outcome::Leaves(plan) = protect(dataset, &syntax, options) else {
            continue;
        };
        let head = file.len() - dataset.len();
        std::fs::write(
            &path_out,
            [&file[..head], &bytes(&plan, dataset)[..]].concat(),
        )
        .unwrap();
        compared += 1;
        let before = errors(&path);
        for error in errors(&path_out).difference(&before) {
            worse.entry(error.clone()).or_insert_with(|| path.clone());
        }
    }
    println!("{compared} objects compared");
    assert!(worse.is_empty(), "{worse:#?}");
}

/// A dataset in a file, behind a file meta group of ours.
fn file(path: &Path, dataset: &[u8], syntax: &str) {
    let read = Dataset::read(dataset, &uid(syntax)).unwrap();
    let mut meta = Dataset::new();
    meta.put(Tag(2, 0x0001), VR::OB, Value::Bytes(vec![0, 1]));
    let (class, instance) = (Tag(0x0008, 0x0016), Tag(0x0008, 0x0018));
    meta.put_text(Tag(2, 0x0002), VR::UI, &read.code(class));
    meta.put_text(Tag(2, 0x0003), VR::UI, &read.code(instance));
    meta.put_text(Tag(2, 0x0010), VR::UI, syntax);
    meta.put_text(Tag(2, 0x0012), VR::UI, "2.25.1");
    let meta = meta.write();
    let mut head = Dataset::new();
    let length = u32::try_from(meta.len()).unwrap().to_le_bytes();
    head.put(Tag(2, 0), VR::UL, Value::Bytes(length.to_vec()));
    let whole = [&[0; 128], &b"DICM"[..], &head.write(), &meta, dataset].concat();
    std::fs::write(path, whole).unwrap();
}

/// How a decoder that is only as good as its lengths says one frame.
fn black_frame(dataset: &Dataset) -> String {
    let short = |element| {
        let bytes = dataset.bytes(Tag(0x0028, element));
        u64::from(u16::from_le_bytes([bytes[0], bytes[1]]))
    };
    let bytes = short(0x0010) * short(0x0011) * short(0x0002) * (short(0x0100) / 8);
    format!("head -c {bytes} /dev/zero")
}

/// The masked form of a public object, with its syntax: by a rule of its device, or drawn on it alone. None when it need not be masked.
async fn masked(received: &[u8], syntax: &str) -> Option<(Vec<u8>, String)> {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    let dataset = Dataset::read(received, &uid(syntax)).unwrap();
    let text = |tag| Box::leak(dataset.code(tag).into_boxed_str());
    let what = What {
        patient: text(Tag(0x0010, 0x0020)),
        syntax: syntax.to_owned(),
        ..What::image(text(Tag(0x0020, 0x000D)), text(Tag(0x0008, 0x0018)))
    };
    bench.store(&what.with_bytes(received)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let decoder = decoder(folder.path(), &black_frame(&dataset));
    let protector = protector(&bench).await.with_decoder(decoder);
    if !leaving(&bench).await.is_empty() {
        return None;
    }
    let banner = Rectangle {
        left: 0,
        top: 0,
        right: 64,
        bottom: 16,
    };
    if met(bench.spool.rows()).await.unwrap().is_empty() {
        let (case, one) = first_object(&bench).await;
        bench
            .spool
            .mask_object(&case, one, &[banner], BY)
            .await
            .unwrap();
    } else {
        draw(&bench, &[banner], true).await;
    }
    while protector.work().await.unwrap() > 0 {}
    let held = view::held(bench.spool.rows()).await.unwrap();
    assert!(held.is_empty(), "{}", held[0].why);
    let out = leaving(&bench).await;
    let bytes = bytes_sent(&protector, &out[0]).await;
    Some((bytes, out[0].sent.syntax.to_string()))
}

/// Each way of masking: in place, JPEG block by block, coded anew.
#[tokio::test]
async fn a_masked_form_has_no_error_that_the_received_one_had_not() {
    let Some(data) = public_data() else { return };
    if !there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (path_in, path_out) = (folder.path().join("in.dcm"), folder.path().join("out.dcm"));
    let mut ways = BTreeMap::new();
    let mut worse = BTreeMap::new();
    let parts = [
        "studies/us-burned-in-fake-identity",
        "studies/us-colour-doppler-acuson",
        "studies/us-stress-echo-acuson",
        "syntaxes/colour-test-pattern",
        "syntaxes/nema-wg04",
        "syntaxes/photometric",
    ];
    // of a long series of like loops, some
    let some = |part| files(&data.join(part)).into_iter().take(10);
    for path in parts.into_iter().flat_map(some) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        let (syntax, received) = dataset_of(&bytes);
        let mut received = received.to_vec();
        // the bench binds a study to a number without an issuer
        let mut dataset = Dataset::read(&received, &uid(&syntax)).unwrap();
        if dataset.remove(Tag(0x0010, 0x0021)).is_some() {
            assert_ne!(syntax, IMPLICIT, "{name}");
            received = dataset.write();
        }
        let Some((form, after)) = masked(&received, &syntax).await else {
            continue;
        };
        file(&path_in, &received, &syntax);
        file(&path_out, &form, &after);
        *ways.entry((syntax.clone(), after)).or_insert(0) += 1;
        for error in errors(&path_out).difference(&errors(&path_in)) {
            worse.entry(error.clone()).or_insert_with(|| name.clone());
        }
    }
    for ((before, after), count) in &ways {
        println!("{count:3} from {before} to {after}");
    }
    assert!(ways.len() > 5, "{ways:?}");
    assert!(worse.is_empty(), "{worse:#?}");
}
