//! Tests of the codec: hex vectors of every message, every split, every bound, and bytes that mean harm.

mod again;
mod samples;
mod talk;

use proptest::prelude::*;

use super::*;
use crate::link::message::{
    Agreement, Deleted, Hello, HelloGateway, Open, Opened, Recall, Recalled, terms,
};
use crate::time::Timestamp;
use samples::samples;

fn encoded(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    encode(message, &mut out).unwrap();
    out
}

/// A reader that is in the state in which this kind of message is read.
fn reader_for(kind: &Kind) -> Reader {
    let speaker = kind.speaker.unwrap_or(Speaker::Agent);
    match kind.place {
        Place::Control => Reader::control(speaker),
        Place::Dataset | Place::Alone => Reader::stream(speaker),
        Place::End => {
            let mut reader = Reader::stream(Speaker::Agent);
            reader.push(&encoded(&samples()[14]));
            reader.push(&chunk_header(0));
            assert!(matches!(reader.next_part(), Ok(Some(Part::Message(_)))));
            assert_eq!(reader.next_part(), Ok(None));
            reader
        }
    }
}

/// The wire of version 1, frozen: a change here is a change of the protocol.
#[test]
fn hex_vectors_of_every_message() {
    let samples = samples();
    assert_eq!(KINDS.len(), samples.len(), "a sample of every message");
    let mut now = String::new();
    for (kind, sample) in KINDS.iter().zip(&samples) {
        assert_eq!(sample.kind(), *kind);
        let bytes = encoded(sample);
        now.push_str(&format!("{} {}\n", kind.name, hex::encode(&bytes)));
        let mut reader = reader_for(kind);
        reader.push(&bytes);
        assert_eq!(
            reader.next_part(),
            Ok(Some(Part::Message(sample.clone()))),
            "{}",
            kind.name
        );
        assert_eq!(reader.next_part(), Ok(None));
    }
    let frozen: String = include_str!("../../../vectors/link-1.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(frozen, now, "the wire has changed; it is now:\n{now}");
}

/// An agreement with everything that can be agreed.
fn terms() -> Agreement {
    Agreement {
        id: "a2".parse().unwrap(),
        organisation: "Readers".to_owned(),
        identity: terms::PSEUDONYMOUS.to_owned(),
        profile: terms::PROFILE_READING.to_owned(),
        options: terms::OPTIONS.iter().map(|&word| word.to_owned()).collect(),
        language: "pt-BR".to_owned(),
        from: Some(Timestamp(1)),
        until: Some(Timestamp(2)),
        retention_days: 3650,
    }
}

/// A gateway's HELLO beside the agent's of the vectors.
#[test]
fn the_gateways_hello_round_trips() {
    let hello: Message = Hello {
        version_min: 1,
        version_max: 2,
        now: Timestamp(0),
        software: String::new(),
        agent: None,
        gateway: Some(HelloGateway {
            epoch: u64::MAX,
            high_water: 0,
            agreements: vec![
                Agreement::identified("a1".parse().unwrap(), "Ακτινολογία"),
                terms(),
            ],
            codings: vec![1, u16::MAX],
        }),
    }
    .into();
    let mut reader = Reader::control(Speaker::Gateway);
    reader.push(&encoded(&hello));
    assert_eq!(reader.next_part(), Ok(Some(Part::Message(hello))));
}

fn instance_stream(data: &[u8], chunk: usize) -> Vec<u8> {
    let mut out = encoded(&samples()[14]);
    for piece in data.chunks(chunk) {
        out.extend_from_slice(&chunk_header(piece.len()));
        out.extend_from_slice(piece);
    }
    out.extend_from_slice(&chunk_header(0));
    out.extend_from_slice(&encoded(&samples()[17]));
    out
}

/// Reads a whole stream that arrives in the given pieces: messages and the dataset's bytes.
fn read_all(
    bytes: &[u8],
    pieces: impl Iterator<Item = usize>,
) -> Result<(Vec<Message>, Vec<u8>), CodecError> {
    let mut reader = Reader::stream(Speaker::Agent);
    let (mut messages, mut data) = (Vec::new(), Vec::new());
    let mut rest = bytes;
    for piece in pieces {
        let (now, later) = rest.split_at(piece.clamp(1, rest.len().max(1)).min(rest.len()));
        rest = later;
        reader.push(now);
        while let Some(part) = reader.next_part()? {
            match part {
                Part::Message(message) => messages.push(message),
                Part::Data(bytes) => data.extend_from_slice(bytes),
            }
        }
        if rest.is_empty() {
            break;
        }
    }
    reader.finish()?;
    Ok((messages, data))
}

#[test]
fn a_stream_cut_short_anywhere_is_truncated_and_one_byte_more_is_surplus() {
    let whole = instance_stream(b"abcdefghij", 4);
    for end in 0..whole.len() {
        assert_eq!(
            read_all(&whole[..end], [end].into_iter()),
            Err(CodecError::Truncated),
            "{end}"
        );
    }
    let (messages, data) = read_all(&whole, [whole.len()].into_iter()).unwrap();
    assert_eq!((messages.len(), data.as_slice()), (2, &b"abcdefghij"[..]));
    let mut longer = whole;
    longer.push(0);
    assert_eq!(
        read_all(&longer, [longer.len()].into_iter()),
        Err(CodecError::Surplus)
    );
}

fn refused(mut reader: Reader, bytes: &[u8], code: Code) {
    reader.push(bytes);
    let mut outcome = Ok(());
    loop {
        match reader.next_part() {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => {
                outcome = Err(error.code());
                break;
            }
        }
    }
    assert_eq!(outcome, Err(code), "{}", hex::encode(bytes));
}

fn frame(code: u16, length: u32, body: &[u8]) -> Vec<u8> {
    let mut out = code.to_be_bytes().to_vec();
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body);
    out
}

