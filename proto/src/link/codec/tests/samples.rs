//! One sample of every message, with the values of the hex vectors.

use super::super::{Code, Message};
use crate::audit::Head;
use crate::digest::Digest;
use crate::ids::{AgreementId, CaseCode, Priority, Purpose, StudyUid};
use crate::link::message::{
    Again, AgainKey, AuditHead, Context, ContextHeld, Deleted, DeletedNoted, Delivery,
    DeliveryState, Facts, GoAway, Have, Held, Hello, HelloAgent, Instance, InstanceKey, Letter,
    LetterState, LetterStep, Manifest, ManifestEntry, NotKept, Noted, Open, Opened, Progress,
    Query, Recall, Recalled, Receipt, Refused, Report, Sealed, Trailer, Withheld,
};
use crate::time::Timestamp;

fn study() -> StudyUid {
    "1.2.3".parse().unwrap()
}

fn agreement() -> AgreementId {
    "a1".parse().unwrap()
}

fn case() -> CaseCode {
    "33333333".parse().unwrap()
}

fn at() -> Timestamp {
    Timestamp(1_700_000_000_000_000)
}

fn key() -> InstanceKey {
    InstanceKey {
        agreement: agreement(),
        instance: "1.2.3.4".parse().unwrap(),
        source_tag: Digest([0x11; 32]),
    }
}

fn receipt() -> Receipt {
    Receipt {
        key: key(),
        sent_digest: Digest([0x22; 32]),
        length: 526_336,
        number: 7,
        epoch: 3,
        quarantined: false,
    }
}

fn images_out() -> Vec<Message> {
    vec![
        Hello {
            version_min: 1,
            version_max: 1,
            now: at(),
            software: "causeway-agent 0.1.0".to_owned(),
            agent: Some(HelloAgent {
                spool: "0011223344556677".to_owned(),
                session: 12,
                epoch_seen: 3,
                receipt_seen: 6,
            }),
            gateway: None,
        }
        .into(),
        Open {
            study: study(),
            agreement: agreement(),
            purpose: Purpose::Read,
            priority: Priority::Stat,
            case: case(),
            first_received: at(),
            blocked: Some("Images of another patient.".to_owned()),
            remarks: vec!["1 overlay removed at the site".to_owned()],
            identity: Some("not-established".to_owned()),
        }
        .into(),
        Query { keys: vec![key()] }.into(),
        Have {
            entries: vec![Held {
                key: key(),
                offset: 4096,
                receipt: Some(receipt()),
            }],
        }
        .into(),
        Progress {
            study: study(),
            agreement: agreement(),
            at_site: 61,
            held: 1,
        }
        .into(),
        receipt().into(),
    ]
}

fn answers_and_states() -> Vec<Message> {
    vec![
        Refused {
            key: Some(key()),
            study: study(),
            agreement: agreement(),
            code: Code::Busy.number(),
            sentence: "The archive has no room.".to_owned(),
            retry_after_ms: Some(30_000),
        }
        .into(),
        Sealed {
            study: study(),
            agreement: agreement(),
            version: 1,
            missing: vec!["1.2.3.5".parse().unwrap()],
        }
        .into(),
        Recall {
            study: study(),
            agreement: agreement(),
            reason: "wrong patient".to_owned(),
        }
        .into(),
        Recalled {
            study: study(),
            agreement: agreement(),
        }
        .into(),
        Delivery {
            delivery: "d1".to_owned(),
            destination: "pacs".to_owned(),
            form: "sr".to_owned(),
            state: DeliveryState::Delivered,
            sentence: "Stored.".to_owned(),
            next_try: None,
            since: at(),
        }
        .into(),
        Noted {
            delivery: "d1".to_owned(),
            destination: "pacs".to_owned(),
            form: "sr".to_owned(),
            state: DeliveryState::Delivered,
            since: at(),
        }
        .into(),
        GoAway {
            retry_after_ms: 5000,
            sentence: "The gateway restarts.".to_owned(),
        }
        .into(),
        AuditHead {
            sequence: 4711,
            digest: Digest([0x33; 32]),
            at: at(),
            held: Some(Head {
                sequence: 12,
                digest: Digest([0x44; 32]),
            }),
            again: Some(Head {
                sequence: 4700,
                digest: Digest([0x55; 32]),
            }),
        }
        .into(),
    ]
}

