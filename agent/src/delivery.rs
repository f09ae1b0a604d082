//! The way home inside the site: a report is durable, verified and known to belong here before the gateway hears so; then each
//! destination is offered it until it takes it or says that it never will.
//!
//! | State | Reached by | Left by |
//! |---|---|---|
//! | `at-site` | signature and study verified, bytes durable | the first offer, or its restoration |
//! | `delivered` | the destination stored it (0x0000, or a warning that is noted), or says that it holds it | never |
//! | `waiting` | no association, or a refusal that may pass; also of the question for its patient | the next offer |
//! | `waiting`, shown as `unknown` | all of it was sent and no answer came, or the agent ended meanwhile | the destination saying, asked, that it holds it or not; an answer to the next offer |
//! | `not-taken` | no context for this class, or 0x0122 | a person's retry |
//! | `held` | refused ten times, no destination configured, its patient in question (`restore`), or no page image of it (`derive`) | a person's retry or decision |
//! | `waiting`, of the site itself | its bytes were found missing or damaged | the gateway sending it again |
//! | `rejected` | signature, study or UID did not verify; nothing is kept | the gateway offering it anew |
//!
//! Each destination has a row for the signed document and, where its PACS takes no structured reports or hides them, one for the
//! page image of it (P8); each stands and is tried by itself.
//!
//! Every offer of a form carries the same SOP Instance UIDs, so that an object that comes twice is one. Where it is not known whether a
//! destination holds it, and the destination answers to C-FIND at the level of the image, it is offered again only when it is not there.
//! "Duplicate SOP Instance" (0x0111) is no refusal unless the destination, asked, does not find it.
//!
//! A withdrawal (P17) goes before all else, and what it takes back goes no more. It has one row beside, of the agent itself, which is
//! `held` until a person here has said that he has seen it.

mod accept;
mod form;
pub mod late;
mod lost;
mod offer;
pub mod open;
mod outcome;
mod rehoming;
mod restoring;
mod tell;
mod verify;
pub mod view;
mod withdrawn;
mod work;

use std::sync::Arc;

use bytes::Bytes;
use causeway_proto::ids::{CaseCode, StudyUid};
use causeway_proto::link::message::{Delivery as Message, DeliveryState, Report};
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use rustls_pki_types::CertificateDer;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio_util::sync::CancellationToken;

use crate::derive::Fonts;
use crate::restore::Restoring;
use crate::spool::{Spool, SpoolError};
use accept::Arriving;
pub use offer::{DUPLICATE, Destination, Holds, PageImage, Parcel, SendOutcome, Store};
pub use restoring::Ruling;

/// The destination that stands for the agent itself.
pub const SITE: &str = "site";

/// The report as it was signed.
pub const SR: &str = "sr";

/// The pages of the report as pictures.
pub const IMAGE: &str = "image";

/// The word of a person at the site that he has seen a withdrawal: a row of the agent itself, `held` until it is said.
pub const ACKNOWLEDGED: &str = "acknowledged";

/// The status of a report that takes back the one before it (P17).
pub const WITHDRAWN: &str = "withdrawn";

/// Stands for the destinations of a site that has configured none.
pub const NONE: &str = "none";

/// A report was not accepted.
#[derive(Debug, Error)]
pub enum AcceptError {
    /// Trying again may help: the disk or the rows refused, or the list of revoked signers is missing or old.
    #[error("the report could not be kept: {tried}")]
    NotKept {
        /// What was tried.
        tried: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The bytes are not what the trailer says.
    #[error("the report's bytes are not those of its trailer")]
    Digest,
}

/// Reading or changing the rows of deliveries failed.
#[derive(Debug, Error)]
pub enum DeliveryError {
    /// The rows refused.
    #[error("the rows of deliveries refused: {tried}")]
    Rows {
        /// What was tried.
        tried: &'static str,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// The spool refused.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A person has chosen what cannot be chosen.
    #[error("{0}")]
    Choice(&'static str),
}

/// A message for the gateway that it may not have heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    /// What to say.
    pub message: Message,
    /// To be given back to [`Deliveries::told`].
    pub revision: i64,
}

/// Reports at the site and where each stands. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Deliveries {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    destinations: Vec<Destination>,
    spool: Spool,
    signer_authority: Option<CertificateDer<'static>>,
    clock: Clock,
    random: Random,
    changed: Notify,
    due: Notify,
}

impl Deliveries {
    /// Opens the deliveries over the spool's rows. Leases of a process that has ended are free again, and what is for a
    /// destination that is no longer configured is held.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn open(
        destinations: Vec<Destination>,
        spool: Spool,
        signer_authority: Option<CertificateDer<'static>>,
        clock: Clock,
        random: Random,
    ) -> Result<Self, DeliveryError> {
        let deliveries = Self {
            inner: Arc::new(Inner {
                destinations,
                spool,
                signer_authority,
                clock,
                random,
                changed: Notify::new(),
                due: Notify::new(),
            }),
        };
        deliveries.free_leases().await?;
        deliveries.hold_strays().await?;
        lost::ask_again(&deliveries).await?;
        Ok(deliveries)
    }

    /// Takes a report whose bytes match its trailer. When it returns, the report is durable and its row says `at-site`, or
    /// `rejected` when its signature does not verify or its study is not one of ours; [`Self::messages`] says so to the gateway.
    /// The same report again is no news and is accepted again; when its bytes were lost, they are kept again.
    ///
    /// # Errors
    /// When it could not be kept; the gateway will offer it again.
    pub async fn accept(&self, report: &Report, dataset: Bytes) -> Result<(), AcceptError> {
        self.accept_as(report, &report.study, dataset).await
    }

