//! The agent's side in this process: a spool on disk, deliveries without a PACS, and the link.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use causeway_agent::delivery::Deliveries;
use causeway_agent::keys::Keys;
use causeway_agent::link::{self, Coding, Link, State};
use causeway_agent::protect::Protector;
use causeway_agent::spool::disk::real::RealDisk;
use causeway_agent::spool::{
    self, Arrival, CallingKind, Header, OpenError, Private, Spool, Stored, Turn,
};
use causeway_certs::tls::ClientTls;
use causeway_proto::digest::Digest;
use causeway_proto::ids::{Priority, Purpose};
use causeway_tests::stack::wait_until;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::EXPLICIT_VR_LITTLE_ENDIAN;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::LIMIT;
use super::centre::{clock, random};

/// An agent whose link is kept up.
pub(super) struct Hospital {
    pub(super) folder: TempDir,
    pub(super) spool: Spool,
    pub(super) deliveries: Deliveries,
    pub(super) state: watch::Receiver<State>,
    tls: ClientTls,
    address: SocketAddr,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Hospital {
    pub(super) async fn start(tls: &ClientTls, gateway: SocketAddr) -> anyhow::Result<Self> {
        Self::on(tempfile::tempdir()?, tls, gateway).await
    }

    /// With another configuration of the link.
    pub(super) async fn with(
        tls: &ClientTls,
        gateway: SocketAddr,
        change: impl FnOnce(&mut link::Config),
    ) -> anyhow::Result<Self> {
        let mut config = config_of(gateway);
        change(&mut config);
        Self::configured(tempfile::tempdir()?, tls, gateway, config).await
    }

    /// Begins on a folder that an agent has left.
    pub(super) async fn on(
        folder: TempDir,
        tls: &ClientTls,
        gateway: SocketAddr,
    ) -> anyhow::Result<Self> {
        Self::configured(folder, tls, gateway, config_of(gateway)).await
    }

    async fn configured(
        folder: TempDir,
        tls: &ClientTls,
        gateway: SocketAddr,
        link_config: link::Config,
    ) -> anyhow::Result<Self> {
        let mut config = spool::Config::default();
        config.complete.pacs_silence_s = 1;
        for letter in ["a", "b"] {
            let agreement = format!("{}-{letter}", tls.live.credentials().site());
            config.agreement.identified.push(agreement.parse()?);
        }
        let spool = wait_until("the spool to be free", LIMIT, async || {
            let disk = Arc::new(RealDisk::open(folder.path())?);
            let keys = Keys::open(&folder.path().join("keys"), random(), clock())?;
            let config = config.clone();
            let opened = Spool::open(config, folder.path(), keys, clock(), random(), disk).await;
            match opened {
                // of the agent before, something may still end on a blocking thread
                Err(OpenError::Locked) => Ok(None),
                opened => Ok(Some(opened?)),
            }
        })
        .await?;
        let authority = tls.live.credentials().signer_authority;
        let deliveries = Deliveries::open(
            Vec::new(),
            spool.clone(),
            Some(authority),
            clock(),
            random(),
        )
        .await?;
        let link = Link {
            config: link_config,
            tls: tls.clone(),
            spool: spool.clone(),
            deliveries: deliveries.clone(),
            protector: Protector::new(spool.clone()),
            clock: clock(),
            random: random(),
        };
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let (sender, state) = watch::channel(State::new());
        tracker.spawn(link::run(link, sender, cancel.clone()));
        let (sealing, stop) = (spool.clone(), cancel.clone());
        tracker.spawn(async move { sealing.run(stop).await });
        Ok(Self {
            folder,
            spool,
            deliveries,
            state,
            tls: tls.clone(),
            address: gateway,
            tracker,
            cancel,
        })
    }

    /// Ends and begins again on the same spool, with pixels coded on the way or not.
    pub(super) async fn restart_coding(self, coding: Coding) -> anyhow::Result<Self> {
        let (tls, address) = (self.tls.clone(), self.address);
        let folder = self.stop().await?;
        let mut config = config_of(address);
        config.coding = coding;
        Self::configured(folder, &tls, address, config).await
    }

    /// Ends and begins again on the same spool.
    pub(super) async fn restart(self) -> anyhow::Result<Self> {
        let (tls, address) = (self.tls.clone(), self.address);
        let folder = self.stop().await?;
        Self::on(folder, &tls, address).await
    }

    /// Stores one image, as the DICOM listener does.
    pub(super) async fn store(&self, study: u32, number: u32, side: u16) -> anyhow::Result<u64> {
        self.store_as(Priority::Routine, study, number, side).await
    }

    /// The same, this urgent.
    pub(super) async fn store_as(
        &self,
        priority: Priority,
        study: u32,
        number: u32,
        side: u16,
    ) -> anyhow::Result<u64> {
        let bytes = image(study, number, side)?;
        let association = self
            .spool
            .association_opened("PACS".parse()?, CallingKind::Pacs);
        let class = uids::CT_IMAGE_STORAGE.parse()?;
        let instance = format!("1.2.826.{study}.1.{number}");
        let mut writer = self
            .spool
            .begin(Arrival {
                association,
                class,
                instance: instance.parse()?,
                syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN.parse()?,
                calling: "PACS".parse()?,
                called: "CAUSEWAY".parse()?,
                address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                purpose: Purpose::Read,
                priority,
                agreement: None,
            })
            .await?;
        writer.append(&bytes).await?;
        let header = Header {
            study: format!("1.2.826.{study}").parse()?,
            series: format!("1.2.826.{study}.1").parse()?,
            instance: instance.parse()?,
            class: uids::CT_IMAGE_STORAGE.parse()?,
            modality: "CT".to_owned(),
            turn: Turn::of(false, Some(number.into())),
            image: true,
            pixel_digest: Some(Digest::of(&bytes)),
            patient_id: Private::new("PID"),
            issuer: Private::default(),
            patient_name: Private::new("Test^Link"),
            accession: Private::new("ACC"),
            description: Private::new("TEST"),
        };
        let stored = self.spool.commit(writer, header).await?;
        assert_eq!(stored, Stored::New);
        self.spool.association_closed(association).await;
        Ok(bytes.len() as u64)
    }

    /// Waits for a state of the link.
    pub(super) async fn wait(
        &mut self,
        what: &str,
        fits: impl FnMut(&State) -> bool,
    ) -> anyhow::Result<State> {
        let limit = Duration::from_secs(30);
        if let Ok(state) = tokio::time::timeout(limit, self.state.wait_for(fits)).await {
            return Ok(state?.clone());
        }
        anyhow::bail!("waited for {what}; the link is {:?}", self.state.borrow())
    }

    pub(super) async fn wait_up(&mut self) -> anyhow::Result<()> {
        self.wait("the link", |state| matches!(state, State::Up { .. }))
            .await?;
        Ok(())
    }

    /// Waits until the link is down, and gives the code and the sentence.
    pub(super) async fn wait_down(&mut self) -> anyhow::Result<(Option<&'static str>, String)> {
        let down = self
            .wait("the end of the link", |state| {
                matches!(state, State::Down { .. })
            })
            .await?;
        match down {
            State::Down { code, sentence, .. } => Ok((code, sentence)),
            other => anyhow::bail!("{other:?}"),
        }
    }

    pub(super) async fn stop(self) -> anyhow::Result<TempDir> {
        self.cancel.cancel();
        self.tracker.close();
        tokio::time::timeout(Duration::from_secs(20), self.tracker.wait())
            .await
            .context("the agent did not end in time")?;
        self.spool.close().await;
        Ok(self.folder)
    }
}

/// Short times, so that a test need not wait for what a hospital waits for.
fn config_of(gateway: SocketAddr) -> link::Config {
    link::Config {
        address: gateway.to_string(),
        server_name: Some("localhost".to_owned()),
        connect_timeout_s: 3,
        idle_timeout_s: 2,
        keep_alive_s: 1,
        retry_first_ms: 50,
        retry_longest_s: 1,
        // what these tests count on the line are the bytes as they are
        coding: Coding::Off,
        ..link::Config::default()
    }
}

/// Numbers without a pattern that a coding would find.
fn scattered(at: u32, number: u32) -> u32 {
    let mixed = at.wrapping_mul(2_654_435_761) ^ number;
    let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x2C1B_3C6D);
    (mixed ^ (mixed >> 12)).wrapping_mul(0x297A_2D39)
}

