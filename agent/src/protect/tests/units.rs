//! Tables and single rules: one row per case.

use std::collections::BTreeSet;

use causeway_proto::dataset::Value;
use causeway_proto::digest::Digest;
use dicom_core::{Tag, VR};

use super::*;
use crate::protect::{profile, table};

/// A CT slice of somebody.
pub(super) fn slice() -> Dataset {
    let mut dataset = Dataset::new();
    let texts: [(u16, u16, VR, &str); 14] = [
        (0x0008, 0x0008, VR::CS, "ORIGINAL\\PRIMARY\\AXIAL"),
        (0x0008, 0x0016, VR::UI, "1.2.840.10008.5.1.4.1.1.2"),
        (0x0008, 0x0018, VR::UI, "1.2.3.4"),
        (0x0008, 0x0020, VR::DA, "20260102"),
        (0x0008, 0x0050, VR::SH, "ACC-556677"),
        (0x0008, 0x0060, VR::CS, "CT"),
        (0x0008, 0x0080, VR::LO, "Hospital of Somewhere"),
        (0x0008, 0x103E, VR::LO, "Thorax 5.0"),
        (0x0010, 0x0010, VR::PN, "Mustermann^Erika"),
        (0x0010, 0x0020, VR::LO, "PID-7788991"),
        (0x0010, 0x0030, VR::DA, "19620515"),
        (0x0010, 0x0040, VR::CS, "F"),
        (0x0020, 0x000D, VR::UI, "1.2.3"),
        (0x0020, 0x0032, VR::DS, "0\\0\\0"),
    ];
    for (group, element, vr, text) in texts {
        dataset.put_text(Tag(group, element), vr, text);
    }
    dataset.put(Tag(0x7FE0, 0x0010), VR::OW, Value::Bytes(vec![7; 64]));
    dataset
}

/// What stands in a protected slice that had one more element.
fn with(tag: Tag, vr: VR, text: &str) -> Option<String> {
    let mut dataset = slice();
    dataset.put_text(tag, vr, text);
    let received = dataset.write();
    let (plan, out) = leaves(&received, EXPLICIT, &Options::default());
    let protected = Dataset::read(&out, &plan.syntax).unwrap();
    let said = protected.get(tag).map(|_| protected.code(tag));
    let original = Dataset::read(&received, &uid(EXPLICIT)).unwrap();
    assert!(put_back(protected, &plan.originals) == original);
    said
}

#[test]
fn the_table_is_whole_and_every_row_has_an_action() {
    let all: Vec<u32> = table::tags().collect();
    let different: BTreeSet<u32> = all.iter().copied().collect();
    assert_eq!(all.len(), different.len(), "a tag stands twice");
    let options = Options::default();
    let handled = all
        .iter()
        .filter(|number| {
            let tag = Tag(
                u16::try_from(*number >> 16).unwrap(),
                u16::try_from(*number & 0xFFFF).unwrap(),
            );
            let row = table::row(tag).unwrap();
            let kept = profile::action(tag, VR::LO, &options) == profile::Action::Keep;
            // what stays has an option that lets it, or is a UID under Retain UIDs
            !kept
                || !row.options.is_empty()
                || matches!(row.basic, table::Basic::U | table::Basic::Xzu)
        })
        .count();
    // and four rows that are rules: curves, overlay data, overlay comments, private attributes
    let mut dataset = slice();
    let rules = [
        (0x5004, 0x3000),
        (0x6000, 0x3000),
        (0x6000, 0x4000),
        (0x0009, 0x1001),
    ]
    .map(|(group, element)| Tag(group, element));
    for tag in rules {
        dataset.put(tag, VR::OB, Value::Bytes(vec![1; 8]));
    }
    let (plan, out) = leaves(&dataset.write(), EXPLICIT, &options);
    let protected = Dataset::read(&out, &plan.syntax).unwrap();
    let rules = rules
        .iter()
        .filter(|tag| protected.get(**tag).is_none())
        .count();
    println!(
        "Table E.1-1: {} of {} handled",
        handled + rules,
        all.len() + 4
    );
    assert_eq!((handled + rules, all.len() + 4), (656, 656));
}

