//! Tests of the trail in rows: looks, heads, witnesses, exports.

use causeway_proto::audit::{Head, Teller};
use causeway_proto::link::message::AuditHead;
use causeway_proto::time::Timestamp;
use serde_json::json;

use super::*;
use crate::rows::Rows;
use crate::rows::tests::on_both;

pub(super) async fn act(rows: &Rows, at: i64, subject: &str) {
    let mut tx = rows.begin().await.unwrap();
    let detail = json!({ "agreement": "g1", "n": at });
    let at = Timestamp(at);
    record(&mut tx, at, "case-opened", "a1", "athens", subject, &detail)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

pub(super) async fn end(rows: &Rows) -> Head {
    head(&mut rows.read().acquire().await.unwrap())
        .await
        .unwrap()
}

async fn count(rows: &Rows, sql: &'static str) -> i64 {
    let (count,): (i64,) = sqlx::query_as(sql).fetch_one(rows.read()).await.unwrap();
    count
}

fn look(actor: &str, study: &str) -> Look {
    Look {
        event: "images-viewed",
        actor: actor.to_owned(),
        site: "athens".to_owned(),
        subject: study.to_owned(),
        detail: json!({ "agreement": "g1" }),
    }
}

#[tokio::test]
async fn an_untouched_chain_is_whole() {
    for (_folder, rows) in on_both().await {
        assert_eq!(first_break(rows.read()).await.unwrap(), None);
        assert_eq!(end(&rows).await, Head::empty());
        for n in 0..3 {
            act(&rows, n, "x").await;
        }
        assert_eq!(first_break(rows.read()).await.unwrap(), None);
        let mut reading = rows.read().acquire().await.unwrap();
        let found = verify(&mut reading, &[]).await.unwrap().unwrap();
        drop(reading);
        assert_eq!((found.sequence, found), (3, end(&rows).await));
    }
}

#[tokio::test]
async fn looks_within_five_minutes_are_one_record_and_many_share_a_commit() {
    for (_folder, rows) in on_both().await {
        let trail = Trail::new(rows.clone());
        let at = Timestamp(1_700_000_100_000_000);
        let many = (0..200).map(|n| {
            let (who, study) = (format!("a{}", n % 4), format!("1.2.{}", n % 5));
            let trail = trail.clone();
            async move { trail.looked(at, look(&who, &study)).await }
        });
        for outcome in futures::future::join_all(many).await {
            outcome.unwrap();
        }
        assert_eq!(count(&rows, "SELECT count(*) FROM audit_event").await, 20);
        // the same window after a restart, the next window, and a clock that was set back
        let again = Trail::new(rows.clone());
        again.looked(at, look("a0", "1.2.0")).await.unwrap();
        assert_eq!(count(&rows, "SELECT count(*) FROM audit_event").await, 20);
        let later = at.plus(std::time::Duration::from_secs(300));
        again.looked(later, look("a0", "1.2.0")).await.unwrap();
        again.looked(at, look("a0", "1.2.0")).await.unwrap();
        assert_eq!(count(&rows, "SELECT count(*) FROM audit_event").await, 21);
        assert_eq!(first_break(rows.read()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_look_that_cannot_be_written_is_not_granted() {
    let (_folder, rows) = crate::rows::tests::on_sqlite().await;
    let trail = Trail::new(rows.clone());
    let mut tx = rows.begin().await.unwrap();
    sqlx::query("INSERT INTO gateway_fact (name, value) VALUES ('audit-head', 'no head')")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let refused = trail.looked(Timestamp(1), look("a", "1")).await;
    assert!(refused.is_err());
    assert!(!trail.has(Timestamp(1), &look("a", "1")));
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
    let digest = causeway_proto::digest::Digest([with; 32]);
    Head { sequence, digest }
}

#[tokio::test]
async fn a_site_whose_trail_goes_back_is_in_doubt_until_a_person_settles_it() {
    for (_folder, rows) in on_both().await {
        act(&rows, 1, "x").await;
        let hear = |message: AuditHead| {
            let rows = rows.clone();
            async move {
                witness::hear(&rows, "athens", &message, Timestamp(9))
                    .await
                    .unwrap()
            }
        };
        assert_eq!(hear(said(made(40, 1), None, None)).await, None);
        assert_eq!(hear(said(made(50, 2), None, None)).await, None);
        assert_eq!(witness::standing(&rows).await.unwrap(), []);
        let spoken = witness::say(&rows, "athens", Timestamp(9), None).await;
        assert_eq!(spoken.unwrap().held, Some(made(50, 2)));
        // asked about 50 it shows another record there, though it has grown
        hear(said(made(60, 3), None, Some(made(50, 9)))).await;
        // and later ends before it
        hear(said(made(30, 4), None, None)).await;
        hear(said(made(80, 5), None, None)).await;
        let doubts = witness::standing(&rows).await.unwrap();
        assert_eq!(doubts.len(), 1, "{doubts:?}");
        assert!(doubts[0].sentence.contains("record 50"), "{doubts:?}");
        let held = witness::held(&rows).await.unwrap();
        assert_eq!((held.len(), held[0].1), (1, made(50, 2)));
        assert_eq!(
            witness::settle(&rows, "athens", "restored", Timestamp(10))
                .await
                .unwrap(),
            1
        );
        hear(said(made(30, 4), None, None)).await;
        assert_eq!(witness::standing(&rows).await.unwrap(), []);
        assert_eq!(first_break(rows.read()).await.unwrap(), None);
        let raised = "SELECT count(*) FROM audit_event WHERE event = 'audit-doubted'";
        assert_eq!(count(&rows, raised).await, 1);
    }
}

#[tokio::test]
async fn what_an_agent_holds_of_us_is_answered_from_our_own_rows() {
    for (_folder, rows) in on_both().await {
        act(&rows, 1, "x").await;
        let first = end(&rows).await;
        act(&rows, 2, "x").await;
        let ask = said(made(1, 1), Some(first), None);
        let answer = witness::hear(&rows, "athens", &ask, Timestamp(9)).await;
        let answer = answer.unwrap().unwrap();
        assert_eq!(
            (answer.again, answer.head()),
            (Some(first), end(&rows).await)
        );
        assert_eq!(witness::standing(&rows).await.unwrap(), []);
        // the agent holds more than we have: we were put back
        let ask = said(made(1, 1), Some(made(7, 7)), None);
        let answer = witness::hear(&rows, "athens", &ask, Timestamp(9)).await;
        let shown = answer.unwrap().unwrap().again.unwrap();
        assert!(shown.sequence < 7);
        let doubts = witness::standing(&rows).await.unwrap();
        assert!(doubts[0].sentence.starts_with("this gateway"), "{doubts:?}");
    }
}

#[tokio::test]
async fn an_export_has_a_line_for_each_record() {
    let (_folder, rows) = crate::rows::tests::on_sqlite().await;
    for n in 0..5 {
        act(&rows, n, "x").await;
    }
    let teller = Teller {
        program: "causeway-gateway".to_owned(),
        place: "centre".to_owned(),
    };
    for (as_fhir, word) in [(false, "<AuditMessage>"), (true, "\"AuditEvent\"")] {
        let mut out = Vec::new();
        let written = export(rows.read(), 2, as_fhir, &teller, &mut out).await;
        assert_eq!(written.unwrap().unwrap(), 4);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().filter(|line| line.contains(word)).count(), 4);
    }
}
