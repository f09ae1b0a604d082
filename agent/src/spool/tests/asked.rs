//! The gateway asks for bytes again that it had receipted.

use causeway_proto::link::message::{Again, AgainKey};

use super::link::{HOUR, answer, seal, waiting};
use super::*;

fn asked(out: &[Outgoing], instance: &str) -> Again {
    let of = out.iter().find(|it| it.key.instance.as_str() == instance);
    let of = of.unwrap();
    Again {
        study: of.study.clone(),
        agreement: of.key.agreement.clone(),
        instances: vec![AgainKey {
            instance: of.key.instance.clone(),
            sent_digest: of.sent.digest,
        }],
    }
}

#[tokio::test]
async fn what_is_still_kept_is_offered_again_and_what_is_not_is_said() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    for n in 1..=2 {
        let what = What::image("1.2.3", &format!("1.2.3.{n}"));
        bench.store(&what).await.unwrap();
    }
    let out = waiting(&bench).await;
    seal(&bench, 30).await;
    bench.receipt_all(1, 1).await;
    answer(&bench, &[]).await;
    assert!(waiting(&bench).await.is_empty());

    let again = asked(&out, "1.2.3.1");
    assert_eq!(bench.spool.offer_again(&again).await.unwrap(), []);
    assert_eq!(
        bench.spool.offer_again(&again).await.unwrap(),
        [],
        "it is on its way"
    );
    let offered = waiting(&bench).await;
    assert_eq!((offered.len(), &offered[0].key), (1, &out[0].key));
    assert_eq!(offered[0].sent.digest, out[0].sent.digest);
    assert_eq!(bench.spool.studies_to_open().await.unwrap().len(), 1);
    let mut other = again.clone();
    other.instances[0].sent_digest = out[1].sent.digest;
    let gone = bench.spool.offer_again(&other).await.unwrap();
    assert_eq!(gone.len(), 1, "only these very bytes");
    bench.receipt_all(1, 3).await;
    assert!(waiting(&bench).await.is_empty());
    // its time counts from the new receipt
    bench.pass(71 * HOUR);
    assert_eq!(
        bench
            .spool
            .prune(Duration::from_secs(71 * 3600))
            .await
            .unwrap(),
        0
    );
    bench.pass(2 * HOUR);
    assert_eq!(
        bench
            .spool
            .prune(Duration::from_secs(2 * 3600))
            .await
            .unwrap(),
        2
    );
    let gone = bench.spool.offer_again(&again).await.unwrap();
    assert_eq!(gone, [again.instances[0].instance.clone()]);
    let unknown = Again {
        study: "1.2.99".parse().unwrap(),
        ..again
    };
    assert_eq!(bench.spool.offer_again(&unknown).await.unwrap(), []);
    assert!(waiting(&bench).await.is_empty());
}

/// Whoever asked whether it is safe must not delete what neither side has. When it comes again it is offered, and a receipt counts.
#[tokio::test]
async fn what_the_gateway_has_lost_and_is_not_kept_is_not_vouched_for() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    let whats = [1, 2].map(|n| What::image("1.2.3", &format!("1.2.3.{n}")));
    for what in &whats {
        bench.store(what).await.unwrap();
    }
    let out = waiting(&bench).await;
    seal(&bench, 30).await;
    bench.receipt_all(1, 1).await;
    answer(&bench, &[]).await;
    let uids = ["1.2.3.1", "1.2.3.2"];
    let held = [Vouched::Held, Vouched::Held];
    bench.pass(100 * HOUR);
    let hours = Duration::from_secs(100 * 3600);
    assert_eq!(bench.spool.prune(hours).await.unwrap(), 2);
    assert_eq!(bench.vouched(&uids).await, held);

    let again = asked(&out, "1.2.3.1");
    let mut other = again.clone();
    other.instances[0].sent_digest = out[1].sent.digest;
    bench.spool.offer_again(&other).await.unwrap();
    assert_eq!(bench.vouched(&uids).await, held, "only these very bytes");
    for _ in 0..2 {
        let gone = bench.spool.offer_again(&again).await.unwrap();
        assert_eq!(gone, [again.instances[0].instance.clone()]);
        assert_eq!(bench.vouched(&uids).await, [Vouched::Gone, Vouched::Held]);
    }
    bench.greet(1, 2).await;
    assert_eq!(bench.vouched(&uids).await, [Vouched::Gone, Vouched::Held]);

    bench.store(&whats[0]).await.unwrap();
    assert_eq!(
        bench.vouched(&uids).await,
        [Vouched::Waiting, Vouched::Held]
    );
    bench.receipt_all(1, 3).await;
    assert_eq!(bench.vouched(&uids).await, held);
}