#[test]
fn lengths_over_the_bound_are_refused_from_the_header_alone() {
    for kind in KINDS {
        refused(
            reader_for(kind),
            &frame(kind.code, kind.max_bytes + 1, &[]),
            Code::TooLarge,
        );
        let mut reader = reader_for(kind);
        reader.push(&frame(kind.code, kind.max_bytes, &[]));
        assert_eq!(reader.next_part(), Ok(None), "{}", kind.name);
    }
    let mut stream = encoded(&samples()[14]);
    stream.extend_from_slice(&(CHUNK_MAX_BYTES + 1).to_be_bytes());
    refused(Reader::stream(Speaker::Agent), &stream, Code::TooLarge);
}

#[test]
fn unknown_types_are_ignored_or_end_the_connection() {
    let mut bytes = frame(0x7abc, 3, &[1, 2, 3]);
    bytes.extend_from_slice(&encoded(&samples()[8]));
    let mut reader = Reader::control(Speaker::Agent);
    reader.push(&bytes);
    assert_eq!(
        reader.next_part(),
        Ok(Some(Part::Message(samples()[8].clone())))
    );
    let critical = frame(CRITICAL | 0x7abc, 0, &[]);
    refused(
        Reader::control(Speaker::Agent),
        &critical,
        Code::VersionUnsupported,
    );
    refused(
        Reader::stream(Speaker::Agent),
        &critical,
        Code::VersionUnsupported,
    );
    refused(
        Reader::stream(Speaker::Agent),
        &frame(0x7abc, 0, &[]),
        Code::UnknownType,
    );
    refused(
        Reader::control(Speaker::Agent),
        &frame(0x7abc, CONTROL_MAX_BYTES + 1, &[]),
        Code::TooLarge,
    );
}

#[test]
fn every_message_has_one_place_and_its_speakers() {
    for sample in samples() {
        let kind = sample.kind();
        let bytes = encoded(&sample);
        if kind.place == Place::Control {
            refused(
                Reader::stream(kind.speaker.unwrap_or(Speaker::Agent)),
                &bytes,
                Code::ProtocolError,
            );
        } else {
            refused(
                Reader::control(kind.speaker.unwrap_or(Speaker::Agent)),
                &bytes,
                Code::ProtocolError,
            );
        }
        if let (Some(speaker), Place::Control) = (kind.speaker, kind.place) {
            let other = match speaker {
                Speaker::Agent => Speaker::Gateway,
                Speaker::Gateway => Speaker::Agent,
            };
            refused(Reader::control(other), &bytes, Code::ProtocolError);
        }
    }
}

