//! Enrolment and renewal: TLS 1.3 over TCP on a listener of its own.
//!
//! The port is held from the start, so that its number is known, and listened on only while somebody may come:
//!
//! | outstanding | listening | who gets through the handshake |
//! |---|---|---|
//! | a code, or one that was spent within the last minute and is told so | yes | everybody; what he may do is decided by the code |
//! | only a certificate between its day 60 and day 120 | yes | sites with a certificate of ours |
//! | neither | no: connections are refused by the system | nobody |

mod answer;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use causeway_certs::tls::{Refusal, Side, TlsError, enrolment_server};
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::directory::{self, DirectoryError, Wanted};
use crate::parts::Parts;

#[cfg(test)]
mod tests;

/// How often the rows are looked at: `site add` runs in another process.
const LOOK: Duration = Duration::from_millis(500);
/// Connections at one time.
const MAX_CONNECTIONS: usize = 16;
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

/// Opens and closes the door as codes and certificates ask for it, until the process is to end.
///
/// # Errors
/// When the port is lost or TLS cannot be prepared. Rows that cannot be read for a while leave the door as it is.
pub async fn run(door: Door, parts: Parts) -> Result<(), EnrolError> {
    let address = door.address;
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut held = Some(door);
    let mut wake = parts.wakes.directory.listen();
    while !parts.cancel.is_cancelled() {
        let wanted = look(&parts, Wanted::default()).await;
        if wanted.any() {
            let door = match held.take() {
                Some(door) => door,
                None => again(address, &parts).await?,
            };
            let fault = |source| EnrolError::Listen {
                address: address.to_string(),
                source,
            };
            let listener = door.socket.listen(64).map_err(fault)?;
            tracing::info!(%address, codes = wanted.codes, renewals = wanted.renewals, "enrolment is open");
            serve(&listener, wanted, &parts, &places).await?;
            drop(listener);
            held = Some(again(address, &parts).await?);
            tracing::info!(%address, "enrolment is closed");
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

/// Accepts for as long as somebody may come.
async fn serve(
    listener: &TcpListener,
    mut wanted: Wanted,
    parts: &Parts,
    places: &Arc<Semaphore>,
) -> Result<(), EnrolError> {
    let mut wake = parts.wakes.directory.listen();
    let mut acceptor = acceptor(parts, wanted)?;
    let mut look_again = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                match accepted {
                    Ok((stream, from)) => place(stream, from, &acceptor, parts, places),
                    Err(error) => {
                        tracing::warn!(%error, "an enrolment connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
                continue;
            }
            _ = look_again.tick() => {}
            () = wake.rung() => {}
            () = parts.cancel.cancelled() => return Ok(()),
        }
        let now = look(parts, wanted).await;
        if !now.any() {
            return Ok(());
        }
        if now != wanted {
            wanted = now;
            acceptor = self::acceptor(parts, wanted)?;
        }
    }
}

fn acceptor(parts: &Parts, wanted: Wanted) -> Result<TlsAcceptor, EnrolError> {
    let config = enrolment_server(&parts.live, &parts.clock, wanted.codes)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn place(
    stream: TcpStream,
    from: SocketAddr,
    acceptor: &TlsAcceptor,
    parts: &Parts,
    places: &Arc<Semaphore>,
) {
    let Ok(place) = places.clone().try_acquire_owned() else {
        tracing::warn!(%from, "too many enrolments at one time: one was turned away");
        return;
    };
    let acceptor = acceptor.clone();
    let parts = parts.clone();
    parts.tracker.clone().spawn(async move {
        let work = tokio::time::timeout(LIMIT, one(stream, from, acceptor, &parts));
        tokio::select! {
            done = work => if done.is_err() {
                tracing::warn!(%from, limit_s = LIMIT.as_secs(), "an enrolment took too long and was dropped");
            },
            () = parts.cancel.cancelled() => {}
        }
        drop(place);
    });
}

async fn one(stream: TcpStream, from: SocketAddr, acceptor: TlsAcceptor, parts: &Parts) {
    match acceptor.accept(stream).await {
        Ok(stream) => {
            if let Err(error) = answer::answer(stream, from, parts).await {
                tracing::warn!(%from, %error, "an enrolment broke off");
            }
        }
        Err(error) => {
            let refusal = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>())
                .map_or(Refusal::Other(None), |inner| {
                    Refusal::from_error(Side::Gateway, inner)
                });
            tracing::warn!(%from, refusal = refusal.word(), cause = %error, "{}", refusal.for_gateway());
        }
    }
}
