//! What is found out about an object beside the connection.

use std::collections::HashSet;

use super::*;
use crate::link::config::Coding;
use crate::spool::disk::memory::Call;
use crate::spool::tests::{Bench, What, receipt_for};
use crate::spool::view;

fn mismatch(out: &Outgoing) -> Refused {
    Refused {
        key: Some(out.key.clone()),
        study: out.study.clone(),
        agreement: out.key.agreement.clone(),
        code: Code::DigestMismatch.number(),
        sentence: "other bytes".to_owned(),
        retry_after_ms: Some(0),
    }
}

/// One long object on its way, on a connection that has just begun.
async fn begun() -> (Bench, Upload, Outgoing, JoinSet<Done>) {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    let long = What::image("1.2.3", "1.2.3.1").with_bytes(&[7; 2_300_000]);
    bench.store(&long).await.unwrap();
    let out = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
    let mut upload = Upload::new(
        bench.spool.clone(),
        Protector::new(bench.spool.clone()),
        Alias::new(bench.spool.clone()),
        Bounds::default(),
        Coders::new(Coding::Off, &[]),
    );
    upload.look(&mut Vec::new()).await.unwrap();
    assert!(upload.uploader.holds(&out[0].key));
    let out = out.into_iter().next().unwrap();
    (bench, upload, out, JoinSet::new())
}

async fn lost(bench: &Bench) -> u64 {
    let queue = view::queue(bench.spool.rows(), bench.clock().now()).await;
    queue.unwrap().lost
}

/// Nothing of it is read before the answer is taken; while it is read the object is not offered; said twice it is read once.
#[tokio::test]
async fn a_mismatch_is_looked_into_beside_the_connection() {
    for rotten in [false, true] {
        let (bench, mut upload, out, mut tasks) = begun().await;
        if rotten {
            bench.rot(&[7; 2_300_000]);
        }
        let before = bench.disk.count(Call::Read);
        for _ in 0..2 {
            upload.refused(mismatch(&out), &mut tasks).await.unwrap();
        }
        assert_eq!(bench.disk.count(Call::Read), before);
        upload.take().await.unwrap();
        assert!(!upload.uploader.holds(&out.key), "not before it is known");
        let done = tasks.join_next().await.unwrap().unwrap();
        assert!(tasks.is_empty());
        let Done::Judged { key, outcome } = done else {
            panic!("{done:?}");
        };
        outcome.unwrap();
        upload.judged(&key);
        assert_eq!(lost(&bench).await, u64::from(rotten));
        upload.take().await.unwrap();
        assert_eq!(upload.uploader.holds(&out.key), !rotten);
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_lost_and_no_other() {
    let (bench, mut upload, out, mut tasks) = begun().await;
    let (key, at) = (&out.key, || out.source.handle.clone());
    for _ in 1..READS {
        upload.unread(key, at(), false, &mut tasks).await.unwrap();
        assert!(tasks.is_empty(), "a disk may refuse for a while");
    }
    upload.unread(key, at(), true, &mut tasks).await.unwrap();
    upload.take().await.unwrap();
    assert!(!upload.uploader.holds(key));
    let done = tasks.join_next().await.unwrap().unwrap();
    let Done::Judged { key, outcome } = done else {
        panic!("{done:?}");
    };
    outcome.unwrap();
    upload.judged(&key);
    assert_eq!(lost(&bench).await, 1);
}

/// What a connection remembers does not grow with the studies that went over it.
#[tokio::test]
async fn a_study_of_which_nothing_is_left_to_say_is_forgotten_and_said_again_when_it_comes_again() {
    let (bench, mut upload, out, _tasks) = begun().await;
    let mut say = Vec::new();
    upload.look(&mut say).await.unwrap();
    assert!(say.is_empty(), "it was said: {say:?}");
    let receipt = receipt_for(&out, 1, 1);
    upload.receipts(&[receipt]).await.unwrap();
    bench.pass(600);
    assert_eq!(bench.seal().await, 1);
    let due = bench.spool.manifests_due().await.unwrap();
    let sealed = Sealed {
        study: out.study.clone(),
        agreement: out.key.agreement.clone(),
        version: due[0].version,
        missing: Vec::new(),
    };
    upload.sealed(&sealed).await.unwrap();
    upload.look(&mut say).await.unwrap();
    assert!(upload.opened.is_empty() && say.is_empty(), "{say:?}");
    let more = What::image("1.2.3", "1.2.3.2");
    bench.store(&more).await.unwrap();
    upload.look(&mut say).await.unwrap();
    assert!(matches!(say[..], [Message::Open(_), Message::Progress(_)]));
    assert!(!upload.uploader.is_idle());
}
