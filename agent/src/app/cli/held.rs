//! `held …`: what is held at the site, and what a person decides about it.

use std::io::{self, Write};

use causeway_proto::ids::CaseCode;
use clap::Subcommand;

use super::{change, look, refused_answer, status_of};
use crate::config::Config;
use crate::delivery::{self, Ruling};
use crate::observe::control::{self, Answer, Ask, ControlError};
use crate::observe::show;
use crate::spool::view;

/// What a person decides about what is held.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Offer the reports of a case again, at once; the PACS is asked again for their patient.
    Retry {
        /// The case code.
        case: CaseCode,
    },
    /// Deliver a report that is held for its patient.
    Deliver {
        /// Its number in the list.
        #[arg(long)]
        report: i64,
        /// Under which of the listed sets: `ours`, `pacs`, or `pacs-2` for the second answer of the PACS.
        #[arg(long = "as", value_name = "SET", value_parser = set)]
        set: Ruling,
    },
    /// Never deliver a report.
    Refuse {
        /// Its number in the list.
        #[arg(long)]
        report: i64,
    },
}

fn set(text: &str) -> Result<Ruling, &'static str> {
    let number = match text {
        "ours" => return Ok(Ruling::Ours),
        "pacs" => "1",
        other => other.strip_prefix("pacs-").unwrap_or_default(),
    };
    match number.parse::<usize>().ok().and_then(|n| n.checked_sub(1)) {
        Some(which) => Ok(Ruling::Pacs(which)),
        None => Err("one of `ours`, `pacs`, `pacs-2` and so on"),
    }
}

pub(super) async fn list(config: &Config) -> anyhow::Result<()> {
    let (held, reports) = match control::ask(&config.spool, &Ask::Held).await {
        Ok(Answer::Held { instances, reports }) => (instances, reports),
        Ok(other) => return refused_answer(other),
        Err(ControlError::NotRunning) => {
            let rows = look(config).await?;
            (
                view::held(&rows).await?,
                delivery::view::mismatches(&rows).await?,
            )
        }
        Err(error) => return Err(error.into()),
    };
    let status = status_of(config).await?;
    let mut out = io::stdout();
    show::held(&mut out, &held)?;
    show::mismatches(&mut out, &reports)?;
    for line in status.deliveries {
        if matches!(line.state.as_str(), "held" | "not-taken" | "rejected") {
            writeln!(
                out,
                "{}  report for {}: {}, {}",
                line.case, line.destination, line.state, line.sentence
            )?;
        }
    }
    Ok(())
}

pub(super) async fn rule(config: &Config, verb: Verb) -> anyhow::Result<()> {
    let (ask, done) = match verb {
        Verb::Retry { case } => (Ask::Retry { case }, "offered again"),
        Verb::Deliver { report, set } => (
            Ask::Rule {
                report,
                ruling: set,
            },
            "to be delivered",
        ),
        Verb::Refuse { report } => (
            Ask::Rule {
                report,
                ruling: Ruling::Refuse,
            },
            "refused",
        ),
    };
    change(config, ask, done).await
}
