//! What is strange and is kept as it came, for it can be told where each element ends; and what the spool says to it.

use std::io::Write as _;

use causeway_proto::prescan;

use super::messages::{dataset, say, store};
use super::*;
use crate::spool;
use crate::spool::disk::memory::Call;

const DEFLATED: &str = "1.2.840.10008.1.2.1.99";

/// A value in explicit VR little endian.
fn value(tag: (u16, u16), vr: &str, value: &[u8]) -> Vec<u8> {
    element(tag, vr, u32::try_from(value.len()).unwrap(), value)
}

/// What stands behind the elements of [`dataset`].
fn behind() -> Vec<(&'static str, Vec<u8>)> {
    let creators = [
        value((0x0029, 0x0010), "LO", b"ONE "),
        value((0x0029, 0x0010), "LO", b"OTHER "),
        value((0x0029, 0x1001), "LO", b"whose "),
    ];
    let end = vec![0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0];
    let pixels = [
        value((0x0028, 0x0010), "UL", &u32::MAX.to_le_bytes()),
        value((0x0028, 0x0011), "US", &u16::MAX.to_le_bytes()),
        value((0x0028, 0x0008), "IS", b"999999999999"),
        value((0x0028, 0x0100), "US", &[8, 0]),
        value((0x0028, 0x0101), "US", &[99, 0]),
        element((0x7FE0, 0x0010), "OB", u32::MAX, &[]),
        end.clone(),
    ];
    let times = [
        value((0x0008, 0x0020), "DA", b"00000000"),
        value((0x0008, 0x0021), "DA", b"20260230"),
        value((0x0008, 0x0030), "TM", b"25:61 "),
        value((0x0010, 0x1010), "AS", b"999Y"),
        value((0x0018, 0x0050), "DS", b"NaN "),
        value((0x0020, 0x0013), "IS", b"99999999999999999999"),
    ];
    let open = [
        element((0x0040, 0xA730), "SQ", u32::MAX, &[]),
        item(u32::MAX),
    ]
    .concat();
    let closed = [vec![0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0], end].concat();
    vec![
        ("two creators of one block", creators.concat()),
        ("group 0002", value((0x0002, 0x0010), "UI", b"1.2\0")),
        ("group 0000", value((0x0000, 0x0100), "US", &[1, 0])),
        ("a VR that is none", value((0x0029, 0x1002), "??", b"abcd")),
        ("an odd length", value((0x7FE0, 0x0010), "OB", b"abc")),
        ("pixels that cannot be", pixels.concat()),
        ("times that cannot be", times.concat()),
        ("64 levels", [open.repeat(64), closed.repeat(64)].concat()),
        (
            "1,000,000 elements",
            element((0x0029, 0x0011), "SH", 0, &[]).repeat(999_993),
        ),
    ]
}

/// What stands in the place of an element of [`dataset`].
fn instead() -> Vec<(&'static str, u32, Vec<u8>)> {
    vec![
        ("zeros before", 0x0020_000D, b"1.002.03".to_vec()),
        ("64 digits", 0x0020_000E, vec![b'1'; 64]),
        (
            "a script",
            0x0010_0010,
            b"<script>x</script>^=cmd()".to_vec(),
        ),
        ("5,000 characters", 0x0010_0010, vec![b'x'; 5000]),
        (
            "escapes and a direction",
            0x0010_0010,
            b"\x1b$B\xE2\x80\xAE\xFFx".to_vec(),
        ),
    ]
}

/// Small, and inflates to 64 MiB.
fn bomb(instance: &str) -> Vec<u8> {
    let named = named(instance, |_| {});
    let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(&named).unwrap();
    out.write_all(&element((0x7FE0, 0x0010), "OW", 64 << 20, &[]))
        .unwrap();
    for _ in 0..64 {
        out.write_all(&vec![0; 1 << 20]).unwrap();
    }
    out.finish().unwrap()
}

