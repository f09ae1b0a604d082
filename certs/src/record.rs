//! The hospital's record key: what a site seals for itself, so that identities can travel beside pseudonymous images and be read at
//! home alone. RSA-3072, as key transport by RSA is what readers of DICOM's Encrypted Attributes know (PS3.15 B.8, E.1).

use std::fmt;
use std::path::Path;
use std::time::Duration;

use causeway_proto::random::Random;
use causeway_proto::time::Clock;
use rcgen::{KeyPair, KeyUsagePurpose, PublicKeyData, RsaKeySize};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::authority::{AuthorityError, leaf};
use crate::keep;

/// The file of the private key (PKCS #8, PEM).
pub const KEY: &str = "hospital.key";
/// The file of the certificate (PEM).
pub const CERTIFICATE: &str = "hospital.crt";
/// Nobody trusts anything because of this certificate: it names a key for as long as images are kept.
const LIFE: Duration = Duration::from_secs(10_957 * 24 * 60 * 60);

/// A record key and its certificate. Debug shows nothing; the private part is wiped when dropped.
pub struct RecordKey {
    /// The private key, PKCS #8, DER.
    pub private: Zeroizing<Vec<u8>>,
    /// The public key, SubjectPublicKeyInfo, DER.
    pub public: Vec<u8>,
    /// The certificate, self-signed.
    pub certificate: CertificateDer<'static>,
    /// Who issued the certificate: a Name, DER.
    pub issuer: Vec<u8>,
    /// The bytes of its serial number, as a positive INTEGER has them.
    pub serial: Vec<u8>,
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordKey")
    }
}

impl RecordKey {
    /// Reads the key in `folder`; none when there is none.
    ///
    /// # Errors
    /// When others may read it, or key and certificate do not belong together.
    pub fn open(folder: &Path) -> Result<Option<Self>, AuthorityError> {
        let key = keep::read_secret(&folder.join(KEY))?.map(Zeroizing::new);
        let path = folder.join(CERTIFICATE);
        match (key, keep::read(&path)?) {
            // without a certificate the key was never used: the certificate is written last
            (None, None) | (Some(_), None) => Ok(None),
            (None, Some(_)) => Err(AuthorityError::Torn(path.display().to_string())),
            (Some(key), Some(certificate)) => Self::parse(&key, &certificate)
                .map(Some)
                .ok_or_else(|| AuthorityError::Torn(path.display().to_string())),
        }
    }

    /// Reads the key in `folder`, or draws one. Takes a good part of a second then: not for an async thread.
    ///
    /// # Errors
    /// As [`Self::open`], or when the files cannot be written.
    pub fn open_or_create(
        folder: &Path,
        clock: &Clock,
        random: &Random,
    ) -> Result<Self, AuthorityError> {
        if let Some(key) = Self::open(folder)? {
            return Ok(key);
        }
        keep::folder(folder)?;
        let mark = random.token();
        let key_path = folder.join(KEY);
        if keep::read_secret(&key_path)?.is_none() {
            let fresh = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072)
                .map_err(AuthorityError::Encode)?;
            // another process may be first: whoever names the file wins, and everybody reads that one
            keep::create(&key_path, &mark, &Zeroizing::new(fresh.serialize_pem()))?;
        }
        let pem = Zeroizing::new(keep::read_secret(&key_path)?.unwrap_or_default());
        let key = KeyPair::from_pem(&pem).map_err(AuthorityError::Encode)?;
        let (mut params, _, _) = leaf("site record key", clock.now(), LIFE, random)?;
        params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
        params.use_authority_key_identifier_extension = false;
        let certificate = params.self_signed(&key).map_err(AuthorityError::Encode)?;
        keep::create(&folder.join(CERTIFICATE), &mark, &certificate.pem())?;
        let torn = || AuthorityError::Torn(folder.join(CERTIFICATE).display().to_string());
        Self::open(folder)?.ok_or_else(torn)
    }

    /// From their PEM forms; none when they are not a key and the certificate of that key.
    #[must_use]
    pub fn parse(key: &str, certificate: &str) -> Option<Self> {
        let pair = KeyPair::from_pem(key).ok()?;
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).ok()?;
        let parsed = crate::identity::parse(&der)?;
        if parsed.public_key().raw != pair.subject_public_key_info() {
            return None;
        }
        let (issuer, serial) = (
            parsed.issuer().as_raw().to_vec(),
            parsed.raw_serial().to_vec(),
        );
        Some(Self {
            private: Zeroizing::new(pair.serialize_der()),
            public: pair.subject_public_key_info(),
            issuer,
            serial,
            certificate: der,
        })
    }
}
