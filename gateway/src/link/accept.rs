//! Lets agents in: handshake, certificate, directory, HELLO, fencing; each step with its time limit and its sentence.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use causeway_certs::identity::{Peer, site_of};
use causeway_certs::tls::{self, Refusal};
use causeway_proto::ids::SiteId;
use causeway_proto::link::close::Code;
use causeway_proto::link::codec::{Part, Reader, Speaker, encode, sentence};
use causeway_proto::link::message::{Agreement, HelloAgent, HelloGateway};
use causeway_proto::link::session::{Farewell, Greeted, gateway_hello, greeted_by_agent};
use causeway_proto::link::upload::CODINGS;
use causeway_proto::random::Random;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    Connection, ConnectionError, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig,
    Incoming, RecvStream, SendStream, ServerConfig,
};
use rustls_pki_types::CertificateDer;
use tokio::net::lookup_host;
use tokio::time::Instant;

use super::handshakes::{Handshake, Handshakes, Keeping, Most, Origin, take_up};
use super::sites::{Connected, NotAdmitted, close};
use super::told::{About, Told};
use super::{Config, LinkError, Rooms, session};
use crate::directory::{self, Denied, DirectoryError};
use crate::parts::Parts;

/// The name and version in HELLO.
const SOFTWARE: &str = concat!("causeway-gateway ", env!("CARGO_PKG_VERSION"));
/// How much is read from a stream at once, in bytes.
pub(super) const READ_BYTES: usize = 256 * 1024;
/// Handshakes that may wait to be taken up.
const WAITING: usize = 256;
/// Bytes of one handshake, and of all, that are kept before they are taken up.
const WAITING_BYTES: (u64, u64) = (64 << 10, 8 << 20);

/// A bound port that does not answer yet.
#[derive(Debug)]
pub struct Door {
    endpoint: Endpoint,
}

impl Door {
    /// Takes the port. With the same `secret` after a restart, agents learn at once that their old connection is gone (a
    /// stateless reset); with another they find out by silence.
    ///
    /// # Errors
    /// When the port cannot be had or TLS cannot be prepared.
    pub async fn open(config: &Config, parts: &Parts, secret: &[u8]) -> Result<Self, LinkError> {
        let crypto = tls::server(&parts.live, &parts.clock)?;
        let crypto = QuicServerConfig::try_from(Arc::new(crypto))?;
        let mut server = ServerConfig::with_crypto(Arc::new(crypto));
        server
            .transport_config(config.transport())
            .max_incoming(WAITING)
            .incoming_buffer_size(WAITING_BYTES.0)
            .incoming_buffer_size_total(WAITING_BYTES.1);
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let mut endpoint = EndpointConfig::new(Arc::new(key));
        let random = parts.random.clone();
        endpoint.cid_generator(move || Box::new(Names(random.clone())));
        let socket = bind(&config.listen)
            .await
            .map_err(|source| LinkError::Listen {
                address: config.listen.clone(),
                source,
            })?;
        let endpoint = Endpoint::new(endpoint, Some(server), socket, Arc::new(Keeping));
        let endpoint = endpoint.map_err(|source| LinkError::Listen {
            address: config.listen.clone(),
            source,
        })?;
        Ok(Self { endpoint })
    }

    /// Where agents reach it.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }
}

async fn bind(listen: &str) -> io::Result<UdpSocket> {
    let address = lookup_host(listen).await?.next();
    let address = address.ok_or_else(|| io::Error::other("the name has no address"))?;
    causeway_line::quic::socket(address)
}

/// Random names of connections. quinn's own kind is keyed anew at each start and would not answer for connections of the last one.
struct Names(Random);

