//! Pseudonyms, placeholders, exposed files, rotation.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

use causeway_proto::time::Timestamp;
use tempfile::TempDir;

use super::*;

mod sealing;
mod travel;

/// Random bytes that are the same in every run.
fn counted(seed: u64) -> Random {
    let drawn = AtomicU64::new(0);
    Random::new(move |out| {
        for chunk in out.chunks_mut(32) {
            let n = drawn.fetch_add(1, Ordering::Relaxed);
            let digest = Digest::of(&[seed.to_be_bytes(), n.to_be_bytes()].concat());
            chunk.copy_from_slice(&digest.0[..chunk.len()]);
        }
    })
}

fn clock() -> Clock {
    Clock::new(|| Timestamp(1_790_000_000_000_000))
}

fn keys_in(folder: &TempDir, seed: u64) -> Keys {
    Keys::open(&folder.path().join("keys"), counted(seed), clock()).unwrap()
}

fn agreement(name: &str) -> AgreementId {
    name.parse().unwrap()
}

#[test]
fn a_pseudonym_is_stable_and_tells_patients_issuers_and_agreements_apart() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_in(&folder, 1);
    let (a, b) = (agreement("a1"), agreement("b1"));
    let mut all = std::collections::HashSet::new();
    for agreement in [&a, &b] {
        for (issuer, id) in [
            ("HOSP", "4711"),
            ("HOSP", "4712"),
            ("OTHER", "4711"),
            ("", "4711"),
            ("AB", "C"),
            ("A", "BC"),
            ("ABC", ""),
            ("", "ABC"),
        ] {
            assert!(all.insert(keys.pseudonym(agreement, issuer, id).unwrap()));
        }
        assert!(all.insert(keys.study_pseudonym(agreement, "4711").unwrap()));
    }
    assert_eq!(all.len(), 18);
    let told = keys.pseudonym(&a, "HOSP", "4711").unwrap();
    let padded = keys.pseudonym(&a, "HOSP ", " 4711\0").unwrap();
    assert_eq!(told, padded, "padding carries no meaning");
    let again = keys_in(&folder, 99);
    assert_eq!(again.pseudonym(&a, "HOSP", "4711").unwrap(), told);
    assert_eq!(told.as_str().parse::<Pseudonym>(), Ok(told));
}

/// Other programs may have to make the same: HMAC-SHA256 throughout, computed here by hand.
#[test]
fn the_construction_is_what_the_documents_say() {
    use aws_lc_rs::hmac;
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_in(&folder, 2);
    let a = agreement("a1");
    let source = Digest::of(b"content");
    let tag = keys.source_tag(&a, &source).unwrap();
    let name = format!("agreement-{}.key", Digest::of(b"a1"));
    let text = std::fs::read_to_string(folder.path().join("keys").join(name)).unwrap();
    let key = hex::decode(text.trim_end()).unwrap();
    let mac = |key: &[u8], bytes: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        <[u8; 32]>::try_from(hmac::sign(&key, bytes).as_ref()).unwrap()
    };
    assert_eq!(tag.0, mac(&key, &source.0));
    let parts = b"\0\0\0\0\0\0\0\x04HOSP\0\0\0\0\0\0\0\x044711";
    let right = mac(&mac(&key, b"pseudonym"), parts);
    let pseudonym = keys.pseudonym(&a, "HOSP", "4711").unwrap();
    assert_eq!(pseudonym, Pseudonym::of(&right));
}

#[test]
fn a_shift_of_dates_is_as_constant_as_a_pseudonym_and_never_none() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_in(&folder, 2);
    let a = agreement("a1");
    let shift = |id: &str| keys.date_shift(&a, "HOSP", id).unwrap();
    assert_eq!(
        shift("4711"),
        shift(" 4711\0"),
        "padding carries no meaning"
    );
    assert_eq!(
        keys_in(&folder, 99).date_shift(&a, "HOSP", "4711").unwrap(),
        shift("4711")
    );
    let all: Vec<u16> = (0..2000).map(|id| shift(&id.to_string())).collect();
    assert!(all.iter().all(|days| (1..=3650).contains(days)));
    let different: std::collections::BTreeSet<&u16> = all.iter().collect();
    // of 2000 drawn from 3650 some 1540 differ
    assert!(different.len() > 1400, "{}", different.len());
    // other agreements, issuers and kinds: equal by chance once in 3650
    let b = agreement("b1");
    let differ = |other: &dyn Fn(&str) -> u16| {
        let same = (0..50).filter(|id| other(&id.to_string()) == shift(&id.to_string()));
        same.count() < 5
    };
    assert!(differ(&|id| keys.date_shift(&b, "HOSP", id).unwrap()));
    assert!(differ(&|id| keys.date_shift(&a, "", id).unwrap()));
    assert!(differ(&|id| keys.study_date_shift(&a, id).unwrap()));
    let before = shift("4711");
    keys.rotate(&a).unwrap();
    let after: Vec<u16> = (0..50).map(|id| shift(&id.to_string())).collect();
    assert_ne!(after, all[..50], "{before}");
}

