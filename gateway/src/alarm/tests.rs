//! Each rule over real rows of both databases, and a gateway with a clock that is moved by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use causeway_observe::Phase;
use causeway_proto::time::Clock;

use super::rules::{QUESTIONS, WAITS_FOR_SITE};
use super::*;
use crate::app::{open, system_clock, system_random};
use crate::rows::Rows;
use crate::rows::tests::on_both;

/// A site with one STAT case of which nobody has taken the task, and a signed document of it that waits; made at second 1000.
const CASE: &[&str] = &[
    "INSERT INTO site (id, name, country, time_zone, language, phone, created_us) VALUES ('north', 'Doe Hospital', '', '', '', '', 0)",
    "INSERT INTO agreement (id, site_id, organisation, identity, language, created_us) VALUES ('g', 'north', 'o', 'pseudonymous', 'en', 0)",
    "INSERT INTO study (site_id, agreement_id, study_uid, purpose, priority, case_code, patient_name, held_at_site, first_us, last_us) \
     VALUES ('north', 'g', '1.2', 'read', 'stat', 'KTR-4471', 'Doe^J', 2, 0, 0)",
    "INSERT INTO reading_case (id, site_id, agreement_id, code, created_us) VALUES ('c', 'north', 'g', 'KTR-4471', 0)",
    "INSERT INTO workitem (uid, case_id, code, state, readiness, priority, created_us, changed_us) \
     VALUES ('w', 'c', '110005', 'SCHEDULED', 'READY', 'stat', 1000000000, 0)",
    "INSERT INTO workitem_study (workitem_uid, site_id, agreement_id, study_uid) VALUES ('w', 'north', 'g', '1.2')",
    "INSERT INTO account (id, user_name, password_hash, family_name, given_name, organisation, created_us) VALUES ('a', 'a', '', '', '', 'o', 0)",
    "INSERT INTO signing_key (serial, account_id, certificate_der, issued_us, usable_until_us) VALUES ('k', 'a', '', 0, 0)",
    "INSERT INTO report (id, case_id, workitem_uid, version, status, author_id, draft_version, language, content, model, manifest_version, \
     identity_version, signing_serial, signed_us) VALUES ('r', 'c', 'w', 1, 'preliminary', 'a', 1, 'en', '', '', '', '', 'k', 0)",
    "INSERT INTO report_document (sop_uid, report_id, site_id, agreement_id, study_uid, series_uid, sop_class, transfer_syntax, blob_key, \
     digest, length) VALUES ('9', 'r', 'north', 'g', '1.2', '1', '1', '1', 'b', '', 0)",
    "INSERT INTO delivery (id, sop_uid, site_id, state, due_us, created_us, changed_us) VALUES ('d', '9', 'north', 'waiting', 0, 1000000000, 0)",
];

async fn run(rows: &Rows, sql: &'static str) {
    let mut tx = rows.begin().await.unwrap();
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// What each question finds, as rule and subject.
async fn found(rows: &Rows) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for question in QUESTIONS {
        let now = Timestamp(2_000_000_000);
        for one in find::asked(rows, question, now).await.unwrap() {
            all.push((one.rule.to_owned(), one.about.to_string()));
        }
    }
    all
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter()
        .map(|(rule, about)| ((*rule).to_owned(), (*about).to_owned()))
        .collect()
}

#[tokio::test]
async fn what_is_wrong_is_found_in_the_rows_of_both_databases_and_only_that() {
    for (_folder, rows) in on_both().await {
        assert!(found(&rows).await.is_empty());
        for sql in CASE {
            run(&rows, sql).await;
        }
        assert_eq!(
            found(&rows).await,
            pairs(&[
                ("stat-unopened", "KTR-4471"),
                ("urgent-held", "KTR-4471"),
                ("report-late", "KTR-4471")
            ])
        );
        let waiting: Vec<(String, i64)> = sqlx::query_as(WAITS_FOR_SITE)
            .fetch_all(rows.read())
            .await
            .unwrap();
        assert_eq!(waiting, [("north".to_owned(), 1)]);
        for sql in [
            "UPDATE workitem SET state = 'COMPLETED'",
            "INSERT INTO report (id, case_id, workitem_uid, version, status, author_id, draft_version, language, content, model, \
             manifest_version, identity_version, signing_serial, signed_us) VALUES ('s', 'c', 'w', 2, 'withdrawn', 'a', 2, 'en', '', '', '', '', 'k', 0)",
        ] {
            run(&rows, sql).await;
        }
        assert_eq!(found(&rows).await, pairs(&[]), "taken back, and done");
        for sql in [
            "INSERT INTO quarantine (id, site_id, agreement_id, study_uid, sop_uid, sent_digest, source_tag, length, blob_key, reason, \
             receipt_number, receipt_epoch, received_us) VALUES ('q', 'north', 'g', '1.2', '1.2.3', '', '', 0, '', 'Doe', 0, 0, 5), \
             ('p', 'north', 'g', '7.7', '1.2.4', '', '', 0, '', 'Doe', 0, 0, 4)",
            "INSERT INTO blob_fault (blob_key, site_id, kind, found_us) VALUES ('b', 'north', 'missing', 5)",
            "INSERT INTO audit_doubt (site_id, whose, found_us, sentence) VALUES ('north', 'ours', 1, 'Doe')",
        ] {
            run(&rows, sql).await;
        }
        assert_eq!(
            found(&rows).await,
            pairs(&[
                ("object-held", "KTR-4471"),
                ("object-held", "north"),
                ("blobs-damaged", "blobs"),
                ("audit-doubt", "north")
            ])
        );
    }
}

