//! The sender against our own listener and against providers that answer in every other way.

use dicom_ul::Pdu;
use dicom_ul::pdu::{
    AbortRQSource, AssociationAC, PresentationContextResult, PresentationContextResultReason,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

mod returned;

use super::*;
use crate::delivery::PageImage;
use crate::dicom::command;
use crate::dicom::listen::tests::Site;
use crate::dicom::pdu;

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";

fn destination(address: impl ToString) -> Destination {
    Destination {
        name: "pacs".to_owned(),
        ae_title: "CAUSEWAY".parse().unwrap(),
        address: address.to_string(),
        calling_ae_title: "PACS".parse().unwrap(),
        page_image: PageImage::Never,
    }
}

fn parcel(class: &str, dataset: Vec<u8>) -> Parcel {
    Parcel {
        study: "1.2.3".parse().unwrap(),
        class: class.parse().unwrap(),
        instance: "1.2.3.4".parse().unwrap(),
        syntax: EXPLICIT.parse().unwrap(),
        dataset: dataset.into(),
    }
}

/// The least that our listener files, and then `more` bytes of pixels.
fn dataset(more: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |tag: [u8; 4], value: &str| {
        out.extend(tag);
        out.extend(b"UI");
        let padded = value.len().next_multiple_of(2);
        out.extend(u16::try_from(padded).unwrap().to_le_bytes());
        out.extend(value.bytes());
        out.resize(out.len() + padded - value.len(), 0);
    };
    put([0x08, 0, 0x16, 0], CT);
    put([0x08, 0, 0x18, 0], "1.2.3.4");
    put([0x20, 0, 0x0D, 0], "1.2.3");
    put([0x20, 0, 0x0E, 0], "1.2.3.1");
    out.extend([0xE0, 0x7F, 0x10, 0, b'O', b'W', 0, 0]);
    out.extend(u32::try_from(more).unwrap().to_le_bytes());
    out.extend((0..more).map(|n| u8::try_from(n % 251).unwrap()));
    out
}

#[tokio::test]
async fn our_own_listener_holds_what_was_sent() {
    let site = Site::open("max_pdu_bytes = 16384").await;
    let to = destination(site.address);
    echo(&to).await.unwrap();
    let bytes = dataset(700_000);
    let outcome = store(&to, &parcel(CT, bytes.clone())).await;
    assert_eq!(outcome, SendOutcome::Stored(0));
    assert_eq!(site.held().await, [("1.2.3.4".to_owned(), bytes)]);
    let finding = parcel("1.2.840.10008.5.1.4.1.2.2.1", dataset(2));
    assert_eq!(store(&to, &finding).await, SendOutcome::NotNegotiated);
    let taken = offer(&to, &REPORT_FORMS).await.unwrap();
    assert!(taken.iter().all(|(_, taken)| *taken) && taken.len() == 5);
    site.close().await;
}

#[tokio::test]
async fn several_objects_go_over_one_line() {
    let site = Site::open("").await;
    let one = parcel(CT, dataset(10));
    let line = Line::open(&destination(site.address), &one.class, &one.syntax).await;
    let mut line = line.unwrap().unwrap();
    for _ in 0..3 {
        assert_eq!(line.store(&one).await, SendOutcome::Stored(0));
    }
    line.close().await;
    site.close().await;
}

/// What a provider of the table does.
#[derive(Clone, Copy)]
enum Doing {
    /// Writes this instead of an A-ASSOCIATE-AC and closes.
    Says(&'static [u8]),
    /// Accepts and answers with a status.
    Answers(u16),
    /// Accepts, takes everything, and closes.
    Vanishes,
    /// Accepts and aborts.
    Aborts,
    /// Accepts the context in a syntax that was not offered.
    OtherSyntax,
}

/// Plays a provider for one association; answers the longest P-DATA-TF that came.
async fn play(listener: TcpListener, doing: Doing) -> u32 {
    let (mut stream, _) = listener.accept().await.unwrap();
    let (_, body) = read(&mut stream).await.unwrap();
    if let Doing::Says(bytes) = doing {
        stream.write_all(bytes).await.unwrap();
        return 0;
    }
    let said = pdu::read_request(&body).unwrap();
    let proposed = &said.presentation_contexts[0];
    let syntax = match doing {
        Doing::OtherSyntax => "1.2.840.10008.1.2.2".to_owned(),
        _ => proposed.transfer_syntaxes[0].clone(),
    };
    let answered = PresentationContextResult {
        id: proposed.id,
        reason: PresentationContextResultReason::Acceptance,
        transfer_syntax: syntax,
    };
    let answer = AssociationAC {
        protocol_version: 1,
        called_ae_title: said.called_ae_title,
        calling_ae_title: said.calling_ae_title,
        application_context_name: said.application_context_name,
        presentation_contexts: vec![answered],
        user_variables: pdu::user_variables(1024),
    };
    say(&mut stream, answer).await;
    let (mut request, mut longest) = (Vec::new(), 0);
    while let Some((kind, body)) = read(&mut stream).await {
        match (kind, doing) {
            (pdu::P_DATA, Doing::Aborts) => {
                let source = AbortRQSource::ServiceUser;
                say(&mut stream, Pdu::AbortRQ { source }).await;
                break;
            }
            (pdu::P_DATA, _) => {
                longest = longest.max(u32::try_from(body.len()).unwrap());
                if body[5] & 1 == 1 {
                    request.extend(&body[6..]);
                } else if let (2, Doing::Answers(status)) = (body[5], doing) {
                    let request = command::read(&request).unwrap();
                    let response = command::write_response(&request, status, "TEST");
                    say(&mut stream, pdu::command(body[4], true, response)).await;
                } else if body[5] == 2 {
                    break;
                }
            }
            (pdu::RELEASE_RQ, _) => say(&mut stream, Pdu::ReleaseRP).await,
            _ => break,
        }
    }
    longest
}

async fn say(stream: &mut TcpStream, word: impl Into<Pdu>) {
    let bytes = pdu::encode(&word.into()).unwrap();
    stream.write_all(&bytes).await.unwrap();
}

async fn read(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 6];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([head[2], head[3], head[4], head[5]]);
    let mut body = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some((head[0], body))
}

async fn outcome(doing: Doing) -> SendOutcome {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = destination(listener.local_addr().unwrap());
    let parcel = parcel(CT, dataset(5000));
    let (outcome, longest) = tokio::join!(store(&to, &parcel), play(listener, doing));
    assert!(
        longest <= 1024,
        "a PDU of {longest} bytes to a peer that takes 1024"
    );
    outcome
}

#[tokio::test]
async fn every_status_becomes_its_outcome() {
    for stored in [0x0000, 0xB000, 0xB006, 0x0107, 0x0116] {
        assert_eq!(
            outcome(Doing::Answers(stored)).await,
            SendOutcome::Stored(stored)
        );
    }
    for refused in [0x0122, 0x0124, 0xA700, 0xA900, 0xC000] {
        assert_eq!(
            outcome(Doing::Answers(refused)).await,
            SendOutcome::Refused(refused)
        );
    }
    assert_eq!(
        outcome(Doing::OtherSyntax).await,
        SendOutcome::NotNegotiated
    );
}

/// All of it was written: who has it now is not known.
#[tokio::test]
async fn no_answer_to_the_whole_is_no_failure() {
    let outcome = outcome(Doing::Vanishes).await;
    let SendOutcome::Unanswered(sentence) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(sentence.contains("closed"), "{sentence}");
    // an abort may come before all of it is written
    let aborted = self::outcome(Doing::Aborts).await;
    assert!(
        matches!(
            &aborted,
            SendOutcome::Unanswered(_) | SendOutcome::Failed(_)
        ),
        "{aborted:?}"
    );
}

#[tokio::test]
async fn no_answer_is_a_sentence() {
    let check = async |doing: Doing, words: &str| match outcome(doing).await {
        SendOutcome::Failed(sentence) => assert!(sentence.contains(words), "{sentence}"),
        other => panic!("{other:?} instead of {words}"),
    };
    check(Doing::Says(&[3, 0, 0, 0, 0, 4, 0, 1, 1, 7]), "ae_title").await;
    check(
        Doing::Says(&[3, 0, 0, 0, 0, 4, 0, 1, 1, 3]),
        "calling_ae_title",
    )
    .await;
    check(
        Doing::Says(&[3, 0, 0, 0, 0, 4, 0, 2, 3, 1]),
        "congested, for now",
    )
    .await;
    check(Doing::Says(&[7, 0, 0, 0, 0, 4, 0, 0, 2, 0]), "aborted").await;
    check(
        Doing::Says(b"HTTP/1.1 400 Bad Request\r\n"),
        "does not speak DICOM",
    )
    .await;
    check(Doing::Says(&[]), "closed").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = destination(listener.local_addr().unwrap());
    drop(listener);
    let error = echo(&to).await.unwrap_err();
    assert!(error.to_string().contains("does not accept"), "{error}");
}
