//! A hospital for tests: a stack with a stand-in PACS, sample studies by number, and the reports that have come home.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use causeway_disk::SmallDisk;
use dicom_dictionary_std::{tags, uids};
use dicom_object::OpenFileOptions;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tempfile::TempDir;

use crate::killed::Victim;
use crate::pacs::{Behaviour, Pacs};
use crate::phantom::{self, Identity};
use crate::reader::{Reader, Task};
use crate::sender::{self, Answer};
use crate::stack::build::Binaries;
use crate::stack::{self, Options, PacsAddress, Stack, build, process};

/// A stack, its PACS and a signed-in reader.
#[derive(Debug)]
pub struct Hospital {
    /// The two processes.
    pub stack: Stack,
    /// The stand-in PACS.
    pub pacs: Pacs,
    /// The reader.
    pub reader: Reader,
    folder: TempDir,
}

/// What a site has chosen.
#[derive(Clone, Copy, Debug, Default)]
struct Site {
    identified: bool,
    shifts_dates: bool,
    replaces_uids: bool,
    asks_pacs: bool,
    page_images: bool,
    redials_at_once: bool,
    floors: &'static str,
}

impl Hospital {
    /// Starts everything with a PACS that behaves as told.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start(behaviour: Behaviour) -> anyhow::Result<Self> {
        let site = Site {
            identified: true,
            ..Site::default()
        };
        Self::under(behaviour, site).await
    }

    /// The same, whose identities stay at home.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn pseudonymous(behaviour: Behaviour) -> anyhow::Result<Self> {
        Self::under(behaviour, Site::default()).await
    }

    /// The same, whose UIDs stay at home as well.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn renaming(behaviour: Behaviour) -> anyhow::Result<Self> {
        let site = Site {
            replaces_uids: true,
            ..Site::default()
        };
        Self::under(behaviour, site).await
    }

    /// The same, whose dates leave shifted.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn shifting_dates(behaviour: Behaviour) -> anyhow::Result<Self> {
        let site = Site {
            shifts_dates: true,
            ..Site::default()
        };
        Self::under(behaviour, site).await
    }

    /// The same, whose PACS takes structured reports and does not show them: it gets each report as a page image as well.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn with_page_images(behaviour: Behaviour) -> anyhow::Result<Self> {
        let site = Site {
            page_images: true,
            ..Site::default()
        };
        Self::under(behaviour, site).await
    }

    /// The same, whose PACS is asked whose each report is.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn asking_the_pacs(behaviour: Behaviour) -> anyhow::Result<Self> {
        let site = Site {
            asks_pacs: true,
            ..Site::default()
        };
        Self::under(behaviour, site).await
    }

    /// As [`Hospital::start`], with a link that does not pause between dials.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn redialling_at_once(behaviour: Behaviour) -> anyhow::Result<Self> {
        let site = Site {
            identified: true,
            redials_at_once: true,
            ..Site::default()
        };
        Self::under(behaviour, site).await
    }

    /// As [`Hospital::start`], whose agent is started by the words before its own: by a tracer, for instance, that becomes the agent.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn with_agent_under(behaviour: Behaviour, words: &[String]) -> anyhow::Result<Self> {
        let site = Site {
            identified: true,
            ..Site::default()
        };
        Self::wrapped(behaviour, site, words, &[]).await
    }

    /// As [`Hospital::redialling_at_once`], with words before those of the agent and of the gateway; none where there are none.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn with_both_under(agent: &[String], gateway: &[String]) -> anyhow::Result<Self> {
        let site = Site {
            identified: true,
            redials_at_once: true,
            ..Site::default()
        };
        Self::wrapped(Behaviour::default(), site, agent, gateway).await
    }

    /// As [`Hospital::pseudonymous`], with a link that does not pause between dials, and with these programs.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn of(binaries: Binaries) -> anyhow::Result<Self> {
        let site = Site {
            redials_at_once: true,
            ..Site::default()
        };
        Self::made(Behaviour::default(), site, binaries, tempfile::tempdir()?).await
    }

    /// As [`Hospital::redialling_at_once`], with a disk of its own, of such options of tmpfs, under what one of the two keeps, and with
    /// such lines for the floors of both.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn over_a_small_disk(
        whose: Victim,
        disk: &str,
        floors: &'static str,
    ) -> anyhow::Result<(Self, SmallDisk)> {
        let site = Site {
            identified: true,
            redials_at_once: true,
            floors,
            ..Site::default()
        };
        let folder = tempfile::tempdir()?;
        let kept = folder.path().join(match whose {
            Victim::Agent => "agent-spool",
            Victim::Gateway => "gateway-data",
        });
        std::fs::create_dir(&kept)?;
        let disk = SmallDisk::over(&kept, disk)?;
        let binaries = build::binaries().await?;
        let hospital = Self::made(Behaviour::default(), site, binaries, folder).await?;
        Ok((hospital, disk))
    }

    async fn under(behaviour: Behaviour, site: Site) -> anyhow::Result<Self> {
        Self::wrapped(behaviour, site, &[], &[]).await
    }

    async fn wrapped(
        behaviour: Behaviour,
        site: Site,
        agent: &[String],
        gateway: &[String],
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut binaries = build::binaries().await?;
        if !agent.is_empty() {
            let path = folder.path().join("agent");
            binaries.agent = script(&path, agent, &binaries.agent, "run")?;
        }
        if !gateway.is_empty() {
            let path = folder.path().join("gateway");
            binaries.gateway = script(&path, gateway, &binaries.gateway, "serve")?;
        }
        Self::made(behaviour, site, binaries, folder).await
    }

    async fn made(
        behaviour: Behaviour,
        site: Site,
        binaries: Binaries,
        folder: TempDir,
    ) -> anyhow::Result<Self> {
        rustls::crypto::aws_lc_rs::default_provider()
            .install_default()
            .ok();
        let pacs = Pacs::start(behaviour, &folder.path().join("pacs"), "127.0.0.1:0").await?;
        let options = Options {
            folder: folder.path().to_owned(),
            binaries,
            pacs: PacsAddress {
                ae_title: "PACS".to_owned(),
                address: pacs.address().to_string(),
            },
            viewer: Some(build::root().join("target/viewer/ohif.tar")).filter(|it| it.exists()),
            legacy_headings: false,
            identified: site.identified,
            shifts_dates: site.shifts_dates,
            replaces_uids: site.replaces_uids,
            asks_pacs: site.asks_pacs,
            page_image: if site.page_images {
                "always"
            } else {
                "if-refused"
            },
            far: None,
            gateway_lines: if site.redials_at_once {
                "retry_first_ms = 20\nretry_soon_ms = 100\nretry_longest_s = 1\n".to_owned()
            } else {
                String::new()
            },
            floors: site.floors,
        };
        let stack = Stack::start(options).await?;
        let reader = Reader::sign_in(&stack.url(), "reader", &stack.password).await?;
        Ok(Self {
            stack,
            pacs,
            reader,
            folder,
        })
    }

    /// The study with this number: equal numbers are equal studies of one patient.
    #[must_use]
    pub fn study(&self, number: u32) -> Identity {
        let mut identity = Identity::sample(&format!("2.25.4711.{number}"), "20261121", "093000");
        identity.seed = u64::from(number);
        identity.accession = format!("TEST-ACC-{number}");
        identity
    }

    /// Sends some slices of a study to an AE title of the agent.
    ///
    /// # Errors
    /// When the association fails.
    pub async fn send(
        &self,
        identity: &Identity,
        slices: Range<u16>,
        called: &str,
    ) -> anyhow::Result<Vec<Answer>> {
        let folder = self
            .folder
            .path()
            .join(format!("study-{}", identity.accession));
        let files = phantom::write_slices(&folder, identity, slices)?;
        self.send_files(&files, called).await
    }

    /// Sends files as they are to an AE title of the agent.
    ///
    /// # Errors
    /// When the association fails.
    pub async fn send_files(&self, files: &[PathBuf], called: &str) -> anyhow::Result<Vec<Answer>> {
        sender::send(files, &self.stack.dicom(), "PACS", called).await
    }

    /// Waits for the study to be ready, claims it, and writes the sample report.
    ///
    /// # Errors
    /// When a step fails or takes too long.
    pub async fn claimed_with_draft(&self, study: &str) -> anyhow::Result<Task> {
        let task = self
            .reader
            .wait_ready(study, Duration::from_secs(60))
            .await?;
        self.reader
            .claim(&task)
            .await
            .context("claiming the task")?;
        self.reader
            .write_draft(&task.case, crate::reader::sample_report())
            .await
            .context("saving the draft")?;
        Ok(task)
    }

    /// Claims, writes and signs the study; returns its task.
    ///
    /// # Errors
    /// When a step fails or takes too long.
    pub async fn read_and_sign(&self, study: &str) -> anyhow::Result<Task> {
        let task = self.claimed_with_draft(study).await?;
        let preview = self.reader.preview(&task.case, "final").await?;
        self.reader
            .sign(&task.case, "final", &preview)
            .await?
            .ok()
            .context("signing")?;
        Ok(task)
    }

    /// Files of the signed reports that the PACS holds under `study`.
    #[must_use]
    pub fn reports(&self, study: &str) -> Vec<PathBuf> {
        self.filed(study, uids::ENHANCED_SR_STORAGE)
    }

    /// Files of the page images of reports that the PACS holds under `study`.
    #[must_use]
    pub fn page_images(&self, study: &str) -> Vec<PathBuf> {
        self.filed(study, uids::SECONDARY_CAPTURE_IMAGE_STORAGE)
    }

    /// How many signed reports the PACS holds under each study.
    #[must_use]
    pub fn reports_by_study(&self) -> BTreeMap<String, u32> {
        let mut counted = BTreeMap::new();
        for (_, class, study) in self.all_filed() {
            if class == uids::ENHANCED_SR_STORAGE {
                *counted.entry(study).or_default() += 1;
            }
        }
        counted
    }

    fn filed(&self, study: &str, class: &str) -> Vec<PathBuf> {
        let all = self.all_filed().into_iter();
        all.filter(|(_, its_class, its_study)| its_class == class && its_study == study)
            .map(|(path, ..)| path)
            .collect()
    }

    /// Each file of the PACS, its class and its study.
    fn all_filed(&self) -> Vec<(PathBuf, String, String)> {
        let read = |path: PathBuf| {
            let object = OpenFileOptions::new()
                .read_until(tags::PIXEL_DATA)
                .open_file(&path)
                .ok()?;
            let text = |tag| {
                let text = object.element(tag).ok()?.to_str().ok()?;
                Some(text.trim_end_matches('\0').to_owned())
            };
            let (class, study) = (text(tags::SOP_CLASS_UID)?, text(tags::STUDY_INSTANCE_UID)?);
            Some((path, class, study))
        };
        let entries = std::fs::read_dir(self.folder.path().join("pacs"))
            .into_iter()
            .flatten()
            .flatten();
        entries.filter_map(|entry| read(entry.path())).collect()
    }

    /// Files of images at the gateway, whole or in part.
    #[must_use]
    pub fn images(&self) -> Vec<PathBuf> {
        let data = self.folder.path().join("gateway-data");
        let (mut found, mut left) = (Vec::new(), vec![data.join("blobs"), data.join("incoming")]);
        while let Some(folder) = left.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.ends_with("reports") => {}
                    path if path.is_dir() => left.push(path),
                    path => found.push(path),
                }
            }
        }
        found
    }

    /// The agent's rows, beside the running agent.
    ///
    /// # Errors
    /// When they cannot be opened.
    pub async fn agent_rows(&self) -> anyhow::Result<SqliteConnection> {
        rows(&self.folder.path().join("agent-spool/agent.sqlite")).await
    }

    /// The gateway's rows, beside the running gateway.
    ///
    /// # Errors
    /// When they cannot be opened.
    pub async fn gateway_rows(&self) -> anyhow::Result<SqliteConnection> {
        rows(&self.folder.path().join("gateway-data/gateway.sqlite")).await
    }

    /// The last lines of both logs, for the message of a test that failed.
    #[must_use]
    pub fn logs(&self) -> String {
        let tail = |which| process::tail(&stack::log(&self.stack.options.folder, which));
        format!("gateway:\n{}agent:\n{}", tail("gateway"), tail("agent"))
    }

    /// Ends everything; fails when a process does not end cleanly.
    ///
    /// # Errors
    /// When a process is left over or ends with an error.
    pub async fn close(self) -> anyhow::Result<()> {
        self.ended(|| ()).await
    }

    /// The same, of one over a small disk.
    ///
    /// # Errors
    /// As [`Hospital::close`].
    pub async fn close_over(self, disk: SmallDisk) -> anyhow::Result<()> {
        self.ended(|| drop(disk)).await
    }

    async fn ended(self, between: impl FnOnce()) -> anyhow::Result<()> {
        let folder = self.stack.options.folder.clone();
        self.stack.stop().await?;
        self.pacs.stop().await;
        for which in ["gateway", "agent"] {
            process::fell_nowhere(&stack::log(&folder, which))?;
        }
        between();
        self.folder.close().context("deleting the test's folder")
    }
}

/// A program that starts `program` with `words` before it when it is asked for `verb`.
fn script(path: &Path, words: &[String], program: &Path, verb: &str) -> anyhow::Result<PathBuf> {
    let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let text = format!(
        "#!/bin/sh\n[ \"$3\" = {verb} ] && exec {} '{program}' \"$@\"\nexec '{program}' \"$@\"\n",
        words.join(" "),
        program = program.display()
    );
    // by a child: while another child may have inherited the open file it could not be started (ETXTBSY of execve(2))
    let write = "printf %s \"$1\" >\"$0\" && chmod 755 \"$0\"";
    let mut shell = std::process::Command::new("sh");
    let written = shell.args(["-c", write]).arg(path).arg(text).status()?;
    anyhow::ensure!(written.success(), "{} is not written", path.display());
    Ok(path.to_owned())
}

async fn rows(file: &Path) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(Duration::from_secs(10));
    let rows = SqliteConnection::connect_with(&options).await;
    rows.with_context(|| format!("opening {}", file.display()))
}
