//! Readers' signing certificates: what they say of a person, and how a chain to the signer authority is verified.
//!
//! A certificate holds for 15 years, so that a report can be verified for as long as it is kept; its private key may be used for two
//! years (RFC 3280 4.2.1.4, PrivateKeyUsagePeriod) and is deleted then. RSA-3072, as the signature profiles of PS3.15 C name RSA.

mod subject;
mod verify;

use std::fmt;
use std::time::Duration;

use causeway_proto::random::Random;
use causeway_proto::time::Timestamp;
use rcgen::{
    CustomExtension, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PublicKeyData, RsaKeySize,
    SubjectPublicKeyInfo,
};
use rustls_pki_types::CertificateDer;
use thiserror::Error;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

use crate::authority::{AuthorityError, SignerAuthority, leaf};
use crate::identity::{Serial, Validity};

pub use subject::{Person, SubjectError};
pub use verify::{ChainError, Verified, is_fresh, verify_chain};

#[cfg(test)]
mod tests;

/// How long a reader's certificate holds.
pub const READER_LIFE: Duration = Duration::from_secs(5_479 * 24 * 60 * 60);
/// How long a reader's private key may sign.
pub const KEY_USE: Duration = Duration::from_secs(730 * 24 * 60 * 60);

/// 1.3.6.1.5.5.7.3.36, id-kp-documentSigning (RFC 9336).
const DOCUMENT_SIGNING: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 36];
/// 2.5.29.16, PrivateKeyUsagePeriod.
const KEY_USAGE_PERIOD: &[u64] = &[2, 5, 29, 16];

/// A reader's certificate or key could not be made.
#[derive(Debug, Error)]
pub enum SignerError {
    /// The key is of another kind, or too short.
    #[error("a reader's key is RSA with at least 3072 bits")]
    Key,
    /// The person cannot be named in a certificate.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The authority could not sign.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

/// A new reader's key. Debug shows nothing; the private part is wiped when dropped.
pub struct ReaderKey {
    /// The private key, PKCS #8, DER.
    pub private: Zeroizing<Vec<u8>>,
    /// The public key, SubjectPublicKeyInfo, DER.
    pub public: Vec<u8>,
}

impl fmt::Debug for ReaderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReaderKey")
    }
}

impl ReaderKey {
    /// Draws an RSA key of 3072 bits. Takes a good part of a second: not for an async thread.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn draw() -> Result<Self, SignerError> {
        let pair = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072)
            .map_err(AuthorityError::Encode)?;
        Ok(Self {
            private: Zeroizing::new(pair.serialize_der()),
            public: pair.subject_public_key_info(),
        })
    }
}

/// A reader's certificate.
#[derive(Clone, Debug)]
pub struct ReaderCertificate {
    /// The certificate.
    pub der: CertificateDer<'static>,
    /// Its serial number.
    pub serial: Serial,
    /// When it holds.
    pub validity: Validity,
    /// Until when its key may sign.
    pub usable_until: Timestamp,
}

impl SignerAuthority {
    /// Certifies a reader's public key (SubjectPublicKeyInfo, DER).
    ///
    /// # Errors
    /// When the key is not RSA of at least 3072 bits, or the person cannot be named.
    pub fn issue_reader(
        &self,
        public: &[u8],
        person: &Person,
        now: Timestamp,
        random: &Random,
    ) -> Result<ReaderCertificate, SignerError> {
        if !is_rsa_3072(public) {
            return Err(SignerError::Key);
        }
        let key = SubjectPublicKeyInfo::from_der(public)
            .ok()
            .ok_or(SignerError::Key)?;
        let (mut params, serial, validity) = leaf("", now, READER_LIFE, random)?;
        let usable_until = Timestamp(validity.not_before.0).plus(KEY_USE);
        params.distinguished_name = person.name()?;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::ContentCommitment,
        ];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::Other(DOCUMENT_SIGNING.to_vec())];
        let period = Validity {
            not_before: validity.not_before,
            not_after: usable_until,
        };
        params.custom_extensions = vec![CustomExtension::from_oid_content(
            KEY_USAGE_PERIOD,
            period_der(period),
        )];
        let certificate = params
            .signed_by(&key, &self.0.issuer)
            .map_err(AuthorityError::Encode)?;
        Ok(ReaderCertificate {
            der: certificate.into(),
            serial,
            validity,
            usable_until,
        })
    }
}

fn is_rsa_3072(public: &[u8]) -> bool {
    let Ok((_, info)) = x509_parser::x509::SubjectPublicKeyInfo::from_der(public) else {
        return false;
    };
    matches!(info.parsed(), Ok(PublicKey::RSA(key)) if key.key_size() >= 3072)
}

/// SEQUENCE { notBefore [0] GeneralizedTime, notAfter [1] GeneralizedTime }, both implicit.
fn period_der(period: Validity) -> Vec<u8> {
    let time = |at: Timestamp| {
        at.calendar()
            .strftime("%Y%m%d%H%M%SZ")
            .to_string()
            .into_bytes()
    };
    let mut out = vec![0x30, 34, 0x80, 15];
    out.extend(time(period.not_before));
    out.extend([0x81, 15]);
    out.extend(time(period.not_after));
    out
}
