//! Faults on the way out: one object is harmed, another one of another patient is not.

use std::collections::HashSet;
use std::io::Write as _;
use std::sync::OnceLock;

use causeway_proto::dataset::Dataset;
use causeway_proto::digest::{ContentHasher, Digest};
use causeway_proto::link::message::{Agreement, HelloGateway};
use dicom_core::{Tag, VR};

use super::super::ends_after;
use super::stand::{Table, object, sql, text};
use crate::protect::Protector;
use crate::spool::decision::By;
use crate::spool::disk::memory::Call;
use crate::spool::tests::{Bench, What};
use crate::spool::{Config, Outgoing};

const HARMED: &str = "1.2.1.1";
const NEIGHBOUR: &str = "1.2.9.1";
/// What must not be in any byte that leaves.
const WORDS: [&[u8]; 3] = [b"HOSP884213", b"HOSP777777", b"Blomqvist"];
const DEFLATED: &str =
    "UPDATE instance SET syntax = '1.2.840.10008.1.2.1.99' WHERE sop_uid = '1.2.1.1'";

fn harmed() -> Vec<u8> {
    object("1.2.1", HARMED, "HOSP884213", "ISO_IR 192").write()
}

/// Each of both has an agreement of its own, so that a broken key is the key of one.
async fn site(bytes: &[u8]) -> Bench {
    let bench = Bench::strict(Config::default()).await;
    lend_key(&bench);
    greet(&bench, "").await;
    let neighbour = object("1.2.9", NEIGHBOUR, "HOSP777777", "ISO_IR 192").write();
    let harmed = What {
        patient: "HOSP884213",
        agreement: Some("a1"),
        ..What::image("1.2.1", HARMED)
    };
    let other = What {
        patient: "HOSP777777",
        agreement: Some("a2"),
        ..What::image("1.2.9", NEIGHBOUR)
    };
    bench.store(&harmed.with_bytes(bytes)).await.unwrap();
    // each in a segment of its own
    let bench = bench.restart().await;
    bench.store(&other.with_bytes(&neighbour)).await.unwrap();
    bench
}

/// One hospital's key for all benches: minting one takes most of a second.
fn lend_key(bench: &Bench) {
    static LENT: OnceLock<[String; 2]> = OnceLock::new();
    let folder = bench.folder.path().join("keys");
    let files = ["hospital.key", "hospital.crt"].map(|name| folder.join(name));
    let lent = LENT.get_or_init(|| {
        bench.spool.keys().hospital_certificate().unwrap();
        files
            .each_ref()
            .map(|file| std::fs::read_to_string(file).unwrap())
    });
    for (file, text) in files.iter().zip(lent) {
        if !file.exists() {
            causeway_certs::keep::create(file, "lent", text).unwrap();
        }
    }
}

async fn greet(bench: &Bench, profile: &str) {
    let agreement = |id: &str, profile: &str| {
        let mut it = Agreement::identified(id.parse().unwrap(), "Readers");
        it.profile = profile.to_owned();
        it
    };
    let hello = HelloGateway {
        epoch: 1,
        high_water: 0,
        agreements: vec![agreement("a1", profile), agreement("a2", "")],
        codings: Vec::new(),
    };
    bench.spool.greeted(&hello).await.unwrap();
}

/// What the worker does in a quarter of a minute.
async fn protect(bench: &Bench) -> Protector {
    let protector = Protector::new(bench.spool.clone());
    for _ in 0..3 {
        drop(protector.work().await);
    }
    protector
}

/// The bytes that go over the line, or none when they cannot be made.
async fn form(protector: &Protector, out: &Outgoing) -> Option<Vec<u8>> {
    let form = protector.form(out).await.ok()?;
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < form.length() {
        bytes.extend_from_slice(&form.read(bytes.len() as u64, 1000).await.ok()?);
    }
    let mut hasher = ContentHasher::new(&out.sent.syntax);
    hasher.update(&bytes);
    assert_eq!(
        hasher.finish(),
        out.sent.digest,
        "other bytes than were decided"
    );
    Some(bytes)
}

