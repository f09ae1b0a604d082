//! The question against our own listener, which takes none, and against providers that answer in every other way.

use causeway_proto::dataset::Value;
use dicom_core::VR;
use dicom_ul::Pdu;
use dicom_ul::pdu::{AssociationAC, PresentationContextResult, PresentationContextResultReason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::delivery::PageImage;
use crate::dicom::listen::tests::Site;
use crate::dicom::{command, pdu};

const STUDY: &str = "1.2.3";

fn peer(address: impl ToString) -> Destination {
    Destination {
        name: "pacs".to_owned(),
        ae_title: "CAUSEWAY".parse().unwrap(),
        address: address.to_string(),
        calling_ae_title: "PACS".parse().unwrap(),
        page_image: PageImage::Never,
    }
}

/// How a provider answers.
#[derive(Clone)]
struct Answers {
    /// The syntax it chooses.
    syntax: &'static str,
    /// What it finds.
    found: Vec<Dataset>,
    /// The status of its last answer.
    status: u16,
    /// Pieces of this many bytes.
    piece: usize,
    /// Goes away before the last answer.
    vanishes: bool,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            syntax: EXPLICIT_VR_LITTLE_ENDIAN,
            found: Vec::new(),
            status: 0,
            piece: 1000,
            vanishes: false,
        }
    }
}

fn answer(id: &str, name: &[u8]) -> Dataset {
    let mut dataset = Dataset::new();
    dataset.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 100");
    dataset.put_text(tags::QUERY_RETRIEVE_LEVEL, VR::CS, "STUDY");
    dataset.put_text(tags::PATIENT_ID, VR::LO, id);
    dataset.put(tags::PATIENT_NAME, VR::PN, Value::Bytes(name.to_vec()));
    dataset.put_text(tags::STUDY_INSTANCE_UID, VR::UI, STUDY);
    dataset
}

/// A dataset in the syntax that was chosen.
fn written(dataset: &Dataset, syntax: &str) -> Vec<u8> {
    if syntax == EXPLICIT_VR_LITTLE_ENDIAN {
        return dataset.write();
    }
    let mut out = Vec::new();
    for (tag, _) in dataset.iter() {
        put(&mut out, tag, None, dataset.bytes(tag));
    }
    out
}

/// Plays a provider for one association; answers the identifier that came and how the association ended.
async fn play(listener: TcpListener, answers: Answers) -> (Dataset, u8) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let (_, body) = read(&mut stream).await.unwrap();
    let said = pdu::read_request(&body).unwrap();
    let proposed = &said.presentation_contexts[0];
    assert_eq!(proposed.abstract_syntax, STUDY_ROOT);
    let accepted = AssociationAC {
        protocol_version: 1,
        called_ae_title: said.called_ae_title,
        calling_ae_title: said.calling_ae_title,
        application_context_name: said.application_context_name,
        presentation_contexts: vec![PresentationContextResult {
            id: proposed.id,
            reason: PresentationContextResultReason::Acceptance,
            transfer_syntax: answers.syntax.to_owned(),
        }],
        user_variables: pdu::user_variables(1024),
    };
    say(&mut stream, accepted).await;
    let (mut request, mut identifier) = (Vec::new(), Vec::new());
    loop {
        let (kind, body) = read(&mut stream).await.unwrap();
        assert_eq!(kind, pdu::P_DATA);
        match body[5] & 1 {
            1 => request.extend(&body[6..]),
            _ => identifier.extend(&body[6..]),
        }
        if body[5] == 2 {
            break;
        }
    }
    let syntax = answers.syntax.parse().unwrap();
    let asked = Dataset::read(&identifier, &syntax).unwrap();
    let request = command::read(&request).unwrap();
    assert_eq!(
        (request.field, request.data_set),
        (command::C_FIND_RQ, true)
    );
    for found in &answers.found {
        let pending = command::write_find_response(&request, 0xFF00, true);
        say(&mut stream, pdu::command(1, true, pending)).await;
        let bytes = written(found, answers.syntax);
        let count = bytes.chunks(answers.piece).len();
        for (index, piece) in bytes.chunks(answers.piece).enumerate() {
            let length = u32::try_from(piece.len()).unwrap();
            let header = pdu::data_header(1, index + 1 == count, length);
            // the asker may have gone: it reads no more than a few
            stream.write_all(&header).await.ok();
            stream.write_all(piece).await.ok();
        }
    }
    if answers.vanishes {
        return (asked, 0);
    }
    let last = command::write_find_response(&request, answers.status, false);
    say(&mut stream, pdu::command(1, true, last)).await;
    let (kind, _) = read(&mut stream).await.unwrap_or_default();
    if kind == pdu::RELEASE_RQ {
        say(&mut stream, Pdu::ReleaseRP).await;
    }
    (asked, kind)
}

