//! Every message of the link, once with UIDs of the site in each of its fields: none of them leaves, and what comes back is led home.

use std::collections::BTreeSet;

use causeway_proto::digest::Digest;
use causeway_proto::ids::{CaseCode, Priority, Purpose};
use causeway_proto::link::codec::{KINDS, Speaker};
use causeway_proto::link::message::{
    Again, AgainKey, AuditHead, ContextHeld, Deleted, DeliveryState, GoAway, Have, Held,
    HelloAgent, LetterState, LetterStep, Noted, Recalled, Receipt, Refused, Report, Sealed,
    Trailer,
};
use causeway_proto::time::Timestamp;

use super::*;
use crate::spool::Config;
use crate::spool::tests::{Bench, What};

const STUDY: &str = "1.3.12.2.1107.5.1.4.77001";
const SERIES: &str = "1.3.12.2.1107.5.1.4.77002";
const INSTANCE: &str = "1.3.12.2.1107.5.1.4.77003";
const HOMES: [&str; 3] = [STUDY, SERIES, INSTANCE];
const AT: Timestamp = Timestamp(1_700_000_000_000_000);

/// A site that asks for other UIDs itself, with one object.
async fn site() -> (Bench, CaseCode) {
    let mut config = Config::default();
    config.agreement.require = vec!["replace-uids".to_owned()];
    let bench = Bench::strict(config).await;
    bench.greet(1, 0).await;
    bench.store(&What::image(STUDY, INSTANCE)).await.unwrap();
    let code: String = sqlx::query_scalar("SELECT case_code FROM study")
        .fetch_one(bench.spool.rows().read())
        .await
        .unwrap();
    let case = code.parse().unwrap();
    (bench, case)
}

fn agreement() -> AgreementId {
    "a1".parse().unwrap()
}

fn study(uid: &str) -> StudyUid {
    uid.parse().unwrap()
}

fn key(instance: &str) -> InstanceKey {
    InstanceKey {
        agreement: agreement(),
        instance: instance.parse().unwrap(),
        source_tag: Digest::of(b"source"),
    }
}

/// A text of a person that names all three.
fn words([study, series, instance]: [&str; 3]) -> String {
    format!("Study {study}, series {series}: see {instance}.")
}

/// What an agent says, about these three.
fn said(uids: [&str; 3], case: &CaseCode) -> Vec<Message> {
    let [of, _, instance] = uids;
    let (agreement, words) = (agreement(), words(uids));
    let facts = Facts::default().map(|_, _| words.clone());
    let mut said = images(uids);
    said.extend([
        Message::from(Open {
            study: study(of),
            agreement: agreement.clone(),
            purpose: Purpose::Read,
            priority: Priority::Stat,
            case: case.clone(),
            first_received: AT,
            blocked: Some(words.clone()),
            remarks: vec![words.clone()],
            identity: None,
        }),
        Progress {
            study: study(of),
            agreement: agreement.clone(),
            at_site: 1,
            held: 0,
        }
        .into(),
        Recall {
            study: study(of),
            agreement: agreement.clone(),
            reason: words.clone(),
        }
        .into(),
        DeletedNoted {
            study: study(of),
            agreement: agreement.clone(),
            at: AT,
        }
        .into(),
        NotKept {
            study: study(of),
            agreement: agreement.clone(),
            instances: vec![instance.parse().unwrap()],
        }
        .into(),
        Context {
            study: study(of),
            agreement: agreement.clone(),
            version: 1,
            facts,
        }
        .into(),
        Letter {
            id: "letter".to_owned(),
            agreement,
            case: case.clone(),
            written: AT,
            who: "site".to_owned(),
            text: words,
        }
        .into(),
    ]);
    said
}

/// What it says of images.
fn images(uids: [&str; 3]) -> Vec<Message> {
    let [of, series, instance] = uids;
    let (agreement, words) = (agreement(), words(uids));
    vec![
        Message::from(Query {
            keys: vec![key(instance)],
        }),
        Instance {
            study: study(of),
            series: series.parse().unwrap(),
            instance: instance.parse().unwrap(),
            class: "1.2.840.10008.5.1.4.1.1.2".parse().unwrap(),
            syntax: "1.2.840.10008.1.2.1".parse().unwrap(),
            agreement: agreement.clone(),
            source_tag: Digest::of(b"source"),
            coding: 0,
            offset: 0,
        }
        .into(),
        Manifest {
            study: study(of),
            agreement,
            version: 1,
            entries: vec![ManifestEntry {
                instance: instance.parse().unwrap(),
                sent_digest: Digest::of(b"sent"),
                length: 4,
            }],
            withheld: vec![Withheld {
                class: "1.2.840.10008.5.1.4.1.1.2".parse().unwrap(),
                modality: "CT".to_owned(),
                count: 1,
                reason: words,
            }],
            basis: "silence".to_owned(),
            sealed_at: AT,
            reports: None,
        }
        .into(),
    ]
}

