//! The walk of the demo: a study out, a report home, each step with its time.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use causeway_tests::phantom::{self, Identity};
use causeway_tests::reader::{Reader, sample_report};
use causeway_tests::sender;
use causeway_tests::stack::{Stack, wait_until};
use dicom_dictionary_std::{tags, uids};
use dicom_object::OpenFileOptions;
use tokio::time::Instant;

use crate::say;

/// Steps done so far, with how long each took.
pub(crate) struct Steps {
    last: Instant,
    rows: Vec<(String, Duration)>,
}

impl Steps {
    pub(crate) fn start() -> Self {
        Self {
            last: Instant::now(),
            rows: Vec::new(),
        }
    }

    /// Notes that a step has just ended, and shows it.
    pub(crate) fn done(&mut self, step: &str) {
        let took = self.last.elapsed();
        self.last = Instant::now();
        say(&format!("{:>8.2} s  {step}", took.as_secs_f64()));
        self.rows.push((step.to_owned(), took));
    }

    /// All steps as a table with a sum.
    pub(crate) fn table(&self) -> String {
        let mut text = "\n    time  step\n".to_owned();
        for (step, took) in &self.rows {
            writeln!(text, "{:>8.2}  {step}", took.as_secs_f64()).ok();
        }
        let sum: Duration = self.rows.iter().map(|(_, took)| *took).sum();
        writeln!(text, "{:>8.2}  in all", sum.as_secs_f64()).ok();
        text
    }
}

/// Sends the study as the PACS would, and returns its Study Instance UID.
pub(crate) async fn send(
    stack: &Stack,
    given: Option<&Path>,
    steps: &mut Steps,
) -> anyhow::Result<String> {
    let files = match given {
        Some(folder) => files_below(folder)?,
        None => {
            let folder = stack.options.folder.join("sample-study");
            let files =
                tokio::task::spawn_blocking(move || phantom::write(&folder, &sample_identity()?))
                    .await??;
            steps.done("sample study computed: a head CT that says TEST");
            files
        }
    };
    let study = study_of(&files)?;
    let answers = sender::send(
        &files,
        &stack.dicom(),
        &stack.options.pacs.ae_title,
        "CAUSEWAY",
    )
    .await?;
    let refused = answers.iter().filter(|answer| !answer.stored()).count();
    if refused > 0 {
        bail!("the agent refused {refused} of {} instances", answers.len());
    }
    steps.done(&format!(
        "{} instances sent to the agent and durable there",
        answers.len()
    ));
    Ok(study)
}

/// Reads the study, signs, and waits until the report is in the PACS. `received` is the stand-in's folder.
pub(crate) async fn read(
    reader: &Reader,
    study: &str,
    received: Option<&Path>,
    steps: &mut Steps,
) -> anyhow::Result<()> {
    let task = reader.wait_ready(study, Duration::from_secs(120)).await?;
    steps.done(&format!(
        "study sealed at the gateway; case {} is ready on the worklist",
        task.code
    ));
    reader.claim(&task).await?;
    steps.done("task claimed");
    reader.write_draft(&task.case, sample_report()).await?;
    steps.done("draft saved");
    let preview = reader.preview(&task.case, "final").await?;
    steps.done("preview shown");
    reader.sign(&task.case, "final", &preview).await?.ok()?;
    steps.done("report signed with the reader's own key");
    reader
        .wait_delivery(&task.case, "delivered", Duration::from_secs(60))
        .await?;
    steps.done("report delivered: the PACS has acknowledged it");
    if let Some(folder) = received {
        let reports = wait_until(
            "the report to lie in the PACS",
            Duration::from_secs(10),
            async || {
                let found = reports_in(folder, study);
                Ok((!found.is_empty()).then_some(found))
            },
        );
        let reports = reports.await?;
        let [report] = reports.as_slice() else {
            bail!("the PACS holds {} reports, not one", reports.len())
        };
        steps.done(&format!(
            "the signed report lies in the PACS as {}",
            report.file_name().unwrap_or_default().to_string_lossy()
        ));
    }
    Ok(())
}

fn sample_identity() -> anyhow::Result<Identity> {
    let mut root = [0_u8; 12];
    if aws_lc_rs::rand::fill(&mut root).is_err() {
        bail!("the operating system gave no random bytes");
    }
    let number = root
        .iter()
        .fold(0_u128, |sum, byte| sum * 256 + u128::from(*byte));
    #[expect(
        clippy::disallowed_methods,
        reason = "the demo is a program of its own: its study was made just now"
    )]
    let now = jiff::Zoned::now();
    Ok(Identity::sample(
        &format!("2.25.{number}"),
        &now.strftime("%Y%m%d").to_string(),
        &now.strftime("%H%M%S").to_string(),
    ))
}

fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path)
            } else {
                files.push(path)
            }
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("there is no file below {}", folder.display());
    }
    Ok(files)
}

fn study_of(files: &[PathBuf]) -> anyhow::Result<String> {
    let read = |path: &PathBuf| {
        Some(
            OpenFileOptions::new()
                .read_until(tags::PIXEL_DATA)
                .open_file(path)
                .ok()?
                .element(tags::STUDY_INSTANCE_UID)
                .ok()?
                .to_str()
                .ok()?
                .trim_end_matches('\0')
                .to_owned(),
        )
    };
    files
        .iter()
        .find_map(read)
        .context("none of the files names a study")
}

fn reports_in(folder: &Path, study: &str) -> Vec<PathBuf> {
    let is_report = |path: &PathBuf| {
        let Ok(object) = OpenFileOptions::new()
            .read_until(tags::PIXEL_DATA)
            .open_file(path)
        else {
            return false;
        };
        let is = |tag, value: &str| {
            object.element(tag).is_ok_and(|e| {
                e.to_str()
                    .is_ok_and(|text| text.trim_end_matches('\0') == value)
            })
        };
        is(tags::SOP_CLASS_UID, uids::ENHANCED_SR_STORAGE) && is(tags::STUDY_INSTANCE_UID, study)
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(is_report)
        .collect()
}
