//! The TCP port of the gateway: enrolment and renewal, and the link of sites where UDP does not pass, told apart by ALPN; TLS 1.3 alone.
//!
//! The port is held from the start, so that its number is known, and listened on only while somebody may come:
//!
//! | outstanding | listening | who gets through the handshake |
//! |---|---|---|
//! | a code, or one that was spent within the last minute and is told so | yes | everybody; what he may do is decided by the code |
//! | only a certificate between its day 60 and day 120 | yes | sites with a certificate of ours |
//! | neither, and no link over TCP | no: connections are refused by the system | nobody |
//! | neither, and the link is taken over TCP | yes | sites with a certificate of ours, for the link alone |

mod answer;
mod places;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use causeway_certs::tls::{Refusal, Side, TUNNEL_ALPN, TlsError, enrolment_server};
use causeway_proto::link::codec::sentence;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::Tunnels;
use super::told::{About, Told};
use crate::directory::{self, DirectoryError, Wanted};
use crate::parts::Parts;
use places::Places;

#[cfg(test)]
mod tests;

/// How often the rows are looked at: `site add` runs in another process.
const LOOK: Duration = Duration::from_millis(500);
/// Until a connection has said what it wants. Whoever comes says it at once.
const HELLO: Duration = Duration::from_secs(3);
/// From the first byte to the last of a whole enrolment.
const LIMIT: Duration = Duration::from_secs(15);

