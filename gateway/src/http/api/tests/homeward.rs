//! The way home as the gateway keeps it: leases for the link, and what the case page says of every destination.

use causeway_proto::link::message::{Delivery, DeliveryState};
use serde_json::json;

use super::signing::{due, ready, view};
use super::stage::Stage;
use crate::delivery;

#[tokio::test]
async fn the_case_says_where_the_report_is() {
    for stage in Stage::on_both().await {
        let (reader, case, _) = ready(&stage).await;
        let body = stage.previewed(&reader, &case, "final").await;
        stage.sign(&reader, &case, &body).await;
        let due = due(&stage).await;
        let site = "athens".parse().unwrap();
        let now = stage.state.clock.now();
        let say = |destination: &str, state, sentence: &str, minutes: i64| Delivery {
            delivery: due.message.delivery.clone(),
            destination: destination.to_owned(),
            form: "sr".to_owned(),
            state,
            sentence: sentence.to_owned(),
            next_try: Some(now.plus(std::time::Duration::from_secs(60))),
            since: causeway_proto::time::Timestamp(now.0 + minutes * 60_000_000),
        };
        let steps = [
            (say("site", DeliveryState::AtSite, "", 1), "at-site"),
            (
                say("pacs", DeliveryState::Waiting, "connection refused", 3),
                "at-site",
            ),
            // the site's clock was set back in between: the words of a session count in the order in which they are said
            (say("pacs", DeliveryState::Delivered, "", 2), "delivered"),
        ];
        for (said, state) in steps {
            let changed = delivery::record(&stage.state.rows, &site, &said, now)
                .await
                .unwrap();
            assert_eq!(changed.cases, std::slice::from_ref(&case));
            let shown = view(&stage, &reader, &case).await;
            let shown = &shown["reports"][0]["delivery"];
            assert_eq!(shown["state"], state, "{shown}");
            if said.sentence == "connection refused" {
                let sentence = shown["sentence"].as_str().unwrap();
                assert!(sentence.contains("connection refused"), "{sentence}");
                assert!(shown["forms"][0]["next_try"].is_string());
            }
        }
        let elsewhere = "berlin".parse().unwrap();
        let forged = say("pacs", DeliveryState::Rejected, "", 9);
        let changed = delivery::record(&stage.state.rows, &elsewhere, &forged, now)
            .await
            .unwrap();
        assert!(
            changed.cases.is_empty(),
            "another site's word counts nothing"
        );
        let list = stage.call("GET", "/worklist", &reader, None).await.json;
        assert_eq!(
            list["items"][0]["report"],
            json!({ "status": "final", "delivery": "delivered" })
        );
    }
}

#[tokio::test]
async fn a_document_is_leased_to_one_and_due_again_when_nothing_is_said() {
    for stage in Stage::on_both().await {
        let (reader, case, _) = ready(&stage).await;
        let body = stage.previewed(&reader, &case, "final").await;
        stage.sign(&reader, &case, &body).await;
        let site: causeway_proto::ids::SiteId = "athens".parse().unwrap();
        let lease = std::time::Duration::from_secs(60);
        let rows = &stage.state.rows;
        let owners: Vec<String> = (0..8).map(|n| format!("link-{n}")).collect();
        let ask = |owner| delivery::due(rows, &site, owner, 16, (stage.state.clock.now(), lease));
        let all = futures::future::join_all(owners.iter().map(|o| ask(o))).await;
        let leased: usize = all.into_iter().map(|due| due.unwrap().len()).sum();
        assert_eq!(leased, 1);
        assert!(ask("another").await.unwrap().is_empty());
        stage.pass(61);
        assert_eq!(ask("another").await.unwrap().len(), 1);
        delivery::release(rows, "another").await.unwrap();
        assert_eq!(ask("a third").await.unwrap().len(), 1);
        delivery::take_over(rows, &"berlin".parse().unwrap())
            .await
            .unwrap();
        assert!(ask("a fourth").await.unwrap().is_empty());
        delivery::take_over(rows, &site).await.unwrap();
        assert_eq!(ask("a fourth").await.unwrap().len(), 1);
        delivery::release(rows, "a third").await.unwrap();
        assert!(ask("a third").await.unwrap().is_empty(), "taken over");
        let elsewhere = "berlin".parse().unwrap();
        stage.pass(61);
        let now = stage.state.clock.now();
        let theirs = delivery::due(rows, &elsewhere, "link", 16, (now, lease)).await;
        assert!(theirs.unwrap().is_empty());
    }
}
