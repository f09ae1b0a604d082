//! Whoever has no certificate, and keeps as many handshakes under way as he can.

use std::net::SocketAddr;
use std::sync::Arc;

use causeway_agent::link::{State, Way};
use causeway_certs::tls::ClientTls;
use causeway_gateway::link;
use causeway_tests::hostile::deaf::{Deaf, Loses};
use causeway_tests::relay::Relay;
use causeway_tests::stack::wait_until;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connecting, Endpoint};

use super::LIMIT;
use super::centre::Centre;
use super::hospital::Hospital;
use super::stranger::Stranger;

const STRANGERS: [u8; 4] = [127, 0, 0, 2];

/// A handshake that is begun.
struct Begun {
    socket: Arc<Deaf>,
    endpoint: Endpoint,
    connecting: Connecting,
}

impl Begun {
    fn dial(
        from: [u8; 4],
        loses: Loses,
        tls: &ClientTls,
        gateway: SocketAddr,
    ) -> anyhow::Result<Self> {
        let (socket, endpoint) = Deaf::endpoint(from)?;
        socket.lose(loses);
        let crypto = QuicClientConfig::try_from(Arc::clone(&tls.config))?;
        let config = ClientConfig::new(Arc::new(crypto));
        let connecting = endpoint.connect_with(config, gateway, "localhost")?;
        Ok(Self {
            socket,
            endpoint,
            connecting,
        })
    }

    /// Until the gateway has said so much, whether it was heard or not.
    async fn answered(&self, times: u64) -> anyhow::Result<()> {
        wait_until("an answer that is not heard", LIMIT, async || {
            Ok((self.socket.heard() >= times).then_some(()))
        })
        .await
    }

    /// One whose address is proved, and who then hears nothing more.
    async fn proved(from: [u8; 4], tls: &ClientTls, gateway: SocketAddr) -> anyhow::Result<Self> {
        let begun = Self::dial(from, Loses::Later, tls, gateway)?;
        begun.answered(2).await?;
        Ok(begun)
    }

    /// Gives up, and says so.
    async fn end(self) -> anyhow::Result<(Arc<Deaf>, Endpoint)> {
        let before = self.socket.sent();
        drop(self.connecting);
        wait_until("the last word", LIMIT, async || {
            Ok((self.socket.sent() > before).then_some(()))
        })
        .await?;
        Ok((self.socket, self.endpoint))
    }
}

fn few(config: &mut link::Config) {
    config.retry_from_connections = 0;
    config.max_connections = 6;
    config.max_handshakes_per_address = 3;
    config.greeting_timeout_s = 60;
}

#[tokio::test]
async fn handshakes_that_never_end_keep_no_other_address_out() -> anyhow::Result<()> {
    let centre = Centre::with(few).await?;
    let (_, tls) = centre.site("north").await?;
    let mut begun = Vec::new();
    for _ in 0..8 {
        begun.push(Begun::proved(STRANGERS, &tls, centre.address).await?);
    }
    let mut hospital = Hospital::start(&tls, centre.address).await?;
    hospital.wait_up().await?;
    hospital.stop().await?;
    drop(begun);
    centre.stop().await?;
    Ok(())
}

#[tokio::test]
async fn strangers_with_many_addresses_do_not_keep_out_who_was_here_before() -> anyhow::Result<()> {
    let centre = Centre::with(|config| {
        few(config);
        config.max_connections = 12;
    })
    .await?;
    let (_, tls) = centre.site("north").await?;
    let mut hospital = Hospital::start(&tls, centre.address).await?;
    hospital.wait_up().await?;
    let mut begun = Vec::new();
    for number in 0..11 {
        let from = [127, 0, 0, 2 + number % 5];
        begun.push(Begun::proved(from, &tls, centre.address).await?);
    }
    let left = hospital.stop().await?;
    for _ in 0..3 {
        let one = Begun::dial([127, 0, 0, 7], Loses::Later, &tls, centre.address)?;
        one.answered(1).await?;
        begun.push(one);
    }
    hospital = Hospital::on(left, &tls, centre.address).await?;
    hospital.wait_up().await?;
    hospital.stop().await?;
    drop(begun);
    centre.stop().await?;
    Ok(())
}

/// A connection that has failed has its place for seconds more.
#[tokio::test]
async fn handshakes_that_fail_at_once_keep_no_other_address_out() -> anyhow::Result<()> {
    let centre = Centre::with(few).await?;
    let (_, tls) = centre.site("north").await?;
    let mut ended = Vec::new();
    for _ in 0..8 {
        let begun = Begun::proved(STRANGERS, &tls, centre.address).await?;
        ended.push(begun.end().await?);
    }
    let stranger = Stranger::dial(&tls, centre.address).await?;
    // and then they may come again
    wait_until("a place for another", LIMIT, async || {
        let again = Begun::dial(STRANGERS, Loses::Nothing, &tls, centre.address)?;
        Ok(again.connecting.await.is_ok().then_some(()))
    })
    .await?;
    drop((stranger, ended));
    centre.stop().await?;
    Ok(())
}

#[tokio::test]
async fn handshakes_in_anybodys_name_leave_room_for_those_who_prove_theirs() -> anyhow::Result<()> {
    let centre = Centre::with(|config| {
        few(config);
        config.retry_from_connections = 6;
    })
    .await?;
    let (_, tls) = centre.site("north").await?;
    let mut begun = Vec::new();
    for _ in 0..8 {
        let one = Begun::dial(STRANGERS, Loses::Answers, &tls, centre.address)?;
        one.answered(1).await?;
        begun.push(one);
    }
    // with a proof even that address has its own
    let stranger = Begun::dial(STRANGERS, Loses::Nothing, &tls, centre.address)?;
    stranger.connecting.await?;
    drop(begun);
    centre.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_behind_its_address_keep_no_agent_out_that_comes_over_tcp() -> anyhow::Result<()>
{
    let centre = Centre::with(few).await?;
    let (_, tls) = centre.site("north").await?;
    let tcp = centre.tcp().await?;
    let mut begun = Vec::new();
    for _ in 0..4 {
        begun.push(Begun::proved([127, 0, 0, 1], &tls, centre.address).await?);
    }
    let relay = Relay::start(centre.address).await?;
    relay.cut_after(0);
    let mut hospital = Hospital::with(&tls, relay.address, |config| {
        config.tcp_address = Some(tcp.to_string());
        config.connect_timeout_s = 1;
    })
    .await?;
    let by_tcp = |state: &State| matches!(state, State::Up { way: Way::Tcp, .. });
    hospital.wait("a link over TCP", by_tcp).await?;
    hospital.stop().await?;
    relay.stop().await;
    drop(begun);
    centre.stop().await?;
    Ok(())
}
