//! Sites whose firewall lets no UDP out: the same link inside of TLS over TCP, straight or through a proxy, and back when UDP passes.

use std::net::SocketAddr;

use anyhow::Context as _;
use causeway_agent::link::{State, Transport, Way};
use causeway_tests::relay::Relay;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::centre::Centre;
use super::hospital::Hospital;
use super::{INSTANCES, SEALED, wait_count};

fn is_up_by(by: Way) -> impl FnMut(&State) -> bool {
    move |state| matches!(state, State::Up { way, .. } if *way == by)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_udp_does_not_pass_the_link_runs_over_tcp_and_returns_when_it_does()
-> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let tcp = centre.tcp().await?;
    let relay = Relay::start(centre.address).await?;
    relay.cut_after(0);
    let mut hospital = Hospital::with(&tls, relay.address, |config| {
        config.tcp_address = Some(tcp.to_string());
        config.connect_timeout_s = 1;
        config.udp_again_s = 1;
    })
    .await?;
    let state = hospital.wait("a link over TCP", is_up_by(Way::Tcp)).await?;
    let State::Up {
        address, remark, ..
    } = state
    else {
        anyhow::bail!("{state:?}");
    };
    assert_eq!(address, tcp.to_string());
    let remark = remark.context("nobody is told that UDP does not pass")?;
    assert!(remark.contains("doctor --firewall"), "{remark}");
    let connected = centre.rooms.sites.connected().await;
    let site = connected.first().context("no site is connected")?;
    assert!(site.tunnelled && site.address != relay.address, "{site:?}");
    for number in 1..=20 {
        hospital.store(1, number, 256).await?;
    }
    wait_count(&centre, INSTANCES, 20).await?;
    wait_count(&centre, SEALED, 1).await?;
    relay.mend();
    hospital.wait("a link over UDP", is_up_by(Way::Udp)).await?;
    hospital.store(1, 21, 256).await?;
    wait_count(&centre, INSTANCES, 21).await?;
    hospital.stop().await?;
    relay.stop().await;
    centre.stop().await?;
    Ok(())
}

/// A proxy that connects one caller to where it asks for; gives what was asked.
async fn proxy() -> anyhow::Result<(SocketAddr, JoinSet<anyhow::Result<String>>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let one = async move {
        let (mut caller, _) = listener.accept().await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(caller.read_u8().await?);
        }
        let head = String::from_utf8(head)?;
        let to = head.split(' ').nth(1).context("no target")?.to_owned();
        let mut there = TcpStream::connect(&to).await?;
        caller.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        // how it ended is the callers' matter
        drop(copy_bidirectional(&mut caller, &mut there).await);
        Ok(to)
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(one);
    Ok((address, tasks))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_proxy_the_link_goes_through_it() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let tcp = centre.tcp().await?;
    let (address, mut asked) = proxy().await?;
    let through = format!("http://{address}").parse()?;
    let mut hospital = Hospital::with(&tls, centre.address, |config| {
        config.tcp_address = Some(tcp.to_string());
        config.proxy = Some(through);
    })
    .await?;
    hospital
        .wait("a link through the proxy", is_up_by(Way::Tcp))
        .await?;
    hospital.store(1, 1, 256).await?;
    wait_count(&centre, INSTANCES, 1).await?;
    hospital.stop().await?;
    centre.stop().await?;
    let asked = asked.join_next().await.context("no proxy")???;
    assert_eq!(asked, tcp.to_string());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_opens_tls_on_the_way_is_named() -> anyhow::Result<()> {
    let (centre, other) = (Centre::start().await?, Centre::start().await?);
    let (_, tls) = centre.site("north").await?;
    let between = other.tcp().await?;
    let mut hospital = Hospital::with(&tls, centre.address, |config| {
        config.tcp_address = Some(between.to_string());
        config.transport = Transport::Tcp;
    })
    .await?;
    let (code, sentence) = hospital.wait_down().await?;
    assert_eq!(code, Some("FORBIDDEN"));
    for said in ["issued by", "Causeway", "exception from TLS inspection"] {
        assert!(sentence.contains(said), "{said}: {sentence}");
    }
    hospital.stop().await?;
    other.stop().await?;
    centre.stop().await?;
    Ok(())
}
