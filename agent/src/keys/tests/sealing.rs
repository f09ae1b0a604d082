//! The hospital's key against itself and against the program `openssl`.

use std::process::Command;
use std::sync::OnceLock;

use causeway_proto::dataset::Dataset;
use dicom_core::VR;
use dicom_dictionary_std::tags;
use proptest::prelude::*;

use super::super::cms::{self, Envelope};
use super::*;

/// One folder with a hospital's key for all tests of this file: drawing one takes a second.
fn site() -> &'static (TempDir, Keys) {
    static SITE: OnceLock<(TempDir, Keys)> = OnceLock::new();
    SITE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let keys = keys_in(&folder, 21);
        keys.hospital_certificate().unwrap();
        (folder, keys)
    })
}

/// An Encrypted Attributes Data Set with a name of this length.
pub(super) fn attributes(name: &str) -> Vec<u8> {
    let mut originals = Dataset::new();
    originals.put_text(tags::PATIENT_NAME, VR::PN, name);
    let mut dataset = Dataset::new();
    dataset.put_items(tags::MODIFIED_ATTRIBUTES_SEQUENCE, vec![originals]);
    dataset.write()
}

fn openssl(folder: &Path, arguments: &[&str]) -> bool {
    let run = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    run.status.success()
}

#[test]
fn what_is_sealed_opens_here_whatever_its_length_and_padding() {
    let (_, keys) = site();
    for length in [0, 1, 2, 15, 16, 17, 200, 70_000] {
        let plain = attributes(&"N".repeat(length));
        let sealed = keys.seal(&plain).unwrap();
        assert_eq!(keys.open_sealed(&sealed).unwrap(), plain);
        assert_ne!(keys.seal(&plain).unwrap(), sealed, "a fresh key and IV");
        let padded = [&sealed[..], &[0]].concat();
        assert_eq!(keys.open_sealed(&padded).unwrap(), plain);
    }
    assert!(matches!(
        keys.seal(b"a name"),
        Err(KeysError::NotAttributes)
    ));
    assert!(matches!(keys.seal(b""), Err(KeysError::NotAttributes)));
}

#[test]
fn openssl_opens_what_is_sealed_here_and_the_other_way_round() {
    let (_, keys) = site();
    let folder = tempfile::tempdir().unwrap();
    let here = |name: &str| folder.path().join(name);
    for name in ["hospital.key", "hospital.crt"] {
        let from = site().0.path().join("keys").join(name);
        std::fs::copy(from, here(name)).unwrap();
    }
    let plain = attributes("Müller^Jürgen");
    std::fs::write(here("sealed"), keys.seal(&plain).unwrap()).unwrap();
    let decrypt = "cms -decrypt -inform DER -in sealed -out plain -inkey hospital.key";
    for recipient in ["", " -recip hospital.crt"] {
        let line = format!("{decrypt}{recipient}");
        assert!(
            openssl(folder.path(), &line.split(' ').collect::<Vec<_>>()),
            "{line}"
        );
        assert_eq!(std::fs::read(here("plain")).unwrap(), plain);
        std::fs::remove_file(here("plain")).unwrap();
    }
    std::fs::write(here("plain"), &plain).unwrap();
    let encrypt = "cms -encrypt -binary -aes256 -outform DER -in plain -out theirs hospital.crt";
    assert!(openssl(
        folder.path(),
        &encrypt.split(' ').collect::<Vec<_>>()
    ));
    let theirs = std::fs::read(here("theirs")).unwrap();
    assert_eq!(keys.open_sealed(&theirs).unwrap(), plain);

    let stranger =
        "req -x509 -newkey rsa:2048 -nodes -keyout s.key -out s.crt -subj /CN=stranger -days 2";
    assert!(openssl(
        folder.path(),
        &stranger.split(' ').collect::<Vec<_>>()
    ));
    let strange = "cms -decrypt -inform DER -in sealed -out x -inkey s.key -recip s.crt";
    assert!(!openssl(
        folder.path(),
        &strange.split(' ').collect::<Vec<_>>()
    ));
    // two recipients, ours the second: "several items" is not the only way to have several readers
    let both = "cms -encrypt -binary -aes256 -outform DER -in plain -out both s.crt hospital.crt";
    assert!(openssl(folder.path(), &both.split(' ').collect::<Vec<_>>()));
    let both = std::fs::read(here("both")).unwrap();
    assert_eq!(keys.open_sealed(&both).unwrap(), plain);
}

/// Whatever is wrong, there is one answer.
#[test]
fn everything_that_does_not_open_is_answered_alike() {
    let (_, keys) = site();
    let folder = tempfile::tempdir().unwrap();
    let other = keys_in(&folder, 22);
    assert!(matches!(other.open_sealed(b""), Err(KeysError::NoHospital)));
    let plain = attributes("NAME^ONE");
    let mut said = std::collections::HashSet::new();
    let mut refuse = |bytes: &[u8]| match keys.open_sealed(bytes) {
        Err(error @ KeysError::Sealed) => {
            said.insert(format!("{error} {error:?}"));
        }
        other => panic!("{other:?}"),
    };
    refuse(&other.seal(&plain).unwrap());
    let sealed = keys.seal(&plain).unwrap();
    for at in 0..sealed.len() {
        refuse(&sealed[..at]);
    }
    let content = cms::read(&sealed).unwrap().content;
    let start = sealed.len() - content.len();
    // every bit from the carried key on: of the key, of the algorithm, of the IV and of the content; some of the content's only
    // change text (CBC has no check of its own), which is why a sealed set is believed only with what it belongs to
    for at in start.saturating_sub(400)..start {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        match keys.open_sealed(&changed) {
            Ok(opened) => assert_eq!(opened.len(), plain.len()),
            Err(_) => refuse(&changed),
        }
    }
    let mut changed = sealed.clone();
    *changed.last_mut().unwrap() ^= 0x40;
    refuse(&changed);
    assert_eq!(said.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn hostile_bytes_are_never_more_than_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..500, with in any::<u8>()) {
        let (_, keys) = site();
        prop_assert!(keys.open_sealed(&bytes).is_err());
        let mut sealed = cms::write(&Envelope { recipients: Vec::new(), iv: [0; 16], content: bytes });
        if let Some(byte) = sealed.get_mut(at) {
            *byte = with;
        }
        prop_assert!(keys.open_sealed(&sealed).is_err());
    }
}

#[test]
fn a_certificate_without_its_key_is_never_given_another() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("keys");
    keys_in(&folder, 23).hospital_certificate().unwrap();
    std::fs::remove_file(place.join("hospital.key")).unwrap();
    let keys = keys_in(&folder, 24);
    assert!(matches!(
        keys.seal(&attributes("A")),
        Err(KeysError::Hospital(_))
    ));
    assert!(!place.join("hospital.key").exists());
}
