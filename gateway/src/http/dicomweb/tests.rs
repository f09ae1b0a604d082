//! DICOMweb through its real routes, on both databases, with the public files.

mod bounds;
mod damaged;
mod desk;
mod gone;
mod owners;
mod pixels;

use std::collections::BTreeMap;
use std::io::Read as _;

use causeway_proto::ids::Purpose;
use serde_json::{Value, json};

use crate::ingest::tests::{CT, Object, SR, public_object, samples};
use desk::{Desk, parts};

const ALL: &str = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";

/// Every public file: what WADO-RS returns is, byte for byte, the dataset that was sent; one variant at a time where several
/// files share a UID.
#[tokio::test]
async fn every_public_file_leaves_as_it_came() {
    let all: Vec<_> = samples(&["studies", "syntaxes", "charsets", "sr"])
        .iter()
        .map(|path| (path.clone(), public_object(path)))
        .collect();
    let without = all.iter().filter(|(_, object)| object.is_none()).count();
    for desk in Desk::on_both().await {
        let mut left: Vec<_> = all
            .iter()
            .filter_map(|(path, object)| Some((path, object.as_ref()?)))
            .collect();
        let (mut equal, mut rounds) = (0, 0);
        while !left.is_empty() {
            let mut again = Vec::new();
            for (path, object) in left {
                if desk.keep(object).await.quarantined {
                    again.push((path, object));
                    continue;
                }
                let answer = desk.get(&object.path(), ALL).await;
                assert_eq!(answer.status, 200, "{}", path.display());
                let file = &parts(&answer)[0].1;
                assert_eq!(&file[128..132], b"DICM");
                assert!(file.ends_with(&object.bytes), "{}", path.display());
                assert!(
                    starts_group_2(file, object.bytes.len()),
                    "{}",
                    path.display()
                );
                equal += 1;
            }
            left = again;
            rounds += 1;
            desk.clear().await;
        }
        eprintln!("{equal} equal, 0 different, {without} without legal UIDs, {rounds} rounds");
    }
}

/// Group 0002 fills exactly what lies between the preamble and the dataset.
fn starts_group_2(file: &[u8], dataset: usize) -> bool {
    let length = u32::from_le_bytes(file[140..144].try_into().unwrap());
    144 + length as usize + dataset == file.len()
}

/// An instance of study `study` with what searches look for.
fn found_by(sop: &str, class: &str, study: &str, name: &str, date: &str, modality: &str) -> Object {
    let series = format!("{study}.1");
    let mut object = Object::made(
        sop,
        class,
        &[
            (0x0008_0005, "CS", b"ISO_IR 192"),
            (0x0008_0020, "DA", date.as_bytes()),
            (0x0008_0030, "TM", b"0930"),
            (0x0008_0060, "CS", modality.as_bytes()),
            (0x0010_0010, "PN", name.as_bytes()),
            (0x0010_0020, "LO", b"P1"),
            (0x0020_000D, "UI", study.as_bytes()),
            (0x0020_000E, "UI", series.as_bytes()),
            (0x0020_0013, "IS", b"7"),
        ],
    );
    object.study = study.to_owned();
    object.series = series;
    object
}

const SEARCHES: [(&str, &[&str]); 19] = [
    ("", &["1.2", "1.1", "1.3"]),
    ("?limit=1", &["1.2"]),
    ("?limit=2&offset=1", &["1.1", "1.3"]),
    ("?PatientName=mueller", &[]),
    ("?PatientName=M%C3%9CLLER*", &["1.1"]),
    ("?PatientName=muller%5Ejorg", &["1.1"]),
    ("?00100010=*%CE%A0%CE%91%CE%A0%CE%91%CE%94*", &["1.2"]),
    (
        "?00100010=%CF%80%CE%B1%CF%80%CE%B1%CE%B4%CE%BF%CF%80%CE%BF%CF%85%CE%BB%CE%BF%CF%82*",
        &["1.2"],
    ),
    ("?PatientName=jane%20do&fuzzymatching=true", &["1.3"]),
    ("?StudyDate=20260101-20260131", &["1.1"]),
    ("?StudyDate=20260101-", &["1.2", "1.1"]),
    ("?StudyDate=-20251231", &["1.3"]),
    ("?StudyDate=20260215&StudyTime=0900-0930", &["1.2"]),
    ("?ModalitiesInStudy=MR", &["1.2"]),
    ("?ModalitiesInStudy=MR,SR", &["1.2", "1.3"]),
    ("?StudyInstanceUID=1.1,1.3", &["1.1", "1.3"]),
    ("?SOPInstanceUID=1.1.2", &["1.1"]),
    ("?PatientID=p?", &["1.2", "1.1", "1.3"]),
    ("?PatientID=P2", &[]),
];

