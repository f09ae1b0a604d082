//! The way home, as the gateway sees it: one row per signed document, leased by the link while a site takes it, and what the site
//! says of every destination and form.
//!
//! | state | means | next |
//! |---|---|---|
//! | waiting | signed, on its way, or lost at the site; offered whenever the site is connected | at-site, rejected |
//! | at-site | durable at the site, its signature verified; some destination has not decided | any below |
//! | delivered | every destination has decided, at least one holds it | |
//! | not-taken | no destination takes such a form | |
//! | held | a person at the site must decide | any |
//! | rejected | the site could not verify it; nothing was delivered | |

mod away;
mod outcome;
#[cfg(test)]
mod tests;
mod view;
mod withdrawn;

use std::time::Duration;

use causeway_proto::digest::Digest;
use causeway_proto::ids::SiteId;
use causeway_proto::link::message::{Delivery, DeliveryState, Report};
use causeway_proto::time::Timestamp;
use serde_json::json;
use sqlx::{Any, FromRow, Transaction};
use thiserror::Error;

use crate::audit::{self, AuditError};
use crate::rows::Rows;
use crate::worklist::Changed;

pub use away::{Away, away};
pub use outcome::{Form, overall};
pub use view::{DocumentView, FormView, of_case, rank, states};
pub use withdrawn::{Withdrawal, open_withdrawals};

/// The status of a report that takes back the one before it.
pub const WITHDRAWN: &str = "withdrawn";

/// The word of a person at the site that he has seen a withdrawal: a form of the agent itself, which holds no report.
pub const ACKNOWLEDGED: &str = "acknowledged";

/// When a document is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Before everything that waits for its site.
    First,
    /// When it is its turn.
    InOrder,
}

/// How many documents are handed out at once.
const BATCH: usize = 16;