/// The listener could not be opened.
#[derive(Debug, Error)]
pub enum EnrolError {
    /// The port could not be had.
    #[error("listening for enrolments on {address}")]
    Listen {
        /// Where.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The TLS configuration could not be made.
    #[error("preparing TLS for enrolments")]
    Tls(#[from] TlsError),
    /// The rows could not be read.
    #[error("looking for outstanding codes")]
    Directory(#[from] DirectoryError),
}

/// A port that is held and not listened on.
#[derive(Debug)]
pub struct Door {
    socket: TcpSocket,
    address: SocketAddr,
}

impl Door {
    /// Takes the port.
    ///
    /// # Errors
    /// When the address cannot be resolved or is taken.
    pub async fn hold(listen: &str) -> Result<Self, EnrolError> {
        let fault = |source| EnrolError::Listen {
            address: listen.to_owned(),
            source,
        };
        let mut addresses = lookup_host(listen).await.map_err(fault)?;
        let address = addresses.next().ok_or_else(|| {
            fault(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            ))
        })?;
        Self::at(address).map_err(fault)
    }

    fn at(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Opens and closes the door as codes and certificates ask for it, until the process is to end; with `tunnels` it stays open.
///
/// # Errors
/// When the port is lost or TLS cannot be prepared. Rows that cannot be read for a while leave the door as it is.
pub async fn run(door: Door, parts: Parts, tunnels: Option<Tunnels>) -> Result<(), EnrolError> {
    let address = door.address;
    let (places, told) = (Places::default(), Told::default());
    let mut held = Some(door);
    let mut wake = parts.wakes.directory.listen();
    while !parts.cancel.is_cancelled() {
        let wanted = look(&parts, Wanted::default()).await;
        if wanted.any() || tunnels.is_some() {
            let door = match held.take() {
                Some(door) => door,
                None => again(address, &parts).await?,
            };
            let fault = |source| EnrolError::Listen {
                address: address.to_string(),
                source,
            };
            let listener = door.socket.listen(64).map_err(fault)?;
            tracing::info!(%address, codes = wanted.codes, renewals = wanted.renewals, tcp = tunnels.is_some(), "the TCP port is open");
            let serving = Serving {
                parts: parts.clone(),
                places: places.clone(),
                told: told.clone(),
                tunnels: tunnels.clone(),
            };
            serving.serve(&listener, wanted).await?;
            drop(listener);
            held = Some(again(address, &parts).await?);
            tracing::info!(%address, "the TCP port is closed");
        }
        tokio::select! {
            () = wake.wait(LOOK) => {}
            () = parts.cancel.cancelled() => {}
        }
    }
    Ok(())
}

async fn look(parts: &Parts, before: Wanted) -> Wanted {
    match directory::wanted(&parts.rows, parts.clock.now()).await {
        Ok(wanted) => wanted,
        Err(error) => {
            tracing::warn!(%error, "the directory could not be asked for outstanding codes");
            before
        }
    }
}

/// Takes the port back. The system may hold it for a moment after the listener closed.
async fn again(address: SocketAddr, parts: &Parts) -> Result<Door, EnrolError> {
    let mut tries = 0_u32;
    loop {
        match Door::at(address) {
            Ok(door) => return Ok(door),
            Err(source) if tries >= 40 || parts.cancel.is_cancelled() => {
                return Err(EnrolError::Listen {
                    address: address.to_string(),
                    source,
                });
            }
            Err(_) => tries = tries.saturating_add(1),
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Serving {
    parts: Parts,
    places: Places,
    told: Told,
    tunnels: Option<Tunnels>,
}

impl Serving {
    /// Accepts for as long as somebody may come.
    async fn serve(&self, listener: &TcpListener, mut wanted: Wanted) -> Result<(), EnrolError> {
        let mut wake = self.parts.wakes.directory.listen();
        let mut enrolment = self.enrolment(wanted)?;
        let mut look_again = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    match accepted {
                        Ok((stream, from)) => self.place(stream, from, enrolment.clone()),
                        Err(error) => {
                            tracing::warn!(%error, "a TCP connection could not be accepted");
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        }
                    }
                    continue;
                }
                _ = look_again.tick() => {}
                () = wake.rung() => {}
                () = self.parts.cancel.cancelled() => return Ok(()),
            }
            self.told.rest(Instant::now());
            let now = look(&self.parts, wanted).await;
            if !now.any() && self.tunnels.is_none() {
                return Ok(());
            }
            if now != wanted {
                wanted = now;
                enrolment = self.enrolment(wanted)?;
            }
        }
    }

    /// How enrolments are met; none while nobody may come.
    fn enrolment(&self, wanted: Wanted) -> Result<Option<Arc<ServerConfig>>, EnrolError> {
        if !wanted.any() {
            return Ok(None);
        }
        let config = enrolment_server(&self.parts.live, &self.parts.clock, wanted.codes)?;
        Ok(Some(Arc::new(config)))
    }

    async fn enrolment_now(&self) -> Option<Arc<ServerConfig>> {
        let wanted = look(&self.parts, Wanted::default()).await;
        match self.enrolment(wanted) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(%error, "enrolments cannot be met");
                None
            }
        }
    }

    fn place(&self, stream: TcpStream, from: SocketAddr, enrolment: Option<Arc<ServerConfig>>) {
        let Some(place) = self.places.take(from.ip()) else {
            if let Some(left_out) = self.may_tell(About::Refused, from) {
                tracing::warn!(%from, left_out, "too many handshakes over TCP at one time: one was turned away");
            }
            return;
        };
        let serving = self.clone();
        self.parts.tracker.spawn(async move {
            let cancel = serving.parts.cancel.clone();
            let work = async {
                let work = tokio::select! {
                    work = tokio::time::timeout(LIMIT, serving.one(stream, from, enrolment)) => work,
                    () = place.lost() => {
                        if let Some(left_out) = serving.may_tell(About::Refused, from) {
                            tracing::warn!(%from, left_out, "a handshake over TCP made room for another");
                        }
                        return;
                    }
                };
                drop(place);
                match work {
                    Ok(Some((stream, tunnels))) => tunnels.carry(stream, from).await,
                    Ok(None) => {}
                    Err(_) => {
                        if let Some(left_out) = serving.may_tell(About::Failed, from) {
                            tracing::warn!(%from, left_out, limit_s = LIMIT.as_secs(), "an enrolment took too long and was dropped");
                        }
                    }
                }
            };
            tokio::select! {
                () = work => {}
                () = cancel.cancelled() => {}
            }
        });
    }

    /// Shakes hands, and answers an enrolment; a tunnel is given back.
    async fn one(
        &self,
        stream: TcpStream,
        from: SocketAddr,
        enrolment: Option<Arc<ServerConfig>>,
    ) -> Option<(TlsStream<TcpStream>, Tunnels)> {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::trace!(%error, "no delay was not set");
        }
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream);
        let start = match tokio::time::timeout(HELLO, hello).await {
            Ok(Ok(start)) => start,
            Ok(Err(error)) => {
                self.refused(from, &error);
                return None;
            }
            Err(_) => {
                if let Some(left_out) = self.may_tell(About::Failed, from) {
                    tracing::info!(%from, left_out, "a connection that did not say what it wants was dropped");
                }
                return None;
            }
        };
        let tunnels = if asks_for_tunnel(&start) {
            self.tunnels.as_ref()
        } else {
            None
        };
        let config = match (tunnels, enrolment) {
            (Some(tunnels), _) => Some(tunnels.tls.clone()),
            (None, Some(enrolment)) => Some(enrolment),
            // whoever was given a code a moment ago comes before the rows are looked at by the clock
            (None, None) => self.enrolment_now().await,
        };
        let Some(config) = config else {
            tracing::debug!(%from, "nobody may enrol now: a connection was dropped");
            return None;
        };
        let stream = match start.into_stream(config).await {
            Ok(stream) => stream,
            Err(error) => {
                self.refused(from, &error);
                return None;
            }
        };
        if let Some(tunnels) = tunnels {
            return Some((stream, tunnels.clone()));
        }
        if let Err(error) = answer::answer(stream, from, &self.parts).await
            && let Some(left_out) = self.may_tell(About::Failed, from)
        {
            tracing::warn!(%from, left_out, %error, "an enrolment broke off");
        }
        None
    }

    fn may_tell(&self, about: About, from: SocketAddr) -> Option<u64> {
        self.told.more(about, from.ip(), Instant::now())
    }

    fn refused(&self, from: SocketAddr, error: &io::Error) {
        let Some(left_out) = self.may_tell(About::Failed, from) else {
            return;
        };
        let refusal = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            .map_or(Refusal::Other(None), |inner| {
                Refusal::from_error(Side::Gateway, inner)
            });
        tracing::warn!(%from, left_out, refusal = refusal.word(), cause = sentence(error.to_string()), "{}", refusal.for_gateway());
    }
}

fn asks_for_tunnel(start: &StartHandshake<TcpStream>) -> bool {
    let hello = start.client_hello();
    let mut protocols = hello.alpn().into_iter().flatten();
    protocols.any(|protocol| protocol == TUNNEL_ALPN)
}
