//! `alarms …`: what was told and stands, and that a person knows of it.

use anyhow::anyhow;
use clap::Subcommand;

use super::super::{Failure, Opened};
use super::Out;
use crate::alarm::{self, RULES};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Alarms {
    /// The rules that are watched, and after how long each tells.
    Rules,
    /// Say that a person knows: those alarms are not told again unless they become more.
    Acknowledge {
        /// Only of this rule.
        #[arg(long)]
        rule: Option<String>,
        /// Only about this: a case code, a site, or a part of the gateway, as the list has it.
        #[arg(long)]
        about: Option<String>,
    },
}

pub(super) async fn run(
    act: Option<Alarms>,
    config: &Config,
    opened: &Opened,
    out: &Out,
) -> Result<(), Failure> {
    let rows = &opened.parts.rows;
    match act {
        None => list(opened, out).await,
        Some(Alarms::Rules) => {
            let bounds = config.alarms.bounds(RULES);
            for rule in RULES {
                let bound = bounds.of(rule.name);
                let bound = bound.map_or_else(
                    || "off".to_owned(),
                    |bound| format!("{} s", bound.as_secs()),
                );
                out.line(&format!("{}  {bound}  {}", rule.name, rule.meaning))?;
            }
            Ok(())
        }
        Some(Alarms::Acknowledge { rule, about }) => {
            let which = (rule.as_deref(), about.as_deref());
            let now = opened.parts.clock.now();
            let known = alarm::acknowledge(rows, now, which, "operator").await;
            match known.map_err(Failure::storage)? {
                0 => Err(Failure::conflict(anyhow!(
                    "no such alarm waits for somebody to know of it"
                ))),
                count => out.line(&format!("{count} acknowledged")),
            }
        }
    }
}

async fn list(opened: &Opened, out: &Out) -> Result<(), Failure> {
    let rows = &opened.parts.rows;
    for one in alarm::standing(rows).await.map_err(Failure::storage)? {
        let known = one.acknowledged.as_ref().map_or_else(String::new, |by| {
            format!("; acknowledged {} by {}", by.at, by.by)
        });
        out.line(&format!(
            "{}  {}  since {}, {}{known}: {}",
            one.rule,
            one.about,
            one.since,
            one.telling(),
            one.sentence
        ))?;
    }
    for channel in alarm::channels(rows).await.map_err(Failure::storage)? {
        if let Some(since) = channel.failing_since {
            out.line(&format!(
                "channel {} ({}) takes no alarms since {since}: {}; {} wait, {} given up",
                channel.name, channel.kind, channel.failure, channel.waiting, channel.given_up
            ))?;
        }
        if !channel.remark.is_empty() {
            out.line(&format!(
                "channel {} ({}) took the last alarm, but not for {}",
                channel.name, channel.kind, channel.remark
            ))?;
        }
    }
    Ok(())
}
