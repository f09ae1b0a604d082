//! A report of which nobody knows whether the destination has it: what is asked, what is said meanwhile, and how it ends (I16).

use super::*;
use crate::rows::Rows;

/// A PACS that is asked: gives the listed words in turn, the last one for ever.
fn asked(pacs: &Pacs, says: impl IntoIterator<Item = Holds>) -> (Store, Arc<Mutex<u32>>) {
    let says: Arc<Mutex<VecDeque<Holds>>> = Arc::new(Mutex::new(says.into_iter().collect()));
    let count = Arc::new(Mutex::new(0));
    let questions = count.clone();
    let store = pacs.store().asking(move |_, _| {
        *questions.lock().unwrap() += 1;
        let mut says = says.lock().unwrap();
        let word = match says.len() {
            0 => Holds::Unsaid,
            1 => says[0].clone(),
            _ => says.pop_front().unwrap(),
        };
        Box::pin(async move { word })
    });
    (store, count)
}

async fn line(deliveries: &Deliveries) -> (String, String) {
    let rows = deliveries.inner.spool.rows();
    let lines = view::standing(rows).await.unwrap();
    (lines[0].state.clone(), lines[0].sentence.clone())
}

fn lost() -> SendOutcome {
    SendOutcome::Unanswered("the connection was closed".to_owned())
}

/// Answers of the PACS in turn, what it says when it is asked, then: states after each offer, how often it was sent, how often asked.
type Case = (
    Vec<SendOutcome>,
    Vec<Holds>,
    &'static [&'static str],
    usize,
    u32,
);

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    use Holds::{No, Unreached, Unsaid, Yes};
    let down = || Unreached("no connection".to_owned());
    let failed = || SendOutcome::Failed("no connection".to_owned());
    let (duplicate, full) = (SendOutcome::Refused(0x0111), SendOutcome::Refused(0xA700));
    let stored = SendOutcome::Stored(0);
    vec![
        // it has it, and is sent it once
        (vec![lost()], vec![Yes], &["unknown", "delivered"], 1, 1),
        // it has it not
        (
            vec![lost(), stored.clone()],
            vec![No],
            &["unknown", "delivered"],
            2,
            1,
        ),
        // it is not asked: the same again
        (
            vec![lost(), stored.clone()],
            vec![Unsaid],
            &["unknown", "delivered"],
            2,
            1,
        ),
        (
            vec![lost(), duplicate.clone()],
            vec![Unsaid],
            &["unknown", "delivered"],
            2,
            2,
        ),
        // it is away: as little is known as before, and nothing is sent
        (
            vec![lost()],
            vec![down(), down(), Yes],
            &["unknown", "unknown", "unknown", "delivered"],
            1,
            3,
        ),
        // the second try does not get through, or is refused
        (
            vec![lost(), failed()],
            vec![Unsaid, Yes],
            &["unknown", "unknown", "delivered"],
            2,
            2,
        ),
        (
            vec![lost(), full.clone()],
            vec![Unsaid, Yes],
            &["unknown", "unknown", "delivered"],
            2,
            2,
        ),
        // once it has said that it has it not, a failure is one
        (
            vec![lost(), failed(), stored.clone()],
            vec![No],
            &["unknown", "waiting", "delivered"],
            3,
            1,
        ),
        (
            vec![lost(), lost()],
            vec![No, Yes],
            &["unknown", "unknown", "delivered"],
            2,
            2,
        ),
        // what was never sent whole is not asked for
        (
            vec![failed(), stored],
            vec![Yes],
            &["waiting", "delivered"],
            2,
            0,
        ),
        // nobody has lost an answer: another one has sent it, or it was sent before the rows were put back
        (vec![duplicate.clone()], vec![Yes], &["delivered"], 1, 1),
        (vec![duplicate.clone()], vec![Unsaid], &["delivered"], 1, 1),
        (
            vec![duplicate.clone()],
            vec![down(), Yes],
            &["unknown", "delivered"],
            1,
            2,
        ),
        // it says both: that is a refusal
        (vec![duplicate], vec![No], &["waiting", "waiting"], 2, 2),
    ]
}

