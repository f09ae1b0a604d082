//! Who is who: the two authorities, site certificates and enrolment, TLS on both ends, revocation, renewal, and the certificates
//! that readers sign with.
//!
//! Nothing here opens a socket: handshakes and frames are carried by the `link` rooms, time and randomness are handed in.

pub mod authority;
pub mod crypto;
pub mod enrol;
pub mod identity;
pub mod keep;
pub mod record;
pub mod reload;
pub mod revoke;
pub mod signer;
pub mod tls;
