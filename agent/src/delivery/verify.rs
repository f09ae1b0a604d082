//! Whether a report may be delivered: signed by a reader whom the pinned signer authority certified, and the document it says it is.

use causeway_certs::signer::{ChainError, verify_chain};
use causeway_proto::dataset::Dataset;
use causeway_proto::link::message::Report;
use causeway_proto::report::signature::{self, VerifyError};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use thiserror::Error;

use crate::restore::is_pseudonymous;

/// Why a report is rejected, in words for the gateway's operator.
#[derive(Debug, Error)]
pub(super) enum Rejection {
    /// The signature does not hold.
    #[error("the signature does not verify: {0}")]
    Signature(#[from] VerifyError),
    /// The signer may not sign.
    #[error("the signer is not accepted: {0}")]
    Signer(#[from] ChainError),
    /// The message speaks of another document.
    #[error("the document is not the one that was announced")]
    OtherDocument,
    /// Nothing of its study was sent from here.
    #[error("its study was never received at this site")]
    UnknownStudy,
    /// The PACS has sent an object under this UID.
    #[error("its SOP Instance UID belongs to an object of the site")]
    TakenUid,
}

/// Who signed, and whether the patient has to be put back.
pub(super) struct Accepted {
    pub(super) signer: String,
    pub(super) pseudonymous: bool,
}

/// Verifies the bytes against the pinned authority.
pub(super) fn verify(
    report: &Report,
    dataset: &[u8],
    authority: &CertificateDer<'_>,
) -> Result<Accepted, Rejection> {
    let dataset = Dataset::read(dataset, &report.syntax).map_err(VerifyError::from)?;
    let signed = signature::verify_dataset(&dataset)?;
    if signed.instance != report.instance || signed.study != report.study {
        return Err(Rejection::OtherDocument);
    }
    let certificate = CertificateDer::from(signed.certificate_der);
    let list = report
        .signer_crl
        .as_ref()
        .map(|list| CertificateRevocationListDer::from(list.as_slice()));
    let at = signed.signed_at.map_or(report.signed_at, |at| at.at());
    let signer = verify_chain(&certificate, authority, list.as_ref(), at)?;
    Ok(Accepted {
        signer: signer.name,
        pseudonymous: is_pseudonymous(&dataset),
    })
}
