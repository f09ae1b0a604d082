//! Hostile QUIC peers: sites whose streams have gaps, stop half way or fill every window; handshakes that never end, garbage that looks
//! like the first packet of one, and peers who have no certificate or share one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use causeway_agent::link::enrol::Enrolling;
use causeway_certs::enrol::Credentials;
use causeway_certs::keep;
use causeway_certs::reload::LiveClient;
use causeway_certs::tls;
use causeway_proto::digest::Digest;
use causeway_proto::ids::AgreementId;
use causeway_proto::link::codec::{chunk_header, encode};
use causeway_proto::link::message::{HelloAgent, Instance};
use causeway_proto::link::session::agent_hello;
use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, SendStream, TransportConfig, VarInt};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use serde_json::Value;
use tokio::net::UdpSocket;

use super::deaf::{Deaf, Loses};
use super::{Target, clock, random};
use crate::stack::Stack;

/// A site whose agent is ours to play.
#[derive(Clone, Debug)]
pub(super) struct Site {
    agreement: AgreementId,
    config: Arc<rustls::ClientConfig>,
}

/// After an end.
const REST: Duration = Duration::from_millis(500);
/// For what is not taken.
const PAUSE: Duration = Duration::from_millis(100);
/// Whoever holds on lets go after so long, and begins again: longer than a connection is kept that says nothing.
const HOLD: Duration = Duration::from_secs(25);
/// Handshakes that one peer begins at a time and never ends.
const HANDSHAKES: usize = 16;
/// Between two datagrams of garbage.
const GARBAGE: Duration = Duration::from_millis(5);

/// Adds so many sites to the gateway, at least one, and enrols an agent of each.
pub(super) async fn enrol(stack: &Stack, count: u32) -> anyhow::Result<Arc<[Site]>> {
    let enrolment = stack.gateway_ports.get("enrolment").and_then(Value::as_str);
    let enrolment = enrolment.context("the gateway has no enrolment address")?;
    let (clock, random) = (clock(), random());
    let mut sites = Vec::new();
    for number in 0..count.max(1) {
        let name = format!("Hostile TEST site {number}");
        let arguments = "site add --json --country GR --time-zone Europe/Athens --language el --phone +301 --organisation Readers --name";
        let mut arguments: Vec<&str> = arguments.split(' ').collect();
        arguments.push(&name);
        let said: Value = serde_json::from_str(&stack.gateway_cli(&arguments).await?)?;
        let field = |name: &str| {
            said.get(name)
                .and_then(Value::as_str)
                .context("`site add` says too little")
        };
        let folder = stack.options.folder.join(format!("hostile-{number}"));
        keep::folder(&folder)?;
        let enrolling = Enrolling {
            gateway: enrolment.to_owned(),
            server_name: None,
            proxy: None,
            folder: folder.clone(),
            clock: clock.clone(),
            random: random.clone(),
        };
        enrolling.enrol(&field("code")?.parse()?).await?;
        let live = LiveClient::new(Credentials::load(&folder)?)?;
        sites.push(Site {
            agreement: field("agreement")?.parse()?,
            config: tls::client(&live, &clock)?.config,
        });
    }
    Ok(sites.into())
}

/// What it does, again and again, until it is cancelled.
pub(super) async fn run(number: u32, sites: Arc<[Site]>, target: Target) {
    let cancel = target.cancel.clone();
    let again = async {
        for session in 1.. {
            once(number, session, &sites, &target).await.ok();
            tokio::time::sleep(REST).await;
        }
    };
    cancel.run_until_cancelled(again).await;
}

async fn once(number: u32, session: u64, sites: &[Site], target: &Target) -> anyhow::Result<()> {
    let turn = usize::try_from(number)?;
    if let Some(site) = sites.get(turn) {
        return as_site(site, turn, session, target).await;
    }
    let site = sites.get(turn % sites.len()).context("no site")?;
    match number % 4 {
        0 => half_handshakes(site, target).await,
        1 => garbage(number, target).await,
        2 => {
            let mut config = rustls::ClientConfig::clone(&site.config);
            config.client_auth_cert_resolver = Arc::new(Nobody);
            connected(Arc::new(config), target).await
        }
        // says no HELLO beside the one who has
        _ => connected(Arc::clone(&site.config), target).await,
    }
}

#[derive(Debug)]
struct Nobody;