/// What both say, or an agent without naming an agreement.
fn of_nobody() -> Vec<Message> {
    vec![
        Message::from(Delivery {
            delivery: "d".to_owned(),
            destination: "pacs".to_owned(),
            form: "sr".to_owned(),
            state: DeliveryState::Waiting,
            sentence: words(HOMES),
            next_try: None,
            since: AT,
        }),
        Hello {
            version_min: 1,
            version_max: 1,
            now: AT,
            software: "causeway-agent".to_owned(),
            agent: Some(HelloAgent {
                spool: "spool".to_owned(),
                session: 1,
                epoch_seen: 0,
                receipt_seen: 0,
            }),
            gateway: None,
        }
        .into(),
        GoAway {
            retry_after_ms: 1,
            sentence: "restarting".to_owned(),
        }
        .into(),
        AuditHead {
            sequence: 0,
            digest: Digest([0; 32]),
            at: AT,
            held: None,
            again: None,
        }
        .into(),
        Trailer {
            length: 4,
            digest: Digest::of(b"sent"),
        }
        .into(),
        LetterState {
            id: "letter".to_owned(),
            step: LetterStep::Read,
            at: AT,
        }
        .into(),
    ]
}

fn receipt(instance: &str) -> Receipt {
    Receipt {
        key: key(instance),
        sent_digest: Digest::of(b"sent"),
        length: 4,
        number: 1,
        epoch: 1,
        quarantined: false,
    }
}

/// What a gateway says, about these three; `written` by a reader.
fn heard(uids: [&str; 3], case: &CaseCode) -> Vec<Message> {
    let [of, _, instance] = uids;
    let (agreement, words) = (agreement(), words(uids));
    let mut heard = vec![
        Message::from(Have {
            entries: vec![Held {
                key: key(instance),
                offset: 4,
                receipt: Some(receipt(instance)),
            }],
        }),
        receipt(instance).into(),
        Refused {
            key: Some(key(instance)),
            study: study(of),
            agreement: agreement.clone(),
            code: 1,
            sentence: words,
            retry_after_ms: None,
        }
        .into(),
        Sealed {
            study: study(of),
            agreement,
            version: 1,
            missing: vec![instance.parse().unwrap()],
        }
        .into(),
    ];
    heard.extend(of_cases(uids, case));
    heard
}

/// What it says of studies and cases.
fn of_cases(uids: [&str; 3], case: &CaseCode) -> Vec<Message> {
    let [of, _, instance] = uids;
    let (agreement, words) = (agreement(), words(uids));
    vec![
        Message::from(Recalled {
            study: study(of),
            agreement: agreement.clone(),
        }),
        Deleted {
            study: study(of),
            agreement: agreement.clone(),
            why: "recalled".to_owned(),
            objects: 1,
            bytes: 4,
            parts: 0,
            reports: 0,
            at: AT,
            opened: Vec::new(),
            more: 0,
        }
        .into(),
        Again {
            study: study(of),
            agreement: agreement.clone(),
            instances: vec![AgainKey {
                instance: instance.parse().unwrap(),
                sent_digest: Digest::of(b"sent"),
            }],
        }
        .into(),
        ContextHeld {
            study: study(of),
            agreement: agreement.clone(),
            version: 1,
        }
        .into(),
        Letter {
            id: "letter".to_owned(),
            agreement: agreement.clone(),
            case: case.clone(),
            written: AT,
            who: "reader".to_owned(),
            text: words,
        }
        .into(),
        Report {
            delivery: "d".to_owned(),
            study: study(of),
            agreement,
            instance: "2.25.99".parse().unwrap(),
            class: "1.2.840.10008.5.1.4.1.1.88.22".parse().unwrap(),
            syntax: "1.2.840.10008.1.2.1".parse().unwrap(),
            case: case.clone(),
            signed_at: AT,
            status: "final".to_owned(),
            signer_crl: None,
        }
        .into(),
        Noted {
            delivery: "d".to_owned(),
            destination: "pacs".to_owned(),
            form: "sr".to_owned(),
            state: DeliveryState::Waiting,
            since: AT,
        }
        .into(),
    ]
}

