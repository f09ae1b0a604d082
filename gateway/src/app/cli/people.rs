//! `user …` and `token`.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::super::{Failure, Opened};
use super::{Out, list};
use crate::access::AccessError;
use crate::access::accounts::{self, Account, NewAccount};
use crate::eligibility::Roles;

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Add an account; a reader or verifier gets a signing key with it.
    Add(Box<AddUser>),
    /// All accounts.
    List {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Give an account a new password; its signing key is revoked and a new one made.
    ResetPassword {
        /// The user name.
        #[arg(long)]
        name: String,
        /// A file with the password on its first line; one is made and printed otherwise.
        #[arg(long)]
        password_file: Option<PathBuf>,
    },
    /// End an account: its sessions and tokens end, its key is no longer used.
    Disable {
        /// The user name.
        #[arg(long)]
        name: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Reads studies and writes reports.
    Reader,
    /// Signs final.
    Verifier,
    /// Runs the gateway.
    Operator,
}

#[derive(Debug, Args)]
pub(super) struct AddUser {
    /// The name to sign in with.
    #[arg(long)]
    name: String,
    /// Given name.
    #[arg(long)]
    given: String,
    /// Family name.
    #[arg(long)]
    family: String,
    /// Title, such as Dr.
    #[arg(long, default_value = "")]
    title: String,
    /// The number in the profession's register.
    #[arg(long, default_value = "")]
    registration: String,
    /// The reading organisation, as its agreements write it.
    #[arg(long)]
    organisation: String,
    /// Where he reads, two letters of ISO 3166.
    #[arg(long, default_value = "")]
    country: String,
    /// A number answered day and night.
    #[arg(long, default_value = "")]
    phone: String,
    /// What the account may be, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', required = true)]
    role: Vec<Role>,
    /// A file with the password on its first line; one is made and printed otherwise.
    #[arg(long)]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Token {
    /// The user name.
    #[arg(long)]
    user: String,
}

fn failure(error: AccessError) -> Failure {
    match error {
        AccessError::Taken => Failure::conflict(error),
        AccessError::Field(_) | AccessError::Unknown => Failure::usage(error),
        AccessError::Refused | AccessError::Later { .. } => Failure::auth(error),
        other => Failure::storage(other),
    }
}

pub(super) async fn user(command: User, opened: &Opened, out: &Out) -> Result<(), Failure> {
    match command {
        User::Add(new) => add(*new, opened, out).await,
        User::List { json } => {
            let found = accounts::list(&opened.parts.rows).await.map_err(failure)?;
            let lines = found.into_iter().map(|one| {
                let roles = one.roles().words().join(",");
                let state = if one.disabled_us.is_some() { "disabled" } else { "open" };
                let value = json!({
                    "user": one.user_name, "name": one.full_name(), "organisation": one.organisation,
                    "roles": one.roles().words(), "state": state,
                });
                (value, format!("{}  {}  {}  {roles}  {state}", one.user_name, one.full_name(), one.organisation))
            });
            list(out, json, lines.collect())
        }
        User::ResetPassword {
            name,
            password_file,
        } => {
            let account = by_name(opened, &name).await?;
            let (password, made) = password(opened, password_file.as_deref())?;
            Box::pin(accounts::reset_password(
                &opened.access,
                &account,
                &password,
                "operator",
            ))
            .await
            .map_err(failure)?;
            told(out, &name, &password, made)
        }
        User::Disable { name } => {
            let account = by_name(opened, &name).await?;
            accounts::disable(&opened.access, &account, "operator")
                .await
                .map_err(failure)?;
            out.line(&format!("{name} can no longer sign in"))
        }
    }
}

async fn add(new: AddUser, opened: &Opened, out: &Out) -> Result<(), Failure> {
    let (password, made) = password(opened, new.password_file.as_deref())?;
    let account = NewAccount {
        user: new.name.clone(),
        given_name: new.given,
        family_name: new.family,
        title: new.title,
        registration_number: new.registration,
        organisation: new.organisation,
        country: new.country,
        phone: new.phone,
        roles: Roles {
            reader: new.role.contains(&Role::Reader),
            verifier: new.role.contains(&Role::Verifier),
            operator: new.role.contains(&Role::Operator),
        },
    };
    Box::pin(accounts::add(&opened.access, &account, &password))
        .await
        .map_err(failure)?;
    told(out, &new.name, &password, made)
}

fn told(out: &Out, name: &str, password: &str, made: bool) -> Result<(), Failure> {
    out.line(&format!("user      {name}"))?;
    if made {
        out.line(&format!("password  {password}"))?;
        out.line("Nobody can show the password again.")?;
    }
    Ok(())
}

/// The password and whether it was made here.
fn password(opened: &Opened, file: Option<&Path>) -> Result<(String, bool), Failure> {
    let Some(path) = file else {
        return Ok((made_password(opened), true));
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("reading the password from {}", path.display()))
        .map_err(Failure::usage)?;
    Ok((text.lines().next().unwrap_or_default().to_owned(), false))
}

/// Four groups of five letters and digits without look-alikes: 98 bits.
fn made_password(opened: &Opened) -> String {
    const LETTERS: &[u8; 30] = b"abcdefghjkmnpqrstvwxyz23456789";
    let mut out = String::new();
    for at in 0..20 {
        if at > 0 && at % 5 == 0 {
            out.push('-');
        }
        let index = usize::try_from(opened.parts.random.below(30)).unwrap_or(0);
        out.push(char::from(LETTERS.get(index).copied().unwrap_or(b'a')));
    }
    out
}

async fn by_name(opened: &Opened, name: &str) -> Result<Account, Failure> {
    accounts::by_user(&opened.parts.rows, name)
        .await
        .map_err(failure)?
        .ok_or_else(|| Failure::usage(anyhow!("there is no user {name}")))
}

pub(super) async fn token(command: &Token, opened: &Opened, out: &Out) -> Result<(), Failure> {
    let account = by_name(opened, &command.user).await?;
    let (token, _) = opened.access.token(&account).map_err(failure)?;
    out.line(&token)
}
