//! Dates that leave shifted: where they stand, what of them is taken out, and that they come back.

use causeway_proto::dataset::Value;
use dicom_core::{Tag, VR};

use super::units::slice;
use super::worker::{leaving, protector, sent};
use super::*;
use crate::spool::Config;
use crate::spool::tests::{Bench, What};

fn shifted() -> Options {
    Options {
        modified_dates: true,
        ..Options::default()
    }
}

/// What a changed slice says when its dates are shifted by 13 days, and the remarks; it comes back whole.
fn changed(change: impl FnOnce(&mut Dataset)) -> (Dataset, Vec<String>) {
    let mut dataset = slice();
    change(&mut dataset);
    let received = dataset.write();
    let (plan, out) = leaves(&received, EXPLICIT, &shifted());
    let protected = Dataset::read(&out, &plan.syntax).unwrap();
    let original = Dataset::read(&received, &uid(EXPLICIT)).unwrap();
    assert!(put_back(protected.clone(), &plan.originals) == original);
    (protected, plan.remarks)
}

fn with(tag: (u16, u16), vr: VR, text: &str) -> String {
    let tag = Tag(tag.0, tag.1);
    let (protected, _) = changed(|it| it.put_text(tag, vr, text));
    protected.code(tag)
}

#[test]
fn a_date_leaves_shifted_and_its_object_says_so() {
    let (protected, remarks) = changed(|_| {});
    assert_eq!(protected.code(Tag(0x0008, 0x0020)), "20251220");
    assert_eq!(protected.code(Tag(0x0010, 0x0030)), "");
    assert_eq!(protected.code(Tag(0x0010, 0x1010)), "063Y");
    assert_eq!(protected.code(Tag(0x0028, 0x0303)), "MODIFIED");
    let methods = protected.items(Tag(0x0012, 0x0064));
    let codes: Vec<String> = methods
        .iter()
        .map(|it| it.code(Tag(0x0008, 0x0100)))
        .collect();
    assert!(codes.contains(&"113107".to_owned()), "{codes:?}");
    assert!(!codes.contains(&"113106".to_owned()), "{codes:?}");
    assert_eq!(
        remarks,
        ["dates are shifted; intervals within this patient are true"]
    );
    let (plan, out) = leaves(&slice().write(), EXPLICIT, &Options::default());
    let kept = Dataset::read(&out, &plan.syntax).unwrap();
    assert_eq!(kept.code(Tag(0x0008, 0x0020)), "20260102");
    assert_eq!(kept.code(Tag(0x0028, 0x0303)), "UNMODIFIED");
}

#[test]
fn whoever_said_modified_before_is_believed_and_unmodified_is_not() {
    let word = Tag(0x0028, 0x0303);
    let (protected, _) = changed(|it| it.put_text(word, VR::CS, "UNMODIFIED"));
    assert_eq!(protected.code(word), "MODIFIED");
}

#[test]
fn one_date_more() {
    for (tag, vr, text, expect) in [
        (
            (0x0008, 0x002A),
            VR::DT,
            "20260102101500.25+0100",
            "20251220101500.25+0100",
        ),
        (
            (0x0008, 0x0021),
            VR::DA,
            "20260102\\20260103",
            "20251220\\20251221",
        ),
        ((0x0008, 0x0023), VR::DA, "2026.01.02", "20251220"),
        ((0x0008, 0x0022), VR::DA, "yesterday", ""),
        ((0x0008, 0x0022), VR::DA, "20260230", ""),
        ((0x0008, 0x0032), VR::TM, "101500", "101500"),
        ((0x0018, 0x1200), VR::DA, "20250501", "20250418"),
        // no row of the table names it
        ((0x0008, 0x0015), VR::DT, "20260102", "20251220"),
        ((0x0018, 0x1078), VR::DT, "202601", "202601"),
        // the birth date is none of these
        ((0x0040, 0xA121), VR::DA, "19620515", ""),
        (
            (0x0008, 0x1030),
            VR::LO,
            "CT of 2.1.2026",
            "CT of [removed]",
        ),
        (
            (0x0008, 0x103E),
            VR::LO,
            "Control 14 March",
            "Control [removed]",
        ),
        (
            (0x0008, 0x103E),
            VR::LO,
            "Control in 13 days",
            "Control in 13 days",
        ),
        (
            (0x0020, 0x4000),
            VR::LT,
            "as on 2026-01-02, 10:15",
            "as on [removed], 10:15",
        ),
        (
            (0x0020, 0x4000),
            VR::LT,
            "file 993120260102884",
            "file 9931[removed]884",
        ),
        ((0x0018, 0x1020), VR::LO, "07.02.05", "07.02.05"),
        ((0x0008, 0x0060), VR::CS, "20260102", ""),
        ((0x0020, 0x0013), VR::IS, "20260102", ""),
        ((0x0020, 0x0013), VR::IS, "20260103", "20260103"),
    ] {
        assert_eq!(with(tag, vr, text), expect, "{tag:04X?} {text}");
    }
}