#[tokio::test]
async fn what_is_not_known_is_asked_and_never_called_a_failure() {
    for (n, (answers, says, states, sent, questions)) in cases().into_iter().enumerate() {
        let bench = bench_with_study().await;
        let deliveries = open(&bench).await;
        let (report, bytes) = signed("1.2.3", "2.25.1");
        deliveries.accept(&report, bytes).await.unwrap();
        hear(&deliveries).await;
        let pacs = Pacs::answering(answers);
        let (store, count) = asked(&pacs, says);
        for state in states {
            assert!(offer_by(&deliveries, &destination(), &store).await);
            let (shown, sentence) = line(&deliveries).await;
            assert_eq!(shown, *state, "case {n}: {sentence}");
            let says_so = sentence.starts_with("not known whether the PACS has it");
            assert_eq!(says_so, *state == "unknown", "case {n}: {sentence}");
            // the gateway hears that it waits, and why
            let told = match *state {
                "unknown" => "waiting",
                state => state,
            };
            let waits = told == "waiting";
            assert_eq!(hear(&deliveries).await, [word("pacs", told, waits)]);
            bench.pass(1000);
        }
        let received = pacs.received();
        assert_eq!(received.len(), sent, "case {n}: sent");
        assert_eq!(*count.lock().unwrap(), questions, "case {n}: asked");
        let one = (&received[0].instance, &received[0].dataset);
        let same = received.iter().all(|it| (&it.instance, &it.dataset) == one);
        assert!(same, "case {n}: another object");
    }
}

/// A person who does not find it in the PACS has it sent, whatever the PACS says when it is asked; what came of that is not known before
/// it has answered.
#[tokio::test]
async fn what_a_person_offers_again_is_sent_and_not_asked_for() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    let away = SendOutcome::Failed("no connection".to_owned());
    let pacs = Pacs::answering([lost(), away, lost(), SendOutcome::Stored(0)]);
    let (store, count) = asked(&pacs, [Holds::Unsaid]);
    let to = destination();
    assert!(offer_by(&deliveries, &to, &store).await);
    assert_eq!(line(&deliveries).await.0, "unknown");
    let retried = deliveries.retry(&report.case, "Dr. B").await.unwrap();
    assert_eq!(retried, 1);
    let said = "offered again by a person at the site".to_owned();
    assert_eq!(line(&deliveries).await, ("waiting".to_owned(), said));
    // the first try does not get through: the second does what was ordered, and from then on the PACS is asked as before
    for (sent, questions) in [(2, 0), (3, 0), (4, 1)] {
        assert!(offer_by(&deliveries, &to, &store).await);
        let (state, sentence) = line(&deliveries).await;
        let state_after = if sent == 4 { "delivered" } else { "unknown" };
        assert_eq!(state, state_after, "{sentence}");
        assert_eq!(pacs.received().len(), sent);
        assert_eq!(*count.lock().unwrap(), questions);
        bench.pass(1000);
    }
}

