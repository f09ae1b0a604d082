//! Faults on the way home: the report of one study is harmed, that of another patient is not.

mod asked;
mod kept;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use causeway_proto::dataset::{Dataset, Value};
use causeway_proto::report::{signature, sr};
use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::super::*;
use super::stand::{Table, sql, text};
use crate::keys::Keys;
use crate::restore::sample::{as_sent, document};
use crate::restore::{Asked, Config, Find, Truth, Unseal};
use crate::spool::disk::memory::Call;
use crate::spool::tests::{Bench, What};

const HARMED: &str = "1.2.3";
const NEIGHBOUR: &str = "1.2.4";
/// The row of the harmed report.
const ROW: &str = "(SELECT id FROM report WHERE study_uid = '1.2.3')";

/// A PACS that takes everything but the harmed report, and keeps what it was sent.
#[derive(Clone)]
struct Archive {
    harmed: SendOutcome,
    received: Arc<Mutex<Vec<Parcel>>>,
}

impl Archive {
    fn new(harmed: SendOutcome) -> Self {
        let received = Arc::default();
        Self { harmed, received }
    }

    fn store(&self) -> Store {
        let archive = self.clone();
        Store::new(move |_, parcel| {
            let answer = match parcel.study.as_str() {
                HARMED => archive.harmed.clone(),
                _ => SendOutcome::Stored(0),
            };
            archive.received.lock().unwrap().push(parcel);
            Box::pin(async move { answer })
        })
    }

    /// The studies whose report it was sent: each under its own patient, each with a signature that holds.
    fn studies(&self) -> Vec<String> {
        let mut studies = Vec::new();
        for parcel in self.received.lock().unwrap().iter() {
            let dataset = Dataset::read(&parcel.dataset, &parcel.syntax).unwrap();
            signature::verify_dataset(&dataset).unwrap();
            assert!(dataset.get(tags::PATIENT_IDENTITY_REMOVED).is_none());
            let study = dataset.code(tags::STUDY_INSTANCE_UID);
            let patient = if study == HARMED { "PID-1" } else { "PID-4" };
            assert_eq!(dataset.code(tags::PATIENT_ID), patient, "misfiled");
            studies.push(study);
        }
        studies.sort();
        studies.dedup();
        studies
    }
}

/// Both studies are known, and nothing has come home yet.
struct Site {
    bench: Bench,
    deliveries: Deliveries,
    archive: Archive,
}

impl Site {
    async fn new(answer: SendOutcome) -> Self {
        let bench = Bench::new().await;
        for (study, instance, patient) in [
            (HARMED, "1.2.3.1", "PID-1"),
            (NEIGHBOUR, "1.2.4.1", "PID-4"),
        ] {
            let what = What {
                patient,
                ..What::image(study, instance)
            };
            bench.store(&what).await.unwrap();
        }
        let deliveries = open(&bench).await;
        let archive = Archive::new(answer);
        Self {
            bench,
            deliveries,
            archive,
        }
    }

    /// Both reports are at the site.
    async fn with_reports(answer: SendOutcome, sealed: Option<Vec<u8>>) -> Self {
        let site = Self::new(answer).await;
        for (report, bytes) in [
            nameless(HARMED, sealed.as_deref()),
            nameless(NEIGHBOUR, None),
        ] {
            site.deliveries.accept(&report, bytes).await.unwrap();
        }
        site
    }

    async fn restart(self) -> Self {
        let Self {
            bench,
            deliveries,
            archive,
        } = self;
        drop(deliveries);
        let bench = bench.restart().await;
        let deliveries = open(&bench).await;
        Self {
            bench,
            deliveries,
            archive,
        }
    }

    /// What the workers do in an hour and a half; answers whose reports the PACS was sent.
    async fn work(&self, restoring: &Restoring) -> Vec<String> {
        for _ in 0..12 {
            let mut failed = Vec::new();
            while let Ok(Some(due)) = restoring::next(&self.deliveries, &failed).await {
                if restoring::restore(&self.deliveries, restoring, &due)
                    .await
                    .is_err()
                {
                    failed.push(due.report);
                }
            }
            let (to, store) = (destination(), self.archive.store());
            while let Ok(true) = work::offer_next(&self.deliveries, &to, &store, fonts()).await {}
            self.bench.pass(450);
        }
        self.archive.studies()
    }

