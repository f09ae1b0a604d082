//! Whoever has a certificate, and does with it what no agent does.

use causeway_proto::link::close::Code;
use causeway_tests::stack::wait_until;
use quinn::{TransportConfig, VarInt};

use super::LIMIT;
use super::centre::Centre;
use super::hospital::Hospital;
use super::stranger::{Stranger, hello};

#[tokio::test]
async fn a_site_that_does_not_take_our_hello_is_not_connected() -> anyhow::Result<()> {
    let centre = Centre::with(|config| config.greeting_timeout_s = 1).await?;
    let (_, tls) = centre.site("north").await?;
    let connected = async |count: usize| {
        wait_until("so many sites", LIMIT, async || {
            let now = centre.rooms.sites.connected().await.len();
            Ok((now == count).then_some(()))
        })
        .await
    };
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(0));
    let mut stranger = Stranger::with(&tls, centre.address, transport).await?;
    stranger.say(hello("spool-a", 1)).await?;
    connected(1).await?;
    let (code, sentence) = stranger.closed().await?;
    assert_eq!(code, u64::from(Code::Silent.number()), "{sentence}");
    connected(0).await?;
    // another machine of the site finds it free
    let mut other = Stranger::dial(&tls, centre.address).await?;
    other.say(hello("spool-b", 1)).await?;
    other.hear().await?;
    centre.stop().await?;
    Ok(())
}

#[tokio::test]
async fn one_certificate_does_not_have_the_places_of_other_sites() -> anyhow::Result<()> {
    let centre = Centre::with(|config| {
        config.max_connections = 6;
        config.max_handshakes_per_address = 3;
        config.max_greeting_per_site = 100;
        config.greeting_timeout_s = 60;
    })
    .await?;
    let (_, north) = centre.site("north").await?;
    let (_, south) = centre.site("south").await?;
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.extend(Stranger::dial(&north, centre.address).await);
    }
    let mut hospital = Hospital::start(&south, centre.address).await?;
    hospital.wait_up().await?;
    hospital.stop().await?;
    drop(silent);
    centre.stop().await?;
    Ok(())
}
