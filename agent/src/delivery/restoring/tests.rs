//! A report under a pseudonym on its last stretch: who is asked, what is held for whom, and what reaches the PACS.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use causeway_proto::dataset::Dataset;
use causeway_proto::link::message::Report;
use causeway_proto::report::{signature, sr};
use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::super::tests::withdrawn::withdrawal;
use super::super::tests::{
    Pacs, bench_with_study, destination, hear, offer, offer_by, open, open_with, word,
};
use super::*;
use crate::delivery::{Destination, SendOutcome, Store};
use crate::restore::sample::{as_sent, document};
use crate::restore::{Config, Find, Truth, Unseal};
use crate::spool::tests::{Bench, What};

/// A report as the gateway signs it under a pseudonymous agreement.
fn nameless(study: &str, instance: &str) -> (Report, Bytes) {
    let mut dataset = sr::encode(&document(study, instance));
    dataset.put_text(tags::PATIENT_NAME, VR::PN, "CWABCDEFGH2345X");
    dataset.put_text(tags::PATIENT_ID, VR::LO, "CWABCDEFGH2345X");
    dataset.put_text(tags::ACCESSION_NUMBER, VR::SH, "T1234");
    dataset.put_text(tags::PATIENT_IDENTITY_REMOVED, VR::CS, "YES");
    as_sent(&dataset)
}

/// An answer of the PACS about the study 1.2.3.
fn says(id: &str, name: &str) -> Asked {
    let mut dataset = Dataset::new();
    dataset.put_text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3");
    dataset.put_text(tags::PATIENT_ID, VR::LO, id);
    dataset.put_text(tags::PATIENT_NAME, VR::PN, name);
    Asked::Found(vec![dataset])
}

/// Gives the listed answers in turn, the last one for ever.
fn asking(answers: impl IntoIterator<Item = Asked>) -> Restoring {
    let answers: Arc<Mutex<VecDeque<Asked>>> = Arc::new(Mutex::new(answers.into_iter().collect()));
    Restoring {
        config: Config::default(),
        find: Find::new(move |_| {
            let mut answers = answers.lock().unwrap();
            let answer = match answers.len() {
                0 | 1 => answers.front().cloned(),
                _ => answers.pop_front(),
            };
            Box::pin(async move { answer.unwrap_or(Asked::Nobody) })
        }),
        unseal: Unseal::new(|_, _, _| None),
        is_placeholder: Arc::new(|id| id == "UNKNOWN"),
    }
}

async fn ask(deliveries: &Deliveries, restoring: &Restoring) -> bool {
    let Some(due) = next(deliveries, &[]).await.unwrap() else {
        return false;
    };
    restore(deliveries, restoring, &due).await.unwrap();
    true
}

async fn held(deliveries: &Deliveries) -> Vec<Mismatch> {
    rows::mismatches(deliveries.inner.spool.rows(), None)
        .await
        .unwrap()
}

