//! A disk that could not be read for a moment, a key that was away: what was withheld for that leaves by itself when it is over.

use super::masked::{BY, picture, store};
use super::worker::{leaving, protector, pseudonymous, sent};
use super::*;
use crate::spool::disk::memory::Call;
use crate::spool::tests::Bench;
use crate::spool::{view, withheld};

/// A slice that leaves when nothing is wrong.
fn slice(instance: &str) -> Dataset {
    let mut it = picture(instance, "Alpha");
    let class = "1.2.840.10008.5.1.4.1.1.2";
    it.put_text(dicom_core::Tag(0x0008, 0x0016), dicom_core::VR::UI, class);
    it.put_text(dicom_core::Tag(0x0028, 0x0301), dicom_core::VR::CS, "NO");
    it
}

async fn reasons(bench: &Bench) -> Vec<String> {
    let held = view::held(bench.spool.rows()).await.unwrap();
    held.into_iter().map(|one| one.why).collect()
}

#[tokio::test]
async fn a_read_that_failed_once_holds_an_object_up_for_a_while_and_not_for_good() {
    let mut met = 0;
    for nth in 1..=6 {
        let bench = pseudonymous().await;
        bench.greet(1, 0).await;
        store(&bench, &slice("1.2.1.1")).await;
        bench.disk.fail(Call::Read, nth);
        let protector = protector(&bench).await;
        bench.disk.mend();
        let why = reasons(&bench).await;
        met += why.len();
        assert!(
            why.iter().all(|why| why.contains("cannot be read")),
            "{why:?}"
        );
        let again = protector.look_again().await.unwrap();
        assert_eq!(again, why.len() as u64, "read {nth}: {why:?}");
        while protector.work().await.unwrap() > 0 {}
        let out = leaving(&bench).await;
        sent(&protector, &out[0]).await;
    }
    assert!(met > 1, "no fault was met");
}

#[tokio::test]
async fn while_it_lasts_the_object_stays_with_its_reason_and_its_study_has_no_new_version() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    store(&bench, &slice("1.2.1.1")).await;
    bench.disk.damage(|data| {
        data.truncate(data.len() / 2);
        true
    });
    let protector = protector(&bench).await;
    assert_eq!(reasons(&bench).await.len(), 1);
    let before = reasons(&bench).await;
    for _ in 0..3 {
        assert_eq!(protector.look_again().await.unwrap(), 0);
    }
    assert_eq!(reasons(&bench).await, before);
}

#[tokio::test]
async fn what_fails_again_at_once_is_left_alone_for_an_hour() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    store(&bench, &slice("1.2.1.1")).await;
    bench.disk.fail(Call::Read, 1);
    let protector = protector(&bench).await;
    bench.disk.mend();
    assert_eq!(protector.look_again().await.unwrap(), 1);
    bench.disk.fail(Call::Read, 1);
    while protector.work().await.unwrap() > 0 {}
    bench.disk.mend();
    assert_eq!(reasons(&bench).await.len(), 1);
    for _ in 0..5 {
        bench.pass(300);
        assert_eq!(protector.look_again().await.unwrap(), 0);
    }
    bench.pass(3600);
    assert_eq!(protector.look_again().await.unwrap(), 1);
    while protector.work().await.unwrap() > 0 {}
    assert_eq!(leaving(&bench).await.len(), 1);
}

#[tokio::test]
async fn what_waited_for_a_key_leaves_when_the_key_is_back_unless_a_person_keeps_it() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    let key = bench.folder.path().join("keys").join("hospital.key");
    causeway_certs::keep::create(&key, "new", "rubbish").unwrap();
    let bench = bench.restart().await;
    bench.greet(1, 0).await;
    for n in 1..=2 {
        store(&bench, &slice(&format!("1.2.1.{n}"))).await;
    }
    let first = protector(&bench).await;
    let why = reasons(&bench).await;
    assert!(
        !why.is_empty() && why.iter().all(|why| why.contains("keys of the site")),
        "{why:?}"
    );
    assert_eq!(first.look_again().await.unwrap(), 0, "it is still away");
    let open = bench.spool.studies_to_open().await.unwrap();
    let case = open[0].open.case.clone();
    let objects = withheld::objects(bench.spool.rows(), &case).await.unwrap();
    assert_eq!(objects.len(), 2);
    let kept = bench.spool.keep_back(&case, &[objects[0].id], BY).await;
    assert_eq!(kept.unwrap(), 1);
    drop(first);

    std::fs::remove_file(&key).unwrap();
    let bench = bench.restart().await;
    bench.greet(1, 0).await;
    let protector = Protector::new(bench.spool.clone());
    protector.begin().await.unwrap();
    while protector.work().await.unwrap() > 0 {}
    let out = leaving(&bench).await;
    assert_eq!(out.len(), 1);
    sent(&protector, &out[0]).await;
    assert_eq!(reasons(&bench).await.len(), 1, "what a person keeps stays");
}
