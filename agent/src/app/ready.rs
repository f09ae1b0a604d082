//! What an agent that is ready needs: a disk that takes a write, rows that take a commit, a clock that can be, a certificate that goes on
//! holding.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use causeway_observe::{Cause, Found, Probe, Readiness};
use causeway_proto::time::Timestamp;

use crate::audit;
use crate::link;
use crate::observe::control::Desk;
use crate::spool::Admission;

/// Before this the clock has certainly not been set.
const BUILT: Timestamp = Timestamp(1_760_000_000_000_000);
/// A clock that is further behind its own last record was set back.
const SET_BACK: Duration = Duration::from_secs(5 * 60);
/// A certificate that ends sooner is one that nobody renews.
const ENDS_SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// The looks, in the order in which one explains the next.
pub(super) fn readiness(folder: &Path, desk: &Desk) -> Readiness {
    let (disk, rows, clock, certificate, line) = (
        desk.clone(),
        desk.clone(),
        desk.clone(),
        desk.clone(),
        desk.clone(),
    );
    let folder = folder.to_owned();
    let probes = vec![
        Probe::new("disk-full", move || {
            let found = room(&disk);
            async move { found }
        }),
        Probe::new("disk-write", move || {
            let file = folder.join("probe");
            async move {
                let written = tokio::task::spawn_blocking(move || write(&file)).await;
                let refused = |error: &dyn std::error::Error| {
                    let sentence = format!("nothing can be written into the spool folder: {error}");
                    Cause::new("disk-write", sentence)
                };
                match written {
                    Ok(Ok(())) => Ok(None),
                    Ok(Err(error)) => Err(refused(&error)),
                    Err(error) => Err(refused(&error)),
                }
            }
        }),
        Probe::new("rows", move || {
            let desk = rows.clone();
            async move {
                let committed = desk.spool.rows().try_to_commit(desk.clock.now()).await;
                let refused =
                    |error| Cause::new("rows", format!("nothing can be committed: {error}"));
                committed.map(|()| None).map_err(refused)
            }
        }),
        Probe::new("clock", move || {
            let desk = clock.clone();
            async move { time(&desk).await }
        }),
        Probe::new("certificate", move || {
            let (end, now) = (certificate.certificate.get(), certificate.clock.now());
            async move { holds(end, now) }
        }),
        Probe::new("link", move || {
            let found = link(&line.link.borrow());
            async move { Ok(found) }
        }),
    ];
    Readiness::new("the agent", probes)
}

fn room(desk: &Desk) -> Found {
    match desk.spool.admission() {
        Admission::Open => Ok(None),
        Admission::Congested => Ok(Some(Cause::new(
            "disk-low",
            "below the soft floor: new associations are turned away",
        ))),
        Admission::Full => Err(Cause::new(
            "disk-full",
            "nothing is received: the disk is below its hard floor, or promised bytes are missing",
        )),
    }
}

/// The same file each time: nothing is left, and nothing grows.
fn write(file: &PathBuf) -> std::io::Result<()> {
    let mut file = std::fs::File::create(file)?;
    file.write_all(b"this file is written to see whether the disk takes a write\n")?;
    file.sync_all()
}

async fn time(desk: &Desk) -> Found {
    let (now, wrong) = (desk.clock.now(), |sentence: String| {
        Err(Cause::new("clock", sentence))
    });
    if now <= BUILT {
        return wrong(format!("the clock says {now}: it is not set"));
    }
    let last = audit::last_at(desk.spool.rows()).await;
    let refused = |error: audit::AuditError| Cause::new("rows", error.to_string());
    match last.map_err(refused)? {
        Some(last) if now < last.minus(SET_BACK) => wrong(format!(
            "the clock says {now}, and the last record of the audit trail is of {last}: it was set back, or was wrong then"
        )),
        _ => Ok(None),
    }
}

fn holds(end: Timestamp, now: Timestamp) -> Found {
    if end.minus(ENDS_SOON) < now {
        let sentence = format!("the certificate of the link ends at {end}");
        return Err(Cause::new("certificate", sentence));
    }
    Ok(None)
}

/// A link that is down is no reason to send nothing to the agent: that is what it is for.
fn link(state: &link::State) -> Option<Cause> {
    match state {
        link::State::Up { .. } => None,
        link::State::Connecting { .. } => Some(Cause::new("link-down", "the link is being made")),
        link::State::Down { sentence, .. } => Some(Cause::new("link-down", sentence.clone())),
    }
}
