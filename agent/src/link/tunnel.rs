//! The way over TCP: QUIC speaks to a socket of this machine, and its datagrams travel inside of one TLS connection to the gateway,
//! through the hospital's proxy if there is one. Also the question whether UDP passes, which costs one datagram.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use causeway_certs::tls::{Refusal, Side, tunnel_client};
use causeway_proto::link::close::Code;
use causeway_proto::link::session::Farewell;
use causeway_proto::link::tunnel::{MAX_BYTES, first, frame, question};
use causeway_proto::random::Random;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::dial::{local, refused, resolve};
use super::{Link, proxy};

/// How many bytes of datagrams go out as one piece.
const BATCH_BYTES: usize = 64 * 1024;
/// How many times the question is said, and how long each waits for its answer.
const QUESTIONS: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

type Stream = TlsStream<TcpStream>;

/// A tunnel that has shaken hands. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Tunnel {
    stream: Stream,
    socket: UdpSocket,
    /// Where QUIC reaches the gateway now.
    pub(super) address: SocketAddr,
}

/// What carries. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Carrying(#[expect(dead_code, reason = "held for what its end does")] JoinSet<()>);

impl Tunnel {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// Why there is no tunnel, for a person.
    pub(super) async fn open(link: &Link) -> Result<Self, Farewell> {
        let config = &link.config;
        let to = config.tcp_address();
        let tcp = proxy::connect(to, config.proxy.as_ref()).await;
        let tcp = tcp.map_err(|error| match &config.proxy {
            Some(_) => local(format!("No way over TCP to {to}: {error}.")),
            None => local(format!(
                "No way over TCP to {to}: {error}. A firewall may hold it back, or the gateway takes no TCP."
            )),
        })?;
        let (tls, shown) = tunnel_client(&link.tls.live, &link.clock)
            .map_err(|error| local(format!("TLS cannot be prepared: {error}.")))?;
        let name = ServerName::try_from(config.name().to_owned()).map_err(|error| {
            local(format!(
                "{} is no name of a server: {error}.",
                config.name()
            ))
        })?;
        let connector = TlsConnector::from(Arc::new(tls));
        let stream = connector.connect(name, tcp).await.map_err(|error| {
            match (tls_refusal(&error), shown.issuer()) {
                (Some(Refusal::GatewayAuthority), Some(issuer)) => opened_on_the_way(to, &issuer),
                (refusal, _) => refused(link, refusal)
                    .unwrap_or_else(|| local(format!("No TLS over TCP with {to}: {error}."))),
            }
        })?;
        let no_socket = |error: io::Error| local(format!("No UDP port could be opened: {error}."));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let socket = socket.map_err(no_socket)?;
        let address = socket.local_addr().map_err(no_socket)?;
        Ok(Self {
            stream,
            socket,
            address,
        })
    }

    /// Carries what `quic`, a socket of this machine, sends and gets.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) async fn carry(self, quic: SocketAddr) -> io::Result<Carrying> {
        // from nobody else on this machine
        self.socket.connect(quic).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (reading, writing) = split(self.stream);
            let ended = tokio::select! {
                ended = inwards(reading, &self.socket) => ended,
                ended = outwards(&self.socket, writing) => ended,
            };
            if let Err(error) = ended {
                tracing::info!(%error, "the tunnel has ended");
            }
        });
        Ok(Carrying(tasks))
    }
}

fn tls_refusal(error: &io::Error) -> Option<Refusal> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(Refusal::from_error(Side::Agent, inner))
}

/// P35: a proxy that opens TLS is named, and what has to be asked of whom.
fn opened_on_the_way(to: &str, issuer: &str) -> Farewell {
    Farewell::new(
        Code::Forbidden,
        format!(
            "What answers at {to} showed a certificate issued by {issuer}, not by this gateway's authority. If that is the hospital's \
             own proxy, ask the network team for an exception from TLS inspection for {to}."
        ),
    )
}

async fn inwards(mut reading: ReadHalf<Stream>, socket: &UdpSocket) -> io::Result<()> {
    let mut come = BytesMut::with_capacity(2 * MAX_BYTES);
    loop {
        if reading.read_buf(&mut come).await? == 0 {
            return Ok(());
        }
        while let Some((datagram, used)) = first(&come) {
            if let Err(error) = socket.send(datagram).await {
                tracing::trace!(%error, "a datagram of the tunnel was lost");
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

/// Whether a server of QUIC answers at this address: it is asked for a version that nobody speaks, which leaves nothing there.
pub(crate) async fn udp_passes(address: SocketAddr, random: &Random) -> bool {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let Ok(socket) = UdpSocket::bind(any).await else {
        return false;
    };
    if socket.connect(address).await.is_err() {
        return false;
    }
    let question = question(random);
    let mut answer = [0; 1500];
    for wait in QUESTIONS {
        if socket.send(&question.datagram).await.is_err() {
            continue;
        }
        if let Ok(Ok(length)) = tokio::time::timeout(wait, socket.recv(&mut answer)).await
            && question.is_answered_by(answer.get(..length).unwrap_or_default())
        {
            return true;
        }
    }
    false
}

/// Asks for a link that runs over TCP.
pub(super) async fn udp_passes_again(link: &Link) -> bool {
    let limit = Duration::from_secs(link.config.connect_timeout_s.max(1));
    match resolve(link, limit).await {
        Ok(address) => udp_passes(address, &link.random).await,
        Err(_) => false,
    }
}
