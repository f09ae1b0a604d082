//! Streams that wait for their turn: on a slow line, behind others, and behind a large head.

use std::time::Duration;

use anyhow::Context as _;
use causeway_agent::link::State;
use causeway_proto::digest::Digest;
use causeway_proto::link::close::Code;
use causeway_proto::link::codec::{Message, chunk_header, encode};
use causeway_proto::link::message::Instance;
use causeway_tests::relay::Relay;
use dicom_dictionary_std::uids;

use super::centre::Centre;
use super::hospital::Hospital;
use super::stranger::{Stranger, hello};
use super::{INSTANCES, LIMIT, SEALED, wait_count};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_slow_line_nothing_is_sent_twice() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let relay = Relay::start(centre.address).await?;
    let mut hospital = Hospital::start(&tls, relay.address).await?;
    hospital.wait_up().await?;
    // what the agent hands over at once takes this line eleven seconds
    relay.slow(1_500_000);
    let mut total = 0;
    for number in 1..=40 {
        total += hospital.store(1, number, 512).await?;
    }
    wait_count(&centre, INSTANCES, 40).await?;
    wait_count(&centre, SEALED, 1).await?;
    let all =
        |state: &State| matches!(state, State::Up { traffic, .. } if traffic.sent_bytes >= total);
    let State::Up { traffic, .. } = hospital.wait("all to be counted", all).await? else {
        anyhow::bail!("the link went down");
    };
    let sent = traffic.sent_bytes.saturating_sub(traffic.lost_bytes);
    assert!(sent < total + total / 10, "{sent} of {total}: {traffic:?}");
    hospital.stop().await?;
    relay.stop().await;
    centre.stop().await?;
    Ok(())
}

/// An instance of an agreement that nobody has: it is refused when its head has been read.
fn unwanted() -> anyhow::Result<Vec<u8>> {
    begun("nobody")
}

/// The begin of an instance.
fn begun(agreement: &str) -> anyhow::Result<Vec<u8>> {
    let instance = Instance {
        study: "1.2.3".parse()?,
        series: "1.2.3.4".parse()?,
        instance: "1.2.3.4.5".parse()?,
        class: uids::CT_IMAGE_STORAGE.parse()?,
        syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN.parse()?,
        agreement: agreement.parse()?,
        source_tag: Digest::of(b"tag"),
        coding: 0,
        offset: 0,
    };
    let mut head = Vec::new();
    encode(&instance.into(), &mut head)?;
    head.extend_from_slice(&chunk_header(5000));
    Ok(head)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_silent_while_others_bring_bytes_waits_for_its_turn() -> anyhow::Result<()>
{
    let centre = Centre::with(|config| config.stalled_stream_s = 4).await?;
    let (_, tls) = centre.site("north").await?;
    let mut stranger = Stranger::dial(&tls, centre.address).await?;
    stranger.say(hello("spool-a", 1)).await?;
    assert!(matches!(stranger.hear().await?, Message::Hello(_)));
    let head = unwanted()?;
    let mut waiting = stranger.connection.open_uni().await?;
    waiting.write_all(head.get(..3).context("a head")?).await?;
    // a manifest that comes slowly
    let mut urgent = stranger.connection.open_uni().await?;
    urgent.write_all(&[0x80, 0x11, 0, 1, 0, 0]).await?;
    let mut beat = tokio::time::interval(Duration::from_millis(200));
    for _ in 0..30 {
        beat.tick().await;
        urgent.write_all(&[0]).await?;
    }
    waiting.write_all(head.get(3..).context("a head")?).await?;
    let Message::Refused(refused) = stranger.hear().await? else {
        anyhow::bail!("no REFUSED");
    };
    assert_eq!(refused.code, Code::Forbidden.number());
    // now neither brings any
    let stopped = tokio::time::timeout(LIMIT, urgent.stopped()).await??;
    assert_eq!(
        stopped,
        Some(quinn::VarInt::from_u32(Code::Truncated.number()))
    );
    centre.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_large_heads_a_site_has_one_in_memory() -> anyhow::Result<()> {
    let centre = Centre::with(|config| config.stream_window_bytes = 64 << 10).await?;
    let (_, tls) = centre.site("north").await?;
    let mut stranger = Stranger::dial(&tls, centre.address).await?;
    stranger.say(hello("spool-a", 1)).await?;
    assert!(matches!(stranger.hear().await?, Message::Hello(_)));
    // two manifests of 8 MiB, of which 4 are sent
    let head = [0x80, 0x11, 0, 0x80, 0, 0];
    let half = vec![0; 4 << 20];
    let mut first = stranger.connection.open_uni().await?;
    first.write_all(&head).await?;
    first.write_all(&half).await?;
    let mut second = stranger.connection.open_uni().await?;
    second.write_all(&head).await?;
    let mut write = std::pin::pin!(second.write_all(&half));
    let early = tokio::time::timeout(Duration::from_secs(1), &mut write).await;
    assert!(early.is_err(), "both are in memory");
    first.reset(quinn::VarInt::from_u32(0))?;
    tokio::time::timeout(LIMIT, write).await??;
    centre.stop().await?;
    Ok(())
}

/// Brings what is refused at once: whatever came before it is under way then.
async fn refused(stranger: &mut Stranger) -> anyhow::Result<()> {
    let mut stream = stranger.connection.open_uni().await?;
    stream.write_all(&unwanted()?).await?;
    let heard = stranger.hear().await?;
    anyhow::ensure!(matches!(heard, Message::Refused(_)), "{heard:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_whose_open_never_comes_does_not_outlive_its_connection() -> anyhow::Result<()>
{
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let mut stranger = Stranger::dial(&tls, centre.address).await?;
    stranger.say(hello("spool-a", 1)).await?;
    assert!(matches!(stranger.hear().await?, Message::Hello(_)));
    let mut instance = stranger.connection.open_uni().await?;
    instance.write_all(&begun("north-a")?).await?;
    refused(&mut stranger).await?;
    centre.parts.cancel.cancel();
    let (code, _) = stranger.closed().await?;
    assert_eq!(code, u64::from(Code::GoAway.number()));
    // it would wait for fifteen seconds
    let limit = Duration::from_secs(8);
    tokio::time::timeout(limit, centre.stop())
        .await
        .context("the session outlives its connection")??;
    Ok(())
}
