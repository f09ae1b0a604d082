//! Whether a report may be delivered: signed by a reader whom the pinned signer authority certified, and the document it says it is.

use causeway_certs::signer::{ChainError, is_fresh, verify_chain};
use causeway_proto::dataset::Dataset;
use causeway_proto::link::message::Report;
use causeway_proto::report::signature::{self, VerifyError};
use causeway_proto::time::Timestamp;
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

/// A report came without a list by which its signer can be judged: neither good nor bad, and to be offered again with another list.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum NoList {
    /// None came.
    #[error("it came without a list of revoked signers")]
    Missing,
    /// It cannot be read, or its time is over.
    #[error("its list of revoked signers cannot be read or is past its time")]
    Stale,
    /// It does not belong to the signer's certificate.
    #[error("its list of revoked signers is not one of the signer authority: {0}")]
    Foreign(ChainError),
}

/// Who signed, and whether the patient has to be put back.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) signer: String,
    pub(super) pseudonymous: bool,
}

/// Who signed, or why the report is rejected.
pub(super) type Verdict = Result<Accepted, Rejection>;

/// Verifies the bytes against the pinned authority, and the signer against the list that came with the report. Whatever is wrong
/// without asking the list is a rejection; a good signature without a list that holds at `now` is no verdict.
pub(super) fn verify(
    report: &Report,
    dataset: &[u8],
    authority: &CertificateDer<'_>,
    now: Timestamp,
) -> Result<Verdict, NoList> {
    let signed = match signed_by(report, dataset, authority) {
        Ok(signed) => signed,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let list = report.signer_crl.as_ref().ok_or(NoList::Missing)?;
    let list = CertificateRevocationListDer::from(list.as_slice());
    if !is_fresh(&list, now) {
        return Err(NoList::Stale);
    }
    match verify_chain(&signed.certificate, authority, Some(&list), signed.at) {
        Ok(signer) => Ok(Ok(Accepted {
            signer: signer.name,
            pseudonymous: signed.pseudonymous,
        })),
        Err(revoked @ ChainError::Revoked(_)) => Ok(Err(revoked.into())),
        // the chain was good without the list
        Err(other) => Err(NoList::Foreign(other)),
    }
}

/// A document whose signature holds.
struct SignedBy {
    /// It hangs from the authority.
    certificate: CertificateDer<'static>,
    at: Timestamp,
    pseudonymous: bool,
}

fn signed_by(
    report: &Report,
    dataset: &[u8],
    authority: &CertificateDer<'_>,
) -> Result<SignedBy, Rejection> {
    let dataset = Dataset::read(dataset, &report.syntax).map_err(VerifyError::from)?;
    let signed = signature::verify_dataset(&dataset)?;
    if signed.instance != report.instance || signed.study != report.study {
        return Err(Rejection::OtherDocument);
    }
    let certificate = CertificateDer::from(signed.certificate_der);
    let at = signed.signed_at.map_or(report.signed_at, |at| at.at());
    verify_chain(&certificate, authority, None, at)?;
    Ok(SignedBy {
        certificate,
        at,
        pseudonymous: is_pseudonymous(&dataset),
    })
}
