//! How long other content under a held UID is kept: as long as its instance, and anew when it comes again.

use causeway_proto::link::message::Sealed;

use super::*;

const HOUR: i64 = 3600;

async fn prune(bench: &Bench, hours: u64) -> usize {
    let elapsed = Duration::from_secs(hours * 3600);
    bench.spool.prune(elapsed).await.unwrap()
}

#[tokio::test]
async fn what_is_aside_goes_with_its_instance_and_its_row_stays() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    let first = What::image("1.2.3", "1.2.3.1");
    let corrected = first.clone().with_bytes(b"another header");
    let conflict = What {
        pixels: Some(b"others"),
        ..first.clone().with_bytes(b"other pixels")
    };
    for what in [&first, &corrected, &conflict] {
        bench.store(what).await.unwrap();
    }
    bench.pass(30);
    study::seal_complete(&bench.spool).await.unwrap();
    bench.pass(100 * HOUR);
    assert_eq!(prune(&bench, 100).await, 0, "no receipt");
    bench.receipt_all(1, 1).await;
    let due = bench.spool.manifests_due().await.unwrap().remove(0);
    let answer = Sealed {
        study: due.study,
        agreement: due.agreement,
        version: due.version,
        missing: vec![],
    };
    bench.spool.sealed(&answer).await.unwrap();
    bench.pass(71 * HOUR);
    assert_eq!(prune(&bench, 71).await, 0, "not yet");
    let late = first.clone().with_bytes(b"a late correction");
    assert_eq!(bench.store(&late).await.unwrap(), Stored::Correction);
    bench.pass(HOUR);
    assert_eq!(prune(&bench, 1).await, 3, "the late one has its own time");
    bench.pass(71 * HOUR);
    assert_eq!(prune(&bench, 71).await, 1);
    let bench = bench.restart().await;
    assert!(bench.disk_is_empty(), "the last segment has gone as well");
    let queue = view::queue(bench.spool.rows(), bench.clock().now()).await;
    let queue = queue.unwrap();
    assert_eq!(
        (queue.corrections, queue.conflicts),
        (2, 1),
        "the rows stay"
    );

    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery(), &Recovery::default());
    assert_eq!(bench.store(&conflict).await.unwrap(), Stored::Conflict);
    assert!(!bench.disk_is_empty(), "what comes again is kept again");
    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery(), &Recovery::default());
    assert_eq!(bench.store(&conflict).await.unwrap(), Stored::Conflict);
    bench.pass(72 * HOUR);
    assert_eq!(
        prune(&bench, 72).await,
        1,
        "one file, however often it came"
    );
}

#[tokio::test]
async fn files_without_a_row_still_go_when_something_aside_is_gone() {
    let bench = Bench::new().await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    let other = What::image("1.2.3", "1.2.3.1").with_bytes(&[7; 1_100_000]);
    bench.store(&other).await.unwrap();
    let mut tx = bench.spool.rows().begin().await.unwrap();
    sqlx::query("UPDATE aside SET handle = NULL")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery().orphans, 1);
    assert_eq!(prune(&bench, 1).await, 1);
}