fn streams() -> Vec<Message> {
    vec![
        Instance {
            study: study(),
            series: "1.2.3.9".parse().unwrap(),
            instance: "1.2.3.4".parse().unwrap(),
            class: "1.2.840.10008.5.1.4.1.1.2".parse().unwrap(),
            syntax: "1.2.840.10008.1.2.1".parse().unwrap(),
            agreement: agreement(),
            source_tag: Digest([0x11; 32]),
            coding: 0,
            offset: 4096,
        }
        .into(),
        Manifest {
            study: study(),
            agreement: agreement(),
            version: 1,
            entries: vec![ManifestEntry {
                instance: "1.2.3.4".parse().unwrap(),
                sent_digest: Digest([0x22; 32]),
                length: 526_336,
            }],
            withheld: vec![Withheld {
                class: "1.2.840.10008.5.1.4.1.1.7".parse().unwrap(),
                modality: "OT".to_owned(),
                count: 1,
                reason: "text in the image".to_owned(),
            }],
            basis: "silence".to_owned(),
            sealed_at: at(),
            reports: Some(vec!["1.2.3.8".parse().unwrap()]),
        }
        .into(),
        Report {
            delivery: "d1".to_owned(),
            study: study(),
            agreement: agreement(),
            instance: "1.2.3.8".parse().unwrap(),
            class: "1.2.840.10008.5.1.4.1.1.88.22".parse().unwrap(),
            syntax: "1.2.840.10008.1.2.1".parse().unwrap(),
            case: case(),
            signed_at: at(),
            status: "final".to_owned(),
            signer_crl: Some(vec![0x30, 0x00].into()),
        }
        .into(),
        Trailer {
            length: 526_336,
            digest: Digest([0x22; 32]),
        }
        .into(),
    ]
}

fn deletions() -> Vec<Message> {
    vec![
        Deleted {
            study: study(),
            agreement: agreement(),
            why: "recalled".to_owned(),
            objects: 3,
            bytes: 1_579_008,
            parts: 1,
            reports: 0,
            at: at(),
            opened: vec![Opened {
                account: "rita".to_owned(),
                name: "Rita Reader".to_owned(),
                organisation: "Night Readers".to_owned(),
                first: at(),
                last: at(),
                what: vec!["case".to_owned(), "images".to_owned()],
            }],
            more: 0,
        }
        .into(),
        DeletedNoted {
            study: study(),
            agreement: agreement(),
            at: at(),
        }
        .into(),
        Again {
            study: study(),
            agreement: agreement(),
            instances: vec![AgainKey {
                instance: "1.2.3.4".parse().unwrap(),
                sent_digest: Digest([0x22; 32]),
            }],
        }
        .into(),
        NotKept {
            study: study(),
            agreement: agreement(),
            instances: vec!["1.2.3.4".parse().unwrap()],
        }
        .into(),
    ]
}

fn talk() -> Vec<Message> {
    vec![
        Context {
            study: study(),
            agreement: agreement(),
            version: 1_700_000_000_000_000,
            facts: Facts {
                question: "Αιμορραγία;".to_owned(),
                contrast: "none".to_owned(),
                renal: "eGFR 54".to_owned(),
                renal_date: "2026-11-20".to_owned(),
                allergy: "none known".to_owned(),
                pregnancy: "no".to_owned(),
                weight_kg: "71".to_owned(),
                call_role: "emergency doctor".to_owned(),
                call_number: "+30 21 0000 0000".to_owned(),
            },
        }
        .into(),
        ContextHeld {
            study: study(),
            agreement: agreement(),
            version: 1_700_000_000_000_000,
        }
        .into(),
        Letter {
            id: "0011223344556677".to_owned(),
            agreement: agreement(),
            case: case(),
            written: at(),
            who: "radiographer".to_owned(),
            text: "The second series has moved.".to_owned(),
        }
        .into(),
        LetterState {
            id: "0011223344556677".to_owned(),
            step: LetterStep::Read,
            at: at(),
        }
        .into(),
    ]
}

/// One sample of every message, in the order of the table.
pub(super) fn samples() -> Vec<Message> {
    [
        images_out(),
        answers_and_states(),
        streams(),
        deletions(),
        talk(),
    ]
    .concat()
}
