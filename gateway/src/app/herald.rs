//! The head of the audit trail in the log, at the start and every day: kept elsewhere, it is the third witness.

use std::time::Duration;

use serde_json::json;

use crate::audit::{self, AuditError};
use crate::parts::Parts;

const DAY: Duration = Duration::from_secs(86_400);

/// Runs until the process is to end.
pub(super) async fn run(parts: Parts) {
    while !parts.cancel.is_cancelled() {
        if let Err(error) = tell(&parts).await {
            tracing::error!(%error, "the head of the audit trail could not be read");
        }
        tokio::select! {
            () = tokio::time::sleep(DAY) => {}
            () = parts.cancel.cancelled() => {}
        }
    }
}

async fn tell(parts: &Parts) -> Result<(), AuditError> {
    let head = audit::head(&mut *parts.rows.read().acquire().await?).await?;
    tracing::info!(%head, "the audit trail ends here; `audit verify --head` compares it");
    Ok(())
}

/// Writes down that the program started or ends.
pub(super) async fn note(parts: &Parts, event: &str) -> Result<(), AuditError> {
    let detail = json!({ "version": env!("CARGO_PKG_VERSION") });
    let mut tx = parts.rows.begin().await?;
    let (now, who) = (parts.clock.now(), "gateway");
    audit::record(&mut tx, now, event, who, "", who, &detail).await?;
    Ok(tx.commit().await?)
}
