//! Objects whose rows are refused: nothing waits for them, nothing of them is lost, and they have their rows as soon as they may.

use super::faults::{change, intact};
use super::segments::{image, rows_now};
use super::*;

const REFUSES: &str = "CREATE TRIGGER no BEFORE INSERT ON instance WHEN NEW.sop_uid = '1.2.3.2' \
     BEGIN SELECT RAISE(ABORT, 'no'); END";

async fn aside(bench: &Bench) -> u64 {
    let queue = view::queue(bench.spool.rows(), bench.clock().now()).await;
    queue.unwrap().unentered
}

fn contents(numbers: &[u32]) -> HashSet<Vec<u8>> {
    numbers.iter().map(|one| image(*one).bytes).collect()
}

#[tokio::test]
async fn what_is_refused_its_row_is_put_aside_and_what_is_behind_it_is_not() {
    let bench = Bench::new().await;
    change(&bench, REFUSES).await;
    let association = bench
        .spool
        .association_opened(title("PACS"), CallingKind::Pacs);
    for number in [1, 2, 3] {
        bench.receive_on(association, &image(number)).await.unwrap();
    }
    bench.spool.settle().await.unwrap();
    assert_eq!(intact(&bench).await, contents(&[1, 3]));
    assert_eq!(bench.store(&image(2)).await.unwrap(), Stored::Unentered);
    assert_eq!(bench.store(&image(4)).await.unwrap(), Stored::New);
    assert_eq!(aside(&bench).await, 1, "the same twice is one");
    let held = view::held(bench.spool.rows()).await.unwrap();
    let told = held
        .iter()
        .find(|line| line.why.contains("refused its row"));
    assert_ne!(told.unwrap().case, "(no case)", "{held:?}");

    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery(), &Recovery::default());
    assert_eq!(aside(&bench).await, 1);
    change(&bench, "DROP TRIGGER no").await;
    assert_eq!(unentered::try_again(&bench.spool).await.unwrap(), 0);
    assert_eq!(aside(&bench).await, 0);
    assert_eq!(intact(&bench).await, contents(&[1, 2, 3, 4]));
    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery(), &Recovery::default());
    assert_eq!(intact(&bench).await, contents(&[1, 2, 3, 4]));
}

#[tokio::test]
async fn the_agent_starts_when_what_it_finds_is_refused_its_row() {
    let bench = Bench::new().await;
    change(&bench, REFUSES).await;
    let before = rows_now(&bench);
    for number in [1, 2, 3] {
        bench.store(&image(number)).await.unwrap();
    }
    let bench = bench.power_cut(before).await;
    assert_eq!(bench.spool.recovery().replayed, 3);
    assert_eq!(aside(&bench).await, 1);
    assert_eq!(intact(&bench).await, contents(&[1, 3]));
    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery(), &Recovery::default());
    change(&bench, "DROP TRIGGER no").await;
    let bench = bench.restart().await;
    assert_eq!(aside(&bench).await, 0, "a start tries again");
    assert_eq!(intact(&bench).await, contents(&[1, 2, 3]));
}

#[tokio::test]
async fn when_too_many_are_refused_nothing_is_received() {
    let bench = Bench::new().await;
    change(
        &bench,
        "CREATE TRIGGER no BEFORE INSERT ON instance BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .await;
    let association = bench
        .spool
        .association_opened(title("PACS"), CallingKind::Pacs);
    for number in 1..=70 {
        bench.receive_on(association, &image(number)).await.unwrap();
    }
    bench.spool.settle().await.unwrap_err();
    let refused = bench.receive_on(association, &image(99)).await;
    assert!(
        matches!(refused, Err(StoreError::Spool(SpoolError::Full))),
        "{refused:?}"
    );
    change(&bench, "DROP TRIGGER no").await;
    bench.spool.settle().await.unwrap();
    unentered::try_again(&bench.spool).await.unwrap();
    assert_eq!(intact(&bench).await.len(), 70);
}

#[tokio::test]
async fn what_is_aside_and_missing_is_a_loss_until_a_person_accepts_it() {
    let bench = Bench::new().await;
    change(&bench, REFUSES).await;
    bench.store(&image(2)).await.unwrap();
    bench.disk.damage(|_| false);
    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery().lost, 1);
    assert_eq!(bench.spool.accept_loss().await.unwrap(), 1);
    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery(), &Recovery::default());
    assert_eq!(aside(&bench).await, 0);
}
