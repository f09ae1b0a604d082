//! Objects that are made to do harm: each is kept, what cannot be indexed is set aside with its reason, and none costs more than it may.

use std::io::Write as _;

use super::*;
use crate::ingest::Config;

const DEFLATED: &str = "1.2.840.10008.1.2.1.99";

/// The identity that [`Object::of_bytes`] announces, and `more` behind it.
fn dataset(sop: &str, more: &[u8]) -> Bytes {
    let object = Object::made(sop, CT, &[]);
    [&object.bytes[..], more].concat().into()
}

fn deflated(sop: &str, more: &[u8]) -> Bytes {
    let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(&dataset(sop, &[])).unwrap();
    out.write_all(more).unwrap();
    out.finish().unwrap().into()
}

/// An element of no length.
const EMPTY: [u8; 8] = [0x29, 0, 1, 0x10, b'S', b'H', 0, 0];

#[tokio::test]
async fn what_is_too_much_for_a_header_is_set_aside_with_its_reason() {
    // PS3.5 A.5: the agent has seen the first mebibyte of it; it is not so small that its size alone would tell
    let mut each = Vec::new();
    for number in 0..1_000_001_u32 {
        let [a, b, ..] = number.wrapping_mul(2_654_435_761).to_be_bytes();
        each.extend([0x29, 0, 1, 0x10, b'S', b'H', 2, 0, a | 0x40, b | 0x40]);
    }
    let elements = deflated("1.2.3.4.1", &each);
    let zeros = [
        &[0xE0, 0x7F, 0x10, 0, b'O', b'W', 0, 0][..],
        &(300_u32 << 20).to_le_bytes(),
        &vec![0; 300 << 20],
    ]
    .concat();
    let bomb = deflated("1.2.3.4.2", &zeros);
    assert!(bomb.len() * 200 < zeros.len(), "{} bytes", bomb.len());
    // a value of DS that is longer as JSON than as it stands, again and again
    let value = [0x29, 0, 1, 0x10, b'P', b'N', 0xFE, 0xFF];
    let names = [&value[..], &b"a\\".repeat(0x7FFF)].concat();
    let many = dataset("1.2.3.4.3", &names.repeat(100));
    let plain = dataset("1.2.3.4.4", &EMPTY.repeat(1_000_001));
    let table = [
        ("1.2.3.4.1", DEFLATED, elements, "more elements than"),
        ("1.2.3.4.2", DEFLATED, bomb, "inflates to more than"),
        ("1.2.3.4.3", EXPLICIT, many, "more bytes of text"),
        ("1.2.3.4.4", EXPLICIT, plain, "more than 1000000 elements"),
    ];
    for stand in stands().await {
        for (sop, syntax, bytes, reason) in &table {
            let object = Object::of_bytes(sop, CT, syntax, bytes.clone());
            assert!(stand.send(&object).await.unwrap().quarantined, "{reason}");
            let open = quarantine::open(&stand.rows).await.unwrap();
            let reasons: Vec<_> = open.iter().map(|one| &one.reason).collect();
            let said = reasons.iter().any(|one| one.contains(reason));
            assert!(said, "{reason}: {reasons:?}");
        }
        assert_eq!(stand.count("SELECT count(*) FROM instance").await, 0);
    }
}

#[tokio::test]
async fn values_that_cannot_be_are_kept_as_text_and_indexed_as_nothing() {
    for stand in stands().await {
        let strange: [(u32, &str, &[u8]); 9] = [
            (0x0008_0020, "DA", b"20260230"),
            (0x0008_0021, "DA", b"00000000"),
            (0x0008_0030, "TM", b"25:61"),
            (0x0010_0010, "PN", b"<script>x</script>^=cmd()"),
            (0x0010_0030, "DA", b"99999999"),
            (0x0010_1010, "AS", b"999Y"),
            (0x0018_0050, "DS", b"NaN\\Infinity\\1e999"),
            (0x0020_0011, "IS", b"99999999999999999999"),
            (0x0020_0013, "IS", b"NaN"),
        ];
        let object = Object::made("1.2.3.4.5", CT, &strange);
        assert!(!stand.send(&object).await.unwrap().quarantined);
        let nothing = [
            "SELECT count(*) FROM study WHERE study_date = ''",
            "SELECT count(*) FROM series WHERE number IS NULL",
            "SELECT count(*) FROM instance WHERE number IS NULL",
        ];
        for sql in nothing {
            assert_eq!(stand.count(sql).await, 1, "{sql}");
        }
        let (json,): (String,) = sqlx::query_as("SELECT metadata FROM instance")
            .fetch_one(stand.rows.read())
            .await
            .unwrap();
        let header: serde_json::Value = serde_json::from_str(&json).unwrap();
        let value = |key: &str| header[key]["Value"].clone();
        assert_eq!(value("00080020"), serde_json::json!(["20260230"]));
        assert_eq!(
            value("00180050"),
            serde_json::json!(["NaN", "Infinity", "1e999"])
        );
        assert_eq!(
            value("00200011"),
            serde_json::json!(["99999999999999999999"])
        );
        assert_eq!(value("00100010")[0]["Alphabetic"], "<script>x</script>^");
    }
}

#[tokio::test]
async fn longer_than_the_bound_is_refused_as_it_comes() {
    for stand in stands().await {
        let config = Config {
            max_instance_bytes: 1000,
            ..Config::default()
        };
        let archive = stand.archive.clone();
        let events = worklist::Events::default();
        let door =
            crate::ingest::Ingest::new(config, archive, events, stand::clock(), stand::random())
                .await
                .unwrap();
        let long = Object::made("1.2.3.4.5", CT, &[(0x7FE0_0010, "OW", &[0; 2000])]);
        let refused = send(&door, &long).await.unwrap_err();
        assert!(matches!(refused, IngestError::TooLarge { limit: 1000 }));
        let short = Object::made("1.2.3.4.6", CT, &[]);
        assert!(!send(&door, &short).await.unwrap().quarantined);
    }
}

#[tokio::test]
async fn another_sites_agreement_is_told_from_one_that_is_not_in_force() {
    for stand in stands().await {
        let object = Object::made("1.2.3.4.5", CT, &[]);
        let begin = async |agreement: &str| {
            let mut message = object.message(0);
            message.agreement = agreement.parse().unwrap();
            let begun = stand.door.begin_instance(&site(), &message).await;
            begun.err()
        };
        assert!(matches!(begin("g2").await, Some(IngestError::Foreign)));
        assert!(matches!(begin("g3").await, Some(IngestError::Forbidden)));
        assert!(begin("g1").await.is_none());
        stand
            .run("UPDATE agreement SET ended_us = 1 WHERE id = 'g1'")
            .await;
        assert!(matches!(begin("g1").await, Some(IngestError::Forbidden)));
    }
}