    /// The same for a report about a study that left under another UID: `said` is the one that the signed document names.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub async fn accept_as(
        &self,
        report: &Report,
        said: &StudyUid,
        dataset: Bytes,
    ) -> Result<(), AcceptError> {
        accept::accept(self, &Arriving { report, said }, dataset).await
    }

    /// What the gateway has to hear, at most 256 at a time, oldest first.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn messages(&self) -> Result<Vec<Untold>, DeliveryError> {
        tell::messages(self).await
    }

    /// The gateway has noted these.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn told(&self, messages: &[Untold]) -> Result<(), DeliveryError> {
        tell::told(self, messages).await
    }

    /// Something has changed that the gateway may want to hear. Look again every few seconds as well.
    pub fn changed(&self) -> Notified<'_> {
        self.inner.changed.notified()
    }

    /// Offers again, at once, what a case has waiting, held or not taken, as `who` says. Answers how many
    /// rows.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn retry(&self, case: &CaseCode, who: &str) -> Result<u64, DeliveryError> {
        work::retry(self, case, who).await
    }

    /// The decision of `who` about a report that is held for its patient (`report` as [`crate::restore::rows::Mismatch`] has it).
    /// Answers how many reports it decided: one or none.
    ///
    /// # Errors
    /// When the choice is not possible, or the rows refuse.
    pub async fn rule(&self, report: i64, ruling: Ruling, who: &str) -> Result<u64, DeliveryError> {
        restoring::rule(self, report, ruling, who).await
    }

    /// `who` at the site has seen a withdrawal; the gateway hears that it was seen, and not by whom. Answers whether it was open.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn acknowledge(&self, report: i64, who: &str) -> Result<bool, DeliveryError> {
        withdrawn::acknowledge(self, report, who).await
    }

    /// Finds out whose report it is where that is needed, and offers what is due to its destinations, until `cancel` fires; what
    /// is under way then is finished or comes again.
    pub async fn run(
        &self,
        store: Store,
        restoring: Restoring,
        fonts: Fonts,
        cancel: CancellationToken,
    ) {
        let each = self
            .inner
            .destinations
            .iter()
            .map(|destination| work::serve(self, destination, &store, &fonts, &cancel));
        let restored = restoring::serve(self, &restoring, &cancel);
        tokio::join!(futures::future::join_all(each), restored);
        // a site without destinations has nobody to serve
        cancel.cancelled().await;
    }

    async fn free_leases(&self) -> Result<(), DeliveryError> {
        // the process ended before it heard an answer, or could write one down; an order of a person stands
        self.write("UPDATE delivery SET lease_until_us = 0, unknown = MAX(unknown, 1) WHERE lease_until_us <> 0")
            .await
    }

    /// The same of one destination, while its worker has begun nothing new; due at `due`, but for what a person has ordered meanwhile or
    /// what is to be offered no more.
    async fn free(&self, destination: &str, due: Timestamp) -> Result<(), DeliveryError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE delivery SET lease_until_us = 0, unknown = MAX(unknown, 1), due_us = CASE WHEN attempts = 0 OR state NOT IN ('at-site', 'waiting') THEN due_us ELSE $2 END \
             WHERE lease_until_us <> 0 AND destination = $1",
        )
        .bind(destination)
        .bind(due.0)
        .execute(&mut *tx)
        .await
        .map_err(refused("freeing what was leased"))?;
        tx.commit()
            .await
            .map_err(refused("freeing what was leased"))
    }

    /// Rows for destinations that are not configured any more are for a person to decide.
    async fn hold_strays(&self) -> Result<(), DeliveryError> {
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT destination FROM delivery WHERE destination <> $1 AND state IN ('at-site', 'waiting')",
        )
        .bind(SITE)
        .fetch_all(self.inner.spool.rows().read())
        .await
        .map_err(refused("listing destinations"))?;
        for name in rows {
            if self.inner.destinations.iter().any(|d| d.name == name) {
                continue;
            }
            let mut tx = self.begin().await?;
            sqlx::query(
                "UPDATE delivery SET state = $2, sentence = 'this destination is no longer configured at the site', \
                 due_us = NULL, since_us = $3, revision = revision + 1 \
                 WHERE destination = $1 AND state IN ('at-site', 'waiting')",
            )
            .bind(&name)
            .bind(DeliveryState::Held.as_str())
            .bind(self.inner.clock.now().0)
            .execute(&mut *tx)
            .await
            .map_err(refused("holding what has no destination"))?;
            tx.commit()
                .await
                .map_err(refused("holding what has no destination"))?;
        }
        Ok(())
    }

    async fn write(&self, sql: &'static str) -> Result<(), DeliveryError> {
        let mut tx = self.begin().await?;
        sqlx::query(sql)
            .execute(&mut *tx)
            .await
            .map_err(refused("opening the deliveries"))?;
        tx.commit().await.map_err(refused("opening the deliveries"))
    }

    async fn begin(&self) -> Result<crate::rows::Write, DeliveryError> {
        self.inner
            .spool
            .rows()
            .begin()
            .await
            .map_err(refused("beginning a write"))
    }
}

/// Says what was tried when the rows refused.
fn refused(tried: &'static str) -> impl FnOnce(sqlx::Error) -> DeliveryError {
    move |source| DeliveryError::Rows { tried, source }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
pub(crate) mod tests;
