//! What is kept of a site's words and what of readers', in which order, and what is forgotten with a study.

use causeway_proto::ids::{CaseCode, SiteId, StudyUid};
use causeway_proto::link::message::{Context, Facts, Letter, LetterState, LetterStep};
use causeway_proto::random::Random;
use sqlx::Row;

use super::*;
use crate::ingest::tests::seed;
use crate::rows::Rows;
use crate::rows::tests::on_both;
use crate::worklist::{self, CaseFacts};

const CODE: &str = "33333333";
const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

fn site(id: &str) -> SiteId {
    id.parse().unwrap()
}

fn random() -> Random {
    Random::new(|out| {
        static NEXT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
        out.fill(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    })
}

async fn sql(rows: &Rows, statement: &'static str) {
    let mut tx = rows.begin().await.unwrap();
    sqlx::query(statement).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// Site `s1` with one case of one study, site `s2` with none.
async fn with_case(rows: &Rows) {
    seed(rows).await;
    for statement in [
        "INSERT INTO study (site_id, agreement_id, study_uid, purpose, priority, case_code, first_us, last_us)
         VALUES ('s1', 'g1', '1.2.3', 'read', 'routine', '33333333', 1, 1)",
        "INSERT INTO reading_case (id, site_id, agreement_id, code, created_us) VALUES ('c1', 's1', 'g1', '33333333', 1)",
        "INSERT INTO case_study (case_id, site_id, agreement_id, study_uid) VALUES ('c1', 's1', 'g1', '1.2.3')",
    ] {
        sql(rows, statement).await;
    }
}

async fn facts(rows: &Rows) -> CaseFacts {
    let mut reading = rows.read().acquire().await.unwrap();
    worklist::case(&mut reading, "c1").await.unwrap().unwrap()
}

fn context(version: u64, question: &str) -> Context {
    Context {
        study: "1.2.3".parse::<StudyUid>().unwrap(),
        agreement: "g1".parse().unwrap(),
        version,
        facts: Facts {
            question: question.to_owned(),
            ..Facts::default()
        },
    }
}

fn letter(id: &str) -> Letter {
    Letter {
        id: id.to_owned(),
        agreement: "g1".parse().unwrap(),
        case: CODE.parse::<CaseCode>().unwrap(),
        written: Timestamp(1),
        who: "radiographer\u{202E}".to_owned(),
        text: format!("text of {id}\r\nand more"),
    }
}

async fn write_one(rows: &Rows, text: &str) -> Result<String, TalkError> {
    let written = Written {
        account: "ada",
        name: "Dr. Ada",
        text,
    };
    write(rows, &facts(rows).await, written, &random(), NOW).await
}

async fn events(rows: &Rows) -> Vec<String> {
    let rows = sqlx::query("SELECT event, actor FROM audit_event ORDER BY seq")
        .fetch_all(rows.read())
        .await
        .unwrap();
    rows.iter()
        .map(|row| format!("{} by {}", row.get::<String, _>(0), row.get::<String, _>(1)))
        .collect()
}

#[tokio::test]
async fn the_highest_version_of_a_context_stands_whatever_comes_when() {
    for (_folder, rows) in on_both().await {
        with_case(&rows).await;
        for (version, question) in [(7, "seven"), (9, "nine"), (9, "other"), (8, "eight")] {
            let said = context(version, question);
            let taken = take_context(&rows, &site("s1"), &said, NOW)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(taken.held.version, version, "each is answered");
            assert_eq!(
                taken.changed.cases.is_empty(),
                question != "seven" && question != "nine"
            );
        }
        let seen = facts(&rows).await;
        assert_eq!(seen.question(), Some("nine"));
        assert_eq!(asked(&rows).await.unwrap().get("c1"), None, "nobody's task");
        assert_eq!(events(&rows).await, ["context-received by site"; 2]);
        // of a study that is not here, of another site, under an agreement that has ended: nobody answers
        let mut other = context(10, "x");
        other.study = "1.2.4".parse().unwrap();
        let unknown = take_context(&rows, &site("s1"), &other, NOW).await.unwrap();
        assert!(unknown.is_none());
        let foreign = take_context(&rows, &site("s2"), &context(10, "x"), NOW).await;
        assert!(foreign.unwrap().is_none());
        sql(&rows, "UPDATE agreement SET ended_us = 2").await;
        let ended = take_context(&rows, &site("s1"), &context(10, "x"), NOW).await;
        assert!(ended.unwrap().is_none());
        assert_eq!(facts(&rows).await.question(), Some("nine"));
    }
}

#[tokio::test]
async fn letters_stand_in_order_once_and_of_their_site_only() {
    for (_folder, rows) in on_both().await {
        with_case(&rows).await;
        write_one(&rows, "First?").await.unwrap();
        for id in ["s1", "s2", "s1"] {
            let (state, _) = take(&rows, &site("s1"), &letter(id), NOW)
                .await
                .unwrap()
                .unwrap();
            assert_eq!((state.id.as_str(), state.step), (id, LetterStep::Held));
        }
        write_one(&rows, "Second?").await.unwrap();
        let lines = of_case(&rows, "c1").await.unwrap();
        let texts: Vec<_> = lines.iter().map(|it| it.text.as_str()).collect();
        let expect = [
            "First?",
            "text of s1\nand more",
            "text of s2\nand more",
            "Second?",
        ];
        assert_eq!(texts, expect);
        assert_eq!(lines[1].who, "radiographer");
        let due_now = due(&rows, &site("s1"), NOW).await.unwrap();
        assert_eq!(due_now.len(), 2);
        assert_eq!(due(&rows, &site("s2"), NOW).await.unwrap(), []);
        // another site says nothing of what is not its own
        let said = LetterState {
            id: due_now[0].id.clone(),
            step: LetterStep::Held,
            at: NOW,
        };
        let (_, changed) = heard(&rows, &site("s2"), &said, NOW).await.unwrap();
        assert_eq!(changed.cases, Vec::<String>::new());
        assert_eq!(due(&rows, &site("s1"), NOW).await.unwrap().len(), 2);
        let (_, changed) = heard(&rows, &site("s1"), &said, NOW).await.unwrap();
        assert_eq!(changed.cases, ["c1"]);
        assert_eq!(due(&rows, &site("s1"), NOW).await.unwrap(), due_now[1..]);
        let foreign = take(&rows, &site("s2"), &letter("s9"), NOW).await.unwrap();
        assert!(foreign.is_none());
        // readings, until the site knows
        assert_eq!(unread(&rows).await.unwrap().get("c1"), Some(&2));
        assert_eq!(
            mark_read(&rows, &facts(&rows).await, "ada", NOW)
                .await
                .unwrap(),
            2
        );
        assert_eq!(unread(&rows).await.unwrap().get("c1"), None);
        for state in readings(&rows, &site("s1")).await.unwrap() {
            let known = LetterState {
                step: LetterStep::Known,
                ..state
            };
            let _known = heard(&rows, &site("s1"), &known, NOW).await.unwrap();
        }
        assert_eq!(readings(&rows, &site("s1")).await.unwrap(), []);
        let expect = [
            "letter-written by ada",
            "letter-received by site",
            "letter-received by site",
            "letter-written by ada",
            "letter-read by ada",
        ];
        assert_eq!(events(&rows).await, expect);
    }
}

#[tokio::test]
async fn letters_written_at_once_all_stand() {
    for (_folder, rows) in on_both().await {
        with_case(&rows).await;
        let texts: Vec<String> = (0..8).map(|n| format!("reader {n}")).collect();
        let writes = texts.iter().map(|text| write_one(&rows, text));
        for written in futures::future::join_all(writes).await {
            written.unwrap();
        }
        assert_eq!(of_case(&rows, "c1").await.unwrap().len(), 8);
        // and no more than a case can have
        for number in 8..LETTERS {
            write_one(&rows, &format!("{number}")).await.unwrap();
        }
        let full = write_one(&rows, "one more").await;
        assert!(matches!(full, Err(TalkError::TooMany)), "{full:?}");
    }
}

#[tokio::test]
async fn what_was_said_of_a_recalled_study_is_forgotten() {
    for (_folder, rows) in on_both().await {
        with_case(&rows).await;
        let said = context(7, "stroke?");
        let _taken = take_context(&rows, &site("s1"), &said, NOW)
            .await
            .unwrap()
            .unwrap();
        let _kept = take(&rows, &site("s1"), &letter("s1"), NOW)
            .await
            .unwrap()
            .unwrap();
        write_one(&rows, "Which arm?").await.unwrap();
        let key = StudyKey {
            site: site("s1"),
            agreement: "g1".parse().unwrap(),
            study: "1.2.3".parse().unwrap(),
        };
        let mut tx = rows.begin().await.unwrap();
        sqlx::query("UPDATE study SET recalled_us = 5")
            .execute(&mut *tx)
            .await
            .unwrap();
        forget(&mut tx, &key).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(facts(&rows).await.question(), None);
        let lines = of_case(&rows, "c1").await.unwrap();
        assert!(lines.iter().all(|line| line.text.is_empty()), "{lines:?}");
        assert_eq!(due(&rows, &site("s1"), NOW).await.unwrap(), []);
        let late = take_context(&rows, &site("s1"), &context(8, "x"), NOW)
            .await
            .unwrap();
        assert!(late.is_none());
        let late = take(&rows, &site("s1"), &letter("s2"), NOW).await.unwrap();
        assert!(late.is_none());
        let refused = write_one(&rows, "Why?").await;
        assert!(matches!(refused, Err(TalkError::Recalled)), "{refused:?}");
    }
}
