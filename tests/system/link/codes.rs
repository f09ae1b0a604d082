//! What a hostile or broken agent sends on a stream, each with the code that stops it and the answer on the control stream.

use std::time::Duration;

use anyhow::Context as _;
use causeway_proto::digest::{ContentHasher, Digest};
use causeway_proto::ids::{CaseCode, Priority, Purpose};
use causeway_proto::link::close::Code;
use causeway_proto::link::codec::{Message, chunk_header, encode};
use causeway_proto::link::message::{Instance, Manifest, Open, Recall, Trailer};
use dicom_dictionary_std::uids;

use super::centre::{Centre, clock, random};
use super::stranger::{Stranger, hello};
use super::{LIMIT, wait_count};

/// What is said, its bytes, whether the stream ends behind them, the code, and whether a REFUSED says it too.
struct Row(&'static str, Vec<u8>, bool, Code, Answer);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Nothing can be named: the stream is stopped, and that is all.
    None,
    /// REFUSED, and the same may be tried again.
    Again,
    /// REFUSED, and the same would be refused again.
    Never,
}
use Answer::{Again, Never, None as Unnamed};

fn instance(number: u32) -> anyhow::Result<Instance> {
    Ok(Instance {
        study: "1.2.3".parse()?,
        series: "1.2.3.4".parse()?,
        instance: format!("1.2.3.4.{number}").parse()?,
        class: uids::CT_IMAGE_STORAGE.parse()?,
        syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN.parse()?,
        agreement: "north-a".parse()?,
        source_tag: Digest::of(b"tag"),
        coding: 0,
        offset: 0,
    })
}

fn opening(agreement: &str) -> anyhow::Result<Open> {
    Ok(Open {
        study: "1.2.3".parse()?,
        agreement: agreement.parse()?,
        purpose: Purpose::Read,
        priority: Priority::Routine,
        case: CaseCode::draw(&random()),
        first_received: clock().now(),
        blocked: None,
        remarks: Vec::new(),
        identity: None,
    })
}

fn framed(message: impl Into<Message>) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    encode(&message.into(), &mut bytes)?;
    Ok(bytes)
}

/// An instance of nine bytes and its end.
fn body(number: u32, end: &[u8]) -> anyhow::Result<Vec<u8>> {
    let head = framed(instance(number)?)?;
    Ok([&head[..], &chunk_header(9), b"nine byte", end].concat())
}

fn trailer(length: u64, digest: Digest) -> anyhow::Result<Vec<u8>> {
    let trailer = framed(Trailer { length, digest })?;
    Ok([&chunk_header(0)[..], &trailer].concat())
}

/// Streams that do not say whose they are.
#[expect(clippy::too_many_lines, reason = "a table stays a table")]
fn nameless() -> anyhow::Result<Vec<Row>> {
    let head = framed(instance(1)?)?;
    let late = framed(Trailer {
        length: 9,
        digest: Digest::of(b""),
    })?;
    let control = framed(Recall {
        study: "1.2.3".parse()?,
        agreement: "north-a".parse()?,
        reason: "No.".to_owned(),
    })?;
    let [type_high, type_low, ..] = head[..] else {
        anyhow::bail!("no frame");
    };
    let with = |rest: &[u8]| [&[type_high, type_low], rest].concat();
    Ok(vec![
        Row(
            "an unknown type",
            vec![0x12, 0x34, 0, 0, 0, 0],
            false,
            Code::UnknownType,
            Unnamed,
        ),
        Row(
            "an unknown critical type",
            vec![0xFF, 0xFF, 0, 0, 0, 0],
            false,
            Code::VersionUnsupported,
            Unnamed,
        ),
        Row(
            "a head of 4 GiB",
            with(&[0xFF; 4]),
            false,
            Code::TooLarge,
            Unnamed,
        ),
        Row(
            "a head that is no CBOR",
            with(&[0, 0, 0, 1, 0x00]),
            false,
            Code::Malformed,
            Unnamed,
        ),
        Row(
            "a head without its fields",
            with(&[0, 0, 0, 1, 0xA0]),
            false,
            Code::Malformed,
            Unnamed,
        ),
        Row(
            "TRAILER at the beginning",
            late,
            false,
            Code::ProtocolError,
            Unnamed,
        ),
        Row(
            "a message of the control stream",
            control,
            false,
            Code::ProtocolError,
            Unnamed,
        ),
        Row(
            "half a head",
            head.get(..head.len() / 2).context("a head")?.to_vec(),
            true,
            Code::Truncated,
            Unnamed,
        ),
        Row("nothing", Vec::new(), true, Code::Truncated, Unnamed),
    ])
}

