//! The worker of one destination: leases what is due, offers it, and writes down what came of it.

use std::time::Duration;

use causeway_proto::ids::{AgreementId, CaseCode};
use causeway_proto::link::message::DeliveryState;
use causeway_proto::time::Timestamp;
use serde_json::json;
use sqlx::{Row, SqliteConnection};
use tokio_util::sync::CancellationToken;

use super::form::{self, Before, Offer, Prepared, Wanted, Way};
use super::offer::{Destination, PageImage, Parcel, SendOutcome, Store};
use super::outcome::{Next, damaged, judge, not_derived, not_restored};
use super::restoring::FRESH;
use super::withdrawn::{self, TAKEN_BACK};
use super::{Deliveries, DeliveryError, IMAGE, SR, lost, refused};
use crate::audit;
use crate::derive::Fonts;
use crate::restore::{self, Home};
use crate::spool::Handle;

/// Longer than any offer takes; a row whose worker was lost is free again after it.
const LEASE: Duration = Duration::from_secs(900);
/// An offer of which nothing could be written down comes again after this.
const UNWRITTEN: Duration = Duration::from_secs(60);

/// A row due later than this was written under a clock that was set back since: it is due now (R18).
pub(super) const FARTHEST: Duration = Duration::from_secs(1200);

/// In a row of which it is not known whether the destination holds the report: a person wants it sent again, whatever the destination
/// says. It is then not asked; what comes of it is as little known as before until there is an answer.
const ORDERED: i64 = 2;

/// A row that this worker holds.
struct Leased {
    report: i64,
    case: CaseCode,
    form: String,
    attempts: i64,
    refusals: i64,
    lease: i64,
    /// Whether the destination may hold it, although nobody has heard so.
    unknown: bool,
    /// A person wants it sent whatever the destination says.
    ordered: bool,
    handle: Handle,
    length: i64,
    /// Whose name it gets; none when it goes as it was signed. An error when its row cannot be read: then it goes to nobody.
    home: Result<Option<Home>, ()>,
    parcel: Parcel,
    agreement: AgreementId,
    /// The signed document names another study than the site does.
    renamed: bool,
}

impl Leased {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            form: &self.form,
            report: self.report,
            case: &self.case,
            home: &self.home,
            renamed: self.renamed.then_some(&self.agreement),
            signed: self.parcel.clone(),
        }
    }
}

/// What came of an offer.
enum Offered {
    Answered(Offer),
    /// The bytes were damaged, and nothing was offered.
    Damaged,
    /// It could not be put under its patient's name, and nothing was offered.
    NotRestored,
    /// There is no page image of it, for this reason, and nothing was offered.
    NotDerived(String),
}

