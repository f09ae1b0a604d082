//! Bytes that rot between receiving and sending never become a form, and are never held against the object or its patient.

use causeway_proto::dataset::Value;
use causeway_proto::link::message::Refused;
use dicom_core::{Tag, VR};

use super::masked::{banner, decoder, draw, picture, store};
use super::worker::{bytes_sent, leaving, protector, pseudonymous, sent};
use super::*;
use crate::spool::tests::{Bench, What};
use crate::spool::{Outgoing, view};

/// A slice that leaves when nothing is wrong, with so many bytes of pixels.
fn slice(pixels: usize) -> Dataset {
    let mut it = picture("1.2.1.1", "Alpha");
    it.put_text(Tag(0x0008, 0x0016), VR::UI, "1.2.840.10008.5.1.4.1.1.2");
    it.put_text(Tag(0x0028, 0x0301), VR::CS, "NO");
    let bytes = (0..=250).cycle().take(pixels).collect();
    it.put(Tag(0x7FE0, 0x0010), VR::OW, Value::Bytes(bytes));
    it
}

async fn lost(bench: &Bench) -> u64 {
    let queue = view::queue(bench.spool.rows(), bench.clock().now()).await;
    queue.unwrap().lost
}

async fn change(bench: &Bench, statement: &'static str) {
    let mut tx = bench.spool.rows().begin().await.unwrap();
    sqlx::query(statement).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

fn flip(bench: &Bench, whole: &[u8], at: usize) {
    bench.disk.damage(|data| {
        let first = data.windows(64).position(|there| there == &whole[..64]);
        // with a changed beginning the object is known by its end
        let end = whole.len() - 64;
        let last = data.windows(64).rposition(|there| there == &whole[end..]);
        if let Some(begin) = first.or_else(|| last.map(|last| last - end)) {
            data[begin + at] ^= 1 << (at % 8);
        }
        true
    });
}

/// Wherever it is: in what names the patient, in the framing, in the pixels; whether or not its digest was known before.
#[tokio::test]
async fn no_flipped_bit_leaves() {
    for pixels in [4096, 1_500_000] {
        let (bench, object) = (pseudonymous().await, slice(pixels));
        bench.greet(1, 0).await;
        store(&bench, &object).await;
        let whole = object.write();
        let header = whole.len() - pixels;
        let steps = (0..header).step_by(31).chain([header, header + pixels / 2]);
        let protector = Protector::new(bench.spool.clone());
        for (n, at) in steps.enumerate() {
            flip(&bench, &whole, at);
            while protector.work().await.unwrap() > 0 {}
            assert!(leaving(&bench).await.is_empty(), "bit of byte {at}");
            assert_eq!(lost(&bench).await, 1, "bit of byte {at}");
            let held = view::held(bench.spool.rows()).await.unwrap();
            assert!(
                held.len() == 1 && held[0].why.contains("damaged"),
                "{held:?}"
            );
            let open = bench.spool.studies_to_open().await.unwrap();
            assert!(open.iter().all(|study| study.open.blocked.is_none()));
            flip(&bench, &whole, at);
            change(&bench, "UPDATE instance SET lost = 0").await;
            if n % 2 == 0 {
                while protector.work().await.unwrap() > 0 {}
                let out = leaving(&bench).await;
                bytes_sent(&protector, &out[0]).await;
                change(&bench, "UPDATE instance SET sent_digest = NULL").await;
            } else {
                change(&bench, "UPDATE instance SET source_digest = NULL").await;
            }
        }
    }
}

fn mismatch(out: &Outgoing) -> Refused {
    Refused {
        key: Some(out.key.clone()),
        study: out.study.clone(),
        agreement: out.key.agreement.clone(),
        code: 0x08,
        sentence: "other bytes".to_owned(),
        retry_after_ms: Some(0),
    }
}

/// What was decided when it was sound, and has changed since: the gateway gets other bytes than the trailer says, and says so.
#[tokio::test]
async fn what_changes_after_it_was_decided_is_lost_and_leaves_when_it_comes_again() {
    for pixels in [4096, 1_500_000] {
        let (bench, object) = (pseudonymous().await, slice(pixels));
        bench.greet(1, 0).await;
        store(&bench, &object).await;
        let protector = protector(&bench).await;
        let before = leaving(&bench).await;
        let whole = object.write();
        flip(&bench, &whole, whole.len() - 100);
        bench.spool.refused(&mismatch(&before[0])).await.unwrap();
        assert_eq!(lost(&bench).await, 1);
        assert!(leaving(&bench).await.is_empty());
        store(&bench, &object).await;
        while protector.work().await.unwrap() > 0 {}
        let after = leaving(&bench).await;
        assert_eq!(after[0].sent, before[0].sent);
        bytes_sent(&protector, &after[0]).await;
    }
}

/// An object whose pixels have to be coded anew, of which nothing has been decided yet but that somebody has to draw.
async fn to_be_coded() -> (Bench, Protector) {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    let mut coded = picture("1.2.1.1", "Alpha");
    coded.put_text(Tag(0x0028, 0x0008), VR::IS, "2");
    let frames = vec![Vec::new(), vec![1; 20], vec![2; 30]];
    coded.put(Tag(0x7FE0, 0x0010), VR::OB, Value::Fragments(frames));
    let what = What {
        syntax: "1.2.840.10008.1.2.5".to_owned(),
        ..What::image("1.2.1", "1.2.1.1")
    };
    bench.store(&what.with_bytes(&coded.write())).await.unwrap();
    let protector = protector(&bench).await;
    let sevens = format!("printf '{}'", "\\007".repeat(48));
    let protector = protector.with_decoder(decoder(bench.folder.path(), &sevens));
    draw(&bench, &[banner(8, 2)], false).await;
    (bench, protector)
}

/// Masked pixels of which a bit has flipped, or whose file is gone, are made again; the object itself is sound.
#[tokio::test]
async fn masked_pixels_that_rot_are_made_again() {
    for gone in [false, true] {
        let (bench, protector) = to_be_coded().await;
        while protector.work().await.unwrap() > 0 {}
        let before = leaving(&bench).await;
        let pixels = Tag(0x7FE0, 0x0010);
        let masked = sent(&protector, &before[0]).await;
        bench.disk.damage(|data| {
            let Some(at) = data.windows(32).position(|it| it == [7; 32]) else {
                return true;
            };
            data[at] ^= 1;
            !gone
        });
        if gone {
            let form = protector.form(&before[0]).await.unwrap();
            let read = form.read(form.length() - 60, 60).await;
            assert_eq!(read.unwrap_err().of_the_bytes(), Some(true));
            let (key, at) = (&before[0].key, &before[0].source.handle);
            bench.spool.unreadable(key, at).await.unwrap();
        } else {
            bench.spool.refused(&mismatch(&before[0])).await.unwrap();
        }
        assert!(leaving(&bench).await.is_empty() && lost(&bench).await == 0);
        while protector.work().await.unwrap() > 0 {}
        let after = leaving(&bench).await;
        let again = sent(&protector, &after[0]).await;
        assert_eq!(again.bytes(pixels), masked.bytes(pixels));
    }
}

/// They rot before they have a digest: the object is sound, and leaves with others.
#[tokio::test]
async fn masked_pixels_that_rot_at_once_are_made_again() {
    let (bench, protector) = to_be_coded().await;
    bench.disk.rot_moved(1);
    while protector.work().await.unwrap() > 0 {}
    assert!(leaving(&bench).await.is_empty());
    assert_eq!(lost(&bench).await, 0);
    assert_eq!(protector.look_again().await.unwrap(), 1);
    while protector.work().await.unwrap() > 0 {}
    let after = leaving(&bench).await;
    sent(&protector, &after[0]).await;
}