/// What the rows did not take is not known: it is asked for before it is sent again, and not at once each time that they refuse. What
/// a person orders meanwhile is sent at once.
#[tokio::test]
async fn an_offer_that_was_not_written_down_comes_again_after_a_minute() {
    let a_minute: &[(i64, bool)] = &[(0, false), (59, false), (2, true)];
    for (ordered, turns, sent_and_asked) in
        [(false, a_minute, (1, 2)), (true, &[(0, true)], (2, 1))]
    {
        let bench = bench_with_study().await;
        let deliveries = open(&bench).await;
        let (report, bytes) = signed("1.2.3", "2.25.1");
        deliveries.accept(&report, bytes).await.unwrap();
        let change = async |statement: &'static str| {
            let mut tx = bench.spool.rows().begin().await.unwrap();
            sqlx::raw_sql(statement).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        };
        let (pacs, to) = (
            Pacs::answering([lost(), SendOutcome::Stored(0)]),
            destination(),
        );
        let (store, count) = asked(&pacs, [Holds::Yes]);
        let (edge, mut left) = ((&store, fonts()), false);
        assert!(offer_by(&deliveries, &to, &store).await);
        bench.pass(1000);
        change("CREATE TRIGGER fault BEFORE INSERT ON audit_event WHEN NEW.event = 'report-offered' BEGIN SELECT RAISE(ABORT, 'no'); END").await;
        let refused = work::offer_or_free(&deliveries, &to, edge, &mut left).await;
        assert!(refused.is_err() && left);
        change("DROP TRIGGER fault").await;
        if ordered {
            assert_eq!(deliveries.retry(&report.case, "Dr. B").await.unwrap(), 1);
        }
        for (passes, offered) in turns {
            bench.pass(*passes);
            let done = work::offer_or_free(&deliveries, &to, edge, &mut left).await;
            assert_eq!(done.unwrap(), *offered, "{passes} s later");
            assert!(!left);
        }
        assert_eq!(line(&deliveries).await.0, "delivered");
        let found = (pacs.received().len(), *count.lock().unwrap());
        assert_eq!(found, sent_and_asked, "ordered: {ordered}");
    }
}

