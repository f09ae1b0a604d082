//! `restore`: puts a gateway back to a backup, into a data folder in which there is none.
//!
//! Rows and keys are made ready in `restoring/`, and get their places last; blobs are immutable and go to their place at once. While
//! `restoring/` is there, nothing serves from the folder, and the command begins anew. What the rows cannot know, because it happened after
//! the backup, is taken care of in one transaction: another epoch, so that agents offer what is newer; nothing signed about a study before
//! its site has said which reports it has; every session and every open enrolment code ended.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use causeway_certs::keep;
use causeway_proto::ids::SiteId;
use causeway_proto::time::Timestamp;
use serde_json::json;

use super::backup::{self, BLOBS, Count, FORM, KEYS, LIST, ROWS, SEAL, Seal};
use super::{Failure, Opened, hold, open, system_clock, system_random};
use crate::access::accounts;
use crate::archive::{BlobError, BlobKey, Blobs, Given, Named, fault, scrub};
use crate::config::Config;
use crate::report::elsewhere;
use crate::{audit, directory, ingest};

/// Where rows and keys are made ready.
const STAGE: &str = "restoring";
/// So many blobs are given at a time.
const AT_ONCE: usize = 1000;

/// What is to be restored, and what a person knows that the backup does not.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) folder: PathBuf,
    /// Sites whose certificates were revoked after the backup.
    pub(super) revoked: Vec<SiteId>,
    /// User names of accounts that were ended after it.
    pub(super) disabled: Vec<String>,
    /// Whether every blob is read and compared.
    pub(super) read: bool,
}

/// What was done.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) taken: Timestamp,
    pub(super) epoch: u64,
    pub(super) blobs: Count,
}

/// Fails while a restore into this data folder is not finished.
pub(super) fn is_whole(data: &Path) -> Result<(), Failure> {
    if data.join(STAGE).exists() {
        return Err(Failure::conflict(anyhow!(
            "a restore into {} was begun and did not end: run `restore` again",
            data.display()
        )));
    }
    Ok(())
}

/// Puts a gateway back.
///
/// # Errors
/// When a gateway serves from the data folder or has served, the backup is not whole, or disk or database refuse.
pub(super) async fn restore(config: &Config, wanted: &Wanted) -> Result<Done, Failure> {
    let data = &config.data;
    let seal = sealed(&wanted.folder)?;
    keep::folder(data).map_err(Failure::storage)?;
    let lock = hold::lock(data)?;
    room_for(data, &seal)?;
    let stage = data.join(STAGE);
    if stage.exists() {
        for old in [data.join(KEYS), stage.join(KEYS)] {
            remove(std::fs::remove_dir_all(&old))?;
        }
        for name in [ROWS, "gateway.sqlite-wal", "gateway.sqlite-shm"] {
            remove(std::fs::remove_file(stage.join(name)))?;
            remove(std::fs::remove_file(data.join(name)))?;
        }
    }
    keep::folder(&stage.join(KEYS)).map_err(Failure::storage)?;
    backup::sync_folder(data)?;
    for (name, kept) in &seal.keys {
        let from = wanted.folder.join(KEYS).join(name);
        taken(&from, &stage.join(KEYS).join(name), kept)?;
    }
    if let Some(kept) = &seal.rows {
        taken(&wanted.folder.join(ROWS), &stage.join(ROWS), kept)?;
    }
    let blobs = blobs(data, wanted, &seal).await?;
    let done = rows(config, &stage, wanted, &seal, blobs).await?;
    backup::sync_folder(&stage.join(KEYS))?;
    for name in [KEYS, ROWS] {
        if stage.join(name).exists() {
            keep::rename(&stage.join(name), &data.join(name)).map_err(Failure::storage)?;
        }
    }
    remove(std::fs::remove_dir_all(&stage))?;
    backup::sync_folder(data)?;
    drop(lock);
    Ok(done)
}

fn sealed(folder: &Path) -> Result<Seal, Failure> {
    let path = folder.join(SEAL);
    let text = std::fs::read_to_string(&path)
        .with_context(|| {
            format!(
                "{} cannot be read: without it this is no whole backup",
                path.display()
            )
        })
        .map_err(Failure::usage)?;
    let seal: Seal = serde_json::from_str(&text)
        .with_context(|| format!("{} is not of a backup", path.display()))
        .map_err(Failure::storage)?;
    if seal.form > FORM {
        return Err(Failure::conflict(anyhow!(
            "the backup was made by version {}, which this program is too old to read",
            seal.version
        )));
    }
    let list = backup::kept(&folder.join(LIST))?;
    if list != seal.list {
        return Err(damaged(&folder.join(LIST)));
    }
    Ok(seal)
}

fn damaged(path: &Path) -> Failure {
    Failure::storage(anyhow!(
        "{} is not what was written into the backup",
        path.display()
    ))
}

/// Nothing of a gateway may be there; blobs may where the backup only lists them, for they are in their place then.
fn room_for(data: &Path, seal: &Seal) -> Result<(), Failure> {
    if data.join(STAGE).exists() {
        return Ok(());
    }
    for entry in backup::entries(data)? {
        let entry = entry.map_err(Failure::storage)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let expected = name == "gateway.lock" || name == BLOBS && !seal.with_blobs;
        if !expected {
            return Err(Failure::conflict(anyhow!(
                "{} is not empty ({name} is there): move it away, so that nothing is lost, and give the gateway a folder of its own",
                data.display()
            )));
        }
    }
    Ok(())
}