/// Made of the 2026c edition of PS3.15 by another program than this one.
#[test]
fn the_table_is_that_of_the_standard() {
    let digest = Digest::of(table::lines().as_bytes()).to_string();
    assert!(
        digest.ends_with("648cd7edf81bb88d480b1fa49692f51681f904e0b8ca4c6155423a2df67ab619"),
        "{digest}"
    );
}

#[test]
fn one_element_more() {
    let check = |tag: (u16, u16), vr: VR, text: &str, expect: Option<&str>| {
        let said = with(Tag(tag.0, tag.1), vr, text);
        assert_eq!(said.as_deref(), expect, "{tag:04X?} {text}");
    };
    let description = (0x0008, 0x1030);
    check(description, VR::LO, "CT Thorax", Some("CT Thorax"));
    check(
        description,
        VR::LO,
        "CT of Mustermann",
        Some("CT of [removed]"),
    );
    check(
        description,
        VR::LO,
        "MUSTERMANN, ERIKA: CT",
        Some("[removed]: CT"),
    );
    check(description, VR::LO, "erika_mustermann", Some("[removed]"));
    check(description, VR::LO, "Erikas CT", Some("Erikas CT"));
    check(description, VR::LO, "PID 7788991", Some("[removed]"));
    check(
        description,
        VR::LO,
        "born 15.05.1962",
        Some("born [removed]"),
    );
    check(
        description,
        VR::LO,
        "born 15 May 1962",
        Some("born [removed]"),
    );
    check(description, VR::LO, "on 02.01.2026", Some("on 02.01.2026"));
    // names of persons, institutions and devices
    check((0x0008, 0x0090), VR::PN, "Brown^Charlie", Some(""));
    check((0x0008, 0x1030), VR::LO, "for Charlie", Some("for Charlie"));
    check(
        description,
        VR::LO,
        "CT, Hospital of Somewhere",
        Some("CT, [removed]"),
    );
    check((0x0008, 0x0081), VR::ST, "1 High Street", None);
    check((0x0032, 0x1033), VR::LO, "Ward 7 of Somewhere", None);
    check((0x0018, 0x1000), VR::LO, "SN-5512", Some("REMOVED"));
    check((0x0008, 0x1090), VR::LO, "SOMATOM", Some("SOMATOM"));
    // a name where no text belongs
    check((0x0018, 0x0015), VR::CS, "MUSTERMANN", Some(""));
    check((0x0028, 0x1053), VR::DS, "Mustermann", Some(""));
    check((0x0028, 0x1053), VR::DS, "7788991.5", Some("7788991.5"));
    check((0x0008, 0x103F), VR::OB, "xMUSTERMANNx", None);
    check((0x0008, 0x1010), VR::UN, "Mustermann", Some("REMOVED"));
    check((0x0008, 0x0068), VR::UN, "MUSTERMANN", Some(""));
    // what nobody knows, and what nobody should need
    check((0x0009, 0x0010), VR::LO, "SOMEBODY", None);
    check(
        (0x0019, 0x0010),
        VR::LO,
        "SIEMENS MR HEADER",
        Some("SIEMENS MR HEADER"),
    );
    check((0x0028, 0x7FFF), VR::LO, "?", None);
    check((0x0010, 0x1030), VR::DS, "71.5", Some("71.5"));
    check((0x0010, 0x1010), VR::AS, "063Y", Some("063Y"));
    check((0x0020, 0x0010), VR::SH, "S-17", Some("T-study"));
    check((0x0040, 0x2016), VR::LO, "P-17", Some("T-placer"));
}

