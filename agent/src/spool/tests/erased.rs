//! What the gateway says it has deleted: kept once, replaced by a later word, told with the case.

use causeway_proto::link::message::{Deleted, Opened};
use causeway_proto::time::Timestamp;

use super::*;
use crate::spool::decision::By;
use crate::spool::view;

fn said(at: i64, objects: u64) -> Deleted {
    Deleted {
        study: "1.2.3".parse().unwrap(),
        agreement: "a1".parse().unwrap(),
        why: "recalled".to_owned(),
        objects,
        bytes: 1000 * objects,
        parts: 1,
        reports: 0,
        at: Timestamp(at),
        opened: vec![Opened {
            account: "rita".to_owned(),
            name: "Rita Reader".to_owned(),
            organisation: "Night Readers".to_owned(),
            first: Timestamp(1),
            last: Timestamp(2),
            what: vec!["images".to_owned()],
        }],
        more: 0,
    }
}

async fn records(bench: &Bench) -> i64 {
    sqlx::query_scalar("SELECT COUNT(*) FROM audit_event WHERE event = 'images-deleted'")
        .fetch_one(bench.spool.rows().read())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_receipt_for_a_recall_is_kept_and_ends_the_wait_for_it() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    let open = bench.spool.studies_to_open().await.unwrap();
    let case = open[0].open.case.clone();
    let of = async || {
        let found = view::find(bench.spool.rows(), case.as_str()).await;
        found.unwrap().remove(0)
    };
    assert!(
        bench
            .spool
            .recall(
                &case,
                By {
                    who: "rita",
                    reason: "wrong patient"
                }
            )
            .await
            .unwrap()
    );
    let waits = of().await.waits_for;
    assert!(waits.contains("has not heard"), "{waits}");
    let recall = bench.spool.recalls().await.unwrap().remove(0);
    let heard = Recalled {
        study: recall.study,
        agreement: recall.agreement,
    };
    bench.spool.recalled(&heard).await.unwrap();
    let waits = of().await.waits_for;
    assert!(waits.contains("receipt"), "{waits}");
    for _ in 0..2 {
        bench.spool.deleted(&said(5, 3)).await.unwrap();
    }
    let told = of().await;
    assert_eq!(told.waits_for, "");
    let erasure = told.erasure.unwrap();
    assert_eq!(
        (erasure.objects, erasure.bytes, erasure.parts),
        (3, 3000, 1)
    );
    assert!(erasure.recalled);
    assert_eq!(erasure.opened[0].name, "Rita Reader");
    let event = told.events.iter().find(|one| one.what.contains("deleted"));
    assert_eq!(event.unwrap().at, Timestamp(5));
    assert_eq!(records(&bench).await, 1);
    // a gateway that was restored deletes again, and says so
    bench.spool.deleted(&said(6, 4)).await.unwrap();
    assert_eq!(of().await.erasure.unwrap().objects, 4);
    assert_eq!(records(&bench).await, 2);
    let unknown = Deleted {
        study: "1.2.99".parse().unwrap(),
        ..said(7, 1)
    };
    bench.spool.deleted(&unknown).await.unwrap();
    assert_eq!(records(&bench).await, 2);
}
