//! What the gateway's answers do: receipts, refusals, missing entries, a changed epoch, and removal after its time.

use causeway_proto::link::message::Sealed;

use super::*;
use crate::spool::decision::By;

pub(super) const HOUR: i64 = 3600;

pub(super) async fn seal(bench: &Bench, seconds: i64) -> usize {
    bench.pass(seconds);
    bench.seal().await
}

pub(super) async fn answer(bench: &Bench, missing: &[&str]) {
    let due = bench.spool.manifests_due().await.unwrap();
    let answer = Sealed {
        study: due[0].study.clone(),
        agreement: due[0].agreement.clone(),
        version: due[0].version,
        missing: missing.iter().map(|uid| uid.parse().unwrap()).collect(),
    };
    bench.spool.sealed(&answer).await.unwrap();
}

pub(super) async fn waiting(bench: &Bench) -> Vec<Outgoing> {
    bench.spool.next_to_send(99, &HashSet::new()).await.unwrap()
}

#[tokio::test]
async fn nothing_leaves_before_an_agreement_is_known_and_tags_do_not_reveal_digests() {
    let bench = Bench::new().await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    assert!(waiting(&bench).await.is_empty());
    assert_eq!(bench.spool.studies_to_open().await.unwrap(), vec![]);
    bench.greet(1, 0).await;
    let out = waiting(&bench).await;
    assert_eq!(out[0].key.agreement.as_str(), "a1");
    assert_ne!(Some(out[0].key.source_tag), out[0].source.digest);
    let tag = out[0].key.source_tag;
    let bench = bench.restart().await;
    assert_eq!(
        waiting(&bench).await[0].key.source_tag,
        tag,
        "the key is kept"
    );
}

#[tokio::test]
async fn the_queue_is_by_urgency_then_arrival_and_skips_what_is_in_flight() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    for (study, instance, priority) in [
        ("1.2.3", "1.2.3.1", Priority::Routine),
        ("1.2.3", "1.2.3.2", Priority::Routine),
        ("1.2.4", "1.2.4.1", Priority::Unstated),
        ("1.2.5", "1.2.5.1", Priority::Stat),
        ("1.2.6", "1.2.6.1", Priority::Urgent),
    ] {
        let what = What {
            priority,
            ..What::image(study, instance)
        };
        bench.store(&what).await.unwrap();
    }
    let uids = |out: &[Outgoing]| -> Vec<String> {
        out.iter().map(|o| o.key.instance.to_string()).collect()
    };
    let all = waiting(&bench).await;
    assert_eq!(
        uids(&all),
        ["1.2.5.1", "1.2.6.1", "1.2.3.1", "1.2.3.2", "1.2.4.1"]
    );
    let flying: HashSet<_> = [all[0].key.clone(), all[2].key.clone()].into();
    let next = bench.spool.next_to_send(2, &flying).await.unwrap();
    assert_eq!(uids(&next), ["1.2.6.1", "1.2.3.2"]);
}

#[tokio::test]
async fn a_study_goes_out_coarse_to_fine_whatever_of_it_has_arrived() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    let store = async |study: &str, number: i64, localizer: bool| {
        let what = What {
            turn: Turn::of(localizer, Some(number)),
            ..What::image(study, &format!("{study}.{number}"))
        };
        bench.store(&what).await.unwrap();
    };
    let numbers = |out: &[Outgoing]| -> Vec<String> {
        let last = |it: &Outgoing| {
            it.key
                .instance
                .as_str()
                .rsplit('.')
                .next()
                .map(str::to_owned)
        };
        out.iter().filter_map(last).collect()
    };
    for number in 1..=9 {
        store("1.2.3", number, false).await;
    }
    assert_eq!(
        numbers(&waiting(&bench).await),
        ["1", "9", "5", "3", "7", "2", "4", "6", "8"]
    );
    for number in 10..=17 {
        store("1.2.3", number, false).await;
    }
    store("1.2.3", 99, true).await;
    store("1.2.4", 1, false).await;
    let out = waiting(&bench).await;
    assert_eq!(
        numbers(&out)[..9],
        ["99", "1", "17", "9", "5", "13", "3", "7", "11"]
    );
    let places: Vec<_> = out.iter().map(|it| it.place).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(out.last().unwrap().study.as_str(), "1.2.4");
}

