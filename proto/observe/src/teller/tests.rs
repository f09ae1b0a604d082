//! Channels that fail, hang and come back.

use std::path::Path;

use super::*;
use crate::channel::tests::telling;

fn clock() -> Clock {
    Clock::new(|| Timestamp(2_000_000_000_000_000))
}

/// A program that notes each try in one file and each success in another, and fails while a third is there.
fn config(folder: &Path) -> Config {
    let script = "cd \"$0\"; echo >> tried; [ ! -e broken ] && echo >> told";
    let text = format!(
        r#"{{"command": [
            {{"name": "hangs", "program": "/bin/sleep", "arguments": ["600"]}},
            {{"name": "page", "program": "/bin/sh", "arguments": ["-c", {script:?}, {folder:?}]}}]}}"#,
    );
    serde_json::from_str(&text).unwrap()
}

fn lines(folder: &Path, name: &str) -> usize {
    std::fs::read_to_string(folder.join(name)).map_or(0, |text| text.lines().count())
}

async fn until(fits: impl Fn() -> bool) {
    while !fits() {
        tokio::task::yield_now().await;
    }
}

/// Lets the workers run for as long as something else takes.
async fn during(teller: &Teller, pauses: &[Duration], act: impl Future<Output = ()>) {
    let cancel = CancellationToken::new();
    tokio::select! {
        () = teller.run_with(pauses, &cancel) => {}
        () = act => {}
    }
}

#[tokio::test]
async fn one_that_hangs_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let teller = Teller::open(&config(folder.path()), clock());
    teller.tell(&telling());
    teller.tell(&telling());
    let taken = until(|| teller.states()[1].waiting == 0);
    during(&teller, &PAUSES, taken).await;
    assert_eq!(lines(folder.path(), "told"), 2);
    let states = teller.states();
    assert_eq!((states[0].waiting, states[1].waiting), (2, 0));
    assert_eq!(states[1].taken, Some(clock().now()));
}

#[tokio::test]
async fn what_fails_is_tried_again_and_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let teller = Teller::open(&config(folder.path()), clock());
    std::fs::write(folder.path().join("broken"), "").unwrap();
    teller.tell(&telling());
    let given_up = until(|| teller.states()[1].given_up == 1);
    during(&teller, &[Duration::ZERO; 2], given_up).await;
    assert_eq!(lines(folder.path(), "tried"), 3);
    let page = &teller.states()[1];
    assert_eq!((page.waiting, page.failing_since), (0, Some(clock().now())));
    assert!(page.failure.contains("exit"), "{}", page.failure);
}

#[tokio::test]
async fn what_comes_in_a_pause_is_tried_at_once_and_takes_along_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let teller = Teller::open(&config(folder.path()), clock());
    let broken = folder.path().join("broken");
    std::fs::write(&broken, "").unwrap();
    let act = async {
        teller.tell(&telling());
        until(|| !teller.states()[1].failure.is_empty()).await;
        std::fs::remove_file(&broken).unwrap();
        teller.tell(&telling());
        until(|| teller.states()[1].waiting == 0).await;
    };
    during(&teller, &[Duration::from_secs(3600)], act).await;
    assert_eq!(lines(folder.path(), "told"), 2);
    assert_eq!(teller.states()[1].failing_since, None);
}

#[tokio::test]
async fn what_comes_in_a_pause_costs_what_waits_no_try() {
    let folder = tempfile::tempdir().unwrap();
    let teller = Teller::open(&config(folder.path()), clock());
    std::fs::write(folder.path().join("broken"), "").unwrap();
    let act = async {
        for tries in 1..=5 {
            teller.tell(&telling());
            until(|| lines(folder.path(), "tried") >= tries).await;
        }
    };
    during(&teller, &[Duration::from_secs(3600)], act).await;
    let page = &teller.states()[1];
    assert_eq!((page.waiting, page.given_up), (5, 0));
}

#[tokio::test]
async fn the_oldest_gives_way_when_too_many_wait() {
    let folder = tempfile::tempdir().unwrap();
    let teller = Teller::open(&config(folder.path()), clock());
    for _ in 0..MOST + 3 {
        teller.tell(&telling());
    }
    for state in teller.states() {
        assert_eq!((state.waiting, state.given_up), (MOST as u64, 3));
    }
}

#[tokio::test]
async fn a_test_says_what_each_channel_made_of_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broken"), "").unwrap();
    let mut config = config(folder.path());
    config.command[0].arguments = vec!["0".to_owned()];
    let found = test(&config, &telling()).await;
    let found: Vec<_> = found
        .iter()
        .map(|it| (it.name.as_str(), it.kind, it.failure.is_some()))
        .collect();
    assert_eq!(
        found,
        [("hangs", "command", false), ("page", "command", true)]
    );
}
