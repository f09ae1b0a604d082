//! Who issued the certificate that was refused. A proxy that opens TLS shows one of its own, and its issuer is what the network team
//! needs to hear.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::identity::parse;

/// Keeps the issuer of the last certificate that was refused. Cheap to clone; all clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shown(Arc<Mutex<Option<String>>>);

impl Shown {
    /// The issuer's distinguished name as a line of text; none: no certificate was refused.
    #[must_use]
    pub fn issuer(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, issuer: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(issuer);
    }
}

/// The verdict of `inner`, and a note of what it refused.
#[derive(Debug)]
pub(super) struct Watching {
    pub(super) inner: Arc<WebPkiServerVerifier>,
    pub(super) shown: Shown,
}

impl ServerCertVerifier for Watching {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        if verdict.is_err()
            && let Some(certificate) = parse(end_entity)
        {
            self.shown.note(certificate.issuer().to_string());
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
