//! Each rule over real rows of both databases, and a gateway with a clock that is moved by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use causeway_observe::{Book, Finding, Holding, Phase};
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
        for one in asked(rows, question.rule, Timestamp(1_900_000_000)).await {
            all.push((one.rule.to_owned(), one.about.to_string()));
        }
    }
    all
}

/// What is found about a rule.
async fn asked(rows: &Rows, rule: &str, now: Timestamp) -> Vec<Finding> {
    let bounds = Config::default().bounds(RULES);
    let question = QUESTIONS.iter().find(|it| it.rule == rule);
    let asked = find::asked(rows, question.unwrap(), &bounds, now);
    asked.await.unwrap()
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
                ("object-held", "north"),
                ("object-held", "KTR-4471"),
                ("blobs-damaged", "blobs"),
                ("audit-doubt", "north")
            ])
        );
    }
}

#[tokio::test]
async fn a_report_is_late_however_old_it_is_unless_its_site_delivers_nowhere() {
    for (_folder, rows) in on_both().await {
        for sql in CASE {
            run(&rows, sql).await;
        }
        for sql in [
            "UPDATE workitem SET state = 'COMPLETED'",
            "UPDATE delivery SET state = 'held', created_us = 5",
        ] {
            run(&rows, sql).await;
        }
        let late = pairs(&[("report-late", "KTR-4471")]);
        assert_eq!(found(&rows).await, late, "no day ends it");
        let form = async |destination: &'static str| {
            let mut tx = rows.begin().await.unwrap();
            sqlx::query(
                "INSERT INTO delivery_form (delivery_id, destination, form, state, sentence, since_us) VALUES ('d', $1, 'sr', 'held', '', 0)",
            )
            .bind(destination)
            .execute(&mut *tx)
            .await
            .unwrap();
            tx.commit().await.unwrap();
        };
        form("site").await;
        assert_eq!(found(&rows).await, late);
        form("none").await;
        assert_eq!(found(&rows).await, pairs(&[]), "it stays at the site");
        form("pacs").await;
        assert_eq!(found(&rows).await, late, "it has a destination now");
    }
}

/// So many cases of which a document has waited since the first second, and as many of which one was signed a moment ago.
const MANY: &[&str] = &[
    "INSERT INTO reading_case (id, site_id, agreement_id, code, created_us) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
     WHERE i < 500) SELECT CAST(i AS TEXT), 'north', 'g', 'OTHER-' || CAST(i AS TEXT), 0 FROM n",
    "INSERT INTO report (id, case_id, workitem_uid, version, status, author_id, draft_version, language, content, model, manifest_version, \
     identity_version, signing_serial, signed_us) SELECT id, id, 'w', 1, 'preliminary', 'a', CAST(id AS BIGINT) + 9, 'en', '', '', '', '', 'k', 0 \
     FROM reading_case WHERE id <> 'c'",
    "INSERT INTO report_document (sop_uid, report_id, site_id, agreement_id, study_uid, series_uid, sop_class, transfer_syntax, blob_key, \
     digest, length) SELECT '9.' || id, id, 'north', 'g', '1.2', '1', '1', '1', 'b', '', 0 FROM report WHERE id <> 'r'",
    "INSERT INTO delivery (id, sop_uid, site_id, state, due_us, created_us, changed_us) SELECT 'd' || report_id, sop_uid, 'north', 'waiting', 0, \
     CASE WHEN CAST(report_id AS BIGINT) <= 250 THEN 1000000 ELSE 1800000000 END, 0 FROM report_document WHERE report_id <> 'r'",
];

