//! Key pairs: drawn, wrapped, stored, rewrapped, revoked, and deleted when their time is over.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use causeway_certs::signer::{Person, ReaderKey};
use causeway_proto::random::Random;
use causeway_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{Any, Transaction};
use zeroize::Zeroizing;

use super::vault::Unlocked;
use super::wrap::{Key, unwrap, wrap};
use super::{Config, SignError, Signing};

const PASSWORD: &str = "password";

/// A new pair, wrapped, about to be stored.
#[derive(Clone)]
pub struct Pair {
    serial: String,
    certificate: String,
    wrapped_key: String,
    slot: Slot,
    usable_until: Timestamp,
}

/// A slot about to be stored.
#[derive(Clone)]
pub struct Slot {
    serial: String,
    parameters: String,
    wrapped: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pair({})", self.serial)
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slot({})", self.serial)
    }
}

/// How a slot's key comes from a password. Stored with the slot, so that costs can rise later.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Derivation {
    kdf: String,
    memory_kib: u32,
    passes: u32,
    salt: String,
}

impl Derivation {
    fn new(config: &Config, random: &Random) -> Self {
        Self {
            kdf: "argon2id".to_owned(),
            memory_kib: config.slot_memory_kib,
            passes: config.slot_passes,
            salt: hex::encode(random.bytes::<16>()),
        }
    }

    fn key(&self, password: &[u8]) -> Result<Key, SignError> {
        let damaged = SignError::Damaged("slot parameters");
        let salt = hex::decode(&self.salt).ok();
        let params = Params::new(self.memory_kib, self.passes, 1, Some(32)).ok();
        let (Some(salt), Some(params), "argon2id") = (salt, params, self.kdf.as_str()) else {
            return Err(damaged);
        };
        let mut out = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(password, &salt, out.as_mut_slice())
            .or(Err(SignError::Failed))?;
        Ok(out)
    }
}

fn slot_context(serial: &str) -> String {
    format!("slot {PASSWORD} {serial}")
}

fn key_context(serial: &str) -> String {
    format!("key {serial}")
}

fn close_slot(
    config: &Config,
    random: &Random,
    serial: &str,
    wrapping: &Key,
    password: &[u8],
) -> Result<Slot, SignError> {
    let derivation = Derivation::new(config, random);
    let opener = derivation.key(password)?;
    let parameters = serde_json::to_string(&derivation).or(Err(SignError::Failed))?;
    Ok(Slot {
        wrapped: wrap(&opener, &slot_context(serial), wrapping.as_slice(), random)?,
        serial: serial.to_owned(),
        parameters,
    })
}

fn open_slot(slot: &Slot, password: &[u8]) -> Result<Key, SignError> {
    let derivation: Derivation =
        serde_json::from_str(&slot.parameters).or(Err(SignError::Damaged("slot parameters")))?;
    let opener = derivation.key(password)?;
    let open =
        unwrap(&opener, &slot_context(&slot.serial), &slot.wrapped).ok_or(SignError::Password)?;
    let bytes: [u8; 32] = open
        .as_slice()
        .try_into()
        .or(Err(SignError::Damaged("slot length")))?;
    Ok(Zeroizing::new(bytes))
}

#[derive(sqlx::FromRow)]
struct StoredKey {
    serial: String,
    certificate_der: String,
    wrapped_key: String,
    usable_until_us: i64,
    parameters: String,
    wrapped: String,
}

impl StoredKey {
    fn slot(&self) -> Slot {
        Slot {
            serial: self.serial.clone(),
            parameters: self.parameters.clone(),
            wrapped: self.wrapped.clone(),
        }
    }
}

impl Signing {
    /// Draws a pair for a person and wraps it under his password. Nothing is stored yet.
    ///
    /// # Errors
    /// When the person cannot be named in a certificate, or the work fails.
    pub async fn draw(&self, person: &Person, password: &str) -> Result<Pair, SignError> {
        let password = Zeroizing::new(password.as_bytes().to_vec());
        let (person, now) = (person.clone(), self.clock.now());
        let (authority, config, random) = (
            self.authority.clone(),
            self.config.clone(),
            self.random.clone(),
        );
        self.blocking(move || {
            let key = ReaderKey::draw()?;
            let issued = authority.issue_reader(&key.public, &person, now, &random)?;
            let serial = issued.serial.to_string();
            let wrapping: Key = Zeroizing::new(random.bytes());
            Ok(Pair {
                certificate: STANDARD.encode(&issued.der),
                wrapped_key: wrap(&wrapping, &key_context(&serial), &key.private, &random)?,
                slot: close_slot(&config, &random, &serial, &wrapping, &password)?,
                usable_until: issued.usable_until,
                serial,
            })
        })
        .await
    }

