//! The hospital's record key: what a site seals for itself, so that identities can travel beside pseudonymous images and be read at
//! home alone. RSA-3072, as key transport by RSA is what readers of DICOM's Encrypted Attributes know (PS3.15 B.8, E.1). Beside it,
//! in the same form, the key with which a site signs what it files at home in the place of a document that names other UIDs.

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
/// The file of the site's signing key (PKCS #8, PEM).
pub const SIGNING_KEY: &str = "signing.key";
/// The file of its certificate (PEM).
pub const SIGNING_CERTIFICATE: &str = "signing.crt";
/// Nobody trusts anything because of these certificates: they name keys for as long as images are kept.
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

/// One of the keys of this form.
struct Kind {
    key: &'static str,
    certificate: &'static str,
    name: &'static str,
    usage: KeyUsagePurpose,
}

const RECORD: Kind = Kind {
    key: KEY,
    certificate: CERTIFICATE,
    name: "site record key",
    usage: KeyUsagePurpose::KeyEncipherment,
};
const SIGNING: Kind = Kind {
    key: SIGNING_KEY,
    certificate: SIGNING_CERTIFICATE,
    name: "site signing key",
    usage: KeyUsagePurpose::DigitalSignature,
};

impl RecordKey {
    /// Reads the key in `folder`; none when there is none.
    ///
    /// # Errors
    /// When others may read it, or key and certificate do not belong together.
    pub fn open(folder: &Path) -> Result<Option<Self>, AuthorityError> {
        Self::open_kind(folder, &RECORD)
    }

    fn open_kind(folder: &Path, kind: &Kind) -> Result<Option<Self>, AuthorityError> {
        let key = keep::read_secret(&folder.join(kind.key))?.map(Zeroizing::new);
        let path = folder.join(kind.certificate);
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
        Self::open_or_create_kind(folder, &RECORD, clock, random)
    }

    /// As [`Self::open_or_create`], for the key with which the site signs.
    ///
    /// # Errors
    /// As [`Self::open_or_create`].
    pub fn signing(folder: &Path, clock: &Clock, random: &Random) -> Result<Self, AuthorityError> {
        Self::open_or_create_kind(folder, &SIGNING, clock, random)
    }

    fn open_or_create_kind(
        folder: &Path,
        kind: &Kind,
        clock: &Clock,
        random: &Random,
    ) -> Result<Self, AuthorityError> {
        if let Some(key) = Self::open_kind(folder, kind)? {
            return Ok(key);
        }
        keep::folder(folder)?;
        let mark = random.token();
        let key_path = folder.join(kind.key);
        if keep::read_secret(&key_path)?.is_none() {
            let fresh = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072)
                .map_err(AuthorityError::Encode)?;
            // another process may be first: whoever names the file wins, and everybody reads that one
            keep::create(&key_path, &mark, &Zeroizing::new(fresh.serialize_pem()))?;
        }
        let pem = Zeroizing::new(keep::read_secret(&key_path)?.unwrap_or_default());
        let key = KeyPair::from_pem(&pem).map_err(AuthorityError::Encode)?;
        let (mut params, _, _) = leaf(kind.name, clock.now(), LIFE, random)?;
        params.key_usages = vec![kind.usage];
        params.use_authority_key_identifier_extension = false;
        let certificate = params.self_signed(&key).map_err(AuthorityError::Encode)?;
        let path = folder.join(kind.certificate);
        keep::create(&path, &mark, &certificate.pem())?;
        let torn = || AuthorityError::Torn(path.display().to_string());
        Self::open_kind(folder, kind)?.ok_or_else(torn)
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
