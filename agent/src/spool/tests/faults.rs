//! Failing disks and lost power: no success without durable bytes, and the next store works.

use proptest::prelude::*;

use super::super::disk::memory::Call;
use super::*;

/// Every content that the rows name, checked against its digest.
pub(super) async fn intact(bench: &Bench) -> HashSet<Vec<u8>> {
    let rows = sqlx::query(
        "SELECT handle, source_digest, length FROM instance WHERE handle IS NOT NULL \
         UNION ALL SELECT handle, source_digest, length FROM aside WHERE handle IS NOT NULL",
    )
    .fetch_all(bench.spool.inner.rows.read())
    .await
    .unwrap();
    let mut contents = HashSet::new();
    for row in rows {
        let handle = Handle::from_row(row.get(0));
        let bytes = bench.spool.read(&handle, 0, 1 << 22).await.unwrap();
        let mut hasher = ContentHasher::new(&"1.2.840.10008.1.2.1".parse().unwrap());
        hasher.update(&bytes);
        assert_eq!(hasher.finish().to_string(), row.get::<String, _>(1));
        assert_eq!(Ok(bytes.len()), usize::try_from(row.get::<i64, _>(2)));
        contents.insert(bytes.to_vec());
    }
    contents
}

#[tokio::test]
async fn every_failing_call_fails_one_instance_and_no_other() {
    for (call, long) in [
        (Call::Open, false),
        (Call::SyncDir, false),
        (Call::Append, false),
        (Call::Sync, false),
        (Call::Open, true),
        (Call::Append, true),
        (Call::Sync, true),
        (Call::Rename, true),
        (Call::SyncDir, true),
    ] {
        let bench = Bench::new().await;
        let before = What::image("1.2.3", "1.2.3.1");
        bench.store(&before).await.unwrap();
        // the next one begins a segment
        let bench = bench.restart().await;
        let mut poor = What::image("1.2.3", "1.2.3.2");
        if long {
            poor = poor.with_bytes(&[7; 1_100_000]);
        }
        bench.disk.fail(call, 1);
        let stored = bench.store(&poor).await;
        assert!(
            matches!(stored, Err(StoreError::Disk { .. })),
            "{call:?}: {stored:?}"
        );
        assert_eq!(bench.store(&poor).await.unwrap(), Stored::New, "{call:?}");
        bench.disk.crash(|| false);
        let bench = bench.restart().await;
        assert_eq!(bench.spool.recovery().lost, 0, "{call:?}");
        let expect: HashSet<_> = [before.bytes, poor.bytes].into();
        assert_eq!(intact(&bench).await, expect, "{call:?}");
    }
}

#[tokio::test]
async fn a_large_instance_survives_no_failing_write() {
    for nth in 1..=4 {
        let bench = Bench::new().await;
        let large = What::image("1.2.3", "1.2.3.1").with_bytes(&vec![7; 3_500_000]);
        bench.disk.fail(Call::Append, nth);
        assert!(bench.store(&large).await.is_err(), "write {nth}");
        assert!(bench.disk_is_empty(), "write {nth} leaves nothing");
    }
}

#[tokio::test]
async fn recovery_is_idempotent_and_collects_what_no_row_names() {
    let bench = Bench::new().await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    let disk = disk::Disk::new(Arc::new(bench.disk.clone()), seeded(99));
    let mut orphan = disk.begin().unwrap();
    orphan.append(b"no row").unwrap();
    disk.keep(orphan, &Digest::of(b"no row")).unwrap();
    drop(disk.begin().unwrap());
    let mut bench = bench.restart().await;
    assert_eq!(bench.spool.recovery().partial_removed, 1);
    for _ in 0..3 {
        bench = bench.restart().await;
        assert_eq!(bench.spool.recovery().orphans, 1);
        assert_eq!(bench.spool.recovery().partial_removed, 0);
    }
    assert_eq!(
        bench.spool.prune(Duration::from_secs(3599)).await.unwrap(),
        0
    );
    assert_eq!(bench.spool.prune(Duration::from_secs(1)).await.unwrap(), 1);
    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery(), &Recovery::default());
    assert_eq!(intact(&bench).await.len(), 1);
}

#[tokio::test]
async fn lost_bytes_stop_receiving_but_not_sending() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    let short = What::image("1.2.3", "1.2.3.1").with_bytes(b"will be short");
    bench.store(&short).await.unwrap();
    // in another segment
    let bench = bench.restart().await;
    bench.store(&What::image("1.2.3", "1.2.3.2")).await.unwrap();
    bench.disk.damage(|data| {
        if data.windows(13).any(|it| it == b"will be short") {
            data.truncate(4);
        }
        true
    });
    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery().lost, 1);
    assert_eq!(bench.spool.admission(), Admission::Full);
    let stored = bench.store(&What::image("1.2.3", "1.2.3.3")).await;
    assert!(matches!(stored, Err(StoreError::Full(_))), "{stored:?}");
    let out = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
    assert_eq!(out.len(), 1, "what is intact goes on");

    assert_eq!(bench.spool.accept_loss().await.unwrap(), 1);
    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery().lost, 0);
    bench.greet(1, 0).await;
    bench.pass(30);
    study::seal_complete(&bench.spool).await.unwrap();
    bench.receipt_all(1, 1).await;
    let manifest = bench.spool.manifests_due().await.unwrap().remove(0);
    assert_eq!(
        manifest.withheld[0].reason,
        "its bytes were lost at the site"
    );
    assert_eq!(
        bench.store(&short).await.unwrap(),
        Stored::Same,
        "sent again"
    );
    let out = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
    assert_eq!(out.len(), 1, "it takes its place");
    bench.pass(30);
    study::seal_complete(&bench.spool).await.unwrap();
    bench.receipt_all(1, 9).await;
    let manifest = bench.spool.manifests_due().await.unwrap().remove(0);
    assert_eq!((manifest.version, manifest.entries.len()), (2, 2));
}

