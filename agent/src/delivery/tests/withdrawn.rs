//! A withdrawal (P17): before all else, in the place of what it takes back, and open until a person here has seen it.

use causeway_proto::report::closing::WITHDRAWN as FIRST_WORDS;
use causeway_proto::report::model::Paragraph;

use causeway_proto::time::Timestamp;

use super::*;

/// A withdrawal of the report `of`, signed `later` seconds after it.
pub(in crate::delivery) fn withdrawal(of: &Report, instance: &str, later: i64) -> (Report, Bytes) {
    let mut document = document("1.2.3", instance);
    document.notices = Paragraph::split(&format!("{FIRST_WORDS}\nWrong side."));
    let (mut report, bytes) = sign(&document);
    report.status = WITHDRAWN.to_owned();
    report.case = of.case.clone();
    report.signed_at = Timestamp(of.signed_at.0 + later * 1_000_000);
    (report, bytes)
}

/// State and sentence of each row towards the destination, by report.
async fn states(deliveries: &Deliveries) -> Vec<(String, String)> {
    let rows = deliveries.inner.spool.rows();
    sqlx::query_as(
        "SELECT r.sop_uid, d.state FROM delivery d JOIN report r ON r.id = d.report_id WHERE d.destination = 'pacs' ORDER BY r.id, d.form",
    )
    .fetch_all(rows.read())
    .await
    .unwrap()
}

fn stands(instance: &str, state: &str) -> (String, String) {
    (instance.to_owned(), state.to_owned())
}

#[tokio::test]
async fn it_goes_first_and_what_it_takes_back_goes_no_more() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    // a report of another case waits longer than the withdrawal
    let (mut other, bytes) = signed("1.2.3", "2.25.3");
    other.case = CaseCode::draw(&seeded(11));
    deliveries.accept(&other, bytes).await.unwrap();
    bench.pass(1);
    let (back, bytes) = withdrawal(&report, "2.25.2", 60);
    deliveries.accept(&back, bytes).await.unwrap();
    let pacs = Pacs::default();
    while offer(&deliveries, &pacs).await {}
    let sent: Vec<String> = pacs
        .received()
        .iter()
        .map(|parcel| parcel.instance.to_string())
        .collect();
    assert_eq!(sent, ["2.25.2", "2.25.3"]);
    let all = [
        stands("2.25.1", "held"),
        stands("2.25.3", "delivered"),
        stands("2.25.2", "delivered"),
    ];
    assert_eq!(states(&deliveries).await, all);
    // nobody brings it back by offering the case again
    assert_eq!(deliveries.retry(&report.case, "rita").await.unwrap(), 0);
    assert!(!offer(&deliveries, &pacs).await);
}

#[tokio::test]
async fn a_report_that_comes_after_its_withdrawal_is_not_offered_and_a_newer_one_is() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (report, first) = signed("1.2.3", "2.25.1");
    let (back, bytes) = withdrawal(&report, "2.25.2", 60);
    deliveries.accept(&back, bytes).await.unwrap();
    deliveries.accept(&report, first).await.unwrap();
    let (mut corrected, bytes) = signed("1.2.3", "2.25.4");
    corrected.signed_at = Timestamp(back.signed_at.0 + 60_000_000);
    deliveries.accept(&corrected, bytes).await.unwrap();
    let pacs = Pacs::default();
    while offer(&deliveries, &pacs).await {}
    let all = [
        stands("2.25.2", "delivered"),
        stands("2.25.1", "held"),
        stands("2.25.4", "delivered"),
    ];
    assert_eq!(states(&deliveries).await, all);
}

#[tokio::test]
async fn it_stays_open_until_a_person_has_seen_it_once() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    assert!(offer(&deliveries, &Pacs::default()).await);
    let (back, bytes) = withdrawal(&report, "2.25.2", 60);
    deliveries.accept(&back, bytes.clone()).await.unwrap();
    let told = deliveries.messages().await.unwrap();
    let word = told
        .iter()
        .find(|untold| untold.message.form == ACKNOWLEDGED);
    let word = &word.unwrap().message;
    assert_eq!(
        (word.destination.as_str(), word.state),
        (SITE, DeliveryState::Held)
    );
    deliveries.told(&told).await.unwrap();
    let open = view::withdrawals(bench.spool.rows()).await.unwrap();
    let [one] = open.as_slice() else {
        panic!("{open:?}");
    };
    assert!(one.was_delivered);
    assert!(deliveries.acknowledge(one.report, "rita").await.unwrap());
    assert!(
        !deliveries.acknowledge(one.report, "rita").await.unwrap(),
        "once"
    );
    let told = deliveries.messages().await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].message.state, DeliveryState::Delivered);
    // the same report again does not open it anew
    deliveries.told(&told).await.unwrap();
    deliveries.accept(&back, bytes).await.unwrap();
    assert_eq!(view::withdrawals(bench.spool.rows()).await.unwrap(), []);
}

