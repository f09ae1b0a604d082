//! Reports at the site: how each answer of a PACS ends, and that a report arrives once whatever happens between.

mod faults;
mod image;
mod lost;
pub(super) mod rehomed;
mod trust;
mod unknown;
pub(super) mod withdrawn;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{LazyLock, Mutex};
use std::task::Poll;

use causeway_proto::report::model::{Equipment, Report as Model};
use causeway_proto::report::sr;

use super::outcome::{Next, judge};
use super::*;
use crate::derive;
use crate::restore::sample::{SIGNED_AT, as_sent, document, mint, reader};
use crate::spool::tests::{Bench, What, seeded, title};

/// A signed report as the gateway sends it.
pub(crate) fn signed(study: &str, instance: &str) -> (Report, Bytes) {
    sign(&document(study, instance))
}

fn sign(document: &Model) -> (Report, Bytes) {
    as_sent(&sr::encode(document))
}

pub(crate) fn destination() -> Destination {
    Destination {
        name: "pacs".to_owned(),
        ae_title: title("PACS"),
        address: "127.0.0.1:104".to_owned(),
        calling_ae_title: title("CAUSEWAY"),
        page_image: PageImage::Never,
    }
}

/// The fonts of this machine.
pub(super) fn fonts() -> &'static Fonts {
    static FONTS: LazyLock<Fonts> = LazyLock::new(|| Fonts::of(&derive::Config::default()));
    &FONTS
}

/// A PACS that gives the listed answers in turn, the last one for ever, and keeps what it was sent.
#[derive(Clone, Default)]
pub(super) struct Pacs {
    answers: Arc<Mutex<VecDeque<SendOutcome>>>,
    received: Arc<Mutex<Vec<Parcel>>>,
}

impl Pacs {
    pub(super) fn answering(answers: impl IntoIterator<Item = SendOutcome>) -> Self {
        let pacs = Self::default();
        pacs.answers.lock().unwrap().extend(answers);
        pacs
    }

    fn store(&self) -> Store {
        let pacs = self.clone();
        Store::new(move |_, parcel| {
            pacs.received.lock().unwrap().push(parcel);
            let mut answers = pacs.answers.lock().unwrap();
            let answer = match answers.len() {
                0 | 1 => answers.front().cloned(),
                _ => answers.pop_front(),
            };
            let answer = answer.unwrap_or(SendOutcome::Stored(0));
            Box::pin(async move { answer })
        })
    }

    pub(super) fn received(&self) -> Vec<Parcel> {
        self.received.lock().unwrap().clone()
    }
}

pub(super) async fn open(bench: &Bench) -> Deliveries {
    open_with(bench, vec![destination()]).await
}

pub(crate) async fn open_with(bench: &Bench, destinations: Vec<Destination>) -> Deliveries {
    let authority = Some(reader().authority());
    Deliveries::open(
        destinations,
        bench.spool.clone(),
        authority,
        bench.clock(),
        seeded(8),
    )
    .await
    .unwrap()
}

pub(crate) async fn bench_with_study() -> Bench {
    let bench = Bench::new().await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    bench
}

