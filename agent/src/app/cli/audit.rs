//! `audit`: where the site's trail ends, whether it is whole, what is held of the gateway's, and the trail in the forms of others.

use std::io::{self, Write};

use causeway_certs::enrol::Credentials;
use causeway_proto::audit::{Head, Teller};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::app::{clock, keys, look, make_folder};
use crate::audit::{self, witness};
use crate::config::Config;
use crate::rows::Rows;

/// What may be asked of the trail.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Walk the chain from the first record to the last; name the first bad one.
    Verify {
        /// A head that somebody else remembers, SEQ:DIGEST: printed, from a log, or from the gateway's `audit witness`. May be repeated.
        #[arg(long)]
        head: Vec<Head>,
    },
    /// Print where the trail ends, SEQ:DIGEST. Keep it away from this machine.
    Head,
    /// Print the head that is held of the gateway's trail, and the doubts that stand.
    Witness,
    /// Close the doubts after a person has looked into them; the gateway's trail is believed from what it says next.
    Settle {
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

pub(super) async fn act(config: &Config, verb: Verb) -> anyhow::Result<()> {
    let mut out = io::stdout();
    match verb {
        Verb::Verify { head } => {
            let rows = look(config).await?;
            let found = audit::verify(&mut *rows.read().acquire().await?, &head).await?;
            match found {
                Ok(head) => writeln!(out, "the audit chain is whole: {head}")?,
                Err(broken) if broken.confirmed > 0 => anyhow::bail!(
                    "the audit chain breaks: {broken}; up to record {} a witness confirms it",
                    broken.confirmed
                ),
                Err(broken) => anyhow::bail!("the audit chain breaks: {broken}"),
            }
        }
        Verb::Head => {
            let rows = look(config).await?;
            let head = audit::head(&mut *rows.read().acquire().await?).await?;
            writeln!(out, "{head}")?;
        }
        Verb::Witness => {
            let rows = look(config).await?;
            if let Some((head, at)) = witness::held(&rows).await? {
                writeln!(out, "gateway  {head}  heard {at}")?;
            }
            for doubt in witness::standing(&rows).await? {
                writeln!(out, "DOUBT  {doubt}")?;
            }
        }
        Verb::Settle { reason } => {
            let rows = Rows::open(&config.spool).await?;
            let closed = witness::settle(&rows, &reason, clock().now()).await?;
            rows.close().await;
            if closed == 0 {
                anyhow::bail!("no doubt stands");
            }
            writeln!(out, "{closed} closed")?;
        }
        Verb::Export { format, from } => {
            let rows = look(config).await?;
            let credentials = Credentials::load(&keys(&config.spool));
            let place =
                credentials.map_or_else(|_| String::new(), |held| held.site().as_str().to_owned());
            let teller = Teller {
                program: "causeway-agent".to_owned(),
                place,
            };
            let as_fhir = format == Format::Fhir;
            let count = audit::export(rows.read(), from, as_fhir, &teller, &mut out).await??;
            let detail = json!({ "from": from, "records": count });
            note(config, "audit-read", "agent", &detail).await?;
        }
    }
    Ok(())
}

/// Writes down what a person did at the command line.
pub(super) async fn note(
    config: &Config,
    event: &str,
    subject: &str,
    detail: &Value,
) -> anyhow::Result<()> {
    make_folder(&config.spool)?;
    let rows = Rows::open(&config.spool).await?;
    let mut tx = rows.begin().await?;
    audit::record(&mut tx, clock().now(), event, "operator", subject, detail).await?;
    tx.commit().await?;
    rows.close().await;
    Ok(())
}
