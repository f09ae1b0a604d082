//! Back from the dataset to the model.

use std::str::FromStr;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::{DecodeError, SOP_CLASS};
use crate::dataset::Dataset;
use crate::patient::PatientText;
use crate::report::closing::{Told, told};
use crate::report::coding;
use crate::report::model::{
    Code, Document, Equipment, Evidence, EvidenceSeries, Headings, Language, Paragraph, Patient,
    Person, Protection, Report, Request, Sealed, Section, Standing, Study, Verification,
};
use crate::text::CharacterSet;

type Decoded<T> = Result<T, DecodeError>;

/// What is missing, as the error names it.
fn missing<T>(what: &'static str) -> impl FnOnce() -> Decoded<T> {
    move || Err(DecodeError::NotOurs(what))
}

pub(super) fn report(dataset: &Dataset) -> Decoded<Report> {
    if dataset.code(tags::SOP_CLASS_UID) != SOP_CLASS {
        return missing("it is no Enhanced SR")();
    }
    let set = dataset.character_set();
    let tree = Tree::read(dataset, &set)?;
    let observed_at = parsed(dataset, tags::OBSERVATION_DATE_TIME, "Observation DateTime")?;
    let (standing, author) = people(dataset, &set, &tree)?;
    Ok(Report {
        document: document(dataset)?,
        title: concept(dataset, tags::CONCEPT_NAME_CODE_SEQUENCE, &set),
        language: tree.language,
        headings: tree.headings,
        standing,
        procedure: tree.procedure,
        notices: tree.notices,
        sections: tree.sections,
        author,
        observed_at,
        patient: patient(dataset, &set),
        protection: protection(dataset, &set),
        study: study(dataset, &set),
        requests: requests(dataset, &set)?,
        evidence: references(dataset, tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE)?,
        other_evidence: references(dataset, tags::PERTINENT_OTHER_EVIDENCE_SEQUENCE)?,
        predecessors: references(dataset, tags::PREDECESSOR_DOCUMENTS_SEQUENCE)?,
        identical: references(dataset, tags::IDENTICAL_DOCUMENTS_SEQUENCE)?,
        equipment: Equipment {
            manufacturer: dataset.text(tags::MANUFACTURER, &set),
            model: dataset.text(tags::MANUFACTURER_MODEL_NAME, &set),
            version: dataset.text(tags::SOFTWARE_VERSIONS, &set),
        },
    })
}

/// What the content tree says.
struct Tree {
    language: Language,
    headings: Headings,
    procedure: Option<Code>,
    author: Person,
    notices: Vec<Paragraph>,
    sections: Vec<Section>,
    closing: Vec<String>,
}

impl Tree {
    fn read(dataset: &Dataset, set: &CharacterSet) -> Decoded<Self> {
        let items = dataset.items(tags::CONTENT_SEQUENCE);
        let coded = |name: coding::Concept| {
            let item = items.iter().find(|item| is_named(item, name))?;
            Some(concept(item, tags::CONCEPT_CODE_SEQUENCE, set))
        };
        let Some(Ok(language)) = coded(coding::LANGUAGE).map(|code| code.value.parse()) else {
            return missing("it names no language")();
        };
        let mut containers: Vec<&Dataset> = items
            .iter()
            .filter(|item| item.code(tags::VALUE_TYPE) == "CONTAINER")
            .collect();
        let Some(last) = containers.pop().filter(|last| is_summary(last)) else {
            return missing("it has no closing")();
        };
        let opening = containers
            .first()
            .copied()
            .filter(|first| is_summary(first));
        if opening.is_some() {
            containers.remove(0);
        }
        let mut notices = opening
            .map(|opening| texts(opening, set))
            .unwrap_or_default();
        if dataset.code(tags::PRELIMINARY_FLAG) == "PRELIMINARY" && !notices.is_empty() {
            notices.remove(0);
        }
        let sections: Option<Vec<Section>> = containers
            .into_iter()
            .map(|container| {
                let (value, scheme) = name_of(container);
                let (kind, _) = coding::section_of(&value, &scheme)?;
                let paragraphs = texts(container, set).into_iter().map(Paragraph::from);
                Some(Section {
                    kind,
                    paragraphs: paragraphs.collect(),
                })
            })
            .collect();
        Ok(Self {
            language,
            headings: if name_of(last).1 == "LN" {
                Headings::Loinc
            } else {
                Headings::Legacy
            },
            procedure: coded(coding::PROCEDURE_REPORTED),
            author: author(items, set, coded(coding::OBSERVER_ROLE)),
            notices: notices.into_iter().map(Paragraph::from).collect(),
            sections: sections.map_or_else(missing("an unknown heading"), Ok)?,
            closing: texts(last, set),
        })
    }
}

