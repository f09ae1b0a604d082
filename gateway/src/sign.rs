//! Signing: each reader's own key pair and certificate, the key unlocked for a while, and the transaction that makes a report final.
//!
//! A private key is stored wrapped by a random key (AES-256-GCM); that one sits in slots, each wrapped by what opens it. Today there is
//! one slot, `password`: Argon2id of the account's password. A changed password rewraps the slot; a reset cannot, so it revokes the
//! certificate and issues a new pair. A key may sign for two years and is deleted then.

mod act;
mod checks;
mod document;
mod keys;
mod revoked;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod vault;
mod withdraw;
mod wrap;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use causeway_certs::authority::SignerAuthority;
use causeway_proto::random::Random;
use causeway_proto::time::Clock;
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::rows::Rows;

pub use act::{ActError, Done, Signer, Wanted};
pub use keys::{Pair, Slot};
pub use revoked::revoked_signers;
pub use vault::Unlocked;
pub use withdraw::Withdrawn;

/// How signing keys are kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// An unlocked key stays usable for this many seconds after the last activity (P27).
    pub unlocked_idle_s: u64,
    /// Memory that opening a slot takes, in KiB (Argon2id).
    pub slot_memory_kib: u32,
    /// Passes over that memory.
    pub slot_passes: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            unlocked_idle_s: 30 * 60,
            slot_memory_kib: 64 * 1024,
            slot_passes: 3,
        }
    }
}

/// A key could not be made, opened or used.
#[derive(Debug, Error)]
pub enum SignError {
    /// The database refused.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    /// The certificate could not be issued.
    #[error("the signing certificate could not be issued")]
    Certificate(#[from] causeway_certs::signer::SignerError),
    /// The password does not open the slot.
    #[error("this password does not open the signing key")]
    Password,
    /// The account has no key that may sign.
    #[error("the account has no signing key that may still be used")]
    NoKey,
    /// The key is not unlocked in this session.
    #[error("the signing key is locked")]
    Locked,
    /// A stored key or slot is not what this program writes.
    #[error("the stored signing key is damaged: {0}")]
    Damaged(&'static str),
    /// The work could not be done.
    #[error("the signing key could not be processed")]
    Failed,
}

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Signing {
    rows: Rows,
    clock: Clock,
    random: Random,
    authority: SignerAuthority,
    config: Arc<Config>,
    vault: Arc<Mutex<vault::Vault>>,
    permits: Arc<Semaphore>,
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signing")
    }
}

impl Signing {
    /// Opens the room.
    #[must_use]
    pub fn new(
        config: Config,
        rows: Rows,
        clock: Clock,
        random: Random,
        authority: SignerAuthority,
    ) -> Self {
        let idle = Duration::from_secs(config.unlocked_idle_s);
        Self {
            rows,
            clock,
            random,
            authority,
            config: Arc::new(config),
            vault: Arc::new(Mutex::new(vault::Vault::new(idle))),
            permits: Arc::new(Semaphore::new(2)),
        }
    }

    /// Does heavy work on a blocking thread, two at a time.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SignError> + Send + 'static,
    ) -> Result<T, SignError> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.or(Err(SignError::Failed))?;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        })
        .await
        .or(Err(SignError::Failed))?
    }
}
