//! A report about a study that left under other UIDs: what was signed is kept, what is filed is the site's own document.

use causeway_proto::dataset::Dataset;
use causeway_proto::link::message::Report;
use causeway_proto::report::model::{Evidence, EvidenceSeries};
use causeway_proto::report::signature::{Purpose, VerifyError, verify_dataset, verify_source};
use causeway_proto::report::sr;
use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::*;
use crate::restore::{Asked, Config as Restore, Find, Unseal, home_uid};
use crate::spool::{Config, Stored};

pub(in crate::delivery) const STUDY: &str = "1.3.12.2.1107.5.1.4.1";
const INSTANCE: &str = "1.3.12.2.1107.5.1.4.3";

/// Of a site that replaces UIDs.
pub(in crate::delivery) fn replacing() -> Config {
    let mut config = Config::default();
    config.agreement.require = vec!["replace-uids".to_owned()];
    config
}

async fn site() -> (Bench, Deliveries) {
    let bench = Bench::strict(replacing()).await;
    sent(&bench).await;
    let deliveries = open(&bench).await;
    (bench, deliveries)
}

/// One object has left whose UIDs were said.
pub(in crate::delivery) async fn sent(bench: &Bench) {
    bench.greet(1, 0).await;
    bench.store(&What::image(STUDY, INSTANCE)).await.unwrap();
    let pairs = [STUDY, "1.2.3.4", INSTANCE].map(|home| (home.to_owned(), said(bench, home)));
    let agreement = "a1".parse().unwrap();
    bench
        .spool
        .note_uids(&agreement, &pairs.into())
        .await
        .unwrap();
}

pub(in crate::delivery) fn said(bench: &Bench, home: &str) -> String {
    bench.spool.said_for(&"a1".parse().unwrap(), home).unwrap()
}

fn evidence(study: &str, series: &str, instance: &str) -> Evidence {
    let class = "1.2.840.10008.5.1.4.1.1.2".parse().unwrap();
    Evidence {
        study: study.parse().unwrap(),
        series: vec![EvidenceSeries {
            series: series.parse().unwrap(),
            instances: vec![(class, instance.parse().unwrap())],
        }],
    }
}

/// A report as its reader signs it, who knows no UID of the site, and the message as the link hands it on.
pub(in crate::delivery) fn signed(
    bench: &Bench,
    instance: &str,
    evidence: Evidence,
    before: Option<&str>,
) -> (Report, Bytes) {
    let study = said(bench, STUDY);
    let mut model = document(&study, instance);
    model.evidence = vec![evidence];
    model.predecessors = before
        .map(|uid| self::evidence(&study, "2.25.7", uid))
        .into_iter()
        .collect();
    let mut dataset = sr::encode(&model);
    dataset.put_text(tags::PATIENT_NAME, VR::PN, "CWABCDEFGH2345X");
    dataset.put_text(tags::PATIENT_ID, VR::LO, "CWABCDEFGH2345X");
    dataset.put_text(tags::PATIENT_IDENTITY_REMOVED, VR::CS, "YES");
    let (mut report, bytes) = as_sent(&dataset);
    report.study = STUDY.parse().unwrap();
    (report, bytes)
}

pub(in crate::delivery) fn seen(bench: &Bench) -> Evidence {
    let [study, series, instance] = [STUDY, "1.2.3.4", INSTANCE].map(|home| said(bench, home));
    evidence(&study, &series, &instance)
}

async fn arrive(bench: &Bench, deliveries: &Deliveries, (report, bytes): &(Report, Bytes)) {
    let study = said(bench, STUDY).parse().unwrap();
    let taken = deliveries.accept_as(report, &study, bytes.clone()).await;
    taken.unwrap();
}

/// Finds out whose it is, and offers it.
async fn file(deliveries: &Deliveries, pacs: &Pacs, name: &'static str) {
    let restoring = Restoring {
        config: Restore::default(),
        find: Find::new(move |study| {
            let mut answer = Dataset::new();
            answer.put_text(tags::STUDY_INSTANCE_UID, VR::UI, study.as_str());
            answer.put_text(tags::PATIENT_ID, VR::LO, "PID-1");
            answer.put_text(tags::PATIENT_NAME, VR::PN, name);
            Box::pin(async move { Asked::Found(vec![answer]) })
        }),
        unseal: Unseal::new(|_, _, _| None),
        is_placeholder: Arc::new(|_| false),
    };
    while let Some(due) = restoring::next(deliveries, &[]).await.unwrap() {
        restoring::restore(deliveries, &restoring, &due)
            .await
            .unwrap();
    }
    while offer(deliveries, pacs).await {}
}

