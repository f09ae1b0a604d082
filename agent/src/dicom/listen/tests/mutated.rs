//! A thousand conversations with a few bytes changed: each ends, none harms the listener, and nothing half-written is held.

use super::*;
use crate::spool::tests::seeded;

#[tokio::test]
async fn changed_bytes_end_a_conversation_and_nothing_else() {
    let site = Site::open("max_associations = 4").await;
    let dataset = messages::dataset(|_| {});
    let conversation = [
        request(&[STORE[0], ECHO[0]]),
        pdv(
            1,
            true,
            true,
            &command::write_store_request(1, CT, "1.2.3.4"),
        ),
        pdv(1, false, false, &dataset[..40]),
        pdv(1, false, true, &dataset[40..]),
        pdv(
            3,
            true,
            true,
            &command::write_echo_request(2, negotiate::VERIFICATION),
        ),
        encoded(Pdu::ReleaseRQ),
    ]
    .concat();
    let random = seeded(7);
    let below = |bound: usize| usize::try_from(random.below(bound as u64)).unwrap();
    for _ in 0..1000 {
        let mut changed = conversation.clone();
        for _ in 0..=below(3) {
            let at = below(changed.len());
            let [byte] = random.bytes();
            changed[at] = byte;
        }
        if below(4) == 0 {
            changed.truncate(below(changed.len()));
        }
        talk(&site, &changed).await;
    }
    let mut peer = Peer::associated(&site, &STORE).await;
    let (status, comment) = messages::store(&mut peer, "1.2.3.99", &dataset).await;
    assert_eq!(status, 0xA900, "{comment}");
    for (instance, bytes) in site.held().await {
        assert!(
            bytes.len() <= dataset.len(),
            "{instance} grew to {}",
            bytes.len()
        );
    }
    drop(peer);
    site.close().await;
}

/// Says everything at once and hears whatever comes until the listener closes.
pub(super) async fn talk(site: &Site, bytes: &[u8]) {
    let Peer(mut stream) = Peer::connect(site).await;
    let (mut ear, mut mouth) = stream.split();
    let talking = async {
        // the listener may close before everything is said
        drop(mouth.write_all(bytes).await);
        drop(mouth.shutdown().await);
    };
    let mut heard = Vec::new();
    let both = async {
        let (_, hearing) = tokio::join!(talking, ear.read_to_end(&mut heard));
        drop(hearing);
    };
    tokio::time::timeout(Duration::from_secs(20), both)
        .await
        .expect("the listener neither answered nor closed");
}
