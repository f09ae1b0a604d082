//! `backup`: a folder from which this gateway can be put back, taken while it serves.
//!
//! | in the folder | what it is |
//! |---|---|
//! | `gateway.sqlite` | all rows at one moment; not there when they are in PostgreSQL |
//! | `keys/` | every secret of the data folder: whoever has this folder is this gateway |
//! | `blobs.list` | a line for each blob that a row names: key, length, transfer syntax |
//! | `blobs/` | these blobs: links on the same file system, synced copies on another; not there when they are only listed |
//! | `backup.json` | what there is, with digests; written last: without it there is no backup |
//!
//! Rows are copied before blobs are: every blob that they name is there still, or was deleted since. What arrives meanwhile is not in it,
//! and is offered again by the agents after a restore.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use causeway_certs::keep;
use causeway_proto::digest::Digest;
use causeway_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Failure, Opened};
use crate::archive::named::named;
use crate::archive::{BlobError, BlobKey, Blobs, Given, Named, State};
use crate::audit;
use crate::rows::{self, Rows};

/// The form of the folder. A program that knows less refuses it.
pub(super) const FORM: u32 = 1;
pub(super) const ROWS: &str = "gateway.sqlite";
pub(super) const KEYS: &str = "keys";
pub(super) const BLOBS: &str = "blobs";
pub(super) const LIST: &str = "blobs.list";
pub(super) const SEAL: &str = "backup.json";
/// So many blobs are given at a time.
const AT_ONCE: i64 = 1000;
/// Fact: when the last backup was made.
const LAST: &str = "backup_us";

/// `backup.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Seal {
    /// [`FORM`].
    pub(super) form: u32,
    /// The program that made it.
    pub(super) version: String,
    /// When its rows were copied, microseconds since 1970.
    pub(super) taken_us: i64,
    /// The rows; none when they are in PostgreSQL.
    pub(super) rows: Option<Kept>,
    /// Names and content of the secrets.
    pub(super) keys: Vec<(String, Kept)>,
    /// The list of blobs.
    pub(super) list: Kept,
    /// How many blobs it names.
    pub(super) blobs: u64,
    /// Whether they are in the folder.
    pub(super) with_blobs: bool,
}

/// A file and its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) bytes: u64,
    pub(super) sha256: Digest,
}

/// What became of the blobs.
#[derive(Clone, Debug, Default)]
pub(super) struct Count {
    pub(super) blobs: u64,
    pub(super) linked: u64,
    pub(super) copied: u64,
    /// What is missing or not what its row says.
    pub(super) broken: Vec<(BlobKey, State)>,
}

impl Count {
    pub(super) fn add(&mut self, key: &BlobKey, given: Given) {
        self.blobs += 1;
        match given {
            Given::Linked => self.linked += 1,
            Given::Copied => self.copied += 1,
            Given::Not(state) => self.broken.push((key.clone(), state)),
        }
    }
}

/// Makes a backup in a folder that is empty or not there yet.
///
/// # Errors
/// When the folder is not empty, or the disk or the database refuses.
pub(super) async fn take(
    opened: &Opened,
    folder: &Path,
    with_blobs: bool,
) -> Result<Count, Failure> {
    let parts = &opened.parts;
    keep::folder(folder).map_err(Failure::storage)?;
    if entries(folder)?.next().is_some() {
        return Err(Failure::conflict(anyhow!(
            "{} is not empty: give a folder that is, or is not there yet",
            folder.display()
        )));
    }
    let taken = parts.clock.now();
    let copy = if parts.rows.is_sqlite() {
        let file = folder.join(ROWS);
        let copied = parts.rows.copy_to(&file).await;
        copied
            .context("copying the rows")
            .map_err(Failure::storage)?;
        private(&file)?;
        Some(copied_rows(folder).await?)
    } else {
        None
    };
    let count = give(
        opened,
        copy.as_ref().unwrap_or(&parts.rows),
        folder,
        with_blobs,
    )
    .await;
    if let Some(copy) = &copy {
        copy.close().await;
    }
    let count = count?;
    let keys = copy_keys(&parts.data.join(KEYS), &folder.join(KEYS))?;
    let seal = Seal {
        form: FORM,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        taken_us: taken.0,
        rows: copy.map(|_| kept(&folder.join(ROWS))).transpose()?,
        keys,
        list: kept(&folder.join(LIST))?,
        blobs: count.blobs,
        with_blobs,
    };
    sync_folder(folder)?;
    let text = serde_json::to_string_pretty(&seal).map_err(Failure::storage)?;
    keep::create(&folder.join(SEAL), &parts.random.token(), &text).map_err(Failure::storage)?;
    note(opened, taken, &count).await?;
    Ok(count)
}

/// The copy as rows of its own: what it names is what the backup has to have.
async fn copied_rows(folder: &Path) -> Result<Rows, Failure> {
    let opened = Rows::open(&rows::Config::default(), folder).await;
    opened
        .context("reading the copy of the rows")
        .map_err(Failure::storage)
}

