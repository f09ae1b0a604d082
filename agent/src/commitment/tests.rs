//! Who hears that the gateway holds what, when, and over which association.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt as _;

use super::work::{ready, say_in_turn};
use super::*;
use crate::spool::tests::{Bench, What, receipt_for, seeded, title};

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

fn named(uid: &str) -> Named {
    (CT.parse().unwrap(), uid.parse().unwrap())
}

fn request(transaction: &str, uids: &[&str]) -> Request {
    Request {
        calling: title("CT1"),
        called: title("CAUSEWAY"),
        transaction: transaction.parse().unwrap(),
        instances: uids.iter().map(|uid| named(uid)).collect(),
    }
}

fn commitments_with(bench: &Bench, config: Config) -> Commitments {
    let peer = Peer {
        title: title("CT1"),
        address: "ct1:104".to_owned(),
    };
    Commitments::new(
        config,
        vec![peer],
        bench.spool.clone(),
        bench.clock(),
        seeded(3),
    )
}

fn commitments(bench: &Bench) -> Commitments {
    commitments_with(bench, Config::default())
}

/// Hears results over new associations.
#[derive(Clone, Default)]
struct Peers {
    heard: Arc<Mutex<Vec<Report>>>,
    deaf: Arc<AtomicU32>,
}

impl Peers {
    fn edge(&self) -> Edge {
        let this = self.clone();
        Edge::new(move |peer, report| {
            let this = this.clone();
            async move {
                assert_eq!(peer.address, "ct1:104");
                if this.deaf.load(Ordering::Relaxed) > 0 {
                    this.deaf.fetch_sub(1, Ordering::Relaxed);
                    return Err("no connection".to_owned());
                }
                this.heard.lock().unwrap().push(report);
                Ok(())
            }
            .boxed()
        })
    }

    fn heard(&self) -> Vec<Report> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

/// Says everything that can be said now; answers how many requests were ready.
async fn turn(commitments: &Commitments, edge: &Edge) -> usize {
    let ready = ready(&commitments.inner, &HashSet::new()).await.unwrap();
    let count = ready.values().map(Vec::len).sum();
    for requests in ready.into_values() {
        say_in_turn(&commitments.inner, edge, requests).await;
    }
    count
}

async fn change(bench: &Bench, statement: &'static str) {
    let mut tx = bench.spool.rows().begin().await.unwrap();
    sqlx::raw_sql(statement).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

async fn states(bench: &Bench) -> Vec<String> {
    sqlx::query_scalar("SELECT state || ' ' || tries FROM commitment ORDER BY id")
        .fetch_all(bench.spool.rows().read())
        .await
        .unwrap()
}

async fn audited(bench: &Bench) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT event || ' ' || actor || ' ' || detail FROM audit_event WHERE event LIKE 'commitment-%' ORDER BY seq",
    )
    .fetch_all(bench.spool.rows().read())
    .await
    .unwrap()
}

/// A spool with these instances of one study, each of other bytes, of which the first `receipted` are at the gateway.
async fn stored(uids: &[&str], receipted: usize) -> Bench {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    for uid in uids {
        bench.store(&What::image("1.2.3", uid)).await.unwrap();
    }
    for (number, uid) in (1..).zip(uids.iter().take(receipted)) {
        receipt(&bench, uid, 1, number).await;
    }
    bench
}

async fn receipt(bench: &Bench, uid: &str, epoch: u64, number: u64) {
    let out = bench.spool.next_to_send(99, &HashSet::new()).await.unwrap();
    let one = out.iter().find(|it| it.key.instance.as_str() == uid);
    let receipt = receipt_for(one.unwrap(), epoch, number);
    assert_eq!(bench.spool.receipted(&[receipt]).await.unwrap(), [true]);
}

