//! A door over an archive with two sites, small objects made by hand, and public files as objects.

use bytes::Bytes;
use causeway_proto::digest::{ContentHasher, Digest};
use causeway_proto::ids::Purpose;
use causeway_proto::link::message::{Manifest, ManifestEntry, Open, Trailer, Withheld};
use tempfile::TempDir;

use crate::ingest::index::tests::part10;
use causeway_proto::ids::SiteId;
use causeway_proto::link::message::{Instance, InstanceKey, Receipt};
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};

use crate::archive::Archive;
use crate::ingest::{Begun, Config, Ingest, IngestError};
use crate::rows::Rows;
use crate::rows::tests::on_both;
use crate::worklist::Events;

pub(crate) const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
pub(crate) const SR: &str = "1.2.840.10008.5.1.4.1.1.88.11";
pub(crate) const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// A gateway's door with one site `s1` and its agreement `g1`.
pub(crate) struct Stand {
    pub(crate) door: Ingest,
    pub(crate) rows: Rows,
    pub(crate) archive: Archive,
    pub(super) folder: TempDir,
}

pub(super) fn random() -> Random {
    Random::new(|out| {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        for chunk in out.chunks_mut(8) {
            let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let bytes = Digest::of(&n.to_le_bytes()).0;
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    })
}

pub(super) fn clock() -> Clock {
    Clock::new(|| {
        static NOW: std::sync::atomic::AtomicI64 =
            std::sync::atomic::AtomicI64::new(1_800_000_000_000_000);
        Timestamp(NOW.fetch_add(1000, std::sync::atomic::Ordering::Relaxed))
    })
}

/// The sites `s1` and `s2` with their agreements `g1` and `g2`.
pub(crate) async fn seed(rows: &Rows) {
    for sql in [
        "INSERT INTO site (id, name, country, time_zone, language, phone, created_us) VALUES ('s1', 'n', 'GR', 'Europe/Athens', 'el', '1', 1), ('s2', 'n', 'GR', 'Europe/Athens', 'el', '1', 1)",
        "INSERT INTO agreement (id, site_id, organisation, identity, language, created_us) VALUES ('g1', 's1', 'Night Readers', 'identified', 'en', 1), ('g2', 's2', 'Others', 'identified', 'en', 1)",
    ] {
        let mut tx = rows.begin().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// A door to an archive.
pub(crate) async fn door(archive: &Archive) -> Ingest {
    let config = Config {
        // the test's clock is not the file system's
        incoming_age_h: 24 * 365 * 20,
        ..Config::default()
    };
    Ingest::new(
        config,
        archive.clone(),
        Events::default(),
        clock(),
        random(),
    )
    .await
    .unwrap()
}

/// Opens a study of site `s1`.
pub(crate) async fn open(door: &Ingest, study: &str, purpose: Purpose) {
    let open = Open {
        study: study.parse().unwrap(),
        agreement: "g1".parse().unwrap(),
        purpose,
        priority: causeway_proto::ids::Priority::Routine,
        case: causeway_proto::ids::CaseCode::draw(&random()),
        first_received: Timestamp(1),
        blocked: None,
        remarks: Vec::new(),
        identity: None,
    };
    door.open(&site(), &open).await.unwrap();
}

/// Sends an object from site `s1`.
pub(crate) async fn send(door: &Ingest, object: &Object) -> Result<Receipt, IngestError> {
    match door.begin_instance(&site(), &object.message(0)).await? {
        Begun::Held(receipt) => Ok(receipt),
        Begun::Incoming(mut incoming) => {
            for chunk in object.bytes.chunks(100_000) {
                incoming.append(Bytes::copy_from_slice(chunk)).await?;
            }
            incoming.finish(&object.trailer()).await
        }
    }
}

impl Stand {
    pub(crate) async fn on(rows: Rows, folder: TempDir) -> Self {
        Self::with(rows, folder, &crate::archive::Config::default()).await
    }

    pub(super) async fn with(rows: Rows, folder: TempDir, config: &crate::archive::Config) -> Self {
        seed(&rows).await;
        let archive = Archive::open(config, rows.clone(), folder.path()).unwrap();
        let door = door(&archive).await;
        Self {
            door,
            rows,
            archive,
            folder,
        }
    }

    /// The same data folder under a new process.
    pub(super) async fn restart(self) -> Self {
        let archive = Archive::open(
            &crate::archive::Config::default(),
            self.rows.clone(),
            self.folder.path(),
        )
        .unwrap();
        let door = door(&archive).await;
        Self {
            door,
            archive,
            ..self
        }
    }

    pub(super) async fn open(&self, study: &str, purpose: Purpose) {
        open(&self.door, study, purpose).await;
    }

    pub(super) async fn send(&self, object: &Object) -> Result<Receipt, IngestError> {
        send(&self.door, object).await
    }

    pub(super) async fn run(&self, sql: &'static str) {
        let mut tx = self.rows.begin().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub(super) async fn count(&self, sql: &'static str) -> i64 {
        let (count,): (i64,) = sqlx::query_as(sql)
            .fetch_one(self.rows.read())
            .await
            .unwrap();
        count
    }

    pub(super) async fn manifest(
        &self,
        version: u32,
        objects: &[&Object],
    ) -> causeway_proto::link::message::Sealed {
        let manifest = Self::manifest_of(version, objects);
        self.door.manifest(&site(), &manifest).await.unwrap()
    }

    pub(super) fn manifest_of(version: u32, objects: &[&Object]) -> Manifest {
        Manifest {
            study: "1.2.3".parse().unwrap(),
            agreement: "g1".parse().unwrap(),
            version,
            entries: objects
                .iter()
                .map(|object| ManifestEntry {
                    instance: object.sop.parse().unwrap(),
                    sent_digest: object.digest(),
                    length: object.bytes.len() as u64,
                })
                .collect(),
            withheld: vec![Withheld {
                class: CT.parse().unwrap(),
                modality: "OT".into(),
                count: 1,
                reason: "dose page".into(),
            }],
            basis: "silence".into(),
            sealed_at: Timestamp(5),
            reports: None,
        }
    }
}

pub(super) fn site() -> SiteId {
    "s1".parse().unwrap()
}

/// A dataset and what is said about it.
#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) study: String,
    pub(crate) series: String,
    pub(crate) sop: String,
    pub(crate) class: String,
    pub(crate) syntax: String,
    pub(crate) bytes: Bytes,
    pub(crate) tag: Digest,
}

impl Object {
    /// A small explicit little endian object with these further elements.
    pub(crate) fn made(sop: &str, class: &str, more: &[(u32, &str, &[u8])]) -> Self {
        let mut elements: Vec<(u32, &str, &[u8])> = vec![
            (0x0008_0016, "UI", class.as_bytes()),
            (0x0008_0018, "UI", sop.as_bytes()),
            (0x0008_0060, "CS", b"CT"),
            (0x0020_000D, "UI", b"1.2.3"),
            (0x0020_000E, "UI", b"1.2.3.4"),
        ];
        elements.retain(|(tag, ..)| more.iter().all(|(other, ..)| other != tag));
        elements.extend_from_slice(more);
        elements.sort_by_key(|(tag, ..)| *tag);
        let mut bytes = Vec::new();
        for (tag, vr, value) in elements {
            bytes.extend_from_slice(&u16::try_from(tag >> 16).unwrap().to_le_bytes());
            bytes.extend_from_slice(&u16::try_from(tag & 0xFFFF).unwrap().to_le_bytes());
            bytes.extend_from_slice(vr.as_bytes());
            let padded = value.len() + value.len() % 2;
            if matches!(vr, "OB" | "OW" | "UN" | "SQ" | "UT") {
                bytes.extend_from_slice(&[0, 0]);
                bytes.extend_from_slice(&u32::try_from(padded).unwrap().to_le_bytes());
            } else {
                bytes.extend_from_slice(&u16::try_from(padded).unwrap().to_le_bytes());
            }
            bytes.extend_from_slice(value);
            bytes.resize(bytes.len() + padded - value.len(), 0);
        }
        Self::of_bytes(sop, class, EXPLICIT, bytes.into())
    }

    pub(super) fn of_bytes(sop: &str, class: &str, syntax: &str, bytes: Bytes) -> Self {
        Self {
            study: "1.2.3".into(),
            series: "1.2.3.4".into(),
            sop: sop.into(),
            class: class.into(),
            syntax: syntax.into(),
            tag: Digest::of(&bytes),
            bytes,
        }
    }

    pub(crate) fn digest(&self) -> Digest {
        let mut hasher = ContentHasher::new(&self.syntax.parse().unwrap());
        hasher.update(&self.bytes);
        hasher.finish()
    }

    pub(super) fn message(&self, offset: u64) -> Instance {
        Instance {
            study: self.study.parse().unwrap(),
            series: self.series.parse().unwrap(),
            instance: self.sop.parse().unwrap(),
            class: self.class.parse().unwrap(),
            syntax: self.syntax.parse().unwrap(),
            agreement: "g1".parse().unwrap(),
            source_tag: self.tag,
            coding: 0,
            offset,
        }
    }

    pub(super) fn trailer(&self) -> Trailer {
        Trailer {
            length: self.bytes.len() as u64,
            digest: self.digest(),
        }
    }

    pub(super) fn key(&self) -> InstanceKey {
        InstanceKey {
            agreement: "g1".parse().unwrap(),
            instance: self.sop.parse().unwrap(),
            source_tag: self.tag,
        }
    }
}

pub(super) async fn stands() -> Vec<Stand> {
    let mut all = Vec::new();
    for (folder, rows) in on_both().await {
        let stand = Stand::on(rows, folder).await;
        stand.open("1.2.3", Purpose::Read).await;
        all.push(stand);
    }
    all
}

/// A public file as its own UIDs name it; none for a file without them.
pub(crate) fn public_object(path: &std::path::Path) -> Option<Object> {
    let (syntax, bytes) = part10(path)?;
    let limits = causeway_proto::prescan::Limits::default();
    let scan = causeway_proto::prescan::prescan(&bytes[..], &syntax, &limits).ok()?;
    Some(Object {
        study: scan.study?.to_string(),
        series: scan.series?.to_string(),
        sop: scan.instance?.to_string(),
        class: scan.class?.to_string(),
        syntax: syntax.to_string(),
        tag: Digest::of(&bytes),
        bytes,
    })
}
