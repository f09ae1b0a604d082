//! What came before its agreement was known, and what is there under the agreement already: one study, and nothing lost.

use super::*;
use crate::spool::decision::By;

/// Everything the rows hold of instances: UID, agreement, study, content and what keeps it from being sent.
async fn instances(bench: &Bench) -> Vec<(String, String, String, String)> {
    sqlx::query_as(
        "SELECT i.sop_uid, i.agreement, s.study_uid, i.state FROM instance i JOIN study s ON s.id = i.study_id \
         AND s.agreement = i.agreement ORDER BY i.sop_uid, i.agreement",
    )
    .fetch_all(bench.spool.rows().read())
    .await
    .unwrap()
}

async fn count(bench: &Bench, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(bench.spool.rows().read())
        .await
        .unwrap()
}

fn named(study: &str, instance: &str) -> What {
    What {
        agreement: Some("a1"),
        ..What::image(study, instance)
    }
}

fn uids(out: &[Outgoing]) -> Vec<&str> {
    out.iter().map(|o| o.key.instance.as_str()).collect()
}

#[tokio::test]
async fn a_title_without_an_agreement_takes_that_of_the_study() {
    let bench = Bench::new().await;
    bench.store(&named("1.2.3", "1.2.3.1")).await.unwrap();
    bench.store(&What::image("1.2.3", "1.2.3.2")).await.unwrap();
    assert_eq!(count(&bench, "SELECT COUNT(*) FROM study").await, 1);
    bench.greet(1, 0).await;
    bench.greet_with(1, 0, &["a1", "a2"]).await;
    bench.store(&What::image("1.2.3", "1.2.3.3")).await.unwrap();
    let out = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
    assert_eq!(uids(&out), ["1.2.3.1", "1.2.3.2", "1.2.3.3"]);
    bench.greet_with(1, 0, &["a2"]).await;
    bench.store(&What::image("1.2.3", "1.2.3.4")).await.unwrap();
    let out = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
    assert_eq!(
        uids(&out),
        ["1.2.3.4"],
        "an agreement that has ended holds back nothing new"
    );
}

#[tokio::test]
async fn one_object_in_two_studies_does_not_stop_the_link() {
    let bench = Bench::new().await;
    bench.store(&named("1.2.3", "1.2.3.1")).await.unwrap();
    let moved = What::image("1.2.4", "1.2.3.1");
    bench
        .store(&moved.clone().with_bytes(b"moved"))
        .await
        .unwrap();
    let same = What::image("1.2.5", "1.2.3.1");
    assert_eq!(bench.store(&same).await.unwrap(), Stored::Conflict);
    bench.greet(1, 0).await;
    let expect = [("1.2.3.1", "a1", "1.2.3", "waiting")];
    let expect = expect.map(|(a, b, c, d)| (a.into(), b.into(), c.into(), d.into()));
    assert_eq!(instances(&bench).await, expect);
    assert_eq!(count(&bench, "SELECT COUNT(*) FROM study").await, 1);
    let kept = "SELECT COUNT(*) FROM aside WHERE kind = 'conflict' AND study_uid = '1.2.4'";
    assert_eq!(count(&bench, kept).await, 1);
    bench.pass(30);
    assert_eq!(bench.seal().await, 1);
    let bench = bench.restart().await;
    assert_eq!(
        bench.spool.recovery(),
        &Recovery::default(),
        "every file has its row"
    );
}

#[tokio::test]
async fn a_nameless_study_joins_the_one_that_is_there() {
    let bench = Bench::new().await;
    for n in 1..=4 {
        let what = What::image("1.2.3", &format!("1.2.3.{n}"));
        bench.store(&what).await.unwrap();
    }
    // under names of their own: the named ones do not find them, as an agent that had not looked for them would not have
    let mut tx = bench.spool.rows().begin().await.unwrap();
    sqlx::query("UPDATE study SET study_uid = '1.2.99'")
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query("UPDATE instance SET sop_uid = '9' || sop_uid")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let stat = What {
        priority: Priority::Stat,
        ..named("1.2.3", "1.2.3.1")
    };
    bench.store(&stat).await.unwrap();
    let other = named("1.2.3", "1.2.3.2").with_bytes(b"other bytes, the same pixels");
    bench.store(&other).await.unwrap();
    let pixels = What {
        pixels: Some(b"others"),
        ..named("1.2.3", "1.2.3.3").with_bytes(b"other pixels")
    };
    bench.store(&pixels).await.unwrap();
    bench.greet_with(1, 0, &["a1", "a2"]).await;
    bench.pass(30);
    bench.seal().await;
    bench.receipt_all(1, 1).await;
    let version = bench.spool.manifests_due().await.unwrap()[0].version;
    let mut tx = bench.spool.rows().begin().await.unwrap();
    sqlx::query("UPDATE study SET study_uid = '1.2.3'")
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query("UPDATE instance SET sop_uid = SUBSTR(sop_uid, 2) WHERE agreement = ''")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();

    bench.greet_with(1, 3, &["a1", "a2"]).await;
    assert_eq!(count(&bench, "SELECT COUNT(*) FROM study").await, 1);
    assert_eq!(count(&bench, "SELECT COUNT(*) FROM instance").await, 4);
    let out = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
    assert_eq!(
        uids(&out),
        ["1.2.3.4"],
        "what has a receipt is not sent again"
    );
    let open = bench.spool.studies_to_open().await.unwrap();
    assert_eq!((open.len(), open[0].open.priority), (1, Priority::Stat));
    let asides = "SELECT GROUP_CONCAT(kind) FROM (SELECT kind FROM aside ORDER BY kind)";
    let kinds: String = sqlx::query_scalar(asides)
        .fetch_one(bench.spool.rows().read())
        .await
        .unwrap();
    assert_eq!(kinds, "conflict,correction");
    bench.pass(30);
    bench.seal().await;
    bench.receipt_all(1, 4).await;
    let due = bench.spool.manifests_due().await.unwrap().remove(0);
    assert_eq!((due.version, due.entries.len()), (version + 1, 4));
    let bench = bench.restart().await;
    // what no row names in a segment goes with it, and is no orphan
    assert_eq!(bench.spool.recovery(), &Recovery::default());
}

