//! Accepting a report: verified, durable and named by rows, all before the gateway hears that it is at the site.

use bytes::Bytes;
use causeway_proto::ids::StudyUid;
use causeway_proto::link::message::{DeliveryState, Report};
use serde_json::json;
use sqlx::SqliteConnection;

use super::verify::{Accepted, Rejection, Verdict, verify};
use super::{
    ACKNOWLEDGED, AcceptError, Deliveries, IMAGE, NONE, PageImage, SITE, SR, WITHDRAWN, refused,
    withdrawn,
};
use crate::audit;
use crate::restore;

/// A report that has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arriving<'a> {
    /// What came with it; its study is that of the site.
    pub(super) report: &'a Report,
    /// The study that the signed document names.
    pub(super) said: &'a StudyUid,
}

/// See [`Deliveries::accept_as`].
pub(super) async fn accept(
    deliveries: &Deliveries,
    arriving: &Arriving<'_>,
    dataset: Bytes,
) -> Result<(), AcceptError> {
    let report = arriving.report;
    if known(deliveries, report).await? {
        return Ok(());
    }
    let verdict = match judge(deliveries, arriving, dataset.clone()).await? {
        Ok(_) if !unchanged(deliveries, report, dataset.clone()).await? => {
            Err(Rejection::OtherDocument)
        }
        verdict => verdict,
    };
    match verdict {
        Ok(accepted) => keep(deliveries, arriving, dataset, &accepted).await?,
        Err(rejection) => {
            tracing::error!(delivery = %report.delivery, %rejection, "a report is rejected");
            reject(deliveries, arriving, &rejection).await?;
        }
    }
    deliveries.inner.changed.notify_waiters();
    deliveries.inner.due.notify_waiters();
    Ok(())
}

fn not_kept<E: std::error::Error + Send + Sync + 'static>(
    tried: &'static str,
) -> impl FnOnce(E) -> AcceptError {
    move |source| AcceptError::NotKept {
        tried,
        source: Box::new(source),
    }
}

/// No signed report changes: one whose bytes were lost comes back as the same bytes.
async fn unchanged(
    deliveries: &Deliveries,
    report: &Report,
    dataset: Bytes,
) -> Result<bool, AcceptError> {
    let spool = &deliveries.inner.spool;
    let lost = spool.lost_report(&report.instance).await;
    match lost.map_err(not_kept("looking for its bytes"))? {
        None => Ok(true),
        Some(handle) => spool
            .is_intact(&handle, &report.syntax, dataset)
            .await
            .map_err(not_kept("comparing its bytes")),
    }
}

/// Whether this report has been accepted before and its bytes are here. The gateway then has not heard so: it is told again.
async fn known(deliveries: &Deliveries, report: &Report) -> Result<bool, AcceptError> {
    let mut tx = deliveries
        .begin()
        .await
        .map_err(not_kept("looking for it"))?;
    let again = sqlx::query(
        "UPDATE delivery SET told_revision = 0 WHERE report_id IN (SELECT r.id FROM report r \
         JOIN own_report o ON o.sop_uid = r.sop_uid AND o.lost = 0 WHERE r.sop_uid = $1 AND r.study_uid = $2)",
    )
    .bind(report.instance.as_str())
    .bind(report.study.as_str())
    .execute(&mut *tx)
    .await
    .map_err(not_kept("looking for it"))?;
    sqlx::query("UPDATE report SET delivery = $2 WHERE sop_uid = $1 AND study_uid = $3")
        .bind(report.instance.as_str())
        .bind(&report.delivery)
        .bind(report.study.as_str())
        .execute(&mut *tx)
        .await
        .map_err(not_kept("looking for it"))?;
    tx.commit().await.map_err(not_kept("looking for it"))?;
    deliveries.inner.changed.notify_waiters();
    Ok(again.rows_affected() > 0)
}

