//! Studies whose identity stays at the site: another protected form of what is there, the sealed originals, and what the site says.

use causeway_proto::dataset::{Dataset, Value};
use causeway_proto::digest::Digest;
use causeway_proto::ids::{CaseCode, Priority, Purpose, StudyKey};
use causeway_proto::link::message::{Open, Progress};
use causeway_proto::report::model::{Code, Protection, Sealed};
use causeway_proto::time::Timestamp;
use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::stand::{CT, EXPLICIT, Object, Stand, random, site, stands};
use super::{BlobKey, quarantine};
use crate::archive::catalog;
use crate::observe::Readiness;

fn study() -> StudyKey {
    StudyKey {
        site: site(),
        agreement: "g1".parse().unwrap(),
        study: "1.2.3".parse().unwrap(),
    }
}

/// One item of the Encrypted Attributes Sequence.
fn sealed_item(content: &[u8]) -> Dataset {
    let mut item = Dataset::new();
    let syntax = tags::ENCRYPTED_CONTENT_TRANSFER_SYNTAX_UID;
    item.put_text(syntax, VR::UI, EXPLICIT);
    let content = Value::Bytes(content.to_vec());
    item.put(tags::ENCRYPTED_CONTENT, VR::OB, content);
    item
}

/// An image as an agent protects it: marks, the study's sealed set, and what else is put in.
fn protected(sop: &str, tag: &[u8], more: impl FnOnce(&mut Dataset)) -> Object {
    let mut out = Dataset::new();
    for (tag, text) in [
        (tags::SOP_CLASS_UID, CT),
        (tags::SOP_INSTANCE_UID, sop),
        (tags::STUDY_INSTANCE_UID, "1.2.3"),
        (tags::SERIES_INSTANCE_UID, "1.2.3.4"),
    ] {
        out.put_text(tag, VR::UI, text);
    }
    out.put_text(tags::PATIENT_ID, VR::LO, "CW3F4H7K9MNPQ");
    out.put_text(tags::PATIENT_IDENTITY_REMOVED, VR::CS, "YES");
    out.put_text(tags::DEIDENTIFICATION_METHOD, VR::LO, "reading-1\\1");
    let mut code = Dataset::new();
    code.put_text(tags::CODE_VALUE, VR::SH, "113100");
    code.put_text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, "DCM");
    code.put_text(tags::CODE_MEANING, VR::LO, "Basic");
    out.put_items(tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE, vec![code]);
    more(&mut out);
    Object {
        tag: Digest::of(tag),
        ..Object::of_bytes(sop, CT, EXPLICIT, out.write().into())
    }
}

#[tokio::test]
async fn a_study_says_that_its_dates_are_shifted() {
    for stand in stands().await {
        let shifted = "SELECT count(*) FROM study WHERE shifted_dates = 1";
        let first = protected("1.2.3.4.5", b"one", |_| {});
        stand.send(&first).await.unwrap();
        assert_eq!(stand.count(shifted).await, 0);
        let second = protected("1.2.3.4.6", b"two", |out| {
            let mut code = Dataset::new();
            code.put_text(tags::CODE_VALUE, VR::SH, "113107");
            code.put_text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, "DCM");
            out.put_items(tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE, vec![code]);
        });
        stand.send(&second).await.unwrap();
        assert_eq!(stand.count(shifted).await, 1);
        let third = protected("1.2.3.4.7", b"three", |_| {});
        stand.send(&third).await.unwrap();
        assert_eq!(stand.count(shifted).await, 1, "one of them is enough");
    }
}

async fn kept(stand: &Stand) -> Option<Protection> {
    let mut reading = stand.rows.read().acquire().await.unwrap();
    catalog::protection(&mut reading, &study()).await.unwrap()
}