#[tokio::test]
async fn bytes_that_were_lost_are_taken_from_the_nameless_row() {
    let bench = Bench::new().await;
    bench.store(&named("1.2.3", "1.2.3.1")).await.unwrap();
    bench.store(&What::image("1.2.4", "1.2.3.1")).await.unwrap();
    let mut tx = bench.spool.rows().begin().await.unwrap();
    sqlx::query(
        "UPDATE instance SET handle = NULL, state = 'withheld', reason = 'lost' WHERE agreement = 'a1'",
    )
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    bench.greet(1, 0).await;
    let out = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
    assert_eq!(
        (uids(&out), out[0].study.as_str()),
        (vec!["1.2.3.1"], "1.2.3")
    );
    let bytes = bench
        .spool
        .read(&out[0].source.handle, 0, 999)
        .await
        .unwrap();
    assert_eq!(&bytes[..], &What::image("1.2.3", "1.2.3.1").bytes[..]);
}

#[tokio::test]
async fn a_recall_of_either_is_a_recall_of_both() {
    let bench = Bench::new().await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    let case: String = sqlx::query_scalar("SELECT case_code FROM study")
        .fetch_one(bench.spool.rows().read())
        .await
        .unwrap();
    assert!(
        bench
            .spool
            .recall(
                &case.parse().unwrap(),
                By {
                    who: "rita",
                    reason: "not ours"
                }
            )
            .await
            .unwrap()
    );
    let mut tx = bench.spool.rows().begin().await.unwrap();
    sqlx::query("UPDATE study SET study_uid = '1.2.99'")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    bench.store(&named("1.2.3", "1.2.3.2")).await.unwrap();
    let mut tx = bench.spool.rows().begin().await.unwrap();
    sqlx::query("UPDATE study SET study_uid = '1.2.3'")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    bench.greet(1, 0).await;
    assert_eq!(bench.spool.recalls().await.unwrap().len(), 1);
    assert!(
        bench
            .spool
            .next_to_send(9, &HashSet::new())
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        count(
            &bench,
            "SELECT COUNT(*) FROM instance WHERE agreement = 'a1'"
        )
        .await,
        2
    );
}

/// Whether the study of a bench leaves under other UIDs, after the gateway has announced an agreement with these options.
async fn replaces(bench: &Bench, study: &str, options: &[&str]) -> Option<bool> {
    let hello = HelloGateway {
        epoch: 1,
        high_water: 0,
        agreements: vec![Agreement {
            identity: "pseudonymous".to_owned(),
            options: options.iter().map(|&word| word.to_owned()).collect(),
            ..Agreement::identified("a1".parse().unwrap(), "Readers")
        }],
        codings: Vec::new(),
    };
    bench.spool.greeted(&hello).await.unwrap();
    let study = study.parse().unwrap();
    let agreement = "a1".parse().unwrap();
    bench.spool.replaces(&agreement, &study).await.unwrap()
}

#[tokio::test]
async fn either_side_may_ask_that_no_uid_leaves_and_neither_can_forbid_it() {
    for (ours, theirs, expect) in [
        (false, &["device"][..], false),
        (false, &["device", "replace-uids"], true),
        (true, &[], true),
        (true, &["replace-uids"], true),
        (false, &["not-replace-uids", "replace-uids-not"], false),
    ] {
        let mut config = Config::default();
        if ours {
            config.agreement.require = vec!["replace-uids".to_owned()];
        }
        let bench = Bench::strict(config).await;
        // before its agreement is known
        bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
        assert_eq!(replaces(&bench, "1.2.3", theirs).await, Some(expect));
        // and after
        bench.store(&What::image("1.2.4", "1.2.4.1")).await.unwrap();
        assert_eq!(replaces(&bench, "1.2.4", theirs).await, Some(expect));
        assert_eq!(replaces(&bench, "1.2.9", theirs).await, None);
    }
}

#[tokio::test]
async fn what_began_to_leave_goes_on_as_it_began() {
    let bench = Bench::strict(Config::default()).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    assert_eq!(replaces(&bench, "1.2.3", &[]).await, Some(false));
    let asked = ["replace-uids"];
    assert_eq!(replaces(&bench, "1.2.3", &asked).await, Some(false));
    bench.store(&What::image("1.2.4", "1.2.4.1")).await.unwrap();
    assert_eq!(replaces(&bench, "1.2.4", &asked).await, Some(true));
    assert_eq!(replaces(&bench, "1.2.4", &[]).await, Some(true));
}

#[tokio::test]
async fn what_leaves_under_other_uids_never_leaves_as_it_was_received() {
    let mut config = Config::default();
    config.agreement.require = vec!["replace-uids".to_owned()];
    let bench = Bench::strict(config).await;
    bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
    assert_eq!(replaces(&bench, "1.2.3", &[]).await, Some(true));
    let mut tx = bench.spool.rows().begin().await.unwrap();
    sqlx::query("UPDATE agreement SET identity = 'identified'")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    bench.store(&What::image("1.2.3", "1.2.3.2")).await.unwrap();
    let out = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
    assert!(out.is_empty(), "{out:?}");
    let given = bench.spool.next_to_protect(9, 0).await.unwrap();
    assert_eq!(given.len(), 2);
    assert!(given.iter().all(|it| it.replaces_uids));
}
