//! Studies: what a repeated UID means (P24), what the called title means (P4), when a study is complete (P30), what comes late (P5).

use super::*;
use crate::spool::decision::By;

async fn state(bench: &Bench) -> (String, i64) {
    let row = sqlx::query("SELECT state, manifest_version FROM study WHERE study_uid = '1.2.3'")
        .fetch_one(bench.spool.inner.rows.read())
        .await
        .unwrap();
    (row.get(0), row.get(1))
}

async fn sealed_after(bench: &Bench, seconds: i64) -> bool {
    bench.pass(seconds);
    study::seal_complete(&bench.spool).await.unwrap() > 0
}

/// Hands the study off: receipts, manifest, answer.
async fn hand_off(bench: &Bench, first_receipt: u64) -> Manifest {
    bench.receipt_all(1, first_receipt).await;
    let due = bench.spool.manifests_due().await.unwrap();
    let [manifest] = due.as_slice() else {
        panic!("one manifest is due: {due:?}");
    };
    let answer = Sealed {
        study: manifest.study.clone(),
        agreement: manifest.agreement.clone(),
        version: manifest.version,
        missing: vec![],
    };
    bench.spool.sealed(&answer).await.unwrap();
    assert_eq!(bench.spool.manifests_due().await.unwrap(), vec![]);
    manifest.clone()
}

#[tokio::test]
async fn a_repeated_uid_is_the_same_a_correction_or_a_conflict() {
    let bench = Bench::new().await;
    let first = What::image("1.2.3", "1.2.3.1");
    let corrected = What {
        patient: "PID-2",
        ..first.clone().with_bytes(b"another header, the same pixels")
    };
    let other_pixels = What {
        pixels: Some(b"others"),
        ..first.clone().with_bytes(b"other pixels")
    };
    let other_study = What {
        study: "1.2.4".to_owned(),
        ..first.clone().with_bytes(b"moved to another study")
    };
    for (what, expect) in [
        (&first, Stored::New),
        (&first, Stored::Same),
        (&corrected, Stored::Correction),
        (&corrected, Stored::Correction),
        (&other_pixels, Stored::Conflict),
        (&other_pixels, Stored::Conflict),
        (&other_study, Stored::Conflict),
        (&first, Stored::Same),
    ] {
        assert_eq!(bench.store(what).await.unwrap(), expect);
    }
    bench.greet(1, 0).await;
    let out = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
    assert_eq!(out.len(), 1, "only the first is sent");
    let bytes = bench
        .spool
        .read(&out[0].source.handle, 0, 1000)
        .await
        .unwrap();
    assert_eq!(&bytes[..], &first.bytes[..]);
    let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM aside")
        .fetch_one(bench.spool.inner.rows.read())
        .await
        .unwrap();
    assert_eq!(kept, 3, "one correction and two conflicts are kept aside");
    let patient: String = sqlx::query_scalar("SELECT patient_id FROM study")
        .fetch_one(bench.spool.inner.rows.read())
        .await
        .unwrap();
    assert_eq!(patient, "PID-2", "people find it under its newest name");
}

#[tokio::test]
async fn objects_without_pixels_are_never_corrections() {
    let bench = Bench::new().await;
    let first = What::report("1.2.3", "1.2.3.1");
    assert_eq!(bench.store(&first).await.unwrap(), Stored::New);
    let other = first.with_bytes(b"other content");
    assert_eq!(bench.store(&other).await.unwrap(), Stored::Conflict);
}

