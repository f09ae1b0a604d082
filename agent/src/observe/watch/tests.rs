//! Each rule over real rows, with a clock that is moved by hand: told when its bound is over, not before, and over when it is mended.

use causeway_observe::{Phase, Telling};
use causeway_proto::ids::CaseCode;

use super::*;
use crate::delivery::tests::{destination, open_with, signed};
use crate::spool::tests::{Bench, What, seeded};

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
        let watch = watched.watch(teller, &config, "site-a");
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
    up_since(Timestamp(0))
}

fn up_since(since: Timestamp) -> link::State {
    link::State::Up {
        since,
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
async fn a_link_that_comes_and_goes_is_down_and_what_waits_for_it_is_untried_also_after_a_restart()
{
    let mut stand = Stand::new(Bench::new().await).await;
    stand.bench.greet(1, 0).await;
    let what = What::image("1.2.3", "1.2.3.1");
    stand.bench.store(&what).await.unwrap();
    stand.bench.spool.settle().await.unwrap();
    let mut all = Vec::new();
    for quarter in 0..=64 {
        let now = stand.bench.clock().now();
        stand.link.send_replace(up_since(now));
        for (phase, rule, about) in stand.look().await {
            all.push((phase, rule, about, quarter * 15));
        }
        stand.bench.pass(15);
    }
    let raised = |rule: &str, about: &str| {
        let all = all.iter().filter(|it| it.1 == rule && it.2 == about);
        all.map(|it| (it.0, it.3)).collect::<Vec<_>>()
    };
    assert_eq!(raised("link-down", "link"), [(Phase::Raised, 300)]);
    let untried = raised("untried", "to-send");
    assert!(
        matches!(untried[..], [(Phase::Raised, 900..=960)]),
        "{untried:?}"
    );
    // nothing is over because somebody has begun to look anew
    let mut stand = Stand::new(stand.bench).await;
    stand.link.send_replace(up_since(stand.bench.clock().now()));
    assert!(stand.look().await.is_empty());
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
    stand.bench.pass(40 * 24 * 3600);
    let later = stand.look().await;
    let again = (Phase::Again, "report-late".to_owned(), case.to_owned());
    assert!(later.contains(&again), "no day ends it: {later:?}");
    // one destination has one of its forms: that is enough
    stand
        .sql("UPDATE delivery SET state = 'delivered' WHERE destination = 'pacs'")
        .await;
    let over = (Phase::Over, "report-late".to_owned(), case.to_owned());
    let last = stand.look().await;
    assert!(last.contains(&over), "{last:?}");
}

#[tokio::test]
async fn a_report_that_becomes_late_is_told_although_many_stay_so_and_somebody_knows_of_one() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    let deliveries = open_with(&bench, vec![destination()]).await;
    let (mut report, bytes) = signed("1.2.3", "2.25.1");
    report.signed_at = bench.clock().now();
    deliveries.accept(&report, bytes).await.unwrap();
    let mut stand = Stand::new(bench).await;
    // cases of which a report stays where it is, and such of which one was signed a moment ago
    for sql in [
        "INSERT INTO report (delivery, agreement, study_uid, sop_uid, sop_class, syntax, case_code, status, signed_us, signer, received_us) \
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) SELECT 'd' || i, agreement, '1.2.' || i, '9.' || i, \
         sop_class, syntax, case_code, status, CASE WHEN i <= 250 THEN i ELSE signed_us + 60000000 END, signer, 1 FROM report, n",
        "INSERT INTO delivery (report_id, destination, form, state, sentence, since_us) SELECT id, 'pacs', 'sr', 'held', '', 1 \
         FROM report WHERE sop_uid LIKE '9.%'",
    ] {
        stand.sql(sql).await;
    }
    let mut tx = stand.bench.spool.rows().begin().await.unwrap();
    for n in 1..=500_u64 {
        let of = sqlx::query("UPDATE report SET case_code = $1 WHERE sop_uid = $2");
        let of = of.bind(CaseCode::draw(&seeded(1_000 + n)).as_str().to_owned());
        of.bind(format!("9.{n}")).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    stand.bench.pass(899);
    stand.look().await;
    stand.bench.pass(1);
    let case = report.case.as_str();
    assert_eq!(stand.look().await, told(Phase::Raised, "report-late", case));
    let rows = stand.bench.spool.rows();
    let known = (Some("report-late"), None);
    let known = acknowledge(rows, stand.bench.clock().now(), known, "rita");
    assert!(known.await.unwrap() > 200);
    // one more of its case
    let (mut second, bytes) = signed("1.2.3", "2.25.2");
    second.case = report.case.clone();
    second.signed_at = stand.bench.clock().now();
    deliveries.accept(&second, bytes).await.unwrap();
    stand.sql("DELETE FROM delivery WHERE report_id IN (SELECT id FROM report WHERE sop_uid LIKE '9.%' AND signed_us > 250)").await;
    stand.bench.pass(899);
    let mut early = stand.look().await;
    early.retain(|(_, rule, _)| rule == "report-late");
    assert_eq!(early, [], "not late yet");
    stand.bench.pass(1);
    assert_eq!(stand.look().await, told(Phase::Raised, "report-late", case));
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
    let rows = stand.bench.spool.rows();
    assert_eq!(standing(rows).await.unwrap()[0].rule, "rows");
}