/// Goes on with `work` so many steps and drops it there, as a process that ends does. None: it had not finished by then.
pub(super) async fn ends_after<F: Future>(steps: u32, work: F) -> Option<F::Output> {
    let (mut work, mut taken) = (pin!(work), 0);
    poll_fn(move |context| {
        if taken == steps {
            return Poll::Ready(None);
        }
        taken += 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

/// Destination, state, and whether a next try is named, of everything the gateway has not noted; notes it.
pub(super) async fn hear(deliveries: &Deliveries) -> Vec<(String, &'static str, bool)> {
    let untold = deliveries.messages().await.unwrap();
    deliveries.told(&untold).await.unwrap();
    untold
        .into_iter()
        .map(|u| {
            (
                u.message.destination,
                u.message.state.as_str(),
                u.message.next_try.is_some(),
            )
        })
        .collect()
}

pub(super) fn word(
    destination: &str,
    state: &'static str,
    next: bool,
) -> (String, &'static str, bool) {
    (destination.to_owned(), state, next)
}

pub(super) async fn offer(deliveries: &Deliveries, pacs: &Pacs) -> bool {
    offer_by(deliveries, &destination(), &pacs.store()).await
}

/// Offers what has been due the longest; answers whether there was anything.
pub(crate) async fn offer_by(deliveries: &Deliveries, to: &Destination, store: &Store) -> bool {
    work::offer_next(deliveries, to, store, fonts())
        .await
        .unwrap()
}

#[test]
fn every_answer_ends_in_its_state() {
    use DeliveryState::{Delivered, Held, NotTaken, Waiting};
    let random = seeded(2);
    for (outcome, attempts, state) in [
        (SendOutcome::Stored(0x0000), 1, Delivered),
        (SendOutcome::Stored(0xB000), 1, Delivered),
        (SendOutcome::Stored(0xB007), 1, Delivered),
        (SendOutcome::Stored(0x0107), 1, Delivered),
        (SendOutcome::NotNegotiated, 1, NotTaken),
        (SendOutcome::Refused(0x0122), 1, NotTaken),
        (SendOutcome::Refused(0xA700), 1, Waiting),
        (SendOutcome::Refused(0xA700), 5000, Waiting),
        (SendOutcome::Refused(0xA900), 1, Waiting),
        (SendOutcome::Refused(0xC000), 9, Waiting),
        (SendOutcome::Refused(0xC000), 10, Held),
        (SendOutcome::Refused(0x0124), 10, Held),
        (SendOutcome::There, 1, Delivered),
        (SendOutcome::Stored(0x0111), 1, Delivered),
        (SendOutcome::Refused(0x0111), 1, Waiting),
        (SendOutcome::Refused(0x0111), 10, Held),
        (SendOutcome::Unanswered("no answer".to_owned()), 1, Waiting),
        (
            SendOutcome::Unanswered("no answer".to_owned()),
            5000,
            Waiting,
        ),
        (SendOutcome::Failed("no answer".to_owned()), 1, Waiting),
        (SendOutcome::Failed("no answer".to_owned()), 5000, Waiting),
    ] {
        let Next {
            state: got, again, ..
        } = judge(&outcome, SR, attempts, attempts, &random);
        assert_eq!(got, state, "{outcome:?} at the {attempts}th offer");
        assert_eq!(again.is_some(), state == Waiting, "{outcome:?}");
    }
    let after_outage = judge(&SendOutcome::Refused(0xC000), SR, 5000, 1, &random);
    assert_eq!(after_outage.state, Waiting, "an outage is no refusal");
    for (form, sentence) in [
        (SR, "this PACS takes no structured reports"),
        (IMAGE, "this PACS takes no page images of reports"),
    ] {
        let refused = judge(&SendOutcome::NotNegotiated, form, 1, 0, &random);
        assert_eq!(refused.sentence, sentence);
    }
    let pauses: Vec<u64> = [1, 2, 3, 8, 1000]
        .into_iter()
        .filter_map(|n| judge(&SendOutcome::Failed(String::new()), SR, n, 0, &random).again)
        .map(|pause| pause.as_secs())
        .collect();
    for (pause, most) in pauses.iter().zip([5, 10, 20, 600, 600]) {
        assert!((most * 3 / 4..=most * 5 / 4).contains(pause), "{pauses:?}");
    }
}

#[tokio::test]
async fn a_verified_report_is_offered_and_each_step_is_told_once() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes.clone()).await.unwrap();
    assert_eq!(
        hear(&deliveries).await,
        [
            word("site", "at-site", false),
            word("pacs", "at-site", false)
        ]
    );
    assert_eq!(hear(&deliveries).await, []);
    let pacs = Pacs::answering([
        SendOutcome::Failed("no connection".to_owned()),
        SendOutcome::Refused(0xA700),
        SendOutcome::Stored(0xB000),
    ]);
    assert!(offer(&deliveries, &pacs).await);
    assert_eq!(hear(&deliveries).await, [word("pacs", "waiting", true)]);
    assert!(!offer(&deliveries, &pacs).await, "not before its time");
    bench.pass(7);
    assert!(offer(&deliveries, &pacs).await);
    bench.pass(13);
    assert!(offer(&deliveries, &pacs).await);
    let last = deliveries.messages().await.unwrap();
    assert_eq!(last[0].message.state, DeliveryState::Delivered);
    assert!(
        last[0].message.sentence.contains("B000"),
        "{}",
        last[0].message.sentence
    );
    bench.pass(10_000);
    assert!(!offer(&deliveries, &pacs).await);
    let received = pacs.received();
    assert_eq!(received.len(), 3);
    assert!(
        received
            .iter()
            .all(|p| p.dataset == bytes && p.instance == report.instance)
    );
}

#[tokio::test]
async fn the_same_report_again_is_told_again_and_not_offered_again() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes.clone()).await.unwrap();
    let pacs = Pacs::default();
    assert!(offer(&deliveries, &pacs).await);
    hear(&deliveries).await;
    deliveries.accept(&report, bytes).await.unwrap();
    assert_eq!(
        hear(&deliveries).await,
        [
            word("site", "at-site", false),
            word("pacs", "delivered", false)
        ]
    );
    assert!(!offer(&deliveries, &pacs).await);
    assert_eq!(pacs.received().len(), 1);
}

