//! What a peer may say to the upper layer, each with the answer that PS3.8 demands; none of it stops the listener.

use dicom_ul::pdu::{
    AssociationAC, AssociationRJ, AssociationRJResult, AssociationRJServiceUserReason,
    AssociationRJSource, PresentationContextResultReason,
};

use super::*;

/// Where the conversation stands when the bytes of a row are written.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Connected, and nothing said.
    Connected,
    /// Associated: context 1 echoes, context 3 stores.
    Associated,
}
use Stage::{Associated, Connected};

/// What is said, where, in which bytes, and the answer as [`Peer::short`] has it; of an A-ASSOCIATE-AC the results of its contexts
/// too, each once.
type Row = (&'static str, Stage, Vec<u8>, &'static str);

/// What is announced when nothing is configured.
const MAX_PDU: usize = 256 * 1024;
/// Longest variable part of an A-ASSOCIATE-RQ.
const MAX_REQUEST: usize = 128 * 1024;

fn header(kind: u8, length: u32) -> Vec<u8> {
    let mut out = vec![kind, 0];
    out.extend(length.to_be_bytes());
    out
}

fn unknown_types() -> Vec<Row> {
    let mut rows = vec![
        (
            "HTTP",
            Connected,
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            "abort 2/1",
        ),
        (
            "a TLS ClientHello",
            Connected,
            vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC],
            "abort 2/1",
        ),
        // decided before the length is there
        ("an unknown type", Associated, vec![0x47], "abort 2/1"),
    ];
    for kind in [0x00, 0x08, 0x7F, 0xFF] {
        for stage in [Connected, Associated] {
            let bytes = [header(kind, 4), vec![0; 4]].concat();
            rows.push(("an unknown type", stage, bytes, "abort 2/1"));
        }
    }
    rows
}

fn lengths() -> Vec<Row> {
    // an item of unknown type is skipped, so that a request may be as long as one likes
    let padded = |whole: usize| {
        let mut bytes = request(&ECHO);
        let mut rest = whole + 6 - bytes.len();
        while rest > 0 {
            let item = if rest > 65_000 { 50_000 } else { rest };
            bytes.extend([0x77, 0]);
            bytes.extend(u16::try_from(item - 4).unwrap().to_be_bytes());
            bytes.extend(vec![0; item - 4]);
            rest -= item;
        }
        let length = u32::try_from(bytes.len() - 6).unwrap();
        bytes[2..6].copy_from_slice(&length.to_be_bytes());
        bytes
    };
    let store = |rest: usize| {
        let command = command::write_store_request(1, CT, "1.2.3");
        [
            pdv(3, true, true, &command),
            pdv(3, false, true, &vec![0xFF; rest]),
        ]
        .concat()
    };
    vec![
        ("RQ of 4 GiB", Connected, header(1, u32::MAX), "abort 2/6"),
        ("RQ of nothing", Connected, header(1, 0), "abort 2/6"),
        ("the longest RQ", Connected, padded(MAX_REQUEST), "ac 0"),
        (
            "RQ one byte longer",
            Connected,
            header(1, 128 * 1024 + 1),
            "abort 2/6",
        ),
        (
            "P-DATA of 4 GiB",
            Associated,
            header(4, u32::MAX),
            "abort 2/6",
        ),
        ("P-DATA of nothing", Associated, header(4, 0), "abort 2/6"),
        ("the longest P-DATA", Associated, store(MAX_PDU - 6), "data"),
        (
            "one byte longer",
            Associated,
            store(MAX_PDU - 5),
            "abort 2/6",
        ),
        ("RELEASE of 5", Associated, header(5, 5), "abort 2/6"),
        (
            "RELEASE of 4 GiB",
            Associated,
            header(5, u32::MAX),
            "abort 2/6",
        ),
        ("ABORT of nothing", Associated, header(7, 0), "abort 2/6"),
    ]
}

