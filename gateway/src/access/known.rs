//! Whose request this is and what he reaches: the session or token, the account and the agreements in force, read together, so that
//! whatever was ended, disabled or changed a moment ago is found so. The answer is remembered for as long as nothing is committed; what
//! the clock decides is decided anew each time.

use std::sync::Arc;
use std::time::Duration;

use causeway_proto::ids::{AgreementId, IdError, SiteId};
use causeway_proto::time::Timestamp;
use sqlx::{AssertSqlSafe, FromRow};

use super::sessions::{Cookie, MARK_EVERY};
use super::{Access, AccessError, Account};
use crate::directory::DirectoryError;
use crate::eligibility::Subject;

/// Somebody who was recognised.
#[derive(Clone, Debug)]
pub struct Known {
    /// His account.
    pub account: Account,
    /// What `eligibility` needs to know of him.
    pub subject: Subject,
}

/// An account, when its session was seen and ends, and one of its organisation's agreements; none of these when there is none.
#[derive(FromRow)]
struct Row {
    #[sqlx(flatten)]
    account: Account,
    seen_us: i64,
    ends_us: i64,
    reach_site: Option<String>,
    reach_agreement: Option<String>,
    from_us: Option<i64>,
    until_us: Option<i64>,
}

/// What the rows say of a session or a token's account.
#[derive(Debug)]
pub(super) struct Facts {
    account: Account,
    seen: Timestamp,
    ends: Timestamp,
    reach: Vec<Reach>,
}

#[derive(Debug)]
struct Reach {
    owner: (SiteId, AgreementId),
    from_us: Option<i64>,
    until_us: Option<i64>,
}

/// By what somebody is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum By {
    /// The hash of a cookie.
    Session(String),
    /// The account of a token.
    Token(String),
}

const COLUMNS: &str = "a.id, a.user_name, a.family_name, a.given_name, a.title, a.registration_number, a.organisation, a.country, a.phone,
         a.is_reader, a.may_verify, a.is_operator, a.credentials, a.disabled_us, g.site_id AS reach_site, g.id AS reach_agreement,
         g.from_us, g.until_us";
const REACH: &str =
    "LEFT JOIN agreement g ON g.organisation = a.organisation AND g.ended_us IS NULL";

impl Facts {
    fn read(rows: &[Row]) -> Result<Option<Arc<Self>>, AccessError> {
        let Some(first) = rows.first() else {
            return Ok(None);
        };
        let reach = rows.iter().filter_map(Row::reach);
        let reach: Result<Vec<Reach>, IdError> = reach.collect();
        Ok(Some(Arc::new(Self {
            account: first.account.clone(),
            seen: Timestamp(first.seen_us),
            ends: Timestamp(first.ends_us),
            reach: reach.map_err(DirectoryError::from)?,
        })))
    }

    /// Who he is at this time; nobody once he was disabled.
    fn at(&self, now: Timestamp) -> Option<Known> {
        let in_force = |one: &&Reach| {
            one.from_us.is_none_or(|from| from <= now.0)
                && one.until_us.is_none_or(|until| until > now.0)
        };
        let account = &self.account;
        let subject = Subject {
            account: account.id.clone(),
            organisation: account.organisation.clone(),
            roles: account.roles(),
            disabled: account.disabled_us.is_some(),
            reach: self
                .reach
                .iter()
                .filter(in_force)
                .map(|one| one.owner.clone())
                .collect(),
        };
        (!subject.disabled).then(|| Known {
            account: account.clone(),
            subject,
        })
    }
}

impl Row {
    fn reach(&self) -> Option<Result<Reach, IdError>> {
        let (site, agreement) = (self.reach_site.as_ref()?, self.reach_agreement.as_ref()?);
        let owner = site.parse().and_then(|site| Ok((site, agreement.parse()?)));
        Some(owner.map(|owner| Reach {
            owner,
            from_us: self.from_us,
            until_us: self.until_us,
        }))
    }
}

impl Access {
    /// Who this session's cookie names, if it still holds. `active`: the request was somebody's doing, so the session is kept alive.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn by_session(
        &self,
        cookie: &Cookie,
        active: bool,
    ) -> Result<Option<Known>, AccessError> {
        let by = By::Session(cookie.hash());
        let Some(facts) = self.facts(by).await? else {
            return Ok(None);
        };
        let now = self.clock.now();
        let idle = facts
            .seen
            .plus(Duration::from_secs(self.config.session_idle_s));
        if now >= idle || now >= facts.ends {
            return Ok(None);
        }
        if active && now.since(facts.seen) >= MARK_EVERY {
            self.mark(cookie, now).await?;
        }
        Ok(facts.at(now))
    }

    /// Whom a token names, if it holds: right in every part, the password unchanged since, the account not disabled.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn by_token(&self, token: &str) -> Result<Option<Known>, AccessError> {
        let now = self.clock.now();
        let Some((id, credentials)) = self.tokens.holder(token, now) else {
            return Ok(None);
        };
        let facts = self.facts(By::Token(id)).await?;
        let same = facts.filter(|facts| facts.account.credentials == credentials);
        Ok(same.and_then(|facts| facts.at(now)))
    }

    async fn facts(&self, by: By) -> Result<Option<Arc<Facts>>, AccessError> {
        let (sql, key) = match &by {
            By::Session(hash) => (
                format!(
                    "SELECT {COLUMNS}, s.seen_us, s.ends_us FROM session s JOIN account a ON a.id = s.account_id {REACH}
                     WHERE s.token_hash = $1 AND s.ended_us IS NULL ORDER BY g.site_id, g.id"
                ),
                hash.clone(),
            ),
            // a token says itself when it ends
            By::Token(account) => (
                format!(
                    "SELECT {COLUMNS}, a.created_us AS seen_us, a.created_us AS ends_us FROM account a {REACH}
                     WHERE a.id = $1 ORDER BY g.site_id, g.id"
                ),
                account.clone(),
            ),
        };
        let read = async {
            let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(sql))
                .bind(key)
                .fetch_all(self.rows.read())
                .await?;
            Facts::read(&rows)
        };
        self.known.of(&self.rows, by, 1, read).await
    }
}
