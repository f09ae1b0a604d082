//! `alarms …`: what was told and stands, and that a person knows of it.

use std::io::{self, Write};

use clap::Subcommand;

use super::{change, status_of};
use crate::config::Config;
use crate::observe::control::Ask;
use crate::observe::watch::RULES;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// The rules that are watched, and after how long each tells.
    Rules,
    /// Say that a person knows: those alarms are not told again unless they become more.
    Acknowledge {
        /// Only of this rule.
        #[arg(long)]
        rule: Option<String>,
        /// Only about this: a case code, or a part of the agent, as the list has it.
        #[arg(long)]
        about: Option<String>,
    },
}

pub(super) async fn act(config: &Config, verb: Option<Verb>) -> anyhow::Result<()> {
    match verb {
        None => list(config).await,
        Some(Verb::Rules) => rules(config),
        Some(Verb::Acknowledge { rule, about }) => {
            change(config, Ask::Acknowledge { rule, about }, "acknowledged").await
        }
    }
}

async fn list(config: &Config) -> anyhow::Result<()> {
    let (mut out, status) = (io::stdout(), status_of(config).await?);
    for alarm in status.told {
        let known = alarm.acknowledged.as_ref().map_or_else(String::new, |by| {
            format!("; acknowledged {} by {}", by.at, by.by)
        });
        writeln!(
            out,
            "{}  {}  since {}, {}{known}: {}",
            alarm.rule,
            alarm.about,
            alarm.since,
            alarm.telling(),
            alarm.sentence
        )?;
    }
    Ok(())
}

fn rules(config: &Config) -> anyhow::Result<()> {
    let (mut out, bounds) = (io::stdout(), config.alarms.bounds(RULES));
    for rule in RULES {
        let bound = bounds.of(rule.name);
        let bound = bound.map_or_else(
            || "off".to_owned(),
            |bound| format!("{} s", bound.as_secs()),
        );
        writeln!(out, "{}  {bound}  {}", rule.name, rule.meaning)?;
    }
    Ok(())
}
