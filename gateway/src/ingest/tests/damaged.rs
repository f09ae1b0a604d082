//! Blobs that are not what they were: found, not served, asked for, and mended by the same bytes.

use std::path::PathBuf;

use causeway_proto::link::message::{NotKept, Query};
use causeway_proto::time::Timestamp;

use super::stand::{clock, site};
use super::{CT, Object, Stand, stands};
use crate::archive::scrub::{self, Scrub, Turn};
use crate::archive::{BlobKey, Named, fault};
use crate::ingest::IngestError;

fn key(object: &Object) -> BlobKey {
    BlobKey::instance(&site(), &"g1".parse().unwrap(), &object.digest())
}

fn path(stand: &Stand, object: &Object) -> PathBuf {
    stand.folder.path().join("blobs").join(key(object).as_str())
}

fn aside(stand: &Stand, object: &Object) -> PathBuf {
    stand
        .folder
        .path()
        .join("damaged")
        .join(key(object).as_str())
}

/// A scrub that begins anew as soon as it has ended.
fn scrub(stand: &Stand) -> Scrub {
    let config = scrub::Config {
        max_bytes_per_s: u64::MAX,
        every_h: 0,
    };
    Scrub::new(stand.archive.clone(), clock(), config)
}

/// One whole pass; how many it found damaged.
async fn pass(scrub: &Scrub) -> u64 {
    let mut found = 0;
    loop {
        match scrub.turn().await.unwrap() {
            Turn::Went { damaged, .. } => found += damaged,
            Turn::Ended => return found,
            Turn::Idle => panic!("no pass was begun"),
        }
    }
}

async fn held(stand: &Stand, object: &Object) -> bool {
    let query = Query {
        keys: vec![object.key()],
    };
    let have = stand.door.have(&site(), &query).await.unwrap();
    have.entries[0].receipt.is_some()
}

#[tokio::test]
async fn every_kind_of_damage_is_found_and_mended_by_the_same_bytes() {
    const FAULTS: &str = "SELECT count(*) FROM blob_fault";
    for stand in stands().await {
        let [one, other] = ["1.2.3.4.5", "1.2.3.4.6"]
            .map(|sop| Object::made(sop, CT, &[(0x7FE0_0010, "OB", &[7; 3000])]));
        let first = stand.send(&one).await.unwrap();
        stand.send(&other).await.unwrap();
        let scrub = scrub(&stand);
        assert_eq!(pass(&scrub).await, 0);
        assert!(scrub::last_pass(&stand.rows).await.unwrap().is_some());
        let (file, whole) = (path(&stand, &one), one.bytes.to_vec());
        let flipped = |bit: usize| {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };
        let swapped = {
            let mut bytes = other.bytes.to_vec();
            bytes.truncate(whole.len());
            bytes
        };
        let last = whole.len() * 8 - 1;
        let damages = [
            flipped(0),
            flipped(last),
            flipped(4001),
            whole[..99].to_vec(),
            vec![],
            swapped,
        ];
        for (n, bytes) in damages.into_iter().enumerate() {
            std::fs::write(&file, &bytes).unwrap();
            assert_eq!(pass(&scrub).await, 1, "damage {n}");
            assert_eq!(pass(&scrub).await, 0, "damage {n} is known");
            assert!(!file.exists(), "damage {n} may be served");
            assert_eq!(std::fs::read(aside(&stand, &one)).unwrap(), bytes);
            assert!(!held(&stand, &one).await, "damage {n} is receipted");
            assert!(held(&stand, &other).await);
            let receipt = stand.send(&one).await.unwrap();
            assert_eq!(receipt, first, "damage {n}");
            assert_eq!(std::fs::read(&file).unwrap(), whole);
            assert_eq!(stand.count(FAULTS).await, 0);
            assert!(!aside(&stand, &one).exists());
            assert!(held(&stand, &one).await);
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(pass(&scrub).await, 1);
        assert_eq!(stand.send(&one).await.unwrap(), first);
        assert_eq!(pass(&scrub).await, 0);
        assert_eq!(stand.count("SELECT count(*) FROM instance").await, 2);
    }
}

#[tokio::test]
async fn a_site_is_asked_until_it_has_sent_or_has_nothing() {
    for stand in stands().await {
        let object = Object::made("1.2.3.4.5", CT, &[]);
        stand.send(&object).await.unwrap();
        std::fs::remove_file(path(&stand, &object)).unwrap();
        assert_eq!(pass(&scrub(&stand)).await, 1);
        let (rows, now) = (&stand.rows, Timestamp(1_900_000_000_000_000));
        let ask = async |before: i64| {
            let asked = fault::to_ask(rows, &site(), Timestamp(before), now).await;
            asked.unwrap()
        };
        let asked = ask(0).await;
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].instances[0].instance.as_str(), object.sop);
        assert_eq!(asked[0].instances[0].sent_digest, object.digest());
        assert!(ask(0).await.is_empty(), "asked a moment ago");
        assert_eq!(ask(now.0).await.len(), 1);
        let other = fault::to_ask(rows, &"s2".parse().unwrap(), now, now).await;
        assert!(other.unwrap().is_empty());
        let said = NotKept {
            study: "1.2.3".parse().unwrap(),
            agreement: "g1".parse().unwrap(),
            instances: vec![object.sop.parse().unwrap()],
        };
        fault::not_kept(rows, &"s2".parse().unwrap(), &said, now)
            .await
            .unwrap();
        assert_eq!(
            fault::standing(rows).await.unwrap(),
            (1, 0),
            "another site's word"
        );
        fault::not_kept(rows, &site(), &said, now).await.unwrap();
        assert_eq!(fault::standing(rows).await.unwrap(), (1, 1));
        assert!(ask(now.0).await.is_empty());
        // sent all the same, it is there again
        stand.send(&object).await.unwrap();
        assert_eq!(fault::standing(rows).await.unwrap(), (0, 0));
    }
}