#[test]
fn what_is_added_says_how_it_was_protected() {
    let (plan, out) = leaves(&slice().write(), EXPLICIT, &Options::default());
    let protected = Dataset::read(&out, &plan.syntax).unwrap();
    assert_eq!(protected.code(Tag(0x0010, 0x0010)), stand().patient_name);
    assert_eq!(protected.code(Tag(0x0010, 0x1010)), "063Y");
    assert_eq!(protected.code(Tag(0x0012, 0x0062)), "YES");
    assert_eq!(protected.code(Tag(0x0028, 0x0303)), "UNMODIFIED");
    let codes: Vec<String> = protected
        .items(Tag(0x0012, 0x0064))
        .iter()
        .map(|item| item.code(Tag(0x0008, 0x0100)))
        .collect();
    let expect = [
        "113100", "113103", "113104", "113105", "113106", "113108", "113110", "113111",
    ];
    assert_eq!(codes, expect);
    assert!(
        protected
            .get(Tag(0x0008, 0x0080))
            .is_none_or(|_| protected.code(Tag(0x0008, 0x0080)) == "REMOVED")
    );
    let options = Options {
        retain_institution: true,
        retain_device: true,
        ..Options::default()
    };
    let (plan, out) = leaves(&slice().write(), EXPLICIT, &options);
    let protected = Dataset::read(&out, &plan.syntax).unwrap();
    assert_eq!(protected.items(Tag(0x0012, 0x0064)).len(), 10);
    assert_eq!(protected.code(Tag(0x0008, 0x0080)), "Hospital of Somewhere");
}

#[test]
fn what_stays_at_the_site() {
    let check = |change: &dyn Fn(&mut Dataset), expect: &str| {
        let mut dataset = slice();
        change(&mut dataset);
        assert_eq!(reason(&dataset.write(), &Options::default()), expect);
    };
    let class = |end: &'static str| {
        move |dataset: &mut Dataset| {
            let uid = format!("1.2.840.10008.5.1.4.1.1.{end}");
            dataset.put_text(Tag(0x0008, 0x0016), VR::UI, &uid);
        }
    };
    check(&|_| {}, "leaves");
    check(
        &class("7"),
        "may show identity in its pixels: a secondary capture",
    );
    check(&class("6.1"), "may show identity in its pixels: ultrasound");
    check(
        &class("77.1.4.1"),
        "may show identity in its pixels: a video",
    );
    check(
        &class("77.1.4"),
        "may show identity in its pixels: a photograph",
    );
    check(
        &class("104.1"),
        "may show identity in its pixels: an encapsulated document",
    );
    let text = |group, element, vr, text: &'static str| {
        move |dataset: &mut Dataset| dataset.put_text(Tag(group, element), vr, text)
    };
    let burned = "may show identity in its pixels: it says that text is burned in";
    check(&text(0x0028, 0x0301, VR::CS, "YES"), burned);
    check(
        &text(0x0028, 0x0302, VR::CS, "YES"),
        "may show identity in its pixels: it shows a face",
    );
    let page = "may show identity in its pixels: a screen save or dose page";
    check(
        &text(0x0008, 0x0008, VR::CS, "DERIVED\\SECONDARY\\SCREEN SAVE"),
        page,
    );
    check(
        &text(0x0008, 0x0008, VR::CS, "DERIVED\\SECONDARY\\MPR"),
        "leaves",
    );
    check(
        &text(0x0008, 0x0016, VR::UI, "1.3.12.2.1107.5.9.1"),
        "is of a kind that this profile does not know",
    );
    check(
        &text(0x0008, 0x0005, VR::CS, "KOI-9"),
        "its character set is not known",
    );
    let uid = "a UID holds an identifier of the patient";
    check(&text(0x0020, 0x000D, VR::UI, "1.2.7788991.5"), uid);
    check(&text(0x0020, 0x000D, VR::UI, "1.2.90556677.5"), uid);
    check(&text(0x0020, 0x0052, VR::UI, "1.2.19620515"), uid);
    check(&text(0x0020, 0x0052, VR::UI, "1.2.20260102"), "leaves");
    let dated = |dataset: &mut Dataset| {
        dataset.put_text(Tag(0x0008, 0x0050), VR::SH, "20260102-17");
        dataset.put_text(Tag(0x0020, 0x000D), VR::UI, "1.2.20260102.5");
    };
    check(&dated, "leaves");
}

