//! The signed report under its patient's name: what the signature leaves open is written, what it covers is verified before and after.

use causeway_proto::dataset::{Dataset, ReadError};
use causeway_proto::ids::TransferSyntaxUid;
use causeway_proto::patient::PatientText;
use causeway_proto::report::signature::{self, Verified, VerifyError};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_dictionary_std::uids::EXPLICIT_VR_LITTLE_ENDIAN;
use thiserror::Error;

use super::home::Home;
use crate::keys::KeysError;

/// The only character set of a report, and a signed one.
const UTF_8: &str = "ISO_IR 192";

/// Retain Longitudinal Temporal Information Modified Dates Option, of DCM.
const MODIFIED_DATES: &str = "113107";

/// What says that a dataset was de-identified, and what the originals travelled in (PS3.15 E.1).
const MARKS: [Tag; 4] = [
    tags::PATIENT_IDENTITY_REMOVED,
    tags::DEIDENTIFICATION_METHOD,
    tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE,
    tags::ENCRYPTED_ATTRIBUTES_SEQUENCE,
];

/// A report was not restored.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// It cannot be read.
    #[error("the report is not readable")]
    Read(#[from] ReadError),
    /// Its signature does not hold, before or after.
    #[error("the signature of the {0} report does not hold")]
    Signature(&'static str, #[source] VerifyError),
    /// It is another document than before.
    #[error("the restored report is not the signed one")]
    OtherDocument,
    /// Text that was signed in another character set cannot stand beside names in UTF-8.
    #[error("the report is not in UTF-8")]
    CharacterSet,
    /// It names an object that never left the site under this agreement.
    #[error("the report names an object that this site never sent")]
    Reference,
    /// The site cannot sign.
    #[error("the keys of the site cannot be used")]
    Keys(#[from] KeysError),
}

/// Whether the report says of itself that its patient was removed, or carries sealed originals.
#[must_use]
pub fn is_pseudonymous(report: &Dataset) -> bool {
    report.code(tags::PATIENT_IDENTITY_REMOVED) == "YES"
        || report.get(tags::ENCRYPTED_ATTRIBUTES_SEQUENCE).is_some()
}

/// Whether the dates of the images were shifted at this site, and so those that the report's header has from them (113107).
fn has_shifted_dates(report: &Dataset) -> bool {
    let methods = report.items(tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE);
    let code = |method: &Dataset| method.code(tags::CODE_VALUE) == MODIFIED_DATES;
    methods.iter().any(code)
}

/// The report of `home`, and its syntax: explicit VR little endian.
///
/// # Errors
/// [`RestoreError`]; then nothing may be delivered.
pub fn restored(
    report: &[u8],
    syntax: &TransferSyntaxUid,
    home: &Home,
) -> Result<(Vec<u8>, TransferSyntaxUid), RestoreError> {
    let mut dataset = Dataset::read(report, syntax)?;
    let before = verified(&dataset, "received")?;
    identify(&mut dataset, home)?;
    let bytes = dataset.write();
    let Ok(explicit) = EXPLICIT_VR_LITTLE_ENDIAN.parse::<TransferSyntaxUid>() else {
        return Err(RestoreError::OtherDocument);
    };
    // what counts is what a reader of the bytes finds, not the tree that they were written from
    let after = verified(&Dataset::read(&bytes, &explicit)?, "restored")?;
    if before == after {
        Ok((bytes, explicit))
    } else {
        Err(RestoreError::OtherDocument)
    }
}

/// Puts the patient and what home says of the study in the places of what stood for them.
pub(super) fn identify(dataset: &mut Dataset, home: &Home) -> Result<(), RestoreError> {
    if dataset.code(tags::SPECIFIC_CHARACTER_SET) != UTF_8 {
        return Err(RestoreError::CharacterSet);
    }
    let shifted = has_shifted_dates(dataset);
    for mark in MARKS {
        dataset.remove(mark);
    }
    if shifted {
        // a date that is nobody's is not filed, should no source at home know the true one
        dataset.put_text(tags::STUDY_DATE, VR::DA, "");
    }
    patient(dataset, home);
    study(dataset, home);
    requests(dataset, home);
    Ok(())
}

pub(super) fn verified(dataset: &Dataset, which: &'static str) -> Result<Verified, RestoreError> {
    match signature::verify_dataset(dataset) {
        Ok(verified) => Ok(verified),
        Err(error) => Err(RestoreError::Signature(which, error)),
    }
}

/// PS3.3 C.7.1.1. An issuer stands only where the PACS has one.
fn patient(dataset: &mut Dataset, home: &Home) {
    put(dataset, tags::PATIENT_NAME, VR::PN, &home.name);
    put(dataset, tags::PATIENT_ID, VR::LO, &home.id);
    put(dataset, tags::PATIENT_BIRTH_DATE, VR::DA, &home.birth_date);
    put(dataset, tags::PATIENT_SEX, VR::CS, &home.sex);
    dataset.remove(tags::ISSUER_OF_PATIENT_ID);
    dataset.remove(tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE);
    if !home.issuer.is_empty() {
        put(dataset, tags::ISSUER_OF_PATIENT_ID, VR::LO, &home.issuer);
    }
}

/// PS3.3 C.7.2.1. What home does not say of the study stays as the report has it; accession and referrer never stay, because
/// those of the report stand for others.
fn study(dataset: &mut Dataset, home: &Home) {
    let none = PatientText::default();
    // of several requests none is the study's: each has an item of its own
    let accession = match home.accessions.as_slice() {
        [one] => one,
        _ => &none,
    };
    put(dataset, tags::ACCESSION_NUMBER, VR::SH, accession);
    put(
        dataset,
        tags::REFERRING_PHYSICIAN_NAME,
        VR::PN,
        &home.referrer,
    );
    for (tag, vr, text) in [
        (tags::STUDY_ID, VR::SH, &home.study_id),
        (tags::STUDY_DATE, VR::DA, &home.study_date),
        (tags::STUDY_TIME, VR::TM, &home.study_time),
        (tags::STUDY_DESCRIPTION, VR::LO, &home.description),
    ] {
        if !text.is_empty() {
            put(dataset, tag, vr, text);
        }
    }
}

/// PS3.3 C.17.2: one item for each accession number.
fn requests(dataset: &mut Dataset, home: &Home) {
    dataset.remove(tags::REFERENCED_REQUEST_SEQUENCE);
    let study = dataset.code(tags::STUDY_INSTANCE_UID);
    let items: Vec<Dataset> = home
        .accessions
        .iter()
        .map(|accession| {
            let mut item = Dataset::new();
            let none = PatientText::default();
            item.put_text(tags::STUDY_INSTANCE_UID, VR::UI, &study);
            item.put_items(tags::REFERENCED_STUDY_SEQUENCE, Vec::new());
            put(&mut item, tags::ACCESSION_NUMBER, VR::SH, accession);
            for (tag, vr) in [
                (tags::PLACER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST, VR::LO),
                (tags::FILLER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST, VR::LO),
                (tags::REQUESTED_PROCEDURE_ID, VR::SH),
                (tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO),
            ] {
                put(&mut item, tag, vr, &none);
            }
            item.put_items(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, Vec::new());
            item
        })
        .collect();
    if !items.is_empty() {
        dataset.put_items(tags::REFERENCED_REQUEST_SEQUENCE, items);
    }
}

fn put(dataset: &mut Dataset, tag: Tag, vr: VR, text: &PatientText) {
    dataset.put_text(tag, vr, text.reveal());
}
