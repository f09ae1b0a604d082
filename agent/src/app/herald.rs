//! The head of the audit trail in the log, at the start and every day: kept elsewhere, it is the third witness.

use std::time::Duration;

use causeway_proto::ids::SiteId;
use futures::FutureExt as _;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::clock;
use crate::audit::{self, AuditError};
use crate::rows::Rows;

const DAY: Duration = Duration::from_secs(86_400);

/// Writes down that the program starts, and begins to tell the head: the first of the parts that run.
pub(super) async fn begin(
    rows: &Rows,
    site: &SiteId,
    cancel: &CancellationToken,
) -> Result<JoinSet<&'static str>, AuditError> {
    note(rows, "started", site.as_str()).await?;
    let mut parts = JoinSet::new();
    let telling = run(rows.clone(), cancel.clone());
    parts.spawn(telling.map(|()| "the head of the audit trail"));
    Ok(parts)
}

/// Runs until `cancel` fires.
async fn run(rows: Rows, cancel: CancellationToken) {
    while !cancel.is_cancelled() {
        if let Err(error) = tell(&rows).await {
            tracing::error!(%error, "the head of the audit trail could not be read");
        }
        tokio::select! {
            () = tokio::time::sleep(DAY) => {}
            () = cancel.cancelled() => {}
        }
    }
}

async fn tell(rows: &Rows) -> Result<(), AuditError> {
    let head = audit::head(&mut *rows.read().acquire().await?).await?;
    tracing::info!(%head, "the audit trail ends here; `audit verify --head` compares it");
    Ok(())
}

/// Writes down that the program started or ends.
pub(super) async fn note(rows: &Rows, event: &str, subject: &str) -> Result<(), AuditError> {
    let detail = json!({ "version": env!("CARGO_PKG_VERSION") });
    let mut tx = rows.begin().await?;
    audit::record(&mut tx, clock().now(), event, "agent", subject, &detail).await?;
    Ok(tx.commit().await?)
}
