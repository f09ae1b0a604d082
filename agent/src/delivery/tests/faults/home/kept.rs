//! What comes home is kept, decided and offered, or is not.

use super::*;

/// A report that cannot be kept when it comes is not taken in, and comes again.
pub(super) async fn arrival(table: &mut Table) {
    let (report, bytes) = nameless(HARMED, None);
    let (other, others) = nameless(NEIGHBOUR, None);
    for call in [
        Call::Open,
        Call::Append,
        Call::Sync,
        Call::Rename,
        Call::SyncDir,
    ] {
        let site = Site::new(TAKES).await;
        site.bench.disk.fail(call, 1);
        let taken = site.deliveries.accept(&report, bytes.clone()).await;
        assert!(taken.is_err(), "{call:?}");
        site.deliveries
            .accept(&other, others.clone())
            .await
            .unwrap();
        assert_eq!(site.work(&right()).await, [NEIGHBOUR], "{call:?}");
        let first = site.standing().await;
        site.deliveries
            .accept(&report, bytes.clone())
            .await
            .unwrap();
        assert_eq!(site.work(&right()).await, [HARMED, NEIGHBOUR]);
        let said = format!("{first}; again: {}", site.standing().await);
        table.add(&format!("home: {call:?} fails when it is kept"), said);
    }
    for (of, when) in [
        ("report", "NEW.study_uid = '1.2.3'"),
        ("own_report", "NEW.study_uid = '1.2.3'"),
        ("delivery", "NEW.destination = 'pacs'"),
        ("restoration", "1"),
        ("audit_event", "NEW.subject = '1.2.3'"),
    ] {
        let site = Site::new(TAKES).await;
        let no = "BEGIN SELECT RAISE(ABORT, 'no'); END";
        sql(
            &site.bench,
            &format!("CREATE TRIGGER fault BEFORE INSERT ON {of} WHEN {when} {no}"),
        )
        .await;
        let taken = site.deliveries.accept(&report, bytes.clone()).await;
        assert!(taken.is_err(), "{of}");
        let first = site.standing().await;
        sql(&site.bench, "DROP TRIGGER fault").await;
        site.deliveries
            .accept(&other, others.clone())
            .await
            .unwrap();
        site.deliveries
            .accept(&report, bytes.clone())
            .await
            .unwrap();
        assert_eq!(site.work(&right()).await, [HARMED, NEIGHBOUR]);
        let said = format!("{first}; again: {}", site.standing().await);
        table.add(&format!("home: the row of {of} is refused"), said);
    }
    let site = Site::new(TAKES).await;
    let changed = changed(&bytes);
    site.deliveries.accept(&report, changed).await.unwrap();
    site.deliveries.accept(&other, others).await.unwrap();
    let name = "home: a signed word was changed on the way";
    point(table, name, &site, &right(), false).await;
}

/// One letter of the findings is another.
fn changed(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    let at = bytes.windows(8).position(|it| it == b"Nothing.").unwrap();
    bytes[at] = b'M';
    bytes.into()
}

/// The rows refuse what was decided or offered.
pub(super) async fn rows(table: &mut Table) {
    let no = "BEGIN SELECT RAISE(ABORT, 'no'); END";
    for (name, trigger, sent) in [
        (
            "home: the decision is refused by the rows",
            format!("UPDATE ON restoration WHEN NEW.report_id = {ROW}"),
            false,
        ),
        (
            "home: the delivery's standing is refused by the rows",
            format!("UPDATE ON delivery WHEN NEW.report_id = {ROW} AND NEW.lease_until_us = 0"),
            false,
        ),
        (
            "home: taken by the PACS, not written down",
            format!("UPDATE ON delivery WHEN NEW.report_id = {ROW} AND NEW.state = 'delivered'"),
            true,
        ),
        (
            "home: taken by the PACS, its record is refused",
            "INSERT ON audit_event WHEN NEW.event = 'report-offered' AND NEW.subject = '1.2.3'"
                .to_owned(),
            true,
        ),
    ] {
        let site = Site::with_reports(TAKES, None).await;
        sql(
            &site.bench,
            &format!("CREATE TRIGGER fault BEFORE {trigger} {no}"),
        )
        .await;
        let first = site.work(&right()).await;
        assert!(first.iter().any(|it| it == NEIGHBOUR), "{name}");
        assert_eq!(first.iter().any(|it| it == HARMED), sent, "{name}");
        sql(&site.bench, "DROP TRIGGER fault").await;
        assert_eq!(site.work(&right()).await, [HARMED, NEIGHBOUR], "{name}");
        table.add(name, format!("mended: {}", site.standing().await));
    }
    for (name, of) in [
        ("home: restorations cannot be read", "restoration"),
        ("home: deliveries cannot be read", "delivery"),
    ] {
        let site = Site::with_reports(TAKES, None).await;
        sql(&site.bench, &format!("ALTER TABLE {of} RENAME TO gone")).await;
        assert!(site.work(&right()).await.is_empty(), "{name}");
        sql(&site.bench, &format!("ALTER TABLE gone RENAME TO {of}")).await;
        assert_eq!(site.work(&right()).await, [HARMED, NEIGHBOUR], "{name}");
        table.add(name, format!("mended: {}", site.standing().await));
    }
    let site = Site::with_reports(TAKES, None).await;
    while let Some(due) = restoring::next(&site.deliveries, &[]).await.unwrap() {
        restoring::restore(&site.deliveries, &right(), &due)
            .await
            .unwrap();
    }
    sql(
        &site.bench,
        &format!("UPDATE restoration SET home = '{{' WHERE report_id = {ROW}"),
    )
    .await;
    let name = "home: who the patient is cannot be read in its row";
    point(table, name, &site, &right(), false).await;
}

