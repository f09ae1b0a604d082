//! The door on both databases: what is durable, what is receipted, what is set aside, and what has no second effect.

mod damaged;
mod deleted;
mod full;
mod hostile;
mod pseudonymous;
mod restored;
mod room;
mod stand;
mod together;

use bytes::Bytes;
use causeway_proto::digest::Digest;
use causeway_proto::ids::{CaseCode, Priority, Purpose, StudyKey};
use causeway_proto::link::message::{Open, Progress, Query, Recall, Trailer};
use causeway_proto::time::Timestamp;

pub(crate) use super::index::tests::samples;
pub(crate) use super::index::{Content, index};
use super::{Begun, IngestError, quarantine};
use crate::archive::BlobKey;
use crate::rows::tests::on_both;
use crate::worklist::{self, ANOTHER_PATIENT};
pub(crate) use stand::{CT, EXPLICIT, Object, SR, door, open, public_object, seed, send};
use stand::{Stand, site, stands};

#[tokio::test]
async fn the_same_key_is_the_same_receipt_and_has_no_second_effect() {
    for stand in stands().await {
        let object = Object::made("1.2.3.4.5", CT, &[]);
        let first = stand.send(&object).await.unwrap();
        let again = stand.send(&object).await.unwrap();
        assert_eq!(first, again);
        assert_eq!((first.number, first.quarantined), (1, false));
        // even when the bytes are sent once more, because the answer was lost while they were under way
        let reprotected = Object {
            tag: Digest::of(b"other"),
            ..object.clone()
        };
        assert_eq!(stand.send(&reprotected).await.unwrap().number, 1);
        assert_eq!(stand.count("SELECT instances FROM series").await, 1);
        assert_eq!(stand.count("SELECT count(*) FROM workitem").await, 1);
        assert_eq!(stand.door.high_water(&site()).await.unwrap().number, 1);
    }
}

#[tokio::test]
async fn sixteen_writers_of_one_object_make_one_row() {
    for stand in stands().await {
        let object = Object::made("1.2.3.4.5", CT, &[]);
        let all = futures::future::join_all((0..16).map(|_| stand.send(&object))).await;
        let receipts: Vec<_> = all.into_iter().filter_map(Result::ok).collect();
        assert!(!receipts.is_empty() && receipts.iter().all(|r| r == &receipts[0]));
        assert_eq!(stand.count("SELECT count(*) FROM instance").await, 1);
        assert_eq!(stand.count("SELECT instances FROM series").await, 1);
    }
}

#[tokio::test]
async fn other_content_under_the_same_uid_is_kept_apart_and_receipted() {
    for stand in stands().await {
        let first = Object::made("1.2.3.4.5", CT, &[(0x0028_0010, "US", &[1, 0])]);
        let other = Object::made("1.2.3.4.5", CT, &[(0x0028_0010, "US", &[2, 0])]);
        stand.send(&first).await.unwrap();
        let receipt = stand.send(&other).await.unwrap();
        assert!(receipt.quarantined);
        assert_eq!(stand.send(&other).await.unwrap(), receipt);
        let open = quarantine::open(&stand.rows).await.unwrap();
        assert_eq!((open.len(), open[0].sop_uid.as_str()), (1, "1.2.3.4.5"));
        let study = StudyKey {
            site: site(),
            agreement: "g1".parse().unwrap(),
            study: "1.2.3".parse().unwrap(),
        };
        for object in [&first, &other] {
            let key = BlobKey::instance(&study.site, &study.agreement, &object.digest());
            assert_eq!(stand.archive.blobs.read(&key).await.unwrap(), object.bytes);
        }
        // a manifest that names both finds both
        assert!(
            stand
                .manifest(1, &[&first, &other])
                .await
                .missing
                .is_empty()
        );
    }
}

#[tokio::test]
async fn an_unreadable_object_is_kept_with_its_reason() {
    for stand in stands().await {
        let object = Object::of_bytes(
            "1.2.3.4.6",
            CT,
            EXPLICIT,
            Bytes::from_static(b"\x08\0\x16\0UI\xFF\xFFabc"),
        );
        assert!(stand.send(&object).await.unwrap().quarantined);
        let elsewhere = Object::made("1.2.3.4.7", CT, &[(0x0020_000D, "UI", b"9.9")]);
        assert!(stand.send(&elsewhere).await.unwrap().quarantined);
        let reasons: Vec<_> = quarantine::open(&stand.rows)
            .await
            .unwrap()
            .into_iter()
            .map(|q| q.reason)
            .collect();
        assert!(
            reasons
                .iter()
                .any(|r| r.contains("ends inside") || r.contains("beyond")),
            "{reasons:?}"
        );
        assert!(
            reasons.iter().any(|r| r.contains("Study Instance UID")),
            "{reasons:?}"
        );
        assert_eq!(stand.count("SELECT count(*) FROM instance").await, 0);
    }
}