#[tokio::test]
async fn other_bytes_of_the_same_source_are_not_taken_for_the_damaged_ones() {
    for stand in stands().await {
        let object = Object::made("1.2.3.4.5", CT, &[]);
        stand.send(&object).await.unwrap();
        std::fs::remove_file(path(&stand, &object)).unwrap();
        assert_eq!(pass(&scrub(&stand)).await, 1);
        let protected = Object {
            tag: object.tag,
            ..Object::made("1.2.3.4.5", CT, &[(0x0008_103E, "LO", b"another form")])
        };
        let refused = stand.send(&protected).await;
        assert!(
            matches!(refused, Err(IngestError::DigestMismatch)),
            "{refused:?}"
        );
        assert_eq!(fault::standing(&stand.rows).await.unwrap(), (1, 0));
    }
}

#[tokio::test]
async fn a_resend_heals_what_nobody_has_found_yet_and_what_is_whole_is_no_fault() {
    for stand in stands().await {
        let object = Object::made("1.2.3.4.5", CT, &[]);
        stand.send(&object).await.unwrap();
        let (file, mut bytes) = (path(&stand, &object), object.bytes.to_vec());
        bytes[9] ^= 4;
        std::fs::write(&file, &bytes).unwrap();
        let again = Object {
            tag: causeway_proto::digest::Digest::of(b"other tag"),
            ..object.clone()
        };
        stand.send(&again).await.unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), &object.bytes[..]);
        let named = Named {
            key: key(&object),
            length: object.bytes.len() as u64,
            syntax: object.syntax.parse().ok(),
        };
        let noted = stand.archive.fault(&named, Timestamp(1)).await.unwrap();
        assert!(!noted, "a whole blob was put aside");
        assert!(file.exists());
    }
}

#[tokio::test]
async fn what_is_deleted_with_its_study_leaves_nothing_of_its_damage() {
    for stand in stands().await {
        let object = Object::made("1.2.3.4.5", CT, &[]);
        stand.send(&object).await.unwrap();
        std::fs::write(path(&stand, &object), b"rot").unwrap();
        assert_eq!(pass(&scrub(&stand)).await, 1);
        assert!(aside(&stand, &object).exists());
        stand.run("DELETE FROM instance").await;
        crate::deletion::take_unneeded(&stand.archive, &site(), &[key(&object)])
            .await
            .unwrap();
        assert!(!aside(&stand, &object).exists());
        assert_eq!(fault::standing(&stand.rows).await.unwrap(), (0, 0));
    }
}