/// The rows of the way home could not be read or written.
#[derive(Debug, Error)]
pub enum DeliveryError {
    /// The database refused.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    /// The act could not be written to the audit trail, so it was not done.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A row holds something that this program does not write.
    #[error("a delivery's row cannot be read: {0}")]
    Row(&'static str),
}

/// A document that a site should be offered now.
#[derive(Clone, Debug)]
pub struct Due {
    /// The first frame of its stream. The link adds the signer CRL.
    pub message: Report,
    /// Where `archive` keeps its bytes.
    pub blob_key: String,
    /// Digest of the whole, for the trailer.
    pub digest: Digest,
    /// Length of the whole, in bytes.
    pub length: u64,
}

#[derive(FromRow)]
struct DueRow {
    id: String,
    sop_uid: String,
    agreement_id: String,
    study_uid: String,
    sop_class: String,
    transfer_syntax: String,
    blob_key: String,
    digest: String,
    length: i64,
    code: String,
    signed_us: i64,
    status: String,
}

/// Leases what waits for a site, oldest first, at most `most` documents and never more than 16: nobody else gets what is leased and
/// not sent. A lease that is not followed by a message of the site runs out
/// after `lease`, and the document is due again. What was written under a clock that has been set back since does not wait for that
/// time to come again: a document is due since it was signed, and no lease ends later than one that begins now.
///
/// # Errors
/// When the database refuses or a row cannot be read.
pub async fn due(
    rows: &Rows,
    site: &SiteId,
    owner: &str,
    most: usize,
    (now, lease): (Timestamp, Duration),
) -> Result<Vec<Due>, DeliveryError> {
    let mut tx = rows.begin().await?;
    let leased: Vec<(String,)> = sqlx::query_as(
        "UPDATE delivery SET lease_owner = $1, lease_until_us = $2, attempts = attempts + 1
         WHERE (lease_until_us < $3 OR lease_until_us > $2) AND state = 'waiting' AND id IN
            (SELECT id FROM delivery WHERE site_id = $4 AND state = 'waiting' AND (lease_until_us < $3 OR lease_until_us > $2) ORDER BY due_us, id LIMIT $5)
         RETURNING id",
    )
    .bind(owner)
    .bind(now.plus(lease).0)
    .bind(now.0)
    .bind(site.as_str())
    .bind(i64::try_from(most.min(BATCH)).unwrap_or_default())
    .fetch_all(&mut *tx)
    .await?;
    let mut out = Vec::new();
    for (id,) in leased {
        let row: DueRow = sqlx::query_as(
            "SELECT d.id, d.sop_uid, r.agreement_id, r.study_uid, r.sop_class, r.transfer_syntax, r.blob_key, r.digest, r.length, c.code, p.signed_us, p.status
             FROM delivery d JOIN report_document r ON r.sop_uid = d.sop_uid JOIN report p ON p.id = r.report_id JOIN reading_case c ON c.id = p.case_id WHERE d.id = $1",
        )
        .bind(&id)
        .fetch_one(&mut *tx)
        .await?;
        out.push(row.due()?);
    }
    tx.commit().await?;
    out.sort_by_key(|d| (d.message.status != WITHDRAWN, d.message.signed_at));
    Ok(out)
}

impl DueRow {
    fn due(self) -> Result<Due, DeliveryError> {
        fn parsed<T: std::str::FromStr>(
            text: &str,
            what: &'static str,
        ) -> Result<T, DeliveryError> {
            text.parse().or(Err(DeliveryError::Row(what)))
        }
        Ok(Due {
            message: Report {
                delivery: self.id,
                study: parsed(&self.study_uid, "study")?,
                agreement: parsed(&self.agreement_id, "agreement")?,
                instance: parsed(&self.sop_uid, "instance")?,
                class: parsed(&self.sop_class, "class")?,
                syntax: parsed(&self.transfer_syntax, "transfer syntax")?,
                case: parsed(&self.code, "case code")?,
                signed_at: Timestamp(self.signed_us),
                status: self.status,
                signer_crl: None,
            },
            blob_key: self.blob_key,
            digest: parsed(&self.digest, "digest")?,
            length: u64::try_from(self.length).or(Err(DeliveryError::Row("length")))?,
        })
    }
}

/// Gives leases back when a connection ends, so that the next one need not wait for them to run out.
///
/// # Errors
/// When the database refuses.
pub async fn release(rows: &Rows, owner: &str) -> Result<(), DeliveryError> {
    let mut tx = rows.begin().await?;
    sqlx::query(
        "UPDATE delivery SET lease_until_us = 0 WHERE lease_owner = $1 AND state = 'waiting'",
    )
    .bind(owner)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Takes back what the connections of a site before this one had leased: a gateway that was killed gave nothing back, and one whose
/// agent is gone without a word still waits for it. A report that has come to the site twice is the same report there.
///
/// # Errors
/// When the database refuses.
pub async fn take_over(rows: &Rows, site: &SiteId) -> Result<(), DeliveryError> {
    let mut tx = rows.begin().await?;
    sqlx::query("UPDATE delivery SET lease_until_us = 0 WHERE site_id = $1 AND state = 'waiting'")
        .bind(site.as_str())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Records what a site says of one of its deliveries. A message about a delivery of another site, or of none, changes nothing.
/// The words of a live session come in order, so the newest word counts, whatever the site's clock says of its age.
///
/// # Errors
/// When the database refuses.
pub async fn record(
    rows: &Rows,
    site: &SiteId,
    said: &Delivery,
    now: Timestamp,
) -> Result<Changed, DeliveryError> {
    let mut tx = rows.begin().await?;
    // takes the row's lock, so that two messages about one delivery are counted one after the other
    let known: Option<(String,)> = sqlx::query_as(
        "UPDATE delivery SET changed_us = $1 WHERE id = $2 AND site_id = $3 RETURNING sop_uid",
    )
    .bind(now.0)
    .bind(&said.delivery)
    .bind(site.as_str())
    .fetch_optional(&mut *tx)
    .await?;
    let Some((sop_uid,)) = known else {
        return Ok(Changed::default());
    };
    sqlx::query(
        "INSERT INTO delivery_form (delivery_id, destination, form, state, sentence, next_try_us, since_us) VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (delivery_id, destination, form) DO UPDATE SET state = excluded.state, sentence = excluded.sentence, next_try_us = excluded.next_try_us, since_us = excluded.since_us",
    )
    .bind(&said.delivery)
    .bind(bounded(&said.destination, 64))
    .bind(bounded(&said.form, 16))
    .bind(said.state.as_str())
    .bind(bounded(&said.sentence, 500))
    .bind(said.next_try.map(|at| at.0))
    .bind(said.since.0)
    .execute(&mut *tx)
    .await?;
    let forms: Vec<Form> =
        sqlx::query_as("SELECT destination, form, state FROM delivery_form WHERE delivery_id = $1")
            .bind(&said.delivery)
            .fetch_all(&mut *tx)
            .await?;
    sqlx::query("UPDATE delivery SET state = $1, lease_until_us = 0 WHERE id = $2")
        .bind(overall(&forms))
        .bind(&said.delivery)
        .execute(&mut *tx)
        .await?;
    let (case,): (String,) = sqlx::query_as(
        "SELECT p.case_id FROM report_document r JOIN report p ON p.id = r.report_id WHERE r.sop_uid = $1",
    )
    .bind(&sop_uid)
    .fetch_one(&mut *tx)
    .await?;
    if said.state != DeliveryState::Waiting {
        // the site's sentence is its own text and is not repeated here
        let (form, state) = (bounded(&said.form, 16), said.state.as_str());
        let detail =
            json!({ "destination": bounded(&said.destination, 64), "form": form, "state": state });
        let (site, event) = (site.as_str(), "report-delivery");
        audit::record(&mut tx, now, event, "site", site, &sop_uid, &detail).await?;
    }
    tx.commit().await?;
    Ok(Changed::one(&case))
}

fn bounded(text: &str, most: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(most)
        .collect()
}

/// Puts a signed document on its way. Called by `sign` in its transaction.
///
/// # Errors
/// When the database refuses.
pub(crate) async fn enqueue(
    tx: &mut Transaction<'_, Any>,
    id: &str,
    (sop_uid, site): (&str, &str),
    turn: Turn,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    let due = match turn {
        Turn::First => 0,
        Turn::InOrder => at.0,
    };
    sqlx::query(
        "INSERT INTO delivery (id, sop_uid, site_id, state, due_us, created_us, changed_us) VALUES ($1, $2, $3, 'waiting', $5, $4, $4)",
    )
    .bind(id)
    .bind(sop_uid)
    .bind(site)
    .bind(at.0)
    .bind(due)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