#[tokio::test]
async fn studies_are_found_by_their_attributes_and_counted() {
    for desk in Desk::on_both().await {
        for object in [
            found_by("1.1.1", CT, "1.1", "Müller^Jörg", "20260101", "CT"),
            found_by("1.1.2", CT, "1.1", "Müller^Jörg", "20260101", "CT"),
            found_by("1.2.1", CT, "1.2", "Παπαδόπουλος^Γιώργος", "20260215", "MR"),
            found_by("1.3.1", SR, "1.3", "Doe^Jane", "20251231", "SR"),
        ] {
            desk.keep(&object).await;
        }
        for (query, expect) in SEARCHES {
            let answer = desk
                .get(&format!("/studies{query}"), "application/dicom+json")
                .await;
            assert_eq!(answer.status, 200, "{query}");
            let found = answer.json();
            let uids = found
                .as_array()
                .unwrap()
                .iter()
                .map(|study| text(study, "0020000D"));
            assert_eq!(uids.collect::<Vec<_>>(), expect, "{query}");
        }
        counts_and_warnings(&desk).await;
        below(&desk).await;
    }
}

async fn counts_and_warnings(desk: &Desk) {
    let found = desk
        .get(
            "/studies?StudyInstanceUID=1.1&includefield=00180015,NumberOfStudyRelatedInstances",
            "*/*",
        )
        .await
        .json();
    assert_eq!(found[0]["00201208"]["Value"], json!([2]));
    assert_eq!(found[0]["00201206"]["Value"], json!([1]));
    assert_eq!(found[0]["00080061"]["Value"], json!(["CT"]));
    assert_eq!(
        found[0]["00100010"]["Value"][0]["Alphabetic"],
        "Müller^Jörg"
    );
    assert_eq!(
        text(&found[0], "00081190"),
        "http://reader.example/dicomweb/studies/1.1"
    );
    let page = desk.get("/studies?limit=1", "*/*").await;
    assert!(
        page.headers["warning"]
            .to_str()
            .unwrap()
            .contains("additional results")
    );
    let ignored = desk.get("/studies?StationName=x", "*/*").await;
    assert!(
        ignored.headers["warning"]
            .to_str()
            .unwrap()
            .contains("00081010")
    );
    for bad in [
        "?limit=-1",
        "?Nonsense=1",
        "?StudyDate=2026",
        "?PatientName=%FF",
    ] {
        assert_eq!(
            desk.get(&format!("/studies{bad}"), "*/*").await.status,
            400,
            "{bad}"
        );
    }
}

