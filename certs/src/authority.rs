//! The two authorities of a gateway: one signs site certificates for the link, the other readers' signing certificates.
//!
//! Both are made at the first start and hold for 30 years. Their keys lie in `keys/` with mode 0600 and are never shown: Debug prints
//! the fingerprint of the certificate.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use causeway_proto::ids::SiteId;
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    RsaKeySize, SanType, SerialNumber,
};
use rustls_pki_types::{
    CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer,
};
use thiserror::Error;
use time::OffsetDateTime;

use crate::identity::{SITE_URN, Serial, Validity};
use crate::keep::{self, KeepError};

#[cfg(test)]
pub(crate) mod tests;

/// How long an authority holds.
pub const AUTHORITY_LIFE: Duration = Duration::from_secs(10_957 * 24 * 60 * 60);
/// How long a site certificate and the gateway's own server certificate hold.
pub const SITE_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Before its end by this much a site certificate is renewed: from day 60.
pub const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// After its end by this much an unrevoked site certificate may still renew, and do nothing else.
pub const RENEW_AFTER: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Certificates begin this much before they are made, for clocks that are a little behind.
pub const BACKDATE: Duration = Duration::from_secs(60 * 60);

/// An authority could not be opened, or a certificate could not be made.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// Its files could not be read or kept.
    #[error("keeping the authority")]
    Keep(#[from] KeepError),
    /// Its certificate is there and its key is not, or they do not belong together.
    #[error("{0} has no key that belongs to it: put the authority's key back from the backup")]
    Torn(String),
    /// A certificate, key or list could not be encoded or decoded.
    #[error("making a certificate")]
    Encode(#[source] rcgen::Error),
    /// The request for a certificate cannot be read, or its signature does not hold.
    #[error("the certificate request cannot be read or is not signed by its own key")]
    Request(#[source] rcgen::Error),
    /// The request is for a key that we do not certify.
    #[error("the certificate request is not for an ECDSA P-256 key")]
    RequestKey,
    /// A time out of the calendar.
    #[error("the clock stands outside of the calendar")]
    Clock,
}

/// SHA-256 of a certificate's DER form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut out = [0; 32];
        out.copy_from_slice(digest(&SHA256, certificate.as_ref()).as_ref());
        Self(out)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// An authority's certificate and key.
pub(crate) struct Root {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pem: String,
}

/// Signs site certificates and the gateway's server certificate. Cheap to clone.
#[derive(Clone)]
pub struct LinkAuthority(pub(crate) Arc<Root>);

/// Signs readers' signing certificates. Cheap to clone.
#[derive(Clone)]
pub struct SignerAuthority(pub(crate) Arc<Root>);

/// A certificate for a site, as it is sent and as it is remembered.
#[derive(Clone, Debug)]
pub struct SiteCertificate {
    /// The certificate.
    pub der: CertificateDer<'static>,
    /// Its serial number.
    pub serial: Serial,
    /// When it holds.
    pub validity: Validity,
}

/// The gateway's own server certificate with its key; made anew at each start, never on disk.
pub struct ServerIdentity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    /// When it holds.
    pub validity: Validity,
}

impl fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerIdentity")
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for LinkAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkAuthority({})", self.fingerprint())
    }
}

impl fmt::Debug for SignerAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SignerAuthority({})",
            Fingerprint::of(self.certificate())
        )
    }
}

impl LinkAuthority {
    /// Opens `link-ca.key` and `link-ca.pem` in `folder`, or makes them (ECDSA P-256).
    ///
    /// # Errors
    /// When the files cannot be read, made, or do not belong together, or when others may read the key.
    pub fn open_or_create(
        folder: &Path,
        clock: &Clock,
        random: &Random,
    ) -> Result<Self, AuthorityError> {
        let key = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256);
        Ok(Self(Arc::new(open_or_create(
            folder,
            "link-ca",
            "Causeway link authority",
            &key,
            clock,
            random,
        )?)))
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.0.der
    }

    /// Its certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.0.pem
    }

    /// What an enrolment code carries.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.0.der)
    }

    /// Makes a site's certificate from its request. Of the request only the key is taken: name, use, validity and serial are ours.
    ///
    /// # Errors
    /// When the request is not signed by its own key, or the key is of another kind than ECDSA P-256.
    pub fn issue_site(
        &self,
        site: &SiteId,
        request: &[u8],
        now: Timestamp,
        random: &Random,
    ) -> Result<SiteCertificate, AuthorityError> {
        let request = CertificateSigningRequestDer::from(request);
        let request =
            CertificateSigningRequestParams::from_der(&request).map_err(AuthorityError::Request)?;
        if *request.public_key.algorithm() != rcgen::PKCS_ECDSA_P256_SHA256 {
            return Err(AuthorityError::RequestKey);
        }
        let uri = format!("{SITE_URN}{site}")
            .try_into()
            .map_err(AuthorityError::Encode)?;
        let (mut params, serial, validity) = leaf(site.as_str(), now, SITE_LIFE, random)?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params
            .signed_by(&request.public_key, &self.0.issuer)
            .map_err(AuthorityError::Encode)?;
        Ok(SiteCertificate {
            der: certificate.into(),
            serial,
            validity,
        })
    }

    /// Makes the gateway's own server certificate for `names` (DNS names or addresses) with a new key.
    ///
    /// # Errors
    /// When a name is not one that a certificate can carry.
    pub fn issue_server(
        &self,
        names: &[String],
        now: Timestamp,
        random: &Random,
    ) -> Result<ServerIdentity, AuthorityError> {
        let key = KeyPair::generate().map_err(AuthorityError::Encode)?;
        let (mut params, _, validity) = leaf("Causeway gateway", now, SITE_LIFE, random)?;
        params.subject_alt_names = CertificateParams::new(names)
            .map_err(AuthorityError::Encode)?
            .subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params
            .signed_by(&key, &self.0.issuer)
            .map_err(AuthorityError::Encode)?;
        Ok(ServerIdentity {
            chain: vec![certificate.into(), self.0.der.clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            validity,
        })
    }
}

