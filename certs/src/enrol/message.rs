//! What passes over the enrolment connection: one request, one answer.

use causeway_proto::ids::{AgreementId, SiteId};
use causeway_proto::time::Timestamp;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use thiserror::Error;

/// No frame is longer than this.
pub const MAX_FRAME: usize = 64 * 1024;

/// The agent's one message.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Request {
    /// What is asked for.
    #[n(0)]
    pub ask: Ask,
    /// The request for a certificate (PKCS #10, DER).
    #[n(1)]
    pub csr: ByteVec,
    /// The agent's clock.
    #[n(2)]
    pub now: Timestamp,
    /// Name and version of the program, for people.
    #[n(3)]
    pub software: String,
}

// the request carries the secret: shown without
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("now", &self.now)
            .field("software", &self.software)
            .finish_non_exhaustive()
    }
}

/// With what right a certificate is asked for.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum Ask {
    /// With a code.
    #[n(0)]
    Enrol {
        /// The code's id.
        #[n(0)]
        id: String,
        /// The code's secret.
        #[n(1)]
        secret: String,
    },
    /// With the certificate that the connection was made with.
    #[n(1)]
    Renew,
}

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Enrol { .. } => "Enrol",
            Self::Renew => "Renew",
        })
    }
}

/// The gateway's one message.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// A certificate and what goes with it.
    #[n(0)]
    Enrolled(#[n(0)] Box<Enrolled>),
    /// No certificate, and why.
    #[n(1)]
    Refused(#[n(0)] Refused),
}

/// What an agent gets.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Enrolled {
    /// The site's certificate, DER.
    #[n(0)]
    pub certificate: ByteVec,
    /// The link authority's certificate, DER.
    #[n(1)]
    pub link_authority: ByteVec,
    /// The signer authority's certificate, DER: what report signatures are verified against.
    #[n(2)]
    pub signer_authority: ByteVec,
    /// The site.
    #[n(3)]
    pub site: SiteId,
    /// Its name, for people.
    #[n(4)]
    pub name: String,
    /// Its agreements in force.
    #[n(5)]
    pub agreements: Vec<Named>,
    /// The gateway's clock.
    #[n(6)]
    pub now: Timestamp,
}

/// An agreement with the name of the reading organisation.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Named {
    /// The agreement.
    #[n(0)]
    pub id: AgreementId,
    /// Who reads.
    #[n(1)]
    pub organisation: String,
    /// `identified` or `pseudonymous`.
    #[n(2)]
    pub identity: String,
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Refused {
    /// For machines.
    #[n(0)]
    pub word: Word,
    /// For the person who typed the code.
    #[n(1)]
    pub sentence: String,
}

/// The reasons of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Word {
    /// No such code, or its secret is wrong.
    #[n(0)]
    UnknownCode,
    /// The code was used.
    #[n(1)]
    UsedCode,
    /// The code's hour is over.
    #[n(2)]
    ExpiredCode,
    /// Five wrong tries.
    #[n(3)]
    TooManyTries,
    /// The two clocks are too far apart.
    #[n(4)]
    Clock,
    /// The request for a certificate is not one.
    #[n(5)]
    BadRequest,
    /// Renewal without a certificate, or with one that may not.
    #[n(6)]
    NotYours,
    /// The gateway cannot answer now.
    #[n(7)]
    Busy,
}

/// Bytes that are no frame of ours.
#[derive(Debug, Error)]
pub enum FrameError {
    /// Longer than [`MAX_FRAME`].
    #[error("the other side announced a message of {0} bytes")]
    TooLong(usize),
    /// Not CBOR, or another message.
    #[error("the other side's message cannot be read")]
    Decode(#[source] minicbor::decode::Error),
    /// A message of ours could not be encoded.
    #[error("a message could not be encoded")]
    Encode,
}

/// A message with its length before it.
///
/// # Errors
/// When it is longer than [`MAX_FRAME`].
pub fn frame<T: Encode<()>>(message: &T) -> Result<Vec<u8>, FrameError> {
    let body = minicbor::to_vec(message).ok().ok_or(FrameError::Encode)?;
    let length = u32::try_from(body.len())
        .ok()
        .filter(|_| body.len() <= MAX_FRAME);
    let length = length.ok_or(FrameError::TooLong(body.len()))?;
    let mut out = length.to_be_bytes().to_vec();
    out.extend_from_slice(&body);
    Ok(out)
}

/// The length that the first four bytes announce.
///
/// # Errors
/// When it is more than [`MAX_FRAME`].
pub fn decode_length(head: [u8; 4]) -> Result<usize, FrameError> {
    match usize::try_from(u32::from_be_bytes(head)) {
        Ok(length) if length <= MAX_FRAME => Ok(length),
        Ok(length) => Err(FrameError::TooLong(length)),
        Err(_) => Err(FrameError::TooLong(usize::MAX)),
    }
}

/// Reads a message from its bytes without the length.
///
/// # Errors
/// When the bytes are no such message.
pub fn parse<'b, T: Decode<'b, ()>>(body: &'b [u8]) -> Result<T, FrameError> {
    minicbor::decode(body).map_err(FrameError::Decode)
}