/// Who signed it, or why the report is rejected. Without a list by which to ask for revocation there is no verdict: it has to come again.
async fn judge(
    deliveries: &Deliveries,
    arriving: &Arriving<'_>,
    dataset: Bytes,
) -> Result<Verdict, AcceptError> {
    let report = arriving.report;
    let Some(authority) = deliveries.inner.signer_authority.clone() else {
        return Err(AcceptError::NotKept {
            tried: "verifying its signature",
            source: "this agent has pinned no signer authority; enrol it".into(),
        });
    };
    let spool = &deliveries.inner.spool;
    let ours = spool
        .knows(&report.study)
        .await
        .map_err(not_kept("looking for its study"))?;
    let taken = spool
        .holds_another(&report.instance, &report.study)
        .await
        .map_err(not_kept("looking for its UID"))?;
    let (message, now) = (signed_as(arriving), deliveries.inner.clock.now());
    // an RSA verification and a parse of bounded depth, but not work for the runtime's threads
    let verified = tokio::task::spawn_blocking(move || verify(&message, &dataset, &authority, now))
        .await
        .map_err(not_kept("verifying its signature"))?
        .map_err(not_kept("asking whether its signer was revoked"))?;
    Ok(match verified {
        Ok(_) if !ours => Err(Rejection::UnknownStudy),
        Ok(_) if taken => Err(Rejection::TakenUid),
        other => other,
    })
}

/// The message as it was said: what is signed names the study as it was said.
fn signed_as(arriving: &Arriving<'_>) -> Report {
    Report {
        study: arriving.said.clone(),
        ..arriving.report.clone()
    }
}

async fn keep(
    deliveries: &Deliveries,
    arriving: &Arriving<'_>,
    dataset: Bytes,
    verified: &Accepted,
) -> Result<(), AcceptError> {
    let report = arriving.report;
    let spool = &deliveries.inner.spool;
    let length = dataset.len();
    let (handle, _) = spool
        .keep_report(&report.syntax, dataset)
        .await
        .map_err(not_kept("making it durable"))?;
    let mut tx = deliveries.begin().await.map_err(not_kept("naming it"))?;
    let work = async {
        let again = accepted(&mut tx, report).await?.is_some();
        spool
            .own_report(&mut tx, &report.study, &report.instance, &handle, length)
            .await?;
        let id = insert_report(deliveries, &mut tx, arriving, &verified.signer).await?;
        let nameless = verified.pseudonymous
            || restore::rows::is_pseudonymous(&mut tx, &report.study, &report.agreement).await?;
        if nameless {
            restore::rows::insert(&mut tx, id, deliveries.inner.clock.now()).await?;
        }
        let mut rows = rows(deliveries, nameless, report.status == WITHDRAWN);
        // where it goes was decided when it came first
        rows.truncate(if again { 1 } else { rows.len() });
        for row in rows {
            insert_row(deliveries, &mut tx, id, &row).await?;
        }
        // what comes again was not heard of, or no more
        sqlx::query("UPDATE delivery SET told_revision = 0 WHERE report_id = $1")
            .bind(id)
            .execute(&mut *tx)
            .await?;
        withdrawn::stop(&mut tx, &report.case, deliveries.inner.clock.now().0).await?;
        note(deliveries, &mut tx, report, "report-received").await?;
        tx.commit().await
    };
    match work.await {
        Ok(()) => Ok(()),
        // the file stays: when the commit's outcome is unknown a row may name it, else the next start collects it
        Err(error) => Err(not_kept("naming it")(refused("naming a report")(error))),
    }
}

/// A delivery as it begins.
struct Row<'a> {
    destination: &'a str,
    form: &'a str,
    state: DeliveryState,
    sentence: &'a str,
    due: bool,
}

/// The rows of a report that was accepted, the agent's own first.
fn rows(deliveries: &Deliveries, nameless: bool, withdrawn: bool) -> Vec<Row<'_>> {
    let row = |destination, form, state, sentence| Row {
        destination,
        form,
        state,
        sentence,
        due: false,
    };
    let site = "verified and durable at the site";
    let mut rows = vec![row(SITE, SR, DeliveryState::AtSite, site)];
    if withdrawn {
        let sentence = "a person at the site has to say that it was seen";
        rows.push(row(SITE, ACKNOWLEDGED, DeliveryState::Held, sentence));
    }
    for destination in &deliveries.inner.destinations {
        let sentence = if nameless {
            "not offered before its patient is known"
        } else {
            "not offered yet"
        };
        let forms = match destination.page_image {
            PageImage::Always => &[SR, IMAGE][..],
            PageImage::IfRefused | PageImage::Never => &[SR],
        };
        rows.extend(forms.iter().map(|form| Row {
            due: !nameless,
            ..row(&destination.name, form, DeliveryState::AtSite, sentence)
        }));
    }
    if deliveries.inner.destinations.is_empty() {
        let sentence = "no destination is configured at the site";
        rows.push(row(NONE, SR, DeliveryState::Held, sentence));
    }
    rows
}

