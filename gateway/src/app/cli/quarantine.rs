//! `quarantine …`: what was kept aside, and that somebody has decided on it.

use anyhow::anyhow;
use clap::Subcommand;
use serde_json::json;

use super::super::{Failure, Opened};
use super::{Out, list};
use crate::ingest::quarantine;

#[derive(Debug, Subcommand)]
pub(super) enum Quarantine {
    /// What waits for a decision, the newest first.
    List {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Note that one object was decided on: it stays kept and unseen, and reports on its study may be signed again.
    Settle {
        /// Its identifier, as `quarantine list` shows it.
        #[arg(long)]
        id: String,
        /// What was found and decided; stands in the audit trail.
        #[arg(long)]
        reason: String,
    },
}

pub(super) async fn quarantine(act: Quarantine, opened: &Opened, out: &Out) -> Result<(), Failure> {
    let parts = &opened.parts;
    match act {
        Quarantine::List { json } => {
            let all = quarantine::open(&parts.rows).await;
            let lines = all.map_err(Failure::storage)?.into_iter().map(|one| {
                let value = json!({
                    "id": one.id, "site": one.site_id, "study": one.study_uid, "instance": one.sop_uid, "reason": one.reason,
                });
                let line = format!("{}  {}  {}  {}", one.id, one.site_id, one.study_uid, one.reason);
                (value, line)
            });
            list(out, json, lines.collect())
        }
        Quarantine::Settle { id, reason } => {
            let now = parts.clock.now();
            let done = quarantine::settle(&parts.rows, now, "operator", &id, &reason).await;
            if done.map_err(Failure::storage)? {
                out.line(&format!("{id}: settled"))
            } else {
                Err(Failure::conflict(anyhow!(
                    "nothing with this identifier waits: `quarantine list` shows what does"
                )))
            }
        }
    }
}