fn author(items: &[Dataset], set: &CharacterSet, role: Option<Code>) -> Person {
    let value = |name: coding::Concept, tag: Tag| {
        items
            .iter()
            .find(|item| is_named(item, name))
            .map_or_else(String::new, |item| item.text(tag, set))
    };
    let name = value(coding::OBSERVER_NAME, tags::PERSON_NAME);
    let mut person = named(&name, &Told::default());
    person.organisation = value(coding::OBSERVER_ORGANISATION, tags::TEXT_VALUE);
    person.registration = value(coding::OBSERVER_IDENTIFIER, tags::TEXT_VALUE);
    person.role = role
        .and_then(|role| coding::role_of(&role.value))
        .unwrap_or_default();
    person
}

/// A person of a PN and of what the closing says of him.
fn named(name: &str, told: &Told) -> Person {
    let mut parts = name.split('=').next().unwrap_or_default().split('^');
    let mut part = || parts.next().unwrap_or_default().trim().to_owned();
    let (family, given, _middle, title) = (part(), part(), part(), part());
    Person {
        family,
        given,
        title,
        organisation: told.organisation.clone(),
        registration: told.registration.clone(),
        country: told.country.clone(),
        phone: told.phone.clone(),
        role: told.role,
    }
}

fn people(dataset: &Dataset, set: &CharacterSet, tree: &Tree) -> Decoded<(Standing, Person)> {
    let mut closings = tree.closing.iter().map(|text| told(text, &tree.language));
    let first = closings.next().unwrap_or_default();
    let second = closings.next();
    let mut author = tree.author.clone();
    author.country.clone_from(&first.country);
    author.phone.clone_from(&first.phone);
    if author.registration.is_empty() {
        author.registration.clone_from(&first.registration);
    }
    if dataset.code(tags::PRELIMINARY_FLAG) == "PRELIMINARY" {
        return Ok((Standing::Preliminary, author));
    }
    let Some(verifier) = dataset.items(tags::VERIFYING_OBSERVER_SEQUENCE).first() else {
        return missing("it is final and names no verifier")();
    };
    let person = match second {
        Some(told) => named(&verifier.text(tags::VERIFYING_OBSERVER_NAME, set), &told),
        None => author.clone(),
    };
    let at = parsed(
        verifier,
        tags::VERIFICATION_DATE_TIME,
        "Verification DateTime",
    )?;
    Ok((Standing::Final(Verification { person, at }), author))
}

fn document(dataset: &Dataset) -> Decoded<Document> {
    Ok(Document {
        study: parsed(dataset, tags::STUDY_INSTANCE_UID, "Study Instance UID")?,
        series: parsed(dataset, tags::SERIES_INSTANCE_UID, "Series Instance UID")?,
        instance: parsed(dataset, tags::SOP_INSTANCE_UID, "SOP Instance UID")?,
        series_number: parsed(dataset, tags::SERIES_NUMBER, "Series Number")?,
        instance_number: parsed(dataset, tags::INSTANCE_NUMBER, "Instance Number")?,
    })
}

fn patient(dataset: &Dataset, set: &CharacterSet) -> Patient {
    let text = |tag| received(dataset, tag, set);
    Patient {
        name: text(tags::PATIENT_NAME),
        id: text(tags::PATIENT_ID),
        issuer: text(tags::ISSUER_OF_PATIENT_ID),
        birth_date: text(tags::PATIENT_BIRTH_DATE),
        sex: text(tags::PATIENT_SEX),
    }
}

fn protection(dataset: &Dataset, set: &CharacterSet) -> Option<Protection> {
    let sealed = dataset.items(tags::ENCRYPTED_ATTRIBUTES_SEQUENCE).first();
    if dataset.code(tags::PATIENT_IDENTITY_REMOVED) != "YES" && sealed.is_none() {
        return None;
    }
    let methods = dataset.text(tags::DEIDENTIFICATION_METHOD, set);
    let methods = methods.split('\\').map(str::trim).filter(|m| !m.is_empty());
    let codes = dataset.items(tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE);
    Some(Protection {
        methods: methods.map(str::to_owned).collect(),
        codes: codes.iter().map(|item| coded(item, set)).collect(),
        sealed: sealed.map(|item| Sealed {
            syntax: item.code(tags::ENCRYPTED_CONTENT_TRANSFER_SYNTAX_UID),
            content: item.bytes(tags::ENCRYPTED_CONTENT).to_vec(),
        }),
    })
}

