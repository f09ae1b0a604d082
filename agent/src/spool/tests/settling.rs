//! Rows of what was acknowledged: a write of them that is cut off, or fails after its commit, loses nothing and removes nothing.

use std::pin::pin;

use super::faults::{change, intact};
use super::segments::image;
use super::*;

async fn rows_and_aside(bench: &Bench) -> (i64, i64) {
    sqlx::query_as("SELECT (SELECT COUNT(*) FROM instance), (SELECT COUNT(*) FROM aside)")
        .fetch_one(bench.spool.rows().read())
        .await
        .unwrap()
}

fn contents(numbers: &[u32]) -> HashSet<Vec<u8>> {
    numbers.iter().map(|one| image(*one).bytes).collect()
}

#[tokio::test]
async fn what_a_settle_that_was_cut_off_had_in_hand_is_entered_by_the_next() {
    let bench = Bench::new().await;
    let association = bench
        .spool
        .association_opened(title("PACS"), CallingKind::Pacs);
    bench.receive_on(association, &image(1)).await.unwrap();
    let held = bench.spool.rows().begin().await.unwrap();
    {
        let mut settling = pin!(bench.spool.settle());
        let polled = futures::poll!(settling.as_mut());
        assert!(polled.is_pending(), "another one writes");
    }
    drop(held);
    // its frame stands behind the first one's
    bench.receive_on(association, &image(2)).await.unwrap();
    bench.spool.settle().await.unwrap();
    let bench = bench.restart().await;
    assert_eq!(intact(&bench).await, contents(&[1, 2]));
}

/// However far it had come: before its rows, between them, in its commit or behind it.
#[tokio::test]
async fn a_settle_may_be_cut_off_anywhere() {
    for steps in 0..60 {
        let bench = Bench::new().await;
        let association = bench
            .spool
            .association_opened(title("PACS"), CallingKind::Pacs);
        for number in [1, 2, 1] {
            bench.receive_on(association, &image(number)).await.unwrap();
        }
        {
            let mut settling = pin!(bench.spool.settle());
            for _ in 0..steps {
                if futures::poll!(settling.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
                std::thread::yield_now();
            }
        }
        bench.receive_on(association, &image(3)).await.unwrap();
        bench.spool.settle().await.unwrap();
        assert_eq!(intact(&bench).await, contents(&[1, 2, 3]), "{steps} steps");
        assert_eq!(rows_and_aside(&bench).await, (3, 0), "{steps} steps");
        let bench = bench.restart().await;
        assert_eq!(intact(&bench).await, contents(&[1, 2, 3]), "{steps} steps");
    }
}

#[tokio::test]
async fn a_settle_does_not_wait_for_what_came_after_it_began() {
    let bench = Bench::new().await;
    let association = bench
        .spool
        .association_opened(title("PACS"), CallingKind::Pacs);
    bench.receive_on(association, &image(1)).await.unwrap();
    let held = bench.spool.rows().begin().await.unwrap();
    let mut settling = pin!(bench.spool.settle());
    assert!(futures::poll!(settling.as_mut()).is_pending());
    bench.receive_on(association, &image(2)).await.unwrap();
    drop(held);
    settling.await.unwrap();
    assert_eq!(bench.spool.inner.pending.count(), 1, "the later one waits");
}

/// Rows can be committed and not be synced.
#[tokio::test]
async fn rows_whose_sync_fails_keep_their_bytes() {
    let bench = Bench::new().await;
    bench.store(&image(1)).await.unwrap();
    let refuses = "CREATE TRIGGER refuses BEFORE INSERT ON agent_fact WHEN new.name = 'synced' \
         BEGIN SELECT RAISE(ABORT, 'no sync'); END";
    change(&bench, refuses).await;
    // it opens a study, whose name is synced
    let what = What::image("1.2.4", "1.2.4.1");
    let association = bench
        .spool
        .association_opened(title("PACS"), CallingKind::Pacs);
    let stored = bench.store_on(association, &what).await;
    assert!(matches!(stored, Err(StoreError::Spool(_))), "{stored:?}");
    assert!(bench.spool.inner.pending.is_behind(), "nothing is received");
    change(&bench, "DROP TRIGGER refuses").await;
    bench.spool.settle().await.unwrap();
    assert!(!bench.spool.inner.pending.is_behind());
    let expect: HashSet<_> = [image(1).bytes, what.bytes.clone()].into();
    assert_eq!(intact(&bench).await, expect);
    let bench = bench.restart().await;
    assert_eq!(intact(&bench).await, expect);
    assert_eq!(bench.store(&what).await.unwrap(), Stored::Same);
}
