//! Who is signed in: a random word in a cookie, its digest in a row. A session ends when idle, when old, at sign-out, and with its
//! account or password.

use std::time::Duration;

use causeway_proto::digest::Digest;
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use serde_json::json;

use super::accounts::{Account, Role};
use super::{Config, PageError, refused};
use crate::audit;
use crate::rows::Rows;

/// A session is marked as seen at most this often.
const MARK_EVERY: Duration = Duration::from_secs(20);

/// Somebody who is signed in.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// The account.
    pub(super) name: String,
    /// What that person may do.
    pub(super) role: Role,
    /// The word that every form of this session carries.
    pub(super) form: String,
    /// How the session is named in its row.
    pub(super) token: String,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Person({}, {})", self.name, self.role)
    }
}

/// The sessions. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Sessions {
    rows: Rows,
    clock: Clock,
    random: Random,
    idle: Duration,
    absolute: Duration,
}

impl Sessions {
    pub(super) fn new(rows: Rows, clock: Clock, random: Random, config: &Config) -> Self {
        Self {
            rows,
            clock,
            random,
            idle: Duration::from_secs(config.session_idle_s),
            absolute: Duration::from_secs(config.session_absolute_s),
        }
    }

    /// Begins a session and answers what its cookie holds. Sessions that are over are removed on the way.
    pub(super) async fn begin(&self, account: &Account) -> Result<String, PageError> {
        let word = hex::encode(self.random.bytes::<32>());
        let now = self.clock.now();
        let tried = "beginning a session";
        let mut tx = self.rows.begin().await.map_err(refused(tried))?;
        let work = async {
            sqlx::query("DELETE FROM site_session WHERE begun_us <= $1 OR seen_us <= $2")
                .bind(now.minus(self.absolute).0)
                .bind(now.minus(self.idle).0)
                .execute(&mut *tx)
                .await?;
            sqlx::query(
                "INSERT INTO site_session (token, name, form, begun_us, seen_us) VALUES ($1, $2, $3, $4, $4)",
            )
            .bind(digest(&word))
            .bind(&account.name)
            .bind(self.random.token())
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
            let (who, detail) = (account.name.as_str(), json!({}));
            audit::record(&mut tx, now, "signed-in", who, who, &detail).await?;
            tx.commit().await
        };
        work.await.map_err(refused(tried))?;
        Ok(word)
    }

    /// Whose session the cookie holds. `active`: the request was somebody's doing, so it is kept alive.
    pub(super) async fn of(&self, word: &str, active: bool) -> Result<Option<Person>, PageError> {
        let tried = "looking for a session";
        let token = digest(word);
        let row: Option<(String, String, String, i64, i64)> = sqlx::query_as(
            "SELECT s.name, u.role, s.form, s.begun_us, s.seen_us FROM site_session s JOIN site_user u ON u.name = s.name \
             WHERE s.token = $1",
        )
        .bind(&token)
        .fetch_optional(self.rows.read())
        .await
        .map_err(refused(tried))?;
        let Some((name, role, form, begun, seen)) = row else {
            return Ok(None);
        };
        let (now, begun, seen) = (self.clock.now(), Timestamp(begun), Timestamp(seen));
        if now >= seen.plus(self.idle) || now >= begun.plus(self.absolute) {
            return Ok(None);
        }
        if active && now.since(seen) >= MARK_EVERY {
            let mut tx = self.rows.begin().await.map_err(refused(tried))?;
            sqlx::query("UPDATE site_session SET seen_us = $2 WHERE token = $1")
                .bind(&token)
                .bind(now.0)
                .execute(&mut *tx)
                .await
                .map_err(refused(tried))?;
            tx.commit().await.map_err(refused(tried))?;
        }
        // a role that this version does not know may do nothing
        let Ok(role) = role.parse::<Role>() else {
            return Ok(None);
        };
        Ok(Some(Person {
            name,
            role,
            form,
            token,
        }))
    }

    /// Signs out.
    pub(super) async fn end(&self, person: &Person) -> Result<(), PageError> {
        let tried = "ending a session";
        let mut tx = self.rows.begin().await.map_err(refused(tried))?;
        let work = async {
            sqlx::query("DELETE FROM site_session WHERE token = $1")
                .bind(&person.token)
                .execute(&mut *tx)
                .await?;
            let (now, who) = (self.clock.now(), person.name.as_str());
            audit::record(&mut tx, now, "signed-out", who, who, &json!({})).await?;
            tx.commit().await
        };
        work.await.map_err(refused(tried))
    }
}

fn digest(word: &str) -> String {
    Digest::of(word.as_bytes()).to_string()
}
