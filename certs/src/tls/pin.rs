//! The client of an enrolment: it believes nobody but the authority whose fingerprint stands in the code.

use std::sync::Arc;

use causeway_proto::time::Clock;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{ENROL_ALPN, authority_verifier};
use crate::crypto::{TlsClock, TlsError, provider};
use crate::enrol::Code;

/// The other side's chain holds no authority with the fingerprint in the code.
#[derive(Debug, thiserror::Error)]
#[error("the authority presented has the fingerprint {seen}, the code says {expected}")]
pub struct WrongAuthority {
    /// From the code.
    pub expected: String,
    /// What was presented, or a dash.
    pub seen: String,
}

/// The configuration for enrolling with this code. The handshake fails, and so nothing is sent, unless the gateway's chain contains
/// the authority with the code's fingerprint and hangs from it, in its time, with the name that is dialled.
///
/// # Errors
/// When rustls refuses the parts, which a test would have shown.
pub fn pinned_client(code: &Code, clock: &Clock) -> Result<ClientConfig, TlsError> {
    let verifier = Pinned {
        authority: code.authority().to_owned(),
    };
    let mut config =
        ClientConfig::builder_with_details(provider(), Arc::new(TlsClock(clock.clone())))
            .with_protocol_versions(&[&TLS13])
            .map_err(TlsError::Rustls)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
    config.alpn_protocols = vec![ENROL_ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

#[derive(Debug)]
struct Pinned {
    authority: String,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authority = intermediates
            .iter()
            .find(|certificate| Code::authority_text(certificate) == self.authority);
        let Some(authority) = authority else {
            let seen = intermediates
                .last()
                .map_or_else(|| "-".to_owned(), Code::authority_text);
            let wrong = WrongAuthority {
                expected: self.authority.clone(),
                seen,
            };
            return Err(Error::InvalidCertificate(CertificateError::Other(
                OtherError(Arc::new(wrong)),
            )));
        };
        let verifier = authority_verifier(&authority.clone().into_owned())
            .ok()
            .ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &provider().signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &provider().signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
