//! A PACS that stores, loses its answers, refuses, is away, or takes its time; and the one that is asked for the patient.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use causeway_proto::dataset::Dataset;
use causeway_proto::ids::StudyUid;
use causeway_proto::random::Random;
use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::super::{DUPLICATE, Holds, Parcel, SendOutcome, Store};
use crate::derive;
use crate::restore::{Asked, Config, Find, Restoring, Unseal};
use crate::spool::tests::seeded;

/// How it is with it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// Anything may happen.
    Moody,
    Away,
    /// It is there, and refuses whatever comes.
    Refusing,
    /// It takes no structured reports.
    Picky,
}

pub(super) const MOODS: [Mood; 7] = [
    Mood::Well,
    Mood::Moody,
    Mood::Moody,
    Mood::Moody,
    Mood::Away,
    Mood::Refusing,
    Mood::Picky,
];

/// What has come to it.
#[derive(Clone, Debug)]
pub(super) enum Came {
    Sent(Parcel),
    /// Whether it holds this.
    Asked(String),
}

#[derive(Debug)]
pub(super) struct Side {
    chance: Random,
    pub(super) mood: Mood,
    /// Whether it can be asked for a single object.
    answers: bool,
    refuses_duplicates: bool,
    pub(super) held: BTreeMap<String, Parcel>,
    /// It has answered that it has these.
    pub(super) said: BTreeSet<String>,
    /// Of these it has answered that it takes none of their kind; and how often it has refused them otherwise.
    pub(super) never: BTreeSet<String>,
    pub(super) refusals: BTreeMap<String, u64>,
    pub(super) came: Vec<Came>,
    /// Somebody waits for its answer, and it has not made up its mind.
    pub(super) hangs: bool,
    pub(super) counts: BTreeMap<&'static str, u64>,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Pacs(Arc<Mutex<Side>>);

impl Pacs {
    pub(super) fn new(seed: u64) -> Self {
        let chance = seeded(seed.wrapping_mul(0xD134_2543_DE82_EF95));
        Self(Arc::new(Mutex::new(Side {
            answers: chance.below(3) > 0,
            refuses_duplicates: chance.below(2) == 0,
            chance,
            mood: Mood::Moody,
            held: BTreeMap::new(),
            said: BTreeSet::new(),
            never: BTreeSet::new(),
            refusals: BTreeMap::new(),
            came: Vec::new(),
            hangs: false,
            counts: BTreeMap::new(),
        })))
    }

    pub(super) fn side(&self) -> MutexGuard<'_, Side> {
        self.0.lock().unwrap()
    }

    fn below(&self, bound: u64) -> u64 {
        self.side().chance.below(bound)
    }

    fn count(&self, what: &'static str) {
        *self.side().counts.entry(what).or_insert(0) += 1;
    }

    /// Now and then, once in so many times, nothing goes on before it is [`Side::hangs`] no more.
    async fn pause(&self, odds: u64) {
        let moody = self.side().mood == Mood::Moody;
        if moody && self.below(odds) == 0 {
            self.side().hangs = true;
            poll_fn(|_| match self.side().hangs {
                true => Poll::Pending,
                false => Poll::Ready(()),
            })
            .await;
        }
        for _ in 0..self.below(3) {
            tokio::task::yield_now().await;
        }
    }

    pub(super) fn store(&self) -> Store {
        let (storing, asked) = (self.clone(), self.clone());
        let store = Store::new(move |_, parcel| {
            let pacs = storing.clone();
            Box::pin(async move { pacs.stores(parcel).await })
        });
        store.asking(move |_, parcel| {
            let pacs = asked.clone();
            Box::pin(async move { pacs.holds(parcel).await })
        })
    }

