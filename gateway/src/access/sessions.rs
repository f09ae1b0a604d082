//! Browser sessions: a random word in a cookie, its hash in a row. It ends when idle, when old, at sign-out, and with the password.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_proto::digest::Digest;
use causeway_proto::time::Timestamp;
use sqlx::{Any, Transaction};

use super::{Access, AccessError, Account};
use crate::audit;

/// A session is marked as seen at most this often.
pub(super) const MARK_EVERY: Duration = Duration::from_secs(20);

/// What the cookie holds. Shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie(pub String);

impl std::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cookie")
    }
}

impl Cookie {
    /// How the session is named in rows and in memory.
    #[must_use]
    pub fn hash(&self) -> String {
        Digest::of(self.0.as_bytes()).to_string()
    }
}

impl Access {
    /// Begins a session for somebody who has just signed in.
    ///
    /// # Errors
    /// When his password was changed or his account disabled since, or the database refuses.
    pub async fn begin_session(&self, account: &Account) -> Result<Cookie, AccessError> {
        let cookie = Cookie(URL_SAFE_NO_PAD.encode(self.random.bytes::<32>()));
        let now = self.clock.now();
        let ends = now.plus(Duration::from_secs(self.config.session_absolute_s));
        let mut tx = self.rows.begin().await?;
        // the row is held until the session stands, so that a change of password waits and then ends it
        let same = sqlx::query(
            "UPDATE account SET credentials = credentials WHERE id = $1 AND credentials = $2 AND disabled_us IS NULL",
        )
        .bind(&account.id)
        .bind(account.credentials)
        .execute(&mut *tx)
        .await?;
        if same.rows_affected() == 0 {
            return Err(AccessError::Refused);
        }
        sqlx::query(
            "INSERT INTO session (token_hash, account_id, created_us, seen_us, ends_us) VALUES ($1, $2, $3, $3, $4)",
        )
        .bind(cookie.hash())
        .bind(&account.id)
        .bind(now.0)
        .bind(ends.0)
        .execute(&mut *tx)
        .await?;
        let (id, nothing) = (&account.id, serde_json::json!({}));
        audit::record(&mut tx, now, "signed-in", id, "", id, &nothing).await?;
        tx.commit().await?;
        Ok(cookie)
    }

    /// The session was somebody's doing a moment ago.
    pub(super) async fn mark(&self, cookie: &Cookie, now: Timestamp) -> Result<(), AccessError> {
        let mut tx = self.rows.begin().await?;
        sqlx::query("UPDATE session SET seen_us = $1 WHERE token_hash = $2 AND seen_us < $1")
            .bind(now.0)
            .bind(cookie.hash())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Deletes the sessions that have ended, whichever way; says how many.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn sweep_sessions(&self) -> Result<u64, AccessError> {
        let now = self.clock.now();
        let idle = now.minus(Duration::from_secs(self.config.session_idle_s));
        let mut tx = self.rows.begin().await?;
        let swept = sqlx::query(
            "DELETE FROM session WHERE ended_us IS NOT NULL OR ends_us <= $1 OR seen_us <= $2",
        )
        .bind(now.0)
        .bind(idle.0)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(swept.rows_affected())
    }

    /// Ends every session and every token, as after a restore: those that were ended since would be alive again. Says how many sessions.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn end_every_session(
        &self,
        tx: &mut Transaction<'_, Any>,
    ) -> Result<u64, AccessError> {
        let ended = sqlx::query("UPDATE session SET ended_us = $1 WHERE ended_us IS NULL")
            .bind(self.clock.now().0)
            .execute(&mut **tx)
            .await?;
        // beyond every count that a token can have been given after the backup
        sqlx::query("UPDATE account SET credentials = credentials + 1000000")
            .execute(&mut **tx)
            .await?;
        Ok(ended.rows_affected())
    }

    /// Signs out.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn end_session(&self, cookie: &Cookie) -> Result<(), AccessError> {
        let (mut tx, now) = (self.rows.begin().await?, self.clock.now());
        let ended: Option<(String,)> = sqlx::query_as(
            "UPDATE session SET ended_us = $1 WHERE token_hash = $2 AND ended_us IS NULL RETURNING account_id",
        )
        .bind(now.0)
        .bind(cookie.hash())
        .fetch_optional(&mut *tx)
        .await?;
        if let Some((id,)) = ended {
            let nothing = serde_json::json!({});
            audit::record(&mut tx, now, "signed-out", &id, "", &id, &nothing).await?;
        }
        tx.commit().await?;
        self.signing.lock(&cookie.hash());
        Ok(())
    }
}