#[test]
fn bodies_that_are_not_their_message_are_malformed() {
    let recalled = CRITICAL | 0x0a;
    for body in [
        &[][..],
        &[0x80],
        &[0xa0],
        &[0xa0, 0x00],
        &[0xbf, 0xff],
        &[
            0xa2, 0x00, 0x65, b'1', b'.', b'.', b'2', b'x', 0x01, 0x61, b'a',
        ],
    ] {
        let length = u32::try_from(body.len()).unwrap();
        refused(
            Reader::control(Speaker::Gateway),
            &frame(recalled, length, body),
            Code::Malformed,
        );
    }
}

#[test]
fn fields_that_a_later_version_adds_are_ignored() {
    let known = Recalled {
        study: "1.2".parse().unwrap(),
        agreement: "a".parse().unwrap(),
    };
    let mut body = minicbor::to_vec(&known).unwrap();
    body[0] = 0xa3;
    body.extend_from_slice(&[0x18, 0x63, 0x82, 0x01, 0xa1, 0x00, 0xf6]);
    let length = u32::try_from(body.len()).unwrap();
    let mut reader = Reader::control(Speaker::Gateway);
    reader.push(&frame(CRITICAL | 0x0a, length, &body));
    assert_eq!(reader.next_part(), Ok(Some(Part::Message(known.into()))));
}

#[test]
fn fields_over_their_bound_are_refused_on_both_sides() {
    let long = Message::from(Recall {
        study: "1.2".parse().unwrap(),
        agreement: "a".parse().unwrap(),
        reason: "x".repeat(1025),
    });
    let mut out = b"kept".to_vec();
    assert_eq!(
        encode(&long, &mut out).map_err(|error| error.code()),
        Err(Code::TooLarge)
    );
    assert_eq!(out, b"kept");
    let mut body = Vec::new();
    long.encode_body(&mut body);
    let length = u32::try_from(body.len()).unwrap();
    refused(
        Reader::control(Speaker::Agent),
        &frame(CRITICAL | 0x09, length, &body),
        Code::TooLarge,
    );
    assert_eq!(sentence("é".repeat(600)).len(), 1024);
    let forged = "bye\n2026-01-01 ERROR all is lost\r\u{1b}[2J\u{2028}\u{85}x".to_owned();
    assert_eq!(sentence(forged), "bye 2026-01-01 ERROR all is lost  [2J  x");
    assert_eq!(sentence("\u{2028}".repeat(400)), " ".repeat(341));
}

/// A DELETED that names so many people of this name.
fn deletion(people: usize, name: String) -> Message {
    let one = Opened {
        account: name.clone(),
        name: name.clone(),
        organisation: name,
        first: Timestamp(0),
        last: Timestamp(0),
        what: vec!["images".to_owned()],
    };
    Message::from(Deleted {
        study: "1.2".parse().unwrap(),
        agreement: "a".parse().unwrap(),
        why: "recalled".to_owned(),
        objects: 0,
        bytes: 0,
        parts: 0,
        reports: 0,
        at: Timestamp(0),
        opened: vec![one; people],
        more: 0,
    })
}