impl ConnectionIdGenerator for Names {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&self.0.bytes::<8>())
    }

    fn cid_len(&self) -> usize {
        8
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// How long the rows may take to say from where the sites came.
const REMEMBERING: Duration = Duration::from_secs(5);

/// Lets agents in until the gateway ends, then waits for the sessions to drain.
pub async fn run(door: Door, rooms: Rooms) {
    let Door { endpoint } = door;
    let cancel = rooms.parts.cancel.clone();
    let handshakes = Handshakes::new(Most {
        all: rooms.config.max_connections,
        of_one: rooms.config.max_handshakes_per_address,
    });
    remember(&rooms, &handshakes).await;
    let told = Told::default();
    let mut tell = tokio::time::interval(Told::EVERY);
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            now = tell.tick() => {
                told.rest(now);
                continue;
            }
            () = cancel.cancelled() => break,
        };
        let Some(incoming) = incoming else { break };
        let open = endpoint.open_connections();
        let handshake = match begin(&rooms, &handshakes, open, &incoming) {
            Ok(handshake) => handshake,
            Err(away) => {
                turn_away(away, &rooms, open, incoming, &told);
                continue;
            }
        };
        let (rooms, told) = (rooms.clone(), told.clone());
        let tracker = rooms.parts.tracker.clone();
        tracker.spawn(async move { Box::pin(one(rooms, incoming, handshake, told)).await });
    }
    endpoint.set_server_config(None);
    let limit = Duration::from_secs(rooms.config.drain_s.saturating_add(5));
    if tokio::time::timeout(limit, endpoint.wait_idle())
        .await
        .is_err()
    {
        tracing::warn!("not every agent confirmed the end of its connection");
    }
}

/// From where the sites came before this start. Nobody is held up when the rows do not say so.
async fn remember(rooms: &Rooms, handshakes: &Handshakes) {
    let parts = &rooms.parts;
    let sites = directory::came_from(&parts.rows, parts.clock.now());
    match tokio::time::timeout(REMEMBERING, sites).await {
        Ok(Ok(sites)) => {
            for (site, came_from) in sites {
                handshakes.remember(site, &came_from);
            }
        }
        Ok(Err(error)) => tracing::warn!(%error, "each site is a stranger until it has come"),
        Err(_) => {
            tracing::warn!("the rows do not answer: each site is a stranger until it has come")
        }
    }
}

