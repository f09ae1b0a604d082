//! Which reports are believed: what the signature, the authority and its list of revoked readers decide.

use std::time::Duration;

use causeway_certs::revoke::LIST_LIFE;
use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn what_does_not_verify_is_rejected_and_claims_nothing() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (good, bytes) = signed("1.2.3", "2.25.1");
    let (stranger, strange_bytes) = signed("1.2.99", "2.25.2");
    let mut changed = bytes.to_vec();
    let at = changed.windows(8).position(|w| w == b"Nothing.").unwrap();
    changed[at] = b'n';
    let mut other_instance = good.clone();
    other_instance.instance = "2.25.4".parse().unwrap();
    let unsigned = sr::to_bytes(&sr::encode(&document("1.2.3", "2.25.1")));
    for (report, bytes, why) in [
        (&good, Bytes::from(changed), "does not verify"),
        (&good, Bytes::from(unsigned), "not signed"),
        (&good, Bytes::from_static(b"\x08\x00"), "does not verify"),
        (
            &other_instance,
            bytes.clone(),
            "not the one that was announced",
        ),
        (&stranger, strange_bytes, "never received"),
    ] {
        deliveries.accept(report, bytes).await.unwrap();
        let told = deliveries.messages().await.unwrap();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].message.state, DeliveryState::Rejected);
        assert!(
            told[0].message.sentence.contains(why),
            "{}",
            told[0].message.sentence
        );
        deliveries.told(&told).await.unwrap();
        assert!(!offer(&deliveries, &Pacs::default()).await);
    }
    let object = What::report("1.2.3", "2.25.1");
    assert_eq!(
        bench.store(&object).await.unwrap(),
        crate::spool::Stored::New
    );
    deliveries.accept(&good, bytes.clone()).await.unwrap();
    let told = deliveries.messages().await.unwrap();
    assert!(
        told[0]
            .message
            .sentence
            .contains("belongs to an object of the site")
    );
}

#[tokio::test]
async fn a_rejected_report_is_judged_anew_when_it_is_offered_anew() {
    let bench = Bench::new().await;
    let deliveries = open(&bench).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes.clone()).await.unwrap();
    assert_eq!(hear(&deliveries).await, [word("site", "rejected", false)]);
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    deliveries.accept(&report, bytes).await.unwrap();
    assert_eq!(
        hear(&deliveries).await,
        [
            word("site", "at-site", false),
            word("pacs", "at-site", false)
        ]
    );
}

#[tokio::test]
async fn another_authority_is_not_trusted() {
    let bench = bench_with_study().await;
    let other = Some(mint().authority());
    let deliveries = Deliveries::open(
        vec![destination()],
        bench.spool.clone(),
        other,
        bench.clock(),
        seeded(8),
    )
    .await
    .unwrap();
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    let told = deliveries.messages().await.unwrap();
    assert!(
        told[0].message.sentence.contains("signer is not accepted"),
        "{told:?}"
    );
}

/// What the agent makes of a good report that comes with this list.
async fn accepted_with(
    deliveries: &Deliveries,
    list: Option<Vec<u8>>,
) -> Result<Vec<(String, &'static str, bool)>, AcceptError> {
    let (report, bytes) = signed("1.2.3", "2.25.1");
    let report = Report {
        signer_crl: list.map(Into::into),
        ..report
    };
    deliveries.accept(&report, bytes).await?;
    Ok(hear(deliveries).await)
}

#[tokio::test]
async fn without_a_list_of_today_there_is_no_verdict_and_the_report_comes_again() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let stranger = mint().list(None, SIGNED_AT);
    let early = SIGNED_AT.minus(LIST_LIFE + HOUR);
    for (list, why) in [
        (None, "without a list"),
        (Some(b"no list".to_vec()), "cannot be read"),
        (Some(reader().list(None, early)), "past its time"),
        (Some(stranger), "not one of the signer authority"),
    ] {
        let refused = accepted_with(&deliveries, list).await;
        let Err(AcceptError::NotKept { source, .. }) = refused else {
            panic!("{why}: {refused:?}");
        };
        assert!(source.to_string().contains(why), "{source}");
        assert_eq!(hear(&deliveries).await, [], "{why}");
        assert!(!offer(&deliveries, &Pacs::default()).await, "{why}");
    }
    let at_site = [
        word("site", "at-site", false),
        word("pacs", "at-site", false),
    ];
    let fresh = Some(reader().list(None, SIGNED_AT));
    let accepted = accepted_with(&deliveries, fresh).await;
    assert_eq!(accepted.unwrap(), at_site);
}

#[tokio::test]
async fn a_list_counts_until_its_time_is_over() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let list = reader().list(None, SIGNED_AT);
    let life = i64::try_from(LIST_LIFE.as_secs()).unwrap();
    bench.pass(life + 1);
    let refused = accepted_with(&deliveries, Some(list.clone())).await;
    assert!(
        matches!(refused, Err(AcceptError::NotKept { .. })),
        "{refused:?}"
    );
    bench.pass(-1);
    let accepted = accepted_with(&deliveries, Some(list)).await;
    assert_eq!(accepted.unwrap().len(), 2, "its last second");
}