/// A rejected report leaves no bytes and no claim on its UID, only the word for the gateway. What was accepted under its UID stays as
/// it was accepted: nothing that is said later leads that report to another study.
async fn reject(
    deliveries: &Deliveries,
    arriving: &Arriving<'_>,
    rejection: &Rejection,
) -> Result<(), AcceptError> {
    let mut tx = deliveries
        .begin()
        .await
        .map_err(not_kept("noting its rejection"))?;
    let sentence = rejection.to_string();
    let work = async {
        let report = arriving.report;
        let id = match accepted(&mut tx, report).await? {
            None => Some(insert_report(deliveries, &mut tx, arriving, "").await?),
            Some((id, study)) => Some(id).filter(|_| study == report.study.as_str()),
        };
        if let Some(id) = id {
            let row = Row {
                destination: SITE,
                form: SR,
                state: DeliveryState::Rejected,
                sentence: &sentence,
                due: false,
            };
            insert_row(deliveries, &mut tx, id, &row).await?;
        }
        note(deliveries, &mut tx, report, "report-rejected").await?;
        tx.commit().await
    };
    work.await
        .map_err(|error| not_kept("noting its rejection")(refused("noting a rejection")(error)))
}

/// The row and the study of what was accepted under the UID of a report.
async fn accepted(
    tx: &mut SqliteConnection,
    report: &Report,
) -> Result<Option<(i64, String)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT r.id, r.study_uid FROM report r JOIN own_report o ON o.sop_uid = r.sop_uid WHERE r.sop_uid = $1",
    )
    .bind(report.instance.as_str())
    .fetch_optional(tx)
    .await
}

async fn note(
    deliveries: &Deliveries,
    tx: &mut SqliteConnection,
    report: &Report,
    event: &str,
) -> Result<(), sqlx::Error> {
    let detail = json!({ "case": report.case.as_str(), "agreement": report.agreement.as_str(), "report": report.instance.as_str() });
    let (now, study) = (deliveries.inner.clock.now(), report.study.as_str());
    audit::record(tx, now, event, "gateway", study, &detail).await
}

async fn insert_report(
    deliveries: &Deliveries,
    tx: &mut SqliteConnection,
    Arriving { report, said }: &Arriving<'_>,
    signer: &str,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO report (delivery, agreement, study_uid, sop_uid, sop_class, syntax, case_code, status, signed_us, signer, \
         received_us, said_study) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (sop_uid) DO UPDATE SET delivery = excluded.delivery, agreement = excluded.agreement, \
         study_uid = excluded.study_uid, said_study = excluded.said_study, sop_class = excluded.sop_class, syntax = excluded.syntax, \
         case_code = excluded.case_code, status = excluded.status, signed_us = excluded.signed_us, \
         signer = excluded.signer, received_us = excluded.received_us RETURNING id",
    )
    .bind(&report.delivery)
    .bind(report.agreement.as_str())
    .bind(report.study.as_str())
    .bind(report.instance.as_str())
    .bind(report.class.as_str())
    .bind(report.syntax.as_str())
    .bind(report.case.as_str())
    .bind(&report.status)
    .bind(report.signed_at.0)
    .bind(signer)
    .bind(deliveries.inner.clock.now().0)
    .bind(said.as_str())
    .fetch_one(tx)
    .await
}

/// Of rows that are there only the agent's own changes: a destination that holds the report is not offered it again when lost bytes
/// have come back.
async fn insert_row(
    deliveries: &Deliveries,
    tx: &mut SqliteConnection,
    report: i64,
    row: &Row<'_>,
) -> Result<(), sqlx::Error> {
    let now = deliveries.inner.clock.now().0;
    sqlx::query(
        "INSERT INTO delivery (report_id, destination, form, state, sentence, due_us, since_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (report_id, destination, form) DO UPDATE SET \
         state = excluded.state, sentence = excluded.sentence, due_us = excluded.due_us, since_us = excluded.since_us, \
         revision = delivery.revision + 1 WHERE excluded.destination = 'site' AND excluded.form = 'sr'",
    )
    .bind(report)
    .bind(row.destination)
    .bind(row.form)
    .bind(row.state.as_str())
    .bind(row.sentence)
    .bind(row.due.then_some(now))
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}
