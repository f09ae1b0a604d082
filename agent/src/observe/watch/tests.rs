//! Each rule over real rows, with a clock that is moved by hand: told when its bound is over, not before, and over when it is mended.

use causeway_observe::{About, Phase, Telling};

use super::*;
use crate::delivery::tests::{destination, open_with, signed};
use crate::spool::tests::{Bench, What};

/// Everything that the rules look at, with no channel.
struct Stand {
    bench: Bench,
    watch: Watch,
    link: watch::Sender<link::State>,
}

impl Stand {
    async fn new(bench: Bench) -> Self {
        let (link, state) = watch::channel(up());
        let year = std::time::Duration::from_secs(365 * 24 * 3600);
        let until = bench.clock().now().plus(year);
        let watched = Watched {
            spool: bench.spool.clone(),
            link: state,
            certificate: CertificateEnd::new(move || until),
            clock: bench.clock(),
        };
        let config = Config::default();
        let teller = Teller::open(&config, bench.clock());
        let watch = Watch::new(watched, teller, config, "site-a");
        Self { bench, watch, link }
    }

    /// What a look tells: phase, rule and subject of each.
    async fn look(&mut self) -> Vec<(Phase, String, String)> {
        let told = self.watch.look().await;
        for telling in &told {
            assert_nobody(telling);
        }
        let told = told.into_iter();
        told.map(|it| (it.phase, it.rule, it.about.to_string()))
            .collect()
    }

    async fn sql(&self, sql: &'static str) {
        let mut tx = self.bench.spool.rows().begin().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn case(&self) -> String {
        sqlx::query_scalar("SELECT case_code FROM study")
            .fetch_one(self.bench.spool.rows().read())
            .await
            .unwrap()
    }
}

fn up() -> link::State {
    link::State::Up {
        since: Timestamp(0),
        gateway: String::new(),
        address: String::new(),
        way: link::Way::Udp,
        remark: None,
        traffic: causeway_line::quic::Traffic {
            sent_bytes: 0,
            received_bytes: 0,
            lost_bytes: 0,
            round_trip_us: 0,
            kbit_s: 0,
            datagram_bytes: 1200,
        },
    }
}

fn told(phase: Phase, rule: &str, about: &str) -> Vec<(Phase, String, String)> {
    vec![(phase, rule.to_owned(), about.to_owned())]
}

/// No word of the patient of these tests, and no UID.
fn assert_nobody(telling: &Telling) {
    let all = format!("{} {}", telling.json(), telling.text());
    for word in ["Doe", "PID", "1.2.3"] {
        assert!(!all.contains(word), "{word} in {all}");
    }
}

#[tokio::test]
async fn a_link_that_is_down_is_told_after_five_minutes_and_only_when_something_waits() {
    let mut stand = Stand::new(Bench::new().await).await;
    stand.bench.greet(1, 0).await;
    stand.link.send_replace(link::State::new());
    assert!(stand.look().await.is_empty());
    stand.bench.pass(3600);
    assert!(stand.look().await.is_empty(), "nothing waits");
    stand
        .bench
        .store(&What::image("1.2.3", "1.2.3.1"))
        .await
        .unwrap();
    stand.bench.spool.settle().await.unwrap();
    assert_eq!(stand.look().await, told(Phase::Raised, "link-down", "link"));
    assert!(stand.look().await.is_empty(), "once");
    stand.bench.pass(3600);
    assert_eq!(stand.look().await, told(Phase::Again, "link-down", "link"));
    stand.link.send_replace(up());
    assert_eq!(stand.look().await, told(Phase::Over, "link-down", "link"));
    // down again: its time begins anew
    stand.link.send_replace(link::State::new());
    assert!(stand.look().await.is_empty());
    stand.bench.pass(299);
    assert!(stand.look().await.is_empty());
    stand.bench.pass(1);
    assert_eq!(stand.look().await, told(Phase::Raised, "link-down", "link"));
}

#[tokio::test]
async fn what_is_withheld_is_told_by_case_an_urgent_one_at_once_and_a_person_may_know_of_it() {
    let mut stand = Stand::new(Bench::new().await).await;
    stand.bench.greet(1, 0).await;
    for instance in ["1.2.3.1", "1.2.3.2"] {
        let what = What::image("1.2.3", instance);
        stand.bench.store(&what).await.unwrap();
    }
    stand.bench.spool.settle().await.unwrap();
    let case = stand.case().await;
    stand
        .sql("UPDATE instance SET state = 'receipted', receipt_us = 1 WHERE id = 2")
        .await;
    stand
        .sql("UPDATE instance SET state = 'withheld', reason = 'Doe may be burned in' WHERE id = 1")
        .await;
    assert!(
        stand.look().await.is_empty(),
        "a routine one waits a minute"
    );
    stand.bench.pass(60);
    assert_eq!(
        stand.look().await,
        told(Phase::Raised, "object-held", &case)
    );
    stand.sql("UPDATE study SET priority = 'stat'").await;
    assert_eq!(
        stand.look().await,
        [
            told(Phase::Over, "object-held", &case),
            told(Phase::Raised, "urgent-held", &case)
        ]
        .concat()
    );
    let (rows, now) = (stand.bench.spool.rows().clone(), stand.bench.clock().now());
    let known = |rule| acknowledge(&rows, now, (Some(rule), None), "operator");
    assert_eq!(known("link-down").await.unwrap(), 0);
    assert_eq!(known("urgent-held").await.unwrap(), 1);
    assert_eq!(known("urgent-held").await.unwrap(), 0, "known already");
    stand.bench.pass(7200);
    assert!(stand.look().await.is_empty(), "somebody knows");
    stand.sql("UPDATE instance SET state = 'withheld'").await;
    assert_eq!(
        stand.look().await,
        told(Phase::Raised, "urgent-held", &case),
        "it is more"
    );
    let standing = standing(&rows).await.unwrap();
    assert_eq!((standing.len(), standing[0].times), (1, 2));
    assert_eq!(standing[0].acknowledged, None);
    let noted: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM audit_event WHERE event = 'alarm-acknowledged' AND subject = $1",
    )
    .bind(&case)
    .fetch_one(rows.read())
    .await
    .unwrap();
    assert_eq!(noted, 1);
}

