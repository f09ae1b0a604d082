//! Enrolment: the one-time code, the two messages, and what an agent keeps afterwards.
//!
//! An agent pins the authority's fingerprint from the code **before** it sends the code (`tls::pinned_client` ends the handshake with
//! another authority), makes its own key, and sends a request for a certificate; the gateway answers with the certificate, both
//! authorities and what the agent needs to know of its site. Renewal is the same with the old certificate in the place of the code.
//! Frames are a length of four bytes, big endian, and CBOR.

mod code;
mod credentials;
mod message;

pub use code::{CODE_LIFE, Code, CodeError, MAX_TRIES, Secret};
pub use credentials::{Credentials, CredentialsError, NewKey, Renewal};
pub use message::{
    Answer, Ask, Enrolled, FrameError, MAX_FRAME, Named, Refused, Request, Word, decode_length,
    frame, parse,
};

#[cfg(test)]
pub(crate) mod tests;
