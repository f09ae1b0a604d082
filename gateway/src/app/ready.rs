//! What has to hold for work to be taken: room on the disk, a write that reaches it, a commit, a clock that goes forward, certificates
//! that go on holding.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use causeway_certs::identity::validity_of;
use causeway_proto::time::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::Opened;
use crate::alarm::Certificates;
use crate::archive::floor::Level;
use crate::archive::{Archive, fault};
use crate::audit;
use crate::config::Config;
use crate::observe::{Cause, Found, Gauge, Gauges, Probe};
use crate::parts::Parts;

/// Before this the clock has certainly not been set.
const BUILT: Timestamp = Timestamp(1_760_000_000_000_000);
/// A clock that is further behind its own last record was set back.
const SET_BACK: Duration = Duration::from_secs(5 * 60);
/// A certificate that ends sooner is one that nobody renews.
const ENDS_SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// The looks, in the order in which one explains the next.
pub(super) fn probes(config: &Config, opened: &Opened) -> Vec<Probe> {
    let parts = opened.parts.clone();
    let (archive, writing) = (opened.archive.clone(), opened.archive.floor.clone());
    let (rows, clock, damage) = (parts.clone(), parts.clone(), parts.clone());
    let chain = config.http.tls_certificate.clone().map(Arc::new);
    vec![
        Probe::new("disk-full", move || {
            let archive = archive.clone();
            async move { room(&archive) }
        }),
        Probe::new("disk-write", move || {
            let floor = writing.clone();
            async move {
                let cause = |error: crate::archive::BlobError| Cause::new("disk-write", of(&error));
                floor.try_to_write().await.map(|()| None).map_err(cause)
            }
        }),
        Probe::new("rows", move || {
            let parts = rows.clone();
            async move {
                let committed = parts.rows.try_to_commit(parts.clock.now()).await;
                committed
                    .map(|()| None)
                    .map_err(|error| Cause::new("rows", of(&error)))
            }
        }),
        Probe::new("blobs", move || {
            let parts = damage.clone();
            async move { blobs(&parts).await }
        }),
        Probe::new("clock", move || {
            let parts = clock.clone();
            async move { time(&parts).await }
        }),
        Probe::new("certificate", move || {
            let (parts, chain) = (parts.clone(), chain.clone());
            async move { certificates(&parts, chain.as_deref().map(PathBuf::as_path)) }
        }),
    ]
}

/// An error with all that caused it.
pub(super) fn of(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        sentence.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    sentence
}

fn room(archive: &Archive) -> Found {
    match archive.floor.told() {
        Ok((Level::Room, _)) if archive.rows.reserve().is_some_and(|it| !it.is_held()) => {
            let sentence = "no room is held for rows and audit";
            Ok(Some(Cause::new("disk-reserve", sentence)))
        }
        Ok((Level::Room, _)) => Ok(None),
        Ok((Level::Low, sentence)) => Ok(Some(Cause::new("disk-low", sentence))),
        Ok((Level::Full, sentence)) => Err(Cause::new("disk-full", sentence)),
        Err(error) => Err(Cause::new("disk-full", of(&error))),
    }
}

/// Whether a clock can be: after this program was made, and not before what was recorded last.
pub(super) fn is_sane(now: Timestamp, last: Option<Timestamp>) -> Result<(), String> {
    if now <= BUILT {
        return Err(format!("the clock says {now}: it is not set"));
    }
    match last {
        Some(last) if now < last.minus(SET_BACK) => Err(format!(
            "the clock says {now}, and the last record of the audit trail is of {last}: it was set back, or was wrong then"
        )),
        _ => Ok(()),
    }
}

/// Blobs that are damaged are no reason to take no work: they are told.
async fn blobs(parts: &Parts) -> Found {
    let standing = fault::standing(&parts.rows).await;
    let (damaged, gone) = standing.map_err(|error| Cause::new("rows", of(&error)))?;
    Ok((damaged > 0).then(|| Cause::new("blobs-damaged", told(damaged, gone))))
}

