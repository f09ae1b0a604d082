//! What comes again: when what is there cannot be read, and while others want to write.

use std::pin::pin;

use super::super::disk::memory::Call;
use super::faults::intact;
use super::segments::{image, rows_now};
use super::*;

async fn digests(bench: &Bench) -> i64 {
    sqlx::query_scalar("SELECT COUNT(source_digest) FROM instance")
        .fetch_one(bench.spool.rows().read())
        .await
        .unwrap()
}

#[tokio::test]
async fn what_cannot_be_read_is_replaced_by_what_comes_again() {
    let bench = Bench::strict(Config::default()).await;
    bench.store(&image(1)).await.unwrap();
    bench.disk.spoil(&image(1).bytes);
    assert_eq!(bench.store(&image(1)).await.unwrap(), Stored::Same);
    assert_eq!(digests(&bench).await, 1);
    assert_eq!(intact(&bench).await, [image(1).bytes].into());
}

#[tokio::test]
async fn the_agent_starts_when_what_comes_again_meets_what_cannot_be_read() {
    let bench = Bench::strict(Config::default()).await;
    bench.store(&image(1)).await.unwrap();
    let before = rows_now(&bench);
    bench.disk.spoil(&image(1).bytes);
    let association = bench
        .spool
        .association_opened(title("PACS"), CallingKind::Pacs);
    bench.receive_on(association, &image(1)).await.unwrap();
    let bench = bench.power_cut(before).await;
    assert_eq!(bench.spool.recovery().replayed, 1);
    assert_eq!(intact(&bench).await, [image(1).bytes].into());
}

/// A long object that comes again is read, and so is what it is compared with, before anything is written.
#[tokio::test]
async fn nothing_is_read_while_the_rows_are_held() {
    let long = image(1).with_bytes(&vec![7; 3_000_000]);
    let long = What {
        pixels: None,
        ..long
    };
    let reads = {
        let bench = Bench::strict(Config::default()).await;
        bench.store(&long).await.unwrap();
        bench.store(&long).await.unwrap();
        bench.disk.count(Call::Read)
    };
    let bench = Bench::strict(Config::default()).await;
    bench.store(&long).await.unwrap();
    let held = bench.spool.rows().begin().await.unwrap();
    let mut storing = pin!(bench.store(&long));
    let all_read = async {
        while bench.disk.count(Call::Read) < reads {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        stored = &mut storing => panic!("stored while another one writes: {stored:?}"),
        () = all_read => {}
    }
    drop(held);
    assert_eq!(storing.await.unwrap(), Stored::Same);
    assert_eq!(bench.disk.count(Call::Read), reads);
}
