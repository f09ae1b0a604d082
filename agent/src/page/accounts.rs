//! People of the site: accounts of their own, with one of two roles, and passwords kept as Argon2id only.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use serde_json::json;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::{PageError, refused};
use crate::audit;
use crate::rows::Rows;

/// A password has at least so many characters.
pub const SHORTEST_PASSWORD: usize = 10;

/// Passwords that are hashed at one time: each takes a core and 19 MiB.
const AT_ONCE: usize = 2;

/// Whose sign-in fails where no account has the name.
const NOBODY: &str = "nobody";

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Decides about cases.
    Radiographer,
    /// Keeps the accounts, and may recall, offer again and end a wait.
    Administrator,
}

impl Role {
    /// The word in rows, on pages and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Radiographer => "radiographer",
            Self::Administrator => "administrator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "radiographer" => Ok(Self::Radiographer),
            "administrator" => Ok(Self::Administrator),
            _ => Err("a role is `radiographer` or `administrator`"),
        }
    }
}

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name to sign in with.
    pub name: String,
    /// What that person may do.
    pub role: Role,
    /// Since when.
    pub made: Timestamp,
}

/// The accounts. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    rows: Rows,
    clock: Clock,
    random: Random,
    argon: Argon2<'static>,
    permits: Arc<Semaphore>,
    /// Checked when there is no such account, so that the answer takes as long.
    decoy: Arc<str>,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounts")
    }
}