#[test]
fn dates_in_items_and_private_ones_are_shifted() {
    let (inner, sequence) = (Tag(0x0040, 0xA13A), Tag(0x0040, 0xA730));
    let (protected, _) = changed(|it| {
        let mut item = Dataset::new();
        item.put_text(inner, VR::DT, "20260102");
        let mut outer = Dataset::new();
        outer.put_items(sequence, vec![item]);
        it.put_items(sequence, vec![outer]);
    });
    let item = &protected.items(sequence)[0].items(sequence)[0];
    assert_eq!(item.code(inner), "20251220");

    let (creator, date) = (Tag(0x0009, 0x0010), Tag(0x0009, 0x100D));
    for vr in [VR::DT, VR::UN] {
        let (protected, _) = changed(|it| {
            it.put_text(creator, VR::LO, "GEMS_PETD_01");
            it.put_text(date, vr, "20260102101500.00");
        });
        let said = protected.bytes(date);
        assert!(said.starts_with(b"20251220101500.00"), "{said:?}");
    }
    let (creator, header) = (Tag(0x0029, 0x0010), Tag(0x0029, 0x1010));
    let (protected, _) = changed(|it| {
        it.put_text(creator, VR::LO, "SIEMENS CSA HEADER");
        let said = b"a\0 20260102 b 02.01.2026 c 1.3.12.2026010210155.3 d 20250102".to_vec();
        it.put(header, VR::OB, Value::Bytes(said));
    });
    let said = protected.bytes(header);
    assert!(
        said.starts_with(b"a\0 XXXXXXXX b XXXXXXXXXX c 1.3.12.XXXXXXXX10155.3 d 20250102"),
        "{}",
        String::from_utf8_lossy(said)
    );
}

#[test]
fn a_uid_that_holds_a_date_stays_unless_the_agreement_accepts_it() {
    let mut dataset = slice();
    dataset.put_text(Tag(0x0020, 0x0052), VR::UI, "1.2.2026010210.5");
    let received = dataset.write();
    assert_eq!(reason(&received, &Options::default()), "leaves");
    assert_eq!(
        reason(&received, &shifted()),
        "a UID holds a date, and dates are shifted"
    );
    let accepted = Options {
        uids: UidRule::Accept,
        ..shifted()
    };
    assert_eq!(reason(&received, &accepted), "leaves");
}

#[test]
fn what_cannot_be_shifted_stays() {
    let mut dataset = slice();
    let many: Vec<String> = vec!["20260102".to_owned(); 200];
    dataset.put_text(Tag(0x0008, 0x0021), VR::DA, &many.join("\\"));
    let received = dataset.write();
    assert_eq!(reason(&received, &shifted()), "its dates cannot be shifted");
    assert_eq!(reason(&received, &Options::default()), "leaves");
}

#[test]
fn an_encapsulated_document_says_dates_that_nobody_shifts() {
    let options = Options {
        encapsulated_documents: true,
        ..shifted()
    };
    let mut dataset = slice();
    let class = "1.2.840.10008.5.1.4.1.1.104.1";
    dataset.put_text(Tag(0x0008, 0x0016), VR::UI, class);
    dataset.remove(Tag(0x7FE0, 0x0010));
    let received = dataset.write();
    assert!(reason(&received, &options).contains("an encapsulated document"));
    let full = Options {
        modified_dates: false,
        ..options
    };
    assert_eq!(reason(&received, &full), "leaves");
}