impl SignerAuthority {
    /// Opens `signer-ca.key` and `signer-ca.pem` in `folder`, or makes them (RSA-3072: every verifier of DICOM signatures knows it).
    ///
    /// # Errors
    /// When the files cannot be read, made, or do not belong together, or when others may read the key.
    pub fn open_or_create(
        folder: &Path,
        clock: &Clock,
        random: &Random,
    ) -> Result<Self, AuthorityError> {
        let key = || KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072);
        Ok(Self(Arc::new(open_or_create(
            folder,
            "signer-ca",
            "Causeway signer authority",
            &key,
            clock,
            random,
        )?)))
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.0.der
    }

    /// Its certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.0.pem
    }
}

fn open_or_create(
    folder: &Path,
    name: &str,
    title: &str,
    new_key: &dyn Fn() -> Result<KeyPair, rcgen::Error>,
    clock: &Clock,
    random: &Random,
) -> Result<Root, AuthorityError> {
    keep::folder(folder)?;
    let key_path = folder.join(format!("{name}.key"));
    let pem_path = folder.join(format!("{name}.pem"));
    let mark = random.token();
    let mut key = keep::read_secret(&key_path)?;
    if key.is_none() {
        if keep::read(&pem_path)?.is_some() {
            return Err(AuthorityError::Torn(pem_path.display().to_string()));
        }
        // another process may be first: whoever names the file wins, and everybody reads that one
        let fresh = new_key().map_err(AuthorityError::Encode)?;
        keep::create(&key_path, &mark, &fresh.serialize_pem())?;
        key = keep::read_secret(&key_path)?;
    }
    let key = KeyPair::from_pem(&key.unwrap_or_default()).map_err(AuthorityError::Encode)?;
    let mut pem = keep::read(&pem_path)?;
    if pem.is_none() {
        let certificate = authority_params(title, clock.now(), random)?
            .self_signed(&key)
            .map_err(AuthorityError::Encode)?;
        keep::create(&pem_path, &mark, &certificate.pem())?;
        pem = keep::read(&pem_path)?;
    }
    root(pem.unwrap_or_default(), key, &pem_path)
}

fn root(pem: String, key: KeyPair, path: &Path) -> Result<Root, AuthorityError> {
    let torn = || AuthorityError::Torn(path.display().to_string());
    let der: CertificateDer<'static> =
        rustls_pki_types::pem::PemObject::from_pem_slice(pem.as_bytes())
            .ok()
            .ok_or_else(torn)?;
    let belongs = crate::identity::parse(&der)
        .is_some_and(|certificate| certificate.public_key().raw == key.subject_public_key_info());
    if !belongs {
        return Err(torn());
    }
    let issuer = Issuer::from_ca_cert_der(&der, key).map_err(AuthorityError::Encode)?;
    Ok(Root { issuer, der, pem })
}

fn authority_params(
    title: &str,
    now: Timestamp,
    random: &Random,
) -> Result<CertificateParams, AuthorityError> {
    let mark = hex::encode(random.bytes::<4>());
    let (mut params, _, _) = leaf(&format!("{title} {mark}"), now, AUTHORITY_LIFE, random)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = false;
    Ok(params)
}

/// What every certificate of ours has: a name, a random serial of 16 bytes, and a validity to the second.
pub(crate) fn leaf(
    name: &str,
    now: Timestamp,
    life: Duration,
    random: &Random,
) -> Result<(CertificateParams, Serial, Validity), AuthorityError> {
    let mut serial = random.bytes::<16>();
    serial[0] = (serial[0] & 0x3f) | 0x40;
    let validity = Validity {
        not_before: whole_second(now.minus(BACKDATE)),
        not_after: whole_second(now.plus(life)),
    };
    let mut params = CertificateParams::default();
    params.not_before = calendar(validity.not_before)?;
    params.not_after = calendar(validity.not_after)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    Ok((params, Serial::of(&serial), validity))
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp(at.0.div_euclid(1_000_000).saturating_mul(1_000_000))
}

pub(crate) fn calendar(at: Timestamp) -> Result<OffsetDateTime, AuthorityError> {
    OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1_000_000))
        .ok()
        .ok_or(AuthorityError::Clock)
}
