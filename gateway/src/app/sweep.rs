//! Deletes what has had its time: private keys of readers whose two years are over, and sign-in sessions that have ended.

use std::time::Duration;

use crate::access::Access;
use crate::parts::Parts;
use crate::sign::Signing;

const LOOK: Duration = Duration::from_secs(3600);

/// Runs until the process is to end; looks at the start and every hour.
pub(super) async fn run(parts: Parts, signing: Signing, access: Access) {
    while !parts.cancel.is_cancelled() {
        match signing.delete_expired().await {
            Ok(0) => {}
            Ok(keys) => tracing::info!(keys, "signing keys have had their time and are deleted"),
            Err(error) => tracing::error!(%error, "expired signing keys could not be deleted"),
        }
        match access.sweep_sessions().await {
            Ok(sessions) => {
                tracing::debug!(sessions, "sign-in sessions that have ended are deleted")
            }
            Err(error) => {
                tracing::error!(%error, "sign-in sessions that have ended could not be deleted")
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = parts.cancel.cancelled() => {}
        }
    }
}
