//! Revocation lists: which certificates no longer hold, signed by their authority, and fresh for one day.

use std::time::Duration;

use causeway_proto::time::Timestamp;
use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevocationReason,
    RevokedCertParams, SerialNumber,
};
use rustls_pki_types::CertificateRevocationListDer;

use crate::authority::{AuthorityError, LinkAuthority, SignerAuthority, calendar};
use crate::identity::Serial;

#[cfg(test)]
mod tests;

/// How long a list is believed. After that every handshake is refused rather than let through unasked.
pub const LIST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a running gateway makes a new one, whether or not anything was revoked.
pub const LIST_RENEWAL: Duration = Duration::from_secs(60 * 60);

/// One certificate that no longer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number.
    pub serial: Serial,
    /// Since when.
    pub since: Timestamp,
}

impl LinkAuthority {
    /// Signs the list of revoked site certificates.
    ///
    /// # Errors
    /// When `now` is out of the calendar.
    pub fn revocation_list(
        &self,
        revoked: &[Revoked],
        now: Timestamp,
    ) -> Result<CertificateRevocationListDer<'static>, AuthorityError> {
        list(&self.0.issuer, revoked, now)
    }
}

impl SignerAuthority {
    /// Signs the list of revoked reader certificates.
    ///
    /// # Errors
    /// When `now` is out of the calendar.
    pub fn revocation_list(
        &self,
        revoked: &[Revoked],
        now: Timestamp,
    ) -> Result<CertificateRevocationListDer<'static>, AuthorityError> {
        list(&self.0.issuer, revoked, now)
    }
}

fn list(
    issuer: &Issuer<'_, KeyPair>,
    revoked: &[Revoked],
    now: Timestamp,
) -> Result<CertificateRevocationListDer<'static>, AuthorityError> {
    let mut entries = Vec::with_capacity(revoked.len());
    for one in revoked {
        entries.push(RevokedCertParams {
            serial_number: SerialNumber::from(one.serial.to_bytes()),
            revocation_time: calendar(one.since)?,
            reason_code: Some(RevocationReason::CessationOfOperation),
            invalidity_date: None,
        });
    }
    // the list number grows with time (RFC 5280 5.2.3), and no list is made twice in one microsecond
    let number = u64::try_from(now.0).unwrap_or(0);
    let list = CertificateRevocationListParams {
        this_update: calendar(now)?,
        next_update: calendar(now.plus(LIST_LIFE))?,
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: entries,
        key_identifier_method: KeyIdMethod::Sha256,
    }
    .signed_by(issuer)
    .map_err(AuthorityError::Encode)?;
    Ok(list.into())
}