/// An order stands until it was carried out: not by an offer that was under way when it was given, and not by a process that ended.
#[tokio::test]
async fn what_a_person_orders_meanwhile_is_sent_and_not_asked_for() {
    for ends in [false, true] {
        let bench = bench_with_study().await;
        let deliveries = open(&bench).await;
        let (report, bytes) = signed("1.2.3", "2.25.1");
        deliveries.accept(&report, bytes).await.unwrap();
        let pacs = Pacs::answering([lost(), SendOutcome::Stored(0)]);
        assert!(offer(&deliveries, &pacs).await);
        bench.pass(1000);
        let (to, ordering, case) = (destination(), deliveries.clone(), report.case.clone());
        let store = pacs.store().asking(move |_, _| {
            let (ordering, case) = (ordering.clone(), case.clone());
            Box::pin(async move {
                assert_eq!(ordering.retry(&case, "Dr. B").await.unwrap(), 1);
                match ends {
                    true => std::future::pending().await,
                    false => Holds::Unreached("no connection".to_owned()),
                }
            })
        });
        if ends {
            let ordered = async {
                while line(&deliveries).await.1 != "offered again by a person at the site" {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                _ = offer_by(&deliveries, &to, &store) => panic!("nobody answers"),
                () = ordered => {}
            }
        } else {
            assert!(offer_by(&deliveries, &to, &store).await);
        }
        drop((deliveries, store));
        let bench = bench.restart().await;
        bench.pass(1000);
        let deliveries = open(&bench).await;
        let (store, count) = asked(&pacs, [Holds::Yes]);
        assert!(offer_by(&deliveries, &to, &store).await);
        assert_eq!(line(&deliveries).await.0, "delivered");
        assert_eq!((pacs.received().len(), *count.lock().unwrap()), (2, 0));
    }
}

/// A PACS that is offered a report while a person orders it sent again.
fn ordering(deliveries: &Deliveries, case: &CaseCode, answers: SendOutcome) -> Store {
    let (ordering, case) = (deliveries.clone(), case.clone());
    Store::new(move |_, _| {
        let (ordering, case, answer) = (ordering.clone(), case.clone(), answers.clone());
        Box::pin(async move {
            assert_eq!(ordering.retry(&case, "Dr. B").await.unwrap(), 1);
            answer
        })
    })
}

/// An offer that ends for good while a person orders another one ends nothing, unless it was taken.
#[tokio::test]
async fn what_a_person_orders_during_an_offer_is_done_after_it() {
    let said = "offered again by a person at the site";
    let unknown = "not known whether the PACS has it: offered again by a person at the site";
    let refusal = SendOutcome::Refused(0xC000);
    let stored = SendOutcome::Stored(0);
    // tries before it, how it ends, what is shown then, and how often the next offer asks and sends
    let cases = [
        (9, refusal, ("waiting", said), (0, 1)),
        (1, SendOutcome::NotNegotiated, ("waiting", said), (0, 1)),
        (1, lost(), ("unknown", unknown), (1, 0)),
        (1, stored, ("delivered", "in the PACS"), (0, 0)),
    ];
    let to = Destination {
        page_image: PageImage::IfRefused,
        ..destination()
    };
    for (tries, answer, shown, (questions, sent)) in cases {
        let bench = bench_with_study().await;
        let deliveries = open_with(&bench, vec![to.clone()]).await;
        let (report, bytes) = signed("1.2.3", "2.25.1");
        deliveries.accept(&report, bytes).await.unwrap();
        let refusing = Pacs::answering([SendOutcome::Refused(0xC000)]);
        for _ in 0..tries {
            assert!(offer_by(&deliveries, &to, &refusing.store()).await);
            bench.pass(1000);
        }
        let store = ordering(&deliveries, &report.case, answer.clone());
        assert!(offer_by(&deliveries, &to, &store).await);
        let (state, sentence) = line(&deliveries).await;
        assert_eq!((state.as_str(), sentence.as_str()), shown, "{answer:?}");
        let pacs = Pacs::default();
        let (store, count) = asked(&pacs, [Holds::Yes]);
        let due = offer_by(&deliveries, &to, &store).await;
        assert_eq!(due, shown.0 != "delivered", "{answer:?}");
        let came = (*count.lock().unwrap(), pacs.received().len());
        assert_eq!(came, (questions, sent), "{answer:?}");
        assert_eq!(line(&deliveries).await.0, "delivered");
        let more = offer_by(&deliveries, &to, &store).await;
        assert!(!more, "no page image either: {answer:?}");
    }
}

/// He does not find in the PACS what it says that it has: that it says so once more while he orders ends nothing.
#[tokio::test]
async fn what_a_person_orders_while_it_is_asked_for_is_sent() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    let pacs = Pacs::answering([lost(), SendOutcome::Stored(0)]);
    assert!(offer(&deliveries, &pacs).await);
    bench.pass(1000);
    let (ordering, case) = (deliveries.clone(), report.case.clone());
    let store = pacs.store().asking(move |_, _| {
        let (ordering, case) = (ordering.clone(), case.clone());
        Box::pin(async move {
            assert_eq!(ordering.retry(&case, "Dr. B").await.unwrap(), 1);
            Holds::Yes
        })
    });
    assert!(offer_by(&deliveries, &destination(), &store).await);
    assert_eq!(line(&deliveries).await.0, "waiting");
    let (store, count) = asked(&pacs, [Holds::Yes]);
    assert!(offer_by(&deliveries, &destination(), &store).await);
    assert_eq!((pacs.received().len(), *count.lock().unwrap()), (2, 0));
    assert_eq!(line(&deliveries).await.0, "delivered");
}

/// A PACS that stored it, lost the connection, cannot be asked, and refuses what it has: nobody may read that it is not there.
#[tokio::test]
async fn what_a_pacs_refuses_that_may_have_it_is_not_known_to_be_missing() {
    for (refusal, tries) in [
        (SendOutcome::Refused(0xC000), 10),
        (SendOutcome::NotNegotiated, 1),
    ] {
        let bench = bench_with_study().await;
        let deliveries = open(&bench).await;
        let (report, bytes) = signed("1.2.3", "2.25.1");
        deliveries.accept(&report, bytes).await.unwrap();
        let (store, _) = asked(&Pacs::answering([lost(), refusal]), [Holds::Unsaid]);
        for _ in 0..=tries {
            assert!(offer_by(&deliveries, &destination(), &store).await);
            bench.pass(1000);
        }
        assert!(!offer_by(&deliveries, &destination(), &store).await);
        let (_, sentence) = line(&deliveries).await;
        let says_so = sentence.starts_with("not known whether the PACS has it");
        assert!(says_so, "{sentence}");
    }
}