#[tokio::test]
async fn a_cut_instance_goes_on_where_it_stopped_even_after_a_restart() {
    for stand in stands().await {
        let pixels = vec![7; 5_000_000];
        let object = Object::made("1.2.3.4.5", CT, &[(0x7FE0_0010, "OW", &pixels)]);
        let Begun::Incoming(mut incoming) = stand
            .door
            .begin_instance(&site(), &object.message(0))
            .await
            .unwrap()
        else {
            panic!("held");
        };
        incoming
            .append(object.bytes.slice(..3_000_000))
            .await
            .unwrap();
        assert!(matches!(
            stand.door.begin_instance(&site(), &object.message(0)).await,
            Err(IngestError::Busy(_))
        ));
        incoming.keep().await.unwrap();
        let stand = stand.restart().await;
        let query = Query {
            keys: vec![object.key()],
        };
        let have = stand.door.have(&site(), &query).await.unwrap();
        assert_eq!(
            (have.entries[0].offset, have.entries[0].receipt.is_none()),
            (3_000_000, true)
        );
        let beyond = stand
            .door
            .begin_instance(&site(), &object.message(4_000_000))
            .await;
        let Err(IngestError::BadOffset { sent, held }) = beyond else {
            panic!("{beyond:?}");
        };
        assert_eq!((sent, held), (4_000_000, 3_000_000));
        let Begun::Incoming(mut incoming) = stand
            .door
            .begin_instance(&site(), &object.message(2_500_000))
            .await
            .unwrap()
        else {
            panic!("held");
        };
        incoming
            .append(object.bytes.slice(2_500_000..))
            .await
            .unwrap();
        let receipt = incoming.finish(&object.trailer()).await.unwrap();
        assert_eq!(
            (receipt.length, receipt.sent_digest),
            (object.bytes.len() as u64, object.digest())
        );
        let have = stand.door.have(&site(), &query).await.unwrap();
        assert_eq!(have.entries[0].receipt, Some(receipt));
        assert_eq!(
            std::fs::read_dir(stand.folder.path().join("incoming"))
                .unwrap()
                .count(),
            0
        );
    }
}

#[tokio::test]
async fn wrong_bytes_are_no_instance() {
    for stand in stands().await {
        let object = Object::made("1.2.3.4.5", CT, &[]);
        let begin = async || match stand
            .door
            .begin_instance(&site(), &object.message(0))
            .await
            .unwrap()
        {
            Begun::Incoming(mut incoming) => {
                incoming.append(object.bytes.clone()).await.unwrap();
                incoming
            }
            Begun::Held(_) => panic!("held"),
        };
        let wrong = Trailer {
            digest: Digest::of(b""),
            ..object.trailer()
        };
        assert!(matches!(
            begin().await.finish(&wrong).await,
            Err(IngestError::DigestMismatch)
        ));
        let longer = Trailer {
            length: 1_000_000,
            ..object.trailer()
        };
        assert!(matches!(
            begin().await.finish(&longer).await,
            Err(IngestError::Truncated { .. })
        ));
        assert_eq!(stand.count("SELECT count(*) FROM instance").await, 0);
    }
}

#[tokio::test]
async fn a_study_is_sealed_when_nothing_is_missing_and_opens_again_for_images_only() {
    for stand in stands().await {
        let [one, two, late] =
            ["1.2.3.4.5", "1.2.3.4.6", "1.2.3.4.7"].map(|sop| Object::made(sop, CT, &[]));
        let sr = Object::made("1.2.3.4.8", SR, &[]);
        stand.send(&one).await.unwrap();
        let progress = Progress {
            study: "1.2.3".parse().unwrap(),
            agreement: "g1".parse().unwrap(),
            at_site: 61,
            held: 2,
        };
        stand.door.progress(&site(), &progress).await.unwrap();
        assert_eq!(stand.count("SELECT at_site FROM study").await, 61);
        let sealed = stand.manifest(1, &[&one, &two]).await;
        assert_eq!(sealed.missing, ["1.2.3.4.6".parse().unwrap()]);
        assert_eq!(
            stand
                .count("SELECT count(*) FROM study WHERE sealed_us IS NULL")
                .await,
            1
        );
        stand.send(&two).await.unwrap();
        assert!(stand.manifest(1, &[&one, &two]).await.missing.is_empty());
        assert!(stand.manifest(1, &[&one, &two]).await.missing.is_empty());
        let ready = "SELECT count(*) FROM workitem WHERE readiness = 'READY'";
        assert_eq!(stand.count(ready).await, 1);
        assert_eq!(
            stand
                .count("SELECT count(*) FROM audit_event WHERE event = 'study-sealed'")
                .await,
            1
        );
        stand.send(&sr).await.unwrap();
        assert_eq!(stand.count(ready).await, 1);
        stand.send(&late).await.unwrap();
        assert_eq!(stand.count(ready).await, 0);
        assert_eq!(stand.count("SELECT content_version FROM study").await, 1);
        assert!(
            stand
                .manifest(2, &[&one, &two, &sr, &late])
                .await
                .missing
                .is_empty()
        );
        assert_eq!(stand.count(ready).await, 1);
        assert_eq!(stand.count("SELECT manifest_version FROM study").await, 2);
    }
}