impl ResolvesClientCert for Nobody {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

fn config(tls: Arc<rustls::ClientConfig>) -> anyhow::Result<ClientConfig> {
    let mut cubic = CubicConfig::default();
    // as much as the gateway lets come at once
    cubic.initial_window(64 << 20);
    let mut transport = TransportConfig::default();
    transport
        .congestion_controller_factory(Arc::new(cubic))
        .send_window(64 << 20)
        .keep_alive_interval(Some(Duration::from_secs(4)));
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

async fn held(connection: &Connection) {
    tokio::time::timeout(HOLD, connection.closed()).await.ok();
}

async fn connected(tls: Arc<rustls::ClientConfig>, target: &Target) -> anyhow::Result<()> {
    let (_, endpoint) = Deaf::endpoint([127, 0, 0, 1])?;
    target.begin(1);
    let connection = endpoint.connect_with(config(tls)?, target.link, "localhost")?;
    held(&connection.await?).await;
    Ok(())
}

async fn as_site(site: &Site, turn: usize, session: u64, target: &Target) -> anyhow::Result<()> {
    let (socket, endpoint) = Deaf::endpoint([127, 0, 0, 1])?;
    target.begin(1);
    let config = config(Arc::clone(&site.config))?;
    let connection = endpoint
        .connect_with(config, target.link, "localhost")?
        .await?;
    let (mut to_gateway, mut from_gateway) = connection.open_bi().await?;
    let half = HelloAgent {
        spool: format!("hostile-{turn}"),
        session: u64::try_from(clock().now().0)?.saturating_add(session),
        epoch_seen: 0,
        receipt_seen: 0,
    };
    let mut hello = Vec::new();
    encode(
        &agent_hello(clock().now(), "hostile", half).into(),
        &mut hello,
    )?;
    to_gateway.write_all(&hello).await?;
    from_gateway
        .read_chunk(65_536, true)
        .await?
        .context("no HELLO")?;
    match turn % 3 {
        0 => gaps(&socket, &connection).await?,
        1 => halves(site, &connection).await?,
        _ => fills(site, &connection).await?,
    }
    held(&connection).await;
    Ok(())
}

/// Every stream that may be opened, with every other datagram of it lost for ever.
async fn gaps(socket: &Deaf, connection: &Connection) -> anyhow::Result<()> {
    let mut streams = Vec::new();
    for stream in 0..16_u8 {
        let mut it = connection.open_uni().await?;
        // the stream is known before anything is lost
        it.write_all(&[stream]).await?;
        streams.push(it);
    }
    socket.lose(Loses::Every);
    let piece = vec![0x5A; 32 << 10];
    for stream in &mut streams {
        let written = stream.write_all(&piece);
        if tokio::time::timeout(PAUSE, written).await.is_err() {
            break;
        }
    }
    // and nothing is heard of what was lost
    tokio::time::sleep(PAUSE).await;
    socket.lose(Loses::All);
    Ok(())
}

/// The first half of a message on one stream after the other; some are reset, some ended, some left.
async fn halves(site: &Site, connection: &Connection) -> anyhow::Result<()> {
    let mut left = Vec::new();
    for number in 0..200_u32 {
        let mut stream: SendStream = connection.open_uni().await?;
        let head = instance(site, number)?;
        stream
            .write_all(head.get(..head.len() / 2).unwrap_or_default())
            .await?;
        match number % 8 {
            0 => left.push(stream),
            1..=4 => stream.reset(VarInt::from_u32(0))?,
            _ => stream.finish()?,
        }
    }
    held(connection).await;
    Ok(())
}

/// An instance on every stream that may be opened, each as long as its window, none with an end.
async fn fills(site: &Site, connection: &Connection) -> anyhow::Result<()> {
    let chunk = vec![0x5A; 256 << 10];
    let mut left = Vec::new();
    for number in 0..200_u32 {
        let filling = async {
            let mut stream = connection.open_uni().await?;
            stream.write_all(&instance(site, number)?).await?;
            loop {
                stream.write_all(&chunk_header(chunk.len())).await?;
                let written = stream.write_all(&chunk);
                if tokio::time::timeout(PAUSE, written).await.is_err() {
                    return anyhow::Ok(stream);
                }
            }
        };
        match tokio::time::timeout(PAUSE * 10, filling).await {
            Ok(stream) => left.push(stream?),
            // no more streams, or nothing of this one is taken
            Err(_) => break,
        }
    }
    held(connection).await;
    Ok(())
}

fn instance(site: &Site, number: u32) -> anyhow::Result<Vec<u8>> {
    let study = format!("2.25.6660.{number}");
    let message = Instance {
        study: study.parse()?,
        series: format!("{study}.2").parse()?,
        instance: format!("{study}.3").parse()?,
        class: "1.2.840.10008.5.1.4.1.1.2".parse()?,
        syntax: "1.2.840.10008.1.2.1".parse()?,
        agreement: site.agreement.clone(),
        source_tag: Digest::of(study.as_bytes()),
        coding: 0,
        offset: 0,
    };
    let mut head = Vec::new();
    encode(&message.into(), &mut head)?;
    Ok(head)
}

/// First packets of handshakes whose peer hears nothing and then is gone.
async fn half_handshakes(site: &Site, target: &Target) -> anyhow::Result<()> {
    let (socket, endpoint) = Deaf::endpoint([127, 0, 0, 1])?;
    socket.lose(Loses::Answers);
    let mut begun = Vec::new();
    for _ in 0..HANDSHAKES {
        target.begin(1);
        let config = config(Arc::clone(&site.config))?;
        begun.push(endpoint.connect_with(config, target.link, "localhost")?);
    }
    tokio::time::sleep(PAUSE).await;
    // no word of parting either
    socket.lose(Loses::All);
    drop(begun);
    Ok(())
}

/// Datagrams that look like first packets and are none (RFC 9000, 17.2.2), from one socket until it is cancelled.
async fn garbage(number: u32, target: &Target) -> anyhow::Result<()> {
    let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let mut datagram = vec![0x5A; 1200];
    let head = [0xC3, 0, 0, 0, 1, 8];
    let random = random();
    target.begin(1);
    for turn in 0_u32.. {
        let (id, garbage) = (random.bytes::<8>(), random.bytes::<16>());
        // an identifier of eight bytes, one of none, no token, and the rest of the datagram
        let packet = [&head[..], &id, &[0, 0, 0x44, 0x9E], &garbage].concat();
        for (to, from) in datagram.iter_mut().zip(&packet) {
            *to = *from;
        }
        socket
            .send_to(&datagram, target.link)
            .await
            .with_context(|| format!("{number}, {turn}"))?;
        tokio::time::sleep(GARBAGE).await;
    }
    Ok(())
}
