//! The modules around the content: patient, study, series, equipment, document (PS3.3 A.35.2.3).

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::item::{code, person_name, references, short};
use super::{IMPLEMENTATION_CLASS, IMPLEMENTATION_VERSION, SOP_CLASS};
use crate::dataset::{Dataset, Value};
use crate::patient::PatientText;
use crate::report::model::{Code, Evidence, Protection, Report, Request, Standing, Verification};

pub(super) fn put(out: &mut Dataset, report: &Report) {
    out.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192");
    out.put_text(tags::SOP_CLASS_UID, VR::UI, SOP_CLASS);
    out.put_text(
        tags::SOP_INSTANCE_UID,
        VR::UI,
        report.document.instance.as_str(),
    );
    patient(out, report);
    if let Some(protection) = &report.protection {
        deidentified(out, protection);
    }
    study(out, report);
    series(out, report);
    out.put_text(
        tags::MANUFACTURER,
        VR::LO,
        &short(&report.equipment.manufacturer, 64),
    );
    out.put_text(
        tags::MANUFACTURER_MODEL_NAME,
        VR::LO,
        &short(&report.equipment.model, 64),
    );
    out.put_text(
        tags::SOFTWARE_VERSIONS,
        VR::LO,
        &short(&report.equipment.version, 64),
    );
    document(out, report);
}

fn received(out: &mut Dataset, tag: Tag, vr: VR, text: &PatientText) {
    out.put_text(tag, vr, text.reveal());
}

/// PS3.3 C.7.1.1.
fn patient(out: &mut Dataset, report: &Report) {
    let patient = &report.patient;
    received(out, tags::PATIENT_NAME, VR::PN, &patient.name);
    received(out, tags::PATIENT_ID, VR::LO, &patient.id);
    received(out, tags::PATIENT_BIRTH_DATE, VR::DA, &patient.birth_date);
    received(out, tags::PATIENT_SEX, VR::CS, &patient.sex);
    if !patient.issuer.is_empty() {
        received(out, tags::ISSUER_OF_PATIENT_ID, VR::LO, &patient.issuer);
    }
}

/// The marks of de-identification and the site's sealed originals (PS3.3 C.7.1.1, C.12.1.1.4.1), which the site takes away again:
/// PS3.15 C.4 has none of them in its list, so that the signature holds with them and without.
fn deidentified(out: &mut Dataset, protection: &Protection) {
    out.put_text(tags::PATIENT_IDENTITY_REMOVED, VR::CS, "YES");
    if !protection.methods.is_empty() {
        let methods: Vec<String> = protection.methods.iter().map(|m| short(m, 64)).collect();
        let methods = methods.join("\\");
        out.put_text(tags::DEIDENTIFICATION_METHOD, VR::LO, &methods);
    }
    if !protection.codes.is_empty() {
        let codes = protection.codes.iter().flat_map(code).collect();
        out.put_items(tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE, codes);
    }
    if let Some(sealed) = &protection.sealed {
        let mut item = Dataset::new();
        let syntax = tags::ENCRYPTED_CONTENT_TRANSFER_SYNTAX_UID;
        item.put_text(syntax, VR::UI, &sealed.syntax);
        let content = Value::Bytes(sealed.content.clone());
        item.put(tags::ENCRYPTED_CONTENT, VR::OB, content);
        out.put_items(tags::ENCRYPTED_ATTRIBUTES_SEQUENCE, vec![item]);
    }
}

/// PS3.3 C.7.2.1.
fn study(out: &mut Dataset, report: &Report) {
    let study = &report.study;
    out.put_text(
        tags::STUDY_INSTANCE_UID,
        VR::UI,
        report.document.study.as_str(),
    );
    received(out, tags::STUDY_DATE, VR::DA, &study.date);
    received(out, tags::STUDY_TIME, VR::TM, &study.time);
    received(out, tags::STUDY_ID, VR::SH, &study.id);
    received(out, tags::ACCESSION_NUMBER, VR::SH, &study.accession);
    received(out, tags::REFERRING_PHYSICIAN_NAME, VR::PN, &study.referrer);
    if !study.description.is_empty() {
        received(out, tags::STUDY_DESCRIPTION, VR::LO, &study.description);
    }
}

/// PS3.3 C.17.1.
fn series(out: &mut Dataset, report: &Report) {
    out.put_text(tags::MODALITY, VR::CS, "SR");
    out.put_text(
        tags::SERIES_INSTANCE_UID,
        VR::UI,
        report.document.series.as_str(),
    );
    out.put_text(
        tags::SERIES_NUMBER,
        VR::IS,
        &report.document.series_number.to_string(),
    );
    out.put_text(
        tags::SERIES_DESCRIPTION,
        VR::LO,
        &short(&report.title.meaning, 64),
    );
    out.put_items(
        tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE,
        Vec::new(),
    );
}

