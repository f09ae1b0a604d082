//! Accounts: made by an operator, read by whoever needs a name, never deleted.

use causeway_proto::time::Timestamp;
use serde_json::json;
use sqlx::FromRow;

use super::{Access, AccessError};
use crate::audit;
use crate::eligibility::Roles;
use crate::rows::Rows;

/// What a new account says of a person (P29).
#[derive(Clone, Debug, Default)]
pub struct NewAccount {
    /// The name to sign in with.
    pub user: String,
    /// Given name.
    pub given_name: String,
    /// Family name.
    pub family_name: String,
    /// Title, may be empty.
    pub title: String,
    /// The number under which the profession's register lists him.
    pub registration_number: String,
    /// The reading organisation, as its agreements write it.
    pub organisation: String,
    /// Two letters of ISO 3166: where he reads.
    pub country: String,
    /// Answered day and night.
    pub phone: String,
    /// What he may be.
    pub roles: Roles,
}

/// An account's row, without its password.
#[derive(Clone, PartialEq, Eq, FromRow)]
pub struct Account {
    /// Our identifier.
    pub id: String,
    /// The name to sign in with.
    pub user_name: String,
    /// Family name.
    pub family_name: String,
    /// Given name.
    pub given_name: String,
    /// Title.
    pub title: String,
    /// Registration number.
    pub registration_number: String,
    /// The reading organisation.
    pub organisation: String,
    /// Where he reads.
    pub country: String,
    /// Answered day and night.
    pub phone: String,
    /// 1: reader.
    pub is_reader: i64,
    /// 1: verifier.
    pub may_verify: i64,
    /// 1: operator.
    pub is_operator: i64,
    /// Rises when the password changes; sessions and tokens of before end.
    pub credentials: i64,
    /// When it was disabled.
    pub disabled_us: Option<i64>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account({})", self.id)
    }
}

impl Account {
    /// What he may be.
    #[must_use]
    pub fn roles(&self) -> Roles {
        Roles {
            reader: self.is_reader != 0,
            verifier: self.may_verify != 0,
            operator: self.is_operator != 0,
        }
    }

    /// Title, given and family name, as people write it.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{} {} {}", self.title, self.given_name, self.family_name)
            .trim()
            .to_owned()
    }

    /// Who a signing certificate says he is.
    #[must_use]
    pub fn person(&self) -> causeway_certs::signer::Person {
        causeway_certs::signer::Person {
            family: self.family_name.clone(),
            given: self.given_name.clone(),
            title: self.title.clone(),
            organisation: self.organisation.clone(),
            country: self.country.clone(),
            registration: self.registration_number.clone(),
        }
    }
}

/// Whether an account may have this user name.
#[must_use]
pub fn is_user_name(user: &str) -> bool {
    (1..=64).contains(&user.len())
        && user
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.@".contains(&b))
}

impl NewAccount {
    fn check(&self) -> Result<(), AccessError> {
        let texts = [
            &self.given_name,
            &self.family_name,
            &self.title,
            &self.registration_number,
            &self.organisation,
            &self.phone,
        ];
        let country =
            self.country.len() == 2 && self.country.bytes().all(|b| b.is_ascii_uppercase());
        let roles = self.roles;
        let checks = [
            (
                is_user_name(&self.user),
                "the user name has 1 to 64 letters, digits and -_.@",
            ),
            (
                texts
                    .iter()
                    .all(|t| t.chars().count() <= 64 && !t.chars().any(char::is_control)),
                "a field is longer than 64 characters or holds a control character",
            ),
            (!self.family_name.is_empty(), "the family name is empty"),
            (!self.organisation.is_empty(), "the organisation is empty"),
            (
                !roles.words().is_empty(),
                "an account needs a role: reader, verifier or operator",
            ),
            (
                country || !(roles.reader || roles.verifier),
                "the country is written with two capital letters (ISO 3166), such as GR",
            ),
            (
                !(roles.reader || roles.verifier)
                    || !(self.given_name.is_empty() || self.registration_number.is_empty()),
                "a reader needs a given name and a registration number: his signature names them",
            ),
        ];
        match checks.iter().find(|(met, _)| !met) {
            Some((_, why)) => Err(AccessError::Field(why)),
            None => Ok(()),
        }
    }
}

fn check_password(password: &str) -> Result<(), AccessError> {
    if (12..=256).contains(&password.len()) {
        Ok(())
    } else {
        Err(AccessError::Field("a password has 12 to 256 characters"))
    }
}

/// Adds an account. Readers and verifiers get a signing key and a certificate with it.
///
/// # Errors
/// When a field or the password is not possible, the name is taken, or the database refuses.
pub async fn add(
    access: &Access,
    new: &NewAccount,
    password: &str,
) -> Result<Account, AccessError> {
    new.check()?;
    check_password(password)?;
    let hash = access.passwords.hash(password).await?;
    let now = access.clock.now();
    let id = access.random.token();
    let pair = if new.roles.reader || new.roles.verifier {
        let person = causeway_certs::signer::Person {
            family: new.family_name.clone(),
            given: new.given_name.clone(),
            title: new.title.clone(),
            organisation: new.organisation.clone(),
            country: new.country.clone(),
            registration: new.registration_number.clone(),
        };
        Some(access.signing.draw(&person, password).await?)
    } else {
        None
    };
    let mut tx = access.rows.begin().await?;
    let added = sqlx::query(
        "INSERT INTO account (id, user_name, password_hash, family_name, given_name, title, registration_number, organisation, country, phone, is_reader, may_verify, is_operator, created_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING",
    )
    .bind(&id)
    .bind(&new.user)
    .bind(hash)
    .bind(&new.family_name)
    .bind(&new.given_name)
    .bind(&new.title)
    .bind(&new.registration_number)
    .bind(&new.organisation)
    .bind(&new.country)
    .bind(&new.phone)
    .bind(i64::from(new.roles.reader))
    .bind(i64::from(new.roles.verifier))
    .bind(i64::from(new.roles.operator))
    .bind(now.0)
    .execute(&mut *tx)
    .await?;
    if added.rows_affected() == 0 {
        return Err(AccessError::Taken);
    }
    if let Some(pair) = pair {
        access.signing.keep(&mut tx, &id, &pair, now).await?;
    }
    let detail = json!({ "roles": new.roles.words() });
    audit::record(&mut tx, now, "account-added", "operator", "", &id, &detail).await?;
    tx.commit().await?;
    by_id(&access.rows, &id).await?.ok_or(AccessError::Unknown)
}

