//! What a reader certificate says, when it may sign, and that an outside tool accepts the chain.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use causeway_proto::time::Clock;
use rustls_pki_types::CertificateRevocationListDer;

use super::*;
use crate::authority::tests::{NOON, clock_at, random};
use crate::revoke::{LIST_LIFE, Revoked};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn authority(folder: &Path) -> SignerAuthority {
    let clock: Clock = clock_at(NOON);
    SignerAuthority::open_or_create(folder, &clock, &random()).unwrap()
}

/// Drawing RSA keys is slow: all tests share one.
fn public() -> &'static [u8] {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    KEY.get_or_init(|| ReaderKey::draw().unwrap().public)
}

fn person() -> Person {
    Person {
        family: "Παπαδοπούλου".to_owned(),
        given: "Ελένη".to_owned(),
        title: "Dr".to_owned(),
        organisation: "TEST reading".to_owned(),
        country: "gr".to_owned(),
        registration: "TSAY 12345".to_owned(),
    }
}

#[test]
fn a_chain_says_who_signed_and_holds_while_key_certificate_and_list_allow_it() {
    let folder = tempfile::tempdir().unwrap();
    let signer = authority(folder.path());
    let reader = signer
        .issue_reader(public(), &person(), NOON, &random())
        .unwrap();
    let check = |list: Option<&_>, at| verify_chain(&reader.der, signer.certificate(), list, at);
    let verified = check(None, NOON).unwrap();
    assert_eq!(verified.name, "Ελένη Παπαδοπούλου");
    assert_eq!(
        (verified.country.as_str(), verified.registration.as_str()),
        ("GR", "TSAY 12345")
    );
    assert_eq!(verified.organisation, "TEST reading");
    assert_eq!(verified.usable_until, Some(reader.usable_until));
    assert_eq!(verified.serial, reader.serial);
    assert!(reader.validity.not_after > NOON.plus(DAY * 5_478));
    assert!(check(None, NOON.plus(DAY * 729)).is_ok());
    assert_eq!(
        check(None, NOON.plus(DAY * 731)),
        Err(ChainError::KeyOutOfTime(NOON.plus(DAY * 731)))
    );
    assert_eq!(
        check(None, NOON.plus(DAY * 5_480)),
        Err(ChainError::OutOfTime(NOON.plus(DAY * 5_480)))
    );
    assert_eq!(
        check(None, NOON.minus(DAY)),
        Err(ChainError::OutOfTime(NOON.minus(DAY)))
    );
    let since = NOON.plus(DAY * 10);
    let revoked = [Revoked {
        serial: reader.serial.clone(),
        since,
    }];
    let list = signer
        .revocation_list(&revoked, NOON.plus(DAY * 11))
        .unwrap();
    assert!(
        check(Some(&list), NOON.plus(DAY)).is_ok(),
        "what was signed before a revocation stays good"
    );
    assert_eq!(
        check(Some(&list), NOON.plus(DAY * 12)),
        Err(ChainError::Revoked(since))
    );
    let other = tempfile::tempdir().unwrap();
    let other = authority(other.path());
    let foreign = verify_chain(&reader.der, other.certificate(), None, NOON);
    assert_eq!(foreign, Err(ChainError::Authority));
    let foreign = other.revocation_list(&[], NOON).unwrap();
    assert!(
        check(Some(&foreign), NOON).is_err(),
        "a list of another authority is no list"
    );
}

#[test]
fn a_list_is_fresh_until_its_next_update_and_never_when_it_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let list = authority(folder.path()).revocation_list(&[], NOON).unwrap();
    let end = NOON.plus(LIST_LIFE);
    assert!(is_fresh(&list, NOON));
    assert!(is_fresh(&list, end), "the last second counts");
    assert!(!is_fresh(&list, end.plus(Duration::from_secs(1))));
    let half = list.as_ref().split_at(list.as_ref().len() / 2).0;
    for bytes in [half, b"".as_slice(), b"no list".as_slice()] {
        assert!(!is_fresh(&CertificateRevocationListDer::from(bytes), NOON));
    }
}

#[test]
fn keys_and_people_that_cannot_be_certified_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let signer = authority(folder.path());
    let short = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let curve = KeyPair::generate().unwrap();
    for key in [
        short.subject_public_key_info(),
        curve.subject_public_key_info(),
        b"nothing".to_vec(),
    ] {
        let refused = signer
            .issue_reader(&key, &person(), NOON, &random())
            .unwrap_err();
        assert!(matches!(refused, SignerError::Key), "{refused:?}");
    }
    let refused = |person: Person| match signer.issue_reader(public(), &person, NOON, &random()) {
        Err(SignerError::Subject(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(Person {
            country: "Greece".to_owned(),
            ..person()
        }),
        SubjectError::Country
    );
    assert_eq!(
        refused(Person {
            registration: " ".to_owned(),
            ..person()
        }),
        SubjectError::Empty("the registration number")
    );
    assert_eq!(
        refused(Person {
            organisation: "x".repeat(65),
            ..person()
        }),
        SubjectError::TooLong("the organisation")
    );
}

#[test]
fn openssl_accepts_the_chain_and_reads_the_extensions() {
    if Command::new("openssl").arg("version").output().is_err() {
        assert!(std::option_env!("CI").is_none(), "openssl is not installed");
        eprintln!("NOT TRIED: openssl is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let signer = authority(folder.path());
    let reader = signer
        .issue_reader(public(), &person(), NOON, &random())
        .unwrap();
    let file = folder.path().join("reader.der");
    std::fs::write(&file, &reader.der).unwrap();
    let run = |arguments: &[&str]| {
        let done = Command::new("openssl")
            .args(arguments)
            .arg(&file)
            .output()
            .unwrap();
        String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
    };
    let authority = folder.path().join("signer-ca.pem");
    let at = (NOON.0 / 1_000_000).to_string();
    let verified = run(&[
        "verify",
        "-x509_strict",
        "-attime",
        &at,
        "-CAfile",
        authority.to_str().unwrap(),
    ]);
    assert!(verified.trim_end().ends_with("OK"), "{verified}");
    let shown = run(&["x509", "-noout", "-text", "-in"]);
    for part in [
        "Digital Signature, Non Repudiation",
        "1.3.6.1.5.5.7.3.36",
        "Private Key Usage Period",
        "serialNumber = TSAY 12345",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
}
