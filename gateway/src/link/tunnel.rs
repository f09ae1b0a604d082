//! The link over TCP, for sites whose firewall holds back UDP: datagrams come out of a TLS connection and go to our own port as if
//! they had come from the network, and back. Who the agent is, is asked twice: here, so that nobody else keeps the machine busy, and
//! in QUIC inside, which decides.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use causeway_certs::identity::{Peer, site_of};
use causeway_certs::tls::{TlsError, tunnel_server};
use causeway_proto::link::tunnel::{MAX_BYTES, first, frame};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::server::TlsStream;

use super::Sites;
use crate::parts::Parts;

/// After how long without a byte from the agent a tunnel has ended: QUIC inside shows life far more often.
const SILENCE: Duration = Duration::from_secs(30);
/// How many bytes of datagrams go out as one piece.
const BATCH_BYTES: usize = 64 * 1024;

type Stream = TlsStream<TcpStream>;

/// Carries datagrams between TLS connections and the port of the link. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tunnels {
    /// What an agent has to show.
    pub(super) tls: Arc<ServerConfig>,
    link: SocketAddr,
    sites: Sites,
    most_per_site: u32,
}

impl Tunnels {
    /// To the port of the link, as it was bound.
    ///
    /// # Errors
    /// When TLS cannot be prepared.
    pub fn new(
        link: SocketAddr,
        sites: Sites,
        most_per_site: u32,
        parts: &Parts,
    ) -> Result<Self, TlsError> {
        let mut link = link;
        if link.ip().is_unspecified() {
            link.set_ip(match link {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        Ok(Self {
            tls: Arc::new(tunnel_server(&parts.live, &parts.clock)?),
            link,
            sites,
            most_per_site,
        })
    }

    /// Carries until either side ends.
    pub(super) async fn carry(&self, stream: Stream, from: SocketAddr) {
        let chain = stream.get_ref().1.peer_certificates();
        let Ok(Peer { site, .. }) = site_of(chain.unwrap_or_default()) else {
            return;
        };
        let ended = async {
            let socket = UdpSocket::bind(any(self.link)).await?;
            socket.connect(self.link).await?;
            let own = socket.local_addr()?;
            let carried = self.sites.carried(&site, own, from, self.most_per_site);
            tracing::info!(%site, %from, "an agent comes over TCP");
            let (reading, writing) = split(stream);
            tokio::select! {
                ended = inwards(reading, &socket) => ended,
                ended = outwards(&socket, writing) => ended,
                () = carried.evicted() => {
                    tracing::warn!(%site, %from, "too many tunnels of one site: its oldest was ended");
                    Ok(())
                }
            }
        };
        if let Err(error) = ended.await {
            tracing::info!(%site, %from, %error, "a tunnel has ended");
        }
    }
}

/// An address of the same kind, where the system chooses.
fn any(link: SocketAddr) -> SocketAddr {
    match link {
        SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

async fn inwards(mut reading: ReadHalf<Stream>, socket: &UdpSocket) -> io::Result<()> {
    let mut come = BytesMut::with_capacity(2 * MAX_BYTES);
    loop {
        // a timeout becomes an error of kind `TimedOut`
        if tokio::time::timeout(SILENCE, reading.read_buf(&mut come)).await?? == 0 {
            return Ok(());
        }
        while let Some((datagram, used)) = first(&come) {
            if let Err(error) = socket.send(datagram).await {
                tracing::trace!(%error, "a datagram of a tunnel was lost");
            }
            come.advance(used);
        }
        come.reserve(MAX_BYTES);
    }
}

/// What has gathered goes out together. While TCP takes no more, the socket's own queue fills and overflows, which QUIC understands.
async fn outwards(socket: &UdpSocket, mut writing: WriteHalf<Stream>) -> io::Result<()> {
    let mut datagram = vec![0; MAX_BYTES];
    let mut batch = Vec::with_capacity(2 * BATCH_BYTES);
    loop {
        let mut length = socket.recv(&mut datagram).await?;
        loop {
            frame(datagram.get(..length).unwrap_or_default(), &mut batch);
            if batch.len() >= BATCH_BYTES {
                break;
            }
            match socket.try_recv(&mut datagram) {
                Ok(next) => length = next,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        writing.write_all(&batch).await?;
        writing.flush().await?;
        batch.clear();
    }
}