/// A site that wants it, whatever the agreement says.
async fn site() -> Bench {
    let mut config = Config::default();
    config.agreement.modified_dates = true;
    Bench::strict(config).await
}

async fn received(
    bench: &Bench,
    study: &str,
    instance: &'static str,
    patient: &'static str,
    day: &str,
) {
    let mut object = slice();
    object.put_text(Tag(0x0008, 0x0018), VR::UI, instance);
    object.put_text(Tag(0x0008, 0x0020), VR::DA, day);
    object.put_text(Tag(0x0010, 0x0020), VR::LO, patient);
    object.put_text(Tag(0x0020, 0x000D), VR::UI, study);
    let what = What {
        patient,
        ..What::image(study, instance)
    };
    bench
        .store(&what.with_bytes(&object.write()))
        .await
        .unwrap();
}

/// By how many days the dates of each study that leaves are shifted.
async fn shifts(bench: &Bench, days: &[&str]) -> Vec<i32> {
    let date = |text: &str| jiff::civil::Date::strptime("%Y%m%d", text).unwrap();
    let protector = protector(bench).await;
    let mut out = Vec::new();
    for (leaving, day) in leaving(bench).await.iter().zip(days) {
        let said = sent(&protector, leaving).await.code(Tag(0x0008, 0x0020));
        out.push((date(day) - date(&said)).get_days());
    }
    out
}

#[tokio::test]
async fn a_patient_has_one_shift_and_nobody_elses() {
    let bench = site().await;
    bench.greet(1, 0).await;
    let days = ["20260102", "20251220", "20260102", "20260102", "20260102"];
    for ((study, instance), (patient, day)) in [
        ("1.2.1", "1.2.1.1"),
        ("1.2.2", "1.2.2.1"),
        ("1.2.3", "1.2.3.1"),
        ("1.2.4", "1.2.4.1"),
        ("1.2.5", "1.2.5.1"),
    ]
    .into_iter()
    .zip(
        ["PID-1111", "PID-1111", "PID-2222", "UNKNOWN", "UNKNOWN"]
            .into_iter()
            .zip(days),
    ) {
        received(&bench, study, instance, patient, day).await;
    }
    let shifts = shifts(&bench, &days).await;
    assert!(
        shifts.iter().all(|days| (1..=3650).contains(days)),
        "{shifts:?}"
    );
    assert_eq!(shifts[0], shifts[1], "one patient, one shift");
    let different: std::collections::BTreeSet<&i32> = shifts.iter().collect();
    assert_eq!(different.len(), 4, "{shifts:?}");
}

#[tokio::test]
async fn a_new_key_does_not_part_the_dates_of_a_study() {
    let bench = site().await;
    bench.greet(1, 0).await;
    received(&bench, "1.2.1", "1.2.1.1", "PID-1111", "20260102").await;
    let before = shifts(&bench, &["20260102"]).await;
    let keys = bench.spool.keys().clone();
    keys.rotate(&"a1".parse().unwrap()).unwrap();
    // as at the start that a rotation waits for
    let started = Protector::new(bench.spool.clone());
    started.begin().await.unwrap();
    received(&bench, "1.2.1", "1.2.1.2", "PID-1111", "20260102").await;
    received(&bench, "1.2.2", "1.2.2.1", "PID-1111", "20260102").await;
    let after = shifts(&bench, &["20260102"; 3]).await;
    assert_eq!(after[..2], [before[0], before[0]]);
    assert_ne!(after[2], before[0], "another study has the new key's");
}

/// The gateway announces it while an object waits in a form with its true dates: it does not leave in that form.
#[tokio::test]
async fn what_waits_is_shifted_when_the_agreement_comes_to_ask_for_it() {
    let bench = Bench::strict(Config::default()).await;
    bench.greet(1, 0).await;
    received(&bench, "1.2.1", "1.2.1.1", "PID-1111", "20260102").await;
    assert_eq!(shifts(&bench, &["20260102"]).await, [0]);
    bench.greet_wanting(1, 0, &["modified-dates"]).await;
    assert_ne!(shifts(&bench, &["20260102"]).await, [0]);
    bench.greet(1, 0).await;
    assert_ne!(
        shifts(&bench, &["20260102"]).await,
        [0],
        "what left shifted once is never said otherwise"
    );
}