/// Lists the blobs that rows name, and gives them to the folder if they are to be in it.
async fn give(
    opened: &Opened,
    rows: &Rows,
    folder: &Path,
    with_blobs: bool,
) -> Result<Count, Failure> {
    let from = opened.archive.blobs.clone();
    let to = if with_blobs {
        Some(Blobs::open(&folder.join(BLOBS)).map_err(Failure::storage)?)
    } else {
        None
    };
    let mut list = BufWriter::new(made(&folder.join(LIST))?);
    let (mut count, mut after) = (Count::default(), String::new());
    loop {
        let page = named(rows, &after, AT_ONCE).await;
        let page = page.map_err(Failure::storage)?;
        let Some(last) = page.last() else { break };
        last.key.as_str().clone_into(&mut after);
        for one in &page {
            let syntax = one.syntax.as_ref().map_or("-", |it| it.as_str());
            writeln!(list, "{} {} {syntax}", one.key.as_str(), one.length)
                .map_err(Failure::storage)?;
        }
        let places = (from.clone(), to.clone());
        let given =
            tokio::task::spawn_blocking(move || given(&places.0, places.1.as_ref(), page)).await;
        let given = given.map_err(Failure::storage)?.map_err(Failure::storage)?;
        for (key, given) in &given {
            count.add(key, *given);
        }
    }
    if let Some(to) = to {
        let synced = tokio::task::spawn_blocking(move || to.sync_tree()).await;
        synced
            .map_err(Failure::storage)?
            .map_err(Failure::storage)?;
    }
    let list = list
        .into_inner()
        .map_err(|error| Failure::storage(error.into_error()))?;
    list.sync_all().map_err(Failure::storage)?;
    Ok(count)
}

fn given(
    from: &Blobs,
    to: Option<&Blobs>,
    page: Vec<Named>,
) -> Result<Vec<(BlobKey, Given)>, BlobError> {
    page.into_iter()
        .map(|one| {
            let given = match to {
                Some(to) => from.give(to, &one, false)?,
                None => match from.glance(&one)? {
                    State::Whole => Given::Linked,
                    other => Given::Not(other),
                },
            };
            Ok((one.key, given))
        })
        .collect()
}

/// Copies every file of a folder of secrets.
fn copy_keys(from: &Path, to: &Path) -> Result<Vec<(String, Kept)>, Failure> {
    keep::folder(to).map_err(Failure::storage)?;
    let mut all = Vec::new();
    for entry in entries(from)? {
        let entry = entry.map_err(Failure::storage)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() {
            copy_file(&entry.path(), &to.join(&name))?;
            all.push((name.clone(), kept(&to.join(&name))?));
        }
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    sync_folder(to)?;
    Ok(all)
}

/// Copies one file for its owner's eyes only, synced.
pub(super) fn copy_file(from: &Path, to: &Path) -> Result<(), Failure> {
    let copying = || -> std::io::Result<()> {
        let mut target = private_file(to)?;
        std::io::copy(&mut File::open(from)?, &mut target)?;
        target.sync_all()
    };
    let copied = copying().with_context(|| format!("copying {}", from.display()));
    copied.map_err(Failure::storage)
}

fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

fn made(path: &Path) -> Result<File, Failure> {
    let made = private_file(path).with_context(|| format!("making {}", path.display()));
    made.map_err(Failure::storage)
}

/// A file that somebody else made: for its owner's eyes only, and durable.
fn private(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let closing = || -> std::io::Result<()> {
        let file = File::open(path)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        file.sync_all()
    };
    closing().map_err(Failure::storage)
}

/// Length and digest of a file as it is on the disk.
pub(super) fn kept(path: &Path) -> Result<Kept, Failure> {
    let reading = || -> std::io::Result<Kept> {
        let mut file = File::open(path)?;
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        let mut buffer = vec![0; 1 << 20];
        let mut bytes = 0_u64;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            context.update(buffer.get(..read).unwrap_or_default());
            bytes += u64::try_from(read).unwrap_or(0);
        }
        file.sync_all()?;
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(context.finish().as_ref());
        Ok(Kept {
            bytes,
            sha256: Digest(sha256),
        })
    };
    let read = reading().with_context(|| format!("reading {}", path.display()));
    read.map_err(Failure::storage)
}

pub(super) fn entries(folder: &Path) -> Result<std::fs::ReadDir, Failure> {
    let read = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()));
    read.map_err(Failure::storage)
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), Failure> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    let synced = synced.with_context(|| format!("syncing {}", folder.display()));
    synced.map_err(Failure::storage)
}

/// Notes in the rows that are served that there is a copy of everything, and who may ask when.
async fn note(opened: &Opened, taken: Timestamp, count: &Count) -> Result<(), Failure> {
    let detail =
        json!({ "taken": taken.to_string(), "blobs": count.blobs, "broken": count.broken.len() });
    let noting = async {
        let mut tx = opened.parts.rows.begin().await?;
        sqlx::query(
            "INSERT INTO gateway_fact (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(LAST)
        .bind(taken.0.to_string())
        .execute(&mut *tx)
        .await?;
        let (now, who) = (opened.parts.clock.now(), "operator");
        audit::record(&mut tx, now, "backup-made", who, "", "gateway", &detail).await?;
        tx.commit().await?;
        Ok::<_, audit::AuditError>(())
    };
    noting.await.map_err(Failure::storage)
}

/// When the last backup was made; none when none was.
pub(super) async fn last(rows: &Rows) -> Result<Option<Timestamp>, sqlx::Error> {
    let found: Option<(String,)> = sqlx::query_as("SELECT value FROM gateway_fact WHERE name = $1")
        .bind(LAST)
        .fetch_optional(rows.read())
        .await?;
    Ok(found.and_then(|(value,)| value.parse().ok()).map(Timestamp))
}
