//! Tests of the site's trail in rows: looks, guards, witnesses, exports.

use causeway_proto::audit::{Head, Teller};
use causeway_proto::digest::Digest;
use causeway_proto::link::message::AuditHead;
use causeway_proto::time::Timestamp;
use serde_json::json;

use super::*;
use crate::rows::Rows;

pub(super) async fn act(rows: &Rows, at: i64, subject: &str) {
    let mut tx = rows.begin().await.unwrap();
    let detail = json!({ "agreement": "g1", "n": at });
    let at = Timestamp(at);
    record(&mut tx, at, "study-received", "CT1", subject, &detail)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

pub(super) async fn end(rows: &Rows) -> Head {
    head(&mut rows.read().acquire().await.unwrap())
        .await
        .unwrap()
}

async fn rows() -> (tempfile::TempDir, Rows) {
    let folder = tempfile::tempdir().unwrap();
    let rows = Rows::open(folder.path()).await.unwrap();
    (folder, rows)
}

async fn count(rows: &Rows, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(rows.read())
        .await
        .unwrap()
}

fn look(study: &str) -> Look {
    Look {
        event: "images-sent",
        actor: "gateway".into(),
        subject: study.to_owned(),
        detail: json!({ "agreement": "g1" }),
    }
}

#[tokio::test]
async fn what_leaves_within_five_minutes_is_one_record_and_many_share_a_commit() {
    let (_folder, rows) = rows().await;
    let trail = Trail::new(rows.clone());
    let at = Timestamp(1_700_000_100_000_000);
    let many = (0..100).map(|n| {
        let (trail, study) = (trail.clone(), format!("1.2.{}", n % 5));
        async move { trail.looked(at, look(&study)).await }
    });
    for outcome in futures::future::join_all(many).await {
        outcome.unwrap();
    }
    let all = "SELECT count(*) FROM audit_event";
    assert_eq!(count(&rows, all).await, 5);
    let again = Trail::new(rows.clone());
    again.looked(at, look("1.2.0")).await.unwrap();
    assert_eq!(count(&rows, all).await, 5);
    let later = at.plus(std::time::Duration::from_secs(300));
    again.looked(later, look("1.2.0")).await.unwrap();
    assert_eq!(count(&rows, all).await, 6);
    let mut reading = rows.read().acquire().await.unwrap();
    let found = verify(&mut reading, &[]).await.unwrap().unwrap();
    assert_eq!(found.sequence, 6);
}

#[tokio::test]
async fn the_rows_themselves_refuse_to_be_changed() {
    let (_folder, rows) = rows().await;
    act(&rows, 1, "x").await;
    for sql in [
        "UPDATE audit_event SET actor = 'y'",
        "DELETE FROM audit_event",
    ] {
        let mut tx = rows.begin().await.unwrap();
        let refused = sqlx::query(sql).execute(&mut *tx).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}

fn said(head: Head, held: Option<Head>, again: Option<Head>) -> AuditHead {
    AuditHead {
        sequence: head.sequence,
        digest: head.digest,
        at: Timestamp(5),
        held,
        again,
    }
}

fn made(sequence: u64, with: u8) -> Head {
    let digest = Digest([with; 32]);
    Head { sequence, digest }
}

#[tokio::test]
async fn a_gateway_whose_trail_goes_back_is_in_doubt_until_a_person_settles_it() {
    let (_folder, rows) = rows().await;
    act(&rows, 1, "x").await;
    let hear = |message: AuditHead| {
        let rows = rows.clone();
        async move { witness::hear(&rows, &message, Timestamp(9)).await.unwrap() }
    };
    assert_eq!(hear(said(made(40, 1), None, None)).await, None);
    assert_eq!(hear(said(made(50, 2), None, None)).await, None);
    hear(said(made(30, 4), None, None)).await;
    hear(said(made(80, 5), None, None)).await;
    let doubts = witness::standing(&rows).await.unwrap();
    assert_eq!(doubts.len(), 1, "{doubts:?}");
    assert!(doubts[0].contains("went back"), "{doubts:?}");
    let held = witness::held(&rows).await.unwrap();
    assert_eq!(held.map(|(head, _)| head), Some(made(50, 2)));
    let settled = witness::settle(&rows, "restored", Timestamp(10)).await;
    assert_eq!(settled.unwrap(), 1);
    hear(said(made(30, 4), None, None)).await;
    assert_eq!(witness::standing(&rows).await.unwrap(), [""; 0]);
    // the gateway remembers more of us than there is
    let answer = hear(said(made(31, 4), Some(made(900, 1)), None)).await;
    assert!(answer.unwrap().again.unwrap().sequence < 900);
    let doubts = witness::standing(&rows).await.unwrap();
    assert!(doubts[0].starts_with("this agent"), "{doubts:?}");
}

#[tokio::test]
async fn two_ends_find_a_database_that_was_put_back() {
    let (folder, rows) = rows().await;
    for n in 0..5 {
        act(&rows, n, "x").await;
    }
    // an old copy of the rows is kept, and the trail goes on
    let old = folder.path().join("old.sqlite");
    let copy = format!("VACUUM INTO '{}'", old.display());
    sqlx::query(sqlx::AssertSqlSafe(copy))
        .execute(rows.read())
        .await
        .unwrap();
    for n in 5..9 {
        act(&rows, n, "x").await;
    }
    let seen = end(&rows).await;
    rows.close().await;
    let back = tempfile::tempdir().unwrap();
    std::fs::copy(&old, back.path().join("agent.sqlite")).unwrap();
    let rows = Rows::open(back.path()).await.unwrap();
    let mut reading = rows.read().acquire().await.unwrap();
    assert!(verify(&mut reading, &[]).await.unwrap().is_ok());
    let found = verify(&mut reading, &[seen]).await.unwrap().unwrap_err();
    assert_eq!(found.position, 6);
    drop(reading);
    let ask = said(made(1, 1), Some(seen), None);
    let answer = witness::hear(&rows, &ask, Timestamp(9)).await.unwrap();
    assert_eq!(answer.unwrap().again.unwrap().sequence, 5);
    assert_eq!(witness::standing(&rows).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_export_has_a_line_for_each_record() {
    let (_folder, rows) = rows().await;
    for n in 0..5 {
        act(&rows, n, "x").await;
    }
    let teller = Teller {
        program: "causeway-agent".to_owned(),
        place: "athens".to_owned(),
    };
    for (as_fhir, word) in [(false, "<AuditMessage>"), (true, "\"AuditEvent\"")] {
        let mut out = Vec::new();
        let written = export(rows.read(), 2, as_fhir, &teller, &mut out).await;
        assert_eq!(written.unwrap().unwrap(), 4);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().filter(|line| line.contains(word)).count(), 4);
    }
}