/// A withdrawal comes while the report is on its way to a PACS, which answers so afterwards; `ordered` says whether it was on its way for
/// the second time and a person ordered a third.
async fn withdrawn_meanwhile(
    to: &Destination,
    answer: SendOutcome,
    ordered: bool,
) -> (Bench, Deliveries) {
    let bench = bench_with_study().await;
    let deliveries = open_with(&bench, vec![to.clone()]).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    if ordered {
        let full = Pacs::answering([SendOutcome::Refused(0xA700)]);
        assert!(offer_by(&deliveries, to, &full.store()).await);
        bench.pass(1000);
    }
    let (back, bytes) = withdrawal(&report, "2.25.2", 60);
    let came = CancellationToken::new();
    let waits = came.clone();
    let (begins, begun) = tokio::sync::oneshot::channel();
    let begins = Mutex::new(Some(begins));
    let store = Store::new(move |_, _| {
        begins.lock().unwrap().take().unwrap().send(()).unwrap();
        let (waits, answer) = (waits.clone(), answer.clone());
        Box::pin(async move {
            waits.cancelled().await;
            answer
        })
    });
    let arriving = async {
        begun.await.unwrap();
        let orders = deliveries.retry(&report.case, "Dr. B").await.unwrap();
        assert_eq!(orders, u64::from(ordered));
        deliveries.accept(&back, bytes).await.unwrap();
        assert!(sentence(&deliveries).await.starts_with(NOT_KNOWN));
        came.cancel();
    };
    let (offered, ()) = tokio::join!(offer_by(&deliveries, to, &store), arriving);
    assert!(offered);
    (bench, deliveries)
}

const NOT_KNOWN: &str = "not known whether the PACS has it: its reader has withdrawn it";

/// What is said of the report that was taken back.
async fn sentence(deliveries: &Deliveries) -> String {
    sqlx::query_scalar(
        "SELECT d.sentence FROM delivery d JOIN report r ON r.id = d.report_id WHERE d.destination = 'pacs' AND r.sop_uid = '2.25.1'",
    )
    .fetch_one(deliveries.inner.spool.rows().read())
    .await
    .unwrap()
}

#[tokio::test]
async fn what_is_withdrawn_while_it_is_offered_waits_no_more() {
    let (full, to) = (SendOutcome::Refused(0xA700), destination());
    let all = [stands("2.25.1", "held"), stands("2.25.2", "at-site")];
    for ordered in [false, true] {
        let (_bench, deliveries) = withdrawn_meanwhile(&to, full.clone(), ordered).await;
        assert_eq!(states(&deliveries).await, all);
        let said = sentence(&deliveries).await;
        assert!(said.starts_with("its reader has withdrawn it"), "{said}");
        let lost = SendOutcome::Unanswered("the connection was closed".to_owned());
        let (_bench, deliveries) = withdrawn_meanwhile(&to, lost, ordered).await;
        assert_eq!(states(&deliveries).await, all);
        assert!(sentence(&deliveries).await.starts_with(NOT_KNOWN));
    }
}

#[tokio::test]
async fn the_pages_of_what_is_withdrawn_while_it_is_offered_wait_no_more() {
    let to = Destination {
        page_image: PageImage::IfRefused,
        ..destination()
    };
    for refusal in [SendOutcome::NotNegotiated, SendOutcome::Refused(0x0122)] {
        let (_bench, deliveries) = withdrawn_meanwhile(&to, refusal, false).await;
        let all = [
            stands("2.25.1", "held"),
            stands("2.25.1", "not-taken"),
            stands("2.25.2", "at-site"),
        ];
        assert_eq!(states(&deliveries).await, all);
    }
}

#[tokio::test]
async fn what_the_pacs_may_have_is_said_although_it_is_withdrawn() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    let lost = SendOutcome::Unanswered("the connection was closed".to_owned());
    assert!(offer(&deliveries, &Pacs::answering([lost])).await);
    let (back, bytes) = withdrawal(&report, "2.25.2", 60);
    deliveries.accept(&back, bytes).await.unwrap();
    assert!(sentence(&deliveries).await.starts_with(NOT_KNOWN));
}

/// The agent ends while the report is on its way: a person who hears of the withdrawal hears that the PACS may have it.
#[tokio::test]
async fn what_was_on_its_way_when_the_agent_ended_may_be_there() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    let (begins, begun) = tokio::sync::oneshot::channel();
    let begins = Mutex::new(Some(begins));
    let never = Store::new(move |_, _| {
        begins.lock().unwrap().take().unwrap().send(()).unwrap();
        Box::pin(std::future::pending())
    });
    let to = destination();
    tokio::select! {
        _ = offer_by(&deliveries, &to, &never) => panic!("nobody answers"),
        begun = begun => begun.unwrap(),
    }
    drop((deliveries, never));
    let bench = bench.restart().await;
    let deliveries = open(&bench).await;
    let (back, bytes) = withdrawal(&report, "2.25.2", 60);
    deliveries.accept(&back, bytes).await.unwrap();
    assert!(sentence(&deliveries).await.starts_with(NOT_KNOWN));
    let open = view::withdrawals(bench.spool.rows()).await.unwrap();
    assert!(open[0].was_delivered);
}

