//! `agreement …`.

use causeway_proto::ids::{AgreementId, SiteId};
use causeway_proto::time::{Clock, Timestamp};
use clap::{Args, Subcommand};
use jiff::civil::Date;
use serde_json::{Value, json};

use super::super::{Failure, Opened};
use super::directory::{ACTOR, failure};
use super::{Out, list};
use crate::directory::{self, Agreement, NewAgreement, Site};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add an agreement; identity stays at the site unless --identified.
    Add(Box<Add>),
    /// All agreements.
    List {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Everything about one agreement.
    Show {
        /// The agreement.
        #[arg(long)]
        id: AgreementId,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// End an agreement: nothing more is taken or shown under it; signed reports still go home.
    End {
        /// The agreement.
        #[arg(long)]
        id: AgreementId,
        /// Why, for the trail.
        #[arg(long, default_value = "ended by an operator")]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The site.
    #[arg(long)]
    site: SiteId,
    /// The reading organisation, as its readers' accounts write it.
    #[arg(long)]
    organisation: String,
    /// An identifier of your own; made from the organisation otherwise.
    #[arg(long)]
    id: Option<AgreementId>,
    /// Send names, numbers and dates of birth as they are.
    #[arg(long)]
    identified: bool,
    /// What may leave beyond the profile: device, institution, documents, accept-uids, headshots; or what leaves less: replace-uids, and
    /// modified-dates, by which the site shifts every date. Can be repeated.
    #[arg(long = "option")]
    options: Vec<String>,
    /// The language of its reports; the site's otherwise.
    #[arg(long)]
    language: Option<String>,
    /// Its first day at the site, such as 2027-01-01.
    #[arg(long)]
    from: Option<Date>,
    /// Its last day at the site.
    #[arg(long)]
    until: Option<Date>,
    /// For how many days after the report images are kept; 0: not agreed.
    #[arg(long, default_value_t = 0)]
    retention_days: u32,
}

pub(super) async fn run(command: Command, opened: &Opened, out: &Out) -> Result<(), Failure> {
    let parts = &opened.parts;
    let (rows, clock) = (&parts.rows, &parts.clock);
    match command {
        Command::Add(add) => {
            let wanted = NewAgreement {
                id: add.id,
                identified: add.identified,
                options: add.options,
                language: add.language,
                from: add.from,
                until: add.until,
                retention_days: add.retention_days,
                ..NewAgreement::between(add.site, add.organisation)
            };
            let added = directory::add_agreement(rows, clock, &parts.random, ACTOR, &wanted);
            let added = added.await.map_err(failure)?;
            out.line(&format!("agreement       {}", added.terms.id))?;
            out.line(&format!("identity        {}", added.terms.identity))
        }
        Command::List { json } => {
            let now = clock.now();
            let found = directory::agreements(rows).await.map_err(failure)?;
            let lines = found.into_iter().map(|one| {
                let line = format!(
                    "{}  {}  {}  {}  {}",
                    one.terms.id,
                    one.site,
                    one.terms.organisation,
                    one.terms.identity,
                    one.state(now)
                );
                (value(&one, now), line)
            });
            list(out, json, lines.collect())
        }
        Command::Show { id, json } => {
            let one = directory::agreement(rows, &id).await.map_err(failure)?;
            if json {
                return out.line(&value(&one, clock.now()).to_string());
            }
            let site = directory::site(rows, &one.site).await.map_err(failure)?;
            shown(&one, &site, clock)
                .into_iter()
                .try_for_each(|(name, text)| out.line(&format!("{name:<15} {text}")))
        }
        Command::End { id, reason } => {
            let ended = directory::end_agreement(rows, clock, ACTOR, &id, &reason);
            let ended = ended.await.map_err(failure)?;
            out.line(&format!(
                "agreement {} has ended; a connected agent hears it within a minute",
                ended.terms.id
            ))
        }
    }
}

fn value(one: &Agreement, now: Timestamp) -> Value {
    let (terms, at) = (&one.terms, |at: Option<Timestamp>| {
        at.map(|at| at.to_string())
    });
    json!({
        "agreement": terms.id, "site": one.site, "organisation": terms.organisation, "identity": terms.identity,
        "profile": terms.profile, "options": terms.options, "language": terms.language, "from": at(terms.from),
        "until": at(terms.until), "retention_days": terms.retention_days, "created": one.created.to_string(),
        "ended": at(one.ended), "state": one.state(now),
    })
}

fn shown(one: &Agreement, site: &Site, clock: &Clock) -> Vec<(&'static str, String)> {
    let terms = &one.terms;
    let or = |text: String, empty: &str| match text.as_str() {
        "" => empty.to_owned(),
        _ => text,
    };
    let at = |at: Timestamp| site_time(site, at);
    vec![
        ("agreement", terms.id.to_string()),
        (
            "site",
            format!("{}, {}, {}", one.site, site.name, site.country),
        ),
        ("organisation", terms.organisation.clone()),
        ("identity", terms.identity.clone()),
        ("profile", or(terms.profile.clone(), "none: as it is")),
        ("options", or(terms.options.join(", "), "none")),
        ("language", terms.language.clone()),
        ("from", terms.from.map_or_else(|| at(one.created), at)),
        (
            "until",
            terms.until.map_or_else(|| "it is ended".to_owned(), at),
        ),
        (
            "retention",
            match terms.retention_days {
                0 => "not agreed".to_owned(),
                days => format!("{days} days after the report"),
            },
        ),
        ("state", one.state(clock.now()).to_owned()),
        ("ended", one.ended.map_or_else(|| "no".to_owned(), at)),
    ]
}

fn site_time(site: &Site, at: Timestamp) -> String {
    let zone = jiff::tz::TimeZone::get(&site.time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let there = at.calendar().to_zoned(zone);
    there.strftime("%Y-%m-%d %H:%M %:z").to_string()
}