/// What may speak against an instance, the statement that brings it about, and as what it fails.
const AGAINST: [(&str, &str, Option<Failure>); 11] = [
    ("sound", "SELECT 1", None),
    (
        "withheld",
        "UPDATE instance SET state = 'withheld' WHERE sop_uid = '1.2.3.1'",
        Some(Failure::Stays("withheld")),
    ),
    (
        "lost before it left",
        "UPDATE instance SET state = 'waiting', lost = 1 WHERE sop_uid = '1.2.3.1'",
        Some(Failure::Stays("lost")),
    ),
    (
        "quarantined",
        "UPDATE instance SET quarantined = 1 WHERE sop_uid = '1.2.3.1'",
        Some(Failure::Stays("quarantined")),
    ),
    (
        "of another class",
        "UPDATE instance SET sop_class = '1.2.840.10008.5.1.4.1.1.4' WHERE sop_uid = '1.2.3.1'",
        Some(Failure::OtherClass),
    ),
    (
        "deleted at the gateway",
        "INSERT INTO erasure (study_id, why, objects, bytes, parts, reports, at_us, opened, more, heard_us) \
         SELECT study_id, 'time', 1, 1, 0, 0, 1, '[]', 0, receipt_us FROM instance WHERE sop_uid = '1.2.3.1'",
        Some(Failure::NotHere),
    ),
    (
        "lost at the gateway",
        "UPDATE instance SET receipt_epoch = 0 WHERE sop_uid = '1.2.3.1'",
        Some(Failure::NotHere),
    ),
    (
        "receipted before the gateway was restored",
        "UPDATE instance SET receipt_epoch = 7 WHERE sop_uid = '1.2.3.1'",
        Some(Failure::Stays("gateway-restored")),
    ),
    (
        "unknown",
        "UPDATE instance SET sop_uid = '1.2.3.9' WHERE sop_uid = '1.2.3.1'",
        Some(Failure::NotHere),
    ),
    ("recalled", "", Some(Failure::Stays("recalled"))),
    (
        "of other content",
        "",
        Some(Failure::Stays("other-content")),
    ),
];

/// Whatever speaks against an instance, it is not committed to; what waits is waited for.
#[tokio::test]
async fn only_what_the_gateway_holds_is_committed_to() {
    let other = What::image("1.2.3", "1.2.3.1").with_bytes(b"other bytes under this UID");
    for (what, statement, expect) in AGAINST {
        let bench = stored(&["1.2.3.1", "1.2.3.2"], 2).await;
        match what {
            "recalled" => change(&bench, "UPDATE study SET state = 'recalled'").await,
            "of other content" => drop(bench.store(&other).await.unwrap()),
            _ => change(&bench, statement).await,
        }
        let (commitments, peers) = (commitments(&bench), Peers::default());
        let line = commitments.line();
        let asked = request("2.25.1", &["1.2.3.1", "1.2.3.2"]);
        commitments.take(&asked, &line).await.unwrap();
        drop(line);
        assert_eq!(turn(&commitments, &peers.edge()).await, 1, "{what}");
        let heard = peers.heard().remove(0);
        let failed: Vec<_> = heard
            .failed
            .iter()
            .filter(|(it, _)| *it == named("1.2.3.1"))
            .map(|(_, failure)| *failure)
            .collect();
        assert_eq!(failed, Vec::from_iter(expect), "{what}");
        let committed = heard.committed.contains(&named("1.2.3.1"));
        assert_eq!(committed, expect.is_none(), "{what}");
        assert_eq!(heard.committed.len() + heard.failed.len(), 2, "{what}");
    }
}

