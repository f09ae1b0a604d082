//! Images go so many days after the report has arrived, and never before; on SQLite and PostgreSQL.

use std::sync::atomic::Ordering;

use super::super::stand::*;
use super::{START, Time, recall};

const DAY_US: i64 = 86_400_000_000;

#[tokio::test]
async fn images_go_so_many_days_after_delivery_and_never_before() {
    for stand in stands().await {
        let time = Time::new();
        let object = Object::made("1.2.3.4.5", CT, &[(0x0010_0020, "LO", b"P1")]);
        let receipt = stand.send(&object).await.unwrap();
        stand.manifest(1, &[&object]).await;
        stand.run("UPDATE study SET last_us = 1").await;
        stand.person_and_draft().await;
        let over = async || {
            let deletions = stand.deletions(&time);
            let ordered = deletions.order_what_is_over().await.unwrap();
            assert_eq!(deletions.turn().await.unwrap().done, ordered);
            ordered
        };
        time.pass(100 * DAY_US);
        assert_eq!(over().await, 0, "no days agreed");
        stand.run("UPDATE agreement SET retention_days = 14").await;
        assert_eq!(over().await, 0, "an open task");
        stand.reported("at-site", START).await;
        assert_eq!(over().await, 0, "not delivered");
        stand.run("UPDATE delivery SET state = 'delivered'").await;
        time.0.store(START + 14 * DAY_US - 1, Ordering::Relaxed);
        assert_eq!(over().await, 0, "a microsecond early");
        time.pass(1);
        // a later study of the same patient has this one beside it
        stand.run("INSERT INTO study (site_id, agreement_id, study_uid, purpose, priority, case_code, patient_id, first_us, last_us) VALUES ('s1', 'g1', '1.2.4', 'read', 'routine', 'x', 'P1', 9, 9)").await;
        stand.run("INSERT INTO reading_case (id, site_id, agreement_id, code, created_us) VALUES ('c2', 's1', 'g1', 'x', 9)").await;
        stand.run("INSERT INTO case_study (case_id, site_id, agreement_id, study_uid) VALUES ('c2', 's1', 'g1', '1.2.4')").await;
        stand.run("INSERT INTO workitem (uid, case_id, code, state, readiness, priority, created_us, changed_us) VALUES ('1.7', 'c2', 'x', 'SCHEDULED', 'READY', 'routine', 9, 9)").await;
        assert_eq!(over().await, 0, "a prior of an open case");
        stand
            .run("UPDATE workitem SET state = 'CANCELED' WHERE case_id = 'c2'")
            .await;
        assert_eq!(stand.files("blobs"), 1);
        assert_eq!(over().await, 1);
        assert_eq!(stand.files("blobs"), 0);
        let said = stand.receipts().await.remove(0);
        assert_eq!(
            (said.why.as_str(), said.objects, said.opened.len()),
            ("retention", 1, 0)
        );
        assert_eq!(over().await, 0, "once");
        assert_eq!(stand.count("SELECT count(*) FROM draft").await, 0);
        assert_eq!(
            stand.count("SELECT count(*) FROM study WHERE patient_id = 'P1' AND deleted_us IS NOT NULL AND deleted_days = 14").await,
            1
        );
        // what was held is known and does not come back; what is new does
        assert_eq!(stand.send(&object).await.unwrap(), receipt);
        assert!(stand.manifest(2, &[&object]).await.missing.is_empty());
        assert_eq!(stand.count("SELECT count(*) FROM instance").await, 0);
        stand
            .send(&Object::made("1.2.3.4.6", CT, &[]))
            .await
            .unwrap();
        assert_eq!(
            stand
                .count("SELECT count(*) FROM study WHERE deleted_us IS NOT NULL")
                .await,
            0
        );
        // and the site may still take it back
        stand.door.recall(&site(), &recall()).await.unwrap();
        assert_eq!(stand.deletions(&time).turn().await.unwrap().done, 1);
        let said = stand.receipts().await.remove(0);
        assert_eq!((said.why.as_str(), said.objects), ("recalled", 2));
        assert_eq!(
            stand.count("SELECT count(*) FROM deleted_instance").await,
            0
        );
    }
}
