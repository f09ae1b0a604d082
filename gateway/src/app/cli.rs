//! The command line.

mod agreement;
mod alarms;
mod audit;
mod directory;
mod doctor;
mod people;
mod quarantine;
mod restored;

use std::io::Write;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use serde_json::json;

use super::{Failure, open, serve, system_clock, system_random};
use crate::config::{self, Config};
use crate::observe;

/// Receives studies from agents, serves the reading room, signs reports and sends them home.
#[derive(Debug, Parser)]
#[command(name = "causeway-gateway", version)]
pub(super) struct Line {
    /// The configuration file.
    #[arg(long, global = true, default_value = "/etc/causeway/gateway.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until SIGTERM.
    Serve,
    /// Read the configuration and say what is wrong with it.
    CheckConfig,
    /// Bring the database to this program's version and end.
    Migrate,
    /// Sites and their enrolment.
    #[command(subcommand)]
    Site(directory::Site),
    /// Agreements between a site and a reading organisation.
    #[command(subcommand)]
    Agreement(agreement::Command),
    /// People.
    #[command(subcommand)]
    User(people::User),
    /// What was kept aside because it is in doubt whether or whose it is.
    #[command(subcommand)]
    Quarantine(quarantine::Quarantine),
    /// Print a bearer token for the programming interface.
    Token(people::Token),
    /// The audit trail.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Alarms that were told and stand; or say that a person knows of them.
    Alarms {
        #[command(subcommand)]
        act: Option<alarms::Alarms>,
    },
    /// Look at everything and say what is not right.
    Doctor {
        /// Only send one message through each channel of alarms, and print what each made of it.
        #[arg(long)]
        test_alarm: bool,
    },
    /// Make a folder from which this gateway can be put back, while it serves.
    Backup(restored::Backup),
    /// Put this gateway back to a backup, into an empty data folder.
    Restore(restored::Restore),
    /// What a person decides after a restore.
    #[command(subcommand)]
    Restored(restored::Restored),
}

/// What a command prints on standard output.
#[derive(Debug)]
pub(super) struct Out;

impl Out {
    pub(super) fn line(&self, text: &str) -> Result<(), Failure> {
        writeln!(std::io::stdout().lock(), "{text}").map_err(Failure::storage)
    }
}

pub(super) async fn run(line: Line) -> Result<(), Failure> {
    let out = Out;
    let config = config::load(&line.config).map_err(Failure::config)?;
    match line.command {
        Command::Serve => {
            observe::start_log(&config.log);
            Box::pin(serve(config)).await
        }
        Command::CheckConfig => out.line(&format!("{}: right", line.config.display())),
        Command::Doctor { test_alarm: true } => doctor::test_alarm(&config, &out).await,
        Command::Doctor { .. } => Box::pin(doctor::run(&config, &out)).await,
        Command::Restore(wanted) => Box::pin(restored::restore(wanted, &config, &out)).await,
        command => Box::pin(with_rooms(command, &config, &out)).await,
    }
}

async fn with_rooms(command: Command, config: &Config, out: &Out) -> Result<(), Failure> {
    let opened = open(config, system_clock(), system_random()).await?;
    let done = match command {
        Command::Serve | Command::CheckConfig | Command::Doctor { .. } | Command::Restore(_) => {
            Ok(())
        }
        Command::Migrate => out.line("the database is at this program's version"),
        Command::Site(site) => directory::site(site, &opened, out).await,
        Command::Agreement(command) => agreement::run(command, &opened, out).await,
        Command::User(user) => people::user(user, &opened, out).await,
        Command::Quarantine(act) => quarantine::quarantine(act, &opened, out).await,
        Command::Token(token) => people::token(&token, &opened, out).await,
        Command::Audit(command) => audit::run(command, &opened, out).await,
        Command::Alarms { act } => alarms::run(act, config, &opened, out).await,
        Command::Backup(wanted) => restored::backup(&wanted, &opened, out).await,
        Command::Restored(act) => restored::restored(act, &opened, out).await,
    };
    opened.parts.rows.close().await;
    done
}

/// A list for people or, with `--json`, for scripts.
fn list(out: &Out, as_json: bool, rows: Vec<(serde_json::Value, String)>) -> Result<(), Failure> {
    if as_json {
        let all: Vec<_> = rows.into_iter().map(|(value, _)| value).collect();
        return out.line(&json!(all).to_string());
    }
    for (_, line) in rows {
        out.line(&line)?;
    }
    Ok(())
}