fn size(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Why a connection is not taken up.
enum Away {
    /// It may come again with a proof of its address.
    Unproved,
    /// There is no room for it.
    Refused(&'static str),
}

fn begin(
    rooms: &Rooms,
    handshakes: &Handshakes,
    open: usize,
    incoming: &Incoming,
) -> Result<Arc<Handshake>, Away> {
    let (config, proved) = (&rooms.config, incoming.remote_address_validated());
    if !proved && open >= size(config.retry_from_connections) {
        return Err(Away::Unproved);
    }
    if open >= size(config.max_connections) {
        return Err(Away::Refused("no room for another connection"));
    }
    let reached_from = incoming.remote_address();
    let (from, away) = match rooms.sites.site_behind(reached_from) {
        Some(site) => (
            Origin::Tunnel(site),
            Away::Refused("too many handshakes of one site"),
        ),
        None if proved => (
            Origin::Proved(reached_from.ip()),
            Away::Refused("too many handshakes"),
        ),
        // whoever writes somebody else's address keeps him from nothing: with a proof he has his own
        None => (Origin::Claimed(reached_from.ip()), Away::Unproved),
    };
    handshakes.begin(&from, open).ok_or(away)
}

fn turn_away(away: Away, rooms: &Rooms, open: usize, incoming: Incoming, told: &Told) {
    match away {
        Away::Unproved => {
            if let Err(error) = incoming.retry() {
                error.into_incoming().refuse();
            }
        }
        Away::Refused(why) => {
            let address = incoming.remote_address();
            let address = rooms.sites.behind(address).unwrap_or(address);
            if let Some(left_out) = told.more(About::Refused, address.ip(), Instant::now()) {
                tracing::warn!(%address, open, left_out, why, "a connection was refused");
            }
            incoming.refuse();
        }
    }
}

/// One connection from its first packet to its end.
async fn one(rooms: Rooms, incoming: Incoming, handshake: Arc<Handshake>, told: Told) {
    let address = incoming.remote_address();
    let address = rooms.sites.behind(address).unwrap_or(address);
    let limit = rooms.config.greeting();
    let connecting = match take_up(incoming, Arc::clone(&handshake)) {
        Ok(connecting) => connecting,
        Err(error) => {
            tracing::debug!(%address, %error, "a connection ended before it began");
            return;
        }
    };
    let outcome = tokio::time::timeout(limit, connecting).await;
    let connection = match outcome.unwrap_or(Err(ConnectionError::TimedOut)) {
        Ok(connection) => connection,
        Err(error) => {
            let about = match error {
                ConnectionError::TimedOut => About::Silent,
                _ => About::Failed,
            };
            if let Some(left_out) = told.more(about, address.ip(), Instant::now()) {
                tracing::warn!(%address, sentence = %explain(&error), left_out, "no connection with an agent");
            }
            return;
        }
    };
    let greeting = greet(&rooms, &connection, &handshake);
    let greeted = tokio::time::timeout(limit.saturating_mul(2), greeting).await;
    match greeted.unwrap_or_else(|_| Err(Farewell::from(Code::Silent))) {
        Ok(greeting) => Box::pin(session::run(&rooms, greeting)).await,
        Err(farewell) => {
            if let Some(left_out) = told.more(About::Failed, address.ip(), Instant::now()) {
                tracing::warn!(%address, code = farewell.code.name(), sentence = %farewell.sentence, left_out, "an agent was not let in");
            }
            close(&connection, &farewell);
        }
    }
    // a greeting may fail after the site was admitted
    if let Ok(Peer { site, .. }) = identity(&connection) {
        rooms.sites.ended(&rooms.config, &site, &connection).await;
    }
}

/// A session that was admitted.
pub(super) struct Greeting {
    pub(super) connection: Connection,
    pub(super) peer: Peer,
    pub(super) to_agent: SendStream,
    pub(super) from_agent: RecvStream,
    pub(super) reader: Reader,
    /// What HELLO said of the site's agreements.
    pub(super) agreements: Vec<Agreement>,
}

async fn greet(
    rooms: &Rooms,
    connection: &Connection,
    handshake: &Handshake,
) -> Result<Greeting, Farewell> {
    let peer = identity(connection)?;
    let parts = &rooms.parts;
    let most = rooms.config.max_greeting_per_site;
    let Some(_waiting) = rooms.sites.waiting(&peer.site, most) else {
        return Err(Farewell::from(Code::Busy));
    };
    directory::admit(&parts.rows, &parts.clock, &peer)
        .await
        .map_err(|denied| denial(&denied))?;
    if !handshake.is_of(&peer.site) {
        return Err(Farewell::from(Code::Busy));
    }
    let lost = |error: ConnectionError| Farewell::new(Code::Done, explain(&error));
    let (mut to_agent, mut from_agent) = connection.accept_bi().await.map_err(lost)?;
    let mut reader = Reader::control(Speaker::Agent);
    let greeted = hello(rooms, &mut from_agent, &mut reader).await?;
    let half = answer(rooms, &peer.site).await?;
    let agreements = half.agreements.clone();
    admit(rooms, connection, handshake, &peer, &greeted).await?;
    let mut frame = Vec::new();
    let ours = gateway_hello(parts.clock.now(), SOFTWARE, half);
    encode(&ours.into(), &mut frame)?;
    if to_agent.write_all(&frame).await.is_err() {
        return Err(Farewell::from(Code::Truncated));
    }
    let skew = greeted.skew_sentence();
    tracing::info!(site = %peer.site, agent = %greeted.software, skew, "a site is connected");
    Ok(Greeting {
        connection: connection.clone(),
        peer,
        to_agent,
        from_agent,
        reader,
        agreements,
    })
}

/// The site in the verified certificate (S5): nothing that the agent says changes it.
fn identity(connection: &Connection) -> Result<Peer, Farewell> {
    let chain = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    site_of(chain.as_deref().map_or(&[], Vec::as_slice))
        .map_err(|error| Farewell::new(Code::Forbidden, error.to_string()))
}

async fn hello(
    rooms: &Rooms,
    from_agent: &mut RecvStream,
    reader: &mut Reader,
) -> Result<Greeted<HelloAgent>, Farewell> {
    let message = loop {
        match reader.next_part()? {
            Some(Part::Message(message)) => break message,
            Some(Part::Data(_)) | None => {}
        }
        match from_agent.read_chunk(READ_BYTES, true).await {
            Ok(Some(chunk)) => reader.push(&chunk.bytes),
            Ok(None) | Err(_) => return Err(Farewell::from(Code::Truncated)),
        }
    };
    greeted_by_agent(rooms.parts.clock.now(), message)
}

async fn answer(rooms: &Rooms, site: &SiteId) -> Result<HelloGateway, Farewell> {
    let water = rooms.ingest.high_water(site).await.map_err(|error| {
        tracing::error!(%error, %site, "the receipts of a site cannot be counted");
        Farewell::from(Code::Internal)
    })?;
    let agreements = announced(&rooms.parts, site).await;
    let agreements = agreements.map_err(|error| trouble(&error))?;
    Ok(HelloGateway {
        epoch: water.epoch,
        high_water: water.number,
        agreements,
        codings: CODINGS.to_vec(),
    })
}

/// The agreements of a site that are in force now.
pub(super) async fn announced(
    parts: &Parts,
    site: &SiteId,
) -> Result<Vec<Agreement>, DirectoryError> {
    let found = directory::agreements_of(&parts.rows, site, parts.clock.now()).await?;
    Ok(found.into_iter().map(|one| one.terms).collect())
}

async fn admit(
    rooms: &Rooms,
    connection: &Connection,
    handshake: &Handshake,
    peer: &Peer,
    greeted: &Greeted<HelloAgent>,
) -> Result<(), Farewell> {
    let parts = &rooms.parts;
    let reached_from = connection.remote_address();
    let behind = rooms.sites.behind(reached_from);
    let connected = Connected {
        site: peer.site.clone(),
        since: parts.clock.now(),
        address: behind.unwrap_or(reached_from),
        tunnelled: behind.is_some(),
        software: greeted.software.clone(),
    };
    let admitted = rooms
        .sites
        .admit(
            parts,
            &rooms.config,
            connected,
            handshake,
            &greeted.half,
            connection,
        )
        .await;
    match admitted {
        Ok(()) => Ok(()),
        Err(NotAdmitted::Directory(error)) => Err(trouble(&error)),
        Err(NotAdmitted::Fenced(farewell)) => {
            audit_refusal(parts, &peer.site, &farewell).await;
            Err(farewell)
        }
    }
}

/// Audits what a site was refused. When even that fails it is logged: the refusal stands.
pub(super) async fn audit_refusal(parts: &Parts, site: &SiteId, farewell: &Farewell) {
    let (code, sentence) = (farewell.code.name(), farewell.sentence.as_str());
    let audited = directory::site_refused(&parts.rows, &parts.clock, site, code, sentence).await;
    if let Err(error) = audited {
        tracing::error!(%error, %site, code, "a refusal could not be audited");
    }
}

fn trouble(error: &DirectoryError) -> Farewell {
    tracing::error!(%error, "the directory refused");
    Farewell::from(Code::Internal)
}

/// Why a site is not, or no longer, let in.
pub(super) fn denial(denied: &Denied) -> Farewell {
    match denied {
        Denied::Directory(error) => trouble(error),
        Denied::Site(_) => Farewell::from(Code::SiteClosed),
        Denied::Certificate(..) => Farewell::new(
            Code::Revoked,
            "The gateway's directory does not hold this certificate: enrol the agent again.",
        ),
        Denied::Revoked(..) => Farewell::new(
            Code::Revoked,
            "The certificate of this site was revoked: the agent needs a new enrolment code.",
        ),
    }
}

/// Why a connection failed or ended, for the gateway's log. What the other side says of it is anybody's.
pub(super) fn explain(error: &ConnectionError) -> String {
    let refusal = match error {
        ConnectionError::TransportError(found) => Refusal::from_quic(u64::from(found.code)),
        // what the agent found wrong with our certificate, by its alert (RFC 8446 6.2)
        ConnectionError::ConnectionClosed(close) => match u64::from(close.error_code) {
            0x12a => Some(Refusal::GatewayName),
            0x12d => Some(Refusal::GatewayOutOfTime),
            0x130 => Some(Refusal::GatewayAuthority),
            code => Refusal::from_quic(code),
        },
        _ => None,
    };
    sentence(refusal.map_or_else(|| error.to_string(), |refusal| refusal.for_gateway()))
}

#[cfg(test)]
mod tests {
    use quinn::ApplicationClose;

    use super::*;

    #[test]
    fn what_a_stranger_says_at_the_end_is_one_line_of_the_log() {
        let reason = "no\n2026-01-01T00:00:00Z ERROR the archive is lost\u{1b}[2J";
        let end = ConnectionError::ApplicationClosed(ApplicationClose {
            error_code: quinn::VarInt::from_u32(7),
            reason: reason.into(),
        });
        let said = explain(&end);
        assert!(said.contains("the archive is lost"), "{said}");
        assert!(!said.contains(char::is_control), "{said:?}");
    }
}
