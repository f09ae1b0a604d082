//! Reports whose bytes are lost at the site: asked for, kept again, and offered to whoever does not hold them yet.

use super::*;

fn both() -> Vec<Destination> {
    let archive = Destination {
        name: "archive".to_owned(),
        ..destination()
    };
    vec![destination(), archive]
}

async fn offer_to(deliveries: &Deliveries, name: &str, pacs: &Pacs) -> bool {
    let to = Destination {
        name: name.to_owned(),
        ..destination()
    };
    let offered = work::offer_next(deliveries, &to, &pacs.store(), fonts()).await;
    offered.unwrap()
}

/// A report that `pacs` holds and `archive` does not.
async fn half_delivered(bench: &Bench) -> (Deliveries, Report, Bytes) {
    let deliveries = open_with(bench, both()).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes.clone()).await.unwrap();
    assert!(offer(&deliveries, &Pacs::default()).await);
    hear(&deliveries).await;
    (deliveries, report, bytes)
}

/// It is asked for, comes, and goes only where it is not.
async fn comes_again(deliveries: &Deliveries, report: &Report, bytes: &Bytes) {
    let pacs = Pacs::default();
    assert_eq!(
        hear(deliveries).await,
        [
            word("site", "waiting", false),
            word("archive", "waiting", true)
        ]
    );
    assert!(!offer_to(deliveries, "archive", &pacs).await, "no bytes");
    let mut other = document("1.2.3", "2.25.1");
    other.equipment = Equipment::causeway("1");
    let (another, changed) = sign(&other);
    deliveries.accept(&another, changed).await.unwrap();
    assert_eq!(hear(deliveries).await, [word("site", "rejected", false)]);
    deliveries.accept(report, bytes.clone()).await.unwrap();
    // as of any report that comes again the gateway may have forgotten where it stands
    assert_eq!(
        hear(deliveries).await,
        [
            word("site", "at-site", false),
            word("pacs", "delivered", false),
            word("archive", "waiting", true),
        ]
    );
    assert!(!offer(deliveries, &pacs).await, "delivered is delivered");
    assert!(offer_to(deliveries, "archive", &pacs).await);
    assert_eq!(
        hear(deliveries).await,
        [word("archive", "delivered", false)]
    );
    assert_eq!(pacs.received()[0].dataset, *bytes);
}

/// Cuts the report's file short and leaves the image.
fn cut(bench: &Bench) {
    bench.disk.damage(|data| {
        if !data.windows(6).any(|it| it == b"header") {
            data.truncate(9);
        }
        true
    });
}

#[tokio::test]
async fn bytes_missing_at_a_start_are_asked_for_and_kept_again() {
    let bench = bench_with_study().await;
    let (deliveries, report, bytes) = half_delivered(&bench).await;
    drop(deliveries);
    cut(&bench);
    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery().lost_reports, 1);
    let deliveries = open_with(&bench, both()).await;
    comes_again(&deliveries, &report, &bytes).await;
    drop(deliveries);
    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery().lost_reports, 0);
    let deliveries = open_with(&bench, both()).await;
    assert_eq!(hear(&deliveries).await, []);
}

#[tokio::test]
async fn bytes_found_damaged_at_an_offer_are_asked_for() {
    let bench = bench_with_study().await;
    let (deliveries, report, bytes) = half_delivered(&bench).await;
    bench.disk.damage(|data| {
        data[9] ^= 1;
        true
    });
    assert!(offer_to(&deliveries, "archive", &Pacs::default()).await);
    comes_again(&deliveries, &report, &bytes).await;
}

#[tokio::test]
async fn what_every_destination_holds_is_not_asked_for() {
    let bench = bench_with_study().await;
    let (deliveries, ..) = half_delivered(&bench).await;
    assert!(offer_to(&deliveries, "archive", &Pacs::default()).await);
    hear(&deliveries).await;
    drop(deliveries);
    cut(&bench);
    let bench = bench.restart().await;
    let deliveries = open_with(&bench, both()).await;
    assert_eq!(hear(&deliveries).await, []);
}

/// Of what the PACS may have this stays said; of what a person has ordered since, that it waits for its bytes.
#[tokio::test]
async fn a_row_that_a_person_has_ordered_says_that_its_bytes_are_lost() {
    for (ordered, expect) in [
        (
            false,
            (
                "unknown",
                "not known whether the PACS has it: the connection was closed",
            ),
        ),
        (
            true,
            (
                "waiting",
                "its bytes were lost at the site: waits for the gateway",
            ),
        ),
    ] {
        let bench = bench_with_study().await;
        let deliveries = open(&bench).await;
        let (report, bytes) = signed("1.2.3", "2.25.1");
        deliveries.accept(&report, bytes).await.unwrap();
        let unanswered = SendOutcome::Unanswered("the connection was closed".to_owned());
        assert!(offer(&deliveries, &Pacs::answering([unanswered])).await);
        if ordered {
            assert_eq!(deliveries.retry(&report.case, "Dr. B").await.unwrap(), 1);
        }
        drop(deliveries);
        cut(&bench);
        let bench = bench.restart().await;
        assert_eq!(bench.spool.recovery().lost_reports, 1);
        let _deliveries = open(&bench).await;
        let lines = view::standing(bench.spool.rows()).await.unwrap();
        let line = lines.iter().find(|line| line.destination == "pacs");
        let found = line.map(|line| (line.state.as_str(), line.sentence.as_str()));
        assert_eq!(found, Some(expect), "ordered: {ordered}");
    }
}