    /// Stores a pair as the account's own.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn keep(
        &self,
        tx: &mut Transaction<'_, Any>,
        account: &str,
        pair: &Pair,
        now: Timestamp,
    ) -> Result<(), SignError> {
        sqlx::query(
            "INSERT INTO signing_key (serial, account_id, certificate_der, wrapped_key, issued_us, usable_until_us) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&pair.serial)
        .bind(account)
        .bind(&pair.certificate)
        .bind(&pair.wrapped_key)
        .bind(now.0)
        .bind(pair.usable_until.0)
        .execute(&mut **tx)
        .await?;
        self.replace_slot(tx, &pair.slot).await
    }

    /// Stores a slot, in place of the one that was there.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn replace_slot(
        &self,
        tx: &mut Transaction<'_, Any>,
        slot: &Slot,
    ) -> Result<(), SignError> {
        sqlx::query(
            "INSERT INTO signing_key_slot (serial, kind, parameters, wrapped) VALUES ($1, $2, $3, $4)
             ON CONFLICT (serial, kind) DO UPDATE SET parameters = excluded.parameters, wrapped = excluded.wrapped",
        )
        .bind(&slot.serial)
        .bind(PASSWORD)
        .bind(&slot.parameters)
        .bind(&slot.wrapped)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// The slot of the account's key wrapped under a new password; none when it has no key.
    ///
    /// # Errors
    /// When the old password does not open it, or the work fails.
    pub async fn rewrap(
        &self,
        account: &str,
        old: &str,
        new: &str,
    ) -> Result<Option<Slot>, SignError> {
        let Some(stored) = self.stored(account).await? else {
            return Ok(None);
        };
        let old = Zeroizing::new(old.as_bytes().to_vec());
        let new = Zeroizing::new(new.as_bytes().to_vec());
        let (config, random) = (self.config.clone(), self.random.clone());
        self.blocking(move || {
            let wrapping = open_slot(&stored.slot(), &old)?;
            close_slot(&config, &random, &stored.serial, &wrapping, &new).map(Some)
        })
        .await
    }

    /// Revokes every certificate of an account and deletes its keys.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn revoke(
        &self,
        tx: &mut Transaction<'_, Any>,
        account: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), SignError> {
        sqlx::query(
            "UPDATE signing_key SET revoked_us = $1, revoked_reason = $2, wrapped_key = NULL WHERE account_id = $3 AND revoked_us IS NULL",
        )
        .bind(now.0)
        .bind(reason)
        .bind(account)
        .execute(&mut **tx)
        .await?;
        self.vault(|v| v.forget(account));
        Ok(())
    }

    /// Deletes the keys whose two years are over. Their certificates go on verifying what they signed.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn delete_expired(&self) -> Result<u64, SignError> {
        let mut tx = self.rows.begin().await?;
        let done = sqlx::query(
            "UPDATE signing_key SET wrapped_key = NULL WHERE usable_until_us <= $1 AND wrapped_key IS NOT NULL",
        )
        .bind(self.clock.now().0)
        .execute(&mut *tx)
        .await?;
        sqlx::query("DELETE FROM signing_key_slot WHERE serial IN (SELECT serial FROM signing_key WHERE wrapped_key IS NULL)")
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }

    /// Opens the account's key for one session, with the password he signs in with. A key whose time is over is replaced by a new
    /// pair in the same step, since only now the password is here to wrap it.
    ///
    /// # Errors
    /// When the password does not open it, or the work fails.
    pub async fn unlock(
        &self,
        account: &str,
        person: &Person,
        password: &str,
        session: &str,
    ) -> Result<Timestamp, SignError> {
        self.delete_expired().await?;
        if self.stored(account).await?.is_none() {
            let pair = self.draw(person, password).await?;
            let mut tx = self.rows.begin().await?;
            self.keep(&mut tx, account, &pair, self.clock.now()).await?;
            tx.commit().await?;
        }
        let stored = self.stored(account).await?.ok_or(SignError::NoKey)?;
        let secret = Zeroizing::new(password.as_bytes().to_vec());
        let owner = account.to_owned();
        let unlocked = self
            .blocking(move || {
                let wrapping = open_slot(&stored.slot(), &secret)?;
                let key = unwrap(&wrapping, &key_context(&stored.serial), &stored.wrapped_key)
                    .ok_or(SignError::Damaged("private key"))?;
                let certificate = STANDARD
                    .decode(&stored.certificate_der)
                    .or(Err(SignError::Damaged("certificate")))?;
                Ok(Unlocked::new(
                    owner,
                    stored.serial,
                    certificate,
                    key,
                    Timestamp(stored.usable_until_us),
                ))
            })
            .await?;
        Ok(self.vault(|v| v.put(session, unlocked, self.clock.now())))
    }

    async fn stored(&self, account: &str) -> Result<Option<StoredKey>, SignError> {
        Ok(sqlx::query_as(
            "SELECT k.serial, k.certificate_der, k.wrapped_key, k.usable_until_us, s.parameters, s.wrapped
             FROM signing_key k JOIN signing_key_slot s ON s.serial = k.serial AND s.kind = $1
             WHERE k.account_id = $2 AND k.revoked_us IS NULL AND k.wrapped_key IS NOT NULL AND k.usable_until_us > $3
             ORDER BY k.issued_us DESC, k.serial LIMIT 1",
        )
        .bind(PASSWORD)
        .bind(account)
        .bind(self.clock.now().0)
        .fetch_optional(self.rows.read())
        .await?)
    }

    /// Whether the account has a key at all that may sign.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn has_key(&self, account: &str) -> Result<bool, SignError> {
        Ok(self.stored(account).await?.is_some())
    }
}