#[tokio::test]
async fn the_called_title_says_what_for_and_the_most_urgent_wins() {
    let bench = Bench::new().await;
    let prior = What {
        purpose: Purpose::Comparison,
        ..What::image("1.2.3", "1.2.3.1")
    };
    bench.store(&prior).await.unwrap();
    bench.greet(1, 0).await;
    let open = bench.spool.studies_to_open().await.unwrap();
    assert_eq!(open[0].open.purpose, Purpose::Comparison);
    let stat = What {
        priority: Priority::Stat,
        ..What::image("1.2.3", "1.2.3.2")
    };
    bench.store(&stat).await.unwrap();
    bench.store(&What::image("1.2.3", "1.2.3.3")).await.unwrap();
    let again = bench.spool.studies_to_open().await.unwrap();
    assert_eq!(again[0].open.purpose, Purpose::Read);
    assert_eq!(again[0].open.priority, Priority::Stat);
    assert_eq!(
        again[0].open.case, open[0].open.case,
        "the code is drawn once"
    );
    assert_eq!((again[0].progress.at_site, again[0].progress.held), (3, 0));
}

#[tokio::test]
async fn silence_lasts_as_long_as_the_sender_needs() {
    for (kind, modality, silence) in [
        (CallingKind::Pacs, "CT", 30),
        (CallingKind::Pacs, "US", 30),
        (CallingKind::Modality, "MR", 120),
        (CallingKind::Modality, "US", 600),
        (CallingKind::Modality, "XA", 600),
    ] {
        let bench = Bench::new().await;
        let what = What {
            kind,
            modality,
            ..What::image("1.2.3", "1.2.3.1")
        };
        bench.store(&what).await.unwrap();
        assert!(
            !sealed_after(&bench, silence - 1).await,
            "{kind:?} {modality}"
        );
        assert!(sealed_after(&bench, 1).await, "{kind:?} {modality}");
        assert_eq!(state(&bench).await, ("complete".to_owned(), 1));
    }
}

#[tokio::test]
async fn an_open_association_holds_the_seal_but_not_for_ever() {
    let bench = Bench::new().await;
    let one = bench
        .spool
        .association_opened(title("PACS"), CallingKind::Pacs);
    let two = bench
        .spool
        .association_opened(title("PACS"), CallingKind::Pacs);
    bench
        .store_on(one, &What::image("1.2.3", "1.2.3.1"))
        .await
        .unwrap();
    bench
        .store_on(two, &What::image("1.2.3", "1.2.3.2"))
        .await
        .unwrap();
    bench.spool.association_closed(one).await;
    assert!(!sealed_after(&bench, 500).await);
    bench.spool.association_closed(two).await;
    assert!(!sealed_after(&bench, 29).await);
    assert!(sealed_after(&bench, 1).await);

    let three = bench
        .spool
        .association_opened(title("PACS"), CallingKind::Pacs);
    bench
        .store_on(three, &What::image("1.2.3", "1.2.3.3"))
        .await
        .unwrap();
    assert!(!sealed_after(&bench, 599).await);
    assert!(
        sealed_after(&bench, 1).await,
        "a sender that never hangs up"
    );
}

#[tokio::test]
async fn send_now_ends_the_wait_and_says_that_a_person_did() {
    let bench = Bench::new().await;
    let association = bench
        .spool
        .association_opened(title("PACS"), CallingKind::Pacs);
    bench
        .store_on(association, &What::image("1.2.3", "1.2.3.1"))
        .await
        .unwrap();
    bench.greet(1, 0).await;
    let case = bench.spool.studies_to_open().await.unwrap()[0]
        .open
        .case
        .clone();
    assert_eq!(bench.spool.send_now(Some(&case), "rita").await.unwrap(), 1);
    assert!(sealed_after(&bench, 0).await);
    assert_eq!(hand_off(&bench, 1).await.basis, "person");
    assert_eq!(bench.spool.send_now(None, "rita").await.unwrap(), 0);
}

