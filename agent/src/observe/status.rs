//! How the agent stands: link, queue, disk, reports, and the last thing that went wrong.

use causeway_observe::{ChannelState, Entry};
use causeway_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::alarm::{self, Alarm};
use super::watch;
use crate::audit::{self, AuditError};
use crate::delivery::{self, DeliveryError};
use crate::rows::Rows;
use crate::spool::SpoolError;
use crate::spool::view::{self, Case, Queue};
use crate::talk::{self, TalkError};

/// The whole answer to `status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The program and its version.
    pub software: String,
    /// Whether a process answered; else the rows were read as it left them.
    pub running: bool,
    /// When this was true.
    pub at: Timestamp,
    /// How the link stands; see `agent::link::State`. None when no process runs.
    pub link: Option<serde_json::Value>,
    /// Whether more is taken: `open`, `congested` or `full`. None when no process runs.
    pub admission: Option<String>,
    /// The site's certificate ends then.
    pub certificate_until: Option<Timestamp>,
    /// How the queue stands.
    pub queue: Queue,
    /// Where reports stand.
    pub deliveries: Vec<delivery::view::Line>,
    /// Urgent studies of which something is withheld.
    #[serde(default)]
    pub alarms: Vec<Alarm>,
    /// Alarms that were told and stand.
    #[serde(default)]
    pub told: Vec<Entry>,
    /// How the channels stand by which alarms leave. None when no process runs.
    #[serde(default)]
    pub channels: Vec<ChannelState>,
    /// Letters of readers that nobody at the site has read or answered.
    #[serde(default)]
    pub unanswered: u64,
    /// Where the audit trail ends, `SEQ:DIGEST`.
    #[serde(default)]
    pub audit_head: String,
    /// What is in doubt about the audit trail of either end.
    #[serde(default)]
    pub audit_doubts: Vec<String>,
    /// The last thing that went wrong and has not gone right since.
    pub last_error: Option<String>,
}

/// The rows could not be asked.
#[derive(Debug, Error)]
pub enum ViewError {
    /// The spool's.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The audit trail's.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The deliveries'.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// The letters'.
    #[error(transparent)]
    Talk(#[from] TalkError),
    /// The alarms'.
    #[error("the alarms that stand could not be read or changed")]
    Alarms(#[from] sqlx::Error),
}

/// The status as the rows alone tell it.
///
/// # Errors
/// When the rows refuse.
pub async fn of_rows(rows: &Rows, now: Timestamp) -> Result<Status, ViewError> {
    let queue = view::queue(rows, now).await?;
    let deliveries = delivery::view::standing(rows).await?;
    let waiting = deliveries
        .iter()
        .find(|line| line.state != "delivered")
        .map(|line| format!("report for {}: {}", line.case, line.sentence));
    let last_error = if queue.lost > 0 {
        Some(format!(
            "{} instance(s) whose bytes are missing or damaged: see `held`",
            queue.lost
        ))
    } else if queue.unentered > 0 {
        Some(format!(
            "{} received object(s) are refused their rows: see `held`",
            queue.unentered
        ))
    } else {
        waiting
    };
    let head = match rows.read().acquire().await {
        Ok(mut reading) => audit::head(&mut reading).await?,
        Err(error) => return Err(AuditError::from(error).into()),
    };
    Ok(Status {
        alarms: alarm::standing(rows).await?,
        told: watch::standing(rows).await?,
        channels: Vec::new(),
        unanswered: talk::unread(rows).await?,
        audit_head: head.to_string(),
        audit_doubts: audit::witness::standing(rows).await?,
        software: concat!("causeway-agent ", env!("CARGO_PKG_VERSION")).to_owned(),
        running: false,
        at: now,
        link: None,
        admission: None,
        certificate_until: None,
        queue,
        deliveries,
        last_error,
    })
}

/// The cases with this code, accession number or patient ID, each with one timeline.
///
/// # Errors
/// When the rows refuse.
pub async fn find(rows: &Rows, what: &str) -> Result<Vec<Case>, ViewError> {
    let mut cases = view::find(rows, what).await?;
    for case in &mut cases {
        case.events
            .extend(delivery::view::events(rows, &case.study).await?);
        case.events.sort();
    }
    Ok(cases)
}