/// Serves a destination until `cancel` fires.
pub(super) async fn serve(
    deliveries: &Deliveries,
    destination: &Destination,
    store: &Store,
    fonts: &Fonts,
    cancel: &CancellationToken,
) {
    let mut left = false;
    while !cancel.is_cancelled() {
        match offer_or_free(deliveries, destination, (store, fonts), &mut left).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%error, "a delivery was not written down; it comes again")
            }
        }
        tokio::select! {
            () = cancel.cancelled() => {}
            () = deliveries.inner.due.notified() => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// As [`offer_next`]. What an offer before has `left` under lease because it could not be written down comes again: after a while, for
/// the destination may have it, and would get it each time that the rows refuse.
pub(super) async fn offer_or_free(
    deliveries: &Deliveries,
    destination: &Destination,
    (store, fonts): (&Store, &Fonts),
    left: &mut bool,
) -> Result<bool, DeliveryError> {
    if *left {
        let now = deliveries.inner.clock.now();
        deliveries
            .free(&destination.name, now.plus(UNWRITTEN))
            .await?;
    }
    let offered = offer_next(deliveries, destination, store, fonts).await;
    *left = offered.is_err();
    offered
}

/// Offers what has been due the longest. Answers whether there was anything.
pub(super) async fn offer_next(
    deliveries: &Deliveries,
    destination: &Destination,
    store: &Store,
    fonts: &Fonts,
) -> Result<bool, DeliveryError> {
    let Some(mut leased) = lease(deliveries, &destination.name).await? else {
        return Ok(false);
    };
    let spool = &deliveries.inner.spool;
    let whole = usize::try_from(leased.length).unwrap_or(usize::MAX);
    let outcome = match spool.read(&leased.handle, 0, whole).await {
        Ok(dataset) => {
            let syntax = &leased.parcel.syntax;
            if spool
                .is_intact(&leased.handle, syntax, dataset.clone())
                .await?
            {
                leased.parcel.dataset = dataset;
                let prepared = form::prepared(deliveries, leased.wanted(), fonts).await?;
                match prepared {
                    Prepared::Parcels(parcels) => {
                        let before = Before {
                            unknown: leased.unknown,
                            asks: !leased.ordered,
                        };
                        let way = Way {
                            deliveries,
                            report: leased.report,
                            store,
                            destination,
                        };
                        let offer = form::offered(way, parcels, before).await;
                        Offered::Answered(offer)
                    }
                    Prepared::NotRestored => Offered::NotRestored,
                    Prepared::NotDerived(error) => Offered::NotDerived(error.to_string()),
                }
            } else {
                Offered::Damaged
            }
        }
        Err(error) => Offered::Answered(Offer {
            outcome: SendOutcome::Failed(error.to_string()),
            unknown: leased.unknown,
        }),
    };
    finish(deliveries, destination, &leased, &outcome).await?;
    Ok(true)
}

async fn lease(
    deliveries: &Deliveries,
    destination: &str,
) -> Result<Option<Leased>, DeliveryError> {
    let now = deliveries.inner.clock.now();
    let until = now.plus(LEASE).0;
    let mut tx = deliveries.begin().await?;
    let work = async {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE delivery SET lease_until_us = $3, attempts = attempts + 1, unknown = MAX(unknown, lease_until_us <> 0) WHERE rowid = (SELECT rowid FROM delivery \
             WHERE destination = $1 AND state IN ('at-site', 'waiting') AND (due_us <= $2 OR due_us > $4) \
             AND (lease_until_us <= $2 OR lease_until_us > $5) AND NOT EXISTS (SELECT 1 FROM restoration x \
             WHERE x.report_id = delivery.report_id AND (x.state <> 'done' OR (x.decided_by = 'pacs' AND (x.since_us <= $6 OR x.since_us > $2)))) \
             AND report_id NOT IN (SELECT r.id FROM report r JOIN own_report o ON o.sop_uid = r.sop_uid WHERE o.lost = 1) \
             AND NOT EXISTS (SELECT 1 FROM report r WHERE r.id = delivery.report_id AND {TAKEN_BACK}) \
             ORDER BY report_id NOT IN (SELECT id FROM report WHERE status = 'withdrawn'), due_us, form DESC LIMIT 1) \
             RETURNING report_id, form, attempts, refusals, unknown",
        )))
        .bind(destination)
        .bind(now.0)
        .bind(until)
        .bind(now.plus(FARTHEST).0)
        .bind(now.plus(LEASE).0)
        .bind(now.minus(FRESH).0)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let report: i64 = row.try_get(0)?;
        let of = sqlx::query(
            "SELECT r.study_uid, r.sop_class, r.sop_uid, r.syntax, o.handle, o.length, r.case_code, r.agreement, \
             r.said_study NOT IN ('', r.study_uid) FROM report r \
             JOIN own_report o ON o.sop_uid = r.sop_uid WHERE r.id = $1",
        )
        .bind(report)
        .fetch_one(&mut *tx)
        .await?;
        let leased = Leased {
            report,
            case: parsed(&of, 6)?,
            form: row.try_get(1)?,
            attempts: row.try_get(2)?,
            refusals: row.try_get(3)?,
            lease: until,
            unknown: row.try_get::<i64, _>(4)? != 0,
            ordered: row.try_get::<i64, _>(4)? == ORDERED,
            handle: Handle::from_row(of.try_get(4)?),
            length: of.try_get(5)?,
            home: match restore::rows::home(&mut tx, report).await {
                Ok(home) => Ok(home),
                Err(sqlx::Error::Decode(_)) => Err(()),
                Err(error) => return Err(error),
            },
            parcel: Parcel {
                study: parsed(&of, 0)?,
                class: parsed(&of, 1)?,
                instance: parsed(&of, 2)?,
                syntax: parsed(&of, 3)?,
                dataset: bytes::Bytes::new(),
            },
            agreement: parsed(&of, 7)?,
            renamed: of.try_get(8)?,
        };
        tx.commit().await?;
        Ok(Some(leased))
    };
    work.await.map_err(refused("leasing what is due"))
}

