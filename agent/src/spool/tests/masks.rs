//! Rules of devices: drawn once by a person, kept for good, and what they set in motion; and the files of masked pixels.

use super::*;
use crate::mask::{Device, Family, Rectangle};
use crate::spool::decision::By;
use crate::spool::entry::Looked;
use crate::spool::masks::{Drawn, met};

const BANNER: Rectangle = Rectangle {
    left: 0,
    top: 0,
    right: 1024,
    bottom: 23,
};
const BY: By<'static> = By {
    who: "anna",
    reason: "banner of the new machine",
};

fn device() -> Device {
    Device::new(
        Family::Ultrasound,
        "Philips  Medical Systems ",
        "epiq 5g",
        768,
        1024,
    )
    .unwrap()
}

fn looked(rule: Option<i64>) -> Looked {
    Looked {
        device: device(),
        regions: vec![Rectangle {
            left: 14,
            top: 38,
            right: 1011,
            bottom: 759,
        }],
        rule,
    }
}

async fn next(bench: &Bench) -> Vec<Unprotected> {
    bench.spool.next_to_protect(99, 0).await.unwrap()
}

fn withheld(looked: Looked) -> Verdict {
    Verdict::Withheld {
        reason: "unknown device".to_owned(),
        blocks: None,
        looked: vec![looked],
        named: Some(true),
    }
}

/// A site with `count` objects of an unknown device in one study, all withheld.
async fn waiting(count: usize) -> Bench {
    let bench = Bench::strict(Config::default()).await;
    bench.greet(1, 0).await;
    for n in 1..=count {
        let what = What::image("1.2.3", &format!("1.2.3.{n}"));
        bench.store(&what).await.unwrap();
    }
    let decided: Vec<_> = next(&bench)
        .await
        .into_iter()
        .map(|one| (one, withheld(looked(None))))
        .collect();
    assert_eq!(decided.len(), count);
    bench.spool.protected(&decided).await.unwrap();
    bench
}

#[tokio::test]
async fn one_rectangle_decides_again_about_all_that_waits_of_a_device() {
    let bench = waiting(3).await;
    assert!(next(&bench).await.is_empty());
    let known = met(bench.spool.rows()).await.unwrap();
    assert_eq!((known.len(), known[0].waiting), (1, 3));
    assert_eq!(known[0].device.manufacturer, "PHILIPS MEDICAL SYSTEMS");
    assert_eq!(known[0].regions, looked(None).regions);
    assert!(known[0].example.is_some() && known[0].rule.is_none());

    let id = known[0].id;
    let drawn = bench.spool.draw_mask(id, &[BANNER], false, BY).await;
    assert_eq!(drawn.unwrap(), Drawn::Made(3));
    assert_eq!(next(&bench).await.len(), 3);
    let rules = bench.spool.mask_rules().await.unwrap();
    let rule = rules.of(&device()).unwrap();
    assert_eq!(
        (rule.rectangles.as_slice(), rule.covers),
        (&[BANNER][..], false)
    );
    assert_eq!(
        (rule.who.as_str(), rule.reason.as_str()),
        (BY.who, BY.reason)
    );
    let events: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM audit_event WHERE event = 'mask-drawn' AND actor = 'anna' AND detail LIKE '%\"objects\":3%'",
    )
    .fetch_one(bench.spool.rows().read())
    .await
    .unwrap();
    assert_eq!(events, 1, "in the audit trail");
}

#[tokio::test]
async fn what_a_person_keeps_back_stays_and_a_scan_area_is_asked_about() {
    let bench = waiting(2).await;
    let rows = bench.spool.rows();
    let (case, one) = met(rows).await.unwrap()[0].example.clone().unwrap();
    bench.spool.keep_back(&case, &[one], BY).await.unwrap();
    let id = met(rows).await.unwrap()[0].id;
    let deep = Rectangle {
        bottom: 39,
        ..BANNER
    };
    let spool = &bench.spool;
    assert_eq!(
        spool.draw_mask(id, &[deep], false, BY).await.unwrap(),
        Drawn::Covers
    );
    assert!(next(&bench).await.is_empty(), "asked, and nothing changed");
    assert_eq!(
        spool.draw_mask(id, &[deep], true, BY).await.unwrap(),
        Drawn::Made(1)
    );
    assert!(
        spool
            .mask_rules()
            .await
            .unwrap()
            .of(&device())
            .unwrap()
            .covers
    );
    for nothing in [
        Rectangle {
            left: 5,
            right: 5,
            ..BANNER
        },
        Rectangle {
            left: 2000,
            right: 2100,
            ..BANNER
        },
    ] {
        let drawn = spool.draw_mask(id, &[nothing], true, BY).await;
        assert_eq!(drawn.unwrap(), Drawn::Nothing);
    }
    assert_eq!(
        spool.draw_mask(99, &[BANNER], true, BY).await.unwrap(),
        Drawn::Nothing
    );
}

