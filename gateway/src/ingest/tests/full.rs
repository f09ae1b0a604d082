//! A disk that fills up while a gateway is at work: what is refused first, what is cut, what goes on, and that room is all it takes.

use bytes::Bytes;
use causeway_disk::SmallDisk;
use causeway_proto::ids::Purpose;
use causeway_proto::link::close::Code;
use serde_json::json;

use super::stand::{CT, Object, Stand, site};
use crate::app::room::look;
use crate::archive::floor::{self, Level};
use crate::archive::{self, BlobKey};
use crate::audit;
use crate::ingest::admit::part_name;
use crate::ingest::{Begun, Incoming, IngestError};
use crate::rows::{self, Rows};

const MIB: u64 = 1 << 20;

fn config() -> archive::Config {
    archive::Config {
        derived_max_bytes: 16 * MIB,
        disk: floor::Config {
            soft_floor_bytes: 48 * MIB,
            hard_floor_bytes: 32 * MIB,
            soft_floor_files: 0,
            hard_floor_files: 0,
            reserve_bytes: 16 * MIB,
        },
        ..archive::Config::default()
    }
}

async fn on(disk: &SmallDisk, config: &archive::Config) -> Stand {
    let folder = tempfile::tempdir_in(disk.path()).unwrap();
    let rows = Rows::open(&rows::Config::default(), folder.path()).await;
    let rows = rows
        .unwrap()
        .with_reserve(folder.path(), config.disk.reserve_bytes);
    let stand = Stand::with(rows, folder, config).await;
    stand.open("1.2.3", Purpose::Read).await;
    stand
}

fn object(sop: &str, bytes: u64) -> Object {
    let pixels = vec![7; usize::try_from(bytes).unwrap()];
    Object::made(sop, CT, &[(0x7FE0_0010, "OW", &pixels)])
}

async fn begin(stand: &Stand, object: &Object, offset: u64) -> Result<Box<Incoming>, IngestError> {
    match stand
        .door
        .begin_instance(&site(), &object.message(offset))
        .await?
    {
        Begun::Incoming(incoming) => Ok(incoming),
        Begun::Held(_) => panic!("held"),
    }
}

async fn append(incoming: &mut Incoming, object: &Object, until: u64) -> Result<(), IngestError> {
    let until = usize::try_from(until).unwrap().min(object.bytes.len());
    loop {
        let at = usize::try_from(incoming.offset()).unwrap();
        if at >= until {
            return Ok(());
        }
        let piece = object.bytes.slice(at..until.min(at + 256 * 1024));
        incoming.append(piece).await?;
    }
}

/// One act of four kilobytes in the audit trail.
async fn record(stand: &Stand) -> Result<(), Box<dyn std::error::Error>> {
    let mut tx = stand.rows.begin().await?;
    let (now, detail) = (
        super::stand::clock().now(),
        json!({ "of": "x".repeat(4096) }),
    );
    audit::record(&mut tx, now, "looked", "ada", "s1", "1", &detail).await?;
    Ok(tx.commit().await?)
}

/// The refusal is one that makes an agent come back, and that it never takes for the instance's own fault.
fn is_polite(refused: Option<IngestError>) {
    let refused = refused.expect("it was taken");
    assert_eq!(refused.code(), Code::Busy, "{refused}");
    let again = refused.retry_after().unwrap().as_secs();
    assert!((5..=60).contains(&again), "{again}");
}