#[tokio::test]
async fn a_late_image_reopens_and_a_late_report_attaches() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    assert!(sealed_after(&bench, 30).await);
    let manifest = hand_off(&bench, 1).await;
    assert_eq!((manifest.version, manifest.entries.len()), (1, 1));
    assert_eq!(manifest.withheld, vec![]);

    bench
        .store(&What::report("1.2.3", "1.2.3.2"))
        .await
        .unwrap();
    assert_eq!(state(&bench).await, ("handed-off".to_owned(), 1));
    assert!(!sealed_after(&bench, 1000).await);
    assert_eq!(bench.receipt_all(1, 2).await, 3, "it is sent all the same");
    assert_eq!(bench.spool.manifests_due().await.unwrap(), vec![]);

    bench.store(&What::image("1.2.3", "1.2.3.3")).await.unwrap();
    assert_eq!(state(&bench).await, ("arriving".to_owned(), 1));
    assert!(sealed_after(&bench, 30).await);
    let manifest = hand_off(&bench, 3).await;
    assert_eq!((manifest.version, manifest.entries.len()), (2, 3));
}

#[tokio::test]
async fn our_own_report_coming_back_is_noted_and_dropped() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    assert!(sealed_after(&bench, 30).await);
    hand_off(&bench, 1).await;
    let syntax = "1.2.840.10008.1.2.1".parse().unwrap();
    let (handle, _) = bench
        .spool
        .keep_report(&syntax, Bytes::from_static(b"report"))
        .await
        .unwrap();
    let mut tx = bench.spool.rows().begin().await.unwrap();
    let (study, sop) = ("1.2.3".parse().unwrap(), "1.2.9.1".parse().unwrap());
    bench
        .spool
        .own_report(&mut tx, &study, &sop, &handle, 6)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let back = What::report("1.2.3", "1.2.9.1").with_bytes(b"report with another header");
    for _ in 0..2 {
        assert_eq!(bench.store(&back).await.unwrap(), Stored::OurReport);
    }
    assert_eq!(state(&bench).await, ("handed-off".to_owned(), 1));
    assert!(
        bench
            .spool
            .next_to_send(9, &HashSet::new())
            .await
            .unwrap()
            .is_empty()
    );
    let returned: i64 = sqlx::query_scalar("SELECT returned FROM own_report")
        .fetch_one(bench.spool.inner.rows.read())
        .await
        .unwrap();
    assert_eq!(returned, 2);
    let bench = bench.restart().await;
    assert_eq!(
        bench.spool.recovery(),
        &Recovery::default(),
        "its bytes are no orphan"
    );
}

#[tokio::test]
async fn a_recalled_study_sends_nothing_more() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    let case = bench.spool.studies_to_open().await.unwrap()[0]
        .open
        .case
        .clone();
    assert!(
        bench
            .spool
            .recall(
                &case,
                By {
                    who: "rita",
                    reason: "wrong patient"
                }
            )
            .await
            .unwrap()
    );
    assert!(
        bench
            .spool
            .next_to_send(9, &HashSet::new())
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        bench.store(&What::image("1.2.3", "1.2.3.2")).await.unwrap(),
        Stored::New
    );
    assert!(
        bench
            .spool
            .next_to_send(9, &HashSet::new())
            .await
            .unwrap()
            .is_empty()
    );
    let recalls = bench.spool.recalls().await.unwrap();
    assert_eq!(recalls[0].reason, "wrong patient");
    let heard = Recalled {
        study: recalls[0].study.clone(),
        agreement: recalls[0].agreement.clone(),
    };
    bench.spool.recalled(&heard).await.unwrap();
    assert_eq!(bench.spool.recalls().await.unwrap(), vec![]);
}

#[tokio::test]
async fn a_sender_that_repeats_what_is_here_holds_the_seal() {
    let bench = Bench::new().await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    let again = bench
        .spool
        .association_opened(title("PACS"), CallingKind::Pacs);
    bench.pass(29);
    let stored = bench
        .store_on(again, &What::image("1.2.3", "1.2.3.1"))
        .await;
    assert_eq!(stored.unwrap(), Stored::Same);
    assert!(!sealed_after(&bench, 500).await);
    bench
        .store_on(again, &What::image("1.2.3", "1.2.3.2"))
        .await
        .unwrap();
    bench.spool.association_closed(again).await;
    assert!(!sealed_after(&bench, 29).await);
    assert!(sealed_after(&bench, 1).await);
    assert_eq!(state(&bench).await, ("complete".to_owned(), 1));
}