/// How damaged blobs are told.
pub(super) fn told(damaged: i64, gone: i64) -> String {
    format!(
        "blobs that are damaged and are asked for again: {}; that their sites do not have any more: {gone}",
        damaged.saturating_sub(gone)
    )
}

async fn time(parts: &Parts) -> Found {
    let last = audit::last_at(parts.rows.read()).await;
    let last = last.map_err(|error| Cause::new("rows", of(&error)))?;
    is_sane(parts.clock.now(), last)
        .map(|()| None)
        .map_err(|sentence| Cause::new("clock", sentence))
}

/// Whether a certificate holds now, and for long enough that somebody can still do something.
pub(super) fn holds(what: &str, der: &CertificateDer<'_>, now: Timestamp) -> Result<(), String> {
    let Some(validity) = validity_of(der) else {
        return Err(format!("the certificate of {what} cannot be read"));
    };
    let end = validity.not_after;
    if !validity.holds(now) {
        let begin = validity.not_before;
        return Err(format!(
            "the clock says {now}, and the certificate of {what} holds from {begin} to {end}"
        ));
    }
    if end.minus(ENDS_SOON) < now {
        return Err(format!("the certificate of {what} ends at {end}"));
    }
    Ok(())
}

fn certificates(parts: &Parts, chain: Option<&Path>) -> Found {
    let now = parts.clock.now();
    for (_, what, der) in all_certificates(parts, chain) {
        let held = match der {
            Some(der) => holds(what, &der, now),
            None => Err(format!("the certificate of {what} cannot be read")),
        };
        held.map_err(|sentence| Cause::new("certificate", sentence))?;
    }
    Ok(None)
}