/// Copies a file and compares what came out of it.
fn taken(from: &Path, to: &Path, kept: &backup::Kept) -> Result<(), Failure> {
    backup::copy_file(from, to)?;
    if backup::kept(to)? == *kept {
        Ok(())
    } else {
        Err(damaged(from))
    }
}

fn remove(done: std::io::Result<()>) -> Result<(), Failure> {
    match done {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::storage(error)),
        _ => Ok(()),
    }
}

/// Every blob of the list gets its place, or is found in it.
async fn blobs(data: &Path, wanted: &Wanted, seal: &Seal) -> Result<Count, Failure> {
    let to = Blobs::open(&data.join(BLOBS)).map_err(Failure::storage)?;
    let from = if seal.with_blobs {
        Some(Blobs::open(&wanted.folder.join(BLOBS)).map_err(Failure::storage)?)
    } else {
        None
    };
    let (list, read) = (wanted.folder.join(LIST), wanted.read);
    let giving = move || -> Result<Count, Failure> {
        let mut count = Count::default();
        let list = File::open(list).map_err(Failure::storage)?;
        for line in BufReader::with_capacity(AT_ONCE * 128, list).lines() {
            let one = named(&line.map_err(Failure::storage)?)?;
            let given = give(from.as_ref(), &to, &one, read).map_err(Failure::storage)?;
            count.add(&one.key, given);
        }
        to.sync_tree().map_err(Failure::storage)?;
        Ok(count)
    };
    let given = tokio::task::spawn_blocking(giving).await;
    given.map_err(Failure::storage)?
}

fn give(from: Option<&Blobs>, to: &Blobs, one: &Named, read: bool) -> Result<Given, BlobError> {
    if let Some(from) = from {
        return from.give(to, one, read);
    }
    let state = if read {
        to.compare(one)?
    } else {
        to.glance(one)?
    };
    Ok(match state {
        crate::archive::State::Whole => Given::Linked,
        other => Given::Not(other),
    })
}

/// A line of the list.
fn named(line: &str) -> Result<Named, Failure> {
    let mut fields = line.split(' ');
    let mut next = || fields.next().unwrap_or_default();
    let (key, length, syntax) = (next(), next(), next());
    let key: BlobKey = key.parse().map_err(Failure::storage)?;
    Ok(Named {
        key,
        length: length.parse().map_err(Failure::storage)?,
        syntax: syntax.parse().ok(),
    })
}

/// Makes the rows those of a gateway that has been put back.
async fn rows(
    config: &Config,
    stage: &Path,
    wanted: &Wanted,
    seal: &Seal,
    blobs: Count,
) -> Result<Done, Failure> {
    let staged = Config {
        data: stage.to_owned(),
        ..config.clone()
    };
    let opened = open(&staged, system_clock(), system_random()).await?;
    let taken = Timestamp(seal.taken_us);
    let done = async {
        let epoch = renewed(&opened, taken, seal, &blobs).await?;
        for site in &wanted.revoked {
            let (rows, clock) = (&opened.parts.rows, &opened.parts.clock);
            let why = "revoked after the backup that the gateway was put back to";
            let revoked = directory::revoke_site(rows, clock, "operator", site, why).await;
            revoked.map_err(Failure::usage)?;
        }
        for name in &wanted.disabled {
            let account = accounts::by_user(&opened.parts.rows, name).await;
            let account = account.map_err(Failure::storage)?;
            let account =
                account.ok_or_else(|| Failure::usage(anyhow!("there is no user {name}")))?;
            let disabled = accounts::disable(&opened.access, &account, "operator").await;
            disabled.map_err(Failure::storage)?;
        }
        Ok(epoch)
    };
    let epoch = done.await;
    opened.parts.rows.close().await;
    Ok(Done {
        taken,
        epoch: epoch?,
        blobs,
    })
}

async fn renewed(
    opened: &Opened,
    taken: Timestamp,
    seal: &Seal,
    blobs: &Count,
) -> Result<u64, Failure> {
    let parts = &opened.parts;
    let now = parts.clock.now();
    let mut tx = parts.rows.begin().await.map_err(Failure::storage)?;
    let epoch = ingest::renew_epoch(&mut tx, &parts.random).await;
    let epoch = epoch
        .context("the database holds no rows of a gateway: put them there first, with pg_restore")
        .map_err(Failure::conflict)?;
    let codes = directory::restored(&mut tx, taken, now).await;
    let codes = codes.map_err(Failure::storage)?;
    let sessions = opened.access.end_every_session(&mut tx).await;
    let sessions = sessions.map_err(Failure::storage)?;
    let studies = elsewhere::unheard(&mut tx)
        .await
        .map_err(Failure::storage)?;
    scrub::begin_anew(&mut tx).await.map_err(Failure::storage)?;
    for (key, state) in &blobs.broken {
        let noted = fault::note(&mut tx, key, *state, now).await;
        noted.map_err(Failure::storage)?;
    }
    let detail = json!({
        "taken": taken.to_string(), "version": seal.version, "epoch": epoch, "codes_ended": codes, "sessions_ended": sessions,
        "studies": studies, "blobs": blobs.blobs, "broken": blobs.broken.len(),
    });
    let (event, who) = ("gateway-restored", "operator");
    let recorded = audit::record(&mut tx, now, event, who, "", "gateway", &detail).await;
    recorded.map_err(Failure::storage)?;
    tx.commit().await.map_err(Failure::storage)?;
    Ok(epoch)
}
