//! Signing in with a password: the same text and time for a wrong password and an unknown user, and a delay that grows.

use std::collections::HashMap;
use std::time::Duration;

use causeway_proto::digest::Digest;
use causeway_proto::time::Timestamp;

use super::{Access, AccessError, Account, accounts};
use crate::audit;

/// Wrong passwords that cost no delay.
const FREE: i64 = 4;
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Unknown user names remembered; the whole memory is dropped when it is full.
const STRANGERS: usize = 10_000;

/// Wrong tries under names that are no account's, so that they are delayed as an account's are.
#[derive(Debug, Default)]
pub(super) struct Strangers(HashMap<Digest, (i64, Timestamp)>);

fn delay(failures: i64) -> Duration {
    let over = u32::try_from(failures.saturating_sub(FREE)).unwrap_or(0);
    if over == 0 {
        return Duration::ZERO;
    }
    Duration::from_secs(1_u64 << over.min(10)).min(LONGEST)
}

impl Access {
    /// The account of this user name and password.
    ///
    /// # Errors
    /// When they do not fit, when there were too many wrong tries, or when the database refuses.
    pub async fn login(&self, user: &str, password: &str) -> Result<Account, AccessError> {
        // a name that no account can have is a stranger's; the database is not asked about it
        let known = match accounts::is_user_name(user) {
            true => accounts::by_user(&self.rows, user).await?,
            false => None,
        };
        match known {
            Some(account) => {
                self.check_password(&account, password).await?;
                Ok(account)
            }
            None => Err(self.refuse_stranger(user, password).await),
        }
    }

    /// Whether this is the account's password; counts the wrong ones.
    ///
    /// # Errors
    /// As [`Access::login`].
    pub async fn check_password(
        &self,
        account: &Account,
        password: &str,
    ) -> Result<(), AccessError> {
        let (hash, locked): (String, i64) =
            sqlx::query_as("SELECT password_hash, locked_until_us FROM account WHERE id = $1")
                .bind(&account.id)
                .fetch_one(self.rows.read())
                .await?;
        self.not_before(Timestamp(locked))?;
        let fits = self.passwords.matches(password, Some(&hash)).await?;
        let mut tx = self.rows.begin().await?;
        if fits && account.disabled_us.is_none() {
            // a try that was under way when the lock was set, the password changed or the account disabled does not slip past it
            let free = sqlx::query(
                "UPDATE account SET failed_logins = 0, locked_until_us = 0
                 WHERE id = $1 AND locked_until_us <= $2 AND password_hash = $3 AND disabled_us IS NULL",
            )
            .bind(&account.id)
            .bind(self.clock.now().0)
            .bind(&hash)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            return if free.rows_affected() == 1 {
                Ok(())
            } else {
                Err(AccessError::Refused)
            };
        }
        let (failures,): (i64,) = sqlx::query_as(
            "UPDATE account SET failed_logins = failed_logins + 1 WHERE id = $1 RETURNING failed_logins",
        )
        .bind(&account.id)
        .fetch_one(&mut *tx)
        .await?;
        let until = self.clock.now().plus(delay(failures));
        sqlx::query("UPDATE account SET locked_until_us = $1 WHERE id = $2")
            .bind(until.0)
            .bind(&account.id)
            .execute(&mut *tx)
            .await?;
        let id = &account.id;
        let detail = serde_json::json!({ "failures": failures });
        let now = self.clock.now();
        audit::record(&mut tx, now, "sign-in-failed", id, "", id, &detail).await?;
        tx.commit().await?;
        Err(AccessError::Refused)
    }

    async fn refuse_stranger(&self, user: &str, password: &str) -> AccessError {
        let name = Digest::of(user.as_bytes());
        let known = self.strangers(|s| s.0.get(&name).copied());
        if let Some((_, until)) = known
            && let Err(later) = self.not_before(until)
        {
            return later;
        }
        if let Err(broken) = self.passwords.matches(password, None).await {
            return broken;
        }
        let now = self.clock.now();
        self.strangers(|s| {
            if s.0.len() >= STRANGERS {
                s.0.clear();
            }
            let entry = s.0.entry(name).or_insert((0, now));
            entry.0 += 1;
            entry.1 = now.plus(delay(entry.0));
        });
        match self.note_stranger(&name, now).await {
            Ok(()) => AccessError::Refused,
            Err(broken) => broken,
        }
    }

    /// A name that is no account's is written down by its digest: people type passwords into the wrong field.
    async fn note_stranger(&self, name: &Digest, now: Timestamp) -> Result<(), AccessError> {
        let mut tx = self.rows.begin().await?;
        let name = name.to_string();
        let detail = serde_json::json!({ "unknown": true });
        audit::record(&mut tx, now, "sign-in-failed", &name, "", &name, &detail).await?;
        tx.commit().await?;
        Ok(())
    }

    fn strangers<T>(&self, with: impl FnOnce(&mut Strangers) -> T) -> T {
        let mut held = self
            .strangers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        with(&mut held)
    }

    fn not_before(&self, until: Timestamp) -> Result<(), AccessError> {
        let left = until.since(self.clock.now());
        if left.is_zero() {
            return Ok(());
        }
        let seconds = left.as_secs().saturating_add(1);
        Err(AccessError::Later { seconds })
    }
}
