//! The link between a real spool and a real archive over QUIC on loopback: what is sent, cut, resumed, refused and brought home.

mod centre;
mod coded;
mod codes;
mod firewall;
mod hospital;
mod misused;
mod stranger;
mod strangers;
mod trails;
mod turns;
mod urgent;

use std::time::Duration;

use anyhow::Context as _;

use causeway_agent::link::State;
use causeway_gateway::directory;
use causeway_proto::digest::Digest;
use causeway_proto::ids::{CaseCode, Priority, Purpose};
use causeway_proto::link::close::Code;
use causeway_proto::link::codec::{Message, chunk_header, encode};
use causeway_proto::link::message::{Instance, InstanceKey, Open, Query};
use causeway_tests::relay::Relay;
use causeway_tests::stack::wait_until;
use dicom_dictionary_std::uids;
use tokio::time::Instant;

use centre::{Centre, clock, random, with_alpn};
use hospital::Hospital;
use stranger::{Stranger, hello};

const INSTANCES: &str = "SELECT count(*) FROM instance";
const SEALED: &str = "SELECT count(*) FROM study WHERE sealed_us IS NOT NULL";
const LIMIT: Duration = Duration::from_secs(60);

async fn wait_count(centre: &Centre, sql: &'static str, count: i64) -> anyhow::Result<()> {
    wait_until(sql, LIMIT, async || {
        Ok((centre.count(sql).await? == count).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_goes_out_while_it_arrives_and_is_sealed_once() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let mut hospital = Hospital::start(&tls, centre.address).await?;
    hospital.wait_up().await?;
    for number in 1..=40 {
        hospital.store(1, number, 64).await?;
    }
    wait_count(&centre, INSTANCES, 40).await?;
    wait_count(&centre, SEALED, 1).await?;
    let receipts = centre.count("SELECT receipt_number FROM site").await?;
    assert_eq!(receipts, 40, "one receipt each");
    hospital.store(1, 41, 64).await?;
    wait_count(&centre, "SELECT count(*) FROM manifest", 2).await?;
    wait_count(&centre, INSTANCES, 41).await?;
    hospital.stop().await?;
    centre.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_cut_in_the_middle_goes_on_where_the_gateway_stopped() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let relay = Relay::start(centre.address).await?;
    let mut hospital = Hospital::start(&tls, relay.address).await?;
    hospital.wait_up().await?;
    relay.cut_after(20_000_000);
    let size = hospital.store(1, 1, 4096).await?;
    assert!(size > 33_000_000);
    wait_until("the cut", LIMIT, async || {
        Ok((!relay.is_open()).then_some(()))
    })
    .await?;
    let (_, sentence) = hospital.wait_down().await?;
    assert!(sentence.contains("does not answer"), "{sentence}");
    let before = relay.up();
    relay.mend();
    wait_count(&centre, INSTANCES, 1).await?;
    let second = relay.up() - before;
    let all = relay.up();
    println!("{size} bytes: {before} before the cut, {second} after it, {all} in all");
    assert!(
        second < size - 10_000_000,
        "{second} of {size} bytes were sent again"
    );
    assert!(
        all < size + size / 4,
        "{all} bytes for an instance of {size}"
    );
    wait_count(&centre, SEALED, 1).await?;
    hospital.stop().await?;
    relay.stop().await;
    centre.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ends_may_end_and_begin_again_in_the_middle_of_a_study() -> anyhow::Result<()> {
    let mut centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let mut hospital = Hospital::start(&tls, centre.address).await?;
    hospital.wait_up().await?;
    for round in 0..3_u32 {
        for number in 1..=10 {
            hospital.store(1, round * 10 + number, 256).await?;
        }
        if round == 0 {
            centre = centre.restart().await?;
        } else {
            hospital = hospital.restart().await?;
        }
        hospital.wait_up().await?;
    }
    wait_count(&centre, INSTANCES, 30).await?;
    wait_count(&centre, SEALED, 1).await?;
    assert_eq!(centre.count("SELECT receipt_number FROM site").await?, 30);
    hospital.stop().await?;
    centre.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_drains_says_so() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let mut hospital = Hospital::start(&tls, centre.address).await?;
    hospital.wait_up().await?;
    centre.stop().await?;
    let said = |text: &str| text.contains("shutting down");
    hospital
        .wait("GOAWAY", |state| match state {
            State::Up { remark, .. } => remark.as_deref().is_some_and(said),
            State::Down { sentence, .. } => said(sentence),
            State::Connecting { last_error } => last_error.as_deref().is_some_and(said),
        })
        .await?;
    hospital.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_site_is_put_out_at_once_and_not_let_in_again() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (site, tls) = centre.site("north").await?;
    let mut hospital = Hospital::start(&tls, centre.address).await?;
    hospital.wait_up().await?;
    let parts = &centre.parts;
    directory::revoke_site(&parts.rows, &parts.clock, "test", &site, "lost laptop").await?;
    let since = Instant::now();
    let (code, sentence) = hospital.wait_down().await?;
    assert_eq!(code, Some("REVOKED"), "{sentence}");
    assert!(sentence.contains("revoked"), "{sentence}");
    println!(
        "closed {} ms after the revocation",
        since.elapsed().as_millis()
    );
    assert!(since.elapsed() < Duration::from_secs(15));
    let (code, _) = Stranger::turned_away(&tls, centre.address).await?;
    assert_eq!(code, u64::from(Code::Revoked.number()));
    assert_eq!(centre.rooms.sites.connected().await, []);
    hospital.stop().await?;
    centre.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connected_agent_hears_that_its_agreements_have_changed() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (site, tls) = centre.site("north").await?;
    let mut hospital = Hospital::start(&tls, centre.address).await?;
    hospital.wait_up().await?;
    hospital.store(1, 1, 64).await?;
    wait_count(&centre, INSTANCES, 1).await?;
    let (rows, clock, random) = (
        &centre.parts.rows,
        &centre.parts.clock,
        &centre.parts.random,
    );
    let before = "north-a".parse()?;
    directory::end_agreement(rows, clock, "test", &before, "over").await?;
    let next = directory::NewAgreement {
        id: Some("north-b".parse()?),
        identified: true,
        ..directory::NewAgreement::between(site, "Other readers")
    };
    directory::add_agreement(rows, clock, random, "test", &next).await?;
    centre.parts.wakes.directory.ring();
    let (code, sentence) = hospital.wait_down().await?;
    assert_eq!(code, Some("GOAWAY"), "{sentence}");
    hospital.wait_up().await?;
    hospital.store(2, 1, 64).await?;
    let under = "SELECT count(*) FROM instance WHERE agreement_id = 'north-b'";
    wait_count(&centre, under, 1).await?;
    hospital.stop().await?;
    centre.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_protocol_is_refused_in_the_handshake_and_said_in_a_sentence() -> anyhow::Result<()>
{
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let wrong = with_alpn(&tls, b"h3");
    let error = Stranger::dial(&wrong, centre.address).await.err();
    let error = format!("{:#}", error.expect("refused"));
    assert!(error.contains("120"), "no_application_protocol: {error}");
    let mut hospital = Hospital::start(&wrong, centre.address).await?;
    let (code, sentence) = hospital.wait_down().await?;
    assert_eq!(code, Some("VERSION_UNSUPPORTED"));
    assert!(sentence.contains("causeway/1"), "{sentence}");
    hospital.stop().await?;
    centre.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_sessions_of_one_spool_the_newer_wins_and_a_second_machine_waits()
-> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let duplicate = u64::from(Code::DuplicateSite.number());
    let mut first = Stranger::dial(&tls, centre.address).await?;
    first.say(hello("spool-a", 4)).await?;
    assert!(matches!(first.hear().await?, Message::Hello(_)));

    let mut other = Stranger::dial(&tls, centre.address).await?;
    other.say(hello("spool-b", 9)).await?;
    let (code, sentence) = other.closed().await?;
    assert_eq!(code, duplicate, "{sentence}");
    assert!(sentence.contains("Another machine"), "{sentence}");

    let mut late = Stranger::dial(&tls, centre.address).await?;
    late.say(hello("spool-a", 4)).await?;
    assert_eq!(late.closed().await?.0, duplicate);

    let mut newer = Stranger::dial(&tls, centre.address).await?;
    newer.say(hello("spool-a", 5)).await?;
    assert!(matches!(newer.hear().await?, Message::Hello(_)));
    assert_eq!(first.closed().await?.0, duplicate);
    assert_eq!(centre.rooms.sites.connected().await.len(), 1);
    let audited = "SELECT count(*) FROM audit_event WHERE event = 'site-refused'";
    assert_eq!(centre.count(audited).await?, 2);
    centre.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_to_the_protocol_hear_the_code_of_what_they_did() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let mut versions = hello("spool-a", 1);
    (versions.version_min, versions.version_max) = (7, 9);
    let mut stranger = Stranger::dial(&tls, centre.address).await?;
    stranger.say(versions).await?;
    let (code, sentence) = stranger.closed().await?;
    assert_eq!(code, u64::from(Code::VersionUnsupported.number()));
    assert!(sentence.contains("7 to 9"), "{sentence}");

    for (bytes, expect) in [
        (&[0xff, 0xff, 0, 0, 0, 0][..], Code::VersionUnsupported),
        (&[0x80, 0x02, 0xff, 0xff, 0xff, 0xff], Code::TooLarge),
        (&[0x80, 0x09, 0, 0, 0, 1, 0x00], Code::Malformed),
        (&[0x80, 0x06, 0, 0, 0, 1, 0xa0], Code::ProtocolError),
    ] {
        let mut stranger = Stranger::dial(&tls, centre.address).await?;
        stranger.say(hello("spool-a", 1)).await?;
        assert!(matches!(stranger.hear().await?, Message::Hello(_)));
        stranger.to_gateway.write_all(bytes).await?;
        let (code, sentence) = stranger.closed().await?;
        assert_eq!(code, u64::from(expect.number()), "{sentence}");
        wait_until("the session's end", LIMIT, async || {
            Ok(centre
                .rooms
                .sites
                .connected()
                .await
                .is_empty()
                .then_some(()))
        })
        .await?;
    }
    centre.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_stalls_is_answered_and_its_bytes_are_kept() -> anyhow::Result<()> {
    let centre = Centre::with(|config| config.stalled_stream_s = 1).await?;
    let (_, tls) = centre.site("north").await?;
    let mut stranger = Stranger::dial(&tls, centre.address).await?;
    stranger.say(hello("spool-a", 1)).await?;
    assert!(matches!(stranger.hear().await?, Message::Hello(_)));
    stranger
        .say(Open {
            study: "1.2.3".parse()?,
            agreement: "north-a".parse()?,
            purpose: Purpose::Read,
            priority: Priority::Routine,
            case: CaseCode::draw(&random()),
            first_received: clock().now(),
            blocked: None,
            remarks: Vec::new(),
            identity: None,
        })
        .await?;
    let instance = Instance {
        study: "1.2.3".parse()?,
        series: "1.2.3.4".parse()?,
        instance: "1.2.3.4.5".parse()?,
        class: uids::CT_IMAGE_STORAGE.parse()?,
        syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN.parse()?,
        agreement: "north-a".parse()?,
        source_tag: Digest::of(b"tag"),
        coding: 0,
        offset: 0,
    };
    let key = InstanceKey {
        agreement: instance.agreement.clone(),
        instance: instance.instance.clone(),
        source_tag: instance.source_tag,
    };
    let mut begun = Vec::new();
    encode(&instance.into(), &mut begun)?;
    begun.extend_from_slice(&chunk_header(5000));
    begun.extend_from_slice(&[7; 1234]);
    let mut stream = stranger.connection.open_uni().await?;
    stream.write_all(&begun).await?;
    let Message::Refused(refused) = stranger.hear().await? else {
        anyhow::bail!("no REFUSED");
    };
    assert_eq!(refused.key.as_ref(), Some(&key));
    assert_eq!(refused.code, Code::Truncated.number());
    assert!(refused.retry_after_ms.is_some(), "the agent goes on later");
    stranger.say(Query { keys: vec![key] }).await?;
    let Message::Have(have) = stranger.hear().await? else {
        anyhow::bail!("no HAVE");
    };
    let offset = have.entries.first().context("an entry")?.offset;
    assert_eq!(offset, 1234);
    centre.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_down_is_named_and_found_again() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let relay = Relay::start(centre.address).await?;
    relay.cut_after(0);
    let mut hospital = Hospital::start(&tls, relay.address).await?;
    let (_, sentence) = hospital.wait_down().await?;
    assert!(sentence.contains("firewall"), "{sentence}");
    hospital.store(1, 1, 64).await?;
    relay.mend();
    hospital.wait_up().await?;
    assert!(
        matches!(&*hospital.state.borrow(), State::Up { gateway, .. } if gateway.starts_with("causeway-gateway "))
    );
    wait_count(&centre, INSTANCES, 1).await?;
    hospital.stop().await?;
    relay.stop().await;
    centre.stop().await?;
    Ok(())
}

/// A report that no reader has signed: it travels home like any other, is not delivered there, and the gateway hears so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_goes_home_over_a_cut_line_and_its_state_comes_back() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (site, tls) = centre.site("north").await?;
    let relay = Relay::start(centre.address).await?;
    let mut hospital = Hospital::start(&tls, relay.address).await?;
    hospital.wait_up().await?;
    hospital.store(1, 1, 64).await?;
    wait_count(&centre, SEALED, 1).await?;
    relay.cut_after(0);
    centre
        .report(&site, &vec![b'x'; 400_000])
        .await
        .context("a report in the rows")?;
    centre.parts.wakes.delivery.ring();
    hospital.wait_down().await?;
    let waiting = "SELECT count(*) FROM delivery WHERE state = 'waiting'";
    assert_eq!(centre.count(waiting).await?, 1);
    relay.mend();
    wait_count(
        &centre,
        "SELECT count(*) FROM delivery WHERE state = 'rejected'",
        1,
    )
    .await?;
    wait_until("the word to be noted", LIMIT, async || {
        Ok(hospital
            .deliveries
            .messages()
            .await?
            .is_empty()
            .then_some(()))
    })
    .await?;
    let forms = "SELECT count(*) FROM delivery_form WHERE state = 'rejected' AND sentence <> ''";
    assert_eq!(centre.count(forms).await?, 1);
    hospital.stop().await?;
    relay.stop().await;
    centre.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_gateway_asks_for_proof_of_address_and_then_turns_away() -> anyhow::Result<()> {
    let centre = Centre::with(|config| {
        config.retry_from_connections = 0;
        config.max_connections = 1;
    })
    .await?;
    let (_, north) = centre.site("north").await?;
    let (_, south) = centre.site("south").await?;
    let mut first = Hospital::start(&north, centre.address).await?;
    first.wait_up().await?;
    let mut second = Hospital::start(&south, centre.address).await?;
    let (code, sentence) = second.wait_down().await?;
    assert_eq!(code, Some("BUSY"), "{sentence}");
    first.stop().await?;
    second.wait_up().await?;
    second.stop().await?;
    centre.stop().await?;
    Ok(())
}

/// Connections that never say HELLO are put out in time and leave room for the site's agent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_say_nothing_are_bounded_and_put_out() -> anyhow::Result<()> {
    let centre = Centre::with(|config| {
        config.greeting_timeout_s = 4;
        config.max_greeting_per_site = 2;
    })
    .await?;
    let (_, tls) = centre.site("north").await?;
    let first = Stranger::dial(&tls, centre.address).await?;
    let second = Stranger::dial(&tls, centre.address).await?;
    let more = (0..3).map(|_| Stranger::turned_away(&tls, centre.address));
    let mut ended = Vec::new();
    for end in futures::future::join_all(more).await {
        ended.push(end?.0);
    }
    // which of them got the two places is decided at the gateway, in the order in which it takes them up
    for silent in [first, second] {
        ended.push(silent.closed().await?.0);
    }
    let count = |code: Code| {
        let number = u64::from(code.number());
        ended.iter().filter(|end| **end == number).count()
    };
    let (busy, silent) = (count(Code::Busy), count(Code::Silent));
    assert!(busy > 0 && silent > 1 && busy + silent == 5, "{ended:?}");
    let mut hospital = Hospital::start(&tls, centre.address).await?;
    hospital.wait_up().await?;
    hospital.stop().await?;
    centre.stop().await?;
    Ok(())
}