/// It waits for the last receipt, through an end of the process; is said once; and leaves a record.
#[tokio::test]
async fn a_request_waits_for_its_receipts_and_is_said_once() {
    let bench = stored(&["1.2.3.1", "1.2.3.2"], 1).await;
    let peers = Peers::default();
    let asked = request("2.25.1", &["1.2.3.1", "1.2.3.2", "1.2.3.1"]);
    {
        let commitments = commitments(&bench);
        commitments.take(&asked, &commitments.line()).await.unwrap();
        // the second look asks for the one that it waits for only
        assert_eq!(turn(&commitments, &peers.edge()).await, 1);
        assert_eq!(turn(&commitments, &peers.edge()).await, 0);
    }
    let bench = bench.restart().await;
    let commitments = commitments(&bench);
    bench.greet(1, 1).await;
    assert_eq!(turn(&commitments, &peers.edge()).await, 1);
    assert!(peers.heard().is_empty(), "one waits");
    receipt(&bench, "1.2.3.2", 1, 2).await;
    turn(&commitments, &peers.edge()).await;
    let heard = peers.heard();
    assert_eq!((heard.len(), heard[0].failed.len()), (1, 0));
    assert_eq!(heard[0].committed, asked.instances);
    assert_eq!(turn(&commitments, &peers.edge()).await, 0);
    assert_eq!(states(&bench).await, ["reported 1"]);
    let audited = audited(&bench).await;
    assert_eq!(
        audited,
        [
            "commitment-asked CT1 {\"instances\":3,\"used_before\":false}",
            "commitment-reported CT1 {\"committed\":3,\"failed\":{}}",
        ]
    );
}

/// A gateway that was put back to a backup holds it no more: it is waited for again.
#[tokio::test]
async fn a_receipt_that_was_forgotten_counts_no_more() {
    let bench = stored(&["1.2.3.1"], 1).await;
    let (commitments, peers) = (commitments(&bench), Peers::default());
    let asked = request("2.25.1", &["1.2.3.1"]);
    peers.deaf.store(1, Ordering::Relaxed);
    commitments.take(&asked, &commitments.line()).await.unwrap();
    turn(&commitments, &peers.edge()).await;
    bench.greet(2, 0).await;
    bench.pass(3600);
    turn(&commitments, &peers.edge()).await;
    assert!(peers.heard().is_empty());
    receipt(&bench, "1.2.3.1", 2, 1).await;
    turn(&commitments, &peers.edge()).await;
    assert_eq!(peers.heard()[0].committed, asked.instances);
}

/// Within the limit everything is answered; a clock that was set back begins it anew and leaves nothing open.
#[tokio::test]
async fn nothing_is_left_open() {
    for set_back in [false, true] {
        let bench = stored(&["1.2.3.1", "1.2.3.2"], 1).await;
        let (commitments, peers) = (commitments(&bench), Peers::default());
        let asked = request("2.25.1", &["1.2.3.1", "1.2.3.2"]);
        commitments.take(&asked, &commitments.line()).await.unwrap();
        turn(&commitments, &peers.edge()).await;
        if set_back {
            bench.pass(-400 * 86_400);
            turn(&commitments, &peers.edge()).await;
        }
        bench.pass(86_399);
        turn(&commitments, &peers.edge()).await;
        assert!(peers.heard().is_empty());
        bench.pass(1);
        turn(&commitments, &peers.edge()).await;
        let heard = peers.heard();
        assert_eq!(heard[0].committed, [named("1.2.3.1")]);
        assert_eq!(heard[0].failed, [(named("1.2.3.2"), Failure::TooLate)]);
    }
}