impl Accounts {
    /// The accounts in these rows.
    ///
    /// # Errors
    /// When passwords cannot be hashed here.
    pub fn new(rows: Rows, clock: Clock, random: Random) -> Result<Self, PageError> {
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT);
        let decoy = hash_now(&argon, &random.bytes::<16>(), &random.bytes())?;
        Ok(Self {
            rows,
            clock,
            random,
            argon,
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            decoy: decoy.into(),
        })
    }

    /// Makes an account, as `by` says.
    ///
    /// # Errors
    /// When its name or password will not do, the name is taken, or the rows refuse.
    pub async fn add(
        &self,
        name: &str,
        password: &str,
        role: Role,
        by: &str,
    ) -> Result<(), PageError> {
        if !is_name(name) {
            return Err(PageError::Name);
        }
        let hash = self.hash(password).await?;
        let tried = "making an account";
        let mut tx = self.rows.begin().await.map_err(refused(tried))?;
        let made = sqlx::query(
            "INSERT INTO site_user (name, password, role, made_us) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING",
        )
        .bind(name)
        .bind(hash)
        .bind(role.as_str())
        .bind(self.clock.now().0)
        .execute(&mut *tx)
        .await
        .map_err(refused(tried))?
        .rows_affected();
        if made == 0 {
            return Err(PageError::Taken);
        }
        let (now, detail) = (self.clock.now(), json!({ "role": role.as_str() }));
        audit::record(&mut tx, now, "account-added", by, name, &detail)
            .await
            .map_err(refused(tried))?;
        tx.commit().await.map_err(refused(tried))
    }

    /// Everybody, by name.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn list(&self) -> Result<Vec<Account>, PageError> {
        let rows: Vec<(String, String, i64)> =
            sqlx::query_as("SELECT name, role, made_us FROM site_user ORDER BY name")
                .fetch_all(self.rows.read())
                .await
                .map_err(refused("listing the accounts"))?;
        Ok(rows
            .into_iter()
            .map(|(name, role, made)| account(name, &role, made))
            .collect())
    }

    /// Gives an account another password, as `by` says, and ends its sessions.
    ///
    /// # Errors
    /// When there is no such account, the password will not do, or the rows refuse.
    pub async fn set_password(
        &self,
        name: &str,
        password: &str,
        by: &str,
    ) -> Result<(), PageError> {
        let hash = self.hash(password).await?;
        self.change(name, Some(&hash), by).await
    }

    /// Removes an account, as `by` says, and ends its sessions. What that person decided stays.
    ///
    /// # Errors
    /// When there is no such account, or the rows refuse.
    pub async fn remove(&self, name: &str, by: &str) -> Result<(), PageError> {
        self.change(name, None, by).await
    }

    async fn change(&self, name: &str, password: Option<&str>, by: &str) -> Result<(), PageError> {
        let tried = "changing an account";
        let mut tx = self.rows.begin().await.map_err(refused(tried))?;
        let work = async {
            sqlx::query("DELETE FROM site_session WHERE name = $1")
                .bind(name)
                .execute(&mut *tx)
                .await?;
            let changed = match password {
                Some(hash) => {
                    sqlx::query("UPDATE site_user SET password = $2 WHERE name = $1")
                        .bind(name)
                        .bind(hash)
                        .execute(&mut *tx)
                        .await?
                }
                None => {
                    sqlx::query("DELETE FROM site_user WHERE name = $1")
                        .bind(name)
                        .execute(&mut *tx)
                        .await?
                }
            };
            let changed = changed.rows_affected();
            if changed > 0 {
                let event = match password {
                    Some(_) => "password-reset",
                    None => "account-removed",
                };
                audit::record(&mut tx, self.clock.now(), event, by, name, &json!({})).await?;
            }
            tx.commit().await?;
            Ok(changed)
        };
        match work.await.map_err(refused(tried))? {
            0 => Err(PageError::Unknown),
            _ => Ok(()),
        }
    }

    /// Whose name and password these are; takes as long when there is no such account.
    ///
    /// # Errors
    /// When the rows refuse, or the work could not be done.
    pub(super) async fn check(
        &self,
        name: &str,
        password: &str,
    ) -> Result<Option<Account>, PageError> {
        let row: Option<(String, String, i64)> =
            sqlx::query_as("SELECT password, role, made_us FROM site_user WHERE name = $1")
                .bind(name)
                .fetch_optional(self.rows.read())
                .await
                .map_err(refused("looking for an account"))?;
        let hash = row
            .as_ref()
            .map_or_else(|| self.decoy.as_ref().to_owned(), |(hash, ..)| hash.clone());
        let (argon, password) = (self.argon.clone(), secret(password));
        let fits = self
            .blocking(move || {
                PasswordVerifier::<str>::verify_password(&argon, &password, &hash).is_ok()
            })
            .await?;
        Ok(row
            .filter(|_| fits)
            .map(|(_, role, made)| account(name.to_owned(), &role, made)))
    }

    /// Puts on record that a password was wrong. A name that nobody has is not written down: people type passwords there.
    ///
    /// # Errors
    /// When the rows refuse.
    pub(super) async fn failed(&self, name: &str, from: Option<IpAddr>) -> Result<(), PageError> {
        let tried = "recording a wrong password";
        let mut tx = self.rows.begin().await.map_err(refused(tried))?;
        let work = async {
            let known: Option<String> =
                sqlx::query_scalar("SELECT name FROM site_user WHERE name = $1")
                    .bind(name)
                    .fetch_optional(&mut *tx)
                    .await?;
            let who = known.as_deref().unwrap_or(NOBODY);
            let detail = json!({ "from": from.map(|address| address.to_string()) });
            audit::record(
                &mut tx,
                self.clock.now(),
                "sign-in-failed",
                who,
                who,
                &detail,
            )
            .await?;
            tx.commit().await
        };
        work.await.map_err(refused(tried))
    }

    async fn hash(&self, password: &str) -> Result<String, PageError> {
        if password.chars().count() < SHORTEST_PASSWORD {
            return Err(PageError::Password);
        }
        let (argon, salt) = (self.argon.clone(), self.random.bytes());
        let password = secret(password);
        self.blocking(move || hash_now(&argon, &password, &salt))
            .await?
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PageError> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.or(Err(PageError::Hash))?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        done.await.or(Err(PageError::Hash))
    }
}

fn secret(password: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(password.as_bytes().to_vec())
}

fn hash_now(argon: &Argon2<'_>, password: &[u8], salt: &[u8; 16]) -> Result<String, PageError> {
    argon
        .hash_password_with_salt(password, salt)
        .map(|hash| hash.to_string())
        .or(Err(PageError::Hash))
}

/// The rows hold no other role (a CHECK sees to it); what an account may do is asked of its session anyway.
fn account(name: String, role: &str, made: i64) -> Account {
    Account {
        name,
        role: role.parse().unwrap_or(Role::Radiographer),
        made: Timestamp(made),
    }
}

fn is_name(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    (1..=40).contains(&text.len()) && text.bytes().all(legal)
}
