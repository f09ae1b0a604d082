//! A disk that fills up, by what arrives and by other programs: what is refused, what goes on, and that room is all it takes.

use std::path::Path;

use causeway_disk::SmallDisk;

use super::super::disk::Handle;
use super::super::disk::real::RealDisk;
use super::faults::files;
use super::*;
use crate::audit;

const MIB: u64 = 1 << 20;

/// One that began with room takes no more than there is, in bytes and in files; nothing of it stays.
#[tokio::test]
async fn what_is_arriving_stops_at_the_hard_floor() {
    let bench = Bench::new().await;
    let what = What::image("1.2.3", "1.2.3.1").with_bytes(&[5; 3 << 20]);
    let free = (Some(1 << 29), None);
    for (bytes, names) in [free, (None, Some(4_999))] {
        let association = bench
            .spool
            .association_opened(title("PACS"), CallingKind::Pacs);
        let mut writer = bench.spool.begin(what.arrival(association)).await.unwrap();
        writer.append(&what.bytes[..1 << 20]).await.unwrap();
        writer.append(&what.bytes[..1 << 20]).await.unwrap();
        assert_eq!(files(&bench, disk::Folder::Partial), 1);
        bench.disk.set_free(bytes);
        bench.disk.set_free_files(names);
        let refused = writer.append(&what.bytes[1 << 20..]).await;
        assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
        drop(writer);
        assert_eq!(files(&bench, disk::Folder::Partial), 0);
        let begun = bench.spool.begin(what.arrival(association)).await;
        assert!(matches!(begun, Err(StoreError::Full(_))), "{begun:?}");
        bench.disk.set_free(None);
        bench.disk.set_free_files(None);
        bench.spool.association_closed(association).await;
    }
    assert_eq!(bench.store(&what).await.unwrap(), Stored::New);
}

#[tokio::test]
async fn masked_pixels_stop_at_the_hard_floor() {
    let bench = Bench::new().await;
    let syntax = "1.2.840.10008.1.2.1".parse().unwrap();
    let mut masking = bench.spool.masking(&syntax).unwrap();
    masking.append(&[0; 100]).unwrap();
    bench.disk.set_free(Some(1 << 29));
    let refused = masking.append(&[0; 100]).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
    drop(masking);
    assert_eq!(files(&bench, disk::Folder::Partial), 0);
}

#[test]
fn few_files_are_as_little_as_few_bytes() {
    let floors = floor::Config::default();
    for (files, expect) in [
        (None, Admission::Open),
        (Some(20_000), Admission::Open),
        (Some(19_999), Admission::Congested),
        (Some(5_000), Admission::Congested),
        (Some(4_999), Admission::Full),
    ] {
        let left = disk::Left {
            bytes: u64::MAX,
            files,
        };
        assert_eq!(floors.admission(left), expect, "{files:?}");
    }
}

/// A spool on a real disk that is small, with floors that fit it.
async fn on(disk: &SmallDisk, reserve_bytes: u64) -> (TempDir, Spool) {
    let folder = tempfile::tempdir_in(disk.path()).unwrap();
    let spool = in_folder(folder.path(), reserve_bytes, 1).await;
    (folder, spool)
}

async fn in_folder(folder: &Path, reserve_bytes: u64, seed: u64) -> Spool {
    let mut config = Config::default();
    config.disk.soft_floor_bytes = 64 * MIB;
    config.disk.hard_floor_bytes = 48 * MIB;
    config.disk.soft_floor_files = 200;
    config.disk.hard_floor_files = 100;
    config.disk.reserve_bytes = reserve_bytes;
    let now = Arc::new(AtomicI64::new(1_700_000_000_000_000));
    let (random, clock) = (seeded(seed), clock(&now));
    let keys = Keys::open(&folder.join("keys"), random.clone(), clock.clone()).unwrap();
    let seam = Arc::new(RealDisk::open(folder).unwrap());
    let spool = Spool::open(config, folder, keys, clock, random, seam).await;
    spool.unwrap()
}

/// So many records, each in a transaction of its own, of 20 KiB; answers how many were refused.
async fn record(spool: &Spool, count: usize) -> usize {
    let detail = serde_json::json!({ "words": "w".repeat(20 << 10) });
    let mut refused = 0;
    for _ in 0..count {
        let written = async {
            let mut tx = spool.rows().begin().await?;
            audit::record(&mut tx, spool.now(), "tried", "agent", "disk", &detail).await?;
            tx.commit().await
        };
        refused += usize::from(written.await.is_err());
    }
    refused
}

