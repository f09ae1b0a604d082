//! The worker on a real spool: pseudonyms per patient, study and agreement, who is whose, and that nothing falls through a fault.

use std::collections::HashSet;

use causeway_proto::dataset::Value;
use dicom_core::{Tag, VR};

use super::*;
use crate::spool::decision::By;
use crate::spool::disk::memory::Call;
use crate::spool::tests::{Bench, What};
use crate::spool::{Config, Outgoing};

/// A CT object of a patient, as it is received.
fn object(study: &str, instance: &str, patient: &str, name: &str) -> Vec<u8> {
    let mut it = Dataset::new();
    for (tag, vr, text) in [
        ((0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY"),
        ((0x0008, 0x0016), VR::UI, "1.2.840.10008.5.1.4.1.1.2"),
        ((0x0008, 0x0018), VR::UI, instance),
        ((0x0008, 0x0020), VR::DA, "20261121"),
        ((0x0010, 0x0010), VR::PN, name),
        ((0x0010, 0x0020), VR::LO, patient),
        ((0x0010, 0x0030), VR::DA, "19551117"),
        ((0x0020, 0x000D), VR::UI, study),
        ((0x0020, 0x000E), VR::UI, "1.2.3.4"),
        ((0x0028, 0x0004), VR::CS, "MONOCHROME2"),
    ] {
        it.put_text(Tag(tag.0, tag.1), vr, text);
    }
    it.put(Tag(0x7FE0, 0x0010), VR::OW, Value::Bytes(vec![7; 4096]));
    it.write()
}

pub(super) async fn received(
    bench: &Bench,
    study: &str,
    instance: &'static str,
    patient: &'static str,
) {
    let what = What {
        patient,
        ..What::image(study, instance)
    };
    let bytes = object(study, instance, patient, "Blomqvist^Zoe");
    bench.store(&what.with_bytes(&bytes)).await.unwrap();
}

/// A site that lets no identity leave.
pub(super) async fn pseudonymous() -> Bench {
    Bench::strict(Config::default()).await
}

pub(super) async fn protector(bench: &Bench) -> Protector {
    let protector = Protector::new(bench.spool.clone());
    while protector.work().await.unwrap() > 0 {}
    protector
}

pub(super) async fn leaving(bench: &Bench) -> Vec<Outgoing> {
    bench.spool.next_to_send(99, &HashSet::new()).await.unwrap()
}

pub(super) async fn sent(protector: &Protector, out: &Outgoing) -> Dataset {
    Dataset::read(&bytes_sent(protector, out).await, &out.sent.syntax).unwrap()
}

/// The bytes of a form, which are those that were decided, whether it is still remembered or made again.
pub(super) async fn bytes_sent(protector: &Protector, out: &Outgoing) -> Vec<u8> {
    let first = read(protector, out).await;
    assert!(
        first == read(protector, out).await,
        "made again it is another form"
    );
    first
}

async fn read(protector: &Protector, out: &Outgoing) -> Vec<u8> {
    let form = protector.form(out).await.unwrap();
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < form.length() {
        bytes.extend_from_slice(&form.read(bytes.len() as u64, 1000).await.unwrap());
    }
    assert_eq!(bytes.len() as u64, out.sent.length);
    let mut hasher = causeway_proto::digest::ContentHasher::new(&out.sent.syntax);
    hasher.update(&bytes);
    assert_eq!(
        hasher.finish(),
        out.sent.digest,
        "other bytes than were decided"
    );
    bytes
}

/// A mask drawn, or a rule dropped, takes the decision back while the instance is in the link's hands.
#[tokio::test]
async fn a_form_that_is_no_longer_decided_does_not_leave_though_it_is_remembered() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    received(&bench, "1.2.1", "1.2.1.1", "HOSP884213").await;
    let protector = protector(&bench).await;
    let out = leaving(&bench).await.remove(0);
    bench.spool.protect_again(&out.key).await.unwrap();
    assert!(protector.form(&out).await.is_err());
}

#[tokio::test]
async fn one_patient_has_one_pseudonym_and_nobody_has_none() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    received(&bench, "1.2.1", "1.2.1.1", "HOSP884213").await;
    received(&bench, "1.2.2", "1.2.2.1", "HOSP884213").await;
    received(&bench, "1.2.3", "1.2.3.1", "UNKNOWN").await;
    received(&bench, "1.2.4", "1.2.4.1", "UNKNOWN").await;
    let protector = protector(&bench).await;
    let mut pseudonyms = Vec::new();
    for out in leaving(&bench).await {
        let dataset = sent(&protector, &out).await;
        pseudonyms.push(dataset.code(Tag(0x0010, 0x0020)));
        assert_eq!(dataset.code(Tag(0x0012, 0x0062)), "YES");
        assert_eq!(seal::sealed(&dataset).len(), 2);
    }
    assert_eq!(pseudonyms.len(), 4);
    assert_eq!(
        pseudonyms[0], pseudonyms[1],
        "the priors of a patient find each other"
    );
    let distinct: HashSet<&String> = pseudonyms.iter().collect();
    assert_eq!(distinct.len(), 3, "{pseudonyms:?}");
    let identities: Vec<_> = bench.spool.studies_to_open().await.unwrap();
    let unknown = identities.iter().filter(|it| it.open.identity.is_some());
    assert_eq!(unknown.count(), 2, "identity not established (P2)");
}

