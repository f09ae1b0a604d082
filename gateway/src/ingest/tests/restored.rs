//! After a restore: receipts of another epoch, and reports that only their site has.

use causeway_proto::link::message::{Manifest, Query, Receipt};

use super::stand::random;
use super::{CT, Object, Stand, site, stands};
use crate::archive::BlobKey;
use crate::ingest::renew_epoch;
use crate::report::elsewhere;

/// Puts the gateway back: as its rows are, in another epoch.
async fn put_back(stand: Stand) -> Stand {
    let mut tx = stand.rows.begin().await.unwrap();
    renew_epoch(&mut tx, &random()).await.unwrap();
    crate::directory::restored(
        &mut tx,
        super::Timestamp(1),
        super::Timestamp(1_900_000_000_000_000),
    )
    .await
    .unwrap();
    elsewhere::unheard(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    stand.restart().await
}

async fn asked(stand: &Stand, objects: &[&Object]) -> Vec<(u64, Option<Receipt>)> {
    let query = Query {
        keys: objects.iter().map(|object| object.key()).collect(),
    };
    let have = stand.door.have(&site(), &query).await.unwrap();
    have.entries
        .into_iter()
        .map(|it| (it.offset, it.receipt))
        .collect()
}

#[tokio::test]
async fn what_came_back_with_a_backup_is_receipted_anew_without_its_bytes() {
    for stand in stands().await {
        let [kept, gone, new] =
            ["1.2.3.4.5", "1.2.3.4.6", "1.2.3.4.7"].map(|sop| Object::made(sop, CT, &[]));
        let first = stand.send(&kept).await.unwrap();
        stand.send(&gone).await.unwrap();
        let key = BlobKey::instance(&site(), &"g1".parse().unwrap(), &gone.digest());
        stand.archive.blobs.remove(&[key]).await.unwrap();
        let stand = put_back(stand).await;
        let epoch = stand.door.high_water(&site()).await.unwrap().epoch;
        assert_ne!(epoch, first.epoch);
        let said = asked(&stand, &[&kept, &gone, &new]).await;
        let receipt = said[0].1.clone().unwrap();
        assert_eq!(said[0].0, kept.bytes.len() as u64);
        assert_eq!((receipt.epoch, receipt.sent_digest), (epoch, kept.digest()));
        assert!(receipt.number > first.number);
        // a row whose bytes are not there is no receipt; what is unknown is none either
        assert_eq!(said[1..], [(0, None), (0, None)]);
        assert_eq!(asked(&stand, &[&kept]).await, [(said[0].0, Some(receipt))]);
    }
}

#[tokio::test]
async fn nothing_is_signed_before_the_site_has_said_which_reports_it_has() {
    const STANDS: &str = "SELECT count(*) FROM study WHERE restored = 'unheard'";
    const ELSEWHERE: &str = "SELECT count(*) FROM study WHERE restored = 'elsewhere'";
    for stand in stands().await {
        let object = Object::made("1.2.3.4.5", CT, &[]);
        stand.send(&object).await.unwrap();
        stand.manifest(1, &[&object]).await;
        let stand = put_back(stand).await;
        // an agent that does not say it leaves it as it is
        stand.manifest(1, &[&object]).await;
        assert_eq!(stand.count(STANDS).await, 1);
        let say = async |reports: &[&str]| {
            let manifest = Manifest {
                reports: Some(reports.iter().map(|uid| uid.parse().unwrap()).collect()),
                ..Stand::manifest_of(1, &[&object])
            };
            stand.door.manifest(&site(), &manifest).await.unwrap()
        };
        say(&["1.2.9"]).await;
        assert_eq!(
            (stand.count(STANDS).await, stand.count(ELSEWHERE).await),
            (0, 1)
        );
        let open = elsewhere::open(&stand.rows).await.unwrap();
        assert_eq!((open.len(), open[0].sop_uid.as_str()), (1, "1.2.9"));
        say(&["1.2.9"]).await;
        assert_eq!(stand.count(ELSEWHERE).await, 1, "said again it is the same");
        let settled = elsewhere::settle(&stand.rows, super::Timestamp(2), "1.2.9", "seen").await;
        assert!(settled.unwrap());
        assert_eq!(stand.count(ELSEWHERE).await, 0);
        say(&["1.2.9"]).await;
        assert_eq!(stand.count(ELSEWHERE).await, 0, "settled for good");
    }
}

#[tokio::test]
async fn a_study_that_comes_only_now_but_was_at_the_site_before_is_heard_first_too() {
    for stand in stands().await {
        let stand = put_back(stand).await;
        stand.open("1.2.77", super::Purpose::Read).await;
        let of = "SELECT count(*) FROM study WHERE study_uid = '1.2.77' AND restored = 'unheard'";
        assert_eq!(stand.count(of).await, 1);
        let (rows, now) = (&stand.rows, super::Timestamp(2));
        let released = elsewhere::release(rows, now, &site(), "by telephone").await;
        assert_eq!(released.unwrap(), 2);
        assert!(elsewhere::waiting(&stand.rows).await.unwrap().is_empty());
    }
}
