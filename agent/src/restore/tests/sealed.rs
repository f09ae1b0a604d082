//! The originals that a report carries: opened by their hospital alone, and believed only for their own study.

use causeway_proto::ids::{AgreementId, StudyUid};
use causeway_proto::time::{Clock, Timestamp};

use super::*;
use crate::keys::Keys;
use crate::spool::tests::seeded;

/// A hospital's keys in a folder of their own.
fn hospital(folder: &std::path::Path, seed: u64) -> Keys {
    let clock = Clock::new(|| Timestamp(1_700_000_000_000_000));
    Keys::open(folder, seeded(seed), clock).unwrap()
}

fn opener(keys: &Keys) -> Unseal {
    let keys = keys.clone();
    Unseal::new(move |agreement, study, sealed| {
        keys.open_study(agreement, study.as_str(), sealed).ok()
    })
}

#[test]
fn the_sealed_originals_open_with_the_hospitals_key_alone() {
    let folder = tempfile::tempdir().unwrap();
    let ours = hospital(&folder.path().join("ours"), 1);
    let other = hospital(&folder.path().join("other"), 2);
    other.hospital_certificate().unwrap();
    let agreement: AgreementId = "a-1".parse().unwrap();
    let study: StudyUid = STUDY.parse().unwrap();
    for comment in ["x", "xxx", "xxxxx"] {
        let mut inside = answer("ISO_IR 100", b"PID-1", b"M\xFCller^J\xF6rg");
        inside.put_text(tags::PATIENT_COMMENTS, VR::LT, comment);
        let mut plain = Dataset::new();
        plain.put_items(tags::MODIFIED_ATTRIBUTES_SEQUENCE, vec![inside]);
        let sealed = ours.seal_study(&agreement, STUDY, &plain.write()).unwrap();
        // as it comes over the link: written, with its padding, and read again
        let (_, bytes) = as_sent(&protected(&sealed));
        let dataset = sr::from_bytes(&bytes).unwrap();
        assert!(is_pseudonymous(&dataset));
        let found = originals(&dataset, &agreement, &study, &opener(&ours)).unwrap();
        assert_eq!(
            (found.id.reveal(), found.name.reveal()),
            ("PID-1", "Müller^Jörg")
        );
        assert_eq!(
            originals(&dataset, &agreement, &study, &opener(&other)),
            None
        );
    }
    assert_eq!(
        originals(&protected(b""), &agreement, &study, &opener(&ours)),
        None
    );
    assert!(!is_pseudonymous(&sr::encode(&document(STUDY, "2.25.1"))));
}

/// A report's header is not signed: the gateway, or whoever has the hospital's certificate, can put any sealed set there.
#[test]
fn a_sealed_set_counts_for_its_own_study_only() {
    let folder = tempfile::tempdir().unwrap();
    let keys = hospital(&folder.path().join("ours"), 3);
    let agreement: AgreementId = "a-1".parse().unwrap();
    let study: StudyUid = STUDY.parse().unwrap();
    let mut plain = Dataset::new();
    let inside = answer("ISO_IR 100", b"PID-1", b"One^Patient");
    plain.put_items(tags::MODIFIED_ATTRIBUTES_SEQUENCE, vec![inside]);
    let plain = plain.write();
    let another = "a-2".parse().unwrap();
    let cases = [
        ("its own", keys.seal_study(&agreement, STUDY, &plain), true),
        (
            "of another study",
            keys.seal_study(&agreement, "1.2.4", &plain),
            false,
        ),
        (
            "under another agreement",
            keys.seal_study(&another, STUDY, &plain),
            false,
        ),
        ("by anybody with the certificate", keys.seal(&plain), false),
    ];
    for (whose, sealed, counts) in cases {
        let report = protected(&sealed.unwrap());
        let found = originals(&report, &agreement, &study, &opener(&keys));
        assert_eq!(found.is_some(), counts, "{whose}");
    }
    // a rotation changes pseudonyms, and no proof
    let sealed = keys.seal_study(&agreement, STUDY, &plain).unwrap();
    keys.rotate(&agreement).unwrap();
    let found = originals(&protected(&sealed), &agreement, &study, &opener(&keys));
    assert!(found.is_some());
}