/// Streams of an instance: the table counts the instances from 1 on.
#[expect(clippy::too_many_lines, reason = "a table stays a table")]
fn named() -> anyhow::Result<Vec<Row>> {
    let nine = {
        let mut hasher = ContentHasher::new(&uids::EXPLICIT_VR_LITTLE_ENDIAN.parse()?);
        hasher.update(b"nine byte");
        hasher.finish()
    };
    let mut beyond = instance(6)?;
    beyond.offset = 9;
    let mut coded = instance(7)?;
    coded.coding = 99;
    let mut stranger = instance(8)?;
    stranger.agreement = "nobody".parse()?;
    let misplaced = framed(instance(9)?)?;
    let unlike = trailer(9, Digest::of(b"other"))?;
    let more = [framed(beyond)?, trailer(9, nine)?].concat();
    Ok(vec![
        Row(
            "a chunk of 4 GiB",
            body(1, &[0xFF; 4])?,
            false,
            Code::TooLarge,
            Never,
        ),
        Row(
            "a chunk of 256 KiB and one",
            body(2, &[0, 4, 0, 1])?,
            false,
            Code::TooLarge,
            Never,
        ),
        Row(
            "cut in its bytes",
            body(3, &[])?,
            true,
            Code::Truncated,
            Again,
        ),
        Row(
            "fewer bytes than announced",
            body(4, &trailer(10, nine)?)?,
            true,
            Code::Truncated,
            Again,
        ),
        Row(
            "more bytes than announced",
            body(5, &trailer(8, nine)?)?,
            true,
            Code::BadOffset,
            Again,
        ),
        Row(
            "from where nothing is held",
            more,
            true,
            Code::BadOffset,
            Again,
        ),
        Row(
            "in an unknown coding",
            framed(coded)?,
            false,
            Code::CodingUnknown,
            Never,
        ),
        Row(
            "under nobody's agreement",
            framed(stranger)?,
            false,
            Code::Forbidden,
            Never,
        ),
        Row(
            "INSTANCE for its end",
            body(9, &[&chunk_header(0)[..], &misplaced].concat())?,
            false,
            Code::ProtocolError,
            Never,
        ),
        Row(
            "a TRAILER that is no CBOR",
            body(10, &[0, 0, 0, 0, 0x80, 0x13, 0, 0, 0, 1, 0])?,
            false,
            Code::Malformed,
            Never,
        ),
        Row(
            "a TRAILER of 4 GiB",
            body(11, &[0, 0, 0, 0, 0x80, 0x13, 0xFF, 0xFF, 0xFF, 0xFF])?,
            false,
            Code::TooLarge,
            Never,
        ),
        Row(
            "cut in its TRAILER",
            body(12, &[0, 0, 0, 0, 0x80, 0x13])?,
            true,
            Code::Truncated,
            Again,
        ),
        Row(
            "other bytes than announced",
            body(13, &unlike)?,
            true,
            Code::DigestMismatch,
            Again,
        ),
    ])
}

