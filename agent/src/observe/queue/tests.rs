//! A queue that moves, one that does not, and what cannot be tried.

use super::*;
use crate::delivery::tests::{destination, open_with, signed};
use crate::spool::tests::{Bench, What};

const BOUND: Duration = Duration::from_secs(900);

/// Queues that are told now; `line` is since when it is up, and what it has sent.
async fn look(dog: &mut Watchdog, bench: &Bench, line: Option<(Timestamp, u64)>) -> Vec<String> {
    let now = bench.clock().now();
    let found = stands(dog, bench, line).await.into_iter();
    let told = found.filter(|(_, since)| now.since(*since) >= BOUND);
    told.map(|(about, _)| about).collect()
}

/// Queues that nobody works on, each since when, whether or not that is told already.
async fn stands(
    dog: &mut Watchdog,
    bench: &Bench,
    line: Option<(Timestamp, u64)>,
) -> Vec<(String, Timestamp)> {
    let line = Line {
        up: line.map(|(up, _)| up),
        sent: line.map(|(_, sent)| sent),
    };
    let now = bench.clock().now();
    let found = dog.look(bench.spool.rows(), line, BOUND, now).await;
    let found = found.unwrap().into_iter();
    found.map(|it| (it.about.to_string(), it.since)).collect()
}

async fn sql(bench: &Bench, sql: &'static str) {
    let mut tx = bench.spool.rows().begin().await.unwrap();
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_report_that_nobody_offers_is_found_and_one_that_is_tried_is_not() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    let deliveries = open_with(&bench, vec![destination()]).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    let mut dog = Watchdog::default();
    assert!(look(&mut dog, &bench, None).await.is_empty());
    bench.pass(899);
    assert!(look(&mut dog, &bench, None).await.is_empty());
    // somebody has tried it
    sql(&bench, "UPDATE delivery SET attempts = attempts + 1").await;
    bench.pass(1);
    assert!(look(&mut dog, &bench, None).await.is_empty());
    bench.pass(899);
    assert!(look(&mut dog, &bench, None).await.is_empty());
    bench.pass(1);
    assert_eq!(look(&mut dog, &bench, None).await, ["deliveries"]);
    // it was put off, as after a failure
    sql(&bench, "UPDATE delivery SET due_us = due_us + 86400000000").await;
    assert!(look(&mut dog, &bench, None).await.is_empty());
}

#[tokio::test]
async fn a_destination_that_is_busy_hides_none_that_is_stuck() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    let deliveries = open_with(&bench, vec![destination()]).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    sql(
        &bench,
        "INSERT INTO delivery (report_id, destination, form, state, sentence, due_us, since_us) \
         SELECT report_id, 'busy', form, 'waiting', '', due_us + 1, since_us FROM delivery WHERE destination = 'pacs'",
    )
    .await;
    let mut dog = Watchdog::default();
    for _ in 0..3 {
        assert!(look(&mut dog, &bench, None).await.is_empty());
        bench.pass(300);
        sql(
            &bench,
            "UPDATE delivery SET attempts = attempts + 1 WHERE destination = 'busy'",
        )
        .await;
    }
    assert_eq!(look(&mut dog, &bench, None).await, ["deliveries"]);
}

#[tokio::test]
async fn what_waits_for_the_link_is_overdue_only_while_it_is_up_and_idle() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    for instance in ["1.2.3.1", "1.2.3.2"] {
        let what = What::image("1.2.3", instance);
        bench.store(&what).await.unwrap();
    }
    bench.spool.settle().await.unwrap();
    let mut dog = Watchdog::default();
    bench.pass(7200);
    assert!(look(&mut dog, &bench, None).await.is_empty(), "down");
    let up = bench.clock().now();
    assert!(look(&mut dog, &bench, Some((up, 0))).await.is_empty());
    bench.pass(899);
    // a large object is under way
    assert!(look(&mut dog, &bench, Some((up, 1 << 20))).await.is_empty());
    bench.pass(899);
    assert!(look(&mut dog, &bench, Some((up, 1 << 20))).await.is_empty());
    bench.pass(1);
    assert_eq!(
        look(&mut dog, &bench, Some((up, 1 << 20))).await,
        ["to-send"]
    );
    // one of the two arrives: the queue moves
    sql(
        &bench,
        "UPDATE instance SET state = 'receipted', receipt_us = 1800000000000000 WHERE id = 1",
    )
    .await;
    assert!(look(&mut dog, &bench, Some((up, 1 << 20))).await.is_empty());
}

#[tokio::test]
async fn a_start_ends_nothing_and_an_idle_line_that_is_kept_alive_carries_nothing() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    bench.spool.settle().await.unwrap();
    let up = bench.clock().now();
    let mut dog = Watchdog::default();
    for minute in 0..15 {
        let line = Some((up, minute * 10_000));
        assert!(look(&mut dog, &bench, line).await.is_empty(), "{minute}");
        bench.pass(60);
    }
    let line = Some((up, 150_000));
    assert_eq!(look(&mut dog, &bench, line).await, ["to-send"]);
    let mut dog = Watchdog::default();
    let now = bench.clock().now();
    let stood = stands(&mut dog, &bench, None).await;
    assert!(stood.contains(&("to-send".to_owned(), now)), "{stood:?}");
    assert!(look(&mut dog, &bench, Some((now, 0))).await.is_empty());
    bench.pass(900);
    let line = Some((now, 0));
    assert_eq!(look(&mut dog, &bench, line).await, ["to-send"]);
}

#[tokio::test]
async fn what_is_passed_over_for_hours_is_found_although_the_queue_moves() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    bench.spool.settle().await.unwrap();
    let mut dog = Watchdog::default();
    let up = bench.clock().now();
    for quarter in 0..16 {
        let sent = quarter << 20;
        assert!(look(&mut dog, &bench, Some((up, sent))).await.is_empty());
        bench.pass(900);
    }
    let found = look(&mut dog, &bench, Some((up, 99 << 20))).await;
    // and nobody seals it here
    assert_eq!(found, ["to-send", "studies-arriving"]);
}

#[tokio::test]
async fn every_queue_has_an_age_and_an_empty_one_has_none() {
    let bench = Bench::new().await;
    let age = async |bench: &Bench| {
        let ages = ages(bench.spool.rows(), bench.clock().now()).await.unwrap();
        assert_eq!(ages.len(), QUEUES.len());
        ages.into_iter().collect::<BTreeMap<_, _>>()
    };
    assert!(age(&bench).await.values().all(Duration::is_zero));
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    bench.spool.settle().await.unwrap();
    bench.pass(70);
    let ages = age(&bench).await;
    assert_eq!(ages["to-send"], Duration::from_secs(70));
    assert_eq!(ages["studies-arriving"], Duration::from_secs(70));
    assert!(ages["deliveries"].is_zero());
}