fn unexpected() -> Vec<Row> {
    let asked = asked(&ECHO);
    let acceptance = encoded(AssociationAC {
        protocol_version: 1,
        called_ae_title: asked.called_ae_title,
        calling_ae_title: asked.calling_ae_title,
        application_context_name: asked.application_context_name,
        presentation_contexts: Vec::new(),
        user_variables: asked.user_variables,
    });
    let reason = AssociationRJServiceUserReason::NoReasonGiven;
    let rejection = encoded(AssociationRJ {
        result: AssociationRJResult::Permanent,
        source: AssociationRJSource::ServiceUser(reason),
    });
    let abort = encoded(Pdu::AbortRQ {
        source: AbortRQSource::ServiceUser,
    });
    vec![
        (
            "P-DATA before an association",
            Connected,
            pdv(1, true, true, b"xx"),
            "abort 2/2",
        ),
        (
            "AC to the acceptor",
            Connected,
            acceptance.clone(),
            "abort 2/2",
        ),
        ("AC to the acceptor", Associated, acceptance, "abort 2/2"),
        (
            "RJ to the acceptor",
            Connected,
            rejection.clone(),
            "abort 2/2",
        ),
        ("RJ to the acceptor", Associated, rejection, "abort 2/2"),
        ("RQ twice", Associated, request(&ECHO), "abort 2/2"),
        (
            "RELEASE-RQ of nothing",
            Connected,
            encoded(Pdu::ReleaseRQ),
            "abort 2/2",
        ),
        (
            "RELEASE-RP unasked",
            Connected,
            encoded(Pdu::ReleaseRP),
            "abort 2/2",
        ),
        (
            "RELEASE-RP unasked",
            Associated,
            encoded(Pdu::ReleaseRP),
            "abort 2/2",
        ),
        ("RELEASE-RQ", Associated, encoded(Pdu::ReleaseRQ), "rp"),
        ("ABORT", Connected, abort.clone(), "closed"),
        ("ABORT", Associated, abort, "closed"),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table stays a table")]
fn values_and_items() -> Vec<Row> {
    let within = |bytes: &[u8]| {
        [
            header(4, u32::try_from(bytes.len()).unwrap()),
            bytes.to_vec(),
        ]
    };
    let mut overrun = request(&ECHO);
    overrun[6 + 68 + 3] = 0xFF;
    let mut lacking = request(&ECHO);
    lacking.truncate(6 + 60);
    lacking[5] = 60;
    let echo = command::write_echo_request(1, negotiate::VERIFICATION);
    let store = command::write_store_request(1, CT, "1.2.3");
    let value = |what, bytes: &[u8], answer| (what, Associated, within(bytes).concat(), answer);
    vec![
        value("PDV of 1", &[0, 0, 0, 1, 1, 3], "abort 2/6"),
        value("PDV longer than the PDU", &[0, 0, 0, 3, 1, 3], "abort 2/6"),
        value("a rest of 3 bytes", &[0, 0, 0], "abort 2/6"),
        value(
            "a rest after the last PDV",
            &[0, 0, 0, 2, 1, 1, 0, 0, 0],
            "abort 2/6",
        ),
        value("unknown bits", &[0, 0, 0, 2, 1, 7], "abort 2/2"),
        value("other unknown bits", &[0, 0, 0, 2, 1, 0x83], "abort 2/2"),
        (
            "a context that was not accepted",
            Associated,
            pdv(5, true, true, &echo),
            "abort 2/6",
        ),
        (
            "data before a command",
            Associated,
            pdv(3, false, true, b"data first"),
            "abort 2/2",
        ),
        (
            "a command after the last of it",
            Associated,
            [pdv(3, true, true, &store), pdv(3, true, true, &store)].concat(),
            "abort 2/2",
        ),
        (
            "data in another context",
            Associated,
            [pdv(3, true, true, &store), pdv(1, false, true, b"xx")].concat(),
            "abort 2/6",
        ),
        (
            "a command in two contexts",
            Associated,
            [
                pdv(1, true, false, &echo[..12]),
                pdv(3, true, true, &echo[12..]),
            ]
            .concat(),
            "abort 2/6",
        ),
        (
            "a command set without end",
            Associated,
            pdv(1, true, false, &[0; 1024]).repeat(40),
            "abort 2/6",
        ),
        (
            "a command set cut in an element",
            Associated,
            pdv(1, true, true, &echo[..20]),
            "abort 2/6",
        ),
        ("an item that overruns", Connected, overrun, "abort 2/6"),
        (
            "a request without its titles",
            Connected,
            lacking,
            "abort 2/6",
        ),
    ]
}

/// Requests that differ from a good one in one thing.
#[expect(clippy::too_many_lines, reason = "a table stays a table")]
fn requests() -> Vec<Row> {
    let said = |what, change: fn(&mut AssociationRQ), answer| {
        let mut said = asked(&ECHO);
        change(&mut said);
        (what, Connected, encoded(said), answer)
    };
    let title = |what, at: usize, bytes: [u8; 16], answer| {
        let mut said = request(&ECHO);
        said[6 + at..6 + at + 16].copy_from_slice(&bytes);
        (what, Connected, said, answer)
    };
    let mut rows = vec![
        said(
            "version 1 is not offered",
            |s| s.protocol_version = 2,
            "rj 1/2/2",
        ),
        said("versions 1 and 2", |s| s.protocol_version = 3, "ac 0"),
        said(
            "another application context",
            |s| s.application_context_name.push_str(".7"),
            "rj 1/1/2",
        ),
        said(
            "a called title that nobody has",
            |s| s.called_ae_title = "NOBODY".to_owned(),
            "rj 1/1/7",
        ),
        said(
            "a calling title that nobody has",
            |s| s.calling_ae_title = "NOBODY".to_owned(),
            "rj 1/1/3",
        ),
        said(
            "a calling title from elsewhere",
            |s| s.calling_ae_title = "ELSEWHERE".to_owned(),
            "rj 1/1/3",
        ),
        said(
            "PDUs of 1",
            |s| s.user_variables = pdu::user_variables(1),
            "rj 1/1/1",
        ),
        said(
            "PDUs of 1,023",
            |s| s.user_variables = pdu::user_variables(1023),
            "rj 1/1/1",
        ),
        said(
            "PDUs of 1,024",
            |s| s.user_variables = pdu::user_variables(1024),
            "ac 0",
        ),
        said(
            "PDUs of any length",
            |s| s.user_variables = pdu::user_variables(0),
            "ac 0",
        ),
        said("PDUs of no length", |s| s.user_variables.clear(), "ac 0"),
    ];
    for (what, bytes) in [
        ("blanks", *b"                "),
        ("a slash", *b"PACS/../x       "),
        ("a backslash", *b"PA\\CS           "),
        ("two dots", *b"..              "),
        ("a control character", *b"PA\x07CS           "),
        ("no ASCII", *b"PA\xFFCS           "),
        ("zeros", [0; 16]),
    ] {
        rows.push(title(what, 4, bytes, "rj 1/1/7"));
        rows.push(title(what, 20, bytes, "rj 1/1/3"));
    }
    rows
}

fn contexts() -> Vec<Row> {
    let numbered = |numbers: &mut dyn Iterator<Item = u8>| {
        let mut said = asked(&ECHO);
        let one = said.presentation_contexts.remove(0);
        said.presentation_contexts = numbers
            .map(|id| PresentationContextProposed { id, ..one.clone() })
            .collect();
        encoded(said)
    };
    let odd = || (1..=255).step_by(2);
    let find = "1.2.840.10008.5.1.4.1.2.2.1";
    let row = |what, bytes, answer| (what, Connected, bytes, answer);
    vec![
        row("127 contexts", numbered(&mut odd().skip(1)), "ac 0"),
        row("128 contexts", numbered(&mut odd()), "ac 0"),
        row("129 contexts", numbered(&mut odd().chain([1])), "abort 2/6"),
        row(
            "an even identifier",
            numbered(&mut [1, 2].into_iter()),
            "abort 2/6",
        ),
        row("no identifier", numbered(&mut [0].into_iter()), "abort 2/6"),
        row(
            "one twice",
            numbered(&mut [1, 3, 1].into_iter()),
            "abort 2/6",
        ),
        row(
            "no context that is acceptable",
            request(&[(find, IMPLICIT), (CT, "not a UID")]),
            "ac 3 4",
        ),
        row(
            "some that are",
            request(&[(find, IMPLICIT), STORE[0]]),
            "ac 0 3",
        ),
    ]
}

/// [`Peer::short`] with the results of the contexts.
async fn heard(peer: &mut Peer) -> String {
    let all = peer.read().await;
    if all.first() != Some(&pdu::ASSOCIATE_AC) {
        return in_short(&all);
    }
    let answer = pdu::read_acceptance(&all[6..]).unwrap();
    let results = answer
        .presentation_contexts
        .iter()
        .map(|it| match it.reason {
            PresentationContextResultReason::Acceptance => "0",
            PresentationContextResultReason::AbstractSyntaxNotSupported => "3",
            PresentationContextResultReason::TransferSyntaxesNotSupported => "4",
            _ => "other",
        });
    let results: std::collections::BTreeSet<&str> = results.collect();
    let results: Vec<&str> = results.into_iter().collect();
    format!("ac {}", results.join(" "))
}

#[tokio::test]
async fn each_input_has_its_answer() {
    let site = Site::open("").await;
    let tables = [
        unknown_types(),
        lengths(),
        unexpected(),
        values_and_items(),
        requests(),
        contexts(),
    ];
    for (what, stage, bytes, answer) in tables.concat() {
        let mut peer = match stage {
            Connected => Peer::connect(&site).await,
            Associated => Peer::associated(&site, &[ECHO[0], STORE[0]]).await,
        };
        peer.write(&bytes).await;
        assert_eq!(heard(&mut peer).await, answer, "{what}, {stage:?}");
        if answer == "data" || answer.starts_with("ac") {
            // all is well: the association goes on
            peer.write(&encoded(Pdu::ReleaseRQ)).await;
            assert_eq!(peer.short().await, "rp", "{what}");
        }
        assert_eq!(peer.short().await, "closed", "{what}");
    }
    alive(&site).await;
    assert_eq!(site.held().await, []);
    site.close().await;
}

#[tokio::test]
async fn we_announce_large_pdus_and_echo_the_titles() {
    let site = Site::open("").await;
    let mut peer = Peer::connect(&site).await;
    peer.write(&request(&ECHO)).await;
    let answer = pdu::read_acceptance(&peer.read().await[6..]).unwrap();
    assert_eq!(pdu::max_pdu(&answer.user_variables), Some(256 * 1024));
    assert_eq!(answer.called_ae_title, "CAUSEWAY        ");
    assert_eq!(answer.presentation_contexts.len(), 1);
    drop(peer);
    site.close().await;
}