#[tokio::test]
async fn an_object_of_another_patient_stays_and_blocks_its_study() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    received(&bench, "1.2.1", "1.2.1.1", "HOSP884213").await;
    received(&bench, "1.2.1", "1.2.1.2", "HOSP999999").await;
    protector(&bench).await;
    let out = leaving(&bench).await;
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].key.instance.as_str(), "1.2.1.1");
    let open = bench.spool.studies_to_open().await.unwrap();
    assert_eq!((open[0].progress.at_site, open[0].progress.held), (2, 1));
    assert!(open[0].open.blocked.is_some());
}

#[tokio::test]
async fn the_words_of_a_recall_stay_at_the_site() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    received(&bench, "1.2.1", "1.2.1.1", "HOSP884213").await;
    protector(&bench).await;
    let case = bench.spool.studies_to_open().await.unwrap()[0]
        .open
        .case
        .clone();
    let words = "this is Mrs Blomqvist, HOSP884213, not Mr Smith";
    assert!(
        bench
            .spool
            .recall(
                &case,
                By {
                    who: "rita",
                    reason: words
                }
            )
            .await
            .unwrap()
    );
    let said = bench.spool.recalls().await.unwrap();
    assert_eq!(said.len(), 1);
    assert!(!said[0].reason.contains("Blomqvist") && !said[0].reason.contains("884213"));
    assert!(!said[0].reason.is_empty());
}

#[tokio::test]
async fn what_the_gateway_announces_widens_nothing() {
    let bench = pseudonymous().await;
    // the gateway says that the agreement is identified; the site has not said so
    bench.greet(1, 0).await;
    received(&bench, "1.2.1", "1.2.1.1", "HOSP884213").await;
    assert!(leaving(&bench).await.is_empty(), "nothing leaves undecided");
    let protector = protector(&bench).await;
    let out = leaving(&bench).await;
    let dataset = sent(&protector, &out[0]).await;
    assert!(dataset.code(Tag(0x0010, 0x0020)).starts_with("CW"));
}

#[tokio::test]
async fn a_form_is_the_same_after_a_restart_and_decided_anew_when_it_cannot_be() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    received(&bench, "1.2.1", "1.2.1.1", "HOSP884213").await;
    let first = protector(&bench).await;
    let before = leaving(&bench).await;
    let dataset = sent(&first, &before[0]).await;
    drop(first);
    let bench = bench.restart().await;
    let again = protector(&bench).await;
    let after = leaving(&bench).await;
    assert_eq!(before[0].sent, after[0].sent);
    assert!(sent(&again, &after[0]).await == dataset);

    let mut other = after[0].clone();
    other.sent.length += 2;
    assert!(matches!(again.form(&other).await, Err(ProtectError::Other)));
    assert!(leaving(&bench).await.is_empty(), "decided anew first");
    while again.work().await.unwrap() > 0 {}
    let anew = leaving(&bench).await;
    sent(&again, &anew[0]).await;
}

async fn decide_anew(bench: &Bench) {
    let mut tx = bench.spool.rows().begin().await.unwrap();
    sqlx::query("UPDATE instance SET state = 'waiting', reason = '', sent_digest = NULL")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// Whatever part of the disk fails, and whenever: nothing unprotected is offered, and the other object is not held up for ever.
#[tokio::test]
async fn no_fault_lets_an_object_out_unprotected() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    received(&bench, "1.2.1", "1.2.1.1", "HOSP884213").await;
    received(&bench, "1.2.9", "1.2.9.1", "HOSP777777").await;
    let protector = Protector::new(bench.spool.clone());
    let mut failures = 0;
    for nth in 0..40 {
        bench.disk.fail(Call::Read, nth);
        // an error of the spool is tried again, a withheld object stays with its reason: both are answers
        let worked = protector.work().await;
        bench.disk.mend();
        for out in leaving(&bench).await {
            assert!(
                out.profile > 0,
                "fault {nth}: an object is offered as it was received"
            );
            let dataset = sent(&protector, &out).await;
            assert!(
                dataset.code(Tag(0x0010, 0x0020)).starts_with("CW"),
                "fault {nth}"
            );
        }
        failures += u64::from(worked.is_err()) + u64::from(leaving(&bench).await.len() < 2);
        for withheld in crate::spool::view::held(bench.spool.rows()).await.unwrap() {
            assert!(!withheld.why.contains("HOSP") && !withheld.why.contains("Blomqvist"));
        }
        decide_anew(&bench).await;
    }
    assert!(failures > 5, "the faults were not met: {failures}");
    while protector.work().await.unwrap() > 0 {}
    assert_eq!(leaving(&bench).await.len(), 2, "without faults both leave");
}
