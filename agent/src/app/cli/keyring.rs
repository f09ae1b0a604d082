//! `keys export`, `keys import`, `keys rotate`: the site's keys in a person's hands.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use causeway_certs::keep;
use causeway_proto::ids::AgreementId;
use clap::Subcommand;
use zeroize::Zeroizing;

use crate::app::{make_folder, open_keys};
use crate::config::Config;
use crate::spool;

/// What may be done with the keys.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Write all keys into one file, under a passphrase. Keep both, apart from one another and from this machine.
    Export {
        /// The file to make.
        #[arg(long)]
        to: PathBuf,
        /// A file that holds the passphrase in its first line, readable by its owner only.
        #[arg(long)]
        passphrase_file: PathBuf,
    },
    /// Take in an exported file, before the first start of a new agent. Never puts a key in the place of another.
    Import {
        /// The exported file.
        #[arg(long)]
        from: PathBuf,
        /// A file that holds the passphrase in its first line, readable by its owner only.
        #[arg(long)]
        passphrase_file: PathBuf,
    },
    /// Give an agreement a new key, while the agent does not run: its patients get other pseudonyms, and new studies no longer find
    /// their priors at the gateway.
    Rotate {
        /// The agreement.
        #[arg(long)]
        agreement: AgreementId,
    },
}

impl Verb {
    /// Our word for it in the audit trail, and what it acts on.
    pub(super) fn event(&self) -> (&'static str, String) {
        match self {
            Self::Export { .. } => ("keys-exported", "keys".to_owned()),
            Self::Import { .. } => ("keys-imported", "keys".to_owned()),
            Self::Rotate { agreement } => ("keys-rotated", agreement.as_str().to_owned()),
        }
    }
}

/// An export is far smaller; a longer file is none.
const MAX_IMPORT: u64 = 16 << 20;

pub(super) fn act(config: &Config, verb: Verb) -> anyhow::Result<()> {
    let mut out = io::stdout();
    match verb {
        Verb::Export {
            to,
            passphrase_file,
        } => {
            let bytes = open_keys(config)?.export(&passphrase(&passphrase_file)?)?;
            write_new(&to, &bytes).with_context(|| format!("writing {}", to.display()))?;
            writeln!(out, "exported to {}", to.display())?;
        }
        Verb::Import {
            from,
            passphrase_file,
        } => {
            let _alone = alone(config)?;
            let mut bytes = Vec::new();
            File::open(&from)
                .and_then(|file| file.take(MAX_IMPORT + 1).read_to_end(&mut bytes))
                .with_context(|| format!("reading {}", from.display()))?;
            let written = open_keys(config)?.import(&bytes, &passphrase(&passphrase_file)?)?;
            writeln!(
                out,
                "{written} file(s) written; what stood here already was the same"
            )?;
        }
        Verb::Rotate { agreement } => {
            let _alone = alone(config)?;
            let generation = open_keys(config)?.rotate(&agreement)?;
            writeln!(
                out,
                "{agreement} has key {generation}; from now on its patients have other pseudonyms, and new studies do not \
                 find their priors. Export the keys again."
            )?;
        }
    }
    Ok(())
}

/// No agent runs on this folder while the answer is held: a running one would go on with the keys that it has read.
fn alone(config: &Config) -> anyhow::Result<File> {
    make_folder(&config.spool)?;
    Ok(spool::lock(&config.spool)?)
}

fn passphrase(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = keep::read_secret(file)?.map(Zeroizing::new);
    let text = text.with_context(|| format!("there is no file {}", file.display()))?;
    Ok(Zeroizing::new(
        text.lines().next().unwrap_or_default().to_owned(),
    ))
}

/// A new file for its owner only, synced. Nothing is ever overwritten: it may be the only good copy of something.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
