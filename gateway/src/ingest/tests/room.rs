//! What one site may have under way: it never takes the room of others, and what it has begun it may finish.

use std::time::Duration;

use bytes::Bytes;
use causeway_proto::ids::{Purpose, SiteId};
use causeway_proto::link::message::{Instance, Query};

use super::stand::{CT, Object, clock, open, random, site, stands};
use crate::archive::Archive;
use crate::ingest::{Begun, Config, Incoming, Ingest, IngestError};
use crate::worklist::Events;

fn other_site() -> SiteId {
    "s2".parse().unwrap()
}

async fn door(archive: &Archive) -> Ingest {
    let config = Config {
        max_incoming_bytes: 10_000,
        max_parallel: 8,
        stuck_s: 1,
        // the test's clock is not the file system's
        incoming_age_h: 24 * 365 * 20,
        ..Config::default()
    };
    let (archive, events) = (archive.clone(), Events::default());
    Ingest::new(config, archive, events, clock(), random())
        .await
        .unwrap()
}

fn object(number: u32) -> Object {
    let pixels = vec![7; 9_000];
    Object::made(
        &format!("1.2.{number}"),
        CT,
        &[(0x7FE0_0010, "OW", &pixels)],
    )
}

/// Begins an object of `s1`, or the same of `s2`.
async fn begin(
    door: &Ingest,
    from: &SiteId,
    object: &Object,
    offset: u64,
) -> Result<Box<Incoming>, IngestError> {
    let agreement = if *from == site() { "g1" } else { "g2" };
    let message = Instance {
        agreement: agreement.parse().unwrap(),
        ..object.message(offset)
    };
    match door.begin_instance(from, &message).await? {
        Begun::Incoming(incoming) => Ok(incoming),
        Begun::Held(_) => panic!("held"),
    }
}

async fn keep(door: &Ingest, from: &SiteId, object: &Object, length: usize) {
    let mut incoming = begin(door, from, object, 0).await.unwrap();
    let bytes = Bytes::copy_from_slice(&object.bytes[..length]);
    incoming.append(bytes).await.unwrap();
    incoming.keep().await.unwrap();
}

#[tokio::test]
async fn partial_instances_of_one_site_leave_room_for_the_others_and_go_on_themselves() {
    for stand in stands().await {
        let (ours, theirs) = (site(), other_site());
        keep(&door(&stand.archive).await, &ours, &object(1), 3_000).await;
        let later = door(&stand.archive).await;
        let refused = begin(&later, &ours, &object(2), 0).await;
        assert!(matches!(refused, Err(IngestError::Busy(_))), "{refused:?}");
        let resumed = begin(&later, &ours, &object(1), 3_000).await.unwrap();
        assert_eq!(resumed.offset(), 3_000);
        drop(resumed);
        keep(&later, &theirs, &object(1), 8_000).await;
        // now all together hold too much
        let later = door(&stand.archive).await;
        for from in [&ours, &theirs] {
            let refused = begin(&later, from, &object(3), 0).await;
            assert!(matches!(refused, Err(IngestError::Busy(_))), "{refused:?}");
        }
        let mut resumed = begin(&later, &ours, &object(1), 3_000).await.unwrap();
        let rest = object(1).bytes.slice(3_000..);
        resumed.append(rest).await.unwrap();
        resumed.finish(&object(1).trailer()).await.unwrap();
    }
}

#[tokio::test]
async fn instances_of_one_site_wait_for_each_other_and_not_the_other_site_for_them() {
    let stand = stands().await.remove(0);
    let door = door(&stand.archive).await;
    let (ours, theirs) = (site(), other_site());
    // a quarter of eight
    let first = begin(&door, &ours, &object(1), 0).await.unwrap();
    let _second = begin(&door, &ours, &object(2), 0).await.unwrap();
    let too_many = begin(&door, &ours, &object(3), 0).await;
    assert!(matches!(too_many, Err(IngestError::Busy(_))));
    let (fourth, fifth) = (object(4), object(5));
    let mut waits = std::pin::pin!(begin(&door, &ours, &fourth, 0));
    let theirs = tokio::select! {
        _ = &mut waits => panic!("a third instance of a site that may have two"),
        begun = begin(&door, &theirs, &fifth, 0) => begun,
    };
    assert!(theirs.is_ok());
    drop(first);
    assert!(waits.await.is_ok());
}

#[tokio::test]
async fn an_urgent_instance_finds_room_that_others_do_not_take() {
    let stand = stands().await.remove(0);
    let door = door(&stand.archive).await;
    open(&door, "1.2.3", Purpose::Read).await;
    let _first = begin(&door, &site(), &object(1), 0).await.unwrap();
    let _second = begin(&door, &site(), &object(2), 0).await.unwrap();
    let routine = begin(&door, &site(), &object(3), 0).await;
    assert!(matches!(routine, Err(IngestError::Busy(_))));
    let mut tx = stand.archive.rows.begin().await.unwrap();
    sqlx::query("UPDATE study SET priority = 'urgent' WHERE study_uid = '1.2.3'")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let urgent = begin(&door, &site(), &object(3), 0).await;
    assert!(urgent.is_ok(), "{urgent:?}");
}

#[tokio::test]
async fn an_instance_waits_for_as_long_as_bytes_come_of_those_before_it() {
    let stand = stands().await.remove(0);
    let door = door(&stand.archive).await;
    let first = begin(&door, &site(), &object(1), 0).await.unwrap();
    let second = begin(&door, &site(), &object(2), 0).await.unwrap();
    let (from, third) = (site(), object(3));
    let mut waits = std::pin::pin!(begin(&door, &from, &third, 0));
    // three times as long as it waits for those of which nothing comes
    let mut beat = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..30 {
        tokio::select! {
            begun = &mut waits => panic!("{begun:?}"),
            _ = beat.tick() => second.moved(),
        }
    }
    drop(first);
    assert!(waits.await.is_ok());
}

#[tokio::test]
async fn a_question_waits_for_what_is_being_kept() {
    let stand = stands().await.remove(0);
    let door = door(&stand.archive).await;
    let mut incoming = begin(&door, &site(), &object(1), 0).await.unwrap();
    let bytes = object(1).bytes.slice(..3_000);
    incoming.append(bytes).await.unwrap();
    let query = Query {
        keys: vec![object(1).key()],
    };
    let from = site();
    let asks = async {
        tokio::join!(biased; door.have(&from, &query), async {
            incoming.keep().await.unwrap();
        })
    };
    let (have, ()) = asks.await;
    assert_eq!(have.unwrap().entries[0].offset, 3_000);
}
