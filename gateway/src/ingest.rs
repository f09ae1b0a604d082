//! The door of the archive: takes what a site's agent sends, verifies it, indexes it, makes it durable, and only then receipts it.
//!
//! An instance goes through [`Ingest::begin_instance`] → [`Incoming::append`] → [`Incoming::finish`]. Its key is (site, agreement,
//! SOP Instance UID, `source_tag`); the same key is answered with the same receipt and has no effect.

mod admit;
mod again;
mod have;
mod index;
pub mod quarantine;
mod record;
mod restored;
mod room;
mod set_aside;
#[doc(hidden)]
pub mod strangers;
mod study;
mod together;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use causeway_proto::ids::{AgreementId, SiteId};
use causeway_proto::link::close::Code;
use causeway_proto::link::message::{Instance, InstanceKey, Receipt};
use causeway_proto::link::upload::{CODING_NONE, CODINGS};
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::Notify;

use crate::archive::catalog::ContentRow;
use crate::archive::{Archive, BlobError, PartName};
use crate::audit::AuditError;
use crate::deletion::DeletionError;
use crate::report::elsewhere::ElsewhereError;
use crate::worklist::{Changed, Events};
use room::Slots;
use together::Lines;

pub use admit::Incoming;
pub(crate) use index::{inflated_limit, little_endian};
pub use restored::renew_epoch;
pub use set_aside::{SetAside, set_aside};

/// Bounds on what comes in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The largest instance taken, in bytes.
    pub max_instance_bytes: u64,
    /// How much all partial instances together may hold on disk, in bytes.
    pub max_incoming_bytes: u64,
    /// After how many hours without a new byte a partial instance is dropped.
    pub incoming_age_h: u64,
    /// How many instances are received at the same time, over all sites; of urgent ones a quarter more.
    pub max_parallel: u32,
    /// How much of `max_incoming_bytes` and of `max_parallel` one site may take, in percent.
    pub site_share_percent: u8,
    /// For how long an instance waits for room while no byte comes of those that have it, in seconds; longer than a link that is silent
    /// lives.
    pub stuck_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_instance_bytes: 4 << 30,
            max_incoming_bytes: 64 << 30,
            incoming_age_h: 72,
            max_parallel: 64,
            site_share_percent: 25,
            stuck_s: 20,
        }
    }
}