/// The report's bytes at the site, and what the PACS does with it.
pub(super) async fn bytes(table: &mut Table) {
    for nth in 1..=3 {
        let site = Site::with_reports(TAKES, None).await;
        site.bench.disk.fail(Call::Read, nth);
        let name = format!("home: read {nth} of the disk fails");
        point(table, &name, &site, &right(), true).await;
    }
    for (name, gone) in [
        ("home: its bytes are gone", true),
        ("home: its bytes were changed on the disk", false),
    ] {
        let site = Site::with_reports(TAKES, None).await;
        site.bench.disk.damage(|data| {
            let Some(at) = data.windows(6).position(|it| it == b"2.25.1") else {
                return true;
            };
            let is_harmed = data[at..].starts_with(b"2.25.123");
            if is_harmed && !gone {
                data[at + 20] ^= 1;
            }
            !(is_harmed && gone)
        });
        point(table, name, &site, &right(), false).await;
    }
    let site = Site::with_reports(TAKES, None).await;
    let (report, bytes) = nameless(HARMED, None);
    let spool = &site.bench.spool;
    let kept = spool.keep_report(&report.syntax, changed(&bytes)).await;
    let handle = kept.unwrap().0;
    let handle = handle.as_row();
    sql(
        &site.bench,
        &format!("UPDATE own_report SET handle = '{handle}' WHERE study_uid = '1.2.3'"),
    )
    .await;
    let name = "home: its signature does not hold any more";
    point(table, name, &site, &right(), false).await;
    for (name, answer) in [
        (
            "home: the PACS refuses the report",
            SendOutcome::Refused(0xC000),
        ),
        (
            "home: the PACS takes no structured reports",
            SendOutcome::NotNegotiated,
        ),
        (
            "home: the PACS breaks off",
            SendOutcome::Failed("no answer".to_owned()),
        ),
    ] {
        let site = Site::with_reports(answer, None).await;
        point(table, name, &site, &right(), true).await;
    }
}

/// The process ends at every step of finding out and of offering. How many steps there are is for the disk to say: it is done again
/// until enough of them were cut.
pub(super) async fn ended(table: &mut Table) {
    for (name, offering) in [
        ("home: the process ends while it finds out", false),
        ("home: the process ends while it offers", true),
    ] {
        let (mut cuts, mut rounds) = (0, 0);
        while cuts < 3 {
            let (site, cut) = cut_at_each_step(offering).await;
            (cuts, rounds) = (cuts + cut, rounds + 1);
            assert!(rounds < 20, "{name}: only {cuts} steps were cut");
            let name = format!("{name}, round {rounds}, cut {cut} times");
            point(table, &name, &site, &right(), true).await;
        }
    }
}

/// Ends the process after one step, then after two, and so on until the work is done. Answers how often it was cut.
async fn cut_at_each_step(offering: bool) -> (Site, u32) {
    let mut site = Site::with_reports(TAKES, None).await;
    if offering {
        while let Some(due) = restoring::next(&site.deliveries, &[]).await.unwrap() {
            restoring::restore(&site.deliveries, &right(), &due)
                .await
                .unwrap();
        }
    }
    let (to, mut cuts) = (destination(), 0);
    loop {
        let (store, asked) = (site.archive.store(), right());
        let finished = if offering {
            let offered = work::offer_next(&site.deliveries, &to, &store, fonts());
            ends_after(cuts + 1, offered).await.is_some()
        } else {
            let due = restoring::next(&site.deliveries, &[]).await.unwrap();
            // what was dropped in its last step may have been written all the same
            let Some(due) = due else { return (site, cuts) };
            let found = restoring::restore(&site.deliveries, &asked, &due);
            ends_after(cuts + 1, found).await.is_some()
        };
        site = site.restart().await;
        if finished {
            return (site, cuts);
        }
        cuts += 1;
    }
}
