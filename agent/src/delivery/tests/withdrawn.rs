//! A withdrawal (P17): before all else, in the place of what it takes back, and open until a person here has seen it.

use causeway_proto::report::closing::WITHDRAWN as FIRST_WORDS;
use causeway_proto::report::model::Paragraph;

use causeway_proto::time::Timestamp;

use super::*;

/// A withdrawal of the report `of`, signed `later` seconds after it.
fn withdrawal(of: &Report, instance: &str, later: i64) -> (Report, Bytes) {
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
        "SELECT r.sop_uid, d.state FROM delivery d JOIN report r ON r.id = d.report_id WHERE d.destination = 'pacs' ORDER BY r.id",
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