fn study(dataset: &Dataset, set: &CharacterSet) -> Study {
    let text = |tag| received(dataset, tag, set);
    Study {
        date: text(tags::STUDY_DATE),
        time: text(tags::STUDY_TIME),
        id: text(tags::STUDY_ID),
        accession: text(tags::ACCESSION_NUMBER),
        referrer: text(tags::REFERRING_PHYSICIAN_NAME),
        description: text(tags::STUDY_DESCRIPTION),
    }
}

fn requests(dataset: &Dataset, set: &CharacterSet) -> Decoded<Vec<Request>> {
    let items = dataset.items(tags::REFERENCED_REQUEST_SEQUENCE).iter();
    items
        .map(|item| {
            let text = |tag| received(item, tag, set);
            Ok(Request {
                study: parsed(item, tags::STUDY_INSTANCE_UID, "study of a request")?,
                accession: text(tags::ACCESSION_NUMBER),
                placer_number: text(tags::PLACER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST),
                filler_number: text(tags::FILLER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST),
                procedure_id: text(tags::REQUESTED_PROCEDURE_ID),
                description: text(tags::REQUESTED_PROCEDURE_DESCRIPTION),
            })
        })
        .collect()
}

fn references(dataset: &Dataset, tag: Tag) -> Decoded<Vec<Evidence>> {
    let instance = |item: &Dataset| {
        Ok((
            parsed(item, tags::REFERENCED_SOP_CLASS_UID, "referenced SOP class")?,
            parsed(
                item,
                tags::REFERENCED_SOP_INSTANCE_UID,
                "referenced SOP instance",
            )?,
        ))
    };
    let series = |item: &Dataset| {
        let instances = item.items(tags::REFERENCED_SOP_SEQUENCE).iter();
        Ok(EvidenceSeries {
            series: parsed(item, tags::SERIES_INSTANCE_UID, "referenced series")?,
            instances: instances.map(instance).collect::<Decoded<_>>()?,
        })
    };
    let studies = dataset.items(tag).iter();
    studies
        .map(|item| {
            let all = item.items(tags::REFERENCED_SERIES_SEQUENCE).iter();
            Ok(Evidence {
                study: parsed(item, tags::STUDY_INSTANCE_UID, "referenced study")?,
                series: all.map(series).collect::<Decoded<_>>()?,
            })
        })
        .collect()
}

fn received(dataset: &Dataset, tag: Tag, set: &CharacterSet) -> PatientText {
    dataset.text(tag, set).into()
}

fn parsed<T: FromStr>(dataset: &Dataset, tag: Tag, what: &'static str) -> Decoded<T> {
    dataset
        .code(tag)
        .parse()
        .ok()
        .map_or_else(missing(what), Ok)
}

fn concept(dataset: &Dataset, sequence: Tag, set: &CharacterSet) -> Code {
    let Some(item) = dataset.items(sequence).first() else {
        return Code::new("", "", "");
    };
    coded(item, set)
}

/// The code of an item of a code sequence.
fn coded(item: &Dataset, set: &CharacterSet) -> Code {
    Code {
        value: value_of(item),
        scheme: item.code(tags::CODING_SCHEME_DESIGNATOR),
        meaning: item.text(tags::CODE_MEANING, set),
    }
}

fn value_of(item: &Dataset) -> String {
    let value = item.code(tags::CODE_VALUE);
    if value.is_empty() {
        item.code(tags::LONG_CODE_VALUE)
    } else {
        value
    }
}

/// Value and scheme of an item's concept name.
fn name_of(item: &Dataset) -> (String, String) {
    let name = item.items(tags::CONCEPT_NAME_CODE_SEQUENCE).first();
    name.map(|name| (value_of(name), name.code(tags::CODING_SCHEME_DESIGNATOR)))
        .unwrap_or_default()
}

fn is_named(item: &Dataset, name: coding::Concept) -> bool {
    let (value, scheme) = name_of(item);
    value == name.0 && scheme == name.1
}

fn is_summary(item: &Dataset) -> bool {
    [Headings::Loinc, Headings::Legacy]
        .into_iter()
        .any(|style| is_named(item, coding::summary(style)))
}

/// The texts of a container.
fn texts(container: &Dataset, set: &CharacterSet) -> Vec<String> {
    let items = container.items(tags::CONTENT_SEQUENCE).iter();
    items
        .filter(|item| item.code(tags::VALUE_TYPE) == "TEXT")
        .map(|item| item.text(tags::TEXT_VALUE, set))
        .collect()
}