#[test]
fn tokens_of_two_kinds_never_meet_and_fit_into_a_short_string() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_in(&folder, 3);
    let a = agreement("a1");
    let accession = keys.token(&a, "accession", "A-1").unwrap();
    assert_ne!(accession, keys.token(&a, "visit", "A-1").unwrap());
    assert_ne!(accession, keys.token(&a, "accession", "A-2").unwrap());
    assert_ne!(
        accession,
        keys.token(&agreement("b1"), "accession", "A-1").unwrap()
    );
    assert_ne!(
        keys.token(&a, "ab", "c").unwrap(),
        keys.token(&a, "a", "bc").unwrap()
    );
    assert_eq!(accession, keys.token(&a, "accession", "A-1 ").unwrap());
    assert!(accession.len() <= 16 && accession.starts_with("CX"));
    assert!(accession.bytes().all(|b| b.is_ascii_alphanumeric()));
}

#[test]
fn no_identity_is_not_one_identity() {
    let shipped = [
        "",
        "  ",
        "\0",
        "0",
        "0000",
        "9",
        "99999999",
        "UNKNOWN",
        "unknown",
        " Un Known ",
        "UNK",
        "UNK123",
        "Unk^Male",
        "EMERGENCY",
        "EMERGENCY 7",
        "emergency-2026-11",
        "TRAUMA",
        "Trauma12",
        "TEST",
        "TEST PATIENT",
    ];
    for id in shipped {
        assert!(is_placeholder(id, &[], false), "{id:?}");
        assert!(is_placeholder(id, &[], true), "{id:?}");
    }
    for id in [
        "4711",
        "10",
        "90",
        "09",
        "0099",
        "PUNK",
        "ATRAUMA",
        "UN",
        "A0000",
        "00UNKNOWN",
    ] {
        assert!(!is_placeholder(id, &[], false), "{id:?}");
    }
    for id in ["09", "0099", "00UNKNOWN", "0 TRAUMA 1"] {
        assert!(is_placeholder(id, &[], true), "{id:?}");
    }
    let extra = ["Αγνωστος*".to_owned(), "0815".to_owned(), "*".to_owned()];
    for (id, plain, zeros) in [
        ("ΆΓΝΩΣΤΟΣ", false, false),
        ("ΑΓΝΩΣΤΟΣ 3", true, true),
        ("0815", true, true),
        ("815", false, true),
        ("000815", false, true),
        ("4711", false, false),
    ] {
        assert_eq!(is_placeholder(id, &extra, false), plain, "{id:?}");
        assert_eq!(is_placeholder(id, &extra, true), zeros, "{id:?}");
    }
}

#[test]
fn a_secret_that_others_can_read_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_in(&folder, 4);
    keys.token(&agreement("a1"), "k", "v").unwrap();
    let place = folder.path().join("keys");
    let key = std::fs::read_dir(&place).unwrap().next().unwrap().unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&key.path()), mode(&place)), (0o600, 0o700));
    let chmod = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let open = || Keys::open(&place, counted(5), clock()).map(|_| ());
    chmod(&key.path(), 0o640);
    assert!(matches!(open(), Err(KeysError::Exposed(path)) if path == key.path()));
    chmod(&key.path(), 0o600);
    chmod(&place, 0o755);
    assert!(matches!(open(), Err(KeysError::Exposed(path)) if path == place));
    chmod(&place, 0o700);
    assert!(open().is_ok());
}