    async fn stores(&self, parcel: Parcel) -> SendOutcome {
        let uid = parcel.instance.to_string();
        let draw = self.below(16);
        let mood = self.side().mood;
        self.side().came.push(Came::Sent(parcel.clone()));
        self.pause(4).await;
        let is_report = parcel.class.as_str() != derive::CLASS;
        let there = self.side().held.contains_key(&uid);
        let lost = || SendOutcome::Unanswered("the connection was closed".to_owned());
        let outcome = match (mood, draw) {
            (Mood::Away, _) | (Mood::Moody, 0..=1) => SendOutcome::Failed("away".to_owned()),
            (Mood::Refusing, _) | (Mood::Moody, 2..=3) => SendOutcome::Refused(0xC000),
            (Mood::Picky, _) if is_report => SendOutcome::NotNegotiated,
            (Mood::Moody, 4) => SendOutcome::Refused(0x0122),
            (Mood::Moody, 5..=6) => SendOutcome::Refused(0xA700),
            (Mood::Moody, 7) => lost(),
            _ if there && self.side().refuses_duplicates => SendOutcome::Refused(DUPLICATE),
            (mood, draw) => {
                self.side().held.insert(uid.clone(), parcel);
                self.pause(4).await;
                match (mood, draw) {
                    (Mood::Moody, 8..=10) => lost(),
                    (_, 11) => SendOutcome::Stored(0xB000),
                    _ => SendOutcome::Stored(0),
                }
            }
        };
        self.note(&uid, &outcome);
        outcome
    }

    fn note(&self, uid: &str, outcome: &SendOutcome) {
        let mut side = self.side();
        let word = match outcome {
            SendOutcome::Stored(_) | SendOutcome::Refused(DUPLICATE) => {
                side.said.insert(uid.to_owned());
                "stored"
            }
            SendOutcome::NotNegotiated | SendOutcome::Refused(0x0122) => {
                side.never.insert(uid.to_owned());
                "never taken"
            }
            SendOutcome::Refused(_) => {
                *side.refusals.entry(uid.to_owned()).or_insert(0) += 1;
                "refused"
            }
            SendOutcome::Unanswered(_) => "answer lost",
            SendOutcome::Failed(_) | SendOutcome::There => "away",
        };
        *side.counts.entry(word).or_insert(0) += 1;
    }

    async fn holds(&self, parcel: Parcel) -> Holds {
        let uid = parcel.instance.to_string();
        self.side().came.push(Came::Asked(uid.clone()));
        self.pause(2).await;
        let mood = self.side().mood;
        if mood == Mood::Away || (mood == Mood::Moody && self.below(8) == 0) {
            return Holds::Unreached("away".to_owned());
        }
        if !self.side().answers {
            return Holds::Unsaid;
        }
        if self.side().held.contains_key(&uid) {
            self.side().said.insert(uid);
            self.count("found there");
            return Holds::Yes;
        }
        self.count("found missing");
        Holds::No
    }

    /// As the one that knows whose study it is.
    pub(super) fn knows(&self) -> Restoring {
        let pacs = self.clone();
        Restoring {
            config: Config::default(),
            find: Find::new(move |study| {
                let pacs = pacs.clone();
                Box::pin(async move { pacs.says(&study).await })
            }),
            unseal: Unseal::new(|_, _, _| None),
            is_placeholder: Arc::new(|_| false),
        }
    }

    async fn says(&self, study: &StudyUid) -> Asked {
        self.pause(4).await;
        let draw = self.below(10);
        let mood = self.side().mood;
        let patient = match (mood, draw) {
            (Mood::Away, _) | (Mood::Moody, 0) => return Asked::Failed("away".to_owned()),
            (Mood::Refusing, _) | (Mood::Moody, 1) => return Asked::Refused(0xA700),
            (Mood::Moody, 2) => return Asked::Found(Vec::new()),
            (Mood::Moody, 3) => "PID-2",
            _ => "PID-1",
        };
        let mut answer = Dataset::new();
        answer.put_text(tags::STUDY_INSTANCE_UID, VR::UI, study.as_str());
        answer.put_text(tags::PATIENT_ID, VR::LO, patient);
        answer.put_text(tags::PATIENT_NAME, VR::PN, "Test^One");
        Asked::Found(vec![answer])
    }
}
