//! Exactly one claim wins.

use std::collections::BTreeSet;
use std::time::Duration;

use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::reader::Reader;
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;

const READERS: usize = 10;
const CLAIMS_EACH: usize = 10;

#[tokio::test]
async fn a_hundred_parallel_claims_of_one_task_have_one_winner() -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..2, "CAUSEWAY").await?;
    let mut readers = Vec::new();
    for number in 0..READERS {
        let name = format!("reader-{number}");
        let password = hospital.stack.add_reader(&name).await?;
        readers.push(Reader::sign_in(&hospital.stack.url(), &name, &password).await?);
    }
    let task = hospital
        .reader
        .wait_ready(&study.study(), Duration::from_secs(60))
        .await?;
    let path = format!("/api/v1/workitems/{}/claim", task.workitem);
    let claims = (0..READERS * CLAIMS_EACH).map(|claim| {
        let reader = &readers[claim % READERS];
        let path = &path;
        async move {
            (
                claim % READERS,
                reader.send(Method::POST, path, None, Some(json!({}))).await,
            )
        }
    });
    let (mut winners, mut locks, mut losers) = (BTreeSet::new(), BTreeSet::new(), 0);
    for (reader, answer) in join_all(claims).await {
        let answer = answer?;
        match answer.status {
            StatusCode::OK => {
                winners.insert(reader);
                locks.insert(answer.body["transaction_uid"].to_string());
            }
            StatusCode::CONFLICT => losers += 1,
            other => panic!("{other}: {}", answer.body),
        }
    }
    assert_eq!(
        (winners.len(), locks.len()),
        (1, 1),
        "winners {winners:?}, {} locks",
        locks.len()
    );
    assert_eq!(
        losers,
        (READERS - 1) * CLAIMS_EACH,
        "every claim of everybody else was refused"
    );
    hospital.close().await
}
