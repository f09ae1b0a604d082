//! The one provider of cryptography, and the injected clock in the form that rustls and webpki want.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use causeway_proto::time::{Clock, Timestamp};
use rustls::crypto::CryptoProvider;
use rustls::server::VerifierBuilderError;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;
use thiserror::Error;

/// A TLS configuration could not be made.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A key, certificate or version was not accepted.
    #[error("making a TLS configuration")]
    Rustls(#[source] rustls::Error),
    /// The verifier of client certificates could not be made.
    #[error("reading the revocation list")]
    Verifier(#[source] VerifierBuilderError),
}

/// The one provider of cryptography, named wherever one is needed.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The injected clock as rustls wants it.
pub(crate) struct TlsClock(pub(crate) Clock);

impl fmt::Debug for TlsClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsClock")
    }
}

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix(self.0.now()))
    }
}

pub(crate) fn unix(at: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_micros(u64::try_from(at.0).unwrap_or(0)))
}

pub(crate) fn timestamp(at: UnixTime) -> Timestamp {
    Timestamp(
        i64::try_from(at.as_secs())
            .unwrap_or(0)
            .saturating_mul(1_000_000),
    )
}