#[tokio::test]
async fn a_pacs_that_takes_no_reports_is_a_state_until_a_person_retries() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    hear(&deliveries).await;
    let pacs = Pacs::answering([SendOutcome::NotNegotiated, SendOutcome::Stored(0)]);
    assert!(offer(&deliveries, &pacs).await);
    assert_eq!(hear(&deliveries).await, [word("pacs", "not-taken", false)]);
    bench.pass(100_000);
    assert!(!offer(&deliveries, &pacs).await);
    assert_eq!(deliveries.retry(&report.case, "rita").await.unwrap(), 1);
    assert!(offer(&deliveries, &pacs).await);
    assert_eq!(hear(&deliveries).await, [word("pacs", "delivered", false)]);
}

#[tokio::test]
async fn a_restart_between_offer_and_answer_offers_the_same_report_again() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes.clone()).await.unwrap();
    // the process ends while the PACS is storing: the answer is never written down
    let offered = Arc::new(Notify::new());
    let tells = offered.clone();
    let never = Store::new(move |_, _| {
        tells.notify_one();
        Box::pin(std::future::pending())
    });
    let to = destination();
    tokio::select! {
        _ = work::offer_next(&deliveries, &to, &never, fonts()) => panic!("the PACS does not answer"),
        () = offered.notified() => {}
    }
    assert!(
        !offer(&deliveries, &Pacs::default()).await,
        "leased to the lost worker"
    );
    drop(deliveries);
    let bench = bench.restart().await;
    let deliveries = open(&bench).await;
    let pacs = Pacs::default();
    assert!(offer(&deliveries, &pacs).await);
    assert!(!offer(&deliveries, &pacs).await);
    assert_eq!(pacs.received().len(), 1);
    assert_eq!(
        (
            pacs.received()[0].instance.clone(),
            pacs.received()[0].dataset.clone()
        ),
        (report.instance, bytes)
    );
}

#[tokio::test]
async fn what_has_no_destination_is_held() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    hear(&deliveries).await;
    drop(deliveries);
    let deliveries = open_with(&bench, vec![]).await;
    assert_eq!(hear(&deliveries).await, [word("pacs", "held", false)]);
    let (second, bytes) = signed("1.2.3", "2.25.2");
    deliveries.accept(&second, bytes).await.unwrap();
    assert_eq!(
        hear(&deliveries).await,
        [word("site", "at-site", false), word(NONE, "held", false)]
    );
}

#[tokio::test]
async fn a_clock_set_back_does_not_keep_a_report_waiting() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    bench.pass(-10 * 365 * 24 * 3600);
    assert!(offer(&deliveries, &Pacs::default()).await);
}