async fn say(stream: &mut TcpStream, word: impl Into<Pdu>) {
    let bytes = pdu::encode(&word.into()).unwrap();
    stream.write_all(&bytes).await.ok();
}

async fn read(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 6];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([head[2], head[3], head[4], head[5]]);
    let mut body = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some((head[0], body))
}

async fn asked(answers: Answers) -> (Asked, Dataset, u8) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = peer(listener.local_addr().unwrap());
    let uid = STUDY.parse().unwrap();
    let (asked, (identifier, end)) = tokio::join!(study(&to, &uid), play(listener, answers));
    (asked, identifier, end)
}

#[tokio::test]
async fn a_study_is_asked_for_by_its_uid_and_read_in_either_syntax() {
    for syntax in [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN] {
        let one = answer("PID-1", b"M\xFCller^J\xF6rg ");
        let answers = Answers {
            syntax,
            found: vec![one.clone()],
            piece: 20,
            ..Answers::default()
        };
        let (asked, identifier, end) = asked(answers).await;
        assert_eq!(asked, Asked::Found(vec![one]));
        assert_eq!(end, pdu::RELEASE_RQ);
        assert_eq!(identifier.code(tags::STUDY_INSTANCE_UID), STUDY);
        assert_eq!(identifier.code(tags::QUERY_RETRIEVE_LEVEL), "STUDY");
        let mut wanted = WANTED.map(|(tag, _)| tag).to_vec();
        wanted.push(tags::STUDY_INSTANCE_UID);
        let there: Vec<Tag> = identifier.iter().map(|(tag, _)| tag).collect();
        assert_eq!(there, wanted);
    }
}

#[tokio::test]
async fn none_and_several_are_answers() {
    let (none, _, _) = asked(Answers::default()).await;
    assert_eq!(none, Asked::Found(vec![]));
    let found = vec![answer("PID-1", b"A^"), answer("PID-2", b"B^")];
    let several = Answers {
        found: found.clone(),
        ..Answers::default()
    };
    assert_eq!(asked(several).await.0, Asked::Found(found));
}

#[tokio::test]
async fn answers_without_end_are_cut_and_a_long_one_is_refused() {
    let many = Answers {
        found: vec![answer("PID-1", b"A^"); 500],
        ..Answers::default()
    };
    let (cut, _, end) = asked(many).await;
    assert!(matches!(cut, Asked::Found(found) if found.len() == MOST + 1));
    assert_ne!(end, pdu::RELEASE_RQ);
    let mut long = answer("PID-1", b"A^");
    long.put_text(tags::PATIENT_COMMENTS, VR::LT, &"x".repeat(60_000));
    long.put_text(
        tags::ADDITIONAL_PATIENT_HISTORY,
        VR::LT,
        &"x".repeat(60_000),
    );
    let (refused, _, _) = asked(Answers {
        found: vec![long],
        ..Answers::default()
    })
    .await;
    assert!(matches!(refused, Asked::Failed(why) if why.contains("too long")));
}

#[tokio::test]
async fn failures_are_told_apart() {
    let refusing = Answers {
        status: 0xA700,
        ..Answers::default()
    };
    assert_eq!(asked(refusing).await.0, Asked::Refused(0xA700));
    let vanishing = Answers {
        vanishes: true,
        ..Answers::default()
    };
    assert!(matches!(asked(vanishing).await.0, Asked::Failed(_)));
    let site = Site::open("").await;
    let to = peer(site.address);
    assert_eq!(study(&to, &STUDY.parse().unwrap()).await, Asked::NotOffered);
    site.close().await;
    let gone = study(&to, &STUDY.parse().unwrap()).await;
    assert!(matches!(gone, Asked::Failed(why) if why.contains("does not accept")));
}