/// A CT image of `side` times `side` pixels that differs from every other.
fn image(study: u32, number: u32, side: u16) -> anyhow::Result<Vec<u8>> {
    let text = |tag, vr, value: String| DataElement::new(tag, vr, PrimitiveValue::from(value));
    let short = |tag, value: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(value));
    let pixels: Vec<u16> = (0..u32::from(side) * u32::from(side))
        .map(|at| u16::try_from(scattered(at, number) >> 20).unwrap_or(0))
        .collect();
    let object = InMemDicomObject::from_element_iter([
        text(
            tags::SOP_CLASS_UID,
            VR::UI,
            uids::CT_IMAGE_STORAGE.to_owned(),
        ),
        text(
            tags::SOP_INSTANCE_UID,
            VR::UI,
            format!("1.2.826.{study}.1.{number}"),
        ),
        text(tags::STUDY_DATE, VR::DA, "20260101".to_owned()),
        text(tags::MODALITY, VR::CS, "CT".to_owned()),
        text(tags::PATIENT_NAME, VR::PN, "Test^Link".to_owned()),
        text(tags::PATIENT_ID, VR::LO, "PID".to_owned()),
        text(tags::STUDY_INSTANCE_UID, VR::UI, format!("1.2.826.{study}")),
        text(
            tags::SERIES_INSTANCE_UID,
            VR::UI,
            format!("1.2.826.{study}.1"),
        ),
        text(tags::INSTANCE_NUMBER, VR::IS, number.to_string()),
        short(tags::SAMPLES_PER_PIXEL, 1),
        text(
            tags::PHOTOMETRIC_INTERPRETATION,
            VR::CS,
            "MONOCHROME2".to_owned(),
        ),
        short(tags::ROWS, side),
        short(tags::COLUMNS, side),
        short(tags::BITS_ALLOCATED, 16),
        short(tags::BITS_STORED, 16),
        short(tags::HIGH_BIT, 15),
        short(tags::PIXEL_REPRESENTATION, 0),
        DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into())),
    ]);
    let mut bytes = Vec::new();
    object.write_dataset_with_ts(&mut bytes, &EXPLICIT_VR_LITTLE_ENDIAN.erased())?;
    Ok(bytes)
}