/// What goes wrong at the door. The text is for the person who looks after the agent; it holds no patient data.
#[derive(Debug, Error)]
pub enum IngestError {
    /// The site has no such agreement in force.
    #[error("this site has no such agreement in force")]
    Forbidden,
    /// The agreement is one of another site.
    #[error("this agreement is another site's")]
    Foreign,
    /// The study was not opened.
    #[error("the study was not opened before its instances came")]
    NotOpen,
    /// The site has taken the study back.
    #[error("the site has taken this study back")]
    Recalled,
    /// Longer than the bound.
    #[error("the instance is longer than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: u64,
    },
    /// The bytes do not begin where the gateway stopped.
    #[error("the bytes begin at {sent}, but the gateway holds {held}")]
    BadOffset {
        /// Where the stream begins.
        sent: u64,
        /// What is held.
        held: u64,
    },
    /// The bytes are coded in an unknown way.
    #[error("the bytes are coded in a way that this gateway does not know ({0})")]
    CodingUnknown(u16),
    /// What the bytes were coded as cannot be undone.
    #[error("the bytes that arrived cannot be undone from their coding")]
    Garbled,
    /// The bytes are not those that were announced.
    #[error("the bytes that arrived are not those that were announced")]
    DigestMismatch,
    /// The stream ended early.
    #[error("{received} of {announced} bytes arrived")]
    Truncated {
        /// How many arrived.
        received: u64,
        /// How many were announced.
        announced: u64,
    },
    /// A message contradicts an earlier one or has more entries than the bound.
    #[error("the message is not possible: {0}")]
    Malformed(&'static str),
    /// The stream stopped bringing bytes.
    #[error("no byte of the instance came for too long; {received} bytes are kept")]
    Stalled {
        /// How many are kept.
        received: u64,
    },
    /// The same instance is arriving on another stream, or there is no room at the moment.
    #[error("no room at the moment: {0}")]
    Busy(&'static str),
    /// The disk is filling: what is left is for others.
    #[error("the disk of the gateway is filling: {0}")]
    Full(&'static str),
    /// The bytes could not be stored.
    #[error("the archive refused")]
    Blob(#[from] BlobError),
    /// The bytes could not be read back.
    #[error("the bytes could not be read back")]
    Read(#[source] std::io::Error),
    /// The audit trail could not be written.
    #[error("the audit trail could not be written")]
    Audit(#[from] AuditError),
    /// Bytes that are not needed could not be taken away.
    #[error("what is not needed could not be taken away")]
    Deletion(#[from] DeletionError),
    /// Which reports the site has could not be noted.
    #[error("which reports the site has could not be noted")]
    Elsewhere(#[from] ElsewhereError),
    /// A row says what this program never writes.
    #[error("a row about received instances cannot be understood")]
    Row,
    /// The database refused.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
}

/// After how long whoever found the disk full asks again: when there is room again he is soon back, and until then he asks seldom.
const FULL: Duration = Duration::from_secs(20);

/// What the sender does after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Send the same again later.
    Retry,
    /// The same would be refused again.
    Reject,
}

impl IngestError {
    /// What the sender does about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Forbidden
            | Self::Foreign
            | Self::Recalled
            | Self::TooLarge { .. }
            | Self::CodingUnknown(_)
            | Self::Malformed(_) => Disposition::Reject,
            Self::NotOpen
            | Self::BadOffset { .. }
            | Self::Garbled
            | Self::DigestMismatch
            | Self::Truncated { .. }
            | Self::Stalled { .. }
            | Self::Busy(_)
            | Self::Full(_)
            | Self::Blob(_)
            | Self::Read(_)
            | Self::Audit(_)
            | Self::Deletion(_)
            | Self::Elsewhere(_)
            | Self::Row
            | Self::Database(_) => Disposition::Retry,
        }
    }

    /// The word for it on the link.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Forbidden | Self::Foreign => Code::Forbidden,
            Self::NotOpen => Code::NotOpen,
            Self::Recalled => Code::Recalled,
            Self::TooLarge { .. } => Code::TooLarge,
            Self::BadOffset { .. } => Code::BadOffset,
            Self::CodingUnknown(_) => Code::CodingUnknown,
            Self::Garbled | Self::DigestMismatch => Code::DigestMismatch,
            Self::Truncated { .. } | Self::Stalled { .. } => Code::Truncated,
            Self::Malformed(_) => Code::Malformed,
            Self::Busy(_) | Self::Full(_) => Code::Busy,
            Self::Blob(_)
            | Self::Read(_)
            | Self::Audit(_)
            | Self::Deletion(_)
            | Self::Elsewhere(_)
            | Self::Row
            | Self::Database(_) => Code::Internal,
        }
    }

    /// After how long to try again; none when that will not help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        (self.disposition() == Disposition::Retry).then(|| match self {
            Self::Blob(_)
            | Self::Read(_)
            | Self::Audit(_)
            | Self::Deletion(_)
            | Self::Elsewhere(_)
            | Self::Row
            | Self::Database(_) => Duration::from_secs(10),
            Self::Full(_) => FULL,
            _ => Duration::from_secs(1),
        })
    }
}

/// How an instance may begin.
#[derive(Debug)]
pub enum Begun {
    /// It is durable already: nothing need be sent.
    Held(Receipt),
    /// Its bytes are awaited from [`Incoming::offset`].
    Incoming(Box<Incoming>),
}

/// Where receipts stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HighWater {
    /// Changes when the gateway was restored from a backup.
    pub epoch: u64,
    /// The highest receipt number given to the site in this epoch.
    pub number: u64,
}

/// The door. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ingest(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    archive: Archive,
    events: Events,
    clock: Clock,
    random: Random,
    epoch: u64,
    slots: Slots,
    lines: Lines,
    active: Mutex<HashSet<PartName>>,
    opened: Notify,
    /// Rings when a stream has let go of its instance.
    released: Notify,
    /// When the parts were last swept, and what they held then.
    swept: Mutex<(Timestamp, HashMap<String, u64>)>,
}

const EPOCH: &str = "epoch";

