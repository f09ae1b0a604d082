//! The reader's digital signature over a report: the SR RSA profile of PS3.15 C.4, over its list of attributes and over the
//! Preliminary Flag and the character set besides (P12).
//!
//! What the hospital may correct (Patient and General Study modules, Referenced Request Sequence) is not signed and may change;
//! everything else of the list that is present must be signed, also when it was added later. Whether the certificate is one of
//! ours is not judged here: [`verify`] hands it out for `certs::signer` to judge.

use std::error::Error;

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RsaParameters, UnparsedPublicKey,
};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::coding;
use super::model::Stamp;
use crate::dataset::{Dataset, ReadError, Value};
use crate::ids::{SopInstanceUid, StudyUid, TransferSyntaxUid};

mod stream;

/// What must be signed whenever it is present: the list of PS3.15 C.4 with the additions above, in the order of the tags.
const SIGNED: [Tag; 34] = [
    tags::SPECIFIC_CHARACTER_SET,
    tags::SOP_CLASS_UID,
    tags::SOP_INSTANCE_UID,
    // General Equipment (PS3.3 C.7.5.1)
    tags::MANUFACTURER,
    tags::INSTITUTION_NAME,
    tags::INSTITUTION_ADDRESS,
    tags::STATION_NAME,
    tags::INSTITUTIONAL_DEPARTMENT_NAME,
    tags::INSTITUTIONAL_DEPARTMENT_TYPE_CODE_SEQUENCE,
    tags::MANUFACTURER_MODEL_NAME,
    tags::DEVICE_SERIAL_NUMBER,
    tags::DEVICE_UID,
    tags::GANTRY_ID,
    tags::UDI_SEQUENCE,
    tags::MANUFACTURER_DEVICE_CLASS_UID,
    tags::SOFTWARE_VERSIONS,
    tags::SPATIAL_RESOLUTION,
    tags::DATE_OF_LAST_CALIBRATION,
    tags::TIME_OF_LAST_CALIBRATION,
    tags::STUDY_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    // SR Document General (PS3.3 C.17.2) and Content (C.17.3)
    tags::OBSERVATION_DATE_TIME,
    tags::VALUE_TYPE,
    tags::CONCEPT_NAME_CODE_SEQUENCE,
    tags::CONTINUITY_OF_CONTENT,
    tags::VERIFYING_OBSERVER_SEQUENCE,
    tags::PREDECESSOR_DOCUMENTS_SEQUENCE,
    tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE,
    tags::PERTINENT_OTHER_EVIDENCE_SEQUENCE,
    tags::COMPLETION_FLAG,
    tags::VERIFICATION_FLAG,
    tags::PRELIMINARY_FLAG,
    tags::CONTENT_TEMPLATE_SEQUENCE,
    tags::CONTENT_SEQUENCE,
];

/// What every report of ours has; a document without one of these is not one.
const REQUIRED: [Tag; 11] = [
    tags::SPECIFIC_CHARACTER_SET,
    tags::SOP_CLASS_UID,
    tags::SOP_INSTANCE_UID,
    tags::STUDY_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::VALUE_TYPE,
    tags::CONCEPT_NAME_CODE_SEQUENCE,
    tags::COMPLETION_FLAG,
    tags::VERIFICATION_FLAG,
    tags::PRELIMINARY_FLAG,
    tags::CONTENT_SEQUENCE,
];

const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";
const CERTIFICATE_TYPE: &str = "X509_1993_SIG";

/// Why a report was not signed.
#[derive(Debug, Error)]
pub enum SignError<E: Error + 'static> {
    /// A document is signed once.
    #[error("the document is signed already")]
    AlreadySigned,
    /// A report without this is not signed.
    #[error("the document has no {0}")]
    Missing(Tag),
    /// The key refused or failed.
    #[error("the signing key failed")]
    Key(#[source] E),
}