async fn greeted(
    centre: &Centre,
    tls: &causeway_certs::tls::ClientTls,
    session: u64,
) -> anyhow::Result<Stranger> {
    let mut stranger = Stranger::dial(tls, centre.address).await?;
    stranger.say(hello("spool-a", session)).await?;
    anyhow::ensure!(
        matches!(stranger.hear().await?, Message::Hello(_)),
        "no HELLO"
    );
    Ok(stranger)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_stream_ends_with_its_code_and_the_connection_goes_on() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let mut stranger = greeted(&centre, &tls, 1).await?;
    stranger.say(opening("north-a")?).await?;
    for (number, row) in (1_u32..).zip(nameless()?) {
        said(&mut stranger, number, row).await?;
    }
    for (number, row) in (1_u32..).zip(named()?) {
        said(&mut stranger, number, row).await?;
    }
    // what was broken is no instance, and a whole one still is
    assert_eq!(centre.count("SELECT count(*) FROM instance").await?, 0);
    anyhow::ensure!(stranger.connection.close_reason().is_none(), "it has ended");
    centre.stop().await?;
    Ok(())
}

async fn said(stranger: &mut Stranger, number: u32, row: Row) -> anyhow::Result<()> {
    let Row(what, bytes, ends, code, answer) = row;
    let mut stream = stranger.connection.open_uni().await?;
    stream.write_all(&bytes).await?;
    if ends {
        stream.finish()?;
    }
    if answer != Unnamed {
        let heard = tokio::time::timeout(LIMIT, stranger.hear())
            .await
            .context(what)??;
        let Message::Refused(refused) = heard else {
            anyhow::bail!("no REFUSED: {what}");
        };
        assert_eq!(
            Code::of(u64::from(refused.code)),
            Some(code),
            "{what}: {}",
            refused.sentence
        );
        let again = refused.retry_after_ms.is_some()
            && code.disposition() == causeway_proto::link::close::Disposition::Retry;
        assert_eq!(again, answer == Again, "{what}");
        let key = refused.key.context("a key")?;
        assert_eq!(key.instance.as_str(), format!("1.2.3.4.{number}"), "{what}");
    }
    // one that has ended may have been read to its end before it is stopped
    let stopped = tokio::time::timeout(LIMIT, stream.stopped())
        .await
        .context(what)?;
    match stopped {
        Ok(Some(stopped)) => assert_eq!(Code::of(stopped.into_inner()), Some(code), "{what}"),
        Ok(None) if ends => {}
        other => anyhow::bail!("{what}: {other:?}"),
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reaches_for_what_is_anothers_is_put_out_and_it_is_audited() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    centre.site("south").await?;
    let mut theirs = instance(1)?;
    theirs.agreement = "south-a".parse()?;
    let manifest = Manifest {
        study: "1.2.3".parse()?,
        agreement: "south-a".parse()?,
        version: 1,
        entries: Vec::new(),
        withheld: Vec::new(),
        basis: "silence".to_owned(),
        sealed_at: clock().now(),
        reports: None,
    };
    let control = framed(opening("south-a")?)?;
    let streams = [framed(theirs)?, framed(manifest)?];
    for (session, bytes) in (1_u64..).zip([control].into_iter().chain(streams)) {
        let mut stranger = greeted(&centre, &tls, session).await?;
        if session == 1 {
            stranger.to_gateway.write_all(&bytes).await?;
        } else {
            let mut stream = stranger.connection.open_uni().await?;
            stream.write_all(&bytes).await?;
        }
        let (code, sentence) = stranger.closed().await?;
        assert_eq!(code, u64::from(Code::Forbidden.number()), "{sentence}");
        assert!(sentence.contains("another site"), "{sentence}");
        let audited = "SELECT count(*) FROM audit_event WHERE event = 'site-refused'";
        wait_count(&centre, audited, i64::try_from(session)?).await?;
        super::wait_until("the session's end", Duration::from_secs(20), async || {
            let connected = centre.rooms.sites.connected().await;
            Ok(connected.is_empty().then_some(()))
        })
        .await?;
    }
    assert_eq!(centre.count("SELECT count(*) FROM study").await?, 0);
    centre.stop().await?;
    Ok(())
}