async fn below(desk: &Desk) {
    let series = desk.get("/studies/1.1/series", "*/*").await.json();
    assert_eq!(
        (
            text(&series[0], "0020000E").as_str(),
            &series[0]["00201209"]["Value"]
        ),
        ("1.1.1", &json!([2]))
    );
    assert!(series[0].get("00100010").is_none());
    let all = desk.get("/series?Modality=MR", "*/*").await.json();
    assert_eq!(
        (
            all.as_array().unwrap().len(),
            all[0].get("00100010").is_some()
        ),
        (1, true)
    );
    let instances = desk
        .get(
            "/studies/1.1/series/1.1.1/instances?limit=1&offset=1&includefield=all",
            "*/*",
        )
        .await
        .json();
    assert_eq!(text(&instances[0], "00080018"), "1.1.2");
    assert_eq!(instances[0]["00200013"]["Value"], json!([7]));
    assert_eq!(instances[0]["00100020"]["Value"], json!(["P1"]));
    assert_eq!(
        desk.get("/studies/1.1/instances", "*/*")
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        desk.get(
            "/instances?SOPClassUID=1.2.840.10008.5.1.4.1.1.88.11",
            "*/*"
        )
        .await
        .json()
        .as_array()
        .unwrap()
        .len(),
        1
    );
    assert_eq!(desk.get("/studies/9.9/series", "*/*").await.status, 404);
    for bad in [
        "..%2f..%2fetc",
        "%2e%2e",
        "1.2%00",
        "1.2%20",
        "%252e",
        "%C0%AE",
    ] {
        let answer = desk.get(&format!("/studies/{bad}/series"), "*/*").await;
        assert_eq!(answer.status, 400, "{bad}");
    }
    assert_eq!(
        desk.get("/studies/1.1", "application/xml").await.status,
        406
    );
    assert_eq!(desk.get("/studies", "text/html").await.status, 406);
    assert_eq!(
        desk.get(
            "/studies/1.1",
            "multipart/related; type=\"application/dicom\"; transfer-syntax=1.2.840.10008.1.2.4.70"
        )
        .await
        .status,
        406
    );
    assert_eq!(parts(&desk.get("/studies/1.1", ALL).await).len(), 2);
    let one = desk
        .get(
            "/studies/1.1/series/1.1.1/instances/1.1.2",
            "application/dicom",
        )
        .await;
    assert_eq!(
        (
            one.headers["content-type"].to_str().unwrap(),
            &one.bytes[128..132]
        ),
        ("application/dicom", &b"DICM"[..])
    );
}

