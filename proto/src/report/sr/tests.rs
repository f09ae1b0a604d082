//! Round trips, awkward text, and what other programs say of our documents.

use proptest::prelude::*;

use super::*;
use crate::report::model::{Headings, Section, SectionKind, Standing, Verification};
use crate::report::sample::{SIGNED_AT, person, preliminary, pseudonymous, reader, report};
use crate::report::tools;

fn round_trip(report: &Report) -> Report {
    let bytes = to_bytes(&encode(report));
    decode(&from_bytes(&bytes).unwrap()).unwrap()
}

#[test]
fn a_report_survives_the_round_trip() {
    for whole in [
        report(Headings::Loinc),
        report(Headings::Legacy),
        preliminary(),
        pseudonymous(),
    ] {
        assert_eq!(round_trip(&whole), whole);
    }
    let mut two = report(Headings::Loinc);
    let mut verifier = person();
    verifier.family = "Verifier".to_owned();
    verifier.registration = "A registration longer than sixteen".to_owned();
    verifier.country = "AT".to_owned();
    two.standing = Standing::Final(Verification {
        person: verifier,
        at: SIGNED_AT,
    });
    two.author.role = crate::report::model::Role::Resident;
    assert_eq!(round_trip(&two), two);
}

#[test]
fn a_signed_and_re_identified_report_is_still_read() {
    let whole = report(Headings::Loinc);
    let mut dataset = reader().signed(&whole);
    dataset.put_text(Tag(0x0010, 0x0010), dicom_core::VR::PN, "Other^Name");
    let read = decode(&dataset).unwrap();
    assert_eq!(read.patient.name.reveal(), "Other^Name");
    assert_eq!(read.sections, whole.sections);
}

#[test]
fn the_originals_travel_sealed_in_the_header() {
    let dataset = encode(&pseudonymous());
    let tag = |group, element| Tag(group, element);
    assert_eq!(dataset.code(tag(0x0012, 0x0062)), "YES");
    assert_eq!(dataset.code(tag(0x0012, 0x0063)), "Causeway reading-1\\1");
    assert_eq!(dataset.items(tag(0x0012, 0x0064)).len(), 2);
    let [sealed] = dataset.items(tag(0x0400, 0x0500)) else {
        panic!("one item");
    };
    assert_eq!(sealed.code(tag(0x0400, 0x0510)), "1.2.840.10008.1.2.1");
    assert_eq!(sealed.bytes(tag(0x0400, 0x0520)).len(), 5004);
    // the other reports have none of it
    let identified = encode(&report(Headings::Loinc));
    for tag in [
        tag(0x0012, 0x0062),
        tag(0x0012, 0x0064),
        tag(0x0400, 0x0500),
    ] {
        assert!(identified.get(tag).is_none());
    }
}

#[test]
fn nothing_of_the_patient_stands_in_the_tree() {
    let mut whole = preliminary();
    whole.patient.name = "Zyzzyva^Qwertz".into();
    whole.patient.id = "ZYZID".into();
    whole.study.accession = "ZYZACC".into();
    let dataset = encode(&whole);
    let mut tree = Dataset::new();
    for (tag, element) in dataset
        .iter()
        .filter(|(tag, _)| tag.0 == 0x0040 && tag.1 != 0xA370)
    {
        tree.put(tag, element.vr, element.value.clone());
    }
    let text = String::from_utf8_lossy(&tree.write()).into_owned();
    assert!(!text.contains("Zyzzyva") && !text.contains("ZYZ"));
    assert!(text.contains("PRELIMINARY"));
}

#[test]
fn the_report_ends_with_who_answers_for_it() {
    let dataset = encode(&report(Headings::Loinc));
    let last = dataset
        .items(dicom_dictionary_std::tags::CONTENT_SEQUENCE)
        .last()
        .unwrap();
    let closing = last
        .items(dicom_dictionary_std::tags::CONTENT_SEQUENCE)
        .last()
        .unwrap();
    let text = closing.text(
        dicom_dictionary_std::tags::TEXT_VALUE,
        &dataset.character_set(),
    );
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "Read, reported and verified by: Dr. med. Anna Maria Παπαδόπουλος",
            "Role: Consultant",
            "Registration: GR-ΙΣΑ 12345",
            "Organisation: Nordic Reading SA",
            "Read in: GR",
            "Signed: 2026-03-02 21:10:05 +02:00",
            "Telephone, day and night: +30 210 0000000",
        ]
    );
}

