//! The site id in a certificate: how it is written, read back, and what a certificate says about itself.

use std::fmt;
use std::str::FromStr;

use causeway_proto::ids::SiteId;
use causeway_proto::time::Timestamp;
use rustls_pki_types::CertificateDer;
use thiserror::Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What stands before the site id in the subject alternative name.
pub const SITE_URN: &str = "urn:causeway:site:";

/// A certificate's serial number as lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(String);

impl Serial {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(bytes))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        hex::decode(&self.0).unwrap_or_default()
    }
}

/// Text that is not a serial number.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a serial number is 2 to 40 hexadecimal digits")]
pub struct SerialError;

impl FromStr for Serial {
    type Err = SerialError;

    fn from_str(text: &str) -> Result<Self, SerialError> {
        let text = text.trim().replace(':', "").to_ascii_lowercase();
        match hex::decode(&text) {
            Ok(bytes) if !bytes.is_empty() && bytes.len() <= 20 => Ok(Self(text)),
            _ => Err(SerialError),
        }
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({})", self.0)
    }
}

/// The time in which a certificate holds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: Timestamp,
    /// The last second.
    pub not_after: Timestamp,
}

impl Validity {
    /// Whether `at` lies inside.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.not_before <= at && at <= self.not_after
    }
}

/// What a certificate tells about the site that presented it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The site in its subject alternative name.
    pub site: SiteId,
    /// Its serial number.
    pub serial: Serial,
    /// When it holds.
    pub validity: Validity,
}

/// A certificate that names no site of ours.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PeerError {
    /// There is no certificate.
    #[error("no certificate was presented")]
    None,
    /// It cannot be read as X.509.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// Its subject alternative name is not exactly one site.
    #[error("the certificate does not name exactly one site")]
    NoSite,
}

/// The site that a chain, end entity first, speaks for. The chain must have been verified before.
///
/// # Errors
/// When the end entity's subject alternative name is not exactly one `urn:causeway:site:` URI.
pub fn site_of(chain: &[CertificateDer<'_>]) -> Result<Peer, PeerError> {
    let end = chain.first().ok_or(PeerError::None)?;
    let certificate = parse(end).ok_or(PeerError::Unreadable)?;
    let names = match certificate.subject_alternative_name() {
        Ok(Some(names)) => &names.value.general_names,
        Ok(None) => return Err(PeerError::NoSite),
        Err(_) => return Err(PeerError::Unreadable),
    };
    let [GeneralName::URI(uri)] = names.as_slice() else {
        return Err(PeerError::NoSite);
    };
    let site = uri
        .strip_prefix(SITE_URN)
        .and_then(|id| id.parse().ok())
        .ok_or(PeerError::NoSite)?;
    Ok(Peer {
        site,
        serial: Serial::of(certificate.raw_serial()),
        validity: validity(&certificate),
    })
}

pub(crate) fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    X509Certificate::from_der(der.as_ref())
        .ok()
        .filter(|(rest, _)| rest.is_empty())
        .map(|(_, certificate)| certificate)
}

pub(crate) fn validity(certificate: &X509Certificate<'_>) -> Validity {
    Validity {
        not_before: from_seconds(certificate.validity().not_before.timestamp()),
        not_after: from_seconds(certificate.validity().not_after.timestamp()),
    }
}

pub(crate) fn from_seconds(seconds: i64) -> Timestamp {
    Timestamp(seconds.saturating_mul(1_000_000))
}

/// When a certificate holds; `None` when it cannot be read.
#[must_use]
pub fn validity_of(certificate: &CertificateDer<'_>) -> Option<Validity> {
    parse(certificate).map(|parsed| validity(&parsed))
}