#[test]
fn a_key_file_of_another_form_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let a = agreement("a1");
    let before = keys_in(&folder, 6).token(&a, "k", "v").unwrap();
    let path = folder
        .path()
        .join("keys")
        .join(format!("agreement-{}.key", Digest::of(b"a1")));
    let good = std::fs::read_to_string(&path).unwrap();
    for bad in [
        "",
        "\n",
        "00\n",
        &good[..64],
        &good[1..],
        &format!("{good}x\n"),
    ] {
        std::fs::write(&path, bad).unwrap();
        let keys = keys_in(&folder, 7);
        assert!(matches!(
            keys.token(&a, "k", "v"),
            Err(KeysError::Malformed(_))
        ));
        assert!(matches!(keys.rotate(&a), Err(KeysError::Malformed(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), bad);
    }
    std::fs::write(&path, &good).unwrap();
    assert_eq!(keys_in(&folder, 8).token(&a, "k", "v").unwrap(), before);
}

#[test]
fn a_rotation_parts_patients_from_their_past_but_not_objects_on_their_way() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_in(&folder, 9);
    let (a, b) = (agreement("a1"), agreement("b1"));
    assert!(matches!(keys.rotate(&a), Err(KeysError::NoAgreement)));
    let facts = |keys: &Keys, agreement: &AgreementId| {
        (
            keys.pseudonym(agreement, "H", "1").unwrap(),
            keys.study_pseudonym(agreement, "1.2").unwrap(),
            keys.token(agreement, "accession", "A").unwrap(),
        )
    };
    let tag = keys.source_tag(&a, &Digest::of(b"x")).unwrap();
    let (old, other) = (facts(&keys, &a), facts(&keys, &b));
    assert_eq!(keys.rotate(&a).unwrap(), 2);
    let new = facts(&keys, &a);
    assert!(old.0 != new.0 && old.1 != new.1 && old.2 != new.2);
    assert_eq!(keys.source_tag(&a, &Digest::of(b"x")).unwrap(), tag);
    assert_eq!(facts(&keys, &b), other, "another agreement is not touched");
    let again = keys_in(&folder, 10);
    assert_eq!(facts(&again, &a), new, "and it lasts");
    assert_eq!(again.rotate(&a).unwrap(), 3);
}

#[test]
fn debug_shows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(format!("{:?}", keys_in(&folder, 11)), "Keys");
}

#[test]
fn other_uids_are_legal_stable_and_of_one_purpose_and_agreement() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_in(&folder, 12);
    let (a, b) = (agreement("a1"), agreement("b1"));
    let mut all = std::collections::HashSet::new();
    for agreement in [&a, &b] {
        for purpose in [UidPurpose::Leaves, UidPurpose::Home] {
            for uid in ["1.2.3", "1.2.4", "1.2.3.4"] {
                let other = keys.uid(agreement, purpose, uid).unwrap();
                other.parse::<causeway_proto::ids::StudyUid>().unwrap();
                let number: u128 = other.strip_prefix("2.25.").unwrap().parse().unwrap();
                let bytes = number.to_be_bytes();
                assert_eq!((bytes[6] >> 4, bytes[8] >> 6), (8, 2), "{other}");
                assert!(all.insert(other));
            }
        }
    }
    let before = keys.uid(&a, UidPurpose::Leaves, "1.2.3").unwrap();
    assert_eq!(keys.uid(&a, UidPurpose::Leaves, "1.2.3\0").unwrap(), before);
    keys.rotate(&a).unwrap();
    assert_eq!(keys.uid(&a, UidPurpose::Leaves, "1.2.3").unwrap(), before);
}

#[test]
fn the_site_signs_with_a_key_that_travels_with_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_in(&folder, 13);
    keys.hospital_certificate().unwrap();
    let without = keys.export("correct horse battery").unwrap();
    let certificate = keys.signing_certificate().unwrap();
    let signature = keys.sign(b"message").unwrap();
    assert_eq!(keys_in(&folder, 14).sign(b"message").unwrap(), signature);
    let bytes = keys.export("correct horse battery").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let other = keys_in(&elsewhere, 15);
    assert_eq!(other.import(&without, "correct horse battery").unwrap(), 2);
    assert_eq!(other.import(&bytes, "correct horse battery").unwrap(), 2);
    assert_eq!(other.signing_certificate().unwrap(), certificate);
}
