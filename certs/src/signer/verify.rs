//! The chain of a reader's certificate, judged for the moment of signing.

use causeway_proto::time::Timestamp;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use thiserror::Error;
use webpki::{
    CertRevocationList, EndEntityCert, Error as PkiError, ExpirationPolicy, KeyUsage,
    OwnedCertRevocationList, RevocationCheckDepth, RevocationOptions, RevocationOptionsBuilder,
    anchor_from_trusted_cert,
};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::crypto::{provider, timestamp, unix};
use crate::identity::{Serial, Validity, from_seconds, parse, validity};

/// The content bytes of 1.3.6.1.5.5.7.3.36 in DER.
const DOCUMENT_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 36];

/// Who signed, as the verified certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The certificate's serial number.
    pub serial: Serial,
    /// The person's full name.
    pub name: String,
    /// The reading organisation.
    pub organisation: String,
    /// Two letters.
    pub country: String,
    /// The registration number.
    pub registration: String,
    /// When the certificate holds.
    pub validity: Validity,
    /// Until when the key may sign; `None` when the certificate does not say.
    pub usable_until: Option<Timestamp>,
}

/// A certificate that may not have signed at that moment.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ChainError {
    /// It, the authority's certificate or the list cannot be read.
    #[error("the signing certificate, its authority or the revocation list cannot be read")]
    Unreadable,
    /// It is not of this authority.
    #[error("the signing certificate is not of this signer authority")]
    Authority,
    /// It did not hold.
    #[error("the signing certificate did not hold at {0}")]
    OutOfTime(Timestamp),
    /// Its key could no longer sign, or not yet.
    #[error("the signing key was not in its time of use at {0}")]
    KeyOutOfTime(Timestamp),
    /// It was revoked before.
    #[error("the signing certificate was revoked at {0}")]
    Revoked(Timestamp),
    /// It is for something else.
    #[error("the certificate is not one for signing documents")]
    Use,
    /// Another fault.
    #[error("the signing certificate is not accepted: {0}")]
    Other(String),
}

/// Verifies that `certificate` hangs from `authority`, is for signing documents, and could sign at `at`. A revocation counts from the
/// time in the list: what was signed before it stays good.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify_chain(
    certificate: &CertificateDer<'_>,
    authority: &CertificateDer<'_>,
    list: Option<&CertificateRevocationListDer<'_>>,
    at: Timestamp,
) -> Result<Verified, ChainError> {
    let end = EndEntityCert::try_from(certificate)
        .ok()
        .ok_or(ChainError::Unreadable)?;
    let anchor = anchor_from_trusted_cert(authority)
        .ok()
        .ok_or(ChainError::Unreadable)?;
    let algorithms = provider().signature_verification_algorithms;
    let judge = |options: Option<RevocationOptions<'_>>| {
        end.verify_for_usage(
            algorithms.all,
            std::slice::from_ref(&anchor),
            &[],
            unix(at),
            KeyUsage::required(DOCUMENT_SIGNING),
            options,
            None,
        )
        .map(|_| ())
    };
    judge(None).map_err(|error| said(&error, at))?;
    let parsed = parse(certificate).ok_or(ChainError::Unreadable)?;
    if let Some(list) = list {
        let list = CertRevocationList::from(
            OwnedCertRevocationList::from_der(list.as_ref())
                .ok()
                .ok_or(ChainError::Unreadable)?,
        );
        let lists = [&list];
        let options = RevocationOptionsBuilder::new(&lists)
            .ok()
            .ok_or(ChainError::Unreadable)?
            .with_depth(RevocationCheckDepth::EndEntity)
            .with_expiration_policy(ExpirationPolicy::Ignore)
            .build();
        match judge(Some(options)) {
            Ok(()) => {}
            Err(PkiError::CertRevoked) => refuse_if_before(&list, &parsed, at)?,
            Err(error) => return Err(said(&error, at)),
        }
    }
    describe(&parsed, at)
}

/// Whether a list is still to be believed at `now`: its `nextUpdate` has not passed. One that cannot be read, or that does not name
/// it (RFC 5280 5.1.2.5 demands it), is not. Who signed the list is for [`verify_chain`] to find out.
#[must_use]
pub fn is_fresh(list: &CertificateRevocationListDer<'_>, now: Timestamp) -> bool {
    let Ok((_, list)) = CertificateRevocationList::from_der(list.as_ref()) else {
        return false;
    };
    list.next_update()
        .is_some_and(|until| from_seconds(until.timestamp()) >= now)
}

fn refuse_if_before(
    list: &CertRevocationList<'_>,
    certificate: &X509Certificate<'_>,
    at: Timestamp,
) -> Result<(), ChainError> {
    let entry = list
        .find_serial(certificate.raw_serial())
        .ok()
        .ok_or(ChainError::Unreadable)?;
    let since = entry.map_or(Timestamp(0), |entry| timestamp(entry.revocation_date));
    if since <= at {
        Err(ChainError::Revoked(since))
    } else {
        Ok(())
    }
}

fn said(error: &PkiError, at: Timestamp) -> ChainError {
    match error {
        PkiError::CertExpired { .. } | PkiError::CertNotValidYet { .. } => {
            ChainError::OutOfTime(at)
        }
        PkiError::UnknownIssuer | PkiError::InvalidSignatureForPublicKey => ChainError::Authority,
        PkiError::RequiredEkuNotFoundContext(_) => ChainError::Use,
        other => ChainError::Other(other.to_string()),
    }
}

fn describe(certificate: &X509Certificate<'_>, at: Timestamp) -> Result<Verified, ChainError> {
    let usable_until = key_usable_until(certificate);
    if usable_until.is_some_and(|until| until < at) {
        return Err(ChainError::KeyOutOfTime(at));
    }
    let subject = certificate.subject();
    Ok(Verified {
        serial: Serial::of(certificate.raw_serial()),
        name: text(subject.iter_common_name().next()),
        organisation: text(subject.iter_organization().next()),
        country: text(subject.iter_country().next()),
        registration: text(
            subject
                .iter_by_oid(&x509_parser::oid_registry::OID_X509_SERIALNUMBER)
                .next(),
        ),
        validity: validity(certificate),
        usable_until,
    })
}

fn text(attribute: Option<&x509_parser::x509::AttributeTypeAndValue<'_>>) -> String {
    attribute
        .and_then(|attribute| attribute.as_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// The `notAfter [1]` of PrivateKeyUsagePeriod, as [`super::period_der`] writes it.
fn key_usable_until(certificate: &X509Certificate<'_>) -> Option<Timestamp> {
    let period = certificate
        .iter_extensions()
        .find(|extension| extension.oid.to_id_string() == "2.5.29.16")?;
    let at = period
        .value
        .windows(2)
        .rposition(|pair| pair == [0x81, 15])?;
    let digits = std::str::from_utf8(period.value.get(at + 2..at + 17)?).ok()?;
    let civil = jiff::civil::DateTime::strptime("%Y%m%d%H%M%SZ", digits).ok()?;
    Some(
        civil
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp()
            .into(),
    )
}
