//! Makes one connection: resolves, shakes hands, opens the control stream, says HELLO and waits for the gateway's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use causeway_certs::tls::Refusal;
use causeway_line::pace::Known;
use causeway_line::quic;
use causeway_proto::link::close::Code;
use causeway_proto::link::codec::{Message, Part, Reader, Speaker};
use causeway_proto::link::message::HelloGateway;
use causeway_proto::link::session::{Farewell, Greeted, agent_hello, greeted_by_gateway};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, EndpointConfig, RecvStream, SendStream,
    TokioRuntime, TransportErrorCode,
};

use super::alias::Leaving;
use super::tunnel::{Carrying, Tunnel};
use super::way::Way;
use super::{Link, path};

/// The name and version in HELLO.
const SOFTWARE: &str = concat!("causeway-agent ", env!("CARGO_PKG_VERSION"));
/// How much is read from a stream at once, in bytes.
pub(super) const READ_BYTES: usize = 256 * 1024;

/// A connection on which both sides have said HELLO.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) endpoint: Endpoint,
    pub(super) connection: Connection,
    pub(super) to_gateway: SendStream,
    pub(super) from_gateway: RecvStream,
    pub(super) reader: Reader,
    pub(super) greeted: Greeted<HelloGateway>,
    pub(super) way: Way,
    /// What carries the connection over TCP, for as long as it lasts.
    pub(super) carrying: Option<Carrying>,
}

/// There is no connection.
#[derive(Debug)]
pub(super) struct NotDialled {
    /// Why, for a person.
    pub(super) farewell: Farewell,
    /// Nobody answered: another way may do.
    pub(super) unanswered: bool,
}

impl From<Farewell> for NotDialled {
    fn from(farewell: Farewell) -> Self {
        Self {
            farewell,
            unanswered: false,
        }
    }
}

impl NotDialled {
    fn unanswered(farewell: Farewell) -> Self {
        Self {
            farewell,
            unanswered: true,
        }
    }
}

/// Makes one connection. `down`: for how long there has been none.
///
/// # Errors
/// Why there is none.
pub(super) async fn dial(link: &Link, way: Way, down: Duration) -> Result<Dialled, NotDialled> {
    let limit = link.config.dial_timeout(down);
    let known = path::recall(link, way).await;
    let (endpoint, address, carrying) = match way {
        Way::Udp => {
            let address = resolve(link, limit).await?;
            (endpoint(link, address.ip(), known)?, address, None)
        }
        Way::Tcp => tunnelled(link, known, limit).await?,
    };
    let name = link.config.name();
    let connecting = endpoint
        .connect(address, name)
        .map_err(|error| local(format!("The gateway cannot be dialled as {name}: {error}.")))?;
    let connection = tokio::time::timeout(limit, connecting)
        .await
        .unwrap_or(Err(ConnectionError::TimedOut))
        .map_err(|error| NotDialled {
            unanswered: error == ConnectionError::TimedOut,
            farewell: explain(link, &error),
        })?;
    let greeting = greet(link, endpoint, connection.clone(), way);
    match tokio::time::timeout(limit, greeting).await {
        Ok(outcome) => Ok(Dialled {
            carrying,
            ..outcome?
        }),
        Err(_) => {
            let silent = Farewell::new(Code::Silent, "The gateway did not say HELLO in time.");
            Err(farewell(&connection, silent).into())
        }
    }
}

/// Opens a tunnel and an endpoint that speaks through it.
async fn tunnelled(
    link: &Link,
    known: Option<Known>,
    limit: Duration,
) -> Result<(Endpoint, SocketAddr, Option<Carrying>), NotDialled> {
    let to = link.config.tcp_address();
    let opened = tokio::time::timeout(limit, Tunnel::open(link))
        .await
        .unwrap_or_else(|_| Err(local(format!("{to} does not answer over TCP."))));
    let tunnel = opened.map_err(|farewell| NotDialled {
        unanswered: farewell.code == Code::Internal,
        farewell,
    })?;
    let address = tunnel.address;
    let endpoint = endpoint(link, address.ip(), known)?;
    let failed = |error| NotDialled::unanswered(local(format!("No tunnel: {error}.")));
    let own = endpoint.local_addr().map_err(failed)?;
    let carrying = tunnel.carry(own).await.map_err(failed)?;
    Ok((endpoint, address, Some(carrying)))
}

/// Where the gateway is.
///
/// # Errors
/// Why nobody knows.
pub(super) async fn resolve(link: &Link, limit: Duration) -> Result<SocketAddr, Farewell> {
    let address = &link.config.address;
    let looked_up = tokio::time::timeout(limit, tokio::net::lookup_host(address.as_str())).await;
    match looked_up {
        Ok(Ok(mut addresses)) => addresses
            .next()
            .ok_or_else(|| local(format!("The name in {address} has no address."))),
        Ok(Err(error)) => Err(local(format!("{address} cannot be resolved: {error}."))),
        Err(_) => Err(local(format!("{address} was not resolved in time."))),
    }
}

