//! What an agent keeps after enrolment: its key and certificate, and the two authorities it trusts.
//!
//! A renewal brings a new key. It is written as `agent.key.next` first, then the certificate takes the old one's place, then the key
//! gets its name; [`Credentials::load`] finishes what a power cut left between.

use std::fmt;
use std::path::Path;

use causeway_proto::ids::SiteId;
use causeway_proto::random::Random;
use causeway_proto::time::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use thiserror::Error;

use super::message::Enrolled;
use crate::authority::{RENEW_AFTER, RENEW_BEFORE};
use crate::identity::{Peer, PeerError, Serial, Validity, parse, site_of};
use crate::keep::{self, KeepError};

const KEY: &str = "agent.key";
const NEXT_KEY: &str = "agent.key.next";
const CERTIFICATE: &str = "agent.pem";
const LINK_AUTHORITY: &str = "link-ca.pem";
const SIGNER_AUTHORITY: &str = "signer-ca.pem";

/// An agent's credentials could not be made, kept or read.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// There are none.
    #[error(
        "this agent has not been enrolled: run `causeway-agent enrol --gateway HOST:PORT --code CODE`"
    )]
    NotEnrolled,
    /// A file could not be read or written.
    #[error("keeping the agent's credentials")]
    Keep(#[from] KeepError),
    /// A file is not what it should be.
    #[error("{0} cannot be used: enrol the agent again")]
    Unusable(&'static str),
    /// The certificate names no site.
    #[error("reading the agent's certificate")]
    Peer(#[from] PeerError),
    /// No key or request could be made.
    #[error("making a key")]
    Key(#[source] rcgen::Error),
}

/// Whether the certificate is to be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Before day 60.
    NotYet,
    /// From day 60 to its end.
    Due,
    /// After its end, within 30 days: renewal and nothing else.
    Only,
    /// Too late: only a new code helps.
    TooLate,
}

/// The agent's key and certificate, and whom it trusts.
pub struct Credentials {
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
    /// The authority of the link, which the gateway's certificate must hang from.
    pub link_authority: CertificateDer<'static>,
    /// The authority of readers' certificates, which report signatures must hang from.
    pub signer_authority: CertificateDer<'static>,
    peer: Peer,
}

impl Clone for Credentials {
    fn clone(&self) -> Self {
        Self {
            certificate: self.certificate.clone(),
            key: self.key.clone_key(),
            link_authority: self.link_authority.clone(),
            signer_authority: self.signer_authority.clone(),
            peer: self.peer.clone(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// A new key and the request that goes with it, before there is a certificate.
pub struct NewKey {
    pair: KeyPair,
    request: Vec<u8>,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewKey")
    }
}

impl NewKey {
    /// Draws a key (ECDSA P-256) and signs a request with it.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn draw() -> Result<Self, CredentialsError> {
        let pair = KeyPair::generate().map_err(CredentialsError::Key)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params
            .serialize_request(&pair)
            .map_err(CredentialsError::Key)?;
        let request = request.der().to_vec();
        Ok(Self { pair, request })
    }

    /// The request (PKCS #10, DER).
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Joins the key with what the gateway answered and checks that it belongs together.
    ///
    /// # Errors
    /// When the certificate is not for this key, or names no site.
    pub fn with(self, answer: &Enrolled) -> Result<Credentials, CredentialsError> {
        let key = PrivatePkcs8KeyDer::from(self.pair.serialize_der()).into();
        let parts = Parts {
            certificate: answer.certificate.to_vec().into(),
            link_authority: answer.link_authority.to_vec().into(),
            signer_authority: answer.signer_authority.to_vec().into(),
        };
        join(parts, key, &self.pair.subject_public_key_info())
    }
}

struct Parts {
    certificate: CertificateDer<'static>,
    link_authority: CertificateDer<'static>,
    signer_authority: CertificateDer<'static>,
}

fn join(
    parts: Parts,
    key: PrivateKeyDer<'static>,
    public: &[u8],
) -> Result<Credentials, CredentialsError> {
    let belongs =
        parse(&parts.certificate).is_some_and(|certificate| certificate.public_key().raw == public);
    if !belongs {
        return Err(CredentialsError::Unusable(CERTIFICATE));
    }
    let peer = site_of(std::slice::from_ref(&parts.certificate))?;
    Ok(Credentials {
        certificate: parts.certificate,
        key,
        link_authority: parts.link_authority,
        signer_authority: parts.signer_authority,
        peer,
    })
}

impl Credentials {
    /// The site.
    #[must_use]
    pub fn site(&self) -> &SiteId {
        &self.peer.site
    }

    /// The certificate's serial number.
    #[must_use]
    pub fn serial(&self) -> &Serial {
        &self.peer.serial
    }

    /// When the certificate holds.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.peer.validity
    }

    /// Whether to renew now.
    #[must_use]
    pub fn renewal(&self, now: Timestamp) -> Renewal {
        let end = self.peer.validity.not_after;
        if now < end.minus(RENEW_BEFORE) {
            Renewal::NotYet
        } else if now <= end {
            Renewal::Due
        } else if now <= end.plus(RENEW_AFTER) {
            Renewal::Only
        } else {
            Renewal::TooLate
        }
    }

    /// Keeps them in `folder`, durably and in an order that a power cut cannot tear.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn keep(&self, folder: &Path, random: &Random) -> Result<(), CredentialsError> {
        let mark = random.token();
        keep::folder(folder)?;
        keep::replace(
            &folder.join(LINK_AUTHORITY),
            &mark,
            &pem("CERTIFICATE", &self.link_authority),
        )?;
        keep::replace(
            &folder.join(SIGNER_AUTHORITY),
            &mark,
            &pem("CERTIFICATE", &self.signer_authority),
        )?;
        let next = folder.join(NEXT_KEY);
        keep::replace(&next, &mark, &pem("PRIVATE KEY", self.key.secret_der()))?;
        keep::replace(
            &folder.join(CERTIFICATE),
            &mark,
            &pem("CERTIFICATE", &self.certificate),
        )?;
        keep::rename(&next, &folder.join(KEY))?;
        Ok(())
    }

    /// Reads them from `folder`.
    ///
    /// # Errors
    /// When there are none, a file is missing or broken, or others may read the key.
    pub fn load(folder: &Path) -> Result<Self, CredentialsError> {
        let Some(certificate) = keep::read(&folder.join(CERTIFICATE))? else {
            return Err(CredentialsError::NotEnrolled);
        };
        let certificate = certificate_of(&certificate, CERTIFICATE)?;
        let authority = |name: &'static str| -> Result<CertificateDer<'static>, CredentialsError> {
            let text = keep::read(&folder.join(name))?;
            certificate_of(&text.unwrap_or_default(), name)
        };
        let link_authority = authority(LINK_AUTHORITY)?;
        let signer_authority = authority(SIGNER_AUTHORITY)?;
        let parts = || Parts {
            certificate: certificate.clone(),
            link_authority: link_authority.clone(),
            signer_authority: signer_authority.clone(),
        };
        if let Some(found) = with_key(parts(), &folder.join(KEY))? {
            return Ok(found);
        }
        let next = folder.join(NEXT_KEY);
        let found = with_key(parts(), &next)?.ok_or(CredentialsError::Unusable(KEY))?;
        keep::rename(&next, &folder.join(KEY))?;
        Ok(found)
    }
}

/// The credentials with the key in that file, when it is the certificate's.
fn with_key(parts: Parts, path: &Path) -> Result<Option<Credentials>, CredentialsError> {
    let Some(text) = keep::read_secret(path)? else {
        return Ok(None);
    };
    let pair = KeyPair::from_pem(&text).map_err(CredentialsError::Key)?;
    let key = PrivatePkcs8KeyDer::from(pair.serialize_der()).into();
    match join(parts, key, &pair.subject_public_key_info()) {
        Ok(found) => Ok(Some(found)),
        Err(CredentialsError::Unusable(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

fn certificate_of(
    text: &str,
    name: &'static str,
) -> Result<CertificateDer<'static>, CredentialsError> {
    CertificateDer::from_pem_slice(text.as_bytes())
        .ok()
        .ok_or(CredentialsError::Unusable(name))
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for (at, character) in body.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            out.push('\n');
        }
        out.push(character);
    }
    out.push_str(&format!("\n-----END {label}-----\n"));
    out
}
