//! Getting a certificate: the first with a one-time code, over TLS that believes only the authority in the code; later ones with the
//! certificate that is about to end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use causeway_certs::enrol::{
    Answer, Ask, Code, Credentials, CredentialsError, FrameError, NewKey, Renewal, Request,
    decode_length, frame, parse,
};
use causeway_certs::reload::LiveClient;
use causeway_certs::tls::{Refusal, Side, TlsError, pinned_client, renewal_client};
use causeway_proto::link::codec::sentence;
use causeway_proto::random::Random;
use causeway_proto::time::Clock;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::proxy::{self, Proxy};

/// From the first packet to the last.
const LIMIT: Duration = Duration::from_secs(20);

/// How often the certificate's age is looked at.
const LOOK: Duration = Duration::from_secs(3600);

/// The file beside the keys that says where to renew.
const ADDRESS: &str = "enrolled-at";

/// There is no certificate.
#[derive(Debug, Error)]
pub enum EnrolError {
    /// The address is not one.
    #[error("{0} is no address: write host:port, as the gateway's operator told you")]
    Address(String),
    /// Nobody answers there.
    #[error(
        "{address} does not answer; a gateway listens for enrolments only while a code is outstanding: it may have been used or have expired"
    )]
    Connect {
        /// Where.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The handshake failed; nothing was sent.
    #[error("{0}")]
    Handshake(String),
    /// The exchange was cut.
    #[error("the gateway cut the exchange")]
    Cut(#[source] io::Error),
    /// No end within the limit.
    #[error("the gateway did not answer within {} s", LIMIT.as_secs())]
    Silent,
    /// The address could not be noted for renewals.
    #[error("the address of the gateway cannot be noted beside the keys")]
    Note(#[source] io::Error),
    /// The gateway says no.
    #[error("{0}")]
    Refused(String),
    /// The gateway's answer makes no sense.
    #[error("the gateway's answer is not understood")]
    Frame(#[from] FrameError),
    /// The key or the certificate cannot be used or kept.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The parts of TLS do not fit together.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What was enrolled, for the person who typed the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The site's identifier.
    pub site: String,
    /// The site's name.
    pub name: String,
    /// The reading organisations of its agreements.
    pub organisations: Vec<String>,
}

/// Where to go, and what stays the same over all attempts.
#[derive(Clone, Debug)]
pub struct Enrolling {
    /// `host:port` (TCP).
    pub gateway: String,
    /// The name that the gateway's certificate has to carry; none: the host of `gateway`.
    pub server_name: Option<String>,
    /// The HTTP proxy on the way there.
    pub proxy: Option<Proxy>,
    /// The folder of keys.
    pub folder: PathBuf,
    /// The wall clock.
    pub clock: Clock,
    /// For temporary names.
    pub random: Random,
}

impl Enrolling {
    /// Enrols with a code. The code leaves this process only after the gateway has shown the authority that it names.
    ///
    /// # Errors
    /// Why there is no certificate; nothing is kept then.
    pub async fn enrol(&self, code: &Code) -> Result<Welcome, EnrolError> {
        let ask = Ask::Enrol {
            id: code.id().to_owned(),
            secret: code.secret().expose().to_owned(),
        };
        let config = pinned_client(code, &self.clock)?;
        let (credentials, welcome) = self.ask(config, ask, None).await?;
        credentials.keep(&self.folder, &self.random)?;
        std::fs::write(self.folder.join(ADDRESS), &self.gateway).map_err(EnrolError::Note)?;
        Ok(welcome)
    }

    /// Renews with the certificate that `live` shows, keeps the new one and shows it from now on.
    ///
    /// # Errors
    /// Why there is no new certificate; the old one stays.
    pub async fn renew(&self, live: &LiveClient) -> Result<(), EnrolError> {
        let config = renewal_client(live, &self.clock)?;
        let own = live.credentials();
        let (credentials, _) = self.ask(config, Ask::Renew, Some(&own)).await?;
        credentials.keep(&self.folder, &self.random)?;
        live.replace(credentials)?;
        Ok(())
    }

    /// Renews whenever it is time, until `cancel` fires.
    pub async fn keep_renewed(&self, live: LiveClient, cancel: CancellationToken) {
        loop {
            let renewal = live.credentials().renewal(self.clock.now());
            if matches!(renewal, Renewal::Due | Renewal::Only) {
                match self.renew(&live).await {
                    Ok(()) => tracing::info!("the site's certificate was renewed"),
                    Err(error) => {
                        tracing::warn!(%error, "the site's certificate was not renewed; tried again");
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = cancel.cancelled() => return,
            }
        }
    }

    async fn ask(
        &self,
        config: ClientConfig,
        ask: Ask,
        own: Option<&Credentials>,
    ) -> Result<(Credentials, Welcome), EnrolError> {
        match tokio::time::timeout(LIMIT, self.exchange(config, ask, own)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(EnrolError::Silent),
        }
    }

    async fn exchange(
        &self,
        config: ClientConfig,
        ask: Ask,
        own: Option<&Credentials>,
    ) -> Result<(Credentials, Welcome), EnrolError> {
        let name = self.name()?;
        let tcp = self.connect().await?;
        let connector = TlsConnector::from(Arc::new(config));
        let mut tls = connector
            .connect(name, tcp)
            .await
            .map_err(|error| match error.kind() {
                // a gateway that takes the link over TCP listens always, and hangs up on whom it does not expect
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                    EnrolError::Connect {
                        address: self.gateway.clone(),
                        source: error,
                    }
                }
                _ => EnrolError::Handshake(self.explain(&error, own)),
            })?;
        let key = NewKey::draw()?;
        let request = Request {
            ask,
            csr: key.request().to_vec().into(),
            now: self.clock.now(),
            software: concat!("causeway-agent ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let cut = |error: io::Error| match tls_fault(&error) {
            Some(_) => EnrolError::Handshake(self.explain(&error, own)),
            None => EnrolError::Cut(error),
        };
        tls.write_all(&frame(&request)?).await.map_err(cut)?;
        tls.flush().await.map_err(cut)?;
        let mut head = [0; 4];
        tls.read_exact(&mut head).await.map_err(cut)?;
        let mut body = vec![0; decode_length(head)?];
        tls.read_exact(&mut body).await.map_err(cut)?;
        match parse(&body)? {
            Answer::Refused(refused) => Err(EnrolError::Refused(sentence(refused.sentence))),
            Answer::Enrolled(enrolled) => {
                let welcome = Welcome {
                    site: enrolled.site.to_string(),
                    name: enrolled.name.clone(),
                    organisations: enrolled
                        .agreements
                        .iter()
                        .map(|agreement| agreement.organisation.clone())
                        .collect(),
                };
                Ok((key.with(&enrolled)?, welcome))
            }
        }
    }

    /// Connects. A gateway that has only just made the code needs a moment to open its door.
    async fn connect(&self) -> Result<TcpStream, EnrolError> {
        let mut tries = 0_u32;
        loop {
            match proxy::connect(&self.gateway, self.proxy.as_ref()).await {
                Ok(stream) => return Ok(stream),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && tries < 15 => {
                    tries = tries.saturating_add(1);
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(source) => {
                    return Err(EnrolError::Connect {
                        address: self.gateway.clone(),
                        source,
                    });
                }
            }
        }
    }

    fn name(&self) -> Result<ServerName<'static>, EnrolError> {
        let wrong = || EnrolError::Address(self.gateway.clone());
        let (host, _) = self.gateway.rsplit_once(':').ok_or_else(wrong)?;
        let host = self.server_name.as_deref().unwrap_or(host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        ServerName::try_from(host.to_owned()).ok().ok_or_else(wrong)
    }

    /// A sentence for the person at the agent.
    fn explain(&self, error: &io::Error, own: Option<&Credentials>) -> String {
        match tls_fault(error) {
            Some(fault) => Refusal::from_error(Side::Agent, fault)
                .for_agent(own.map(Credentials::validity), self.clock.now()),
            None => format!("the gateway ended the handshake: {error}"),
        }
    }
}

fn tls_fault(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Where this agent was enrolled, which is where it renews; none when it was never noted.
#[must_use]
pub fn enrolled_at(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join(ADDRESS)).ok()?;
    Some(text.trim().to_owned())
}

/// Whether credentials are kept in `folder`.
#[must_use]
pub fn enrolled(folder: &Path) -> bool {
    Credentials::load(folder).is_ok()
}