/// It comes between the lease and the offer: while the PACS is asked whether it has the report, or between two pages.
#[tokio::test]
async fn what_is_withdrawn_before_it_is_sent_is_not_sent() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    let pacs = Pacs::answering([
        SendOutcome::Unanswered("the connection was closed".to_owned()),
        SendOutcome::Stored(0),
    ]);
    assert!(offer(&deliveries, &pacs).await);
    bench.pass(1000);
    let (back, bytes) = withdrawal(&report, "2.25.2", 60);
    let arriving = deliveries.clone();
    let store = pacs.store().asking(move |_, _| {
        let (arriving, back, bytes) = (arriving.clone(), back.clone(), bytes.clone());
        Box::pin(async move {
            arriving.accept(&back, bytes).await.unwrap();
            Holds::No
        })
    });
    assert!(offer_by(&deliveries, &destination(), &store).await);
    assert_eq!(pacs.received().len(), 1);
    let all = [stands("2.25.1", "held"), stands("2.25.2", "at-site")];
    assert_eq!(states(&deliveries).await, all);
    let said = sentence(&deliveries).await;
    assert!(said.starts_with("its reader has withdrawn it"), "{said}");
}

#[tokio::test]
async fn the_pages_that_follow_are_not_sent_when_it_is_withdrawn_after_the_first() {
    let to = Destination {
        page_image: PageImage::Always,
        ..destination()
    };
    let bench = bench_with_study().await;
    let deliveries = open_with(&bench, vec![to.clone()]).await;
    let mut long = document("1.2.3", "2.25.1");
    long.notices = Paragraph::split(&"One line of many.\n".repeat(200));
    let (report, bytes) = sign(&long);
    deliveries.accept(&report, bytes).await.unwrap();
    let (back, bytes) = withdrawal(&report, "2.25.2", 60);
    let sent: Arc<Mutex<Vec<Parcel>>> = Arc::default();
    let (arriving, all) = (deliveries.clone(), sent.clone());
    let store = Store::new(move |_, parcel| {
        all.lock().unwrap().push(parcel.clone());
        let (arriving, back, bytes) = (arriving.clone(), back.clone(), bytes.clone());
        Box::pin(async move {
            if parcel.class.as_str() == derive::CLASS {
                arriving.accept(&back, bytes).await.unwrap();
            }
            SendOutcome::Stored(0)
        })
    });
    for _ in 0..2 {
        assert!(offer_by(&deliveries, &to, &store).await);
    }
    assert_eq!(sent.lock().unwrap().len(), 2, "the report and one page");
    let image = image_sentence(&deliveries).await;
    assert!(image.starts_with(NOT_KNOWN), "{image}");
}

/// The first page is there and the second was refused: what is withdrawn then may be seen in the PACS.
#[tokio::test]
async fn the_page_that_is_there_is_said_when_the_next_one_was_refused() {
    let to = Destination {
        page_image: PageImage::Always,
        ..destination()
    };
    let bench = bench_with_study().await;
    let deliveries = open_with(&bench, vec![to.clone()]).await;
    let mut long = document("1.2.3", "2.25.1");
    long.notices = Paragraph::split(&"One line of many.\n".repeat(200));
    let (report, bytes) = sign(&long);
    deliveries.accept(&report, bytes).await.unwrap();
    let stored = SendOutcome::Stored(0);
    let pacs = Pacs::answering([stored.clone(), stored, SendOutcome::Refused(0xA700)]);
    for _ in 0..2 {
        assert!(offer_by(&deliveries, &to, &pacs.store()).await);
    }
    assert_eq!(pacs.received().len(), 3, "the report and two pages");
    let (back, bytes) = withdrawal(&report, "2.25.2", 60);
    deliveries.accept(&back, bytes).await.unwrap();
    assert!(image_sentence(&deliveries).await.starts_with(NOT_KNOWN));
}

/// What is said of the pages of the report that was taken back.
async fn image_sentence(deliveries: &Deliveries) -> String {
    sqlx::query_scalar(
        "SELECT d.sentence FROM delivery d JOIN report r ON r.id = d.report_id WHERE d.form = 'image' AND r.sop_uid = '2.25.1'",
    )
    .fetch_one(deliveries.inner.spool.rows().read())
    .await
    .unwrap()
}