#[tokio::test]
async fn what_was_told_is_kept_in_both_databases_until_it_is_over() {
    for (_folder, rows) in on_both().await {
        for sql in CASE {
            run(&rows, sql).await;
        }
        let bounds = Config::default().bounds(RULES);
        let held = QUESTIONS.iter().find(|it| it.rule == "urgent-held");
        let now = Timestamp(1_000_000_000);
        let look = async |at: Timestamp| {
            let looked = causeway_observe::Looked {
                findings: find::asked(&rows, held.unwrap(), at).await.unwrap(),
                blind: Vec::new(),
            };
            let mut book = Book::of(standing(&rows).await.unwrap());
            let judged = book.judge(&looked, &bounds, &source("https://x"), at);
            book::keep(&rows, &judged).await.unwrap();
            judged.tellings.into_iter().next().map(|it| it.phase)
        };
        assert_eq!(look(now).await, Some(Phase::Raised));
        assert_eq!(look(now).await, None);
        let known = |rule| acknowledge(&rows, now, (rule, None), "operator");
        assert_eq!(known(Some("disk")).await.unwrap(), 0);
        assert_eq!(known(None).await.unwrap(), 1);
        let day = now.plus(std::time::Duration::from_secs(86_400));
        assert_eq!(look(day).await, None, "somebody knows");
        run(&rows, "UPDATE study SET held_at_site = 3").await;
        assert_eq!(look(day).await, Some(Phase::Raised), "it is more");
        assert_eq!(standing(&rows).await.unwrap()[0].acknowledged, None);
        run(&rows, "UPDATE study SET held_at_site = 0").await;
        assert_eq!(look(day).await, Some(Phase::Over));
        assert!(standing(&rows).await.unwrap().is_empty());
    }
}

/// A whole gateway's rooms with a clock that is moved by hand, and no site connected.
struct Stand {
    _folder: tempfile::TempDir,
    parts: Parts,
    ahead: Arc<AtomicI64>,
    watch: Watch,
}

impl Stand {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data").display().to_string();
        let text = format!(
            "data = {data:?}\n[link]\nnames = [\"localhost\"]\n[archive.disk]\nsoft_floor_bytes = 0\nhard_floor_bytes = 0\n\
             soft_floor_files = 0\nhard_floor_files = 0\nreserve_bytes = 0\n"
        );
        let config = crate::config::parse("gateway.toml", &text).unwrap();
        let ahead = Arc::new(AtomicI64::new(0));
        let (set, begun) = (Arc::clone(&ahead), system_clock().now());
        let clock =
            Clock::new(move || Timestamp(begun.0 + set.load(Ordering::Relaxed) * 1_000_000));
        let opened = open(&config, clock, system_random()).await.unwrap();
        let parts = opened.parts.clone();
        let end = begun.plus(std::time::Duration::from_secs(100 * 86_400));
        let watched = Watched {
            parts: parts.clone(),
            archive: opened.archive,
            sites: Sites::default(),
            certificates: Certificates::new(move || {
                vec![
                    ("link", Some(end)),
                    ("signer-authority", Some(Timestamp(i64::MAX))),
                ]
            }),
        };
        Self {
            watch: Watch::new(watched, &config.alarms, "https://reading.example"),
            _folder: folder,
            parts,
            ahead,
        }
    }

    async fn at(&mut self, seconds: i64) -> Vec<(Phase, String, String)> {
        self.ahead.store(seconds, Ordering::Relaxed);
        let told = self.watch.look().await;
        for telling in &told {
            let all = format!("{} {}", telling.json(), telling.text());
            assert!(!all.contains("Doe") && !all.contains("1.2"), "{all}");
            assert_eq!(telling.source.name, "reading.example");
        }
        let told = told.into_iter();
        told.map(|it| (it.phase, it.rule, it.about.to_string()))
            .collect()
    }
}