/// Why a document does not count as signed.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// Not readable.
    #[error("the document is not readable")]
    Read(#[from] ReadError),
    /// There is no digital signature.
    #[error("the document is not signed")]
    Unsigned,
    /// The signature lacks what describes it, or its certificate is none.
    #[error("the signature is incomplete: {0}")]
    Incomplete(&'static str),
    /// Other than RSA with SHA-256, -384 or -512 over explicit VR little endian.
    #[error("the signature is by an unknown algorithm")]
    Algorithm,
    /// An attribute that must be signed is present and is not.
    #[error("{0} is not covered by the signature")]
    NotCovered(Tag),
    /// An attribute that a report has, or that was signed, is not there.
    #[error("{0} is missing")]
    Missing(Tag),
    /// The purpose is not that of a report in its state.
    #[error("the purpose of the signature does not fit the verification flag")]
    Purpose,
    /// What is covered was changed, or the signature was.
    #[error("the document or its signature was changed after signing")]
    Corrupt,
}

/// What a signature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Of a preliminary report.
    Author,
    /// Of a final report.
    Verification,
    /// Of a house that puts a document of its own in the place of a signed one; never of a reader.
    Source,
}

/// A signature that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The certificate as it was embedded, cut to its own length; not judged.
    pub certificate_der: Vec<u8>,
    /// (0400,0100).
    pub signature_uid: String,
    /// (0400,0105), when it is a time of our writing.
    pub signed_at: Option<Stamp>,
    /// (0400,0401).
    pub purpose: Purpose,
    /// The attributes that it covers.
    pub signed: Vec<Tag>,
    /// Which document it is.
    pub instance: SopInstanceUid,
    /// Under which study it belongs.
    pub study: StudyUid,
}

/// Signs a dataset of [`super::sr::encode`]: `key` signs the bytes it is given by RSA PKCS#1 v1.5 with SHA-256. The purpose
/// follows from the verification flag.
///
/// # Errors
/// [`SignError`]; the dataset is unchanged then.
pub fn sign<E: Error + 'static>(
    dataset: &mut Dataset,
    certificate_der: &[u8],
    uid: &str,
    at: Stamp,
    key: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<(), SignError<E>> {
    let purpose = expected_purpose(dataset);
    sign_for(dataset, purpose, certificate_der, (uid, at), key)
}

/// As [`sign`], by a house: [`Purpose::Source`], whatever the verification flag says.
///
/// # Errors
/// As [`sign`].
pub fn sign_as_source<E: Error + 'static>(
    dataset: &mut Dataset,
    certificate_der: &[u8],
    uid: &str,
    at: Stamp,
    key: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<(), SignError<E>> {
    sign_for(dataset, Purpose::Source, certificate_der, (uid, at), key)
}

fn sign_for<E: Error + 'static>(
    dataset: &mut Dataset,
    purpose: Purpose,
    certificate_der: &[u8],
    (uid, at): (&str, Stamp),
    key: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<(), SignError<E>> {
    if dataset.get(tags::DIGITAL_SIGNATURES_SEQUENCE).is_some()
        || dataset.get(tags::MAC_PARAMETERS_SEQUENCE).is_some()
    {
        return Err(SignError::AlreadySigned);
    }
    if let Some(missing) = missing(dataset) {
        return Err(SignError::Missing(missing));
    }
    let covered: Vec<Tag> = must_be_signed(dataset).collect();
    let purpose = match purpose {
        Purpose::Author => coding::AUTHOR_SIGNATURE,
        Purpose::Verification => coding::VERIFICATION_SIGNATURE,
        Purpose::Source => coding::SOURCE_SIGNATURE,
    };
    let mut item = Dataset::new();
    let number = Value::Bytes(1_u16.to_le_bytes().to_vec());
    item.put(tags::MACID_NUMBER, VR::US, number.clone());
    item.put_text(tags::DIGITAL_SIGNATURE_UID, VR::UI, uid);
    item.put_text(tags::DIGITAL_SIGNATURE_DATE_TIME, VR::DT, &at.dicom_dt());
    item.put_text(tags::CERTIFICATE_TYPE, VR::CS, CERTIFICATE_TYPE);
    let purpose = super::sr::code_item(&coding::code(purpose));
    item.put_items(tags::DIGITAL_SIGNATURE_PURPOSE_CODE_SEQUENCE, purpose);
    let signature = key(&stream::mac_stream(dataset, &covered, &item)).map_err(SignError::Key)?;
    item.put(
        tags::CERTIFICATE_OF_SIGNER,
        VR::OB,
        Value::Bytes(certificate_der.to_vec()),
    );
    item.put(tags::SIGNATURE, VR::OB, Value::Bytes(signature));

    let mut parameters = Dataset::new();
    parameters.put(tags::MACID_NUMBER, VR::US, number);
    parameters.put_text(
        tags::MAC_CALCULATION_TRANSFER_SYNTAX_UID,
        VR::UI,
        EXPLICIT_LITTLE,
    );
    parameters.put_text(tags::MAC_ALGORITHM, VR::CS, "SHA256");
    parameters.put(
        tags::DATA_ELEMENTS_SIGNED,
        VR::AT,
        Value::Bytes(tag_list(&covered)),
    );
    dataset.put_items(tags::MAC_PARAMETERS_SEQUENCE, vec![parameters]);
    dataset.put_items(tags::DIGITAL_SIGNATURES_SEQUENCE, vec![item]);
    Ok(())
}

