//! `masks`: what is black on the pictures of which device, from the command line of a running agent.

use std::io::{self, Write};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::refused_answer;
use crate::config::Config;
use crate::mask::{Device, Family, Rectangle};
use crate::observe::control::{self, Answer, Ask, Which};
use crate::spool::masks::{Drawn, Met};

/// What may be done with masks.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List the devices that were met, what is black on their pictures, and how many objects wait for that.
    List {
        /// As JSON, for scripts.
        #[arg(long)]
        json: bool,
    },
    /// Say what is black on the pictures of a device: what waits of it leaves with that, and so does all that comes.
    Add(Add),
    /// Take the mask of a device away: what has not gone is withheld again.
    Remove {
        /// Its number in the list.
        #[arg(long)]
        device: i64,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

/// A mask.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// The number of the device in the list.
    #[arg(long, conflicts_with_all = ["family", "manufacturer", "model", "rows", "columns"])]
    device: Option<i64>,
    /// Of a device that was not met yet: ultrasound, radiograph, angiography, section or photograph.
    #[arg(long)]
    family: Option<Family>,
    /// Its maker, as its headers say (0008,0070).
    #[arg(long, default_value = "")]
    manufacturer: String,
    /// Its model, as its headers say (0008,1090).
    #[arg(long, default_value = "")]
    model: String,
    /// Rows of its pictures.
    #[arg(long, default_value_t = 0)]
    rows: u32,
    /// Columns of its pictures.
    #[arg(long, default_value_t = 0)]
    columns: u32,
    /// What is black, in pixels from the upper left corner: LEFT,TOP,RIGHT,BOTTOM, without the last column and row. May be repeated.
    #[arg(long, value_name = "L,T,R,B", value_parser = rectangle)]
    rectangle: Vec<Rectangle>,
    /// Nothing is burned in on this device.
    #[arg(long, conflicts_with = "rectangle")]
    nothing: bool,
    /// Yes, it hides what the device declares as scan area.
    #[arg(long)]
    over_scan_area: bool,
    /// Why: it stays with the mask.
    #[arg(long)]
    reason: String,
}

fn rectangle(text: &str) -> Result<Rectangle, &'static str> {
    let numbers: Option<Vec<u32>> = text.split(',').map(|it| it.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[left, top, right, bottom]) if left < right && top < bottom => Ok(Rectangle {
            left,
            top,
            right,
            bottom,
        }),
        _ => Err("four numbers between commas: left, top, right, bottom"),
    }
}

/// Does what was asked.
pub(super) async fn act(config: &Config, verb: Verb) -> anyhow::Result<()> {
    let mut out = io::stdout();
    match verb {
        Verb::List { json } => match control::ask(&config.spool, &Ask::Masks).await? {
            Answer::Masks(met) if json => writeln!(out, "{}", serde_json::to_string(&met)?)?,
            Answer::Masks(met) => list(&mut out, &met)?,
            other => return refused_answer(other),
        },
        Verb::Add(add) => {
            let ask = add.ask()?;
            match control::ask(&config.spool, &ask).await? {
                Answer::Drawn(Drawn::Made(count)) => {
                    writeln!(out, "in force; {count} object(s) are decided again")?;
                }
                Answer::Drawn(Drawn::Covers) => bail!(
                    "this would hide what the device declares as scan area; say --over-scan-area if that is meant"
                ),
                Answer::Drawn(Drawn::Nothing) => {
                    bail!("there is no such device, or a rectangle lies outside of its pictures")
                }
                other => return refused_answer(other),
            }
        }
        Verb::Remove { device, reason } => {
            let ask = Ask::DropMask { device, reason };
            return super::change(config, ask, "taken away").await;
        }
    }
    Ok(())
}

impl Add {
    fn ask(self) -> anyhow::Result<Ask> {
        if self.rectangle.is_empty() && !self.nothing {
            bail!("say what is black with --rectangle, or --nothing when nothing is burned in");
        }
        let which = match self.device {
            Some(number) => Which::Met(number),
            None => Which::New(self.unmet()?),
        };
        Ok(Ask::DrawMask {
            which,
            rectangles: self.rectangle,
            confirmed: self.over_scan_area,
            reason: self.reason,
        })
    }

    fn unmet(&self) -> anyhow::Result<Device> {
        let family = self
            .family
            .context("say which device: --device, or --family and what its headers say")?;
        Device::new(
            family,
            &self.manufacturer,
            &self.model,
            self.rows,
            self.columns,
        )
        .context("a device has a maker or a model, and rows and columns of its pictures")
    }
}

fn list(out: &mut impl Write, met: &[Met]) -> io::Result<()> {
    if met.is_empty() {
        return writeln!(out, "no device was met whose pictures may carry a banner");
    }
    for one in met {
        let black = match &one.rule {
            None => "no mask yet".to_owned(),
            Some(rule) if rule.rectangles.is_empty() => {
                format!("nothing burned in, says {} ({})", rule.who, rule.reason)
            }
            Some(rule) => {
                let each = rule.rectangles.iter().map(ToString::to_string);
                let each: Vec<String> = each.collect();
                format!(
                    "black {}, by {} ({})",
                    each.join(" and "),
                    rule.who,
                    rule.reason
                )
            }
        };
        let waiting = match one.waiting {
            0 => String::new(),
            count => format!("; {count} object(s) wait"),
        };
        writeln!(out, "{}  {}: {black}{waiting}", one.id, one.device)?;
    }
    Ok(())
}