/// The data set of an instance.
fn named(instance: &str, change: impl Fn(&mut Vec<(u32, &'static str, Vec<u8>)>)) -> Vec<u8> {
    dataset(|elements| {
        elements[1].2 = instance.as_bytes().to_vec();
        change(elements);
    })
}

#[tokio::test]
async fn what_is_strange_is_kept_byte_for_byte() {
    let site = Site::open("").await;
    let mut peer = Peer::associated(&site, &[STORE[0], (CT, DEFLATED)]).await;
    let mut all = Vec::new();
    for (what, more) in behind() {
        let instance = format!("1.2.3.0{}", all.len());
        let bytes = [named(&instance, |_| {}), more].concat();
        all.push((what, 1, instance, bytes));
    }
    for (what, tag, value) in instead() {
        let instance = format!("1.2.3.0{}", all.len());
        let bytes = named(&instance, |elements| {
            let found = elements.iter_mut().find(|(t, _, _)| *t == tag);
            found.unwrap().2 = value.clone();
        });
        all.push((what, 1, instance, bytes));
    }
    let instance = format!("1.2.3.0{}", all.len());
    let bytes = bomb(&instance);
    all.push(("a bomb", 3, instance, bytes));
    for (what, context, instance, bytes) in &all {
        let request = command::write_store_request(7, CT, instance);
        say(&mut peer, *context, &request, Some(bytes)).await;
        assert_eq!(peer.response().await, (0, String::new()), "{what}");
    }
    let held = site.held().await;
    assert_eq!(held.len(), all.len());
    for (what, _, instance, bytes) in all {
        let kept = held.iter().find(|(uid, _)| *uid == instance);
        assert!(kept.is_some_and(|(_, kept)| *kept == bytes), "{what}");
    }
    drop(peer);
    site.close().await;
}

#[tokio::test]
async fn other_bytes_of_the_same_instance_are_success_too_and_kept_aside() {
    let site = Site::open("").await;
    let mut peer = Peer::associated(&site, &STORE).await;
    let first = dataset(|_| {});
    let other = [first.clone(), value((0x0020, 0x0013), "IS", b"7 ")].concat();
    for bytes in [&first, &other, &first, &other] {
        let success = (0, String::new());
        assert_eq!(store(&mut peer, "1.2.3.4", bytes).await, success);
    }
    assert_eq!(site.held().await, [("1.2.3.4".to_owned(), first)]);
    let held = spool::view::held(site.bench.spool.rows()).await.unwrap();
    assert_eq!(held.len(), 1, "{held:?}");
    drop(peer);
    site.close().await;
}

#[tokio::test]
async fn more_than_the_largest_instance_is_refused_or_ended() {
    let mut config = spool::Config::default();
    config.disk.max_instance_bytes = 1 << 20;
    let site = Site::open_over(Bench::with(config).await, "").await;
    let mut peer = Peer::associated(&site, &STORE).await;
    let pixels = |length: usize| {
        let length = u32::try_from(length).unwrap();
        let header = element((0x7FE0, 0x0010), "OW", length, &[]);
        [dataset(|_| {}), header, vec![0; length as usize]].concat()
    };
    let larger = "the instance is larger than this agent takes".to_owned();
    for surplus in [1 << 20, 63 << 20] {
        let answer = store(&mut peer, "1.2.3.4", &pixels((1 << 20) + surplus)).await;
        assert_eq!(answer, (0xA700, larger.clone()));
    }
    assert_eq!(store(&mut peer, "1.2.3.4", &dataset(|_| {})).await.0, 0);
    let request = command::write_store_request(7, CT, "1.2.3.5");
    say(&mut peer, 1, &request, Some(&pixels(66 << 20))).await;
    assert_eq!(peer.short().await, "abort 2/0");
    assert_eq!(site.held().await.len(), 1);
    drop(peer);
    site.close().await;
}

#[tokio::test]
async fn a_disk_or_rows_that_refuse_are_no_success_and_the_association_stays() {
    let site = Site::open("").await;
    let mut peer = Peer::associated(&site, &STORE).await;
    let disk = "the disk refused the instance".to_owned();
    let bytes = dataset(|_| {});
    for call in [Call::Append, Call::Sync] {
        site.bench.disk.fail(call, 1);
        let answer = store(&mut peer, "1.2.3.4", &bytes).await;
        assert_eq!(answer, (0xA700, disk.clone()), "{call:?}");
        assert_eq!(site.held().await, []);
    }
    assert_eq!(store(&mut peer, "1.2.3.4", &bytes).await.0, 0);
    change(
        &site,
        "CREATE TRIGGER no BEFORE INSERT ON instance BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .await;
    // rows that are refused are put aside, up to a bound
    for number in 0..70 {
        let instance = format!("1.2.3.5.{number}");
        let answer = store(&mut peer, &instance, &named(&instance, |_| {})).await;
        assert_eq!(answer.0, 0);
    }
    site.bench.spool.settle().await.unwrap_err();
    let rows = "the spool refused the instance".to_owned();
    let other = named("1.2.3.6", |_| {});
    assert_eq!(store(&mut peer, "1.2.3.6", &other).await, (0xA700, rows));
    change(&site, "DROP TRIGGER no").await;
    assert_eq!(store(&mut peer, "1.2.3.6", &other).await.0, 0);
    drop(peer);
    site.close().await;
}

async fn change(site: &Site, statement: &'static str) {
    let mut tx = site.bench.spool.rows().begin().await.unwrap();
    sqlx::query(statement).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_is_strange_is_logged_once_for_each_association_without_a_word_of_it() {
    let logged = Logged::here();
    let site = Site::open("").await;
    let strange = [
        value((0x0002, 0x0010), "UI", b"SECRET"),
        value((0x0029, 0x1002), "??", b"SECRET"),
        value((0x7FE0, 0x0010), "OB", b"SECRETS"),
    ]
    .concat();
    for _ in 0..2 {
        let mut peer = Peer::associated(&site, &STORE).await;
        for instance in ["1.2.03.4", "1.2.03.5"] {
            let bytes = [named(instance, |_| {}), strange.clone()].concat();
            assert_eq!(store(&mut peer, instance, &bytes).await.0, 0);
        }
        drop(peer);
    }
    site.close().await;
    let lines = logged.lines();
    for remark in [
        prescan::Remark::LeadingZeros,
        prescan::Remark::ForeignGroup,
        prescan::Remark::UnknownVr,
        prescan::Remark::OddLength,
    ] {
        assert_eq!(lines.matches(&remark.to_string()).count(), 2, "{lines}");
    }
    for private in ["SECRET", "1.2.03", "TEST-1", "Nobody"] {
        assert!(!lines.contains(private), "{private} in {lines}");
    }
}
