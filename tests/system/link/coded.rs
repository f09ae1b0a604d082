//! Instances that are coded on the way: what the gateway keeps, what the line carries, and what is done about bytes that cannot be undone.

use std::time::Duration;

use anyhow::Context as _;
use causeway_agent::link::Coding;
use causeway_proto::digest::Digest;
use causeway_proto::ids::{CaseCode, Priority, Purpose};
use causeway_proto::link::close::Code;
use causeway_proto::link::codec::{Message, chunk_header, encode};
use causeway_proto::link::message::{Instance, Open, Trailer};
use causeway_tests::relay::Relay;
use causeway_tests::stack::wait_until;
use dicom_dictionary_std::uids;

use super::centre::{Centre, clock, random};
use super::hospital::Hospital;
use super::stranger::{Stranger, hello};
use super::{INSTANCES, LIMIT, SEALED, wait_count};

/// Twelve bits of chance in sixteen: nothing makes them smaller than three quarters.
const LEAST: f64 = 0.75;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coded_instances_take_less_of_the_line_and_arrive_bit_for_bit() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let relay = Relay::start(centre.address).await?;
    let mut hospital =
        Hospital::with(&tls, relay.address, |config| config.coding = Coding::Always).await?;
    hospital.wait_up().await?;
    let mut size = 0;
    for (number, side) in (1..).zip([3, 64, 65, 257, 512, 700]) {
        size += hospital.store(1, number, side).await?;
    }
    wait_count(&centre, INSTANCES, 6).await?;
    wait_count(&centre, SEALED, 1).await?;
    let up = relay.up();
    println!("{size} bytes, of which {up} on the line");
    let share = up as f64 / size as f64;
    assert!((LEAST..0.9).contains(&share), "{share}");
    hospital.stop().await?;
    relay.stop().await;
    centre.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coded_instance_goes_on_where_it_was_cut_coded_or_not() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let relay = Relay::start(centre.address).await?;
    let mut hospital =
        Hospital::with(&tls, relay.address, |config| config.coding = Coding::Always).await?;
    hospital.wait_up().await?;
    relay.cut_after(4_000_000);
    let size = hospital.store(1, 1, 2048).await?;
    for coding in [Coding::Off, Coding::Always] {
        wait_until("the cut", LIMIT, async || {
            Ok((!relay.is_open()).then_some(()))
        })
        .await?;
        hospital.wait_down().await?;
        hospital = hospital.restart_coding(coding).await?;
        relay.mend();
        if coding == Coding::Off {
            relay.cut_after(2_000_000);
            hospital.wait_up().await?;
        }
    }
    wait_count(&centre, INSTANCES, 1).await?;
    let all = relay.up();
    println!("{size} bytes, of which {all} on the line");
    assert!(
        all < size + size / 2,
        "{all} bytes for an instance of {size}"
    );
    hospital.stop().await?;
    relay.stop().await;
    centre.stop().await?;
    Ok(())
}

fn instance(number: u32, coding: u16) -> anyhow::Result<Instance> {
    Ok(Instance {
        study: "1.2.3".parse()?,
        series: "1.2.3.4".parse()?,
        instance: format!("1.2.3.4.{number}").parse()?,
        class: uids::CT_IMAGE_STORAGE.parse()?,
        syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN.parse()?,
        agreement: "north-a".parse()?,
        source_tag: Digest::of(b"tag"),
        coding,
        offset: 0,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_undone_is_refused_and_tried_again() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let mut stranger = Stranger::dial(&tls, centre.address).await?;
    stranger.say(hello("spool-a", 1)).await?;
    let Message::Hello(greeting) = stranger.hear().await? else {
        anyhow::bail!("no HELLO");
    };
    let gateway = greeting.gateway.context("the gateway's half")?;
    assert_eq!(gateway.codings, [1]);
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
    let too_long = [2, 0, 8, 0, 1, 0, 0, 0, 1];
    let no_kind = [3, 0, 0, 0, 9, 0, 0, 0, 1, 0];
    let unfinished = [0, 0, 0, 0, 9, 0, 0, 0, 9, 1, 2];
    let no_samples = [2, 0, 0, 0, 99, 0, 0, 0, 3, 1, 2, 3];
    let cases: [(&[u8], u16, Code); 5] = [
        (&too_long, 1, Code::DigestMismatch),
        (&no_kind, 1, Code::DigestMismatch),
        (&unfinished, 1, Code::DigestMismatch),
        (&no_samples, 1, Code::DigestMismatch),
        (&[7; 50], 2, Code::CodingUnknown),
    ];
    for (number, (data, coding, code)) in (1..).zip(cases) {
        let mut bytes = Vec::new();
        encode(&instance(number, coding)?.into(), &mut bytes)?;
        bytes.extend_from_slice(&chunk_header(data.len()));
        bytes.extend_from_slice(data);
        bytes.extend_from_slice(&chunk_header(0));
        let trailer = Trailer {
            length: 9,
            digest: Digest::of(b"nine"),
        };
        encode(&trailer.into(), &mut bytes)?;
        let mut stream = stranger.connection.open_uni().await?;
        stream.write_all(&bytes).await?;
        let heard = tokio::time::timeout(Duration::from_secs(20), stranger.hear()).await??;
        let Message::Refused(refused) = heard else {
            anyhow::bail!("no REFUSED for {number}");
        };
        assert_eq!(refused.code, code.number(), "{number}");
        assert_eq!(refused.retry_after_ms.is_some(), coding == 1, "{number}");
    }
    centre.stop().await?;
    Ok(())
}