#[test]
fn agreements_and_opens_keep_to_their_bounds() {
    let hello = |agreement: Agreement| Hello {
        version_min: 1,
        version_max: 1,
        now: Timestamp(0),
        software: String::new(),
        agent: None,
        gateway: Some(HelloGateway {
            epoch: 1,
            high_water: 0,
            agreements: vec![agreement],
            codings: Vec::new(),
        }),
    };
    let Message::Open(open) = samples()[1].clone() else {
        panic!("the second sample is an OPEN");
    };
    let agreed = |change: fn(&mut Agreement)| {
        let mut agreement = terms();
        change(&mut agreement);
        Message::from(hello(agreement))
    };
    let opened = |change: fn(&mut Open)| {
        let mut open = open.clone();
        change(&mut open);
        Message::from(open)
    };
    let most = [
        agreed(|it| it.options = vec!["o".repeat(NAME_MAX_BYTES); OPTIONS_MAX]),
        opened(|it| it.remarks = vec!["r".repeat(SENTENCE_MAX_BYTES); REMARKS_MAX]),
        opened(|it| it.blocked = Some("b".repeat(SENTENCE_MAX_BYTES))),
        deletion(OPENED_MAX, "n".repeat(NAME_MAX_BYTES)),
    ];
    for message in most {
        assert!(!encoded(&message).is_empty());
    }
    let over = [
        agreed(|it| it.options = vec!["device".to_owned(); OPTIONS_MAX + 1]),
        agreed(|it| it.options = vec!["o".repeat(NAME_MAX_BYTES + 1)]),
        agreed(|it| it.profile = "p".repeat(NAME_MAX_BYTES + 1)),
        agreed(|it| it.language = "l".repeat(NAME_MAX_BYTES + 1)),
        opened(|it| it.remarks = vec![String::new(); REMARKS_MAX + 1]),
        opened(|it| it.remarks = vec!["r".repeat(SENTENCE_MAX_BYTES + 1)]),
        opened(|it| it.blocked = Some("b".repeat(SENTENCE_MAX_BYTES + 1))),
        opened(|it| it.identity = Some("i".repeat(NAME_MAX_BYTES + 1))),
        deletion(OPENED_MAX + 1, String::new()),
        deletion(1, "n".repeat(NAME_MAX_BYTES + 1)),
    ];
    for message in over {
        let kind = message.kind();
        let mut out = Vec::new();
        let refusal = encode(&message, &mut out).map_err(|error| error.code());
        assert_eq!(
            (refusal, out.len()),
            (Err(Code::TooLarge), 0),
            "{message:?}"
        );
        let mut body = Vec::new();
        message.encode_body(&mut body);
        let length = u32::try_from(body.len()).unwrap();
        let speaker = kind.speaker.unwrap_or(Speaker::Gateway);
        refused(
            Reader::control(speaker),
            &frame(kind.code, length, &body),
            Code::TooLarge,
        );
    }
}

/// SPEC.md is the text of the protocol: it names every message with its type, and every code with its number.
#[test]
fn the_specification_lists_every_message_and_every_code() {
    let spec = include_str!("../../../SPEC.md");
    for kind in KINDS {
        let row = format!("| `{}` | 0x{:04x} |", kind.name, kind.code);
        assert!(spec.contains(&row), "SPEC.md has no row {row}");
        let heading = format!("### {}", kind.name);
        assert!(
            spec.lines().any(|line| line == heading),
            "SPEC.md has no heading {heading}"
        );
    }
    for code in Code::ALL {
        let row = format!("| `{}` | 0x{:02x} |", code.name(), code.number());
        assert!(spec.contains(&row), "SPEC.md has no row {row}");
    }
}

proptest! {
    #[test]
    fn any_split_reads_the_same(
        data in proptest::collection::vec(any::<u8>(), 0..2000),
        chunk in 1_usize..700,
        pieces in proptest::collection::vec(1_usize..300, 1..50),
    ) {
        let whole = instance_stream(&data, chunk);
        let (messages, read) = read_all(&whole, pieces.into_iter().cycle()).unwrap();
        prop_assert_eq!(messages, vec![samples()[14].clone(), samples()[17].clone()]);
        prop_assert_eq!(read, data);
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        pick in 0_usize..24,
        at in 0_usize..200,
        with in any::<u8>(),
    ) {
        for reader in [Reader::control(Speaker::Agent), Reader::stream(Speaker::Gateway)] {
            drain(reader, &bytes);
        }
        let mut hurt = encoded(&samples()[pick]);
        let at = at % hurt.len();
        hurt[at] = with;
        drain(reader_for(&KINDS[pick]), &hurt);
    }
}

fn drain(mut reader: Reader, bytes: &[u8]) {
    reader.push(bytes);
    while let Ok(Some(_)) = reader.next_part() {}
}
