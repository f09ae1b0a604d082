//! Content items and code sequences (PS3.3 C.17.3, 8.8) as datasets.

use dicom_core::VR;
use dicom_dictionary_std::tags;

use crate::dataset::Dataset;
use crate::report::closing::single_line;
use crate::report::model::{Code, Evidence, Person};

/// Relationship of an item to what encloses it.
pub(super) const CONTAINS: &str = "CONTAINS";
/// As above.
pub(super) const CONTEXT: &str = "HAS OBS CONTEXT";
/// As above.
pub(super) const MODIFIER: &str = "HAS CONCEPT MOD";

/// A text without what the VRs of single-line text may not hold (PS3.5 6.1.3, 6.2), cut to `max` characters.
pub(super) fn short(text: &str, max: usize) -> String {
    let text = single_line(text).replace('\\', "/");
    text.chars()
        .take(max)
        .collect::<String>()
        .trim_end()
        .to_owned()
}

/// A code sequence of one item.
pub(super) fn code(code: &Code) -> Vec<Dataset> {
    let mut item = Dataset::new();
    let value = short(&code.value, 64);
    if value.chars().count() > 16 {
        item.put_text(tags::LONG_CODE_VALUE, VR::UC, &value);
    } else {
        item.put_text(tags::CODE_VALUE, VR::SH, &value);
    }
    item.put_text(
        tags::CODING_SCHEME_DESIGNATOR,
        VR::SH,
        &short(&code.scheme, 16),
    );
    item.put_text(tags::CODE_MEANING, VR::LO, &short(&code.meaning, 64));
    vec![item]
}

/// A content item without its value.
fn bare(relationship: &str, kind: &str, name: &Code) -> Dataset {
    let mut item = Dataset::new();
    item.put_text(tags::RELATIONSHIP_TYPE, VR::CS, relationship);
    item.put_text(tags::VALUE_TYPE, VR::CS, kind);
    item.put_items(tags::CONCEPT_NAME_CODE_SEQUENCE, code(name));
    item
}

/// CODE.
pub(super) fn coded(relationship: &str, name: &Code, value: &Code) -> Dataset {
    let mut item = bare(relationship, "CODE", name);
    item.put_items(tags::CONCEPT_CODE_SEQUENCE, code(value));
    item
}

/// TEXT; lines end with CR LF (PS3.5 6.2).
pub(super) fn text(relationship: &str, name: &Code, text: &str) -> Dataset {
    let mut item = bare(relationship, "TEXT", name);
    item.put_text(tags::TEXT_VALUE, VR::UT, &text.replace('\n', "\r\n"));
    item
}

/// PNAME.
pub(super) fn named(relationship: &str, name: &Code, person: &Person) -> Dataset {
    let mut item = bare(relationship, "PNAME", name);
    item.put_text(tags::PERSON_NAME, VR::PN, &person_name(person));
    item
}

/// CONTAINER.
pub(super) fn container(name: &Code, items: Vec<Dataset>) -> Dataset {
    let mut item = bare(CONTAINS, "CONTAINER", name);
    item.put_text(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE");
    item.put_items(tags::CONTENT_SEQUENCE, items);
    item
}

/// `family^given^^title` (PS3.5 6.2.1), at most 64 characters.
pub(super) fn person_name(person: &Person) -> String {
    let part = |text: &str| short(text, 64).replace(['^', '='], " ");
    let name = format!(
        "{}^{}^^{}",
        part(&person.family),
        part(&person.given),
        part(&person.title)
    );
    short(&name, 64).trim_end_matches('^').to_owned()
}

/// Hierarchical SOP instance references (PS3.3 Table C.17-3), one item per study.
pub(super) fn references(evidence: &[Evidence]) -> Vec<Dataset> {
    evidence
        .iter()
        .map(|study| {
            let mut item = Dataset::new();
            item.put_text(tags::STUDY_INSTANCE_UID, VR::UI, study.study.as_str());
            let series = study.series.iter().map(|series| {
                let mut item = Dataset::new();
                item.put_text(tags::SERIES_INSTANCE_UID, VR::UI, series.series.as_str());
                let instances = series.instances.iter().map(|(class, instance)| {
                    let mut item = Dataset::new();
                    item.put_text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, class.as_str());
                    item.put_text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, instance.as_str());
                    item
                });
                item.put_items(tags::REFERENCED_SOP_SEQUENCE, instances.collect());
                item
            });
            item.put_items(tags::REFERENCED_SERIES_SEQUENCE, series.collect());
            item
        })
        .collect()
}
