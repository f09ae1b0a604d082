//! Our own report, every public document, every bad file, and the bounds.

use super::*;
use crate::public_data::{dataset_of, files, public_data};
use crate::report::model::Headings;
use crate::report::sample::{preliminary, report};
use crate::report::sr;

fn page(dataset: &Dataset) -> String {
    let lines = lines(dataset);
    let lines = lines
        .iter()
        .map(|line| format!("{}{}", "  ".repeat(line.depth), line.text));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn our_own_report_reads_well() {
    let page = page(&sr::encode(&report(Headings::Loinc)));
    assert!(
        page.starts_with("CT Report\nFINAL, COMPLETE, VERIFIED\n"),
        "{page}"
    );
    assert!(
        page.contains("\n  Findings\n    Finding: No haemorrhage.\n"),
        "{page}"
    );
    let preliminary = self::page(&sr::encode(&preliminary()));
    assert!(
        preliminary.contains("Summary: PRELIMINARY"),
        "{preliminary}"
    );
}

#[test]
fn every_public_document_reads_and_every_bad_file_is_survived() {
    let Some(data) = public_data() else { return };
    for part in ["sr", "bad", "studies", "syntaxes/deflated", "charsets"] {
        for path in files(&data.join(part)) {
            let file = std::fs::read(&path).unwrap();
            let (syntax, bytes) = dataset_of(&file);
            let Ok(syntax) = syntax.parse() else { continue };
            let read = outline(bytes, &syntax);
            if part == "sr" {
                let lines = read.unwrap_or_else(|error| panic!("{path:?}: {error}"));
                assert!(!lines.is_empty() && lines.len() <= LINES + 1, "{path:?}");
                let hidden = lines
                    .iter()
                    .find(|line| line.text.contains("not shown here"));
                assert!(
                    hidden.is_none(),
                    "{path:?}: {}",
                    hidden.map_or("", |line| &line.text)
                );
            }
            drop(crate::report::signature::verify(bytes, &syntax));
            if let Ok(dataset) = Dataset::read(bytes, &syntax) {
                drop(sr::decode(&dataset));
            }
        }
    }
}

#[test]
fn known_documents_say_what_they_say() {
    let Some(data) = public_data() else { return };
    let read = |name: &str| {
        let file = std::fs::read(data.join("sr").join(name)).unwrap();
        let (syntax, bytes) = dataset_of(&file);
        page(&Dataset::read(bytes, &syntax.parse().unwrap()).unwrap())
    };
    let polish = read("text/polish-latin2-basic-text.dcm");
    assert!(!polish.contains('\u{fffd}'), "{polish}");
    let dose = read("rdsr/CT-RDSR-Siemens_Flash-TAP-SS.dcm");
    assert!(
        dose.contains("CT Dose Length Product Total: ") && dose.contains(" mGycm"),
        "{dose}"
    );
    let key_objects = read("kos/GK17285-KOS.dcm");
    assert!(
        key_objects.contains(": image ") || key_objects.contains("image "),
        "{key_objects}"
    );
}

#[test]
fn a_page_is_bounded() {
    let mut item = Dataset::new();
    item.put_text(tags::VALUE_TYPE, dicom_core::VR::CS, "TEXT");
    item.put_text(tags::TEXT_VALUE, dicom_core::VR::UT, &"word\n".repeat(100));
    let mut dataset = Dataset::new();
    dataset.put_text(tags::VALUE_TYPE, dicom_core::VR::CS, "CONTAINER");
    dataset.put_items(tags::CONTENT_SEQUENCE, vec![item; 200]);
    let page = lines(&dataset);
    assert_eq!(page.len(), LINES + 1);
    assert_eq!(page.last().unwrap().text, "… the rest is not shown here");
    assert_eq!(shortened(&"x".repeat(3000)).chars().count(), CHARACTERS + 1);
}