/// A study, a report of it that is at the site, and what the gateway has heard of that.
async fn at_site() -> (Bench, Deliveries, Bytes) {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (report, bytes) = nameless("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes.clone()).await.unwrap();
    assert_eq!(
        hear(&deliveries).await,
        [
            word("site", "at-site", false),
            word("pacs", "at-site", false)
        ]
    );
    (bench, deliveries, bytes)
}

/// ID, name and accession of what the PACS was sent last, and that its signature holds.
fn filed(pacs: &Pacs) -> [String; 3] {
    let received = pacs.received();
    let last = received.last().unwrap();
    let dataset = Dataset::read(&last.dataset, &last.syntax).unwrap();
    signature::verify_dataset(&dataset).unwrap();
    assert!(dataset.get(tags::PATIENT_IDENTITY_REMOVED).is_none());
    [tags::PATIENT_ID, tags::PATIENT_NAME, tags::ACCESSION_NUMBER].map(|tag| dataset.code(tag))
}

#[tokio::test]
async fn nobody_is_offered_a_report_before_its_patient_is_known() {
    let (_bench, deliveries, _) = at_site().await;
    let pacs = Pacs::default();
    assert!(!offer(&deliveries, &pacs).await);
    let restoring = asking([says("PID-1", "TEST^ONE")]);
    assert!(ask(&deliveries, &restoring).await);
    assert!(!ask(&deliveries, &restoring).await, "once is enough");
    assert!(offer(&deliveries, &pacs).await);
    assert_eq!(filed(&pacs), ["PID-1", "TEST^ONE", "ACC-1"]);
    assert_eq!(hear(&deliveries).await, [word("pacs", "delivered", false)]);
    assert_eq!(held(&deliveries).await, []);
}

#[tokio::test]
async fn an_agreement_is_enough_to_ask_and_an_identified_report_goes_as_it_is() {
    let bench = bench_with_study().await;
    bench.greet(1, 0).await;
    let deliveries = open(&bench).await;
    let (plain, bytes) = as_sent(&sr::encode(&document("1.2.3", "2.25.1")));
    deliveries.accept(&plain, bytes.clone()).await.unwrap();
    let pacs = Pacs::default();
    assert!(offer(&deliveries, &pacs).await);
    assert_eq!(pacs.received()[0].dataset, bytes);
    let mut tx = deliveries.begin().await.unwrap();
    sqlx::query("UPDATE agreement SET identity = 'pseudonymous'")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let (unmarked, bytes) = as_sent(&sr::encode(&document("1.2.3", "2.25.2")));
    deliveries.accept(&unmarked, bytes).await.unwrap();
    assert!(!offer(&deliveries, &pacs).await);
    assert!(ask(&deliveries, &asking([says("PID-1", "Test^One")])).await);
    assert!(offer(&deliveries, &pacs).await);
    assert_eq!(filed(&pacs), ["PID-1", "Test^One", "ACC-1"]);
}

#[tokio::test]
async fn another_patient_is_held_with_both_sets_until_a_person_decides() {
    for (ruling, id) in [(Ruling::Ours, "PID-1"), (Ruling::Pacs(0), "PID-2")] {
        let (bench, deliveries, _) = at_site().await;
        let pacs = Pacs::default();
        assert!(ask(&deliveries, &asking([says("PID-2", "Other^One")])).await);
        let untold = deliveries.messages().await.unwrap();
        assert_eq!(untold[0].message.state, DeliveryState::Held);
        let sentence = &untold[0].message.sentence;
        assert!(sentence.contains("another patient ID"), "{sentence}");
        for name in ["PID", "Other", "Test"] {
            assert!(!sentence.contains(name), "the gateway hears no name");
        }
        bench.pass(100_000);
        assert!(!offer(&deliveries, &pacs).await);
        let [both] = &held(&deliveries).await[..] else {
            panic!("one report is held");
        };
        let ours = both.ours.as_ref().unwrap();
        assert_eq!(
            (ours.id.reveal(), ours.name.reveal()),
            ("PID-1", "Test^One")
        );
        assert_eq!(both.theirs[0].id.reveal(), "PID-2");
        assert!(
            !format!("{both:?}").contains("PID"),
            "printing shows nothing"
        );
        let wrong = deliveries.rule(both.report, Ruling::Pacs(1), "rita").await;
        assert!(matches!(wrong, Err(DeliveryError::Choice(_))));
        assert_eq!(
            deliveries.rule(both.report, ruling, "rita").await.unwrap(),
            1
        );
        bench.pass(100_000);
        assert!(
            offer(&deliveries, &pacs).await,
            "a person's word does not grow old"
        );
        assert_eq!(filed(&pacs)[0], id);
        assert_eq!(held(&deliveries).await, []);
        assert_eq!(
            deliveries.rule(both.report, ruling, "rita").await.unwrap(),
            0
        );
    }
}

#[tokio::test]
async fn a_refused_report_is_not_offered_by_a_retry() {
    let (_bench, deliveries, _) = at_site().await;
    let pacs = Pacs::default();
    let restoring = asking([Asked::Found(vec![])]);
    assert!(ask(&deliveries, &restoring).await);
    let case = held(&deliveries).await[0].case.parse().unwrap();
    let report = held(&deliveries).await[0].report;
    assert_eq!(
        deliveries
            .rule(report, Ruling::Refuse, "rita")
            .await
            .unwrap(),
        1
    );
    assert_eq!(hear(&deliveries).await, [word("pacs", "held", false)]);
    assert_eq!(deliveries.retry(&case, "rita").await.unwrap(), 0);
    assert!(!ask(&deliveries, &restoring).await);
    assert!(!offer(&deliveries, &pacs).await);
    assert_eq!(held(&deliveries).await[0].state, "refused");
    // and a person may think again
    assert_eq!(
        deliveries.rule(report, Ruling::Ours, "rita").await.unwrap(),
        1
    );
    assert!(offer(&deliveries, &pacs).await);
    assert_eq!(filed(&pacs)[0], "PID-1");
}

#[tokio::test]
async fn what_a_person_decides_brings_nothing_back_that_was_withdrawn() {
    for ruling in [Ruling::Ours, Ruling::Refuse] {
        let (_bench, deliveries, _) = at_site().await;
        assert!(ask(&deliveries, &asking([says("PID-2", "Other^One")])).await);
        let (report, _) = nameless("1.2.3", "2.25.1");
        let (back, bytes) = withdrawal(&report, "2.25.2", 60);
        deliveries.accept(&back, bytes).await.unwrap();
        let id = held(&deliveries).await[0].report;
        assert_eq!(deliveries.rule(id, ruling, "rita").await.unwrap(), 1);
        let state: String = sqlx::query_scalar(
            "SELECT state FROM delivery WHERE report_id = $1 AND destination = 'pacs'",
        )
        .bind(id)
        .fetch_one(deliveries.inner.spool.rows().read())
        .await
        .unwrap();
        assert_eq!(state, "held");
    }
}

#[tokio::test]
async fn an_outage_of_the_question_waits_and_a_retry_asks_again() {
    let (bench, deliveries, _) = at_site().await;
    let gone = || Asked::Failed("no connection".to_owned());
    let restoring = asking([
        gone(),
        gone(),
        says("PID-2", "B"),
        says("PID-1", "Test^One"),
    ]);
    assert!(ask(&deliveries, &restoring).await);
    assert_eq!(hear(&deliveries).await, [word("pacs", "waiting", true)]);
    assert!(!ask(&deliveries, &restoring).await, "not before its time");
    bench.pass(7);
    assert!(ask(&deliveries, &restoring).await);
    bench.pass(13);
    assert!(ask(&deliveries, &restoring).await);
    hear(&deliveries).await;
    let held = held(&deliveries).await;
    assert_eq!(held.len(), 1);
    let case = held[0].case.parse().unwrap();
    assert_eq!(deliveries.retry(&case, "rita").await.unwrap(), 1);
    let pacs = Pacs::default();
    assert!(!offer(&deliveries, &pacs).await, "asked first");
    assert!(ask(&deliveries, &restoring).await);
    assert!(offer(&deliveries, &pacs).await);
    assert_eq!(filed(&pacs)[0], "PID-1");
}

#[tokio::test]
async fn what_the_pacs_said_grows_old_while_it_takes_nothing() {
    let (bench, deliveries, _) = at_site().await;
    let pacs = Pacs::answering([
        SendOutcome::Failed("no connection".to_owned()),
        SendOutcome::Stored(0),
    ]);
    let restoring = asking([says("PID-1", "Test^One"), says("PID-1", "Test^Married")]);
    assert!(ask(&deliveries, &restoring).await);
    assert!(offer(&deliveries, &pacs).await);
    bench.pass(1000);
    assert!(
        !offer(&deliveries, &pacs).await,
        "its patient is asked for again"
    );
    assert!(ask(&deliveries, &restoring).await);
    assert!(offer(&deliveries, &pacs).await);
    assert_eq!(filed(&pacs)[1], "Test^Married");
}

/// How old a decision is that the clock calls a later one nobody knows: it is asked about again (R18).
#[tokio::test]
async fn what_the_pacs_said_under_a_clock_that_was_set_back_is_old() {
    let (bench, deliveries, _) = at_site().await;
    let restoring = asking([says("PID-1", "Test^One"), says("PID-1", "Test^Married")]);
    assert!(ask(&deliveries, &restoring).await);
    bench.pass(-3600);
    let pacs = Pacs::default();
    assert!(!offer(&deliveries, &pacs).await, "it is asked about first");
    assert!(ask(&deliveries, &restoring).await);
    assert!(offer(&deliveries, &pacs).await);
    assert_eq!(filed(&pacs)[1], "Test^Married");
}

/// Its next try lies in the time of a clock that was ahead, and what the PACS said has grown old since: it does not wait for that time.
#[tokio::test]
async fn what_has_grown_old_is_asked_about_although_its_next_try_lies_far_ahead() {
    let (bench, deliveries, _) = at_site().await;
    let restoring = asking([says("PID-1", "Test^One")]);
    assert!(ask(&deliveries, &restoring).await);
    // the clock is ahead while it is offered, and right again before the next try
    let (begins, begun) = tokio::sync::oneshot::channel();
    let (ends, ended) = tokio::sync::oneshot::channel();
    let once = Mutex::new(Some((begins, ended)));
    let store = Store::new(move |_, _| {
        let (begins, ended) = once.lock().unwrap().take().unwrap();
        begins.send(()).unwrap();
        Box::pin(async move {
            ended.await.unwrap();
            SendOutcome::Failed("no connection".to_owned())
        })
    });
    let clock = async {
        begun.await.unwrap();
        bench.pass(86_400);
        ends.send(()).unwrap();
    };
    let to = destination();
    let (offered, ()) = tokio::join!(offer_by(&deliveries, &to, &store), clock);
    assert!(offered);
    bench.pass(1000 - 86_400);
    assert!(ask(&deliveries, &restoring).await);
    let pacs = Pacs::default();
    assert!(offer(&deliveries, &pacs).await);
    assert_eq!(filed(&pacs)[1], "Test^One");
}

/// Bytes that are found damaged when their patient is looked for are asked for, as those are that were to be offered.
#[tokio::test]
async fn a_damaged_report_comes_again_and_is_asked_about_then() {
    let (bench, deliveries, bytes) = at_site().await;
    bench.disk.damage(|data| {
        data[9] ^= 1;
        true
    });
    let restoring = asking([says("PID-1", "Test^One")]);
    assert!(ask(&deliveries, &restoring).await);
    let expect = [
        word("site", "waiting", false),
        word("pacs", "waiting", true),
    ];
    assert_eq!(hear(&deliveries).await, expect);
    assert!(!ask(&deliveries, &restoring).await, "nothing can be read");
    let (report, _) = nameless("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    assert!(ask(&deliveries, &restoring).await);
    let pacs = Pacs::default();
    assert!(offer(&deliveries, &pacs).await);
    assert_eq!(filed(&pacs)[0], "PID-1");
}

#[tokio::test]
async fn what_a_person_has_decided_stands_when_the_bytes_come_again() {
    let (bench, deliveries, bytes) = at_site().await;
    let restoring = asking([says("PID-2", "Other^One"), says("PID-1", "Test^One")]);
    assert!(ask(&deliveries, &restoring).await);
    let report = held(&deliveries).await[0].report;
    let ruled = deliveries.rule(report, Ruling::Refuse, "rita").await;
    assert_eq!(ruled.unwrap(), 1);
    drop(deliveries);
    bench.disk.damage(|data| {
        data.truncate(9);
        true
    });
    let bench = bench.restart().await;
    let archive = Destination {
        name: "archive".to_owned(),
        ..destination()
    };
    let deliveries = open_with(&bench, vec![destination(), archive]).await;
    let (again, _) = nameless("1.2.3", "2.25.1");
    deliveries.accept(&again, bytes).await.unwrap();
    let told = hear(&deliveries).await;
    let expect = [word("site", "at-site", false), word("pacs", "held", false)];
    assert_eq!(told, expect, "it goes where it went when it came first");
    assert!(!ask(&deliveries, &restoring).await);
    let retried = deliveries.retry(&again.case, "rita").await;
    assert_eq!(retried.unwrap(), 0);
    assert_eq!(held(&deliveries).await[0].state, "refused");
}

#[tokio::test]
async fn without_a_pacs_the_newest_header_is_filed_where_the_site_trusts_it() {
    let (bench, deliveries, _) = at_site().await;
    let mut restoring = asking([Asked::Nobody]);
    assert!(ask(&deliveries, &restoring).await);
    assert!(
        held(&deliveries).await[0]
            .sentence
            .contains("no PACS is configured")
    );
    let mut corrected =
        What::image("1.2.3", "1.2.3.1").with_bytes(b"another header and its pixels");
    corrected.patient = "PID-1B";
    let stored = bench.store(&corrected).await.unwrap();
    assert_eq!(stored, crate::spool::Stored::Correction);
    restoring.config.truth = Truth::Original;
    let case = held(&deliveries).await[0].case.parse().unwrap();
    deliveries.retry(&case, "rita").await.unwrap();
    assert!(ask(&deliveries, &restoring).await);
    let pacs = Pacs::default();
    assert!(offer(&deliveries, &pacs).await);
    assert_eq!(filed(&pacs), ["PID-1B", "Test^One", "ACC-1"]);
}

#[tokio::test]
async fn a_restart_knows_what_was_decided_and_what_was_not() {
    let (bench, deliveries, _) = at_site().await;
    let (second, bytes) = nameless("1.2.3", "2.25.2");
    assert!(ask(&deliveries, &asking([says("PID-1", "Test^One")])).await);
    deliveries.accept(&second, bytes).await.unwrap();
    drop(deliveries);
    let bench = bench.restart().await;
    let deliveries = open(&bench).await;
    let pacs = Pacs::default();
    assert!(offer(&deliveries, &pacs).await);
    assert!(
        !offer(&deliveries, &pacs).await,
        "the second has no patient yet"
    );
    assert!(ask(&deliveries, &asking([says("PID-1", "Test^One")])).await);
    assert!(offer(&deliveries, &pacs).await);
    assert_eq!(pacs.received().len(), 2);
}
