//! One copy of a report as a signed DICOM document: encoded, signed, and verified before anybody sees it.

use causeway_proto::digest::ContentHasher;
use causeway_proto::ids::TransferSyntaxUid;
use causeway_proto::report::model::Report;
use causeway_proto::report::{signature, sr};

use super::act::ActError;
use super::vault::Unlocked;
use crate::archive::BlobKey;
use crate::report::SignedDocument;

/// A document with its bytes, not stored yet.
pub(super) struct Made {
    pub(super) row: SignedDocument,
    pub(super) key: BlobKey,
    pub(super) bytes: Vec<u8>,
}

/// Makes the document.
pub(super) fn document(
    report: &Report,
    key: &Unlocked,
    signature_uid: &str,
    (site, agreement): (&str, &str),
) -> Result<Made, ActError> {
    let broken = |e: &dyn std::fmt::Display| ActError::Document(e.to_string());
    let mut dataset = sr::encode(report);
    signature::sign(
        &mut dataset,
        key.certificate(),
        signature_uid,
        report.observed_at,
        |bytes| key.sign(bytes),
    )
    .map_err(|e| broken(&e))?;
    let bytes = sr::to_bytes(&dataset);
    let syntax: TransferSyntaxUid = sr::TRANSFER_SYNTAX.parse().map_err(|e| broken(&e))?;
    signature::verify(&bytes, &syntax).map_err(|e| broken(&e))?;
    let mut hasher = ContentHasher::new(&syntax);
    hasher.update(&bytes);
    let digest = hasher.finish();
    let site_id = site.parse().map_err(|e| broken(&e))?;
    let agreement_id = agreement.parse().map_err(|e| broken(&e))?;
    let blob = BlobKey::report(&site_id, &agreement_id, &digest);
    Ok(Made {
        row: SignedDocument {
            sop_uid: report.document.instance.to_string(),
            site_id: site.to_owned(),
            agreement_id: agreement.to_owned(),
            study_uid: report.document.study.to_string(),
            series_uid: report.document.series.to_string(),
            sop_class: sr::SOP_CLASS.to_owned(),
            transfer_syntax: sr::TRANSFER_SYNTAX.to_owned(),
            blob_key: blob.as_str().to_owned(),
            digest: digest.to_string(),
            length: i64::try_from(bytes.len()).map_err(|e| broken(&e))?,
        },
        key: blob,
        bytes,
    })
}