/// Whoever does not listen is told again, with longer and longer pauses, and then no more. His other requests do not hurry him.
#[tokio::test]
async fn a_result_is_said_again_within_bounds() {
    let bench = stored(&["1.2.3.1"], 1).await;
    let (commitments, peers) = (commitments(&bench), Peers::default());
    peers.deaf.store(u32::MAX, Ordering::Relaxed);
    for transaction in ["2.25.1", "2.25.2"] {
        let asked = request(transaction, &["1.2.3.1"]);
        commitments.take(&asked, &commitments.line()).await.unwrap();
    }
    assert_eq!(turn(&commitments, &peers.edge()).await, 2);
    assert_eq!(
        states(&bench).await,
        ["open 1", "open 0"],
        "one try for both"
    );
    let mut waited = 0;
    while states(&bench).await.iter().any(|it| it.starts_with("open")) {
        assert!(waited < 20 * 2 * 5000, "no end");
        bench.pass(60);
        waited += 60;
        turn(&commitments, &peers.edge()).await;
    }
    assert!(waited > 8 * 3600, "after {waited} s");
    assert_eq!(states(&bench).await, ["given-up 20", "given-up 20"]);
    let audited = audited(&bench).await;
    let given_up = "commitment-given-up CT1 {\"committed\":1,\"failed\":{}}";
    assert_eq!(audited.iter().filter(|it| *it == given_up).count(), 2);
    let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM commitment WHERE instances <> ''")
        .fetch_one(bench.spool.rows().read())
        .await
        .unwrap();
    assert_eq!(left, 0);
}

/// The same request again while it is open is one; with anything else the UID is used twice, and that fails whole. What was asked first
/// is answered as it was asked.
#[tokio::test]
async fn a_transaction_uid_is_used_once() {
    let bench = stored(&["1.2.3.1", "1.2.3.2"], 1).await;
    let (commitments, peers) = (commitments(&bench), Peers::default());
    let line = commitments.line();
    let first = request("2.25.1", &["1.2.3.1", "1.2.3.2"]);
    for asked in [&first, &first, &request("2.25.1", &["1.2.3.1"])] {
        commitments.take(asked, &line).await.unwrap();
    }
    drop(line);
    assert_eq!(states(&bench).await, ["open 0", "open 0"]);
    turn(&commitments, &peers.edge()).await;
    let heard = peers.heard();
    assert_eq!(heard.len(), 1, "the first one waits");
    assert_eq!(heard[0].failed, [(named("1.2.3.1"), Failure::UsedTwice)]);
    receipt(&bench, "1.2.3.2", 1, 2).await;
    turn(&commitments, &peers.edge()).await;
    assert_eq!(peers.heard()[0].committed, first.instances);
    commitments.take(&first, &commitments.line()).await.unwrap();
    turn(&commitments, &peers.edge()).await;
    assert!(
        peers.heard()[0].committed.is_empty(),
        "it has been answered"
    );
    // another sender may have made the same one
    let of_other = Request {
        calling: title("CT2"),
        ..first
    };
    commitments
        .take(&of_other, &commitments.line())
        .await
        .unwrap();
    let again: Vec<bool> = sqlx::query_scalar("SELECT again FROM commitment ORDER BY id")
        .fetch_all(bench.spool.rows().read())
        .await
        .unwrap();
    assert_eq!(again, [false, true, true, false]);
}

#[tokio::test]
async fn bounds_hold_and_nothing_of_what_is_refused_is_kept() {
    let bench = stored(&["1.2.3.1"], 0).await;
    let config = Config {
        max_open: 3,
        max_open_per_title: 2,
        max_instances: 2,
        ..Config::default()
    };
    let commitments = commitments_with(&bench, config);
    let line = commitments.line();
    let many = request("2.25.9", &["1.2.3.1", "1.2.3.2", "1.2.3.3"]);
    let taken = commitments.take(&many, &line).await;
    assert!(matches!(taken, Err(CommitmentError::Full(_))));
    let from = |who: &str, transaction: &str| Request {
        calling: title(who),
        ..request(transaction, &["1.2.3.1"])
    };
    for (who, transaction, room) in [
        ("CT1", "2.25.1", true),
        ("CT1", "2.25.2", true),
        ("CT1", "2.25.3", false),
        // the same again needs none
        ("CT1", "2.25.2", true),
        ("CT2", "2.25.4", true),
        ("CT2", "2.25.5", false),
    ] {
        let taken = commitments.take(&from(who, transaction), &line).await;
        assert_eq!(taken.is_ok(), room, "{who} {transaction}");
    }
    assert_eq!(states(&bench).await.len(), 3);
    for (config, right) in [
        (Config::default(), true),
        (
            Config {
                answer_within_s: 59,
                ..Config::default()
            },
            false,
        ),
        (
            Config {
                max_open: 0,
                ..Config::default()
            },
            false,
        ),
        (
            Config {
                max_open_per_title: 257,
                ..Config::default()
            },
            false,
        ),
        (
            Config {
                max_instances: 20_001,
                ..Config::default()
            },
            false,
        ),
    ] {
        assert_eq!(config.fault().is_none(), right, "{config:?}");
    }
}

