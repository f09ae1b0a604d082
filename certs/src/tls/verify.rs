//! The verifier of client certificates: webpki's verdict, then ours about the name, then for renewal the 30 days of grace.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::authority::RENEW_AFTER;
use crate::identity::{parse, site_of, validity};
use crate::reload::LiveServer;

use crate::crypto::{timestamp, unix};

/// Asks the list and authority that hold at the moment of the handshake.
#[derive(Debug)]
pub(crate) struct SiteVerifier {
    live: LiveServer,
    hints: Vec<DistinguishedName>,
    anonymous: bool,
    grace: bool,
}

impl SiteVerifier {
    pub(crate) fn link(live: &LiveServer) -> Self {
        Self::new(live, false, false)
    }

    pub(crate) fn enrolment(live: &LiveServer, anonymous: bool) -> Self {
        Self::new(live, anonymous, true)
    }

    fn new(live: &LiveServer, anonymous: bool, grace: bool) -> Self {
        let hints = live.verifier().root_hint_subjects().to_vec();
        Self {
            live: live.clone(),
            hints,
            anonymous,
            grace,
        }
    }

    /// The time at which the certificate is judged: now, or its last second while it may still renew.
    fn judged_at(&self, end_entity: &CertificateDer<'_>, now: UnixTime) -> UnixTime {
        let at = timestamp(now);
        match parse(end_entity).map(|certificate| validity(&certificate)) {
            Some(validity)
                if self.grace
                    && validity.not_after < at
                    && at <= validity.not_after.plus(RENEW_AFTER) =>
            {
                unix(validity.not_after)
            }
            _ => now,
        }
    }

    fn inner(&self) -> Arc<dyn ClientCertVerifier> {
        self.live.verifier()
    }
}

impl ClientCertVerifier for SiteVerifier {
    fn client_auth_mandatory(&self) -> bool {
        !self.anonymous
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let at = self.judged_at(end_entity, now);
        let verified = self
            .inner()
            .verify_client_cert(end_entity, intermediates, at)?;
        // an `access_denied` alert: of our authority, and yet no site's
        site_of(std::slice::from_ref(end_entity))
            .ok()
            .ok_or(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            ))?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner().verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner().verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner().supported_verify_schemes()
    }
}
