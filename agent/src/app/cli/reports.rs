//! `reports export`: a report as it was signed, whatever was filed at home in its place.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use causeway_proto::digest::ContentHasher;
use causeway_proto::ids::SopInstanceUid;
use causeway_proto::report::sr;
use clap::Subcommand;
use serde_json::json;

use super::audit;
use super::keyring::write_new;
use crate::app::{look, random};
use crate::config::Config;
use crate::delivery::view;
use crate::spool::disk::Disk;
use crate::spool::disk::real::RealDisk;

/// What may be done with the reports that are kept here.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Write a report as its reader signed it into a new file, with the pseudonym and the UIDs that it names.
    Export {
        /// Its SOP Instance UID, or that of the document which the PACS has in its place.
        #[arg(long)]
        report: SopInstanceUid,
        /// The file to make.
        #[arg(long)]
        to: PathBuf,
    },
}

pub(super) async fn act(config: &Config, verb: Verb) -> anyhow::Result<()> {
    let Verb::Export { report, to } = verb;
    let rows = look(config).await?;
    let kept = view::signed(&rows, &report).await?;
    let kept = kept.context("no signed report of this UID is kept here")?;
    let (handle, length, syntax) = &kept.bytes;
    let disk = RealDisk::open(&config.spool).context("opening the spool's folders")?;
    let whole = usize::try_from(*length).context("the report is too long")?;
    let bytes = Disk::new(Arc::new(disk), random()).read(handle, 0, whole)?;
    let mut hasher = ContentHasher::new(syntax);
    hasher.update(&bytes);
    anyhow::ensure!(
        handle.is_of(&hasher.finish()),
        "the report's bytes at the site are damaged; the gateway has to send it again"
    );
    // written down before anything is shown
    let detail = json!({ "case": kept.case.as_str(), "report": report.as_str() });
    audit::note(config, "report-exported", kept.case.as_str(), &detail).await?;
    write_new(&to, &sr::part10(&bytes)?).with_context(|| format!("writing {}", to.display()))?;
    writeln!(io::stdout(), "written to {}", to.display())?;
    Ok(())
}