fn endpoint(link: &Link, to: IpAddr, known: Option<Known>) -> Result<Endpoint, Farewell> {
    let any: SocketAddr = match to {
        to if to.is_loopback() => (to, 0).into(),
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let mut endpoint = quic::socket(any)
        .and_then(|socket| {
            Endpoint::new(
                EndpointConfig::default(),
                None,
                socket,
                Arc::new(TokioRuntime),
            )
        })
        .map_err(|error| local(format!("No UDP port could be opened: {error}.")))?;
    let tls = QuicClientConfig::try_from(Arc::clone(&link.tls.config)).map_err(|error| {
        local(format!(
            "The TLS configuration is not fit for QUIC: {error}."
        ))
    })?;
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(link.config.transport(known));
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

/// In TLS 1.3 the connection counts as made here before the gateway has judged our certificate: a refusal shows up in these calls.
async fn greet(
    link: &Link,
    endpoint: Endpoint,
    connection: Connection,
    way: Way,
) -> Result<Dialled, Farewell> {
    let half = link.spool.hello().await.map_err(|error| {
        tracing::error!(%error, "the spool cannot count this connection");
        farewell(
            &connection,
            local("The spool's rows refused; the agent's log says why."),
        )
    })?;
    let opened = connection.open_bi().await;
    let (mut to_gateway, mut from_gateway) = opened.map_err(|error| explain(link, &error))?;
    let mut frame = Vec::new();
    let hello = agent_hello(link.clock.now(), SOFTWARE, half);
    let hello = Leaving::hello(hello);
    hello
        .encode(&mut frame)
        .map_err(|error| farewell(&connection, error.into()))?;
    if to_gateway.write_all(&frame).await.is_err() {
        return Err(explain(link, &connection.closed().await));
    }
    let mut reader = Reader::control(Speaker::Gateway);
    let message = loop {
        match reader.next_part() {
            Ok(Some(Part::Message(message))) => break message,
            Ok(Some(Part::Data(_)) | None) => {}
            Err(error) => return Err(farewell(&connection, error.into())),
        }
        match from_gateway.read_chunk(READ_BYTES, true).await {
            Ok(Some(chunk)) => reader.push(&chunk.bytes),
            Ok(None) => {
                let early = Farewell::new(Code::Truncated, "The gateway ended before HELLO.");
                return Err(farewell(&connection, early));
            }
            Err(_) => return Err(explain(link, &connection.closed().await)),
        }
    };
    let greeted = check(link, &connection, message)?;
    link.spool.greeted(&greeted.half).await.map_err(|error| {
        tracing::error!(%error, "the spool cannot take the gateway's HELLO");
        farewell(
            &connection,
            local("The spool's rows refused; the agent's log says why."),
        )
    })?;
    Ok(Dialled {
        endpoint,
        connection,
        to_gateway,
        from_gateway,
        reader,
        greeted,
        way,
        carrying: None,
    })
}

fn check(
    link: &Link,
    connection: &Connection,
    message: Message,
) -> Result<Greeted<HelloGateway>, Farewell> {
    greeted_by_gateway(link.clock.now(), message).map_err(|reason| farewell(connection, reason))
}

/// Says why on the wire, and gives it back.
pub(super) fn farewell(connection: &Connection, reason: Farewell) -> Farewell {
    connection.close(VarIntOf(reason.code).into(), reason.sentence.as_bytes());
    reason
}

/// A close code as quinn wants it.
pub(super) struct VarIntOf(pub(super) Code);

impl From<VarIntOf> for quinn::VarInt {
    fn from(code: VarIntOf) -> Self {
        Self::from_u32(code.0.number())
    }
}

pub(super) fn local(sentence: impl Into<String>) -> Farewell {
    Farewell::new(Code::Internal, sentence)
}

/// Why a connection ended, for the person who looks after the agent.
pub(super) fn explain(link: &Link, error: &ConnectionError) -> Farewell {
    let address = &link.config.address;
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let code = Code::of(close.error_code.into_inner());
            let said = String::from_utf8_lossy(&close.reason);
            match code {
                Some(code) if said.is_empty() => Farewell::from(code),
                Some(code) => Farewell::new(code, said),
                None => Farewell::new(
                    Code::Internal,
                    format!(
                        "The gateway ended the connection with the unknown code {}: {said}",
                        close.error_code
                    ),
                ),
            }
        }
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
        {
            Farewell::new(
                Code::Busy,
                "The gateway takes no more connections at the moment.",
            )
        }
        ConnectionError::ConnectionClosed(close) => {
            let refusal = Refusal::from_quic(u64::from(close.error_code));
            refused(link, refusal)
                .unwrap_or_else(|| local(format!("The gateway ended the connection: {close}.")))
        }
        ConnectionError::TransportError(found) => {
            let refusal = ours(u64::from(found.code));
            refused(link, refusal)
                .unwrap_or_else(|| local(format!("The connection failed: {found}.")))
        }
        ConnectionError::TimedOut => local(format!(
            "The gateway at {address} does not answer: it is down, or a firewall holds back UDP."
        )),
        ConnectionError::Reset => Farewell::new(Code::GoAway, "The gateway was restarted."),
        ConnectionError::LocallyClosed => Farewell::from(Code::Done),
        other => local(format!("The connection failed: {other}.")),
    }
}

/// What this side found wrong with the gateway's certificate, by the alert that it sent (RFC 8446 6.2).
fn ours(code: u64) -> Option<Refusal> {
    match code.checked_sub(0x100)? {
        42 => Some(Refusal::GatewayName),
        45 => Some(Refusal::GatewayOutOfTime),
        48 => Some(Refusal::GatewayAuthority),
        _ => Refusal::from_quic(code),
    }
}

pub(super) fn refused(link: &Link, refusal: Option<Refusal>) -> Option<Farewell> {
    let refusal = refusal?;
    let code = match refusal {
        Refusal::Revoked => Code::Revoked,
        Refusal::OutOfTime => Code::Expired,
        Refusal::WrongProtocol => Code::VersionUnsupported,
        Refusal::Other(_) => Code::Internal,
        _ => Code::Forbidden,
    };
    let own = link.tls.live.credentials().validity();
    Some(Farewell::new(
        code,
        refusal.for_agent(Some(own), link.clock.now()),
    ))
}
