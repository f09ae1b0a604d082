//! `audit`: where the trail ends, whether it is whole, what is held of others' trails, and the trail in the forms of others.

use std::io;

use causeway_proto::audit::{Head, Teller};
use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::super::{Failure, Opened};
use super::{Out, list};
use crate::audit::{self, witness};

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Walk the chain from the first record to the last; name the first bad one.
    Verify {
        /// A head that somebody else remembers, SEQ:DIGEST: printed, from a log, or from an agent's `audit witness`. May be repeated.
        #[arg(long)]
        head: Vec<Head>,
    },
    /// Print where the trail ends, SEQ:DIGEST. Keep it away from this machine.
    Head,
    /// Print the heads that are held of the agents' trails, and the doubts that stand.
    Witness {
        /// As JSON, for scripts.
        #[arg(long)]
        json: bool,
    },
    /// Close the doubts about a site after a person has looked into them; its trail is believed from what it says next.
    Settle {
        /// The site.
        #[arg(long)]
        site: String,
        /// What was found.
        #[arg(long)]
        reason: String,
    },
    /// Print the records, one on each line.
    Export {
        /// In which form.
        #[arg(long, value_enum)]
        format: Format,
        /// From this record on.
        #[arg(long, default_value_t = 1)]
        from: i64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Audit messages of PS3.15 A.5, XML.
    Dicom,
    /// FHIR R4 AuditEvents, JSON.
    Fhir,
}

pub(super) async fn run(command: Audit, opened: &Opened, out: &Out) -> Result<(), Failure> {
    let rows = &opened.parts.rows;
    match command {
        Audit::Verify { head } => verify(opened, &head, out).await,
        Audit::Head => {
            let mut reading = rows.read().acquire().await.map_err(Failure::storage)?;
            let head = audit::head(&mut reading).await.map_err(Failure::storage)?;
            out.line(&head.to_string())
        }
        Audit::Witness { json } => witnessed(opened, json, out).await,
        Audit::Settle { site, reason } => {
            let now = opened.parts.clock.now();
            let closed = witness::settle(rows, &site, &reason, now).await;
            match closed.map_err(Failure::storage)? {
                0 => Err(Failure::usage(anyhow::anyhow!(
                    "no doubt stands about {site}"
                ))),
                closed => out.line(&format!("{closed} closed")),
            }
        }
        Audit::Export { format, from } => {
            let teller = Teller {
                program: "causeway-gateway".to_owned(),
                place: "gateway".to_owned(),
            };
            let as_fhir = format == Format::Fhir;
            let mut stdout = io::stdout();
            let written = audit::export(rows.read(), from, as_fhir, &teller, &mut stdout).await;
            let count = written
                .map_err(Failure::storage)?
                .map_err(Failure::storage)?;
            note(
                opened,
                "audit-read",
                &json!({ "from": from, "records": count }),
            )
            .await
        }
    }
}

/// Who reads the trail stands in it.
async fn note(opened: &Opened, event: &str, detail: &serde_json::Value) -> Result<(), Failure> {
    let parts = &opened.parts;
    let mut tx = parts.rows.begin().await.map_err(Failure::storage)?;
    let now = parts.clock.now();
    audit::record(&mut tx, now, event, "operator", "", "gateway", detail)
        .await
        .map_err(Failure::storage)?;
    tx.commit().await.map_err(Failure::storage)
}

async fn verify(opened: &Opened, heads: &[Head], out: &Out) -> Result<(), Failure> {
    let rows = &opened.parts.rows;
    let mut reading = rows.read().acquire().await.map_err(Failure::storage)?;
    let found = audit::verify(&mut reading, heads).await;
    match found.map_err(Failure::storage)? {
        Ok(head) => out.line(&format!("the audit chain is whole: {head}")),
        Err(broken) if broken.confirmed > 0 => Err(Failure::conflict(anyhow::anyhow!(
            "the audit chain breaks: {broken}; up to record {} a witness confirms it",
            broken.confirmed
        ))),
        Err(broken) => Err(Failure::conflict(anyhow::anyhow!(
            "the audit chain breaks: {broken}"
        ))),
    }
}

async fn witnessed(opened: &Opened, as_json: bool, out: &Out) -> Result<(), Failure> {
    let rows = &opened.parts.rows;
    let held = witness::held(rows).await.map_err(Failure::storage)?;
    let doubts = witness::standing(rows).await.map_err(Failure::storage)?;
    let heads = held.into_iter().map(|(site, head, at)| {
        let value = json!({ "site": site, "head": head.to_string(), "heard": at.to_string() });
        (value, format!("{site}  {head}  heard {at}"))
    });
    let doubts = doubts.into_iter().map(|doubt| {
        let found = doubt.found.to_string();
        let value = json!({ "site": doubt.site, "doubt": doubt.sentence, "found": found });
        (value, format!("DOUBT  {} (found {found})", doubt.sentence))
    });
    list(out, as_json, heads.chain(doubts).collect())
}