#[tokio::test]
async fn only_the_receipt_for_these_very_bytes_counts() {
    let bench = Bench::new().await;
    bench.greet(7, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    let out = waiting(&bench).await.remove(0);
    let good = receipt_for(&out, 7, 1);
    let mut wrong = vec![good.clone(); 5];
    wrong[0].sent_digest = Digest::of(b"other");
    wrong[1].length += 1;
    wrong[2].key.source_tag = Digest::of(b"other");
    wrong[3].key.instance = "1.2.3.9".parse().unwrap();
    wrong[4].epoch = 6;
    assert_eq!(bench.spool.receipted(&wrong).await.unwrap(), [false; 5]);
    assert_eq!(waiting(&bench).await.len(), 1);
    // among the wrong ones the right one counts, and a replay changes nothing
    wrong[2] = good.clone();
    wrong[3] = good.clone();
    let taken = bench.spool.receipted(&wrong).await.unwrap();
    assert_eq!(taken, [false, false, true, true, false]);
    assert!(waiting(&bench).await.is_empty());
    let hello = bench.spool.hello().await.unwrap();
    assert_eq!(
        (hello.epoch_seen, hello.receipt_seen, hello.session),
        (7, 1, 1)
    );
    assert_eq!(bench.spool.hello().await.unwrap().session, 2);
}

#[tokio::test]
async fn a_refused_instance_is_tried_later_or_withheld_with_its_sentence() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    bench.store(&What::image("1.2.3", "1.2.3.2")).await.unwrap();
    assert_eq!(seal(&bench, 30).await, 1);
    let out = waiting(&bench).await;
    let refused = |key: &InstanceKey, retry_after_ms| Refused {
        key: Some(key.clone()),
        study: out[0].study.clone(),
        agreement: key.agreement.clone(),
        code: 1,
        sentence: "no room".to_owned(),
        retry_after_ms,
    };
    bench
        .spool
        .refused(&refused(&out[0].key, Some(5000)))
        .await
        .unwrap();
    assert_eq!(waiting(&bench).await.len(), 1);
    bench.pass(5);
    assert_eq!(waiting(&bench).await.len(), 2);
    bench
        .spool
        .refused(&refused(&out[0].key, None))
        .await
        .unwrap();
    bench.receipt_all(1, 1).await;
    let due = bench.spool.manifests_due().await.unwrap();
    assert_eq!(due[0].entries.len(), 1);
    assert_eq!(due[0].withheld[0].count, 1);
    assert_eq!(
        due[0].withheld[0].reason,
        "the gateway did not take it: no room"
    );
}

#[tokio::test]
async fn what_the_gateway_misses_is_offered_again() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    bench.store(&What::image("1.2.3", "1.2.3.2")).await.unwrap();
    assert_eq!(seal(&bench, 30).await, 1);
    assert_eq!(
        bench.spool.manifests_due().await.unwrap(),
        vec![],
        "receipts first"
    );
    bench.receipt_all(1, 1).await;
    answer(&bench, &["1.2.3.2"]).await;
    assert_eq!(waiting(&bench).await[0].key.instance.as_str(), "1.2.3.2");
    assert_eq!(bench.spool.manifests_due().await.unwrap(), vec![]);
    bench.receipt_all(1, 3).await;
    assert_eq!(
        bench.spool.manifests_due().await.unwrap(),
        vec![],
        "not at once"
    );
    bench.pass(1);
    answer(&bench, &[]).await;
    assert_eq!(bench.spool.studies_to_open().await.unwrap(), vec![]);
}