/// The account with this user name.
///
/// # Errors
/// When the database refuses.
pub async fn by_user(rows: &Rows, user: &str) -> Result<Option<Account>, AccessError> {
    Ok(sqlx::query_as("SELECT * FROM account WHERE user_name = $1")
        .bind(user)
        .fetch_optional(rows.read())
        .await?)
}

/// The account with this identifier.
///
/// # Errors
/// When the database refuses.
pub async fn by_id(rows: &Rows, id: &str) -> Result<Option<Account>, AccessError> {
    Ok(sqlx::query_as("SELECT * FROM account WHERE id = $1")
        .bind(id)
        .fetch_optional(rows.read())
        .await?)
}

/// All accounts, by user name.
///
/// # Errors
/// When the database refuses.
pub async fn list(rows: &Rows) -> Result<Vec<Account>, AccessError> {
    Ok(sqlx::query_as("SELECT * FROM account ORDER BY user_name")
        .fetch_all(rows.read())
        .await?)
}

/// Changes one's own password: the signing key's slot is rewrapped, every session and token of before ends.
///
/// # Errors
/// When the old password is not right, the new one is not possible, or the database refuses.
pub async fn change_password(
    access: &Access,
    account: &Account,
    old: &str,
    new: &str,
) -> Result<(), AccessError> {
    check_password(new)?;
    access.check_password(account, old).await?;
    let hash = access.passwords.hash(new).await?;
    let slot = access.signing.rewrap(&account.id, old, new).await?;
    let now = access.clock.now();
    let mut tx = access.rows.begin().await?;
    if let Some(slot) = slot {
        access.signing.replace_slot(&mut tx, &slot).await?;
    }
    store_password(&mut tx, account, &hash, now).await?;
    access.signing.lock_all(&account.id);
    audit::record(
        &mut tx,
        now,
        "password-changed",
        &account.id,
        "",
        &account.id,
        &json!({}),
    )
    .await?;
    tx.commit().await?;
    Ok(())
}

/// An operator sets a new password: without the old one the signing key cannot be opened, so its certificate is revoked and a new
/// pair is issued.
///
/// # Errors
/// When the password is not possible or the database refuses.
pub async fn reset_password(
    access: &Access,
    account: &Account,
    new: &str,
    by: &str,
) -> Result<(), AccessError> {
    check_password(new)?;
    let hash = access.passwords.hash(new).await?;
    let roles = account.roles();
    let pair = if roles.reader || roles.verifier {
        Some(access.signing.draw(&account.person(), new).await?)
    } else {
        None
    };
    let now = access.clock.now();
    let mut tx = access.rows.begin().await?;
    access
        .signing
        .revoke(&mut tx, &account.id, "the password was reset", now)
        .await?;
    if let Some(pair) = pair {
        access
            .signing
            .keep(&mut tx, &account.id, &pair, now)
            .await?;
    }
    store_password(&mut tx, account, &hash, now).await?;
    audit::record(
        &mut tx,
        now,
        "password-reset",
        by,
        "",
        &account.id,
        &json!({}),
    )
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Disables an account: nothing of it is deleted, nobody signs in with it, its certificate is revoked.
///
/// # Errors
/// When the database refuses.
pub async fn disable(access: &Access, account: &Account, by: &str) -> Result<(), AccessError> {
    let now = access.clock.now();
    let mut tx = access.rows.begin().await?;
    sqlx::query("UPDATE account SET disabled_us = $1 WHERE id = $2 AND disabled_us IS NULL")
        .bind(now.0)
        .bind(&account.id)
        .execute(&mut *tx)
        .await?;
    access
        .signing
        .revoke(&mut tx, &account.id, "the account was disabled", now)
        .await?;
    end_sessions(&mut tx, &account.id, now).await?;
    audit::record(
        &mut tx,
        now,
        "account-disabled",
        by,
        "",
        &account.id,
        &json!({}),
    )
    .await?;
    tx.commit().await?;
    Ok(())
}

async fn store_password(
    tx: &mut sqlx::Transaction<'_, sqlx::Any>,
    account: &Account,
    hash: &str,
    now: Timestamp,
) -> Result<(), AccessError> {
    sqlx::query(
        "UPDATE account SET password_hash = $1, credentials = credentials + 1, failed_logins = 0, locked_until_us = 0 WHERE id = $2",
    )
    .bind(hash)
    .bind(&account.id)
    .execute(&mut **tx)
    .await?;
    end_sessions(tx, &account.id, now).await?;
    Ok(())
}

async fn end_sessions(
    tx: &mut sqlx::Transaction<'_, sqlx::Any>,
    account: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE session SET ended_us = $1 WHERE account_id = $2 AND ended_us IS NULL")
        .bind(now.0)
        .bind(account)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
