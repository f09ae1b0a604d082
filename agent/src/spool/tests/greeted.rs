//! What the gateway's greeting changes: terms that are kept, and what is said again after it was restored.

use causeway_proto::time::Timestamp;
use sqlx::Row;

use super::link::{HOUR, answer, seal, waiting};
use super::*;
use crate::spool::decision::By;

#[tokio::test]
async fn the_terms_of_an_agreement_are_kept_as_they_were_last_announced() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    let announced = Agreement {
        identity: "pseudonymous".to_owned(),
        profile: "reading-1".to_owned(),
        options: vec!["device".to_owned(), "headshots".to_owned()],
        language: "el".to_owned(),
        from: Some(Timestamp(5)),
        until: None,
        retention_days: 90,
        ..Agreement::identified("a1".parse().unwrap(), "Readers")
    };
    let hello = HelloGateway {
        epoch: 1,
        high_water: 0,
        agreements: vec![announced],
        codings: Vec::new(),
    };
    bench.spool.greeted(&hello).await.unwrap();
    let row = sqlx::query("SELECT identity, profile, options, language, from_us, until_us, retention_days, in_force FROM agreement")
        .fetch_one(bench.spool.rows().read())
        .await
        .unwrap();
    let text = |index: usize| row.get::<String, _>(index);
    let number = |index: usize| row.get::<Option<i64>, _>(index);
    assert_eq!([text(0), text(1)], ["pseudonymous", "reading-1"]);
    assert_eq!([text(2), text(3)], ["device headshots", "el"]);
    let numbers: Vec<_> = (4..8).map(number).collect();
    assert_eq!(numbers, [Some(5), None, Some(90), Some(1)]);
}

#[tokio::test]
async fn a_restored_gateway_is_offered_everything_that_is_kept() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    for n in 1..=3 {
        bench
            .store(&What::image("1.2.3", &format!("1.2.3.{n}")))
            .await
            .unwrap();
    }
    seal(&bench, 30).await;
    bench.receipt_all(1, 1).await;
    answer(&bench, &[]).await;
    bench.greet(1, 3).await;
    assert!(waiting(&bench).await.is_empty(), "nothing was forgotten");
    bench.greet(1, 2).await;
    assert_eq!(
        waiting(&bench).await.len(),
        1,
        "the last receipt was forgotten"
    );
    bench.greet(2, 0).await;
    assert_eq!(waiting(&bench).await.len(), 3, "another epoch");
    bench.receipt_all(2, 1).await;
    answer(&bench, &[]).await;
    bench.greet(2, 3).await;
    assert!(waiting(&bench).await.is_empty());
}

/// A reader's report stands in the rows as if the gateway had noted it.
async fn told_delivery(bench: &Bench) {
    let mut tx = bench.spool.rows().begin().await.unwrap();
    for statement in [
        "INSERT INTO report (id, delivery, agreement, study_uid, sop_uid, sop_class, syntax, case_code, status, signed_us, signer, \
         received_us) VALUES (1, 'd1', 'a1', '1.2.3', '2.25.1', '1.2', '1.2', 'C', 'final', 0, 'R', 0)",
        "INSERT INTO delivery (report_id, destination, form, state, sentence, since_us, told_revision) \
         VALUES (1, 'pacs', 'sr', 'delivered', '', 0, 1)",
    ] {
        sqlx::query(statement).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_restored_gateway_hears_again_what_it_had_confirmed() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    for n in 3..=4 {
        let what = What::image(&format!("1.2.{n}"), &format!("1.2.{n}.1"));
        bench.store(&what).await.unwrap();
    }
    seal(&bench, 30).await;
    bench.receipt_all(1, 1).await;
    answer(&bench, &[]).await;
    let open = bench.spool.studies_to_open().await.unwrap();
    let [second] = open.as_slice() else {
        panic!("one is not handed off: {open:?}");
    };
    let case = &second.open.case;
    assert!(
        bench
            .spool
            .recall(
                case,
                By {
                    who: "rita",
                    reason: "not ours"
                }
            )
            .await
            .unwrap()
    );
    let recall = bench.spool.recalls().await.unwrap().remove(0);
    let recalled = Recalled {
        study: recall.study,
        agreement: recall.agreement,
    };
    told_delivery(&bench).await;
    // 72 hours later nothing is kept that could be offered again
    bench.pass(100 * HOUR);
    let hours = Duration::from_secs(100 * 3600);
    assert_eq!(bench.spool.prune(hours).await.unwrap(), 2);
    let untold = "SELECT COUNT(*) FROM delivery WHERE told_revision < revision";
    for (epoch, high_water, again) in [(1, 2, false), (1, 1, true), (2, 9, true), (2, 9, false)] {
        bench.spool.recalled(&recalled).await.unwrap();
        bench.greet(epoch, high_water).await;
        let why = format!("epoch {epoch}, high-water mark {high_water}");
        assert!(waiting(&bench).await.is_empty(), "{why}");
        let due = bench.spool.manifests_due().await.unwrap();
        assert_eq!(due.len(), usize::from(again), "{why}");
        assert!(due.iter().all(|manifest| manifest.entries.len() == 1));
        let recalls = bench.spool.recalls().await.unwrap();
        assert_eq!(recalls.len(), usize::from(again), "{why}");
        let words: i64 = sqlx::query_scalar(untold)
            .fetch_one(bench.spool.rows().read())
            .await
            .unwrap();
        assert_eq!(words, i64::from(again), "{why}");
        if again {
            answer(&bench, &[]).await;
            told_again(&bench).await;
        }
    }
}

async fn told_again(bench: &Bench) {
    let mut tx = bench.spool.rows().begin().await.unwrap();
    let told = sqlx::query("UPDATE delivery SET told_revision = revision");
    told.execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// What was removed here cannot be offered to a gateway that was restored: whether that still has it is not known.
#[tokio::test]
async fn what_is_not_kept_is_not_vouched_for_after_a_restore() {
    let uids = ["1.2.3.1", "1.2.3.2"];
    let held = [Vouched::Held, Vouched::Held];
    let doubt = Vouched::Stays("gateway-restored");
    for (epoch, high_water, expect) in [
        (1, 2, held),
        (1, 9, held),
        (1, 1, [Vouched::Held, Vouched::Gone]),
        (2, 0, [doubt, doubt]),
        (2, 9, [doubt, doubt]),
    ] {
        let why = format!("epoch {epoch}, high-water mark {high_water}");
        let bench = Bench::new().await;
        bench.greet(1, 0).await;
        let whats = uids.map(|uid| What::image("1.2.3", uid));
        for what in &whats {
            bench.store(what).await.unwrap();
        }
        seal(&bench, 30).await;
        bench.receipt_all(1, 1).await;
        answer(&bench, &[]).await;
        bench.pass(100 * HOUR);
        let hours = Duration::from_secs(100 * 3600);
        assert_eq!(bench.spool.prune(hours).await.unwrap(), 2, "{why}");
        assert_eq!(bench.vouched(&uids).await, held, "{why}");
        for _ in 0..2 {
            bench.greet(epoch, high_water).await;
            assert_eq!(bench.vouched(&uids).await, expect, "{why}");
        }
        // numbers that were forgotten are given again, to others
        bench.greet(epoch, 100).await;
        assert_eq!(bench.vouched(&uids).await, expect, "{why}");
        for (what, was) in whats.iter().zip(expect) {
            if was != Vouched::Held {
                bench.store(what).await.unwrap();
            }
        }
        bench.receipt_all(epoch, 101).await;
        assert_eq!(bench.vouched(&uids).await, held, "{why}");
    }
}
