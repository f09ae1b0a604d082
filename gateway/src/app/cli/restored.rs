//! `backup`, `restore` and `restored …`: a copy of the gateway, the way back, and what a person decides after it.

use std::path::PathBuf;

use anyhow::anyhow;
use causeway_proto::ids::SiteId;
use clap::{Args, Subcommand};
use serde_json::json;

use super::super::backup::{self, Count};
use super::super::restore::{self, Wanted};
use super::super::{Failure, Opened};
use super::{Out, list};
use crate::config::Config;
use crate::report::elsewhere;

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// A folder that is empty or not there yet. On the file system of the data folder blobs are linked, on another they are copied.
    folder: PathBuf,
    /// List the blobs, and leave them where they are: for whoever copies the folder `blobs` by other means, after this.
    #[arg(long)]
    list_blobs: bool,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The folder of a backup.
    folder: PathBuf,
    /// Sites that were revoked after the backup, which does not know it: their identifiers with commas, or `none`.
    #[arg(long, required = true, value_delimiter = ',')]
    revoked_sites: Vec<String>,
    /// Users whose accounts were ended after the backup: their names with commas, or `none`.
    #[arg(long, required = true, value_delimiter = ',')]
    disabled_users: Vec<String>,
    /// Read every blob and compare its digest, which takes as long as the disk takes to read all of them.
    #[arg(long)]
    read_blobs: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Restored {
    /// What nothing is signed about since a restore: sites that were not heard yet, and signed reports that only their site has.
    List {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Decide on a signed report that only its site has: reports on its study may be signed again.
    Settle {
        /// Its SOP Instance UID, as `restored list` shows it.
        #[arg(long)]
        report: String,
        /// What was found and decided; stands in the audit trail.
        #[arg(long)]
        reason: String,
    },
    /// Answer for a site that is not heard: that it has no signed report that is not here.
    Release {
        /// The site.
        #[arg(long)]
        site: SiteId,
        /// How that is known; stands in the audit trail.
        #[arg(long)]
        reason: String,
    },
}

pub(super) async fn backup(wanted: &Backup, opened: &Opened, out: &Out) -> Result<(), Failure> {
    let with_blobs = !wanted.list_blobs;
    let count = backup::take(opened, &wanted.folder, with_blobs).await?;
    let folder = wanted.folder.display();
    if !opened.parts.rows.is_sqlite() {
        out.line("the rows are in PostgreSQL and not in this backup: `pg_dump --format=custom` them before this command is run, never after it")?;
    }
    if with_blobs {
        out.line(&format!(
            "{folder}: {} blobs, {} linked and {} copied; a link is no second copy: take the folder to another disk",
            count.blobs, count.linked, count.copied
        ))?;
    } else {
        let blobs = count.blobs;
        out.line(&format!("{folder}: {blobs} blobs are listed and not in it: copy the folder `blobs` of the data folder now"))?;
    }
    out.line("keys are in it: whoever has the folder can be this gateway. The configuration and the files that it names are not")?;
    broken(&count, out)
}

/// So many broken blobs are named.
const NAMED: usize = 20;

fn broken(count: &Count, out: &Out) -> Result<(), Failure> {
    for (key, state) in count.broken.iter().take(NAMED) {
        out.line(&format!("PROBLEM  {}: {state:?}", key.as_str()))?;
    }
    match count.broken.len() {
        0 => Ok(()),
        all => out.line(&format!(
            "PROBLEM  blobs that are missing or altered: {all}. They are not in a backup; after a restore they are not served, and asked for again"
        )),
    }
}

pub(super) async fn restore(wanted: Restore, config: &Config, out: &Out) -> Result<(), Failure> {
    let told = |words: Vec<String>| -> Vec<String> {
        let words = words.into_iter().map(|it| it.trim().to_owned());
        words.filter(|it| !it.is_empty() && it != "none").collect()
    };
    let revoked = told(wanted.revoked_sites);
    let revoked: Result<Vec<SiteId>, _> = revoked.iter().map(|it| it.parse()).collect();
    let wanted = Wanted {
        folder: wanted.folder,
        revoked: revoked.map_err(Failure::usage)?,
        disabled: told(wanted.disabled_users),
        read: wanted.read_blobs,
    };
    let done = restore::restore(config, &wanted).await?;
    let (taken, epoch, blobs) = (done.taken, done.epoch, done.blobs.blobs);
    out.line(&format!(
        "restored to {taken}: epoch {epoch}, {blobs} blobs"
    ))?;
    broken(&done.blobs, out)?;
    for sentence in KNOW {
        out.line(sentence)?;
    }
    Ok(())
}

/// What an operator has to know.
const KNOW: [&str; 5] = [
    "agents offer what they have kept beyond their receipts, 72 hours by default, when they next connect: nobody has to do anything for it",
    "nothing is signed about a study before its site has said which reports it has: `restored list` shows what waits, and what only a site has",
    "certificates that sites got after the backup are taken over when they connect; a site that enrolled for the first time after it enrols again, with a new code",
    "everybody signs in again; passwords, sites, agreements and users are those of the backup: repeat what was changed since",
    "the agents doubt the audit trail, which went back: `audit settle` at both ends, when a person has looked into it",
];

pub(super) async fn restored(act: Restored, opened: &Opened, out: &Out) -> Result<(), Failure> {
    let (rows, now) = (&opened.parts.rows, opened.parts.clock.now());
    match act {
        Restored::List { json } => {
            let waiting = elsewhere::waiting(rows).await.map_err(Failure::storage)?;
            let mut lines: Vec<_> = waiting
                .into_iter()
                .map(|(site, studies)| {
                    let line = format!("{site}  not heard yet of {studies} studies");
                    (json!({ "site": site, "unheard": studies }), line)
                })
                .collect();
            let open = elsewhere::open(rows).await.map_err(Failure::storage)?;
            lines.extend(open.into_iter().map(|one| {
                let value =
                    json!({ "site": one.site_id, "study": one.study_uid, "report": one.sop_uid });
                let line = format!(
                    "{}  has report {} on study {}, which is not here",
                    one.site_id, one.sop_uid, one.study_uid
                );
                (value, line)
            }));
            list(out, json, lines)
        }
        Restored::Settle { report, reason } => {
            let done = elsewhere::settle(rows, now, &report, &reason).await;
            if done.map_err(Failure::storage)? {
                out.line(&format!("{report}: settled"))
            } else {
                Err(Failure::conflict(anyhow!(
                    "no report with this UID waits: `restored list` shows what does"
                )))
            }
        }
        Restored::Release { site, reason } => {
            let studies = elsewhere::release(rows, now, &site, &reason).await;
            let studies = studies.map_err(Failure::storage)?;
            out.line(&format!("{site}: {studies} studies"))
        }
    }
}
