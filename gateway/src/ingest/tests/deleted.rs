//! Studies whose bytes go: taken back by the site, or their time is over; on SQLite and PostgreSQL.

mod retention;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use causeway_proto::ids::Purpose;
use causeway_proto::link::message::{Deleted, DeletedNoted, Recall};
use causeway_proto::time::{Clock, Timestamp};
use serde_json::json;

use super::stand::*;
use crate::audit;
use crate::deletion::{self, Deletions};
use crate::ingest::{Begun, IngestError};

const START: i64 = 1_800_000_000_000_000;

/// A clock that the test moves.
struct Time(Arc<AtomicI64>);

impl Time {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START)))
    }

    fn clock(&self) -> Clock {
        let told = self.0.clone();
        Clock::new(move || Timestamp(told.load(Ordering::Relaxed)))
    }

    fn pass(&self, us: i64) {
        self.0.fetch_add(us, Ordering::Relaxed);
    }
}

fn recall() -> Recall {
    Recall {
        study: "1.2.3".parse().unwrap(),
        agreement: "g1".parse().unwrap(),
        reason: "wrong patient".into(),
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

impl Stand {
    fn files(&self, of: &str) -> usize {
        files(&self.folder.path().join(of)).len()
    }

    fn deletions(&self, time: &Time) -> Deletions {
        Deletions::new(self.archive.clone(), time.clock())
    }

    async fn receipts(&self) -> Vec<Deleted> {
        deletion::of_site(&self.rows, &site()).await.unwrap()
    }

    async fn looked(&self, event: &str, actor: &str, subject: &str, at: i64) {
        let mut tx = self.rows.begin().await.unwrap();
        let at = Timestamp(at);
        audit::record(&mut tx, at, event, actor, "s1", subject, &json!({}))
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    async fn case(&self) -> String {
        let (case,): (String,) = sqlx::query_as("SELECT id FROM reading_case")
            .fetch_one(self.rows.read())
            .await
            .unwrap();
        case
    }

    /// An account `a1`, and a draft of the case.
    async fn person_and_draft(&self) {
        self.run("INSERT INTO account (id, user_name, password_hash, family_name, given_name, organisation, created_us) VALUES ('a1', 'rita', '', 'Reader', 'Rita', 'Night Readers', 1)").await;
        self.run("INSERT INTO draft (case_id, version, author_id, content, changed_us) SELECT id, 1, 'a1', 'Findings of Jane Doe', 1 FROM reading_case").await;
    }

    /// The case's task is done and its report signed; the delivery stands as said.
    async fn reported(&self, state: &'static str, changed_us: i64) {
        self.run("UPDATE workitem SET state = 'COMPLETED'").await;
        self.run("INSERT INTO signing_key (serial, account_id, certificate_der, issued_us, usable_until_us) VALUES ('k1', 'a1', '', 1, 2)").await;
        self.run("INSERT INTO report (id, case_id, workitem_uid, version, status, author_id, draft_version, language, content, model, manifest_version, identity_version, signing_serial, signed_us)
            SELECT 'r1', case_id, uid, 1, 'final', 'a1', 1, 'en', '', '', '1', '1', 'k1', 1 FROM workitem").await;
        self.run("INSERT INTO report_document (sop_uid, report_id, site_id, agreement_id, study_uid, series_uid, sop_class, transfer_syntax, blob_key, digest, length)
            VALUES ('1.9', 'r1', 's1', 'g1', '1.2.3', '1.8', 'c', 't', 's1/g1/reports/k', 'd', 1)").await;
        let mut tx = self.rows.begin().await.unwrap();
        sqlx::query("INSERT INTO delivery (id, sop_uid, site_id, state, due_us, created_us, changed_us) VALUES ('d1', '1.9', 's1', $1, 1, 1, $2)")
            .bind(state)
            .bind(changed_us)
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// Begins a large object and leaves it in the middle.
    async fn half(&self, object: &Object) {
        let begun = self.door.begin_instance(&site(), &object.message(0)).await;
        let Ok(Begun::Incoming(mut incoming)) = begun else {
            panic!("it is new");
        };
        let half = object.bytes.slice(..object.bytes.len() / 2);
        incoming.append(half).await.unwrap();
        incoming.keep().await.unwrap();
    }
}

/// More than is kept in memory.
fn large(sop: &str) -> Object {
    let pixels = vec![7; 3 << 20];
    Object::made(sop, CT, &[(0x7FE0_0010, "OW", &pixels)])
}

#[tokio::test]
async fn a_study_that_is_taken_back_leaves_no_byte_and_a_receipt() {
    for stand in stands().await {
        let time = Time::new();
        let objects = ["1.2.3.4.5", "1.2.3.4.6"].map(|sop| {
            Object::made(
                sop,
                CT,
                &[(0x0010_0010, "PN", b"Doe^Jane"), (0x0010_0020, "LO", b"P1")],
            )
        });
        for object in &objects {
            stand.send(object).await.unwrap();
        }
        let other = Object::made("1.2.3.4.5", CT, &[(0x0010_0020, "LO", b"P1")]);
        assert!(stand.send(&other).await.unwrap().quarantined);
        stand.half(&large("1.2.3.4.7")).await;
        stand.person_and_draft().await;
        let case = stand.case().await;
        for (event, subject, at) in [
            ("images-viewed", "1.2.3", 20),
            ("case-opened", case.as_str(), 10),
            ("images-downloaded", "1.2.3", 30),
            ("images-viewed", "1.2.4", 40),
        ] {
            stand.looked(event, "a1", subject, at).await;
        }
        assert_eq!((stand.files("blobs"), stand.files("incoming")), (3, 1));
        stand.door.recall(&site(), &recall()).await.unwrap();
        assert_eq!(stand.receipts().await, []);
        let turn = stand.deletions(&time).turn().await.unwrap();
        assert_eq!(
            (turn.done, turn.failed, turn.changed.cases.len()),
            (1, 0, 1)
        );
        assert_eq!((stand.files("blobs"), stand.files("incoming")), (0, 0));
        for nothing in [
            "SELECT count(*) FROM instance",
            "SELECT count(*) FROM series",
            "SELECT count(*) FROM quarantine",
            "SELECT count(*) FROM draft",
            "SELECT count(*) FROM incoming_part",
            "SELECT count(*) FROM deletion_blob",
            "SELECT count(*) FROM deleted_instance",
            "SELECT count(*) FROM study WHERE patient_name <> '' OR patient_id <> '' OR name_folded <> ''",
        ] {
            assert_eq!(stand.count(nothing).await, 0, "{nothing}");
        }
        let [receipt] = &stand.receipts().await[..] else {
            panic!("one receipt");
        };
        let whole = objects.iter().chain([&other]).map(|o| o.bytes.len());
        let half = large("1.2.3.4.7").bytes.len() / 2;
        let bytes = u64::try_from(whole.sum::<usize>() + half).unwrap();
        assert_eq!(
            (
                receipt.objects,
                receipt.parts,
                receipt.bytes,
                receipt.reports
            ),
            (3, 1, bytes, 0)
        );
        only_rita(receipt);
        let trail = "SELECT count(*) FROM audit_event WHERE event = 'images-deleted' AND subject = '1.2.3' AND detail LIKE '%\"objects\":3%'";
        assert_eq!(stand.count(trail).await, 1);
    }
}

/// Who had opened it, and what.
fn only_rita(receipt: &Deleted) {
    assert_eq!(receipt.at, Timestamp(START));
    let [rita] = &receipt.opened[..] else {
        panic!("one person");
    };
    assert_eq!(
        (rita.account.as_str(), rita.name.as_str()),
        ("rita", "Rita Reader")
    );
    assert_eq!(rita.organisation, "Night Readers");
    assert_eq!((rita.first, rita.last), (Timestamp(10), Timestamp(30)));
    assert_eq!(rita.what, ["case", "download", "images"]);
}

#[tokio::test]
async fn a_receipt_is_offered_until_it_is_heard_and_again_when_the_site_asks_again() {
    for stand in stands().await {
        let time = Time::new();
        stand
            .send(&Object::made("1.2.3.4.5", CT, &[]))
            .await
            .unwrap();
        stand.door.recall(&site(), &recall()).await.unwrap();
        assert_eq!(stand.deletions(&time).turn().await.unwrap().done, 1);
        let receipt = stand.receipts().await.remove(0);
        let mut noted = DeletedNoted {
            study: receipt.study.clone(),
            agreement: receipt.agreement.clone(),
            at: Timestamp(1),
        };
        let hear = async |noted: &DeletedNoted| {
            deletion::heard(&stand.rows, &site(), noted, Timestamp(2))
                .await
                .unwrap();
            stand.receipts().await.len()
        };
        assert_eq!(hear(&noted).await, 1, "another receipt was meant");
        noted.at = receipt.at;
        assert_eq!(hear(&noted).await, 0);
        stand.door.recall(&site(), &recall()).await.unwrap();
        assert_eq!(stand.deletions(&time).turn().await.unwrap().done, 0);
        assert_eq!(stand.receipts().await, [receipt]);
    }
}

/// The process ends, or the disk refuses, after the rows are gone and before the bytes are.
#[tokio::test]
async fn what_is_begun_is_finished_after_a_restart_and_holds_up_nobody() {
    for mut stand in stands().await {
        let time = Time::new();
        let object = Object::made("1.2.3.4.5", CT, &[]);
        stand.send(&object).await.unwrap();
        stand.open("1.2.4", Purpose::Read).await;
        let mut second = Object::made("1.2.4.5", CT, &[(0x0020_000D, "UI", b"1.2.4")]);
        second.study = "1.2.4".into();
        second.series = "1.2.4.4".into();
        second = Object {
            bytes: Object::made(
                "1.2.4.5",
                CT,
                &[
                    (0x0020_000D, "UI", b"1.2.4"),
                    (0x0020_000E, "UI", b"1.2.4.4"),
                ],
            )
            .bytes,
            ..second
        };
        second.tag = causeway_proto::digest::Digest::of(&second.bytes);
        stand.send(&second).await.unwrap();
        let found = files(&stand.folder.path().join("blobs"));
        let path = found
            .iter()
            .find(|path| path.ends_with(object.digest().to_string()))
            .unwrap();
        // a folder in the place of the file cannot be removed as a file
        std::fs::remove_file(path).unwrap();
        std::fs::create_dir(path).unwrap();
        stand.door.recall(&site(), &recall()).await.unwrap();
        let both = Recall {
            study: "1.2.4".parse().unwrap(),
            ..recall()
        };
        stand.door.recall(&site(), &both).await.unwrap();
        let turn = stand.deletions(&time).turn().await.unwrap();
        assert_eq!((turn.done, turn.failed), (1, 1));
        assert_eq!(stand.count("SELECT count(*) FROM instance").await, 0);
        assert_eq!(
            stand.receipts().await.len(),
            1,
            "nothing is receipted that is there"
        );
        stand = stand.restart().await;
        let early = stand.deletions(&time).turn().await.unwrap();
        assert_eq!(
            (early.done, early.failed),
            (0, 0),
            "a pause after a failure"
        );
        time.pass(1_000_000);
        std::fs::remove_dir(path).unwrap();
        std::fs::write(path, &object.bytes).unwrap();
        assert_eq!(stand.deletions(&time).turn().await.unwrap().done, 1);
        assert_eq!(stand.files("blobs"), 0);
        assert_eq!(stand.receipts().await.len(), 2);
    }
}

#[tokio::test]
async fn an_instance_that_is_arriving_when_its_study_is_taken_back_leaves_nothing() {
    for stand in stands().await {
        let time = Time::new();
        for (sop, first) in [("1.2.3.4.5", true), ("1.2.3.4.6", false)] {
            let object = large(sop);
            let begun = stand.door.begin_instance(&site(), &object.message(0)).await;
            let Ok(Begun::Incoming(mut incoming)) = begun else {
                panic!("it is new");
            };
            incoming
                .append(object.bytes.slice(..1 << 20))
                .await
                .unwrap();
            if first {
                incoming
                    .append(object.bytes.slice(1 << 20..))
                    .await
                    .unwrap();
                stand.door.recall(&site(), &recall()).await.unwrap();
                assert_eq!(stand.deletions(&time).turn().await.unwrap().done, 1);
                let refused = incoming.finish(&object.trailer()).await;
                // its part is gone already, or it is refused in the end
                assert!(refused.is_err(), "{refused:?}");
            } else {
                let refused = incoming.append(object.bytes.slice(1 << 20..)).await;
                assert!(matches!(refused, Err(IngestError::Recalled)), "{refused:?}");
            }
            assert_eq!((stand.files("blobs"), stand.files("incoming")), (0, 0));
        }
        let small = Object::made("1.2.3.4.7", CT, &[]);
        assert!(matches!(
            stand.send(&small).await,
            Err(IngestError::Recalled)
        ));
        assert_eq!((stand.files("blobs"), stand.files("incoming")), (0, 0));
    }
}

#[tokio::test]
async fn a_study_that_is_taken_back_before_it_came_is_not_taken() {
    for stand in stands().await {
        let time = Time::new();
        let unknown = Recall {
            study: "1.2.9".parse().unwrap(),
            ..recall()
        };
        stand.door.recall(&site(), &unknown).await.unwrap();
        assert_eq!(stand.deletions(&time).turn().await.unwrap().done, 1);
        assert_eq!(stand.receipts().await[0].objects, 0);
        stand.open("1.2.9", Purpose::Read).await;
        let mut object = Object::made("1.2.9.1", CT, &[(0x0020_000D, "UI", b"1.2.9")]);
        object.study = "1.2.9".into();
        assert!(matches!(
            stand.send(&object).await,
            Err(IngestError::Recalled)
        ));
    }
}

#[tokio::test]
async fn a_blob_that_another_row_names_stays_and_a_signed_report_too() {
    for stand in stands().await {
        let time = Time::new();
        let object = Object::made("1.2.3.4.5", CT, &[(0x0010_0010, "PN", b"Doe^Jane")]);
        stand.send(&object).await.unwrap();
        stand.run("INSERT INTO quarantine (id, site_id, agreement_id, study_uid, sop_uid, sent_digest, source_tag, length, blob_key, reason, receipt_number, receipt_epoch, received_us)
            SELECT 'q', site_id, agreement_id, '1.2.4', sop_uid, sent_digest, source_tag, length, blob_key, '', 1, 1, 1 FROM instance").await;
        stand.person_and_draft().await;
        stand.reported("delivered", START).await;
        stand.door.recall(&site(), &recall()).await.unwrap();
        assert_eq!(stand.deletions(&time).turn().await.unwrap().done, 1);
        assert_eq!(stand.files("blobs"), 1);
        let receipt = stand.receipts().await.remove(0);
        assert_eq!((receipt.objects, receipt.reports), (1, 1));
        assert_eq!(stand.count("SELECT count(*) FROM report_document").await, 1);
        // the report names its patient, and a new version of it will have to
        let named = "SELECT count(*) FROM study WHERE patient_name = 'Doe^Jane'";
        assert_eq!(stand.count(named).await, 1);
    }
}

#[tokio::test]
async fn bytes_that_nothing_names_are_found_and_named_ones_are_not_touched() {
    for stand in stands().await {
        let time = Time::new();
        let object = Object::made("1.2.3.4.5", CT, &[]);
        stand.send(&object).await.unwrap();
        let lost = Object::made("1.2.3.4.6", CT, &[]);
        let key =
            crate::archive::BlobKey::instance(&site(), &"g1".parse().unwrap(), &lost.digest());
        stand
            .archive
            .blobs
            .put(&key, Bytes::from_static(b"x"))
            .await
            .unwrap();
        let half = stand
            .folder
            .path()
            .join("blobs")
            .join(format!("{}#1", key.as_str()));
        std::fs::write(half, b"half").unwrap();
        assert_eq!(stand.files("blobs"), 3);
        // the test's clock is years ahead of the file system's
        assert_eq!(stand.deletions(&time).take_strays().await.unwrap(), 2);
        assert_eq!(stand.files("blobs"), 1);
        let young = Deletions::new(stand.archive.clone(), Clock::new(|| Timestamp(0)));
        stand
            .archive
            .blobs
            .put(&key, Bytes::from_static(b"x"))
            .await
            .unwrap();
        assert_eq!(young.take_strays().await.unwrap(), 0);
    }
}

#[tokio::test]
async fn what_came_between_a_backup_and_the_restore_stays_though_its_rows_are_lost() {
    const MINUTE: i64 = 60_000_000;
    for stand in stands().await {
        let time = Time::new();
        let (taken, restored) = (START - 2_000 * MINUTE, START - 1_000 * MINUTE);
        let written = [
            taken - 61 * MINUTE,
            taken - MINUTE,
            taken,
            restored,
            restored + MINUTE,
        ];
        let mut paths = Vec::new();
        for (n, at) in written.into_iter().enumerate() {
            let lost = Object::made(&format!("1.2.3.4.{n}"), CT, &[]);
            let key =
                crate::archive::BlobKey::instance(&site(), &"g1".parse().unwrap(), &lost.digest());
            let bytes = Bytes::from_static(b"x");
            stand.archive.blobs.put(&key, bytes).await.unwrap();
            let path = stand.folder.path().join("blobs").join(key.as_str());
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            let at = Duration::from_micros(at.unsigned_abs());
            file.set_modified(SystemTime::UNIX_EPOCH + at).unwrap();
            paths.push(path);
        }
        let mut tx = stand.rows.begin().await.unwrap();
        crate::directory::restored(&mut tx, Timestamp(taken), Timestamp(restored))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        time.pass(100 * 60 * MINUTE);
        assert_eq!(stand.deletions(&time).take_strays().await.unwrap(), 2);
        let there = paths.iter().map(|path| path.exists());
        assert_eq!(
            there.collect::<Vec<_>>(),
            [false, true, true, true, false],
            "a minute before its row is written, a blob may lie there"
        );
        let kept = deletion::strays_kept(&stand.rows).await;
        assert_eq!(kept.unwrap(), 3);
    }
}