/// Text as people and machines leave it.
fn awkward() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\r\n".to_owned()),
        Just("\n\n".to_owned()),
        Just("\r".to_owned()),
        Just("   ".to_owned()),
        Just("\\".to_owned()),
        Just("^=".to_owned()),
        Just("\t".to_owned()),
        Just("Διάγνωση".to_owned()),
        Just("肝臓の所見".to_owned()),
        Just("\u{1b}$B".to_owned()),
        Just("\u{0}".to_owned()),
        Just("\u{feff}\u{202e}x\u{a0}".to_owned()),
        "[ -~]{0,40}",
        "\\PC{0,20}",
        Just("long ".repeat(4000)),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn awkward_text_survives(findings in awkward(), impression in awkward(), notice in awkward()) {
        let mut whole = preliminary();
        whole.sections = [(SectionKind::Findings, findings), (SectionKind::Impression, impression)]
            .into_iter()
            .filter_map(|(kind, text)| Section::typed(kind, &text))
            .collect();
        whole.notices = crate::report::model::Paragraph::split(&notice);
        prop_assert_eq!(round_trip(&whole), whole);
    }

    #[test]
    fn nothing_visible_is_lost_when_text_is_split(text in awkward()) {
        let visible = |text: &str| text.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect::<String>();
        let section = Section::typed(SectionKind::Findings, &text);
        let kept = section.map(|section| section.text()).unwrap_or_default();
        prop_assert_eq!(visible(&kept), visible(&text));
    }
}

/// A signed report as a file, where other programs find it.
fn file(report: &Report) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.dcm");
    let bytes = to_bytes(&reader().signed(report));
    std::fs::write(&path, part10(&bytes).unwrap()).unwrap();
    (folder, path)
}

#[test]
fn dciodvfy_finds_no_error() {
    for whole in [
        report(Headings::Loinc),
        report(Headings::Legacy),
        preliminary(),
        pseudonymous(),
    ] {
        let (_folder, path) = file(&whole);
        let Some(said) = tools::run("dciodvfy", &[path.to_str().unwrap()]) else {
            return;
        };
        assert!(said.text.contains("EnhancedSR"), "{}", said.text);
        let errors: Vec<&str> = said
            .text
            .lines()
            .filter(|line| line.starts_with("Error"))
            .collect();
        assert!(errors.is_empty(), "{}", said.text);
    }
}

#[test]
fn dsrdump_prints_it() {
    for whole in [
        report(Headings::Loinc),
        report(Headings::Legacy),
        preliminary(),
        pseudonymous(),
    ] {
        let (_folder, path) = file(&whole);
        let Some(said) = tools::run("dsrdump", &["+U8", "+Pl", path.to_str().unwrap()]) else {
            return;
        };
        assert_eq!(said.code, Some(0), "{}", said.text);
        assert!(
            said.text.contains("No acute finding.") && said.text.contains("Enhanced SR"),
            "{}",
            said.text
        );
        // this build of DCMTK cannot check the lengths of UTF-8 text, and says so
        let known = "does not support this Specific Character Set: ISO_IR 192";
        let complaints = said.text.lines().filter(|line| {
            (line.starts_with("W: ") || line.starts_with("E: ")) && !line.contains(known)
        });
        assert_eq!(complaints.count(), 0, "{}", said.text);
    }
}

#[test]
fn the_pixelmed_validator_passes_tid_2000() {
    let mut draft = preliminary();
    draft.headings = Headings::Legacy;
    for whole in [report(Headings::Legacy), draft] {
        let (_folder, path) = file(&whole);
        let Some(said) = tools::pixelmed(&path) else {
            return;
        };
        assert!(
            said.text.contains("Found Root Template TID_2000"),
            "{}",
            said.text
        );
        assert!(
            said.text.contains("Root Template Validation Complete"),
            "{}",
            said.text
        );
        let complaints = said
            .text
            .lines()
            .filter(|line| line.starts_with("Error") || line.starts_with("Warning"));
        assert_eq!(complaints.count(), 0, "{}", said.text);
    }
}