/// Which of both leave now; every byte of it is looked at.
async fn leaving(bench: &Bench, protector: &Protector) -> HashSet<String> {
    let mut left = HashSet::new();
    for out in bench.spool.next_to_send(99, &HashSet::new()).await.unwrap() {
        assert!(out.profile > 0, "an object is offered as it was received");
        let Some(bytes) = form(protector, &out).await else {
            continue;
        };
        for word in WORDS {
            let found = bytes.windows(word.len()).any(|it| it == word);
            assert!(!found, "{} leaves", String::from_utf8_lossy(word));
        }
        let dataset = Dataset::read(&bytes, &out.sent.syntax).unwrap();
        assert!(dataset.code(Tag(0x0010, 0x0020)).starts_with("CW"));
        assert_eq!(dataset.code(Tag(0x0012, 0x0062)), "YES");
        left.insert(out.key.instance.as_str().to_owned());
    }
    left
}

/// How the harmed object stands: its reason names nobody.
async fn standing(bench: &Bench, left: &HashSet<String>) -> String {
    if left.contains(HARMED) {
        return "leaves protected".to_owned();
    }
    let query = "SELECT state || ': ' || reason FROM instance WHERE sop_uid = '1.2.1.1'";
    let said = text(bench, query).await;
    for word in ["884213", "Blomqvist", "ACC-1"] {
        assert!(!said.contains(word), "{said}");
    }
    said.trim_end_matches(": ").to_owned()
}

/// One point: what stands after the fault, and after it was mended. `shared`: the fault stops everything, and both come after it.
async fn point(table: &mut Table, name: &str, bench: &Bench, shared: bool, mend: Option<&str>) {
    let protector = protect(bench).await;
    let left = leaving(bench, &protector).await;
    assert!(
        shared || left.contains(NEIGHBOUR),
        "{name}: the other waits"
    );
    assert!(!shared || left.is_empty(), "{name}: {left:?}");
    let mut said = standing(bench, &left).await;
    bench.disk.mend();
    if let Some(mend) = mend {
        sql(bench, mend).await;
        let protector = protect(bench).await;
        let left = leaving(bench, &protector).await;
        assert!(left.contains(NEIGHBOUR), "{name}: the other waits still");
        said = format!("{said}; mended: {}", standing(bench, &left).await);
    }
    table.add(name, said);
}

/// What is received is damaged, or is nothing that can be protected.
pub(super) async fn received(table: &mut Table) {
    for nth in 1..=4 {
        let bench = site(&harmed()).await;
        bench.disk.fail(Call::Read, nth);
        let protector = protect(&bench).await;
        let left = leaving(&bench, &protector).await;
        assert!(!left.is_empty(), "read {nth}: one fault stops both");
        let how = format!(
            "{} of 2 leave; {}",
            left.len(),
            standing(&bench, &left).await
        );
        table.add(&format!("out: read {nth} of the disk fails"), how);
    }
    let cut: fn(&mut Vec<u8>) -> bool = |data| {
        data.truncate(200);
        true
    };
    let swap: fn(&mut Vec<u8>) -> bool = |data| {
        // behind the head of its frame
        data[4096..4156].iter_mut().for_each(|byte| *byte ^= 0x55);
        true
    };
    for (name, change) in [
        (
            "out: received bytes are gone",
            (|_: &mut Vec<u8>| false) as fn(&mut Vec<u8>) -> bool,
        ),
        ("out: received bytes are cut short", cut),
        ("out: received bytes are other bytes", swap),
    ] {
        let bench = site(&harmed()).await;
        bench.disk.damage(|data| {
            let is_harmed = data.windows(10).any(|it| it == WORDS[0]);
            !is_harmed || change(data)
        });
        point(table, name, &bench, false, None).await;
    }
    contents(table).await;
}

/// What came is nothing that can be protected.
async fn contents(table: &mut Table) {
    let mut uid = object("1.2.1", HARMED, "HOSP884213", "ISO_IR 192");
    uid.put_text(Tag(0x0020, 0x0052), VR::UI, "1.2.884213.5");
    let other = object("1.2.1", HARMED, "HOSP111111", "ISO_IR 192");
    for (name, bytes) in [
        (
            "out: no dataset at all",
            b"rubbish of HOSP884213 Blomqvist".to_vec(),
        ),
        (
            "out: cut in the middle of an element",
            harmed()[..150].to_vec(),
        ),
        (
            "out: unknown character set",
            object("1.2.1", HARMED, "HOSP884213", "ISO_IR 999").write(),
        ),
        ("out: the identifier stands in a UID", uid.write()),
        ("out: another patient than its study's", other.write()),
    ] {
        point(table, name, &site(&bytes).await, false, None).await;
    }
    for (name, bytes) in [
        ("out: deflated and damaged", b"no deflate stream".to_vec()),
        ("out: deflated beyond the cap", bomb()),
        (
            "out: deflated and cut short",
            deflated(&harmed())[..120].to_vec(),
        ),
    ] {
        let bench = site(&bytes).await;
        sql(&bench, DEFLATED).await;
        point(table, name, &bench, false, None).await;
    }
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::fast();
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), level);
    deflate.write_all(bytes).unwrap();
    deflate.finish().unwrap()
}