#[tokio::test]
async fn bytes_go_only_after_receipt_hand_off_and_both_clocks() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    bench.store(&What::image("1.2.4", "1.2.4.1")).await.unwrap();
    let hours = |n: u64| Duration::from_secs(n * 3600);
    bench.pass(100 * HOUR);
    assert_eq!(
        bench.spool.prune(hours(100)).await.unwrap(),
        0,
        "no receipt"
    );
    seal(&bench, 0).await;
    let out = waiting(&bench).await;
    let receipt = receipt_for(&out[0], 1, 1);
    assert_eq!(bench.spool.receipted(&[receipt]).await.unwrap(), [true]);
    bench.pass(100 * HOUR);
    assert_eq!(
        bench.spool.prune(hours(100)).await.unwrap(),
        0,
        "not handed off"
    );
    answer(&bench, &[]).await;
    assert_eq!(
        bench.spool.prune(hours(0)).await.unwrap(),
        1,
        "its time is over"
    );
    assert_eq!(
        bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap(),
        Stored::Same
    );
    let again = waiting(&bench).await;
    assert_eq!(again[0].key, out[0].key, "what was removed is kept again");
    let bytes = bench
        .spool
        .read(&again[0].source.handle, 0, 99)
        .await
        .unwrap();
    assert_eq!(&bytes[..], &What::image("1.2.3", "1.2.3.1").bytes[..]);

    let receipt = receipt_for(&out[1], 1, 2);
    assert_eq!(bench.spool.receipted(&[receipt]).await.unwrap(), [true]);
    answer(&bench, &[]).await;
    bench.pass(10 * 365 * 24 * HOUR);
    assert_eq!(
        bench.spool.prune(hours(71)).await.unwrap(),
        0,
        "a clock set forward removes nothing"
    );
    assert_eq!(bench.spool.prune(hours(1)).await.unwrap(), 1);
    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery(), &Recovery::default());
}

#[tokio::test]
async fn a_withheld_instance_holds_back_nothing_else() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    bench.store(&What::image("1.2.3", "1.2.3.2")).await.unwrap();
    let out = waiting(&bench).await;
    bench.withhold(&out[0], "a name is burned in").await;
    assert_eq!(waiting(&bench).await.len(), 1);
    let open = bench.spool.studies_to_open().await.unwrap();
    assert_eq!((open[0].progress.at_site, open[0].progress.held), (2, 1));
    seal(&bench, 30).await;
    bench.receipt_all(1, 1).await;
    let due = bench.spool.manifests_due().await.unwrap();
    assert_eq!((due[0].entries.len(), due[0].withheld[0].count), (1, 1));
    assert_eq!(due[0].withheld[0].reason, "a name is burned in");
    bench.withhold(&out[1], "too late").await;
    assert_eq!(bench.spool.manifests_due().await.unwrap(), due);
}

