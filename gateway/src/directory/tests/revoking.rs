//! A revocation that is under way while somebody asks for a certificate of the same site.

use std::time::Duration;

use causeway_certs::enrol::Word;

use super::{DAY, offices, peer};
use crate::directory::{certificate, certificates};
use crate::rows::Rows;

/// Waits until another transaction waits for a lock. On SQLite nobody can: there the writer's one connection is taken.
async fn somebody_waits(rows: &Rows) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    loop {
        let waiting: Result<(i64,), _> = sqlx::query_as(sql).fetch_one(rows.read()).await;
        if waiting.map_or(true, |(count,)| count > 0) {
            return;
        }
    }
}

#[tokio::test]
async fn nothing_is_issued_beside_a_revocation_under_way() {
    for office in offices().await {
        for renews in [true, false] {
            let site = office.site().await;
            let enrolled = office.enrol(&office.code(&site).await).await.unwrap();
            office.hands.forward(DAY * 70);
            let code = office.code(&site).await;
            let mut tx = office.rows.begin().await.unwrap();
            let (clock, id) = (&office.with.clock, &site.id);
            let count = certificate::revoke_in(&mut tx, clock, "test", id, "stolen").await;
            assert_eq!(count.unwrap(), 1);
            let asks = async {
                if renews {
                    office.renew(&peer(&enrolled)).await
                } else {
                    office.enrol(&code).await
                }
            };
            let revokes = async {
                somebody_waits(&office.rows).await;
                tx.commit().await.unwrap();
            };
            let both = async { tokio::join!(asks, revokes) };
            let limit = Duration::from_secs(20);
            let (answer, ()) = tokio::time::timeout(limit, both)
                .await
                .expect("who asks waits for the revocation");
            let word = if renews {
                Word::NotYours
            } else {
                Word::ExpiredCode
            };
            assert_eq!(answer.unwrap_err(), word);
            let all = certificates(&office.rows).await.unwrap();
            assert!(all.iter().all(|one| one.revoked.is_some()), "{all:?}");
        }
    }
}