impl Ingest {
    /// Makes the door, drawing the epoch the first time.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn new(
        config: Config,
        archive: Archive,
        events: Events,
        clock: Clock,
        random: Random,
    ) -> Result<Self, IngestError> {
        let epoch = epoch(&archive, &random).await?;
        let slots = Slots::new(config.max_parallel);
        Ok(Self(Arc::new(Inner {
            config,
            archive,
            events,
            clock,
            random,
            epoch,
            slots,
            lines: Lines::default(),
            active: Mutex::new(HashSet::new()),
            opened: Notify::new(),
            released: Notify::new(),
            swept: Mutex::new((Timestamp(i64::MIN), HashMap::new())),
        })))
    }

    fn config(&self) -> &Config {
        &self.0.config
    }

    fn archive(&self) -> &Archive {
        &self.0.archive
    }

    fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn random(&self) -> &Random {
        &self.0.random
    }

    fn epoch(&self) -> u64 {
        self.0.epoch
    }

    fn opened(&self) -> &Notify {
        &self.0.opened
    }

    fn lines(&self) -> &Lines {
        &self.0.lines
    }

    fn active(&self) -> MutexGuard<'_, HashSet<PartName>> {
        self.0.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self, changed: &Changed) {
        self.0.events.announce(changed);
    }

    /// Where this site's receipts stand, for HELLO.
    ///
    /// # Errors
    /// [`IngestError::Forbidden`] for a site that is not there, or when the database refuses.
    pub async fn high_water(&self, site: &SiteId) -> Result<HighWater, IngestError> {
        let row: Option<(i64,)> = sqlx::query_as("SELECT receipt_number FROM site WHERE id = $1")
            .bind(site.as_str())
            .fetch_optional(self.archive().rows.read())
            .await?;
        let (number,) = row.ok_or(IngestError::Forbidden)?;
        Ok(HighWater {
            epoch: self.epoch(),
            number: number.unsigned_abs(),
        })
    }

    /// Whether the site may send under this agreement.
    async fn in_force(&self, site: &SiteId, agreement: &AgreementId) -> Result<(), IngestError> {
        let row: Option<(String, Option<i64>)> = sqlx::query_as(
            "SELECT site_id, CASE WHEN ended_us IS NULL AND (from_us IS NULL OR from_us <= $2)
             AND (until_us IS NULL OR until_us > $2) THEN created_us END FROM agreement WHERE id = $1",
        )
        .bind(agreement.as_str())
        .bind(self.clock().now().0)
        .fetch_optional(self.archive().rows.read())
        .await?;
        match row {
            Some((owner, _)) if owner != site.as_str() => Err(IngestError::Foreign),
            Some((_, Some(_))) => Ok(()),
            Some(_) | None => Err(IngestError::Forbidden),
        }
    }

    /// Begins an instance; bytes follow from [`Incoming::offset`], which is the message's offset. Waits a
    /// little while too many are arriving.
    ///
    /// # Errors
    /// What the message says is not possible, not allowed or there is no room.
    pub async fn begin_instance(
        &self,
        site: &SiteId,
        instance: &Instance,
    ) -> Result<Begun, IngestError> {
        if instance.coding != CODING_NONE && !CODINGS.contains(&instance.coding) {
            return Err(IngestError::CodingUnknown(instance.coding));
        }
        self.in_force(site, &instance.agreement).await?;
        let label = admit::Label::of(site, instance);
        let key = label.instance_key();
        if let Some(receipt) = self.durable(site, &key).await? {
            return Ok(Begun::Held(receipt));
        }
        let name = admit::part_name(site, &key);
        // what has begun may always be finished: that is how room is made
        if self.archive().parts.length(&name).await? == 0 {
            self.room(site).await?;
        }
        let permits = self.permits(&label.key).await?;
        let Some(hold) = admit::Hold::take(self, name.clone()) else {
            return Err(IngestError::Busy("this instance is arriving already"));
        };
        let held = self.archive().parts.length(&name).await?;
        if instance.offset > held {
            return Err(IngestError::BadOffset {
                sent: instance.offset,
                held,
            });
        }
        let incoming = Incoming::begin(hold, label, permits).await?;
        Ok(Begun::Incoming(Box::new(incoming)))
    }
}

fn receipt_of(
    key: InstanceKey,
    content: &ContentRow,
    quarantined: bool,
) -> Result<Receipt, IngestError> {
    let Ok(sent_digest) = content.sent_digest.parse() else {
        return Err(IngestError::Row);
    };
    Ok(Receipt {
        key,
        sent_digest,
        length: content.length.unsigned_abs(),
        number: content.receipt_number.unsigned_abs(),
        epoch: content.receipt_epoch.unsigned_abs(),
        quarantined,
    })
}

/// Of 53 bits: every tool that reads JSON can hold it.
fn drawn(random: &Random) -> u64 {
    random.below(1 << 53).max(1)
}

/// The gateway's epoch, drawn at its first start.
async fn epoch(archive: &Archive, random: &Random) -> Result<u64, IngestError> {
    let drawn = drawn(random);
    let mut tx = archive.rows.begin().await?;
    sqlx::query("INSERT INTO gateway_fact (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(EPOCH)
        .bind(drawn.to_string())
        .execute(&mut *tx)
        .await?;
    let (value,): (String,) = sqlx::query_as("SELECT value FROM gateway_fact WHERE name = $1")
        .bind(EPOCH)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    value.parse().ok().ok_or(IngestError::Row)
}