#[tokio::test]
async fn a_report_without_a_list_is_still_rejected_when_its_signature_is_bad() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (mut report, _) = signed("1.2.3", "2.25.1");
    report.signer_crl = None;
    let unsigned = sr::to_bytes(&sr::encode(&document("1.2.3", "2.25.1")));
    deliveries.accept(&report, unsigned.into()).await.unwrap();
    assert_eq!(hear(&deliveries).await, [word("site", "rejected", false)]);
}

#[tokio::test]
async fn a_revocation_rejects_what_was_signed_after_it_and_nothing_else() {
    let now = SIGNED_AT.plus(HOUR);
    for (since, state) in [
        (SIGNED_AT.minus(HOUR), "rejected"),
        (SIGNED_AT, "rejected"),
        (SIGNED_AT.plus(HOUR / 2), "delivered"),
    ] {
        let bench = bench_with_study().await;
        bench.pass(3600);
        let deliveries = open(&bench).await;
        let list = Some(reader().list(Some(since), now));
        let accepted = accepted_with(&deliveries, list).await.unwrap();
        if state == "rejected" {
            assert_eq!(accepted, [word("site", state, false)], "revoked at {since}");
            assert!(!offer(&deliveries, &Pacs::default()).await);
        } else {
            assert!(offer(&deliveries, &Pacs::default()).await);
            assert_eq!(hear(&deliveries).await, [word("pacs", state, false)]);
        }
    }
}

#[tokio::test]
async fn what_was_accepted_is_led_to_no_other_study_by_what_is_said_later() {
    let bench = bench_with_study().await;
    bench.store(&What::image("1.2.4", "1.2.4.1")).await.unwrap();
    let deliveries = open(&bench).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes.clone()).await.unwrap();
    hear(&deliveries).await;
    let mut led = report.clone();
    led.study = "1.2.4".parse().unwrap();
    led.delivery = "another".to_owned();
    deliveries.accept(&led, bytes).await.unwrap();
    assert!(hear(&deliveries).await.is_empty(), "it stands as it stood");
    // nor by a document that is signed for the other study, under its UID
    let (other, bytes) = signed("1.2.4", "2.25.1");
    deliveries.accept(&other, bytes).await.unwrap();
    assert!(hear(&deliveries).await.is_empty(), "it stands as it stood");
    let pacs = Pacs::default();
    assert!(offer(&deliveries, &pacs).await);
    assert_eq!(pacs.received()[0].study.as_str(), "1.2.3");
    assert_eq!(hear(&deliveries).await, [word("pacs", "delivered", false)]);
}

/// The marks of a report are signed by nobody, and the agreement is what the gateway says: neither lets a report go unrestored whose
/// study left under a pseudonym.
#[tokio::test]
async fn whether_a_patient_is_put_back_is_for_the_site_to_know() {
    let bench = Bench::strict(crate::spool::Config::default()).await;
    bench.greet(1, 0).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    let deliveries = open(&bench).await;
    let (mut report, bytes) = signed("1.2.3", "2.25.1");
    report.agreement = "unheard".parse().unwrap();
    deliveries.accept(&report, bytes).await.unwrap();
    let due: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM restoration WHERE state = 'due'")
        .fetch_one(bench.spool.rows().read())
        .await
        .unwrap();
    assert_eq!(due, 1);
    assert!(!offer(&deliveries, &Pacs::default()).await);
}

#[tokio::test]
async fn nothing_of_another_patients_object_goes_into_a_report() {
    let bench = Bench::new().await;
    let dataset = |instance: &str, patient: &str, accession: &str| {
        let mut it = causeway_proto::dataset::Dataset::new();
        for (tag, vr, value) in [
            (tags::SOP_INSTANCE_UID, VR::UI, instance),
            (tags::ACCESSION_NUMBER, VR::SH, accession),
            (tags::REFERRING_PHYSICIAN_NAME, VR::PN, "Doctor^Of them"),
            (tags::PATIENT_ID, VR::LO, patient),
        ] {
            it.put_text(tag, vr, value);
        }
        it.write()
    };
    let ours = What::image("1.2.3", "1.2.3.1").with_bytes(&dataset("1.2.3.1", "PID-1", ""));
    bench.store(&ours).await.unwrap();
    let theirs = What {
        patient: "PID-2",
        ..What::image("1.2.3", "1.2.3.2")
    };
    let theirs = theirs.with_bytes(&dataset("1.2.3.2", "PID-2", "ACC-2"));
    bench.store(&theirs).await.unwrap();
    let (study, agreement) = ("1.2.3".parse().unwrap(), "a1".parse().unwrap());
    let home = crate::restore::rows::received(&bench.spool, &study, &agreement).await;
    let home = home.unwrap().unwrap();
    assert_eq!(home.id.reveal(), "PID-1");
    let accessions = home.accessions.iter().map(|one| one.reveal());
    assert!(!accessions.into_iter().any(|one| one == "ACC-2"));
    assert_eq!(home.referrer.reveal(), "Doctor^Of them");
}