#[tokio::test]
async fn the_sites_own_document_is_filed_and_the_signed_one_is_kept() {
    let (bench, deliveries) = site().await;
    let arriving = signed(&bench, "2.25.1", seen(&bench), None);
    arrive(&bench, &deliveries, &arriving).await;
    let pacs = Pacs::answering([SendOutcome::Refused(0xA700), SendOutcome::Stored(0)]);
    file(&deliveries, &pacs, "Test^One").await;
    bench.pass(60);
    file(&deliveries, &pacs, "Test^One").await;
    let received = pacs.received();
    let [first, second] = received.as_slice() else {
        panic!("offered twice, not {}", received.len());
    };
    assert!(
        first.dataset == second.dataset,
        "a retry is the same document"
    );
    let home = Dataset::read(&second.dataset, &second.syntax).unwrap();
    let said_study = said(&bench, STUDY);
    assert_eq!(home.code(tags::STUDY_INSTANCE_UID), STUDY);
    assert_eq!(home.code(tags::PATIENT_NAME), "Test^One");
    assert_eq!(home.code(tags::SOP_INSTANCE_UID), second.instance.as_str());
    assert_ne!(second.instance.as_str(), "2.25.1");
    assert_ne!(home.code(tags::SERIES_INSTANCE_UID), "2.25.7");
    // the images of the site, and nothing of what stood for them but in the name of the signed document
    let of = home.items(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE);
    assert!(
        of == sr::encode(&{
            let mut model = document(STUDY, "2.25.1");
            model.evidence = vec![evidence(STUDY, "1.2.3.4", INSTANCE)];
            model
        })
        .items(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE)
    );
    let before = home.items(tags::PREDECESSOR_DOCUMENTS_SEQUENCE);
    assert_eq!(before.len(), 1);
    assert_eq!(before[0].code(tags::STUDY_INSTANCE_UID), said_study);
    let series = &before[0].items(tags::REFERENCED_SERIES_SEQUENCE)[0];
    let named = &series.items(tags::REFERENCED_SOP_SEQUENCE)[0];
    assert_eq!(named.code(tags::REFERENCED_SOP_INSTANCE_UID), "2.25.1");
    // signed by the site, as nobody else
    let verified = verify_source(&home).unwrap();
    assert_eq!(verified.purpose, Purpose::Source);
    assert_eq!(
        verified.certificate_der,
        bench.spool.keys().signing_certificate().unwrap()
    );
    assert!(matches!(verify_dataset(&home), Err(VerifyError::Purpose)));
    let mut changed = home.clone();
    changed.put_text(tags::COMPLETION_FLAG, VR::CS, "PARTIAL");
    assert!(matches!(verify_source(&changed), Err(VerifyError::Corrupt)));
    // the signed one is as it came
    let kept = view::signed(bench.spool.rows(), &second.instance)
        .await
        .unwrap()
        .unwrap();
    let bytes = bench.spool.read(&kept.bytes.0, 0, 1 << 20).await.unwrap();
    assert!(bytes == arriving.1);
    let digests: Vec<String> =
        sqlx::query_scalar("SELECT detail FROM audit_event WHERE event = 'report-rehomed'")
            .fetch_all(bench.spool.rows().read())
            .await
            .unwrap();
    assert_eq!(digests.len(), 1, "{digests:?}");
    assert!(digests[0].contains("signed-digest") && digests[0].contains("home-digest"));
}

#[tokio::test]
async fn the_sites_own_document_that_comes_back_is_known() {
    let (bench, deliveries) = site().await;
    arrive(
        &bench,
        &deliveries,
        &signed(&bench, "2.25.1", seen(&bench), None),
    )
    .await;
    let pacs = Pacs::default();
    file(&deliveries, &pacs, "Test^One").await;
    let home = pacs.received()[0].instance.as_str().to_owned();
    let back = bench.store(&What::report(STUDY, &home)).await.unwrap();
    assert_eq!(back, Stored::OurReport);
    let also = bench.store(&What::report(STUDY, "2.25.1")).await.unwrap();
    assert_eq!(also, Stored::OurReport);
}

#[tokio::test]
async fn a_correction_names_the_earlier_document_of_the_site() {
    let (bench, deliveries) = site().await;
    arrive(
        &bench,
        &deliveries,
        &signed(&bench, "2.25.1", seen(&bench), None),
    )
    .await;
    let later = signed(&bench, "2.25.2", seen(&bench), Some("2.25.1"));
    arrive(&bench, &deliveries, &later).await;
    let pacs = Pacs::default();
    file(&deliveries, &pacs, "Test^One").await;
    let received = pacs.received();
    assert_eq!(received.len(), 2);
    let home = Dataset::read(&received[1].dataset, &received[1].syntax).unwrap();
    let before = home.items(tags::PREDECESSOR_DOCUMENTS_SEQUENCE);
    let named: Vec<(String, String)> = before
        .iter()
        .map(|study| {
            let series = &study.items(tags::REFERENCED_SERIES_SEQUENCE)[0];
            let one = &series.items(tags::REFERENCED_SOP_SEQUENCE)[0];
            let uid = one.code(tags::REFERENCED_SOP_INSTANCE_UID);
            (study.code(tags::STUDY_INSTANCE_UID), uid)
        })
        .collect();
    let first = received[0].instance.as_str().to_owned();
    let keys = bench.spool.keys();
    assert_eq!(
        first,
        home_uid(keys, &"a1".parse().unwrap(), "2.25.1").unwrap()
    );
    let expect = [
        (STUDY.to_owned(), first),
        (said(&bench, STUDY), "2.25.2".to_owned()),
    ];
    assert_eq!(named, expect);
}

#[tokio::test]
async fn a_reference_that_leads_nowhere_is_held_for_a_person() {
    let (bench, deliveries) = site().await;
    let study = said(&bench, STUDY);
    let strange = evidence(&study, "2.25.1234567890123", "2.25.1234567890124");
    arrive(
        &bench,
        &deliveries,
        &signed(&bench, "2.25.1", strange, None),
    )
    .await;
    let pacs = Pacs::default();
    file(&deliveries, &pacs, "Test^One").await;
    assert!(pacs.received().is_empty());
    let states = hear(&deliveries).await;
    assert!(states.contains(&word("pacs", "held", false)), "{states:?}");
}

#[tokio::test]
async fn a_report_that_names_another_study_than_it_came_with_is_rejected() {
    let (bench, deliveries) = site().await;
    let (report, bytes) = signed(&bench, "2.25.1", seen(&bench), None);
    // as if the link had led nothing back
    deliveries.accept(&report, bytes).await.unwrap();
    let states = hear(&deliveries).await;
    assert_eq!(states, [word("site", "rejected", false)]);
}