#[test]
fn a_coded_frame_whose_comments_name_the_patient_stays() {
    let check = |comment: &[u8], expect: &str| {
        let jpeg = [
            b"\xFF\xD8\xFF\xFE\0\x12",
            comment,
            b"\xFF\xDA\0\x02\xFF\xD9",
        ]
        .concat();
        let bare = b"\xFF\xD8\xFF\xDA\0\0".to_vec();
        let mut dataset = slice();
        let frames = Value::Fragments(vec![Vec::new(), bare, jpeg]);
        dataset.put(Tag(0x7FE0, 0x0010), VR::OB, frames);
        assert_eq!(reason(&dataset.write(), &Options::default()), expect);
    };
    check(b"Made by a coder.", "leaves");
    check(
        b"for MUSTERMANN_E",
        "a comment in a coded frame holds an identifier of the patient",
    );
    check(b"cut", "the head of a coded frame cannot be read");
}

#[test]
fn a_uid_with_an_identifier_is_accepted_where_the_agreement_says_so() {
    let mut dataset = slice();
    dataset.put_text(Tag(0x0020, 0x000D), VR::UI, "1.2.7788991");
    let options = Options {
        uids: UidRule::Accept,
        ..Options::default()
    };
    let (plan, _) = leaves(&dataset.write(), EXPLICIT, &options);
    assert_eq!(
        plan.remarks,
        ["a UID holds an identifier of the patient; the agreement accepts it"]
    );
}

#[test]
fn options_have_names_and_defaults() {
    assert_eq!(
        serde_json::from_str::<Options>("{}").unwrap(),
        Options::default()
    );
    let accept: Options =
        serde_json::from_str(r#"{"uids":"accept","retain_device":true}"#).unwrap();
    assert!(accept.retain_device && accept.uids == UidRule::Accept);
    assert!(serde_json::from_str::<Options>(r#"{"date":1}"#).is_err());
}

/// A name that is an everyday word is no name in the words of an examination, and one wherever names are written.
#[test]
fn an_everyday_word_is_a_name_where_it_stands_as_one() {
    let check = |name: &str, vr: VR, text: &str, expect: &str| {
        let mut dataset = slice();
        dataset.put_text(Tag(0x0010, 0x0010), VR::PN, name);
        let tag = match vr {
            VR::LO => Tag(0x0008, 0x1030),
            _ => Tag(0x0020, 0x4000),
        };
        dataset.put_text(tag, vr, text);
        let (plan, out) = leaves(&dataset.write(), EXPLICIT, &Options::default());
        let protected = Dataset::read(&out, &plan.syntax).unwrap();
        assert_eq!(protected.code(tag), expect, "{name}: {text}");
    };
    for vr in [VR::LO, VR::LT] {
        check(
            "Head^Erika",
            vr,
            "CT Head without contrast",
            "CT Head without contrast",
        );
        check("Head^Erika", vr, "HEAD FIRST SUPINE", "HEAD FIRST SUPINE");
        check("Head^Erika", vr, "CT of Erika Head", "CT of [removed]");
        check("Head^Erika", vr, "CT of Head, E.", "CT of [removed]");
        check("Head^Erika", vr, "E. Head: CT head", "[removed]: CT head");
        check("Head^Erika", vr, "for Mrs Head", "for [removed]");
        check("Head^Erika", vr, "Name: HEAD", "[removed]");
        check("Hand^Left", vr, "left hand, palm up", "left hand, palm up");
        check("Hand^Left", vr, "HAND^LEFT", "[removed]");
        check("Hand^Left", vr, "Hand, Left", "[removed]");
    }
    check("Head^Erika", VR::LO, "CT HEAD ohne KM", "CT HEAD ohne KM");
    check(
        "Head^Erika",
        VR::LT,
        "seen by HEAD today",
        "seen by [removed] today",
    );
    // the other part of the name is found alone as ever
    check(
        "Head^Erikana",
        VR::LO,
        "CT Head, seen: Erikana",
        "CT Head, seen: [removed]",
    );
}
