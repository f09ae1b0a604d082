//! Secrets on disk: written whole or not at all, synced, readable by their owner only.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A key or certificate file could not be kept or read.
#[derive(Debug, Error)]
pub enum KeepError {
    /// The file system refused.
    #[error("{tried} {path}")]
    Io {
        /// What was tried.
        tried: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others may read a secret.
    #[error(
        "{path} may be read by others than its owner (mode {mode:o}): chmod 600 it, or take it as stolen and start anew"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode bits.
        mode: u32,
    },
}

fn at(tried: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeepError {
    let path = path.to_owned();
    move |source| KeepError::Io {
        tried,
        path,
        source,
    }
}

/// Makes a folder that only its owner may enter; one that exists stays as it is.
///
/// # Errors
/// When it cannot be made.
pub fn folder(path: &Path) -> Result<(), KeepError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(at("making the folder", path))
}

/// Reads a secret and insists that only its owner can. `None` when there is no such file.
///
/// # Errors
/// When it cannot be read, or others may read it.
pub fn read_secret(path: &Path) -> Result<Option<String>, KeepError> {
    let Some(text) = read(path)? else {
        return Ok(None);
    };
    let mode = std::fs::metadata(path)
        .map_err(at("looking at", path))?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeepError::Open {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(Some(text))
}

/// Reads a file that is no secret. `None` when there is no such file.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Option<String>, KeepError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at("reading", path)(error)),
    }
}

/// Writes a file that must not exist yet: synced before it gets its name. False when another process was first; its file stays.
///
/// # Errors
/// When it cannot be written durably.
pub fn create(path: &Path, mark: &str, text: &str) -> Result<bool, KeepError> {
    let draft = write_draft(path, mark, text)?;
    let linked = match std::fs::hard_link(&draft, path) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(at("naming", path)(error)),
    };
    std::fs::remove_file(&draft).map_err(at("removing the draft of", path))?;
    sync_folder(path)?;
    Ok(linked)
}

/// Puts a file in the place of another, or where none was: synced before it gets its name.
///
/// # Errors
/// When it cannot be written durably; what was there stays.
pub fn replace(path: &Path, mark: &str, text: &str) -> Result<(), KeepError> {
    let draft = write_draft(path, mark, text)?;
    rename(&draft, path)
}

/// Gives a file another name, durably.
///
/// # Errors
/// When the file system refuses.
pub fn rename(from: &Path, to: &Path) -> Result<(), KeepError> {
    std::fs::rename(from, to).map_err(at("naming", to))?;
    sync_folder(to)
}

fn write_draft(path: &Path, mark: &str, text: &str) -> Result<PathBuf, KeepError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(mark);
    let draft = path.with_file_name(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(at("making", &draft))?;
    file.write_all(text.as_bytes())
        .map_err(at("writing", &draft))?;
    file.sync_all().map_err(at("syncing", &draft))?;
    Ok(draft)
}

fn sync_folder(path: &Path) -> Result<(), KeepError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(at("syncing the folder of", path))
}