#[tokio::test]
async fn a_filling_disk_refuses_cuts_and_recovers_by_itself() {
    let at = tempfile::tempdir().unwrap();
    let disk = SmallDisk::over(at.path(), "size=192m").unwrap();
    let stand = on(&disk, &config()).await;
    let archive = &stand.archive;
    let reserve = stand.rows.reserve().unwrap();
    let before = disk.free().unwrap();
    assert_eq!(look(archive), Level::Room);
    assert!(reserve.is_held());
    assert!(
        disk.free().unwrap() + 16 * MIB <= before,
        "it is really held"
    );

    let there = object("1.2.3.1", 100_000);
    stand.send(&there).await.unwrap();
    let there_key = BlobKey::instance(&site(), &"g1".parse().unwrap(), &there.digest());
    let picture = Bytes::from(vec![1; 500_000]);
    archive.derived.keep(&there_key, "picture", &picture).await;
    assert!(archive.derived.get(&there_key, "picture").await.is_some());
    let (finishing, cut) = (object("1.2.3.2", 6 * MIB), object("1.2.3.3", 6 * MIB));
    let mut begun = begin(&stand, &finishing, 0).await.unwrap();
    append(&mut begun, &finishing, 3 * MIB).await.unwrap();
    let mut other = begin(&stand, &cut, 0).await.unwrap();
    append(&mut other, &cut, 3 * MIB).await.unwrap();

    // below the soft floor nothing new is taken, what has begun goes on, and what can be made again is thrown away
    disk.leave(40 * MIB).unwrap();
    let new = object("1.2.3.4", 1000);
    is_polite(stand.send(&new).await.err());
    assert_eq!(look(archive), Level::Low);
    assert!(archive.derived.get(&there_key, "picture").await.is_none());
    archive.derived.keep(&there_key, "picture", &picture).await;
    assert!(archive.derived.get(&there_key, "picture").await.is_none());
    append(&mut begun, &finishing, u64::MAX).await.unwrap();
    begun.finish(&finishing.trailer()).await.unwrap();

    // below the hard one nothing of an instance is written, and what came of it stays
    disk.leave(24 * MIB).unwrap();
    is_polite(append(&mut other, &cut, u64::MAX).await.err());
    other.keep().await.unwrap();
    let part = part_name(&site(), &cut.key());
    let held = archive.parts.length(&part).await.unwrap();
    assert_eq!(held, 3 * MIB);
    is_polite(begin(&stand, &cut, held).await.err());
    assert_eq!(look(archive), Level::Full);
    assert!(reserve.is_held(), "there is room for rows still");
    let bytes = archive.blobs.read(&there_key).await.unwrap();
    assert_eq!(bytes, there.bytes);
    record(&stand).await.unwrap();

    // with nothing left at all, rows and audit have what was held for them
    disk.leave(0).unwrap();
    for number in 0..1000 {
        let done = record(&stand).await;
        done.unwrap_or_else(|error| panic!("record {number}: {error}"));
    }
    assert!(!reserve.is_held());
    assert_eq!(look(archive), Level::Full);
    assert!(!reserve.is_held(), "there is no room to hold it again");

    // room is all that is needed
    disk.clear().unwrap();
    let mut other = begin(&stand, &cut, held).await.unwrap();
    append(&mut other, &cut, u64::MAX).await.unwrap();
    other.finish(&cut.trailer()).await.unwrap();
    stand.send(&new).await.unwrap();
    assert_eq!(look(archive), Level::Room);
    assert!(reserve.is_held(), "it is held again");
    let whole: (String,) = sqlx::query_as("PRAGMA integrity_check")
        .fetch_one(stand.rows.read())
        .await
        .unwrap();
    assert_eq!(whole.0, "ok");
    assert_eq!(stand.count("SELECT count(*) FROM instance").await, 4);
}

/// What the reserve is there for: the same without it.
#[tokio::test]
async fn without_a_reserve_a_full_disk_takes_no_record() {
    let at = tempfile::tempdir().unwrap();
    let disk = SmallDisk::over(at.path(), "size=192m").unwrap();
    let mut config = config();
    config.disk.reserve_bytes = 0;
    let stand = on(&disk, &config).await;
    assert_eq!(look(&stand.archive), Level::Room);
    disk.leave(0).unwrap();
    let mut taken = 0;
    while record(&stand).await.is_ok() {
        taken += 1;
        assert!(taken < 1000, "the disk is not full");
    }
    disk.clear().unwrap();
    record(&stand).await.unwrap();
}

#[tokio::test]
async fn files_that_can_be_made_are_counted_like_bytes() {
    let at = tempfile::tempdir().unwrap();
    let disk = SmallDisk::over(at.path(), "size=192m,nr_inodes=400").unwrap();
    let mut config = config();
    config.disk.soft_floor_files = 200;
    config.disk.hard_floor_files = 100;
    let stand = on(&disk, &config).await;
    let (begun, new) = (object("1.2.3.1", 3 * MIB), object("1.2.3.2", 1000));
    let mut incoming = begin(&stand, &begun, 0).await.unwrap();
    disk.leave_files(150).unwrap();
    is_polite(stand.send(&new).await.err());
    let (level, sentence) = stand.archive.floor.told().unwrap();
    assert_eq!(level, Level::Low);
    assert!(sentence.contains("files can still be made"), "{sentence}");
    append(&mut incoming, &begun, MIB).await.unwrap();
    disk.leave_files(50).unwrap();
    is_polite(append(&mut incoming, &begun, u64::MAX).await.err());
    disk.clear().unwrap();
    append(&mut incoming, &begun, u64::MAX).await.unwrap();
    incoming.finish(&begun.trailer()).await.unwrap();
    stand.send(&new).await.unwrap();
}