#[tokio::test]
async fn what_the_disk_does_not_read_stays_where_it_is_and_holds_nothing_up() {
    for stand in stands().await {
        let all = ["1.2.3.4.5", "1.2.3.4.6", "1.2.3.4.7"].map(|sop| Object::made(sop, CT, &[]));
        for object in &all {
            stand.send(object).await.unwrap();
        }
        let mut files = all.each_ref().map(|object| path(&stand, object));
        files.sort_unstable();
        let [first, second, third] = files;
        let whole = std::fs::read(&first).unwrap();
        std::fs::remove_file(&first).unwrap();
        // a read of this answers EIO, as that of a disk that fails
        std::os::unix::fs::symlink("/proc/self/mem", &first).unwrap();
        let mut byte = [0];
        let read = std::io::Read::read(&mut std::fs::File::open(&first).unwrap(), &mut byte);
        assert_eq!(read.unwrap_err().raw_os_error(), Some(5));
        std::fs::remove_file(&second).unwrap();
        std::fs::create_dir(&second).unwrap();
        std::fs::write(&third, b"rot").unwrap();

        let scrub = scrub(&stand);
        assert_eq!(pass(&scrub).await, 1, "only what was read is judged");
        assert!(std::fs::symlink_metadata(&first).is_ok());
        let aside_of = |file: &PathBuf| {
            let key = file.strip_prefix(stand.folder.path().join("blobs"));
            stand.folder.path().join("damaged").join(key.unwrap())
        };
        assert!(std::fs::symlink_metadata(aside_of(&first)).is_err());
        assert!(aside_of(&third).exists());
        assert_eq!(fault::standing(&stand.rows).await.unwrap(), (1, 0));
        assert_eq!(scrub::unread(&stand.rows).await.unwrap(), 2);
        // the disk reads again
        std::fs::remove_file(&first).unwrap();
        std::fs::write(&first, whole).unwrap();
        assert_eq!(pass(&scrub).await, 0);
        assert_eq!(scrub::unread(&stand.rows).await.unwrap(), 1);
        let named = crate::archive::named::named(&stand.rows, "", 9)
            .await
            .unwrap();
        assert!(stand.archive.fault(&named[1], Timestamp(1)).await.is_err());
    }
}

#[tokio::test]
async fn damage_that_cannot_be_put_aside_holds_nothing_up_and_is_found_again() {
    for stand in stands().await {
        let all = ["1.2.3.4.5", "1.2.3.4.6"].map(|sop| Object::made(sop, CT, &[]));
        for object in &all {
            stand.send(object).await.unwrap();
        }
        let mut files = all.each_ref().map(|object| path(&stand, object));
        files.sort_unstable();
        std::fs::write(&files[0], b"rot").unwrap();
        std::fs::remove_file(&files[1]).unwrap();
        let in_the_way = stand.folder.path().join("damaged");
        std::fs::write(&in_the_way, b"").unwrap();
        let scrub = scrub(&stand);
        let turn = scrub.turn().await.unwrap();
        let went = |blobs, damaged, failed| Turn::Went {
            blobs,
            damaged,
            failed,
        };
        assert_eq!(turn, went(0, 0, true));
        assert_eq!(scrub.turn().await.unwrap(), went(0, 0, true));
        assert_eq!(scrub.turn().await.unwrap(), went(1, 1, false));
        assert_eq!(scrub.turn().await.unwrap(), Turn::Ended);
        assert_eq!(scrub::unread(&stand.rows).await.unwrap(), 1);
        std::fs::remove_file(&in_the_way).unwrap();
        assert_eq!(pass(&scrub).await, 1);
        assert_eq!(scrub::unread(&stand.rows).await.unwrap(), 0);
    }
}