const REPORT: &str = "1.2.3.4.5";

fn report() -> Parcel {
    let mut dataset = Dataset::new();
    dataset.put_text(tags::SOP_INSTANCE_UID, VR::UI, REPORT);
    dataset.put_text(tags::STUDY_INSTANCE_UID, VR::UI, STUDY);
    dataset.put_text(tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.4");
    Parcel {
        study: STUDY.parse().unwrap(),
        class: "1.2.840.10008.5.1.4.1.1.88.22".parse().unwrap(),
        instance: REPORT.parse().unwrap(),
        syntax: EXPLICIT_VR_LITTLE_ENDIAN.parse().unwrap(),
        dataset: dataset.write().into(),
    }
}

fn object(uid: &str) -> Dataset {
    let mut dataset = Dataset::new();
    dataset.put_text(tags::SOP_INSTANCE_UID, VR::UI, uid);
    dataset.put_text(tags::QUERY_RETRIEVE_LEVEL, VR::CS, "IMAGE");
    dataset
}

async fn held(answers: Answers) -> (Holds, Dataset, u8) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (to, parcel) = (peer(listener.local_addr().unwrap()), report());
    let (held, (identifier, end)) = tokio::join!(holds(&to, &parcel), play(listener, answers));
    (held, identifier, end)
}

#[tokio::test]
async fn an_object_is_asked_for_by_all_its_keys_in_either_syntax() {
    for syntax in [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN] {
        let answers = Answers {
            syntax,
            found: vec![object(REPORT)],
            ..Answers::default()
        };
        let (said, identifier, end) = held(answers).await;
        assert_eq!((said, end), (Holds::Yes, pdu::RELEASE_RQ));
        let asked = [
            (tags::SOP_INSTANCE_UID, REPORT),
            (tags::QUERY_RETRIEVE_LEVEL, "IMAGE"),
            (tags::STUDY_INSTANCE_UID, STUDY),
            (tags::SERIES_INSTANCE_UID, "1.2.3.4"),
        ];
        let there: Vec<Tag> = identifier.iter().map(|(tag, _)| tag).collect();
        assert_eq!(there, asked.map(|(tag, _)| tag));
        for (tag, value) in asked {
            assert_eq!(identifier.code(tag), value);
        }
    }
}

/// What does not say yes or no says nothing: an answer about other objects least of all.
#[tokio::test]
async fn only_an_answer_about_the_object_itself_counts() {
    let finding = |found: Vec<Dataset>| Answers {
        found,
        ..Answers::default()
    };
    let failing = |status, vanishes| Answers {
        found: vec![object(REPORT)],
        status,
        vanishes,
        ..Answers::default()
    };
    for (answers, expect) in [
        (finding(vec![]), Holds::No),
        (finding(vec![object("1.2.9"), object(REPORT)]), Holds::Yes),
        (finding(vec![object("1.2.9")]), Holds::Unsaid),
        (finding(vec![object("1.2.9"); 50]), Holds::Unsaid),
        (finding(vec![Dataset::new()]), Holds::Unsaid),
        (failing(0xA700, false), Holds::Unsaid),
        (failing(0xC000, false), Holds::Unsaid),
        (failing(0, true), Holds::Unsaid),
    ] {
        assert_eq!(held(answers).await.0, expect);
    }
    let site = Site::open("").await;
    let to = peer(site.address);
    assert_eq!(holds(&to, &report()).await, Holds::Unsaid, "not offered");
    let mut unreadable = report();
    unreadable.dataset = vec![1, 2, 3].into();
    assert_eq!(holds(&to, &unreadable).await, Holds::Unsaid);
    site.close().await;
    let gone = holds(&to, &report()).await;
    assert!(matches!(gone, Holds::Unreached(why) if why.contains("does not accept")));
}
