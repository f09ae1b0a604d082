//! Keys on their way to another machine.

use super::sealing::attributes;
use super::*;

const PASSPHRASE: &str = "correct horse battery";

struct Site {
    folder: TempDir,
    keys: Keys,
    bytes: Vec<u8>,
}

/// A site with two agreements, one rotated, and its export.
fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_in(&folder, 31);
    for name in ["a1", "b1"] {
        keys.token(&agreement(name), "k", "v").unwrap();
    }
    keys.rotate(&agreement("b1")).unwrap();
    assert!(matches!(
        keys.export(PASSPHRASE),
        Err(KeysError::NoHospital)
    ));
    keys.hospital_certificate().unwrap();
    assert!(matches!(
        keys.export("short"),
        Err(KeysError::Passphrase(12))
    ));
    let bytes = keys.export(PASSPHRASE).unwrap();
    Site {
        folder,
        keys,
        bytes,
    }
}

fn listing(folder: &TempDir) -> Vec<(String, Vec<u8>, u32)> {
    let mut all: Vec<_> = std::fs::read_dir(folder.path().join("keys"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap(), mode)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn keys_come_back_as_they_went() {
    let site = site();
    let sealed = site.keys.seal(&attributes("Name^A")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_in(&folder, 32);
    assert_eq!(keys.import(&site.bytes, PASSPHRASE).unwrap(), 4);
    assert_eq!(listing(&folder), listing(&site.folder));
    assert_eq!(keys.open_sealed(&sealed).unwrap(), attributes("Name^A"));
    for name in ["a1", "b1"] {
        assert_eq!(
            keys.pseudonym(&agreement(name), "H", "1").unwrap(),
            site.keys.pseudonym(&agreement(name), "H", "1").unwrap()
        );
    }
    assert_eq!(keys.import(&site.bytes, PASSPHRASE).unwrap(), 0);
    // an older export beside a key that was rotated since
    keys.rotate(&agreement("a1")).unwrap();
    let rotated = listing(&folder);
    assert_eq!(keys.import(&site.bytes, PASSPHRASE).unwrap(), 0);
    assert_eq!(listing(&folder), rotated);
    // and a newer one beside the older key
    let newer = keys.export(PASSPHRASE).unwrap();
    assert_eq!(site.keys.import(&newer, PASSPHRASE).unwrap(), 1);
    assert_eq!(listing(&site.folder), rotated);
}

#[test]
fn nothing_is_imported_over_another_key() {
    let site = site();
    for other in ["agreement", "hospital"] {
        let folder = tempfile::tempdir().unwrap();
        let keys = keys_in(&folder, 33);
        if other == "agreement" {
            keys.token(&agreement("b1"), "k", "v").unwrap();
        } else {
            keys.hospital_certificate().unwrap();
        }
        let before = listing(&folder);
        let refused = keys.import(&site.bytes, PASSPHRASE);
        assert!(
            matches!(refused, Err(KeysError::Different(_))),
            "{refused:?}"
        );
        assert_eq!(
            listing(&folder),
            before,
            "not even the keys that were missing"
        );
    }
}

#[test]
fn another_passphrase_or_one_changed_byte_opens_nothing() {
    let site = site();
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_in(&folder, 34);
    let refuse = |bytes: &[u8], passphrase: &str| {
        let refused = keys.import(bytes, passphrase);
        assert!(matches!(refused, Err(KeysError::Bundle)), "{refused:?}");
    };
    refuse(&site.bytes, "correct horse batterz");
    refuse(&site.bytes, "");
    let last = site.bytes.len() - 1;
    for at in [0, 15, 16, 31, 32, 43, 44, 100, last] {
        let mut changed = site.bytes.clone();
        changed[at] ^= 1;
        refuse(&changed, PASSPHRASE);
    }
    for length in [0, 16, 44, last] {
        refuse(&site.bytes[..length], PASSPHRASE);
    }
    assert!(listing(&folder).is_empty());
    let name = format!("agreement-{}", Digest::of(b"a1"));
    let text = String::from_utf8_lossy(&site.bytes).into_owned();
    assert!(!text.contains(&name), "not even which agreements there are");
}