/// A column as an identifier.
pub(super) fn parsed<T: std::str::FromStr>(
    row: &sqlx::sqlite::SqliteRow,
    index: usize,
) -> Result<T, sqlx::Error> {
    match row.try_get::<String, _>(index)?.parse() {
        Ok(value) => Ok(value),
        Err(_) => Err(sqlx::Error::Decode("an identifier of a report".into())),
    }
}

/// Where a row goes from here.
struct Followed {
    next: Next,
    /// How often the destination itself has refused it.
    refusals: i64,
    /// 0, 1 or [`ORDERED`].
    unknown: i64,
    /// The destination has taken it in this very offer.
    taken: bool,
}

fn followed(deliveries: &Deliveries, leased: &Leased, outcome: &Offered) -> Followed {
    let (mut refusals, mut unknown) = (leased.refusals, leased.unknown);
    let mut next = match outcome {
        Offered::Answered(offer) => {
            let refused_now = matches!(offer.outcome, SendOutcome::Refused(_));
            refusals = refusals.saturating_add(i64::from(refused_now));
            unknown = offer.unknown;
            let (outcome, random) = (&offer.outcome, &deliveries.inner.random);
            judge(outcome, &leased.form, leased.attempts, refusals, random)
        }
        Offered::Damaged => damaged(),
        Offered::NotRestored => not_restored(),
        Offered::NotDerived(why) => not_derived(why.clone()),
    };
    if unknown && next.state != DeliveryState::Delivered {
        next.sentence = format!("not known whether the PACS has it: {}", next.sentence);
    }
    let unsent = match outcome {
        Offered::Answered(offer) => matches!(offer.outcome, SendOutcome::Failed(_)),
        Offered::Damaged | Offered::NotRestored | Offered::NotDerived(_) => true,
    };
    let taken = matches!(outcome, Offered::Answered(offer) if matches!(offer.outcome, SendOutcome::Stored(_)));
    Followed {
        next,
        refusals,
        taken,
        unknown: match unknown {
            // an order stands until it was carried out
            true if leased.ordered && unsent => ORDERED,
            unknown => i64::from(unknown),
        },
    }
}

/// Writes the outcome down, unless the lease has gone to another. What a person has ordered meanwhile was not carried out by it.
async fn finish(
    deliveries: &Deliveries,
    destination: &Destination,
    leased: &Leased,
    outcome: &Offered,
) -> Result<(), DeliveryError> {
    let followed = followed(deliveries, leased, outcome);
    let next = followed.next.clone();
    let now = deliveries.inner.clock.now();
    tracing::info!(
        report = %leased.parcel.instance,
        destination = destination.name,
        form = leased.form,
        state = next.state.as_str(),
        sentence = %next.sentence,
        "a report was offered"
    );
    let mut tx = deliveries.begin().await?;
    let stands = written(&mut tx, (destination, leased), followed, now)
        .await
        .map_err(refused("writing down an offer"))?;
    if matches!(outcome, Offered::Damaged) {
        lost::found(&mut tx, leased.report, now.0)
            .await
            .map_err(refused("asking for a damaged report"))?;
    }
    let refuses_reports = stands && leased.form == SR && next.state == DeliveryState::NotTaken;
    if refuses_reports && destination.page_image != PageImage::Never {
        instead(&mut tx, leased.report, &destination.name, now)
            .await
            .map_err(refused("offering a page image instead"))?;
    }
    withdrawn::stop(&mut tx, &leased.case, now.0)
        .await
        .map_err(refused("stopping what was taken back"))?;
    if stands && next.again.is_none() {
        let (study, report) = (&leased.parcel.study, &leased.parcel.instance);
        let detail = json!({ "destination": destination.name, "form": leased.form, "state": next.state.as_str(), "report": report.as_str() });
        audit::record(
            &mut tx,
            now,
            "report-offered",
            &destination.name,
            study.as_str(),
            &detail,
        )
        .await
        .map_err(refused("recording an offer"))?;
    }
    tx.commit()
        .await
        .map_err(refused("writing down an offer"))?;
    deliveries.inner.changed.notify_waiters();
    Ok(())
}

