//! Deletes what has had its time: private keys of readers whose two years are over.

use std::time::Duration;

use crate::parts::Parts;
use crate::sign::Signing;

const LOOK: Duration = Duration::from_secs(3600);

/// Runs until the process is to end; looks at the start and every hour.
pub(super) async fn run(parts: Parts, signing: Signing) {
    while !parts.cancel.is_cancelled() {
        match signing.delete_expired().await {
            Ok(0) => {}
            Ok(keys) => tracing::info!(keys, "signing keys have had their time and are deleted"),
            Err(error) => tracing::error!(%error, "expired signing keys could not be deleted"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = parts.cancel.cancelled() => {}
        }
    }
}
