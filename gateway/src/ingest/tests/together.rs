//! Instances that share a transaction: each gets its own answer, and one that fails or is cut off takes nothing from the others.

use std::sync::Arc;

use causeway_proto::ids::Purpose;
use causeway_proto::link::message::Recall;
use futures::FutureExt as _;
use futures::future::join_all;
use tokio::task::JoinSet;

use super::stand::{CT, Object, Stand, send, site, stands};
use super::{Content, index};
use crate::archive::BlobKey;
use crate::ingest::IngestError;
use crate::ingest::admit::Label;
use crate::ingest::record::Outcome;
use crate::ingest::together::Stored;

fn numbered(sop: &str, number: &str) -> Object {
    Object::made(sop, CT, &[(0x0020_0013, "IS", number.as_bytes())])
}

/// The object as durable bytes that wait to be recorded.
async fn stored(stand: &Stand, object: &Object) -> Arc<Stored> {
    let label = Label::of(&site(), &object.message(0));
    let blob = BlobKey::instance(&site(), &label.key.agreement, &object.digest());
    let bytes = object.bytes.clone();
    stand.archive.blobs.put(&blob, bytes.clone()).await.unwrap();
    let length = object.bytes.len() as u64;
    let syntax = label.message.syntax.clone();
    let indexed = index(|| Ok(Content::Memory(bytes.clone())), length, &syntax);
    Arc::new(Stored {
        indexed: indexed.and_then(|found| found.of(&label.message)),
        label,
        length,
        digest: object.digest(),
        blob,
    })
}

fn said(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(recorded) => {
            let receipt = &recorded.receipt;
            let aside = if receipt.quarantined { " aside" } else { "" };
            format!("{}{aside}", receipt.number)
        }
        Outcome::NotOpen => "not open".into(),
        Outcome::Refused(error) => error.to_string(),
    }
}

#[tokio::test]
async fn each_of_one_transaction_gets_its_own_answer() {
    for stand in stands().await {
        stand.open("1.2.4", Purpose::Read).await;
        let recall = Recall {
            study: "1.2.4".parse().unwrap(),
            agreement: "g1".parse().unwrap(),
            reason: "wrong-patient".into(),
        };
        stand.door.recall(&site(), &recall).await.unwrap();
        let of_study = |sop: &str, study: &str| Object {
            study: study.into(),
            ..Object::made(sop, CT, &[(0x0020_000D, "UI", study.as_bytes())])
        };
        let one = numbered("1.2.3.4.1", "1");
        let objects = [
            one.clone(),
            of_study("1.2.3.4.2", "1.2.4"),
            of_study("1.2.3.4.3", "1.2.5"),
            one,
            numbered("1.2.3.4.1", "2"),
            numbered("1.2.3.4.4", "4"),
        ];
        let mut all = Vec::new();
        for object in &objects {
            all.push(stored(&stand, object).await);
        }
        let outcomes = stand.door.record_all(&site(), &all).await.unwrap();
        let outcomes: Vec<_> = outcomes.iter().map(said).collect();
        let taken_back = IngestError::Recalled.to_string();
        assert_eq!(
            outcomes,
            ["1", &taken_back, "not open", "1", "2 aside", "3"]
        );
        assert_eq!(stand.door.high_water(&site()).await.unwrap().number, 3);
        assert_eq!(stand.count("SELECT count(*) FROM instance").await, 2);
        assert_eq!(stand.count("SELECT count(*) FROM quarantine").await, 1);
    }
}

#[tokio::test]
async fn what_the_database_refuses_fails_alone() {
    for stand in stands().await {
        stand
            .run("CREATE UNIQUE INDEX one_of_each ON instance (number)")
            .await;
        let objects: Vec<_> = [1, 2, 3, 3, 4, 5]
            .iter()
            .enumerate()
            .map(|(at, number)| numbered(&format!("1.2.3.4.{at}"), &number.to_string()))
            .collect();
        let writer = held_up(&stand).await;
        let mut sends = Box::pin(join_all(objects.iter().map(|object| stand.send(object))));
        while waiting(&stand) < objects.len() - 1 {
            assert!((&mut sends).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        writer.rollback().await.unwrap();
        let answers = sends.await;
        let refused: Vec<_> = answers.iter().filter(|answer| answer.is_err()).collect();
        assert!(
            matches!(refused[..], [Err(IngestError::Database(_))]),
            "{refused:?}"
        );
        assert_eq!(stand.count("SELECT count(*) FROM instance").await, 5);
        let mut numbers: Vec<_> = answers.iter().flatten().map(|r| r.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
    }
}

#[tokio::test]
async fn one_that_is_cut_off_while_it_records_leaves_the_others_theirs() {
    for stand in stands().await {
        let writer = held_up(&stand).await;
        let mut sends = JoinSet::new();
        let mut begin = |sop: &str| {
            let (door, object) = (stand.door.clone(), Object::made(sop, CT, &[]));
            sends.spawn(async move { send(&door, &object).await })
        };
        let records = begin("1.2.3.4.1");
        while !stand.door.lines().is_recording(&site()) {
            tokio::task::yield_now().await;
        }
        for sop in ["1.2.3.4.2", "1.2.3.4.3", "1.2.3.4.4"] {
            begin(sop);
        }
        while waiting(&stand) < 3 {
            tokio::task::yield_now().await;
        }
        records.abort();
        writer.rollback().await.unwrap();
        let mut receipts = 0;
        while let Some(ended) = sends.join_next().await {
            match ended {
                Ok(answer) => receipts += u32::from(answer.unwrap().number > 0),
                Err(error) => assert!(error.is_cancelled()),
            }
        }
        assert_eq!(receipts, 3);
        assert_eq!(stand.count("SELECT count(*) FROM instance").await, 3);
    }
}

/// How many wait for somebody who records.
fn waiting(stand: &Stand) -> usize {
    stand.door.lines().waiting(&site())
}

/// Holds the site's row, so that nothing of it is recorded meanwhile.
async fn held_up(stand: &Stand) -> sqlx::Transaction<'static, sqlx::Any> {
    let mut writer = stand.rows.begin().await.unwrap();
    crate::ingest::record::one_after_the_other(&mut writer, &site())
        .await
        .unwrap();
    writer
}