#[tokio::test]
async fn a_decision_under_an_older_rule_does_not_count() {
    let bench = waiting(1).await;
    let id = met(bench.spool.rows()).await.unwrap()[0].id;
    bench.spool.draw_mask(id, &[], false, BY).await.unwrap();
    let given = next(&bench).await;
    // somebody looked before there was a rule, and says so afterwards
    let late = [(given[0].clone(), withheld(looked(None)))];
    bench.spool.protected(&late).await.unwrap();
    assert_eq!(next(&bench).await.len(), 1, "looked at again");
}

fn leaves(rule: i64, pixels: Option<MaskedPixels>) -> Verdict {
    Verdict::Leaves {
        sent: Sent {
            digest: Digest::of(b"form"),
            length: 4,
            syntax: "1.2.840.10008.1.2.1".parse().unwrap(),
        },
        profile: 1,
        sealed: None,
        remarks: Vec::new(),
        uids: std::collections::BTreeMap::new(),
        looked: vec![looked(Some(rule))],
        pixels,
    }
}

async fn written(bench: &Bench, bytes: &'static [u8]) -> MaskedPixels {
    let spool = bench.spool.clone();
    tokio::task::spawn_blocking(move || {
        let mut masking = spool
            .masking(&"1.2.840.10008.1.2.1".parse().unwrap())
            .unwrap();
        masking.append(bytes).unwrap();
        masking.keep("{}".to_owned()).unwrap()
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn masked_pixels_outlive_a_restart_and_go_with_their_rule_and_their_object() {
    let bench = waiting(1).await;
    let id = met(bench.spool.rows()).await.unwrap()[0].id;
    bench
        .spool
        .draw_mask(id, &[BANNER], false, BY)
        .await
        .unwrap();
    let rule = bench
        .spool
        .mask_rules()
        .await
        .unwrap()
        .of(&device())
        .unwrap()
        .id;
    let mut given = next(&bench).await.remove(0);
    given.source.digest = Some(bench.spool.digest_of(&given.source).unwrap());
    let pixels = written(&bench, b"black").await;
    let verdict = leaves(rule, Some(pixels.clone()));
    bench
        .spool
        .protected(&[(given.clone(), verdict)])
        .await
        .unwrap();

    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery().orphans, 0);
    assert_eq!(
        bench.spool.masked_pixels(&given).await.unwrap(),
        Some(pixels.clone())
    );

    // drawn anew before it has gone: decided again, by the new rule, and the old pixels go
    let one = Rectangle {
        bottom: 30,
        ..BANNER
    };
    bench.spool.draw_mask(id, &[one], false, BY).await.unwrap();
    let given = next(&bench).await.remove(0);
    let rule = bench
        .spool
        .mask_rules()
        .await
        .unwrap()
        .of(&device())
        .unwrap()
        .id;
    let newer = written(&bench, b"blacker").await;
    let verdict = leaves(rule, Some(newer.clone()));
    bench
        .spool
        .protected(&[(given.clone(), verdict)])
        .await
        .unwrap();
    assert!(bench.spool.read(&pixels.handle, 0, 9).await.is_err());

    // with a receipt nothing moves it any more
    bench.receipt_all(1, 1).await;
    bench.spool.drop_mask(id, BY).await.unwrap();
    assert!(next(&bench).await.is_empty());
    assert_eq!(
        bench.spool.masked_pixels(&given).await.unwrap(),
        Some(newer)
    );
    let mut tx = bench.spool.rows().begin().await.unwrap();
    sqlx::query("UPDATE instance SET handle = NULL")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(bench.spool.prune(Duration::from_secs(60)).await.unwrap(), 1);
    assert_eq!(bench.spool.masked_pixels(&given).await.unwrap(), None);
}

#[tokio::test]
async fn a_disk_below_its_floor_takes_no_masked_pixels() {
    let bench = Bench::new().await;
    bench.disk.set_free(Some(1 << 29));
    let syntax = "1.2.840.10008.1.2.1".parse().unwrap();
    let refused = bench.spool.masking(&syntax).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
}

#[tokio::test]
async fn one_object_is_masked_alone() {
    let bench = waiting(2).await;
    let (case, one) = met(bench.spool.rows()).await.unwrap()[0]
        .example
        .clone()
        .unwrap();
    assert!(
        bench
            .spool
            .mask_object(&case, one, &[BANNER], BY)
            .await
            .unwrap()
    );
    let given = next(&bench).await;
    assert_eq!(
        (given.len(), given[0].mask.as_deref()),
        (1, Some(&[BANNER][..]))
    );
    assert!(
        !bench
            .spool
            .mask_object(&case, one, &[BANNER], BY)
            .await
            .unwrap(),
        "once"
    );
    assert!(
        !bench
            .spool
            .mask_object(&case, one + 1, &[], BY)
            .await
            .unwrap()
    );
}
