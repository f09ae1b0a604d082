//! Tests of the outbox, the parcel and the words, one rule at a time; the whole stands in `link::pair`.

use super::*;
use crate::digest::ContentHasher;
use crate::link::close::Code;
use crate::link::message::{Report, Trailer};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_report_rests_until_the_agents_word_is_late() {
    let mut outbox = Outbox::new(Bounds {
        streams: 1,
        held: 2,
        answer: at(30),
    });
    for id in ["a", "b", "c", "a"] {
        outbox.offered(id.to_owned());
    }
    assert_eq!(outbox.under_way().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(outbox.step(at(0)).as_deref(), Some("a"));
    assert_eq!(outbox.step(at(0)), None, "one stream");
    outbox.ended(at(1), "a");
    assert_eq!(outbox.step(at(1)).as_deref(), Some("b"));
    outbox.told("b");
    assert_eq!(outbox.step(at(30)), None);
    assert_eq!(outbox.step(at(31)).as_deref(), Some("a"));
    outbox.told("a");
    assert_eq!(outbox.under_way().count(), 0);
}

fn word(state: DeliveryState, since: i64) -> Delivery {
    Delivery {
        delivery: "d".to_owned(),
        destination: "pacs".to_owned(),
        form: "sr".to_owned(),
        state,
        sentence: String::new(),
        next_try: None,
        since: Timestamp(since),
    }
}

#[test]
fn a_word_is_said_once_on_a_connection_and_noted_only_by_its_own_answer() {
    let mut words = Words::new();
    let (first, second) = (
        word(DeliveryState::AtSite, 1),
        word(DeliveryState::Delivered, 2),
    );
    assert!(words.say(&first, 8));
    assert!(!words.say(&first, 8));
    assert!(words.say(&second, 8), "the row has changed");
    assert!(!words.noted(&noted(&first)), "the older word's answer");
    assert!(words.noted(&noted(&second)));
    assert!(!words.noted(&noted(&second)));
}

#[test]
fn words_without_an_answer_are_bounded() {
    let mut words = Words::new();
    let other = Delivery {
        form: "pdf".to_owned(),
        ..word(DeliveryState::AtSite, 1)
    };
    assert!(words.say(&word(DeliveryState::AtSite, 1), 1));
    assert!(!words.say(&other, 1));
    assert!(
        words.say(&word(DeliveryState::Delivered, 2), 1),
        "the same row"
    );
}

fn parcel(data: &[u8], length: u64, announced: &[u8]) -> Result<Vec<u8>, Code> {
    let report = Report {
        delivery: "d".to_owned(),
        study: "1.2".parse().unwrap(),
        agreement: "a".parse().unwrap(),
        instance: "1.3".parse().unwrap(),
        class: "1.4".parse().unwrap(),
        syntax: "1.2.840.10008.1.2.1".parse().unwrap(),
        case: "33333333".parse().unwrap(),
        signed_at: Timestamp(0),
        status: "final".to_owned(),
        signer_crl: None,
    };
    let mut hasher = ContentHasher::new(&report.syntax);
    hasher.update(announced);
    let mut parcel = Parcel::begin(&report);
    parcel.data(data)?;
    parcel.finish(&Trailer {
        length,
        digest: hasher.finish(),
    })
}

#[test]
fn a_parcel_is_whole_or_nothing() {
    assert_eq!(parcel(b"report", 6, b"report"), Ok(b"report".to_vec()));
    assert_eq!(parcel(b"report", 7, b"report"), Err(Code::Truncated));
    assert_eq!(parcel(b"report", 6, b"REPORT"), Err(Code::DigestMismatch));
    let large = vec![0; REPORT_MAX_BYTES + 1];
    assert_eq!(parcel(&large, 0, b""), Err(Code::TooLarge));
}
