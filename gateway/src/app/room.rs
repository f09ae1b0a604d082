//! Looks after room on the disk: what can be made again goes first, and what is held for rows and audit is held again when there is room.

use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::archive::Archive;
use crate::archive::floor::Level;
use crate::parts::Parts;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);

/// Runs until the process is to end.
pub(super) async fn run(parts: Parts, archive: Archive) {
    let mut said = Level::Room;
    while !parts.cancel.is_cancelled() {
        let looking = archive.clone();
        match spawn_blocking(move || look(&looking)).await {
            Ok(level) => {
                if level != said {
                    tell(&archive, level);
                }
                said = level;
            }
            Err(error) => tracing::error!(%error, "room on the disk could not be looked after"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = parts.cancel.cancelled() => {}
        }
    }
}

/// One look. Waits for the disk.
pub(crate) fn look(archive: &Archive) -> Level {
    let mut level = archive.floor.level();
    if level != Level::Room && archive.derived.clear() {
        level = archive.floor.level();
    }
    if let Some(reserve) = archive.rows.reserve()
        && let Err(error) = reserve.hold(archive.floor.hard_bytes())
    {
        tracing::error!(%error, "no room can be held for rows and audit");
    }
    level
}

fn tell(archive: &Archive, level: Level) {
    let left = archive.floor.told();
    let left = left.map_or_else(|error| error.to_string(), |(_, sentence)| sentence);
    match level {
        Level::Room => tracing::info!(left, "there is room on the disk"),
        Level::Low => tracing::warn!(left, "the disk is filling"),
        Level::Full => tracing::error!(left, "the disk is full"),
    }
}
