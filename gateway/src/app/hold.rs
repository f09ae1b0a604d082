//! The lock on the data folder, and the file that tells the ports.

use std::fs::{File, OpenOptions};
use std::path::Path;

use anyhow::{Context, anyhow};
use causeway_certs::keep;
use rustix::fs::{FlockOperation, flock};

use super::Failure;

/// Held for as long as the process serves from this folder.
#[derive(Debug)]
pub(super) struct Lock(
    #[expect(dead_code, reason = "held, not read: closing it gives the lock back")] File,
);

pub(super) fn lock(data: &Path) -> Result<Lock, Failure> {
    let path = data.join("gateway.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))
        .map_err(Failure::storage)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Failure::conflict(anyhow!(
            "another causeway-gateway serves from {}",
            data.display()
        ))),
        Err(error) => Err(Failure::storage(
            anyhow!(error).context("locking the data folder"),
        )),
    }
}

/// Where this process listens, for scripts and for a configuration with port 0.
pub(super) fn write_ports(
    data: &Path,
    mark: &str,
    ports: &serde_json::Value,
) -> Result<(), Failure> {
    keep::replace(&data.join("ports.json"), mark, &format!("{ports}\n")).map_err(Failure::storage)
}