/// Verifies the bytes of a dataset (without group 0002) in any syntax that is not lossy to it.
///
/// # Errors
/// [`VerifyError`] with the reason for which the document does not count as signed by a reader.
pub fn verify(bytes: &[u8], syntax: &TransferSyntaxUid) -> Result<Verified, VerifyError> {
    verify_dataset(&Dataset::read(bytes, syntax)?)
}

/// As [`verify`], for a dataset that is read already. Of several signatures one has to hold.
///
/// # Errors
/// As [`verify`]; of several signatures that do not hold, the reason of the first.
pub fn verify_dataset(dataset: &Dataset) -> Result<Verified, VerifyError> {
    verify_for(dataset, expected_purpose(dataset))
}

/// As [`verify_dataset`], for the signature of a house ([`Purpose::Source`]); that of a reader does not count.
///
/// # Errors
/// As [`verify_dataset`].
pub fn verify_source(dataset: &Dataset) -> Result<Verified, VerifyError> {
    verify_for(dataset, Purpose::Source)
}

fn verify_for(dataset: &Dataset, purpose: Purpose) -> Result<Verified, VerifyError> {
    let mut first = None;
    for signature in dataset.items(tags::DIGITAL_SIGNATURES_SEQUENCE) {
        match verify_one(dataset, signature, purpose) {
            Ok(verified) => return Ok(verified),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or(VerifyError::Unsigned))
}

fn verify_one(
    dataset: &Dataset,
    signature: &Dataset,
    wanted: Purpose,
) -> Result<Verified, VerifyError> {
    let number = signature.bytes(tags::MACID_NUMBER);
    let parameters = dataset
        .items(tags::MAC_PARAMETERS_SEQUENCE)
        .iter()
        .find(|parameters| !number.is_empty() && parameters.bytes(tags::MACID_NUMBER) == number)
        .ok_or(VerifyError::Incomplete("no MAC parameters"))?;
    let algorithm = algorithm(parameters)?;
    if let Some(missing) = missing(dataset) {
        return Err(VerifyError::Missing(missing));
    }
    let covered = covered(dataset, parameters)?;
    let purpose = purpose(signature, wanted)?;
    let certificate = certificate(signature)?;
    let key = public_key(certificate)?;
    let message = stream::mac_stream(dataset, &covered, signature);
    UnparsedPublicKey::new(algorithm, key)
        .verify(&message, signature.bytes(tags::SIGNATURE))
        .ok()
        .ok_or(VerifyError::Corrupt)?;
    Ok(Verified {
        certificate_der: certificate.to_vec(),
        signature_uid: signature.code(tags::DIGITAL_SIGNATURE_UID),
        signed_at: signature
            .code(tags::DIGITAL_SIGNATURE_DATE_TIME)
            .parse()
            .ok(),
        purpose,
        signed: covered,
        instance: uid(dataset, tags::SOP_INSTANCE_UID)?,
        study: uid(dataset, tags::STUDY_INSTANCE_UID)?,
    })
}

fn uid<T: std::str::FromStr>(dataset: &Dataset, tag: Tag) -> Result<T, VerifyError> {
    dataset
        .code(tag)
        .parse()
        .ok()
        .ok_or(VerifyError::Missing(tag))
}

fn must_be_signed(dataset: &Dataset) -> impl Iterator<Item = Tag> {
    SIGNED.into_iter().filter(|tag| dataset.get(*tag).is_some())
}

fn missing(dataset: &Dataset) -> Option<Tag> {
    let verified = dataset.code(tags::VERIFICATION_FLAG) == "VERIFIED";
    let observer = verified.then_some(tags::VERIFYING_OBSERVER_SEQUENCE);
    REQUIRED
        .into_iter()
        .chain(observer)
        .find(|tag| dataset.get(*tag).is_none())
}

fn expected_purpose(dataset: &Dataset) -> Purpose {
    if dataset.code(tags::VERIFICATION_FLAG) == "VERIFIED" {
        Purpose::Verification
    } else {
        Purpose::Author
    }
}

fn algorithm(parameters: &Dataset) -> Result<&'static RsaParameters, VerifyError> {
    if parameters.code(tags::MAC_CALCULATION_TRANSFER_SYNTAX_UID) != EXPLICIT_LITTLE {
        return Err(VerifyError::Algorithm);
    }
    match parameters.code(tags::MAC_ALGORITHM).as_str() {
        "SHA256" => Ok(&RSA_PKCS1_2048_8192_SHA256),
        "SHA384" => Ok(&RSA_PKCS1_2048_8192_SHA384),
        "SHA512" => Ok(&RSA_PKCS1_2048_8192_SHA512),
        _ => Err(VerifyError::Algorithm),
    }
}

