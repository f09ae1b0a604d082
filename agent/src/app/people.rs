//! `page user`: the accounts of the site page from the command line, whether or not the agent runs.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;

use super::{clock, make_folder, random};
use crate::config::Config;
use crate::page::accounts::{Accounts, Role};
use crate::rows::Rows;

/// What may be asked of the site page.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// The accounts of people at the site.
    #[command(subcommand)]
    User(User),
}

/// What may be done with accounts.
#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Make an account.
    Add {
        /// The name to sign in with: lower-case letters, digits, dots and hyphens.
        name: String,
        /// `radiographer` or `administrator`.
        #[arg(long)]
        role: Role,
        /// A file with the password in its first line.
        #[arg(long)]
        password_file: PathBuf,
    },
    /// List the accounts.
    List,
    /// Give an account another password, and end its sessions.
    Password {
        /// Whose.
        name: String,
        /// A file with the password in its first line.
        #[arg(long)]
        password_file: PathBuf,
    },
    /// Remove an account, and end its sessions.
    Remove {
        /// Whose.
        name: String,
    },
}

/// Who changes accounts here: whoever may use the command line.
const OPERATOR: &str = "operator";

/// Does what was asked.
pub(super) async fn act(config: &Config, verb: Verb) -> anyhow::Result<()> {
    let Verb::User(verb) = verb;
    make_folder(&config.spool)?;
    let rows = Rows::open(&config.spool).await?;
    let accounts = Accounts::new(rows.clone(), clock(), random())?;
    let done = user(&accounts, verb).await;
    rows.close().await;
    done
}

async fn user(accounts: &Accounts, verb: User) -> anyhow::Result<()> {
    let mut out = io::stdout();
    match verb {
        User::Add {
            name,
            role,
            password_file,
        } => {
            accounts
                .add(&name, &password(&password_file)?, role, OPERATOR)
                .await?;
            writeln!(out, "{name} is a {role} of the site page")?;
        }
        User::List => {
            for account in accounts.list().await? {
                writeln!(
                    out,
                    "{}  {}  since {}",
                    account.name, account.role, account.made
                )?;
            }
        }
        User::Password {
            name,
            password_file,
        } => {
            accounts
                .set_password(&name, &password(&password_file)?, OPERATOR)
                .await?;
            writeln!(
                out,
                "the password of {name} is changed, and {name} is signed out"
            )?;
        }
        User::Remove { name } => {
            accounts.remove(&name, OPERATOR).await?;
            writeln!(out, "{name} is removed, and signed out")?;
        }
    }
    Ok(())
}

fn password(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("reading the password from {}", file.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