fn names(messages: &[Message]) -> BTreeSet<&'static str> {
    messages.iter().map(|it| it.kind().name).collect()
}

fn holds(bytes: &[u8], uid: &str) -> bool {
    bytes.windows(uid.len()).any(|it| it == uid.as_bytes())
}

/// What stands for the three.
fn replaced(bench: &Bench) -> [String; 3] {
    HOMES.map(|uid| bench.spool.said_for(&agreement(), uid).unwrap())
}

#[tokio::test]
async fn no_message_of_an_agent_says_a_uid_of_the_site() {
    let (bench, case) = site().await;
    let alias = Alias::new(bench.spool.clone());
    let others = replaced(&bench);
    let others = [&*others[0], &*others[1], &*others[2]];
    let messages = [said(HOMES, &case), of_nobody()].concat();
    let ours = KINDS
        .iter()
        .filter(|it| it.speaker != Some(Speaker::Gateway));
    let ours: BTreeSet<_> = ours.map(|it| it.name).collect();
    assert_eq!(names(&messages), ours, "a message has no sample here");
    for message in messages {
        let name = message.kind().name;
        let mut bytes = Vec::new();
        let leaving = alias.out(message).await.unwrap();
        leaving.encode(&mut bytes).unwrap();
        assert!(!bytes.is_empty());
        for uid in HOMES {
            assert!(!holds(&bytes, uid), "{name} says {uid}");
        }
    }
    // and what it says is the same about the other three
    for (home, other) in said(HOMES, &case).into_iter().zip(said(others, &case)) {
        let leaving = alias.out(home).await.unwrap();
        assert_eq!(leaving.0, other);
    }
    for message in heard(HOMES, &case) {
        let ours = matches!(message, Message::Letter(_));
        assert_eq!(alias.out(message).await.is_ok(), ours, "not an agent's");
    }
}

#[tokio::test]
async fn what_a_gateway_says_of_other_uids_is_led_home() {
    let (bench, case) = site().await;
    let alias = Alias::new(bench.spool.clone());
    let others = replaced(&bench);
    let pairs = HOMES.map(str::to_owned).into_iter().zip(others.clone());
    let pairs = pairs.collect();
    bench.spool.note_uids(&agreement(), &pairs).await.unwrap();
    let said = heard([&others[0], &others[1], &others[2]], &case);
    let theirs = KINDS
        .iter()
        .filter(|it| it.speaker == Some(Speaker::Gateway));
    let mut theirs: BTreeSet<_> = theirs.map(|it| it.name).collect();
    theirs.insert("LETTER");
    assert_eq!(names(&said), theirs, "a message has no sample here");
    for (said, home) in said.into_iter().zip(heard(HOMES, &case)) {
        assert_eq!(alias.home(said).await.unwrap(), home);
    }
    for message in of_nobody() {
        assert_eq!(alias.home(message.clone()).await.unwrap(), message);
    }
}

#[tokio::test]
async fn what_nothing_is_known_of_is_not_said() {
    let (bench, case) = site().await;
    let alias = Alias::new(bench.spool.clone());
    let unknown = ["1.2.9", "1.2.9.1", "1.2.9.1.1"];
    for message in said(unknown, &case) {
        let name = message.kind().name;
        let said = alias.out(message).await;
        let by_case = name == "LETTER";
        assert_eq!(said.is_ok(), by_case, "{name}");
    }
}

#[tokio::test]
async fn uids_that_are_kept_leave_as_they_are() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&What::image(STUDY, INSTANCE)).await.unwrap();
    let opened = bench.spool.studies_to_open().await.unwrap();
    let alias = Alias::new(bench.spool.clone());
    for message in said(HOMES, &opened[0].open.case) {
        let leaving = alias.out(message.clone()).await.unwrap();
        assert_eq!(leaving.0, message);
    }
}

/// Nothing else of the link can write a message to the line.
#[test]
fn nothing_but_this_file_encodes_a_message() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/link");
    let mut looked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() || name == "alias.rs" {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let import = text.split("use ").filter(|it| it.contains("link::codec"));
        for import in import {
            let import = import.split(';').next().unwrap();
            let words: Vec<&str> = import
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .collect();
            assert!(!words.contains(&"encode"), "{name}: {import}");
        }
        assert!(!text.contains("codec::encode("), "{name}");
        looked += 1;
    }
    assert!(looked >= 6, "{looked} files");
}