/// The agent ends while the PACS is storing: the answer is never heard.
#[tokio::test]
async fn what_was_being_offered_when_the_agent_ended_is_asked_first() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    let (offered, at) = tokio::sync::oneshot::channel();
    let offered = Mutex::new(Some(offered));
    let never = Store::new(move |_, _| {
        offered.lock().unwrap().take().unwrap().send(()).unwrap();
        Box::pin(std::future::pending())
    });
    let to = destination();
    tokio::select! {
        _ = work::offer_next(&deliveries, &to, &never, fonts()) => panic!("nobody answers"),
        at = at => at.unwrap(),
    }
    drop((deliveries, never));
    let bench = bench.restart().await;
    let deliveries = open(&bench).await;
    let pacs = Pacs::default();
    let (store, count) = asked(&pacs, [Holds::Yes]);
    assert!(offer_by(&deliveries, &to, &store).await);
    assert_eq!(line(&deliveries).await.0, "delivered");
    assert_eq!((pacs.received().len(), *count.lock().unwrap()), (0, 1));
}

#[tokio::test]
async fn a_withdrawal_of_what_may_be_there_says_so() {
    let bench = bench_with_study().await;
    let deliveries = open(&bench).await;
    let (report, bytes) = signed("1.2.3", "2.25.1");
    deliveries.accept(&report, bytes).await.unwrap();
    assert!(offer(&deliveries, &Pacs::answering([lost()])).await);
    let rows = deliveries.inner.spool.rows();
    let mut tx = rows.begin().await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO report (delivery, agreement, study_uid, sop_uid, sop_class, syntax, case_code, status, signed_us, signer, received_us) \
         SELECT 'w', agreement, study_uid, '2.25.2', sop_class, syntax, case_code, 'withdrawn', signed_us + 1, signer, 1 FROM report; \
         INSERT INTO delivery (report_id, destination, form, state, sentence, since_us) \
         SELECT id, 'site', 'acknowledged', 'held', '', 1 FROM report WHERE sop_uid = '2.25.2'",
    )
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    assert!(view::withdrawals(rows).await.unwrap()[0].was_delivered);
}

/// Rows of an earlier version: of what it had offered, and what waits, nobody knows.
#[tokio::test]
async fn rows_of_an_earlier_version_are_taken_over() {
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("agent.sqlite"))
        .create_if_missing(true);
    let old = SqlitePoolOptions::new()
        .connect_with(options)
        .await
        .unwrap();
    sqlx::migrate!("./migrations")
        .run_to(2, &old)
        .await
        .unwrap();
    sqlx::raw_sql(
        "INSERT INTO report (id, delivery, agreement, study_uid, sop_uid, sop_class, syntax, case_code, status, signed_us, signer, \
         received_us) VALUES (1, 'd', 'a1', '1.2.3', '2.25.1', '1.2', '1.2', 'CASE', 'final', 1, 'R', 1); \
         INSERT INTO delivery (report_id, destination, form, state, sentence, attempts, since_us) VALUES \
         (1, 'new', 'sr', 'at-site', '', 0, 1), (1, 'tried', 'sr', 'waiting', '', 3, 1), (1, 'cut', 'sr', 'at-site', '', 1, 1), \
         (1, 'done', 'sr', 'delivered', '', 2, 1), (1, 'site', 'sr', 'at-site', '', 0, 1)",
    )
    .execute(&old)
    .await
    .unwrap();
    old.close().await;
    let rows = Rows::open(folder.path()).await.unwrap();
    let unknown: Vec<String> =
        sqlx::query_scalar("SELECT destination FROM delivery WHERE unknown = 1 ORDER BY 1")
            .fetch_all(rows.read())
            .await
            .unwrap();
    assert_eq!(unknown, ["cut", "tried"]);
}