/// What arrives leaves the floor alone; when others take even that, rows and audit live on their reserve; and when there is room again
/// everything goes on, and the reserve is held again.
#[tokio::test]
async fn rows_and_audit_outlive_a_full_disk() {
    for reserve in [24 * MIB, 0] {
        let at = tempfile::tempdir().unwrap();
        let disk = SmallDisk::over(at.path(), "size=200m,nr_inodes=4000").unwrap();
        let (folder, spool) = on(&disk, reserve).await;
        spool.hold_reserve().await.unwrap();
        let held = || folder.path().join("reserve").exists();
        assert_eq!(held(), reserve > 0);

        let association = spool.association_opened(title("PACS"), CallingKind::Pacs);
        let what = What::image("1.2.3", "1.2.3.1");
        let mut writer = spool.begin(what.arrival(association)).await.unwrap();
        let piece = vec![3; 1 << 20];
        let mut least = disk.free().unwrap();
        let refused = loop {
            match writer.append(&piece).await {
                Ok(()) => least = least.min(disk.free().unwrap()),
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, StoreError::Full(_)), "{refused}");
        assert!((46..60).contains(&(least / MIB)), "{least} were left");
        drop(writer);
        assert_eq!(spool.admission(), Admission::Open);

        disk.leave(MIB).unwrap();
        assert_eq!(spool.admission(), Admission::Full);
        let refused = record(&spool, 300).await;
        // the control: without it they do not fit
        assert_eq!(refused == 0, reserve > 0, "{refused} of 300");
        assert!(!held(), "given back");
        let begun = spool.begin(what.arrival(association)).await;
        assert!(matches!(begun, Err(StoreError::Full(_))), "{begun:?}");
        spool.hold_reserve().await.unwrap();
        assert!(!held(), "not while there is no room");

        disk.clear().unwrap();
        assert_eq!(record(&spool, 10).await, 0);
        assert_eq!(spool.admission(), Admission::Open);
        let mut writer = spool.begin(what.arrival(association)).await.unwrap();
        writer.append(&what.bytes).await.unwrap();
        let stored = spool.commit(writer, what.header()).await.unwrap();
        assert_eq!(stored, Stored::New);
        spool.hold_reserve().await.unwrap();
        assert_eq!(held(), reserve > 0);
        spool.close().await;
    }
}

/// Without names for files nothing is taken either, and rows go on.
#[tokio::test]
async fn a_disk_without_names_takes_nothing_and_writes_rows() {
    let at = tempfile::tempdir().unwrap();
    let disk = SmallDisk::over(at.path(), "size=200m,nr_inodes=1000").unwrap();
    let (_folder, spool) = on(&disk, 0).await;
    for (left, expect) in [
        (150, Admission::Congested),
        (90, Admission::Full),
        (0, Admission::Full),
    ] {
        disk.leave_files(left).unwrap();
        assert_eq!(spool.admission(), expect, "{left} left");
        assert_eq!(record(&spool, 3).await, 0, "{left} left");
    }
    disk.clear().unwrap();
    assert_eq!(spool.admission(), Admission::Open);
    spool.close().await;
}

/// Each process begins a segment with all its room; what the last one has not used of its own is given back.
#[tokio::test]
async fn a_start_gives_back_the_room_of_the_segment_before() {
    let folder = tempfile::tempdir().unwrap();
    let lengths = || {
        let listed = std::fs::read_dir(folder.path().join("packed")).unwrap();
        let lengths = listed.map(|entry| entry.unwrap().metadata().unwrap().len());
        lengths.collect::<Vec<_>>()
    };
    for process in 1..=3 {
        let spool = in_folder(folder.path(), 0, process.into()).await;
        assert!(
            lengths().iter().all(|length| *length < MIB),
            "{:?}",
            lengths()
        );
        let association = spool.association_opened(title("PACS"), CallingKind::Pacs);
        let what = What::image("1.2.3", &format!("1.2.3.{process}"));
        let what = what.with_bytes(&[process; 5000]);
        let mut writer = spool.begin(what.arrival(association)).await.unwrap();
        writer.append(&what.bytes).await.unwrap();
        spool.commit(writer, what.header()).await.unwrap();
        let whole = lengths().into_iter().filter(|length| *length == 64 * MIB);
        assert_eq!((lengths().len(), whole.count()), (usize::from(process), 1));
        spool.close().await;
    }
    let spool = in_folder(folder.path(), 0, 4).await;
    assert_eq!(spool.recovery().lost, 0);
    let handles: Vec<String> = sqlx::query_scalar("SELECT handle FROM instance ORDER BY id")
        .fetch_all(spool.rows().read())
        .await
        .unwrap();
    for (process, handle) in (1..=3).zip(handles) {
        let read = spool
            .read(&Handle::from_row(handle), 0, 6000)
            .await
            .unwrap();
        assert_eq!(read, vec![process; 5000]);
    }
    spool.close().await;
}