/// While the association is there on which it was asked for, the result goes over that; an answer there counts as one.
#[tokio::test]
async fn the_association_that_asked_hears_first() {
    for (answer, expect) in [
        (Some(Ok(())), "reported 1"),
        (Some(Err("no".to_owned())), "open 1"),
        (None, "reported 1"),
    ] {
        let bench = stored(&["1.2.3.1"], 1).await;
        let (commitments, peers) = (commitments(&bench), Peers::default());
        let mut line = commitments.line();
        let asked = request("2.25.1", &["1.2.3.1"]);
        commitments.take(&asked, &line).await.unwrap();
        let edge = peers.edge();
        let ended = answer.is_none();
        let hears = async {
            let saying = line.next().await;
            assert_eq!(saying.report.committed, asked.instances);
            match answer {
                Some(answer) => saying.heard.send(answer).unwrap(),
                None => drop((saying, line)),
            }
        };
        tokio::join!(turn(&commitments, &edge), hears);
        assert_eq!(states(&bench).await, [expect]);
        // it has ended with the result in its hand: a new one is asked for at once
        assert_eq!(peers.heard().len(), usize::from(ended));
    }
}

/// An agent that ends while it says a result says it after its next start, not when the lease has run out.
#[tokio::test]
async fn a_result_that_was_being_said_is_said_after_the_next_start() {
    let bench = stored(&["1.2.3.1"], 1).await;
    let (commitments, peers) = (commitments(&bench), Peers::default());
    let asked = request("2.25.1", &["1.2.3.1"]);
    commitments.take(&asked, &commitments.line()).await.unwrap();
    let never = Edge::new(|_, _| std::future::pending().boxed());
    let ends = tokio::time::timeout(Duration::from_secs(1), turn(&commitments, &never));
    assert!(ends.await.is_err());
    assert_eq!(states(&bench).await, ["open 1"]);
    assert_eq!(turn(&commitments, &peers.edge()).await, 0, "still leased");
    rows::take_up(&commitments.inner).await.unwrap();
    peers.deaf.store(1, Ordering::Relaxed);
    assert_eq!(turn(&commitments, &peers.edge()).await, 1);
    assert_eq!(states(&bench).await, ["open 2"]);
    rows::take_up(&commitments.inner).await.unwrap();
    assert_eq!(turn(&commitments, &peers.edge()).await, 0, "it pauses");
    bench.pass(60);
    assert_eq!(turn(&commitments, &peers.edge()).await, 1);
    assert_eq!(states(&bench).await, ["reported 3"]);
    assert_eq!(peers.heard().len(), 1);
}

/// Old transactions are forgotten, open ones never.
#[tokio::test]
async fn what_ended_long_ago_is_forgotten() {
    let bench = stored(&["1.2.3.1", "1.2.3.2"], 1).await;
    let (commitments, peers) = (commitments(&bench), Peers::default());
    for (transaction, uid) in [("2.25.1", "1.2.3.1"), ("2.25.2", "1.2.3.2")] {
        let asked = request(transaction, &[uid]);
        commitments.take(&asked, &commitments.line()).await.unwrap();
    }
    turn(&commitments, &peers.edge()).await;
    for (days, left) in [(29, 2), (2, 1)] {
        bench.pass(days * 86_400);
        rows::forget(&commitments.inner).await.unwrap();
        assert_eq!(states(&bench).await.len(), left);
    }
}
