//! Two servers with the same studies: our gateway, filled through its agent, and Orthanc with its DICOMweb plugin.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::phantom::{self, Identity};
use causeway_tests::sender::{self, Answer};
use causeway_tests::stack::wait_until;
use causeway_tests::tools::Orthanc;

use super::line::Place;

/// The study that is read has so many slices.
pub(crate) const SLICES: u16 = 500;
/// So many other studies lie beside it.
pub(crate) const OTHERS: u32 = 200;

/// The two servers and the study that both hold.
pub(crate) struct Servers {
    pub(crate) hospital: Hospital,
    pub(crate) orthanc: Orthanc,
    pub(crate) study: Identity,
    _folder: tempfile::TempDir,
}

impl Servers {
    pub(crate) async fn start(others: u32) -> anyhow::Result<Self> {
        rustls::crypto::aws_lc_rs::default_provider()
            .install_default()
            .ok();
        let folder = tempfile::tempdir()?;
        let orthanc = Orthanc::with_dicomweb(&folder.path().join("orthanc")).await?;
        let hospital = Hospital::start(Behaviour::default()).await?;
        let mut files = Vec::new();
        for number in 0..others {
            let mut other = Identity::sample(&format!("2.25.4712.{number}"), "20261101", "080000");
            other.accession = format!("OTHER-{number}");
            other.patient_id = format!("OTHER-{number}");
            other.patient_name = format!("OTHER^PATIENT {number}");
            let place = folder.path().join(format!("other-{number}"));
            files.extend(phantom::write_long(&place, &other, 1)?);
        }
        let study = hospital.study(1);
        files.extend(phantom::write_long(
            &folder.path().join("study"),
            &study,
            SLICES,
        )?);
        store(&files, orthanc.dicom(), Orthanc::AE_TITLE).await?;
        store(&files, &hospital.stack.dicom(), "CAUSEWAY").await?;
        std::fs::remove_dir_all(folder.path().join("study"))?;
        let servers = Self {
            hospital,
            orthanc,
            study,
            _folder: folder,
        };
        servers.whole(others).await?;
        Ok(servers)
    }

    /// Waits until the gateway holds everything and is at rest.
    async fn whole(&self, others: u32) -> anyhow::Result<()> {
        let limit = Duration::from_secs(120);
        self.hospital
            .reader
            .wait_ready(&self.study.study(), limit)
            .await?;
        wait_until("every other study to be there", limit, async || {
            let found = self
                .hospital
                .reader
                .get("/dicomweb/studies?limit=500")
                .await?;
            let all = found.as_array().map_or(0, Vec::len);
            Ok((u32::try_from(all)? == others + 1).then_some(()))
        })
        .await
    }

    pub(crate) fn ours(&self) -> anyhow::Result<Server> {
        let address = self.hospital.stack.url().replace("http://", "");
        Ok(Server {
            name: "ours",
            pid: self
                .hospital
                .stack
                .gateway
                .pid()
                .context("the gateway has ended")?,
            place: Place {
                address,
                root: "/dicomweb".to_owned(),
                token: Some(self.hospital.reader.token().to_owned()),
            },
        })
    }

    pub(crate) fn theirs(&self) -> anyhow::Result<Server> {
        Ok(Server {
            name: "Orthanc",
            pid: self.orthanc.pid().context("Orthanc has ended")?,
            place: Place {
                address: self.orthanc.http().replace("http://", ""),
                root: "/dicom-web".to_owned(),
                token: None,
            },
        })
    }

    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.orthanc.stop().await?;
        self.hospital.close().await
    }
}

/// One of the two.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) pid: u32,
    pub(crate) place: Place,
}

async fn store(files: &[PathBuf], address: &str, called: &str) -> anyhow::Result<()> {
    let answers = sender::send(files, address, "PACS", called).await?;
    ensure!(
        answers.iter().all(Answer::stored),
        "an instance was refused by {called}"
    );
    Ok(())
}