#[tokio::test]
async fn a_restart_tells_nothing_anew() {
    let mut stand = Stand::new(Bench::new().await).await;
    stand.bench.greet(1, 0).await;
    let what = What::image("1.2.3", "1.2.3.1");
    stand.bench.store(&what).await.unwrap();
    stand.bench.spool.settle().await.unwrap();
    stand.sql("UPDATE instance SET state = 'withheld'").await;
    stand.bench.pass(60);
    assert_eq!(stand.look().await.len(), 1);
    let mut stand = Stand::new(stand.bench).await;
    stand.bench.pass(3599);
    assert!(stand.look().await.is_empty());
    stand.bench.pass(1);
    let again = stand.look().await;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].0, Phase::Again);
}

#[tokio::test]
async fn a_report_that_no_destination_has_is_told_a_quarter_of_an_hour_after_its_signature() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    let deliveries = open_with(&bench, vec![destination()]).await;
    let (mut report, bytes) = signed("1.2.3", "2.25.1");
    report.signed_at = bench.clock().now();
    deliveries.accept(&report, bytes).await.unwrap();
    let mut stand = Stand::new(bench).await;
    stand.bench.pass(899);
    assert!(stand.look().await.is_empty());
    stand.bench.pass(1);
    let case = report.case.as_str();
    assert_eq!(stand.look().await, told(Phase::Raised, "report-late", case));
    // one destination has one of its forms: that is enough
    stand
        .sql("UPDATE delivery SET state = 'delivered' WHERE destination = 'pacs'")
        .await;
    assert_eq!(stand.look().await, told(Phase::Over, "report-late", case));
}

#[tokio::test]
async fn a_report_that_stays_at_an_agent_without_destinations_is_not_late() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    let deliveries = open_with(&bench, vec![]).await;
    let (mut report, bytes) = signed("1.2.3", "2.25.1");
    report.signed_at = bench.clock().now();
    deliveries.accept(&report, bytes).await.unwrap();
    let mut stand = Stand::new(bench).await;
    stand.bench.pass(3600);
    assert!(stand.look().await.is_empty());
}

#[tokio::test]
async fn bytes_that_are_missing_and_rows_that_are_refused_are_told_at_once() {
    let mut stand = Stand::new(Bench::new().await).await;
    stand.bench.greet(1, 0).await;
    let what = What::image("1.2.3", "1.2.3.1");
    stand.bench.store(&what).await.unwrap();
    stand.bench.spool.settle().await.unwrap();
    stand.sql("UPDATE instance SET lost = 1").await;
    assert_eq!(
        stand.look().await,
        told(Phase::Raised, "object-lost", "bytes")
    );
    stand.sql("UPDATE instance SET lost = 0").await;
    assert_eq!(
        stand.look().await,
        told(Phase::Over, "object-lost", "bytes")
    );
}

#[tokio::test]
async fn a_certificate_is_told_a_fortnight_before_its_end() {
    let mut stand = Stand::new(Bench::new().await).await;
    stand.bench.pass((365 - 14) * 24 * 3600 - 1);
    assert!(stand.look().await.is_empty());
    stand.bench.pass(1);
    assert_eq!(
        stand.look().await,
        told(Phase::Raised, "certificate", "link")
    );
}

#[tokio::test]
async fn a_disk_that_fills_is_told_and_rows_that_cannot_be_read_too() {
    let bench = Bench::new().await;
    bench.disk.set_free(Some(2 << 30));
    let mut stand = Stand::new(bench).await;
    assert_eq!(stand.look().await, told(Phase::Raised, "disk", "disk"));
    stand.bench.disk.set_free(None);
    assert_eq!(stand.look().await, told(Phase::Over, "disk", "disk"));
    // a table that is gone is as good as a database that refuses
    stand.sql("ALTER TABLE audit_doubt RENAME TO gone").await;
    assert!(stand.look().await.is_empty());
    stand.bench.pass(60);
    assert_eq!(stand.look().await, told(Phase::Raised, "rows", "rows"));
    assert_eq!(
        stand.watch.book.entries().next().unwrap().about,
        About::part("rows")
    );
}
