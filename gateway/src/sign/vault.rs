//! Unlocked keys, in memory only, one per session, wiped when they lapse.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use causeway_proto::time::Timestamp;
use zeroize::Zeroizing;

use super::{SignError, Signing};

/// Sessions whose keys are held at once; more drop the one that lapses first.
const MOST: usize = 1000;

/// A key that may sign now. Debug shows its serial number only.
#[derive(Clone)]
pub struct Unlocked(Arc<Inner>);

struct Inner {
    account: String,
    serial: String,
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    usable_until: Timestamp,
}

impl std::fmt::Debug for Unlocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unlocked({})", self.0.serial)
    }
}

impl Unlocked {
    pub(super) fn new(
        account: String,
        serial: String,
        certificate: Vec<u8>,
        key: Zeroizing<Vec<u8>>,
        usable_until: Timestamp,
    ) -> Self {
        Self(Arc::new(Inner {
            account,
            serial,
            certificate,
            key,
            usable_until,
        }))
    }

    /// Serial number of its certificate.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.0.serial
    }

    /// The certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.0.certificate
    }

    /// RSA PKCS #1 v1.5 with SHA-256 over a message (PS3.15 C.4).
    ///
    /// # Errors
    /// When the key cannot be read or the library refuses.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let pair = KeyPair::from_pkcs8(&self.0.key).or(Err(SignError::Damaged("private key")))?;
        let mut out = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut out)
            .or(Err(SignError::Failed))?;
        Ok(out)
    }
}

pub(super) struct Vault {
    idle: Duration,
    held: HashMap<String, (Unlocked, Timestamp)>,
}

impl Vault {
    pub(super) fn new(idle: Duration) -> Self {
        Self {
            idle,
            held: HashMap::new(),
        }
    }

    pub(super) fn put(&mut self, session: &str, key: Unlocked, now: Timestamp) -> Timestamp {
        self.sweep(now);
        if self.held.len() >= MOST
            && let Some(first) = self
                .held
                .iter()
                .min_by_key(|(_, (_, until))| *until)
                .map(|(session, _)| session.clone())
        {
            self.held.remove(&first);
        }
        let until = now.plus(self.idle).min(key.0.usable_until);
        self.held.insert(session.to_owned(), (key, until));
        until
    }

    pub(super) fn get(&mut self, session: &str, account: &str, now: Timestamp) -> Option<Unlocked> {
        self.sweep(now);
        let (key, until) = self.held.get_mut(session)?;
        if key.0.account != account {
            return None;
        }
        *until = now.plus(self.idle).min(key.0.usable_until);
        Some(key.clone())
    }

    pub(super) fn until(&mut self, session: &str, now: Timestamp) -> Option<Timestamp> {
        self.sweep(now);
        self.held.get(session).map(|(_, until)| *until)
    }

    pub(super) fn forget(&mut self, account: &str) {
        self.held.retain(|_, (key, _)| key.0.account != account);
    }

    /// Wipes what has lapsed. No key stays open for longer than if it were used now: a clock that is set back keeps none open.
    fn sweep(&mut self, now: Timestamp) {
        let longest = now.plus(self.idle);
        self.held.retain(|_, (_, until)| {
            *until = (*until).min(longest);
            now < *until
        });
    }
}

impl Signing {
    pub(super) fn vault<T>(&self, with: impl FnOnce(&mut Vault) -> T) -> T {
        let mut held = self
            .vault
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        with(&mut held)
    }

    /// The key unlocked in this session. Using it is activity.
    ///
    /// # Errors
    /// [`SignError::Locked`] when there is none.
    pub fn unlocked(&self, session: &str, account: &str) -> Result<Unlocked, SignError> {
        let now = self.clock.now();
        self.vault(|v| v.get(session, account, now))
            .ok_or(SignError::Locked)
    }

    /// Until when the key of this session stays usable without activity; none when it is locked.
    #[must_use]
    pub fn until(&self, session: &str) -> Option<Timestamp> {
        let now = self.clock.now();
        self.vault(|v| v.until(session, now))
    }

    /// Notes activity of a session: its key stays usable for as long again.
    pub fn active(&self, session: &str, account: &str) {
        let now = self.clock.now();
        drop(self.vault(|v| v.get(session, account, now)));
    }

    /// Wipes the key in every session of an account.
    pub fn lock_all(&self, account: &str) {
        self.vault(|v| v.forget(account));
    }

    /// Wipes the key of a session.
    pub fn lock(&self, session: &str) {
        self.vault(|v| {
            v.held.remove(session);
        });
    }
}