fn bomb() -> Vec<u8> {
    let mut bytes = harmed();
    bytes.resize(80 << 20, 0);
    deflated(&bytes)
}

/// The rows refuse one statement about the harmed object, or everything.
pub(super) async fn rows(table: &mut Table) {
    let no = "BEGIN SELECT RAISE(ABORT, 'no'); END";
    for (name, trigger) in [
        (
            "out: the sealed set is refused by the rows",
            "INSERT ON sealed_set WHEN NEW.agreement = 'a1'",
        ),
        (
            "out: the audit record is refused by the rows",
            "INSERT ON audit_event WHEN NEW.subject = '1.2.1'",
        ),
        (
            "out: the decision is refused by the rows",
            "UPDATE ON instance WHEN NEW.sop_uid = '1.2.1.1' AND NEW.sent_digest IS NOT NULL",
        ),
    ] {
        let bench = site(&harmed()).await;
        sql(
            &bench,
            &format!("CREATE TRIGGER fault BEFORE {trigger} {no}"),
        )
        .await;
        point(table, name, &bench, false, Some("DROP TRIGGER fault")).await;
    }
    let bench = site(b"rubbish").await;
    let withheld = "UPDATE ON instance WHEN NEW.state = 'withheld'";
    sql(
        &bench,
        &format!("CREATE TRIGGER fault BEFORE {withheld} {no}"),
    )
    .await;
    let name = "out: withholding is refused by the rows";
    point(table, name, &bench, false, Some("DROP TRIGGER fault")).await;
    for (name, breaks, mends) in [
        (
            "out: the queue cannot be read",
            "ALTER TABLE agreement RENAME TO gone",
            "ALTER TABLE gone RENAME TO agreement",
        ),
        (
            "out: sealed sets cannot be read",
            "ALTER TABLE sealed_set RENAME TO gone",
            "ALTER TABLE gone RENAME TO sealed_set",
        ),
    ] {
        let bench = site(&harmed()).await;
        sql(&bench, breaks).await;
        point_shared(table, name, &bench, mends).await;
    }
    full(table).await;
    let bench = site(&harmed()).await;
    greet(&bench, "reading-99").await;
    let name = "out: the agreement names an unknown profile";
    point(table, name, &bench, false, None).await;
}

/// The rows get not a page more than they have.
async fn full(table: &mut Table) {
    let mut large = object("1.2.1", HARMED, "HOSP884213", "ISO_IR 192");
    large.put_text(Tag(0x0010, 0x1040), VR::LO, &"a long road ".repeat(900));
    let bench = site(&large.write()).await;
    // less than there is counts as what there is: not a page more, and what is sealed needs some
    sql(&bench, "PRAGMA max_page_count = 1").await;
    let protector = Protector::new(bench.spool.clone());
    drop(protector.work().await);
    leaving(&bench, &protector).await;
    let mut tx = bench.spool.rows().begin().await.unwrap();
    let pages = sqlx::query_scalar("PRAGMA max_page_count");
    let pages: i64 = pages.fetch_one(&mut *tx).await.unwrap();
    assert!(pages > 1_000_000, "the rows had room: {pages}");
    drop(tx);
    let name = "out: the disk of the rows is full for a moment";
    point(table, name, &bench, false, None).await;
}

async fn point_shared(table: &mut Table, name: &str, bench: &Bench, mend: &str) {
    let protector = Protector::new(bench.spool.clone());
    for _ in 0..3 {
        assert!(
            protector.work().await.is_err(),
            "{name}: the fault was not met"
        );
    }
    sql(bench, mend).await;
    let left = leaving(bench, &protect(bench).await).await;
    assert_eq!(left.len(), 2, "{name}: both leave when it is mended");
    let said = "nothing is decided; mended: both leave protected";
    table.add(name, said.to_owned());
}