#[tokio::test]
async fn what_has_become_late_is_found_however_many_stay_late_and_one_more_of_a_case_is_told() {
    for (_folder, rows) in on_both().await {
        for sql in CASE.iter().chain(MANY) {
            run(&rows, sql).await;
        }
        let weight = async |now| {
            let found = asked(&rows, "report-late", Timestamp(now)).await;
            let mut subjects: Vec<_> = found.iter().map(|it| &it.about).collect();
            subjects.sort();
            subjects.dedup();
            assert_eq!(subjects.len(), found.len(), "each case once");
            let mut all = found.iter();
            let of_it = all.find(|it| it.about.as_str() == "KTR-4471");
            of_it.map(|it| it.weight)
        };
        assert_eq!(weight(1_900_000_000).await, Some(1));
        for sql in [
            "INSERT INTO report_document (sop_uid, report_id, site_id, agreement_id, study_uid, series_uid, sop_class, transfer_syntax, \
             blob_key, digest, length) VALUES ('8', 'r', 'north', 'g', '1.2', '1', '1', '1', 'b', '', 0)",
            "INSERT INTO delivery (id, sop_uid, site_id, state, due_us, created_us, changed_us) VALUES ('e', '8', 'north', 'waiting', 0, 1000000001, 0)",
        ] {
            run(&rows, sql).await;
        }
        assert_eq!(weight(1_900_000_000).await, Some(1), "not late yet");
        assert_eq!(weight(1_900_000_001).await, Some(2));
    }
}

#[tokio::test]
async fn what_was_told_is_kept_in_both_databases_until_it_is_over() {
    for (_folder, rows) in on_both().await {
        for sql in CASE {
            run(&rows, sql).await;
        }
        let bounds = Config::default().bounds(RULES);
        let now = Timestamp(1_000_000_000);
        let look = async |at: Timestamp| {
            let looked = causeway_observe::Looked {
                findings: asked(&rows, "urgent-held", at).await,
                blind: Vec::new(),
            };
            let mut book = Book::of(standing(&rows).await.unwrap());
            let (source, none) = (source("https://x"), BTreeSet::new());
            let mut judged = book.judge(&looked, &bounds, &source, &none, at);
            for entry in &mut judged.kept {
                entry.sent = Some(at);
            }
            book::keep(&rows, &judged).await.unwrap();
            judged.tellings.into_iter().next().map(|it| it.phase)
        };
        assert_eq!(look(now).await, Some(Phase::Raised));
        assert_eq!(look(now).await, None);
        let known = |rule| acknowledge(&rows, now, (rule, None), "operator");
        assert_eq!(known(Some("disk")).await.unwrap(), 0);
        assert_eq!(known(Some("")).await.unwrap(), 0, "an empty word");
        let nothing = acknowledge(&rows, now, (None, Some("")), "operator");
        assert_eq!(nothing.await.unwrap(), 0, "about nothing");
        assert_eq!(known(None).await.unwrap(), 1);
        let day = now.plus(Duration::from_secs(86_400));
        assert_eq!(look(day).await, None, "somebody knows");
        run(&rows, "UPDATE study SET held_at_site = 3").await;
        assert_eq!(look(now).await, None, "a little more");
        run(&rows, "UPDATE study SET held_at_site = 4").await;
        assert_eq!(look(day).await, Some(Phase::Raised), "it has doubled");
        assert_eq!(standing(&rows).await.unwrap()[0].acknowledged, None);
        assert_eq!(known(None).await.unwrap(), 1);
        // over and so again before either was written: another alarm, of which nobody knows
        for (raised, known) in [(now, true), (day, false)] {
            let entry = standing(&rows).await.unwrap().remove(0);
            let judged = causeway_observe::Judged {
                kept: vec![causeway_observe::Entry { raised, ..entry }],
                ..causeway_observe::Judged::default()
            };
            book::keep(&rows, &judged).await.unwrap();
            let entry = standing(&rows).await.unwrap().remove(0);
            assert_eq!(
                (entry.raised, entry.acknowledged.is_some()),
                (raised, known)
            );
        }
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
        let end = begun.plus(Duration::from_secs(100 * 86_400));
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
            watch: watched.watch(&config.alarms, "https://reading.example"),
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
        // its site delivers nowhere, and has said so; it waits for its site all the same
        "INSERT INTO delivery_form (delivery_id, destination, form, state, sentence, since_us) VALUES ('d', 'none', 'sr', 'held', '', 0)",
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

/// The queues of a site that is connected since some minute, looked at now and then.
struct Queues<'a> {
    rows: &'a Rows,
    begun: Timestamp,
    sites: BTreeMap<String, Holding>,
}

/// Minutes after a time at which everything of [`CASE`] has long been due.
fn minute(minutes: i64) -> Timestamp {
    Timestamp(10_000_000_000 + minutes * 60_000_000)
}

impl Queues<'_> {
    /// What is told, and what stands.
    async fn look(&mut self, now: i64, since: Option<i64>) -> (Vec<String>, usize) {
        let (now, bound) = (minute(now), Duration::from_secs(900));
        let north = self.sites.entry("north".to_owned()).or_default();
        north.note(since.map(minute), now);
        let found = queue::look(self.rows, &self.sites, self.begun, bound, now).await;
        let found = found.unwrap();
        let told = found.iter().filter(|it| now.since(it.since) >= bound);
        let told = told.map(|it| it.about.to_string()).collect();
        (told, found.len())
    }
}

