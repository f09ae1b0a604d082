//! The content tree: TID 2000 with TID 1204, 1001, 1002, 1003 and 2002. No identity of the patient stands in it.

use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::item::{CONTAINS, CONTEXT, MODIFIER, code, coded, container, named, text};
use crate::dataset::Dataset;
use crate::report::closing::{closing, preliminary};
use crate::report::coding;
use crate::report::model::{Code, Headings, Paragraph, Report, Standing};

pub(super) fn put(out: &mut Dataset, report: &Report) {
    out.put_text(
        tags::OBSERVATION_DATE_TIME,
        VR::DT,
        &report.observed_at.dicom_dt(),
    );
    out.put_text(tags::VALUE_TYPE, VR::CS, "CONTAINER");
    out.put_items(tags::CONCEPT_NAME_CODE_SEQUENCE, code(&report.title));
    out.put_text(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE");
    let mut template = Dataset::new();
    template.put_text(tags::MAPPING_RESOURCE, VR::CS, "DCMR");
    template.put_text(tags::TEMPLATE_IDENTIFIER, VR::CS, "2000");
    out.put_items(tags::CONTENT_TEMPLATE_SEQUENCE, vec![template]);
    out.put_items(tags::CONTENT_SEQUENCE, content(report));
}

fn content(report: &Report) -> Vec<Dataset> {
    let mut items = Vec::new();
    if let Some(procedure) = &report.procedure {
        let name = coding::code(coding::PROCEDURE_REPORTED);
        items.push(coded(MODIFIER, &name, procedure));
    }
    let language = coding::language(&report.language);
    items.push(coded(MODIFIER, &coding::code(coding::LANGUAGE), &language));
    items.extend(observer(report));
    items.extend(opening(report));
    for section in &report.sections {
        let (_, _, element) = coding::section(section.kind);
        let heading = coding::heading(section.kind, report.headings);
        if let Some(section) = paragraphs(heading, element, &section.paragraphs) {
            items.push(section);
        }
    }
    let heading = coding::summary(report.headings);
    items.extend(paragraphs(
        heading,
        coding::SUMMARY_ELEMENT,
        &closing(report),
    ));
    items
}

/// TID 1001, 1002 and 1003: the author.
fn observer(report: &Report) -> Vec<Dataset> {
    let author = &report.author;
    let name = coding::code;
    let mut items = vec![
        coded(CONTEXT, &name(coding::OBSERVER_TYPE), &name(coding::PERSON)),
        named(CONTEXT, &name(coding::OBSERVER_NAME), author),
    ];
    if !author.organisation.is_empty() {
        items.push(text(
            CONTEXT,
            &name(coding::OBSERVER_ORGANISATION),
            &author.organisation,
        ));
    }
    let role: Code = name(coding::role(author.role));
    items.push(coded(CONTEXT, &name(coding::OBSERVER_ROLE), &role));
    // software of before 2023 does not know this row of TID 1003; the closing says it too
    if report.headings == Headings::Loinc && !author.registration.is_empty() {
        items.push(text(
            CONTEXT,
            &name(coding::OBSERVER_IDENTIFIER),
            &author.registration,
        ));
    }
    items
}

/// What stands before the sections: that the report is preliminary, and the notices.
fn opening(report: &Report) -> Option<Dataset> {
    let mut lines = Vec::new();
    if report.standing == Standing::Preliminary {
        lines.push(preliminary(&report.language));
    }
    lines.extend(report.notices.iter().cloned());
    paragraphs(
        coding::summary(report.headings),
        coding::SUMMARY_ELEMENT,
        &lines,
    )
}

/// A heading with one TEXT item per paragraph (TID 2002).
fn paragraphs(
    heading: coding::Concept,
    element: coding::Concept,
    paragraphs: &[Paragraph],
) -> Option<Dataset> {
    let name = coding::code(element);
    let items: Vec<Dataset> = paragraphs
        .iter()
        .filter(|paragraph| !paragraph.as_str().is_empty())
        .map(|paragraph| text(CONTAINS, &name, paragraph.as_str()))
        .collect();
    (!items.is_empty()).then(|| container(&coding::code(heading), items))
}