fn one(phase: Phase, rule: &str, about: &str) -> Vec<(Phase, String, String)> {
    vec![(phase, rule.to_owned(), about.to_owned())]
}

#[tokio::test]
async fn a_site_that_is_away_and_a_certificate_that_ends_are_told_in_their_time() {
    let mut stand = Stand::new().await;
    assert!(stand.at(0).await.is_empty());
    let rows = stand.parts.rows.clone();
    for sql in CASE {
        run(&rows, sql).await;
    }
    for sql in [
        "UPDATE study SET held_at_site = 0",
        "UPDATE workitem SET state = 'COMPLETED'",
        // signed long ago: nobody's news, but it waits for its site
        "UPDATE delivery SET created_us = 5",
    ] {
        run(&rows, sql).await;
    }
    assert!(stand.at(299).await.is_empty());
    assert_eq!(
        stand.at(300).await,
        one(Phase::Raised, "link-down", "north")
    );
    run(&rows, "UPDATE delivery SET state = 'delivered'").await;
    assert_eq!(stand.at(301).await, one(Phase::Over, "link-down", "north"));
    assert!(stand.at(86 * 86_400 - 1).await.is_empty());
    assert_eq!(
        stand.at(86 * 86_400).await,
        one(Phase::Raised, "certificate", "link")
    );
}

#[tokio::test]
async fn a_stat_that_nobody_has_taken_is_told_after_ten_minutes() {
    let mut stand = Stand::new().await;
    let rows = stand.parts.rows.clone();
    for sql in CASE {
        run(&rows, sql).await;
    }
    run(&rows, "UPDATE study SET held_at_site = 0").await;
    run(&rows, "UPDATE delivery SET state = 'delivered'").await;
    let mut tx = rows.begin().await.unwrap();
    sqlx::query("UPDATE workitem SET created_us = $1")
        .bind(stand.parts.clock.now().0)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(stand.at(599).await.is_empty());
    assert_eq!(
        stand.at(600).await,
        one(Phase::Raised, "stat-unopened", "KTR-4471")
    );
    run(&rows, "UPDATE workitem SET state = 'IN PROGRESS'").await;
    assert_eq!(
        stand.at(601).await,
        one(Phase::Over, "stat-unopened", "KTR-4471")
    );
}

#[tokio::test]
async fn what_is_due_and_not_tried_is_found_on_both_databases_while_its_site_is_connected() {
    for (_folder, rows) in on_both().await {
        for sql in CASE {
            run(&rows, sql).await;
        }
        run(&rows, "INSERT INTO deletion (site_id, agreement_id, study_uid, why, state, ordered_us, next_try_us) \
                    VALUES ('north', 'g', '1.3', 'recalled', 'ordered', 0, 0)").await;
        let mut dog = queue::Watchdog::default();
        let mut look = async |minutes: i64, since: Option<i64>| {
            let at = |minutes: i64| Timestamp(10_000_000_000 + minutes * 60_000_000);
            let connected = since.map(|it| ("north".to_owned(), at(it)));
            let connected = connected.into_iter().collect();
            let found = dog.look(&rows, &connected, at(minutes)).await;
            let found = found.unwrap().into_iter();
            found.map(|it| it.about.to_string()).collect::<Vec<_>>()
        };
        assert!(look(0, None).await.is_empty());
        assert!(look(14, None).await.is_empty());
        assert_eq!(look(15, None).await, ["deletions"], "its site is away");
        run(&rows, "UPDATE deletion SET attempts = 1").await;
        assert!(look(16, Some(16)).await.is_empty(), "it was tried");
        assert!(look(30, Some(16)).await.is_empty());
        assert_eq!(
            look(31, Some(16)).await,
            ["deliveries-waiting north", "deletions"]
        );
        run(&rows, "UPDATE deletion SET state = 'done'").await;
        run(&rows, "UPDATE delivery SET state = 'delivered'").await;
        // a study that its site has not called whole for a day
        assert!(look(16 + 1439, Some(16)).await.is_empty());
        assert_eq!(look(16 + 1440, Some(16)).await, ["studies-open north"]);
    }
}
