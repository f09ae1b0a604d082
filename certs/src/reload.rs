//! What changes under a running TLS configuration: the gateway's certificate and revocation list, the agent's certificate.
//!
//! A configuration is built once and asks these holders at every handshake, so that renewal and revocation need no new endpoint.
//! Connections that stand are not asked again: the link room closes those whose serial is revoked.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::ResolvesClientCert;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

use crate::authority::{LinkAuthority, ServerIdentity};
use crate::crypto::{TlsError, provider};
use crate::enrol::Credentials;

#[derive(Debug)]
struct Server {
    certified: Arc<CertifiedKey>,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// The gateway's side. Cheap to clone; all clones show the same.
#[derive(Clone, Debug)]
pub struct LiveServer {
    authority: CertificateDer<'static>,
    now: Arc<RwLock<Arc<Server>>>,
}

impl LiveServer {
    /// Starts with a server certificate and a revocation list.
    ///
    /// # Errors
    /// When the key or the list cannot be used.
    pub fn new(
        authority: &LinkAuthority,
        identity: &ServerIdentity,
        list: &CertificateRevocationListDer<'static>,
    ) -> Result<Self, TlsError> {
        let authority = authority.certificate().clone();
        let server = build(&authority, identity, list)?;
        Ok(Self {
            authority,
            now: Arc::new(RwLock::new(Arc::new(server))),
        })
    }

    /// Shows another server certificate and list from the next handshake on.
    ///
    /// # Errors
    /// When the key or the list cannot be used; then the old ones stay.
    pub fn replace(
        &self,
        identity: &ServerIdentity,
        list: &CertificateRevocationListDer<'static>,
    ) -> Result<(), TlsError> {
        let server = Arc::new(build(&self.authority, identity, list)?);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = server;
        Ok(())
    }

    /// The server certificate that the next handshake shows.
    #[must_use]
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        self.now().certified.cert.first().cloned()
    }

    fn now(&self) -> Arc<Server> {
        self.now
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        self.now().verifier.clone()
    }
}

fn build(
    authority: &CertificateDer<'static>,
    identity: &ServerIdentity,
    list: &CertificateRevocationListDer<'static>,
) -> Result<Server, TlsError> {
    let provider = provider();
    let certified =
        CertifiedKey::from_der(identity.chain.clone(), identity.key.clone_key(), &provider)
            .map_err(TlsError::Rustls)?;
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).map_err(TlsError::Rustls)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls([list.clone()])
        .only_check_end_entity_revocation()
        .enforce_revocation_expiration()
        .build()
        .map_err(TlsError::Verifier)?;
    Ok(Server {
        certified: Arc::new(certified),
        verifier,
    })
}

impl ResolvesServerCert for LiveServer {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now().certified.clone())
    }
}

/// The agent's side. Cheap to clone; all clones show the same.
#[derive(Clone, Debug)]
pub struct LiveClient(Arc<RwLock<Arc<Client>>>);

#[derive(Debug)]
struct Client {
    certified: Arc<CertifiedKey>,
    credentials: Credentials,
}

impl LiveClient {
    /// Starts with an agent's credentials.
    ///
    /// # Errors
    /// When the key cannot be used or does not belong to the certificate.
    pub fn new(credentials: Credentials) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(RwLock::new(Arc::new(client(credentials)?)))))
    }

    /// Shows another certificate from the next handshake on.
    ///
    /// # Errors
    /// When the key cannot be used or does not belong to the certificate; then the old one stays.
    pub fn replace(&self, credentials: Credentials) -> Result<(), TlsError> {
        let client = Arc::new(client(credentials)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = client;
        Ok(())
    }

    /// What is shown now.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        self.now().credentials.clone()
    }

    fn now(&self) -> Arc<Client> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn client(credentials: Credentials) -> Result<Client, TlsError> {
    let certified = CertifiedKey::from_der(
        vec![credentials.certificate.clone()],
        credentials.key.clone_key(),
        &provider(),
    )
    .map_err(TlsError::Rustls)?;
    Ok(Client {
        certified: Arc::new(certified),
        credentials,
    })
}

impl ResolvesClientCert for LiveClient {
    // the gateway's hints are not asked: it answers a certificate of another authority with a reason, and none with another
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.now().certified.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