/// A word for each of our certificates, what it is called, and its bytes as they are now.
type Shown = (&'static str, &'static str, Option<CertificateDer<'static>>);

fn all_certificates(parts: &Parts, chain: Option<&Path>) -> Vec<Shown> {
    let link = parts.link_authority.certificate().clone();
    let signer = parts.signer_authority.certificate().clone();
    let mut all = vec![
        ("link-authority", "the link authority", Some(link)),
        ("signer-authority", "the signer authority", Some(signer)),
        ("link", "the link", parts.live.certificate()),
    ];
    if let Some(chain) = chain {
        let first = CertificateDer::from_pem_file(chain).ok();
        let what = "the reading room (http.tls_certificate)";
        all.push(("reading-room", what, first));
    }
    all
}

/// When each of them ends.
pub(super) fn certificate_ends(config: &Config, parts: &Parts) -> Certificates {
    let (parts, chain) = (parts.clone(), config.http.tls_certificate.clone());
    Certificates::new(move || {
        let end = |der: CertificateDer<'_>| validity_of(&der).map(|it| it.not_after);
        let all = all_certificates(&parts, chain.as_deref()).into_iter();
        all.map(|(word, _, der)| (word, der.and_then(end)))
            .collect()
    })
}

/// What is measured beside the rows.
pub(super) fn gauges(opened: &Opened) -> Gauges {
    let (floor, rows) = (opened.archive.floor.clone(), opened.parts.rows.clone());
    Box::new(move || {
        let Ok(left) = floor.left() else {
            return Vec::new();
        };
        let mut all: Vec<Gauge> = vec![(
            "causeway_disk_free_bytes",
            "bytes that are free for the data folder",
            left.bytes,
        )];
        if let Some(files) = left.files {
            all.push((
                "causeway_disk_free_files",
                "files that can still be made in the data folder",
                files,
            ));
        }
        if let Some(reserve) = rows.reserve() {
            all.push((
                "causeway_disk_reserve_held",
                "whether room is held for rows and audit",
                u64::from(reserve.is_held()),
            ));
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use causeway_proto::time::Clock;
    use serde_json::json;

    use super::*;
    use crate::app::{open, system_clock, system_random};
    use crate::observe::Readiness;

    const DAY_US: i64 = 24 * 3600 * 1_000_000;

    /// A gateway's rooms, opened in a folder of their own, with a clock that can be set.
    struct Stand {
        folder: tempfile::TempDir,
        config: Config,
        opened: Opened,
        ahead: Arc<AtomicI64>,
    }

    impl Stand {
        async fn new(disk: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let data = folder.path().join("data");
            let text = format!(
                "data = {:?}\n[link]\nnames = [\"localhost\"]\n[archive.disk]\n{disk}",
                data.display().to_string()
            );
            let config = crate::config::parse("gateway.toml", &text).unwrap();
            let ahead = Arc::new(AtomicI64::new(0));
            let (set, real) = (Arc::clone(&ahead), system_clock());
            let clock = Clock::new(move || Timestamp(real.now().0 + set.load(Ordering::Relaxed)));
            let opened = open(&config, clock, system_random()).await.unwrap();
            crate::app::room::look(&opened.archive);
            Self {
                folder,
                config,
                opened,
                ahead,
            }
        }

        async fn ask(&self) -> Result<Vec<Cause>, Cause> {
            let (rows, clock) = (&self.opened.parts.rows, &self.opened.parts.clock);
            let (probes, gauges) = (probes(&self.config, &self.opened), gauges(&self.opened));
            let readiness = Readiness::new(rows.clone(), clock.clone(), probes, gauges);
            readiness.open();
            readiness.ask().await
        }

        async fn code(&self) -> &'static str {
            match self.ask().await {
                Ok(notes) => notes.first().map_or("ready", |note| note.code),
                Err(cause) => cause.code,
            }
        }

        fn set(&self, days: i64) {
            self.ahead.store(days * DAY_US, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn each_thing_that_breaks_is_named_and_readiness_comes_back_with_it() {
        let stand = Stand::new("").await;
        assert_eq!(stand.code().await, "ready");

        let probe = stand.folder.path().join("data/probe");
        assert!(probe.is_file());
        std::fs::remove_file(&probe).unwrap();
        std::fs::create_dir(&probe).unwrap();
        let cause = stand.ask().await.unwrap_err();
        assert_eq!(cause.code, "disk-write");
        assert!(cause.sentence.contains("directory"), "{cause}");
        std::fs::remove_dir(&probe).unwrap();
        assert_eq!(stand.code().await, "ready");

        let mut tx = stand.opened.parts.rows.begin().await.unwrap();
        let (now, none) = (stand.opened.parts.clock.now(), json!({}));
        audit::record(&mut tx, now, "started", "gateway", "", "gateway", &none)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        stand.set(-1);
        let cause = stand.ask().await.unwrap_err();
        assert_eq!(cause.code, "clock");
        assert!(cause.sentence.contains("set back"), "{cause}");
        stand.set(-20_000);
        let cause = stand.ask().await.unwrap_err();
        assert!(cause.sentence.contains("not set"), "{cause}");
        stand.set(0);
        assert_eq!(stand.code().await, "ready");

        // nobody renews the certificate of the link here
        stand.set(84);
        let cause = stand.ask().await.unwrap_err();
        assert_eq!(cause.code, "certificate");
        assert!(cause.sentence.contains("the link ends at"), "{cause}");
        stand.set(0);
        assert_eq!(stand.code().await, "ready");

        stand.opened.parts.rows.close().await;
        assert_eq!(stand.code().await, "rows");
    }

    #[tokio::test]
    async fn a_disk_below_its_floors_is_named() {
        for (floors, expect) in [
            ("soft_floor_bytes = 9000000000000000000", "disk-low"),
            (
                "soft_floor_bytes = 9000000000000000000\nhard_floor_bytes = 9000000000000000000",
                "disk-full",
            ),
        ] {
            let stand = Stand::new(floors).await;
            assert_eq!(stand.code().await, expect);
        }
    }
}