    /// How the harmed report stands, in words that name nobody.
    async fn standing(&self) -> String {
        let query = format!(
            "SELECT COALESCE((SELECT state || ': ' || sentence FROM delivery WHERE destination IN ('pacs', 'site') \
             AND report_id = {ROW} ORDER BY destination LIMIT 1), 'not taken in')"
        );
        let said = text(&self.bench, &query).await;
        for name in ["PID", "Test^One", "ACC"] {
            assert!(!said.contains(name), "{said}");
        }
        said
    }
}

/// A report as the gateway signs it under a pseudonymous agreement, with its study's sealed set.
fn nameless(study: &str, sealed: Option<&[u8]>) -> (Report, Bytes) {
    let mut dataset = sr::encode(&document(
        study,
        &format!("2.25.{}", study.replace('.', "")),
    ));
    dataset.put_text(tags::PATIENT_NAME, VR::PN, "CWABCDEFGH2345X");
    dataset.put_text(tags::PATIENT_ID, VR::LO, "CWABCDEFGH2345X");
    dataset.put_text(tags::PATIENT_IDENTITY_REMOVED, VR::CS, "YES");
    if let Some(sealed) = sealed {
        let mut item = Dataset::new();
        item.put_text(
            tags::ENCRYPTED_CONTENT_TRANSFER_SYNTAX_UID,
            VR::UI,
            sr::TRANSFER_SYNTAX,
        );
        let bytes = Value::Bytes(sealed.to_vec());
        item.put(tags::ENCRYPTED_CONTENT, VR::OB, bytes);
        dataset.put_items(tags::ENCRYPTED_ATTRIBUTES_SEQUENCE, vec![item]);
    }
    as_sent(&dataset)
}

/// The PACS gives this answer about the harmed study, and the right one about the other.
fn asking(answer: Asked) -> Restoring {
    Restoring {
        config: Config::default(),
        find: Find::new(move |study| {
            let answer = match study.as_str() {
                HARMED => answer.clone(),
                _ => Asked::Found(vec![says(NEIGHBOUR, "PID-4", "")]),
            };
            Box::pin(async move { answer })
        }),
        unseal: Unseal::new(|_, _, _| None),
        is_placeholder: Arc::new(|id| id == "UNKNOWN"),
    }
}

fn right() -> Restoring {
    asking(Asked::Found(vec![says(HARMED, "PID-1", "")]))
}

fn says(study: &str, id: &str, issuer: &str) -> Dataset {
    let mut dataset = Dataset::new();
    dataset.put_text(tags::STUDY_INSTANCE_UID, VR::UI, study);
    dataset.put_text(tags::PATIENT_ID, VR::LO, id);
    dataset.put_text(tags::PATIENT_NAME, VR::PN, "Test^One");
    if !issuer.is_empty() {
        dataset.put_text(tags::ISSUER_OF_PATIENT_ID, VR::LO, issuer);
    }
    dataset
}

/// One point whose harmed report must not reach the PACS, or (`files`) reaches it under its own patient.
async fn point(table: &mut Table, name: &str, site: &Site, restoring: &Restoring, files: bool) {
    let sent = site.work(restoring).await;
    let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
    let expect: &[&str] = if files {
        &[HARMED, NEIGHBOUR]
    } else {
        &[NEIGHBOUR]
    };
    assert_eq!(sent, expect, "{name}: {}", site.standing().await);
    table.add(name, site.standing().await);
}

const TAKES: SendOutcome = SendOutcome::Stored(0);

pub(super) async fn all(table: &mut Table) {
    asked::answers(table).await;
    asked::knowledge(table).await;
    kept::arrival(table).await;
    kept::rows(table).await;
    kept::bytes(table).await;
    kept::ended(table).await;
}
