//! Certificates from between a backup and the restore to it.

use causeway_proto::time::Timestamp;

use super::{DAY, Office, offices, peer};
use crate::directory::{Denied, admit, certificates, last_restore, restored, revoke_site};

/// Puts the rows back to what they were at `taken`: nothing is known of this certificate any more.
async fn put_back(office: &Office, taken: Timestamp, serial: &str) {
    let mut tx = office.rows.begin().await.unwrap();
    sqlx::query("DELETE FROM site_certificate WHERE serial = $1")
        .bind(serial)
        .execute(&mut *tx)
        .await
        .unwrap();
    restored(&mut tx, taken, office.with.clock.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_certificate_renewed_since_the_backup_connects_and_retires_its_predecessor() {
    for office in offices().await {
        let site = office.site().await;
        let first = peer(&office.enrol(&office.code(&site).await).await.unwrap());
        let _open = office.code(&site).await;
        office.hands.forward(DAY * 70);
        let taken = office.with.clock.now();
        let open = office.code(&site).await;
        office.hands.forward(DAY / 48);
        let second = peer(&office.renew(&first).await.unwrap());
        put_back(&office, taken, second.serial.as_str()).await;
        let (rows, clock) = (&office.rows, &office.with.clock);
        let (at, of) = last_restore(rows).await.unwrap().unwrap();
        assert_eq!((at, of), (clock.now(), taken));
        assert!(office.enrol(&open).await.is_err());

        admit(rows, clock, &second).await.unwrap();
        admit(rows, clock, &second).await.unwrap();
        let old = admit(rows, clock, &first).await;
        assert!(matches!(old, Err(Denied::Revoked(..))), "{old:?}");
        let all = certificates(rows).await.unwrap();
        assert_eq!(all.iter().filter(|one| one.revoked.is_none()).count(), 1);
    }
}

#[tokio::test]
async fn no_other_certificate_is_taken_over() {
    for office in offices().await {
        let (rows, clock) = (&office.rows, &office.with.clock);
        let site = office.site().await;
        let first = peer(&office.enrol(&office.code(&site).await).await.unwrap());
        office.hands.forward(DAY * 70);
        let taken = clock.now();
        office.hands.forward(DAY);
        let between = peer(&office.renew(&first).await.unwrap());
        put_back(&office, taken, between.serial.as_str()).await;
        office.hands.forward(DAY);
        let after = peer(&office.renew(&first).await.unwrap());
        let mut tx = rows.begin().await.unwrap();
        sqlx::query("DELETE FROM site_certificate WHERE serial = $1")
            .bind(after.serial.as_str())
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let later = admit(rows, clock, &after).await;
        assert!(matches!(later, Err(Denied::Certificate(..))), "{later:?}");
        // a site that somebody has revoked since has none that it could be the successor of
        revoke_site(rows, clock, "test", &site.id, "stolen")
            .await
            .unwrap();
        let stolen = admit(rows, clock, &between).await;
        assert!(matches!(stolen, Err(Denied::Certificate(..))), "{stolen:?}");
    }
}

#[tokio::test]
async fn what_was_retired_by_a_later_certificate_is_not_taken_over() {
    for office in offices().await {
        let (rows, clock) = (&office.rows, &office.with.clock);
        let site = office.site().await;
        let first = peer(&office.enrol(&office.code(&site).await).await.unwrap());
        office.hands.forward(DAY * 70);
        let taken = clock.now();
        office.hands.forward(DAY);
        let stolen = peer(&office.renew(&first).await.unwrap());
        put_back(&office, taken, stolen.serial.as_str()).await;
        // the site enrols again, and what it had is retired
        office.hands.forward(DAY);
        let anew = peer(&office.enrol(&office.code(&site).await).await.unwrap());
        admit(rows, clock, &anew).await.unwrap();
        let thief = admit(rows, clock, &stolen).await;
        assert!(matches!(thief, Err(Denied::Certificate(..))), "{thief:?}");
        admit(rows, clock, &anew).await.unwrap();
    }
}

#[tokio::test]
async fn the_oldest_backup_is_remembered_over_restores() {
    for office in offices().await {
        let oldest = async || crate::directory::oldest_taken(&office.rows).await.unwrap();
        assert_eq!(oldest().await, None);
        for (taken, now) in [(10, 20), (30, 40), (50, 60)] {
            let mut tx = office.rows.begin().await.unwrap();
            restored(&mut tx, Timestamp(taken), Timestamp(now))
                .await
                .unwrap();
            tx.commit().await.unwrap();
            assert_eq!(oldest().await, Some(Timestamp(10)));
        }
        let last = last_restore(&office.rows).await.unwrap();
        assert_eq!(last, Some((Timestamp(60), Timestamp(50))));
    }
}