#[tokio::test]
async fn the_same_source_in_another_protected_form_is_no_conflict() {
    for stand in stands().await {
        let before = protected("1.2.3.4.5", b"one", |_| {});
        let after = protected("1.2.3.4.5", b"one", |out| {
            out.put_text(tags::STUDY_DESCRIPTION, VR::LO, "[removed]");
        });
        let first = stand.send(&before).await.unwrap();
        // an agent that protects anew offers it again, as after the loss of its receipts
        let again = stand.send(&after).await.unwrap();
        assert_eq!(again, first);
        assert_eq!(again.sent_digest, before.digest());
        assert_eq!(stand.count("SELECT count(*) FROM instance").await, 1);
        assert_eq!(stand.count("SELECT count(*) FROM quarantine").await, 0);
        let key = BlobKey::instance(&site(), &study().agreement, &before.digest());
        assert_eq!(stand.archive.blobs.read(&key).await.unwrap(), before.bytes);
        // another source under the same UID is one, in whatever form it comes
        let other = protected("1.2.3.4.5", b"two", |_| {});
        let other = Object {
            bytes: [&other.bytes[..], b"\xFC\xFF\xFC\xFFOB\0\0\0\0\0\0"]
                .concat()
                .into(),
            ..other
        };
        let formed = Object {
            bytes: after.bytes.clone(),
            ..other.clone()
        };
        let conflict = stand.send(&other).await.unwrap();
        assert!(conflict.quarantined);
        assert_eq!(stand.send(&formed).await.unwrap(), conflict);
        assert_eq!(quarantine::open(&stand.rows).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn the_first_sealed_set_of_a_study_is_kept_for_its_reports() {
    for stand in stands().await {
        let bare = protected("1.2.3.4.1", b"1", |out| {
            // one deeper down is not the study's
            let mut nested = Dataset::new();
            let inner = vec![sealed_item(&[9; 10])];
            nested.put_items(tags::ENCRYPTED_ATTRIBUTES_SEQUENCE, inner);
            out.put_items(tags::REQUEST_ATTRIBUTES_SEQUENCE, vec![nested]);
        });
        stand.send(&bare).await.unwrap();
        let marks = kept(&stand).await.unwrap();
        assert_eq!(marks.methods, ["reading-1", "1"]);
        assert_eq!(marks.codes, [Code::new("113100", "DCM", "Basic")]);
        assert_eq!(marks.sealed, None);
        // as long as it is in practice: more than stands in the served header
        let set = vec![0x30; 20_000];
        let with = |sop: &str, set: &[u8]| {
            protected(sop, sop.as_bytes(), |out| {
                let items = vec![sealed_item(set), sealed_item(b"own remainder ")];
                out.put_items(tags::ENCRYPTED_ATTRIBUTES_SEQUENCE, items);
            })
        };
        stand.send(&with("1.2.3.4.2", &set)).await.unwrap();
        stand.send(&with("1.2.3.4.3", &[7; 6])).await.unwrap();
        let sealed = Sealed {
            syntax: EXPLICIT.to_owned(),
            content: set,
        };
        let whole = Protection {
            sealed: Some(sealed),
            ..marks
        };
        assert_eq!(kept(&stand).await, Some(whole));
        assert_eq!(stand.count("SELECT count(*) FROM instance").await, 3);
    }
}

#[tokio::test]
async fn an_image_without_marks_leaves_nothing() {
    for stand in stands().await {
        let object = Object::made("1.2.3.4.5", CT, &[]);
        stand.send(&object).await.unwrap();
        assert_eq!(kept(&stand).await, None);
    }
}

#[tokio::test]
async fn what_the_site_says_of_a_study_is_kept_until_it_says_otherwise() {
    for stand in stands().await {
        stand
            .send(&Object::made("1.2.3.4.5", CT, &[]))
            .await
            .unwrap();
        let mut open = Open {
            study: "1.2.3".parse().unwrap(),
            agreement: "g1".parse().unwrap(),
            purpose: Purpose::Read,
            priority: Priority::Routine,
            case: CaseCode::draw(&random()),
            first_received: Timestamp(1),
            blocked: Some("Images of\nanother patient.".to_owned()),
            remarks: vec!["1 overlay removed at the site".to_owned(), " ".to_owned()],
            identity: Some("not-established".to_owned()),
        };
        let said = async || -> (String, String, String) {
            sqlx::query_as("SELECT blocked, remarks, identity FROM study")
                .fetch_one(stand.rows.read())
                .await
                .unwrap()
        };
        for _ in 0..2 {
            stand.door.open(&site(), &open).await.unwrap();
            let (blocked, remarks, identity) = said().await;
            assert_eq!(blocked, "Images of another patient.");
            assert_eq!(remarks, r#"["1 overlay removed at the site"]"#);
            assert_eq!(identity, "not-established");
        }
        (open.blocked, open.identity) = (None, None);
        open.remarks.clear();
        stand.door.open(&site(), &open).await.unwrap();
        let nothing = (String::new(), "[]".to_owned(), String::new());
        assert_eq!(said().await, nothing);
        let audited =
            "SELECT count(*) FROM audit_event WHERE event IN ('study-blocked', 'study-unblocked')";
        assert_eq!(stand.count(audited).await, 2);
    }
}

#[tokio::test]
async fn what_is_withheld_of_an_urgent_study_is_counted_while_its_task_is_open() {
    for stand in stands().await {
        let image = Object::made("1.2.3.4.5", CT, &[]);
        stand.send(&image).await.unwrap();
        let held = |held| Progress {
            study: "1.2.3".parse().unwrap(),
            agreement: "g1".parse().unwrap(),
            at_site: 3,
            held,
        };
        let counted = async || {
            let measured = Readiness::bare(&stand.rows).metrics().await.unwrap();
            measured.contains("causeway_urgent_withheld{priority=\"stat\"} 1\n")
        };
        stand.door.progress(&site(), &held(2)).await.unwrap();
        assert!(!counted().await, "it is no urgent one");
        stand.run("UPDATE workitem SET priority = 'stat'").await;
        assert!(counted().await);
        stand.door.progress(&site(), &held(0)).await.unwrap();
        assert!(!counted().await, "everything has left");
    }
}