/// PS3.3 C.17.2.
fn document(out: &mut Dataset, report: &Report) {
    out.put_text(
        tags::INSTANCE_NUMBER,
        VR::IS,
        &report.document.instance_number.to_string(),
    );
    let (date, time) = report.observed_at.date_and_time();
    out.put_text(tags::CONTENT_DATE, VR::DA, &date);
    out.put_text(tags::CONTENT_TIME, VR::TM, &time);
    out.put_text(tags::COMPLETION_FLAG, VR::CS, "COMPLETE");
    out.put_items(tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, Vec::new());
    match &report.standing {
        Standing::Preliminary => {
            out.put_text(tags::PRELIMINARY_FLAG, VR::CS, "PRELIMINARY");
            out.put_text(tags::VERIFICATION_FLAG, VR::CS, "UNVERIFIED");
        }
        Standing::Final(verification) => {
            out.put_text(tags::PRELIMINARY_FLAG, VR::CS, "FINAL");
            out.put_text(tags::VERIFICATION_FLAG, VR::CS, "VERIFIED");
            out.put_items(
                tags::VERIFYING_OBSERVER_SEQUENCE,
                vec![verifier(verification)],
            );
        }
    }
    if !report.requests.is_empty() {
        let requests = report.requests.iter().map(request).collect();
        out.put_items(tags::REFERENCED_REQUEST_SEQUENCE, requests);
    }
    let mut put = |tag: Tag, evidence: &[Evidence]| {
        if !evidence.is_empty() {
            out.put_items(tag, references(evidence));
        }
    };
    put(
        tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE,
        &report.evidence,
    );
    put(
        tags::PERTINENT_OTHER_EVIDENCE_SEQUENCE,
        &report.other_evidence,
    );
    put(tags::PREDECESSOR_DOCUMENTS_SEQUENCE, &report.predecessors);
    put(tags::IDENTICAL_DOCUMENTS_SEQUENCE, &report.identical);
}

/// One item of (0040,A073). The registration identifies the person, in a private scheme of the country's register.
fn verifier(verification: &Verification) -> Dataset {
    let person = &verification.person;
    let mut item = Dataset::new();
    item.put_text(tags::VERIFYING_OBSERVER_NAME, VR::PN, &person_name(person));
    item.put_text(
        tags::VERIFYING_ORGANIZATION,
        VR::LO,
        &short(&person.organisation, 64),
    );
    item.put_text(
        tags::VERIFICATION_DATE_TIME,
        VR::DT,
        &verification.at.dicom_dt(),
    );
    let identification = if person.registration.is_empty() {
        Vec::new()
    } else {
        code(&Code {
            value: person.registration.clone(),
            scheme: format!("99REG_{}", person.country),
            meaning: "Medical registration".to_owned(),
        })
    };
    item.put_items(
        tags::VERIFYING_OBSERVER_IDENTIFICATION_CODE_SEQUENCE,
        identification,
    );
    item
}

fn request(request: &Request) -> Dataset {
    let mut item = Dataset::new();
    item.put_text(tags::STUDY_INSTANCE_UID, VR::UI, request.study.as_str());
    item.put_items(tags::REFERENCED_STUDY_SEQUENCE, Vec::new());
    received(
        &mut item,
        tags::ACCESSION_NUMBER,
        VR::SH,
        &request.accession,
    );
    received(
        &mut item,
        tags::PLACER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST,
        VR::LO,
        &request.placer_number,
    );
    received(
        &mut item,
        tags::FILLER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST,
        VR::LO,
        &request.filler_number,
    );
    received(
        &mut item,
        tags::REQUESTED_PROCEDURE_ID,
        VR::SH,
        &request.procedure_id,
    );
    received(
        &mut item,
        tags::REQUESTED_PROCEDURE_DESCRIPTION,
        VR::LO,
        &request.description,
    );
    item.put_items(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, Vec::new());
    item
}

/// Preamble, prefix and group 0002 (PS3.10 7.1).
pub(super) fn file_head(class: &str, instance: &str, syntax: &str) -> Vec<u8> {
    let mut meta = Dataset::new();
    meta.put(
        tags::FILE_META_INFORMATION_VERSION,
        VR::OB,
        Value::Bytes(vec![0, 1]),
    );
    meta.put_text(tags::MEDIA_STORAGE_SOP_CLASS_UID, VR::UI, class);
    meta.put_text(tags::MEDIA_STORAGE_SOP_INSTANCE_UID, VR::UI, instance);
    meta.put_text(tags::TRANSFER_SYNTAX_UID, VR::UI, syntax);
    meta.put_text(tags::IMPLEMENTATION_CLASS_UID, VR::UI, IMPLEMENTATION_CLASS);
    meta.put_text(
        tags::IMPLEMENTATION_VERSION_NAME,
        VR::SH,
        IMPLEMENTATION_VERSION,
    );
    let meta = meta.write();
    let mut length = Dataset::new();
    let size = u32::try_from(meta.len()).unwrap_or(u32::MAX).to_le_bytes();
    length.put(
        tags::FILE_META_INFORMATION_GROUP_LENGTH,
        VR::UL,
        Value::Bytes(size.to_vec()),
    );
    [vec![0; 128], b"DICM".to_vec(), length.write(), meta].concat()
}