#[tokio::test]
async fn a_recalled_study_takes_nothing_more() {
    for stand in stands().await {
        let object = Object::made("1.2.3.4.5", CT, &[]);
        stand.send(&object).await.unwrap();
        let recall = Recall {
            study: "1.2.3".parse().unwrap(),
            agreement: "g1".parse().unwrap(),
            reason: "wrong patient".into(),
        };
        for _ in 0..2 {
            stand.door.recall(&site(), &recall).await.unwrap();
        }
        assert_eq!(
            stand
                .count("SELECT count(*) FROM workitem WHERE state = 'CANCELED'")
                .await,
            1
        );
        let next = Object::made("1.2.3.4.6", CT, &[]);
        assert!(matches!(
            stand.send(&next).await,
            Err(IngestError::Recalled)
        ));
    }
}

#[tokio::test]
async fn a_change_of_who_the_patient_is_counts_and_empty_values_do_not() {
    for stand in stands().await {
        let who = |sop, id: &'static [u8], name: &'static [u8]| {
            Object::made(
                sop,
                CT,
                &[(0x0010_0010, "PN", name), (0x0010_0020, "LO", id)],
            )
        };
        let version = "SELECT identity_version FROM study";
        stand.send(&who("1.1", b"P1", b"Doe^John")).await.unwrap();
        stand.send(&who("1.2", b"P1", b"Doe^John")).await.unwrap();
        stand.send(&who("1.3", b"", b"")).await.unwrap();
        assert_eq!(stand.count(version).await, 1);
        stand.send(&who("1.4", b"P1", b"Doe^Jane")).await.unwrap();
        assert_eq!(stand.count(version).await, 2);
        let (name,): (String,) = sqlx::query_as("SELECT name_folded FROM study")
            .fetch_one(stand.rows.read())
            .await
            .unwrap();
        assert_eq!(name, "doe jane");
    }
}

#[tokio::test]
async fn another_patient_id_within_a_study_is_set_aside_and_changes_nothing() {
    for stand in stands().await {
        let who = |sop, id: &'static [u8], issuer: &'static [u8]| {
            let of = [(0x0010_0020, "LO", id), (0x0010_0021, "LO", issuer)];
            Object::made(sop, CT, &of)
        };
        assert!(
            !stand
                .send(&who("1.1", b"P1", b"A"))
                .await
                .unwrap()
                .quarantined
        );
        assert!(
            !stand
                .send(&who("1.2", b"P1 ", b""))
                .await
                .unwrap()
                .quarantined
        );
        assert!(
            stand
                .send(&who("1.3", b"P2", b"A"))
                .await
                .unwrap()
                .quarantined
        );
        assert!(
            stand
                .send(&who("1.4", b"P1", b"B"))
                .await
                .unwrap()
                .quarantined
        );
        let study: (String, String, i64) =
            sqlx::query_as("SELECT patient_id, patient_issuer, identity_version FROM study")
                .fetch_one(stand.rows.read())
                .await
                .unwrap();
        assert_eq!(
            (study.0.as_str(), study.1.as_str(), study.2),
            ("P1", "A", 1)
        );
        let open = quarantine::open(&stand.rows).await.unwrap();
        assert!(open.len() == 2 && open.iter().all(|aside| aside.reason == ANOTHER_PATIENT));
        // and the case that is read knows of them
        let (case,): (String,) = sqlx::query_as("SELECT id FROM reading_case")
            .fetch_one(stand.rows.read())
            .await
            .unwrap();
        let mut reading = stand.rows.read().acquire().await.unwrap();
        let facts = worklist::case(&mut reading, &case).await.unwrap().unwrap();
        assert!(facts.another_patient());
    }
}