#[tokio::test]
async fn what_is_due_and_not_tried_is_found_on_both_databases_while_its_site_is_connected() {
    for (_folder, rows) in on_both().await {
        for sql in CASE {
            run(&rows, sql).await;
        }
        run(&rows, "INSERT INTO deletion (site_id, agreement_id, study_uid, why, state, ordered_us, next_try_us) \
                    VALUES ('north', 'g', '1.3', 'recalled', 'ordered', 0, 0)").await;
        let of = |begun| Queues {
            rows: &rows,
            begun: minute(begun),
            sites: BTreeMap::new(),
        };
        let mut queues = of(0);
        assert!(queues.look(0, None).await.0.is_empty());
        assert!(queues.look(14, None).await.0.is_empty());
        let told = queues.look(15, None).await.0;
        assert_eq!(told, ["deletions north"], "its site is away");
        // it was tried, and is due again at the 16th minute
        run(
            &rows,
            "UPDATE deletion SET attempts = 1, next_try_us = 10960000000",
        )
        .await;
        assert!(queues.look(16, Some(16)).await.0.is_empty());
        assert!(queues.look(30, Some(16)).await.0.is_empty());
        let both = ["deliveries-waiting north", "deletions north"];
        assert_eq!(queues.look(31, Some(16)).await.0, both);
        // after a restart, and with its site away, it stands; it is told when there was time again
        let mut queues = of(32);
        assert_eq!(queues.look(32, None).await, (vec![], 2));
        assert_eq!(queues.look(33, Some(33)).await, (vec![], 2));
        assert_eq!(queues.look(48, Some(33)).await.0, both);
        // one of another site moves nothing; one of this site does
        run(&rows, "UPDATE deletion SET state = 'done'").await;
        for sql in BUSY {
            run(&rows, sql).await;
        }
        assert_eq!(queues.look(49, Some(33)).await.0, both[..1]);
        run(
            &rows,
            "UPDATE delivery SET site_id = 'north' WHERE id = 'e'",
        )
        .await;
        assert_eq!(queues.look(50, Some(33)).await, (vec![], 0));
        // but not for ever: this one is passed over
        assert_eq!(queues.look(33 + 240, Some(33)).await.0, both[..1]);
        run(&rows, "UPDATE delivery SET state = 'delivered'").await;
        // a study that its site has not called whole for a day
        assert!(queues.look(33 + 1439, Some(33)).await.0.is_empty());
        let told = queues.look(33 + 1440, Some(33)).await.0;
        assert_eq!(told, ["studies-open north"]);
    }
}

/// Another site, and a document of it that arrived at the 48th minute.
const BUSY: &[&str] = &[
    "INSERT INTO site (id, name, country, time_zone, language, phone, created_us) VALUES ('south', '', '', '', '', '', 0)",
    "INSERT INTO report_document (sop_uid, report_id, site_id, agreement_id, study_uid, series_uid, sop_class, transfer_syntax, blob_key, \
     digest, length) VALUES ('8', 'r', 'north', 'g', '1.2', '1', '1', '1', 'b', '', 0)",
    "INSERT INTO delivery (id, sop_uid, site_id, state, due_us, created_us, changed_us) VALUES ('e', '8', 'south', 'delivered', 0, 0, 12880000000)",
];