#[tokio::test]
async fn a_refused_manifest_is_said_again_when_the_gateway_asks_for_it() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    seal(&bench, 30).await;
    bench.receipt_all(1, 1).await;
    let due = bench.spool.manifests_due().await.unwrap().remove(0);
    for (retry_after_ms, seconds) in [(Some(5000), 5), (Some(0), 1), (None, 3600)] {
        let refused = Refused {
            key: None,
            study: due.study.clone(),
            agreement: due.agreement.clone(),
            code: 1,
            sentence: "not now".to_owned(),
            retry_after_ms,
        };
        bench.spool.refused(&refused).await.unwrap();
        bench.pass(seconds - 1);
        assert_eq!(
            bench.spool.manifests_due().await.unwrap(),
            vec![],
            "{refused:?}"
        );
        bench.pass(1);
        assert_eq!(
            bench.spool.manifests_due().await.unwrap(),
            vec![due.clone()],
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn what_the_gateway_would_not_take_is_offered_again_when_it_is_sent_again() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    let [image, report] = [
        What::image("1.2.3", "1.2.3.1"),
        What::report("1.2.3", "1.2.3.2"),
    ];
    for what in [&image, &report] {
        bench.store(what).await.unwrap();
    }
    seal(&bench, 30).await;
    for out in waiting(&bench).await {
        let refused = Refused {
            study: out.study.clone(),
            agreement: out.key.agreement.clone(),
            key: Some(out.key),
            code: 1,
            sentence: "no".to_owned(),
            retry_after_ms: None,
        };
        bench.spool.refused(&refused).await.unwrap();
    }
    assert!(waiting(&bench).await.is_empty());
    let version = bench.spool.manifests_due().await.unwrap()[0].version;
    assert_eq!(bench.store(&report).await.unwrap(), Stored::Same);
    let out = waiting(&bench).await;
    assert_eq!(out.len(), 1);
    seal(&bench, 30).await;
    bench.receipt_all(1, 1).await;
    let due = bench.spool.manifests_due().await.unwrap();
    assert!(due[0].version > version, "{due:?}");
    assert_eq!((due[0].entries.len(), due[0].withheld.len()), (1, 1));

    bench.withhold(&out[0], "a name is burned in").await;
    assert_eq!(bench.store(&report).await.unwrap(), Stored::Same);
    assert!(waiting(&bench).await.is_empty(), "a decision stands");
}

#[tokio::test]
async fn a_clock_set_back_holds_nothing_up() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    let out = waiting(&bench).await.remove(0);
    let mut refused = Refused {
        study: out.study.clone(),
        agreement: out.key.agreement.clone(),
        key: Some(out.key),
        code: 1,
        sentence: "not now".to_owned(),
        retry_after_ms: Some(5000),
    };
    bench.spool.refused(&refused).await.unwrap();
    bench.pass(-24 * HOUR);
    assert_eq!(waiting(&bench).await.len(), 1);
    seal(&bench, 0).await;
    seal(&bench, 30).await;
    bench.receipt_all(1, 1).await;
    assert_eq!(bench.spool.manifests_due().await.unwrap().len(), 1);
    refused.key = None;
    bench.spool.refused(&refused).await.unwrap();
    assert_eq!(bench.spool.manifests_due().await.unwrap(), vec![]);
    bench.pass(-24 * HOUR);
    assert_eq!(bench.spool.manifests_due().await.unwrap().len(), 1);
}

#[tokio::test]
async fn long_words_are_cut_to_what_the_wire_takes() {
    use causeway_proto::link::codec::encode;
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    let what = What {
        modality: Box::leak("é".repeat(66).into_boxed_str()),
        ..What::image("1.2.3", "1.2.3.1")
    };
    bench.store(&what).await.unwrap();
    let words = "é".repeat(3000);
    let out = waiting(&bench).await;
    bench.withhold(&out[0], &words).await;
    seal(&bench, 30).await;
    let manifest = bench.spool.manifests_due().await.unwrap().remove(0);
    encode(&manifest.into(), &mut Vec::new()).unwrap();
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
                    reason: &words
                }
            )
            .await
            .unwrap()
    );
    let recall = bench.spool.recalls().await.unwrap().remove(0);
    encode(&recall.into(), &mut Vec::new()).unwrap();
}

#[tokio::test]
async fn the_manifest_of_a_study_that_may_not_be_named_is_not_due() {
    for (named, due) in [(Some(false), 0), (None, 0), (Some(true), 1)] {
        let bench = Bench::strict(Config::default()).await;
        bench.greet(1, 0).await;
        bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
        let given = bench.spool.next_to_protect(9, 0).await.unwrap().remove(0);
        let verdict = Verdict::Withheld {
            reason: "stays".to_owned(),
            blocks: None,
            looked: Vec::new(),
            named,
        };
        bench.spool.protected(&[(given, verdict)]).await.unwrap();
        assert_eq!(seal(&bench, 3600).await, 1);
        let manifests = bench.spool.manifests_due().await.unwrap();
        assert_eq!(manifests.len(), due, "{named:?}");
        let open = bench.spool.studies_to_open().await.unwrap();
        assert_eq!(open.len(), due, "{named:?}");
    }
}
