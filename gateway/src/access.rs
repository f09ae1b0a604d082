//! People: accounts, passwords, sessions and bearer tokens. Who somebody is; what he may do is `eligibility`'s.

pub mod accounts;
mod known;
mod login;
mod passwords;
pub mod sessions;
pub mod tokens;

use std::path::Path;
use std::sync::{Arc, Mutex};

use causeway_proto::random::Random;
use causeway_proto::time::Clock;
use serde::Deserialize;
use thiserror::Error;

use crate::directory::DirectoryError;
use crate::rows::{Memory, Rows};
use crate::sign::{SignError, Signing};

pub use accounts::{Account, NewAccount};
pub use known::Known;
pub use passwords::Passwords;
pub use tokens::Tokens;

/// How people are recognised.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A session without activity ends after this many seconds.
    pub session_idle_s: u64,
    /// A session ends after this many seconds in any case.
    pub session_absolute_s: u64,
    /// A bearer token holds for this many seconds.
    pub token_life_s: u64,
    /// Memory that checking one password takes, in KiB (Argon2id).
    pub password_memory_kib: u32,
    /// Passes over that memory.
    pub password_passes: u32,
    /// Passwords checked at the same time; more wait.
    pub password_parallel: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            session_idle_s: 15 * 60,
            session_absolute_s: 12 * 3600,
            token_life_s: 8 * 3600,
            password_memory_kib: 19 * 1024,
            password_passes: 2,
            password_parallel: 2,
        }
    }
}

/// Somebody could not be recognised, added or changed.
#[derive(Debug, Error)]
pub enum AccessError {
    /// The database refused.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    /// The agreements could not be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The act could not be written to the audit trail.
    #[error(transparent)]
    Audit(#[from] crate::audit::AuditError),
    /// The password could not be hashed or checked.
    #[error("the password could not be processed")]
    Hash,
    /// The signing key could not be made, wrapped or opened.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// User name or password are not right; which of the two is not said.
    #[error("user name or password are not right")]
    Refused,
    /// Too many wrong passwords.
    #[error("too many wrong passwords, try again in {seconds} s")]
    Later {
        /// After how long.
        seconds: u64,
    },
    /// The name is taken.
    #[error("there is an account with this user name already")]
    Taken,
    /// A field is not what it must be.
    #[error("{0}")]
    Field(&'static str),
    /// There is no such account.
    #[error("there is no such account")]
    Unknown,
    /// The key that signs tokens could not be made or read.
    #[error("the key of the bearer tokens: {0}")]
    TokenKey(String),
}

/// The room's handle. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Access {
    pub(crate) rows: Rows,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) config: Arc<Config>,
    pub(crate) passwords: Passwords,
    pub(crate) signing: Signing,
    tokens: Tokens,
    strangers: Arc<Mutex<login::Strangers>>,
    known: Arc<Memory<known::By, Option<Arc<known::Facts>>>>,
}

/// So many who were recognised are remembered.
const MOST_KNOWN: usize = 1000;

impl Access {
    /// Opens the room; makes the key of the bearer tokens in `keys` the first time.
    ///
    /// # Errors
    /// When the token key cannot be made or read, or the password parameters are not possible.
    pub fn open(
        config: Config,
        keys: &Path,
        rows: Rows,
        clock: Clock,
        random: Random,
        signing: Signing,
    ) -> Result<Self, AccessError> {
        Ok(Self {
            passwords: Passwords::new(&config, &random)?,
            tokens: Tokens::open_or_create(&keys.join("token.key"), config.token_life_s)?,
            rows,
            clock,
            random,
            config: Arc::new(config),
            signing,
            strangers: Arc::default(),
            known: Arc::new(Memory::new(MOST_KNOWN)),
        })
    }
}