#[tokio::test]
async fn a_comparison_that_becomes_a_study_to_read_and_a_raised_priority_reach_the_worklist() {
    for (folder, rows) in on_both().await {
        let stand = Stand::on(rows, folder).await;
        stand.open("1.2.3", Purpose::Comparison).await;
        let object = Object::made("1.2.3.4.5", CT, &[]);
        stand.send(&object).await.unwrap();
        assert!(stand.manifest(1, &[&object]).await.missing.is_empty());
        assert_eq!(stand.count("SELECT count(*) FROM workitem").await, 0);
        stand.open("1.2.3", Purpose::Read).await;
        let ready =
            "SELECT count(*) FROM workitem WHERE readiness = 'READY' AND priority = 'routine'";
        assert_eq!(stand.count(ready).await, 1);
        let mut raised = Open {
            study: "1.2.3".parse().unwrap(),
            agreement: "g1".parse().unwrap(),
            purpose: Purpose::Read,
            priority: Priority::Stat,
            case: CaseCode::draw(&stand::random()),
            first_received: Timestamp(1),
            blocked: None,
            remarks: Vec::new(),
            identity: None,
        };
        let stat = "SELECT count(*) FROM workitem WHERE readiness = 'READY' AND priority = 'stat'";
        for priority in [Priority::Stat, Priority::Routine] {
            raised.priority = priority;
            stand.door.open(&site(), &raised).await.unwrap();
            assert_eq!(stand.count(stat).await, 1);
        }
    }
}

#[tokio::test]
async fn an_agent_that_counts_from_the_beginning_again_still_seals() {
    for stand in stands().await {
        let [one, late] = ["1.2.3.4.5", "1.2.3.4.6"].map(|sop| Object::made(sop, CT, &[]));
        stand.send(&one).await.unwrap();
        assert!(stand.manifest(5, &[&one]).await.missing.is_empty());
        stand.send(&late).await.unwrap();
        let open = "SELECT count(*) FROM study WHERE sealed_us IS NULL";
        assert_eq!(stand.count(open).await, 1);
        let sealed = stand.manifest(1, &[&one, &late]).await;
        assert_eq!((sealed.version, sealed.missing.len()), (1, 0));
        assert_eq!(stand.count(open).await, 0);
        assert_eq!(stand.count("SELECT manifest_version FROM study").await, 6);
    }
}

#[tokio::test]
async fn one_study_may_answer_two_requests() {
    for stand in stands().await {
        for (sop, accession) in [("1.1", b"A1"), ("1.2", b"A2"), ("1.3", b"A1")] {
            let object = Object::made(sop, CT, &[(0x0008_0050, "SH", accession)]);
            stand.send(&object).await.unwrap();
        }
        assert_eq!(stand.count("SELECT count(*) FROM request").await, 2);
        assert_eq!(stand.count("SELECT count(*) FROM study_request").await, 2);
    }
}

#[tokio::test]
async fn an_instance_waits_for_its_study_to_be_opened() {
    for (folder, rows) in on_both().await {
        let stand = Stand::on(rows, folder).await;
        let object = Object::made("1.2.3.4.5", CT, &[]);
        let (receipt, ()) = tokio::join!(stand.send(&object), async {
            tokio::task::yield_now().await;
            stand.open("1.2.3", Purpose::Comparison).await;
        });
        assert!(!receipt.unwrap().quarantined);
        assert_eq!(stand.count("SELECT count(*) FROM workitem").await, 0);
    }
}

/// Every public file: what the archive holds is, byte for byte, what was sent.
#[tokio::test]
async fn every_public_file_comes_to_rest_as_it_was_sent() {
    for (folder, rows) in on_both().await {
        let stand = Stand::on(rows, folder).await;
        let (mut kept, mut aside) = (0, Vec::new());
        for path in samples(&["studies", "syntaxes", "charsets", "sr"]) {
            let Some(object) = public_object(&path) else {
                continue;
            };
            stand.open(&object.study, Purpose::Comparison).await;
            let receipt = stand.send(&object).await.unwrap();
            let key = BlobKey::instance(&site(), &"g1".parse().unwrap(), &object.digest());
            assert_eq!(
                stand.archive.blobs.read(&key).await.unwrap(),
                object.bytes,
                "{}",
                path.display()
            );
            if receipt.quarantined {
                aside.push(path);
            } else {
                kept += 1;
            }
        }
        eprintln!(
            "{kept} kept, {} with a UID that other content has",
            aside.len()
        );
        for quarantined in quarantine::open(&stand.rows).await.unwrap() {
            assert_eq!(
                quarantined.reason,
                "another object with the same SOP Instance UID was received first"
            );
        }
    }
}