#[tokio::test]
async fn what_cannot_be_read_is_not_offered_until_it_comes_again() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    let what = What::image("1.2.3", "1.2.3.1");
    bench.store(&what).await.unwrap();
    let out = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
    let (key, at) = (&out[0].key, &out[0].source.handle);
    bench.spool.unreadable(key, at).await.unwrap();
    let after = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
    assert!(after.is_empty());
    let held = view::held(bench.spool.rows()).await.unwrap();
    assert!(held[0].why.contains("missing"), "{held:?}");
    assert_eq!(bench.store(&what).await.unwrap(), Stored::Same);
    let after = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
    assert_eq!(after[0].key, out[0].key);
}

#[tokio::test]
async fn a_damaged_report_is_not_taken_for_the_one_that_was_kept() {
    let bench = Bench::new().await;
    let syntax = "1.2.840.10008.1.2.1".parse().unwrap();
    let report = Bytes::from_static(b"a signed report");
    let (handle, _) = bench.spool.keep_report(&syntax, report).await.unwrap();
    for whole in [true, false] {
        let bytes = bench.spool.read(&handle, 0, 99).await.unwrap();
        let intact = bench.spool.is_intact(&handle, &syntax, bytes).await;
        assert_eq!(intact.unwrap(), whole);
        bench.disk.damage(|data| {
            data[3] ^= 1;
            true
        });
    }
}

#[tokio::test]
async fn while_rows_refuse_nothing_is_taken_and_what_is_durable_gets_its_row_when_they_do_not() {
    let bench = Bench::new().await;
    let long = What::image("1.2.3", "1.2.3.9").with_bytes(&[7; 1_100_000]);
    for (number, (breaks, mends)) in [
        (
            "ALTER TABLE study RENAME TO s; ALTER TABLE unentered RENAME TO u",
            "ALTER TABLE s RENAME TO study; ALTER TABLE u RENAME TO unentered",
        ),
        (
            "CREATE TRIGGER no BEFORE INSERT ON instance BEGIN SELECT RAISE(ABORT, 'no'); END; \
             CREATE TRIGGER nor BEFORE INSERT ON unentered BEGIN SELECT RAISE(ABORT, 'no'); END",
            "DROP TRIGGER no; DROP TRIGGER nor",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let what = What::image("1.2.3", &format!("1.2.3.{number}"));
        change(&bench, breaks).await;
        for what in [&long, &what, &long] {
            let stored = bench.store(what).await;
            assert!(matches!(stored, Err(StoreError::Spool(_))), "{stored:?}");
        }
        assert_eq!(
            files(&bench, disk::Folder::Kept),
            0,
            "{breaks}: a file of its own stays nowhere"
        );
        change(&bench, mends).await;
        assert_eq!(bench.store(&what).await.unwrap(), Stored::Same, "{breaks}");
    }
    assert_eq!(bench.store(&long).await.unwrap(), Stored::New);
    assert_eq!(intact(&bench).await.len(), 3);
}

pub(super) async fn change(bench: &Bench, statement: &'static str) {
    let mut tx = bench.spool.rows().begin().await.unwrap();
    sqlx::query(statement).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

pub(super) fn files(bench: &Bench, folder: disk::Folder) -> usize {
    use disk::Seam;
    bench.disk.list(folder).unwrap().len()
}

#[derive(Clone, Debug)]
enum Step {
    Store { instance: u8, content: u8 },
    Fail { call: usize, nth: u64 },
    Crash { seed: u64 },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u8, 0..3_u8).prop_map(|(instance, content)| Step::Store { instance, content }),
        2 => (0..Call::ALL.len(), 1..4_u64).prop_map(|(call, nth)| Step::Fail { call, nth }),
        1 => any::<u64>().prop_map(|seed| Step::Crash { seed }),
        1 => Just(Step::Restart),
    ]
}

async fn play(steps: Vec<Step>) {
    let mut bench = Bench::new().await;
    let mut acknowledged = HashSet::new();
    for step in steps {
        match step {
            Step::Store { instance, content } => {
                let bytes = format!("content {content} of {instance}");
                let what =
                    What::image("1.2.3", &format!("1.2.3.{instance}")).with_bytes(bytes.as_bytes());
                if bench.store(&what).await.is_ok() {
                    acknowledged.insert(what.bytes);
                }
            }
            Step::Fail { call, nth } => bench.disk.fail(Call::ALL[call], nth),
            Step::Crash { seed } => {
                let chance = seeded(seed);
                bench.disk.crash(|| chance.below(2) == 0);
                bench = bench.restart().await;
            }
            Step::Restart => {
                bench.disk.mend();
                bench = bench.restart().await;
            }
        }
        let there = intact(&bench).await;
        assert!(
            acknowledged.is_subset(&there),
            "what was acknowledged is there, whole"
        );
        assert_eq!(bench.spool.recovery().lost, 0);
    }
    bench.disk.mend();
    let last = What::image("1.2.3", "1.2.3.99");
    assert_eq!(
        bench.store(&last).await.unwrap(),
        Stored::New,
        "the next store works"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_ever_lost(steps in proptest::collection::vec(step(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(play(steps));
    }
}
