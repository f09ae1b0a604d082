//! What is read of a request and written of a result.

use super::*;
use crate::spool::tests::title;

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const IMPLICIT: &str = IMPLICIT_VR_LITTLE_ENDIAN;
const EXPLICIT: &str = EXPLICIT_VR_LITTLE_ENDIAN;

fn named(uid: &str) -> Named {
    (CT.parse().unwrap(), uid.parse().unwrap())
}

fn result(committed: &[&str], failed: &[(&str, Failure)]) -> Report {
    Report {
        calling: title("CT1"),
        called: title("CAUSEWAY"),
        transaction: "2.25.77".parse().unwrap(),
        committed: committed.iter().map(|uid| named(uid)).collect(),
        failed: failed.iter().map(|(uid, why)| (named(uid), *why)).collect(),
    }
}

/// Instances of a sequence, with their reasons.
fn read(dataset: &Dataset, tag: Tag) -> Vec<(String, Vec<u8>)> {
    let items = dataset.items(tag).iter();
    items
        .map(|item| {
            assert_eq!(item.code(tags::REFERENCED_SOP_CLASS_UID), CT);
            let uid = item.code(tags::REFERENCED_SOP_INSTANCE_UID);
            (uid, item.bytes(tags::FAILURE_REASON).to_vec())
        })
        .collect()
}

#[test]
fn a_result_names_each_instance_and_why() {
    let all = [
        ("1.2.1", Failure::NotHere, 0x0112_u16),
        ("1.2.22", Failure::OtherClass, 0x0119),
        ("1.2.3", Failure::Stays("withheld"), 0x0110),
        ("1.2.4", Failure::TooLate, 0x0110),
        ("1.2.5", Failure::UsedTwice, 0x0131),
    ];
    let failed = all.map(|(uid, why, _)| (uid, why));
    let reasons = all.map(|(uid, _, code)| (uid.to_owned(), code.to_le_bytes().to_vec()));
    for syntax in [IMPLICIT, EXPLICIT] {
        for (committed, failed, kind) in [
            (&["1.2.9", "1.2.10"][..], &failed[..], 2),
            (&["1.2.9"][..], &[][..], 1),
            (&[][..], &failed[..], 2),
        ] {
            let (event, bytes) = event(&result(committed, failed), syntax);
            assert_eq!(event, kind);
            let dataset = Dataset::read(&bytes, &syntax.parse().unwrap()).unwrap();
            assert_eq!(dataset.code(tags::TRANSACTION_UID), "2.25.77");
            let said = read(&dataset, tags::REFERENCED_SOP_SEQUENCE);
            let expected = committed.iter().map(|uid| ((*uid).to_owned(), Vec::new()));
            assert_eq!(said, Vec::from_iter(expected));
            let said = read(&dataset, tags::FAILED_SOP_SEQUENCE);
            assert_eq!(said, reasons[..failed.len()]);
            // a sequence without an item says nothing (PS3.4 table J.3-2)
            let there = |tag| dataset.get(tag).is_some();
            assert_eq!(there(tags::FAILED_SOP_SEQUENCE), !failed.is_empty());
            assert_eq!(there(tags::REFERENCED_SOP_SEQUENCE), !committed.is_empty());
        }
    }
}

/// Our own writer of results writes requests as well: they have the same attributes.
#[test]
fn a_request_is_read_and_each_instance_once() {
    for syntax in [IMPLICIT, EXPLICIT] {
        let (_, bytes) = event(&result(&["1.2.1", "1.2.2", "1.2.1"], &[]), syntax);
        let syntax = syntax.parse().unwrap();
        let (transaction, instances) = read_request(&bytes, &syntax).unwrap();
        assert_eq!(transaction, "2.25.77");
        assert_eq!(instances, [named("1.2.1"), named("1.2.2")]);
        for end in 0..bytes.len() {
            let cut = read_request(&bytes[..end], &syntax);
            assert!(cut.is_err(), "cut at {end}");
        }
    }
}
