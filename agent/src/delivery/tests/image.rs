//! The page image as a delivery of its own (P8): when there is one, that it is tried by itself, and that it comes back to nobody.

use super::*;
use crate::spool::Stored;

fn with(page_image: PageImage) -> Destination {
    Destination {
        page_image,
        ..destination()
    }
}

async fn offer_as(deliveries: &Deliveries, to: &Destination, pacs: &Pacs) -> bool {
    let store = pacs.store();
    let offered = work::offer_next(deliveries, to, &store, fonts());
    offered.await.unwrap()
}

/// Destination, form, state and sentence of everything the gateway has not noted; notes it.
async fn hear_forms(deliveries: &Deliveries) -> Vec<(String, String, &'static str)> {
    let untold = deliveries.messages().await.unwrap();
    deliveries.told(&untold).await.unwrap();
    let said = untold.into_iter().map(|u| {
        let Message {
            form,
            sentence,
            state,
            ..
        } = u.message;
        (form, sentence, state.as_str())
    });
    said.collect()
}

fn says(form: &str, sentence: &str, state: &'static str) -> (String, String, &'static str) {
    (form.to_owned(), sentence.to_owned(), state)
}

#[tokio::test]
async fn a_pacs_that_refuses_structured_reports_gets_the_pages_in_their_place() {
    let bench = bench_with_study().await;
    let to = with(PageImage::IfRefused);
    let deliveries = open_with(&bench, vec![to.clone()]).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    hear_forms(&deliveries).await;
    let pacs = Pacs::answering([
        SendOutcome::NotNegotiated,
        SendOutcome::Failed("no answer".to_owned()),
        SendOutcome::Stored(0),
    ]);
    assert!(offer_as(&deliveries, &to, &pacs).await);
    assert_eq!(
        hear_forms(&deliveries).await,
        [
            says("sr", "this PACS takes no structured reports", "not-taken"),
            says("image", "not offered yet", "at-site"),
        ]
    );
    assert!(offer_as(&deliveries, &to, &pacs).await);
    assert_eq!(
        hear_forms(&deliveries).await,
        [says("image", "no answer", "waiting")]
    );
    assert!(!offer_as(&deliveries, &to, &pacs).await, "not at once");
    bench.pass(7);
    assert!(offer_as(&deliveries, &to, &pacs).await);
    assert_eq!(
        hear_forms(&deliveries).await,
        [says("image", "in the PACS", "delivered")]
    );
    let received = pacs.received();
    assert_eq!(received.len(), 3);
    assert_eq!(received[1].class.as_str(), derive::CLASS);
    assert_eq!(
        (&received[1].instance, &received[1].dataset),
        (&received[2].instance, &received[2].dataset),
        "the second try stores the same object"
    );
    // a person tries the report again: the pages are there already
    assert_eq!(deliveries.retry(&report.case, "rita").await.unwrap(), 1);
    let refuses = Pacs::answering([SendOutcome::NotNegotiated]);
    assert!(offer_as(&deliveries, &to, &refuses).await);
    assert!(!offer_as(&deliveries, &to, &refuses).await);
}

#[tokio::test]
async fn a_pacs_that_hides_structured_reports_gets_both() {
    let bench = bench_with_study().await;
    let to = with(PageImage::Always);
    let deliveries = open_with(&bench, vec![to.clone()]).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes.clone()).await.unwrap();
    let pacs = Pacs::default();
    assert!(offer_as(&deliveries, &to, &pacs).await);
    assert!(offer_as(&deliveries, &to, &pacs).await);
    assert!(!offer_as(&deliveries, &to, &pacs).await);
    let received = pacs.received();
    assert_eq!(received[0].dataset, bytes, "the signed document first");
    assert_eq!(received[1].class.as_str(), derive::CLASS);
    let told = hear_forms(&deliveries).await;
    let delivered: Vec<&str> = told
        .iter()
        .filter(|(_, _, state)| *state == "delivered")
        .map(|(form, _, _)| form.as_str())
        .collect();
    assert_eq!(delivered, ["sr", "image"]);
    // the PACS forwards everything new: neither is an object of the study (P5)
    for parcel in received {
        let back = What::report("1.2.3", parcel.instance.as_str());
        assert_eq!(bench.store(&back).await.unwrap(), Stored::OurReport);
    }
}

#[tokio::test]
async fn a_pacs_that_takes_neither_is_a_state_of_each() {
    let bench = bench_with_study().await;
    let to = with(PageImage::IfRefused);
    let deliveries = open_with(&bench, vec![to.clone()]).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    let pacs = Pacs::answering([SendOutcome::NotNegotiated]);
    while offer_as(&deliveries, &to, &pacs).await {}
    let last = &hear_forms(&deliveries).await[1..];
    assert_eq!(
        last,
        [
            says("sr", "this PACS takes no structured reports", "not-taken"),
            says(
                "image",
                "this PACS takes no page images of reports",
                "not-taken"
            ),
        ]
    );
}

#[tokio::test]
async fn a_page_that_would_not_show_everything_is_held_with_its_reason() {
    let bench = bench_with_study().await;
    let to = with(PageImage::Always);
    let deliveries = open_with(&bench, vec![to.clone()]).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    let none = Fonts::of(&derive::Config {
        fonts: vec!["/nowhere/at/all.ttf".into()],
    });
    let pacs = Pacs::default();
    while work::offer_next(&deliveries, &to, &pacs.store(), &none)
        .await
        .unwrap()
    {}
    assert_eq!(pacs.received().len(), 1, "the report alone");
    let told = hear_forms(&deliveries).await;
    let (form, sentence, state) = told.last().unwrap();
    assert_eq!((form.as_str(), *state), ("image", "held"));
    assert!(sentence.contains("page_image.fonts"), "{sentence}");
    // a font is there now, and a person tries again
    assert_eq!(deliveries.retry(&report.case, "rita").await.unwrap(), 1);
    assert!(offer_as(&deliveries, &to, &pacs).await);
    assert_eq!(
        hear_forms(&deliveries).await,
        [says("image", "in the PACS", "delivered")]
    );
}
