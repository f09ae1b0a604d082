//! Argon2id on blocking threads, a few at a time.

use std::sync::Arc;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use causeway_proto::random::Random;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::{AccessError, Config};

/// Hashes and checks passwords. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    argon: Argon2<'static>,
    permits: Arc<Semaphore>,
    random: Random,
    /// Checked when there is no such user, so that the answer takes as long.
    decoy: Arc<str>,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

impl Passwords {
    /// With the costs of the configuration.
    ///
    /// # Errors
    /// When Argon2 does not allow the costs.
    pub fn new(config: &Config, random: &Random) -> Result<Self, AccessError> {
        let params = Params::new(config.password_memory_kib, config.password_passes, 1, None).or(
            Err(AccessError::Field(
                "access.password_memory_kib or access.password_passes is out of range",
            )),
        )?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = hash_now(&argon, &random.bytes::<16>(), &random.bytes())?;
        Ok(Self {
            argon,
            permits: Arc::new(Semaphore::new(config.password_parallel.max(1))),
            random: random.clone(),
            decoy: decoy.into(),
        })
    }

    /// The hash to store, as a PHC string.
    ///
    /// # Errors
    /// When Argon2 refuses.
    pub async fn hash(&self, password: &str) -> Result<String, AccessError> {
        let password = Zeroizing::new(password.as_bytes().to_vec());
        let salt = self.random.bytes();
        let argon = self.argon.clone();
        self.blocking(move || hash_now(&argon, &password, &salt))
            .await?
    }

    /// Whether the password is the one of this hash; of none when there is no such user, which takes as long.
    ///
    /// # Errors
    /// When the work could not be done.
    pub async fn matches(&self, password: &str, hash: Option<&str>) -> Result<bool, AccessError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.decoy).to_owned();
        let password = Zeroizing::new(password.as_bytes().to_vec());
        let argon = self.argon.clone();
        let fits = self
            .blocking(move || {
                PasswordVerifier::<str>::verify_password(&argon, &password, &hash).is_ok()
            })
            .await?;
        Ok(fits && known)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AccessError> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.or(Err(AccessError::Hash))?;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        })
        .await
        .or(Err(AccessError::Hash))
    }
}

fn hash_now(argon: &Argon2<'_>, password: &[u8], salt: &[u8; 16]) -> Result<String, AccessError> {
    argon
        .hash_password_with_salt(password, salt)
        .map(|hash| hash.to_string())
        .or(Err(AccessError::Hash))
}