fn text(of: &Value, tag: &str) -> String {
    of[tag]["Value"][0].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_is_not_yours_is_not_there() {
    for desk in Desk::on_both().await {
        let object = Object::made("1.2.3.4.5", CT, &[]);
        desk.keep(&object).await;
        let path = object.path();
        for rest in ["", "/metadata", "/frames/1", "/rendered", "/bulk/0/1/1"] {
            let path = format!("{path}{rest}");
            assert_eq!(
                desk.get_as("nobody", &path, "*/*").await.status,
                401,
                "{rest}"
            );
            let theirs = desk.get_as("other", &path, "*/*").await;
            let none = desk
                .get_as("other", &path.replace("1.2.3/", "1.2.9/"), "*/*")
                .await;
            assert_eq!(
                (theirs.status, &theirs.bytes),
                (none.status, &none.bytes),
                "{rest}"
            );
            assert_eq!(theirs.status, 404, "{rest}");
        }
        assert_eq!(
            desk.get_as("other", "/studies", "*/*").await.json(),
            json!([])
        );
        assert_eq!(
            desk.get_as("operator", "/studies", "*/*")
                .await
                .json()
                .as_array()
                .unwrap()
                .len(),
            1
        );
        assert_eq!(
            desk.get_as("operator", &format!("{path}/metadata"), "*/*")
                .await
                .status,
            200
        );
        assert_eq!(desk.get_as("operator", &path, ALL).await.status, 403);
        assert_eq!(desk.get_ahead(&path).await.status, 200);
        assert_eq!(
            desk.count("SELECT count(*) FROM audit_event WHERE event = 'images-prefetched'")
                .await,
            1
        );
        assert_eq!(desk.get(&path, ALL).await.status, 200);
        assert_eq!(desk.get(&path, ALL).await.status, 200);
        assert_eq!(
            desk.count("SELECT count(*) FROM audit_event WHERE event = 'images-viewed'")
                .await,
            1
        );
        desk.sql("UPDATE study SET recalled_us = 1").await;
        let gone = desk.get(&path, ALL).await;
        assert_eq!(
            (gone.status, &gone.json()["type"]),
            (410, &json!("urn:causeway:problem:withdrawn"))
        );
        assert_eq!(desk.get("/studies", "*/*").await.json(), json!([]));
    }
}

/// The names of the public character set files, as their publishers give them.
#[tokio::test]
async fn text_is_served_as_it_was_meant() {
    let expect: BTreeMap<&str, &str> = [
        ("chrArab.dcm", "قباني^لنزار"),
        ("chrFren.dcm", "Buc^Jérôme"),
        ("chrFrenMulti.dcm", "Buc^Jérôme"),
        ("chrGerm.dcm", "Äneas^Rüdiger"),
        ("chrGreek.dcm", "Διονυσιος"),
        ("chrH31.dcm", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("chrH32.dcm", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        ("chrHbrw.dcm", "שרון^דבורה"),
        ("chrI2.dcm", "Hong^Gildong=洪^吉洞=홍^길동"),
        ("chrKoreanMulti.dcm", "김희중"),
        ("chrRuss.dcm", "Люкceмбypг"),
        ("chrX1.dcm", "Wang^XiaoDong=王^小東"),
        ("chrX2.dcm", "Wang^XiaoDong=王^小东"),
    ]
    .into();
    let desk = Desk::on_sqlite().await;
    let mut seen = 0;
    for path in samples(&["charsets"]) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let (Some(expect), Some(object)) = (expect.get(name), public_object(&path)) else {
            continue;
        };
        let desk = &desk;
        if desk.keep(&object).await.quarantined {
            // the same UID in another file of the set: looked at alone
            let alone = Desk::on_sqlite().await;
            alone.keep(&object).await;
            assert_eq!(served_name(&alone, &object).await, *expect, "{name}");
        } else {
            assert_eq!(served_name(desk, &object).await, *expect, "{name}");
        }
        seen += 1;
    }
    assert!(seen == 0 || seen == expect.len(), "{seen}");
}

async fn served_name(desk: &Desk, object: &Object) -> String {
    let metadata = desk
        .get(
            &format!("{}/metadata", object.path()),
            "application/dicom+json",
        )
        .await;
    assert_eq!(metadata.status, 200);
    let name = metadata.json()[0]["00100010"]["Value"][0].clone();
    ["Alphabetic", "Ideographic", "Phonetic"]
        .map(|group| name[group].as_str().unwrap_or_default().to_owned())
        .join("=")
        .trim_end_matches('=')
        .to_owned()
}

#[tokio::test]
async fn metadata_name_their_bulk_data_and_come_whole() {
    let desk = Desk::on_sqlite().await;
    desk.open_study("1.2.3", Purpose::Comparison).await;
    for number in 0..250 {
        let private = vec![9; 10_000];
        let object = Object::made(
            &format!("1.2.3.4.{number}"),
            CT,
            &[
                (0x0009_0010, "LO", b"CAUSEWAY TEST"),
                (0x0009_1001, "UN", &private),
                (0x0008_1030, "LO", b"\"BulkDataURI\":\"@/"),
            ],
        );
        desk.keep(&object).await;
    }
    let all = desk.get("/studies/1.2.3/metadata", "*/*").await.json();
    assert_eq!(all.as_array().unwrap().len(), 250);
    let squeezed = desk.get_smaller("/studies/1.2.3/metadata").await;
    assert_eq!(squeezed.headers["content-encoding"], "gzip");
    let mut whole = String::new();
    flate2::read::GzDecoder::new(&squeezed.bytes[..])
        .read_to_string(&mut whole)
        .unwrap();
    assert_eq!(serde_json::from_str::<Value>(&whole).unwrap(), all);
    assert_eq!(text(&all[0], "00081030"), "\"BulkDataURI\":\"@/");
    let address = all[0]["00091001"]["BulkDataURI"].as_str().unwrap();
    let path = address
        .strip_prefix("http://reader.example/dicomweb")
        .unwrap();
    let bulk = desk.get(path, "application/octet-stream").await;
    assert_eq!(bulk.bytes, vec![9; 10_000]);
    let bulk = desk
        .get(path, "multipart/related; type=\"application/octet-stream\"")
        .await;
    assert_eq!(parts(&bulk)[0].1, vec![9; 10_000]);
    let beyond = path.replace("/10000/", "/99999999/");
    assert_eq!(desk.get(&beyond, "*/*").await.status, 404);
}

#[test]
fn addresses_are_those_under_which_the_caller_reached_us() {
    for (host, expect) in [
        (Some("reader.example"), "http://reader.example/dicomweb"),
        (Some("127.0.0.1:9"), "http://127.0.0.1:9/dicomweb"),
        (Some("127.0.0.1"), "http://127.0.0.1:8080/dicomweb"),
        (Some("a/b\"<"), "http://127.0.0.1:8080/dicomweb"),
        (None, "http://127.0.0.1:8080/dicomweb"),
    ] {
        assert_eq!(super::base("http://127.0.0.1:8080/", host), expect);
    }
}
