//! What both ends read: datasets, texts, reports, the link.

use causeway_proto::coding::{self, Encoder, Finder, RECORD_MAX_BYTES, Rows};
use causeway_proto::dataset::Dataset;
use causeway_proto::digest::Digest;
use causeway_proto::ids::{AeTitle, AgreementId, CaseCode, SiteId, StudyUid};
use causeway_proto::link::codec::{Part, Reader, Speaker, encode};
use causeway_proto::link::tunnel as tunnels;
use causeway_proto::prescan::{Limits, prescan as scan};
use causeway_proto::report::{closing::closing, signature as signatures, sr};
use causeway_proto::text::CharacterSet;

use super::{SYNTAXES, choose, seen, with_syntax};

pub(super) fn prescan(bytes: &[u8]) {
    let (chosen, _) = choose(bytes);
    with_syntax(bytes, |dataset, syntax| {
        let length = u64::try_from(dataset.len()).ok();
        let limits = Limits {
            total_bytes: length.filter(|_| chosen & 4 != 0),
            digest_pixels: chosen & 8 != 0,
            ..Limits::default()
        };
        scan(dataset, syntax, &limits).ok();
    });
}

/// What was read is written so that it can be read again, to the same.
pub(super) fn dataset(bytes: &[u8]) {
    with_syntax(bytes, |bytes, syntax| {
        let Ok(dataset) = Dataset::read(bytes, syntax) else {
            return;
        };
        let written = dataset.write();
        let explicit = SYNTAXES[0].parse();
        let again = explicit.map(|explicit| Dataset::read(&written, &explicit));
        let Ok(Ok(again)) = again else {
            panic!("what was written cannot be read: {again:?}");
        };
        assert_eq!(again.write(), written, "read again it is another");
    });
}

/// Up to the first zero byte stands the character set, then a text in it.
pub(super) fn text(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
    let (set, value) = bytes.split_at_checked(end).unwrap_or_default();
    seen(CharacterSet::understood(set));
    let set = CharacterSet::parse(set);
    let decoded = set.decode(value);
    assert_eq!(set.decode_counted(value).text, decoded);
    seen(set.spans(value));
}

pub(super) fn dates(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let length = text.chars().count();
    for range in causeway_proto::dates::dates(&text) {
        assert!(range.start < range.end && range.end <= length, "{range:?}");
    }
    let left = causeway_proto::dates::without(&text, "");
    assert!(left.len() <= text.len());
}

pub(super) fn identifiers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    text.parse::<StudyUid>().ok();
    text.parse::<AeTitle>().ok();
    text.parse::<AgreementId>().ok();
    text.parse::<SiteId>().ok();
    text.parse::<CaseCode>().ok();
    text.parse::<Digest>().ok();
}

pub(super) fn report(bytes: &[u8]) {
    let Ok(dataset) = sr::from_bytes(bytes) else {
        return;
    };
    if let Ok(report) = sr::decode(&dataset) {
        seen(closing(&report));
        seen(sr::to_bytes(&sr::encode(&report)));
    }
}

pub(super) fn signature(bytes: &[u8]) {
    if let Ok(explicit) = SYNTAXES[0].parse() {
        signatures::verify(bytes, &explicit).ok();
    }
}

fn speaker(chosen: u8) -> Speaker {
    match chosen & 1 {
        0 => Speaker::Agent,
        _ => Speaker::Gateway,
    }
}

/// The first byte says who speaks and in which pieces it comes.
fn read(mut reader: Reader, chosen: u8, bytes: &[u8]) -> Reader {
    let step = match usize::from(chosen >> 1) {
        step @ 1..=64 => step,
        _ => bytes.len().max(1),
    };
    for piece in bytes.chunks(step) {
        reader.push(piece);
        loop {
            match reader.next_part() {
                Ok(Some(Part::Message(message))) => {
                    let mut out = Vec::new();
                    encode(&message, &mut out).expect("a message that was read can be said");
                }
                Ok(Some(Part::Data(_))) => {}
                Ok(None) => break,
                Err(error) => {
                    seen(error.code());
                    return reader;
                }
            }
        }
    }
    reader
}

pub(super) fn control(bytes: &[u8]) {
    let (chosen, rest) = choose(bytes);
    read(Reader::control(speaker(chosen)), chosen, rest);
}

pub(super) fn stream(bytes: &[u8]) {
    let (chosen, rest) = choose(bytes);
    let reader = read(Reader::stream(speaker(chosen)), chosen, rest);
    reader.finish().ok();
}

pub(super) fn tunnel(bytes: &[u8]) {
    let mut rest = bytes;
    while let Some((datagram, used)) = tunnels::first(rest) {
        assert!(datagram.len() < used);
        rest = rest.get(used..).unwrap_or_default();
    }
}

pub(super) fn records(bytes: &[u8]) {
    let mut decoder = coding::Decoder::default();
    for piece in bytes.chunks(4096) {
        decoder.push(piece);
        while let Ok(Some(piece)) = decoder.next_bytes() {
            assert!(piece.len() <= RECORD_MAX_BYTES);
        }
    }
}

/// What is coded is undone to the same; where pixels lie is looked for in any bytes.
pub(super) fn coding(bytes: &[u8]) {
    with_syntax(bytes, |bytes, syntax| {
        let Some(mut finder) = Finder::new(syntax) else {
            return;
        };
        let whole = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        while let Some(at) = finder.wants() {
            let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
            finder.take(rest.unwrap_or_default(), whole);
            if finder.wants() == Some(at) {
                break;
            }
        }
        seen(finder.found());
    });
    let Some(([samples, step, wide], piece)) = bytes.split_first_chunk() else {
        return;
    };
    let rows = Rows::new(usize::from(*samples), usize::from(*step), wide & 1 != 0);
    let record = Encoder::default().record(piece, rows);
    let mut decoder = coding::Decoder::default();
    decoder.push(&record);
    let mut back = Vec::new();
    while let Ok(Some(bytes)) = decoder.next_bytes() {
        back.extend_from_slice(&bytes);
    }
    let piece = piece.get(..RECORD_MAX_BYTES).unwrap_or(piece);
    assert!(back == piece || piece.is_empty(), "it is not what it was");
}