/// The row after an offer; answers whether it stands as the offer ended. Whoever has ordered "send again" meanwhile has set its count
/// back: then it waits as he has ordered, unless the offer itself did it, and of the offer only what the destination may hold is written
/// down. What he had not read as unknown when he ordered is asked for first.
async fn written(
    tx: &mut SqliteConnection,
    (destination, leased): (&Destination, &Leased),
    followed: Followed,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let next = followed.next;
    let may_hold = followed.unknown != 0 || next.state == DeliveryState::Delivered;
    let of_this_lease =
        "WHERE report_id = $1 AND destination = $2 AND form = $3 AND lease_until_us = $4";
    let stands = sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE delivery SET state = $5, sentence = $6, due_us = $7, since_us = $8, lease_until_us = 0, refusals = $9, unknown = $10, \
         revision = revision + 1 {of_this_lease} AND ($11 OR attempts = $12 OR state <> 'waiting')",
    )))
    .bind(leased.report)
    .bind(&destination.name)
    .bind(&leased.form)
    .bind(leased.lease)
    .bind(next.state.as_str())
    .bind(&next.sentence)
    .bind(next.again.map(|again| now.plus(again).0))
    .bind(now.0)
    .bind(followed.refusals)
    .bind(followed.unknown)
    .bind(followed.taken)
    .bind(leased.attempts)
    .execute(&mut *tx)
    .await?
    .rows_affected()
        > 0;
    if stands {
        return Ok(true);
    }
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE delivery SET lease_until_us = 0, unknown = CASE WHEN NOT $5 THEN 0 WHEN unknown = 0 THEN 1 ELSE {ORDERED} END, \
         sentence = CASE WHEN $5 AND unknown = 0 THEN 'not known whether the PACS has it: ' ELSE '' END || sentence, \
         revision = revision + 1 {of_this_lease}",
    )))
    .bind(leased.report)
    .bind(&destination.name)
    .bind(&leased.form)
    .bind(leased.lease)
    .bind(may_hold)
    .execute(&mut *tx)
    .await?;
    Ok(false)
}

/// A PACS that takes no structured reports gets the page image (P8), once.
async fn instead(
    tx: &mut SqliteConnection,
    report: i64,
    destination: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO delivery (report_id, destination, form, state, sentence, due_us, since_us) \
         VALUES ($1, $2, $3, $4, 'not offered yet', $5, $5) ON CONFLICT (report_id, destination, form) DO NOTHING",
    )
    .bind(report)
    .bind(destination)
    .bind(IMAGE)
    .bind(DeliveryState::AtSite.as_str())
    .bind(now.0)
    .execute(tx)
    .await?;
    Ok(())
}

/// See [`Deliveries::retry`].
pub(super) async fn retry(
    deliveries: &Deliveries,
    case: &CaseCode,
    who: &str,
) -> Result<u64, DeliveryError> {
    let mut tx = deliveries.begin().await?;
    let now = deliveries.inner.clock.now();
    restore::rows::ask_again(&mut tx, case, now)
        .await
        .map_err(refused("asking again for a patient"))?;
    let changed = sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE delivery SET state = 'waiting', sentence = 'offered again by a person at the site', attempts = 0, refusals = 0, \
         unknown = CASE WHEN unknown = 0 THEN 0 ELSE {ORDERED} END, due_us = $2, since_us = $2, revision = revision + 1 WHERE state IN ('waiting', 'held', 'not-taken') \
         AND destination IN (SELECT value FROM json_each($3)) \
         AND report_id IN (SELECT id FROM report WHERE case_code = $1) \
         AND report_id NOT IN (SELECT report_id FROM restoration WHERE state = 'refused') \
         AND report_id NOT IN (SELECT r.id FROM report r WHERE {TAKEN_BACK})",
    )))
    .bind(case.as_str())
    .bind(now.0)
    .bind(names(deliveries))
    .execute(&mut *tx)
    .await
    .map_err(refused("offering again"))?
    .rows_affected();
    if changed > 0 {
        let (now, detail) = (deliveries.inner.clock.now(), json!({ "rows": changed }));
        audit::record(&mut tx, now, "report-retried", who, case.as_str(), &detail)
            .await
            .map_err(refused("recording a new try"))?;
    }
    tx.commit().await.map_err(refused("offering again"))?;
    deliveries.inner.due.notify_waiters();
    deliveries.inner.changed.notify_waiters();
    Ok(changed)
}

/// The configured destinations as a JSON list.
pub(super) fn names(deliveries: &Deliveries) -> String {
    let names = deliveries
        .inner
        .destinations
        .iter()
        .map(|d| d.name.as_str());
    serde_json::Value::from_iter(names).to_string()
}
