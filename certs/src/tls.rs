//! TLS on both ends: 1.3 only, mutual, ALPN pinned, no resumption and no early data, the provider and the clock always explicit.
//!
//! Resumption is off because a resumed session is not asked for its certificate again: a revoked site could come back through it.

mod pin;
mod refusal;
mod shown;
mod verify;

use std::sync::Arc;

use causeway_proto::time::Clock;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;

use crate::crypto::TlsClock;
pub use crate::crypto::{TlsError, provider};
use crate::reload::{LiveClient, LiveServer};
pub use pin::{WrongAuthority, pinned_client};
pub use refusal::{Refusal, Side};
pub use shown::Shown;
use shown::Watching;
use verify::SiteVerifier;

#[cfg(test)]
mod tests;

/// The link protocol over QUIC.
pub const LINK_ALPN: &[u8] = b"causeway/1";
/// The datagrams of the link, inside of TLS over TCP.
pub const TUNNEL_ALPN: &[u8] = b"causeway-tunnel/1";
/// Enrolment and renewal over TCP.
pub const ENROL_ALPN: &[u8] = b"causeway-enrol/1";

/// What dials the gateway: a configuration, and the certificate under it that renewal replaces.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// For `quinn::crypto::rustls::QuicClientConfig::try_from`.
    pub config: Arc<ClientConfig>,
    /// The agent's certificate.
    pub live: LiveClient,
}

/// The gateway's configuration of the link: a certificate of a site is demanded, in its time, of our authority, not revoked, and
/// naming exactly one site.
///
/// # Errors
/// When rustls refuses the parts, which a test would have shown.
pub fn server(live: &LiveServer, clock: &Clock) -> Result<ServerConfig, TlsError> {
    server_with(SiteVerifier::link(live), LINK_ALPN, live, clock)
}

/// The gateway's configuration of the tunnel that carries the link where UDP does not pass; it demands what the link demands.
///
/// # Errors
/// When rustls refuses the parts, which a test would have shown.
pub fn tunnel_server(live: &LiveServer, clock: &Clock) -> Result<ServerConfig, TlsError> {
    server_with(SiteVerifier::link(live), TUNNEL_ALPN, live, clock)
}

/// The gateway's configuration of the enrolment listener. `anonymous`: also without a certificate, while a code is outstanding. A
/// certificate that has ended may still come here for 30 days, to renew.
///
/// # Errors
/// When rustls refuses the parts, which a test would have shown.
pub fn enrolment_server(
    live: &LiveServer,
    clock: &Clock,
    anonymous: bool,
) -> Result<ServerConfig, TlsError> {
    server_with(
        SiteVerifier::enrolment(live, anonymous),
        ENROL_ALPN,
        live,
        clock,
    )
}

fn server_with(
    verifier: SiteVerifier,
    alpn: &[u8],
    live: &LiveServer,
    clock: &Clock,
) -> Result<ServerConfig, TlsError> {
    let mut config =
        ServerConfig::builder_with_details(provider(), Arc::new(TlsClock(clock.clone())))
            .with_protocol_versions(&[&TLS13])
            .map_err(TlsError::Rustls)?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(live.clone()));
    config.alpn_protocols = vec![alpn.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// The agent's configuration of the link.
///
/// # Errors
/// When the authority's certificate cannot be used.
pub fn client(live: &LiveClient, clock: &Clock) -> Result<ClientTls, TlsError> {
    let config = client_with(live, LINK_ALPN, clock)?;
    Ok(ClientTls {
        config: Arc::new(config),
        live: live.clone(),
    })
}

/// The agent's configuration of the tunnel, and where it keeps who issued a certificate that it refused: what opens TLS on the way
/// shows one of its own.
///
/// # Errors
/// When the authority's certificate cannot be used.
pub fn tunnel_client(live: &LiveClient, clock: &Clock) -> Result<(ClientConfig, Shown), TlsError> {
    let mut config = client_with(live, TUNNEL_ALPN, clock)?;
    let shown = Shown::default();
    let watching = Watching {
        inner: authority_verifier(&live.credentials().link_authority)?,
        shown: shown.clone(),
    };
    config
        .dangerous()
        .set_certificate_verifier(Arc::new(watching));
    Ok((config, shown))
}

/// The agent's configuration for renewing over the enrolment listener.
///
/// # Errors
/// When the authority's certificate cannot be used.
pub fn renewal_client(live: &LiveClient, clock: &Clock) -> Result<ClientConfig, TlsError> {
    client_with(live, ENROL_ALPN, clock)
}

fn client_with(live: &LiveClient, alpn: &[u8], clock: &Clock) -> Result<ClientConfig, TlsError> {
    let verifier = authority_verifier(&live.credentials().link_authority)?;
    let mut config =
        ClientConfig::builder_with_details(provider(), Arc::new(TlsClock(clock.clone())))
            .with_protocol_versions(&[&TLS13])
            .map_err(TlsError::Rustls)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(live.clone()));
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

/// Verifies a server certificate of this one authority, with its name and time.
pub(crate) fn authority_verifier(
    authority: &CertificateDer<'static>,
) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).map_err(TlsError::Rustls)?;
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(TlsError::Verifier)
}
