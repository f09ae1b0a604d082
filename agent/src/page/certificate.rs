//! What the site page shows of itself in TLS: the site's own certificate, or one that the agent makes at its first start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;
use causeway_certs::{keep, tls};
use causeway_proto::random::Random;
use causeway_proto::time::Clock;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{Config, PageError};

/// One file of both, so that no stop in between leaves a key without its certificate.
const OWN: &str = "site-page.pem";

/// The years for which a certificate of our own is good; removing the file has another made.
const YEARS: i32 = 10;

fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    tried: &'static str,
) -> impl FnOnce(E) -> PageError {
    move |error| PageError::Certificate {
        tried,
        source: error.into(),
    }
}

/// The configuration with which the page is served.
pub(super) fn server(
    config: &Config,
    folder: &Path,
    clock: &Clock,
    random: &Random,
) -> Result<RustlsConfig, PageError> {
    let (chain, key) = match (&config.certificate, &config.key) {
        (Some(certificate), Some(key)) => (text(certificate)?, text(key)?),
        _ => {
            let both = own(config, folder, clock, random)?;
            (both.clone(), both)
        }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(failed("reading the certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(failed("reading the key"))?;
    let mut server = ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(failed("using the certificate with its key"))?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(server)))
}

fn text(file: &PathBuf) -> Result<String, PageError> {
    std::fs::read_to_string(file).map_err(failed("reading a file that `site_page` names"))
}

/// The certificate and key that the agent has made, or makes now.
fn own(
    config: &Config,
    folder: &Path,
    clock: &Clock,
    random: &Random,
) -> Result<String, PageError> {
    let file = folder.join(OWN);
    let tried = "keeping the agent's own";
    if let Some(kept) = keep::read_secret(&file).map_err(failed(tried))? {
        return Ok(kept);
    }
    let made = make(config, clock)?;
    keep::folder(folder).map_err(failed(tried))?;
    keep::create(&file, &random.token(), &made).map_err(failed(tried))?;
    Ok(made)
}

fn make(config: &Config, clock: &Clock) -> Result<String, PageError> {
    let tried = "making the agent's own";
    let mut names = config.names.clone();
    names.push("localhost".to_owned());
    if !config.listen.ip().is_unspecified() {
        names.push(config.listen.ip().to_string());
    }
    let mut params = CertificateParams::new(names).map_err(failed(tried))?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Causeway site page");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let today = clock.now().calendar().to_zoned(jiff::tz::TimeZone::UTC);
    let year = i32::from(today.year());
    params.not_before = rcgen::date_time_ymd(year.saturating_sub(1), 1, 1);
    params.not_after = rcgen::date_time_ymd(year.saturating_add(YEARS), 1, 1);
    let key = KeyPair::generate().map_err(failed(tried))?;
    let certificate = params.self_signed(&key).map_err(failed(tried))?;
    Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
}
