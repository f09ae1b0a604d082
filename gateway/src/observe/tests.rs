//! What is said of a process that is up, that is not, and of which one part does not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use causeway_proto::time::{Clock, Timestamp};

use super::*;
use crate::rows::Rows;
use crate::rows::tests::{on_both, on_sqlite};

fn now() -> Clock {
    Clock::new(|| Timestamp(2_000_000_000_000_000))
}

fn readiness(rows: &Rows, probes: Vec<Probe>) -> Readiness {
    let gauges: Gauges = Box::new(|| vec![("causeway_disk_free_bytes", "bytes", 7)]);
    Readiness::new(rows.clone(), now(), probes, gauges)
}

fn well(code: &'static str) -> Probe {
    Probe::new(code, async || Ok(None))
}

async fn run(rows: &Rows, sql: &'static str) {
    let mut tx = rows.begin().await.unwrap();
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn the_first_cause_is_named_and_what_is_no_cause_is_said_too() {
    let (_folder, rows) = on_sqlite().await;
    let low = || {
        Probe::new("low", async || {
            Ok(Some(Cause::new("low", "little is left")))
        })
    };
    let fault = |code| {
        Probe::new(code, move || async move {
            Err(Cause::new(code, "it does not hold"))
        })
    };
    let readiness_of = |probes| {
        let readiness = readiness(&rows, probes);
        readiness.open();
        readiness
    };
    let good = readiness_of(vec![well("a"), low(), well("b")]);
    let notes = good.ask().await.unwrap();
    assert_eq!(notes, [Cause::new("low", "little is left")]);
    let bad = readiness_of(vec![well("a"), low(), fault("b"), fault("c")]);
    let cause = bad.ask().await.unwrap_err();
    assert_eq!(cause.to_string(), "b: it does not hold");
    let metrics = bad.metrics().await.unwrap();
    assert!(metrics.contains("\ncauseway_ready 0\n"), "{metrics}");
    assert!(metrics.contains("\ncauseway_up 1\n"), "{metrics}");
}

#[tokio::test]
async fn before_and_after_it_is_not_ready_whatever_else_holds() {
    let (_folder, rows) = on_sqlite().await;
    let readiness = readiness(&rows, vec![well("a")]);
    assert_eq!(readiness.ask().await.unwrap_err().code, "starting");
    readiness.open();
    assert_eq!(readiness.ask().await, Ok(Vec::new()));
    readiness.drain();
    assert_eq!(readiness.ask().await.unwrap_err().code, "draining");
}

#[tokio::test]
async fn what_does_not_answer_is_a_cause_by_itself_and_all_who_ask_wait_for_one_look() {
    let (_folder, rows) = on_sqlite().await;
    let looks = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&looks);
    let stuck = Probe::new("disk-write", move || {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::pending()
    });
    let readiness = readiness(&rows, vec![stuck.within(Duration::from_millis(10))]);
    readiness.open();
    let (one, two) = tokio::join!(readiness.ask(), readiness.ask());
    let cause = one.unwrap_err();
    assert_eq!(
        cause.to_string(),
        "disk-write: it did not answer within 0 s"
    );
    assert_eq!(two.unwrap_err(), cause);
    assert_eq!(looks.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_is_counted_is_counted_on_both_databases() {
    for (_folder, rows) in on_both().await {
        let readiness = readiness(&rows, Vec::new());
        readiness.open();
        run(&rows, "INSERT INTO site (id, name, country, time_zone, language, phone, created_us) VALUES ('north', '', '', '', '', '', 0)").await;
        let metrics = readiness.metrics().await.unwrap();
        assert!(metrics.contains("\ncauseway_sites 1\n"), "{metrics}");
        assert!(
            metrics.contains("\ncauseway_disk_free_bytes 7\n"),
            "{metrics}"
        );
        assert!(!metrics.contains("north"), "no names: {metrics}");
    }
}

#[tokio::test]
async fn the_oldest_of_each_queue_has_its_age_on_both_databases() {
    for (_folder, rows) in on_both().await {
        let readiness = readiness(&rows, Vec::new());
        readiness.open();
        let line = |queue: &str, age| {
            format!("causeway_queue_oldest_seconds{{queue=\"{queue}\"}} {age}\n")
        };
        let queues = [
            "studies-open",
            "incoming",
            "quarantine",
            "workitems-unclaimed",
            "workitems-claimed",
            "deliveries-waiting",
            "deliveries-at-site",
            "deletions",
            "letters",
            "audit-doubts",
        ];
        let metrics = readiness.metrics().await.unwrap();
        for queue in queues {
            assert!(metrics.contains(&line(queue, 0)), "{queue}: {metrics}");
        }
        // 100 s and 50 s before now
        for sql in [
            "INSERT INTO site (id, name, country, time_zone, language, phone, created_us) VALUES ('s', '', '', '', '', '', 0)",
            "INSERT INTO incoming_part (name, site_id, agreement_id, study_uid, begun_us) VALUES ('a', 's', 'g', '1', 1999999900000000), ('b', 's', 'g', '1', 1999999950000000)",
            "INSERT INTO deletion (site_id, agreement_id, study_uid, why, state, ordered_us) VALUES ('s', 'g', '1', 'recalled', 'done', 1), ('s', 'g', '2', 'recalled', 'ordered', 1999999950000000)",
            "INSERT INTO audit_doubt (site_id, whose, found_us, sentence, settled_us) VALUES ('s', 'ours', 1, '', 2)",
        ] {
            run(&rows, sql).await;
        }
        let metrics = readiness.metrics().await.unwrap();
        for (queue, age) in [("incoming", 100), ("deletions", 50), ("audit-doubts", 0)] {
            assert!(metrics.contains(&line(queue, age)), "{queue}: {metrics}");
        }
    }
}