/// The attributes that the signature says it covers, when these are what it has to cover.
fn covered(dataset: &Dataset, parameters: &Dataset) -> Result<Vec<Tag>, VerifyError> {
    let list: Vec<Tag> = parameters
        .bytes(tags::DATA_ELEMENTS_SIGNED)
        .chunks_exact(4)
        .filter_map(|tag| match tag {
            [a, b, c, d] => Some(Tag(
                u16::from_le_bytes([*a, *b]),
                u16::from_le_bytes([*c, *d]),
            )),
            _ => None,
        })
        .collect();
    if let Some(left_out) = must_be_signed(dataset).find(|tag| !list.contains(tag)) {
        return Err(VerifyError::NotCovered(left_out));
    }
    if let Some(gone) = list.iter().find(|tag| dataset.get(**tag).is_none()) {
        return Err(VerifyError::Missing(*gone));
    }
    if !list.is_sorted_by(|a, b| a < b) {
        return Err(VerifyError::Incomplete("its list is not in order"));
    }
    Ok(list)
}

fn purpose(signature: &Dataset, wanted: Purpose) -> Result<Purpose, VerifyError> {
    let item = signature
        .items(tags::DIGITAL_SIGNATURE_PURPOSE_CODE_SEQUENCE)
        .first();
    let item = item.ok_or(VerifyError::Purpose)?;
    let pair = (
        item.code(tags::CODE_VALUE),
        item.code(tags::CODING_SCHEME_DESIGNATOR),
    );
    let is = |concept: coding::Concept| pair.0 == concept.0 && pair.1 == concept.1;
    let concept = match wanted {
        Purpose::Author => coding::AUTHOR_SIGNATURE,
        Purpose::Verification => coding::VERIFICATION_SIGNATURE,
        Purpose::Source => coding::SOURCE_SIGNATURE,
    };
    is(concept).then_some(wanted).ok_or(VerifyError::Purpose)
}

/// The embedded certificate without the padding of its OB value: as long as its ASN.1 says.
fn certificate(signature: &Dataset) -> Result<&[u8], VerifyError> {
    if signature.code(tags::CERTIFICATE_TYPE) != CERTIFICATE_TYPE {
        return Err(VerifyError::Incomplete("no X.509 certificate"));
    }
    let padded = signature.bytes(tags::CERTIFICATE_OF_SIGNER);
    let (rest, _) = X509Certificate::from_der(padded)
        .ok()
        .ok_or(VerifyError::Incomplete("its certificate is unreadable"))?;
    let length = padded.len() - rest.len();
    padded
        .get(..length)
        .ok_or(VerifyError::Incomplete("its certificate is unreadable"))
}

/// The RSA key of a certificate as PKCS#1.
fn public_key(certificate: &[u8]) -> Result<Vec<u8>, VerifyError> {
    let (_, certificate) = X509Certificate::from_der(certificate)
        .ok()
        .ok_or(VerifyError::Incomplete("its certificate is unreadable"))?;
    let key = certificate.public_key();
    // PKCS#1 rsaEncryption
    if key.algorithm.algorithm.to_id_string() != "1.2.840.113549.1.1.1" {
        return Err(VerifyError::Algorithm);
    }
    Ok(key.subject_public_key.data.to_vec())
}

fn tag_list(tags: &[Tag]) -> Vec<u8> {
    tags.iter()
        .flat_map(|tag| [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat())
        .collect()
}

#[cfg(test)]
mod tests;