/// Keys that were broken while the agent was down.
pub(super) async fn keys(table: &mut Table) {
    let of_one = format!("agreement-{}.key", Digest::of(b"a1"));
    for (name, file, folder) in [
        (
            "out: the agreement's key is unreadable",
            of_one.as_str(),
            false,
        ),
        (
            "out: the agreement's key cannot be made",
            of_one.as_str(),
            true,
        ),
        (
            "out: the hospital's key is unreadable",
            "hospital.key",
            false,
        ),
        (
            "out: the hospital's key cannot be made",
            "hospital.key",
            true,
        ),
    ] {
        let bench = site(&harmed()).await;
        let path = bench.folder.path().join("keys").join(file);
        drop(std::fs::remove_file(&path));
        if folder {
            causeway_certs::keep::folder(&path).unwrap();
        } else {
            causeway_certs::keep::create(&path, "new", "rubbish").unwrap();
        }
        let bench = bench.restart().await;
        greet(&bench, "").await;
        // the hospital's key seals everything: without it nothing leaves
        let shared = file == "hospital.key";
        point(table, name, &bench, shared, None).await;
    }
    let bench = site(&harmed()).await;
    protect(&bench).await;
    std::fs::remove_file(bench.folder.path().join("keys").join(&of_one)).unwrap();
    let bench = bench.restart().await;
    greet(&bench, "").await;
    Protector::new(bench.spool.clone()).begin().await.unwrap();
    let name = "out: the agreement's key is lost before it leaves";
    point(table, name, &bench, false, None).await;
}

/// It was decided, and then something changed before it was sent.
pub(super) async fn decided(table: &mut Table) {
    for (name, change) in [
        (
            "out: decided, then its sealed set is gone",
            "DELETE FROM sealed_set WHERE agreement = 'a1'",
        ),
        (
            "out: decided, then its own seal is gone",
            "UPDATE instance SET sealed = NULL WHERE sop_uid = '1.2.1.1'",
        ),
        (
            "out: decided by a version that is not known",
            "UPDATE instance SET profile = 99 WHERE sop_uid = '1.2.1.1'",
        ),
        (
            "out: decided, then another length stands there",
            "UPDATE instance SET sent_length = 7 WHERE sop_uid = '1.2.1.1'",
        ),
        (
            "out: decided, then the agreement is ended",
            "UPDATE agreement SET in_force = 0 WHERE id = 'a1'",
        ),
    ] {
        let bench = site(&harmed()).await;
        let protector = protect(&bench).await;
        assert_eq!(leaving(&bench, &protector).await.len(), 2, "{name}");
        sql(&bench, change).await;
        let first = leaving(&bench, &protector).await;
        assert!(first.contains(NEIGHBOUR), "{name}");
        point(table, name, &bench, false, None).await;
    }
    let bench = site(&harmed()).await;
    let protector = protect(&bench).await;
    bench
        .disk
        .damage(|data| !data.windows(10).any(|it| it == WORDS[0]));
    let left = leaving(&bench, &protector).await;
    assert!(!left.contains(HARMED) && left.contains(NEIGHBOUR));
    let name = "out: decided, then its bytes are gone";
    point(table, name, &bench, false, None).await;
    let bench = site(&harmed()).await;
    protect(&bench).await;
    let case = text(
        &bench,
        "SELECT case_code FROM study WHERE study_uid = '1.2.1'",
    )
    .await;
    bench
        .spool
        .recall(
            &case.parse().unwrap(),
            By {
                who: "rita",
                reason: "wrong",
            },
        )
        .await
        .unwrap();
    let name = "out: decided, then its study is recalled";
    point(table, name, &bench, false, None).await;
}

/// The process ends at every step that it can end at, and power is lost.
pub(super) async fn ended(table: &mut Table) {
    let mut bench = site(&harmed()).await;
    let mut steps = 0;
    loop {
        steps += 1;
        let protector = Protector::new(bench.spool.clone());
        let finished = ends_after(steps, protector.work()).await.is_some();
        drop(protector);
        bench = bench.restart().await;
        greet(&bench, "").await;
        let protector = Protector::new(bench.spool.clone());
        leaving(&bench, &protector).await;
        if finished {
            break;
        }
        sql(
            &bench,
            "UPDATE instance SET sent_digest = NULL, sealed = NULL",
        )
        .await;
        sql(&bench, "DELETE FROM sealed_set").await;
    }
    assert!(steps > 3, "the worker has more steps than {steps}");
    let name = format!("out: the process ends at each of {steps} steps");
    point(table, &name, &bench, false, None).await;
    for before in [true, false] {
        let bench = site(&harmed()).await;
        if !before {
            protect(&bench).await;
        }
        bench.disk.crash(|| false);
        let bench = bench.restart().await;
        greet(&bench, "").await;
        let when = if before { "before" } else { "after" };
        let name = format!("out: power is lost {when} the decision");
        point(table, &name, &bench, false, None).await;
    }
}
