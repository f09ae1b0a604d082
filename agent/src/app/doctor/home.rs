//! The way home: the keys without which nobody is put back, the PACS that is asked whose a report is, and what each destination takes.

use std::io::{self, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use causeway_proto::ids::StudyUid;
use causeway_proto::time::Timestamp;

use super::Chart;
use crate::app::{keys, look, random};
use crate::config::Config;
use crate::delivery::{Destination, PageImage};
use crate::derive::{self, Fonts};
use crate::dicom::query;
use crate::dicom::send::{self, Form, REPORT_FORMS};
use crate::restore::{Asked, Truth};

/// Whether the keys were exported since the last of them was made: without an export a dead disk leaves signed reports that nobody
/// can file.
pub(super) async fn exported<W: Write>(
    config: &Config,
    chart: &mut Chart<'_, W>,
) -> io::Result<()> {
    let Some(made) = newest(&keys(&config.spool)) else {
        return chart.good("no key was made yet");
    };
    let looked = async {
        let rows = look(config).await?;
        let at: Option<i64> = sqlx::query_scalar(
            "SELECT MAX(at_us) FROM audit_event WHERE event IN ('keys-exported', 'keys-imported')",
        )
        .fetch_one(rows.read())
        .await?;
        rows.close().await;
        anyhow::Ok(at.map(Timestamp))
    };
    let what_to_do =
        "run `keys export --to FILE --passphrase-file F` and keep both apart from this machine";
    match looked.await {
        Err(error) => chart.fault(format!("whether the keys were exported cannot be read: {error:#}")),
        Ok(None) => chart.fault(format!(
            "the keys were never exported; when this disk dies, reports on their way cannot be filed: {what_to_do}"
        )),
        Ok(Some(at)) if at < made => chart.fault(format!(
            "a key was made at {made}, after the last export of {at}: {what_to_do}"
        )),
        Ok(Some(at)) => chart.good(format!("the keys were exported at {at}, after the last of them was made")),
    }
}

/// When the newest key that an export holds was written.
fn newest(folder: &Path) -> Option<Timestamp> {
    let entries = std::fs::read_dir(folder).ok()?;
    let written = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let exported = name.starts_with("agreement-") || name.starts_with("hospital.");
        let at = entry.metadata().ok()?.modified().ok()?;
        let since = at.duration_since(UNIX_EPOCH).ok()?;
        let at = i64::try_from(since.as_micros()).ok()?;
        exported.then_some(Timestamp(at))
    });
    written.max()
}

/// Asks the PACS whose study it is, as before a delivery (P3): about the newest study of the site, or about one that nobody has.
pub(super) async fn pacs<W: Write>(config: &Config, chart: &mut Chart<'_, W>) -> io::Result<()> {
    let Some(peer) = &config.restore.pacs else {
        return match config.restore.truth {
            Truth::Original => chart.remark(
                "no PACS is asked whose a report is: what came with the images is trusted; name restore.pacs so that corrections count",
            ),
            Truth::Pacs => chart.fault(
                "no PACS is asked whose a report is, so each report under a pseudonym waits for a person: name restore.pacs",
            ),
        };
    };
    let to = Destination {
        name: "restore.pacs".to_owned(),
        ae_title: peer.ae_title.clone(),
        address: peer.address.clone(),
        calling_ae_title: peer.calling_ae_title.clone(),
        page_image: PageImage::Never,
    };
    let (study, known) = match study(config).await {
        Some(study) => (Some(study), true),
        None => (random().uid().parse().ok(), false),
    };
    let Some(study) = study else {
        return chart.fault("no UID could be made for a question to the PACS");
    };
    let what = if known {
        "about the newest study of this site"
    } else {
        "about a study that nobody has"
    };
    match query::study(&to, &study).await {
        Asked::Found(found) if found.is_empty() && known => chart.remark(format!(
            "restore.pacs answers C-FIND (Study Root) {what} with 0 studies: a report on it would be held; does this PACS hold what it sends?"
        )),
        Asked::Found(found) => chart.good(format!(
            "restore.pacs answers C-FIND (Study Root) {what} with {} stud{}",
            found.len(),
            if found.len() == 1 { "y" } else { "ies" }
        )),
        Asked::NotOffered => chart.fault(
            "restore.pacs takes no C-FIND (Study Root): allow it there for our title, or every report under a pseudonym waits for a person",
        ),
        Asked::Refused(status) => chart.fault(format!(
            "restore.pacs answered C-FIND (Study Root) {what} with status {status:04X}: look into its log; until then reports wait"
        )),
        Asked::Failed(sentence) => chart.fault(format!(
            "restore.pacs: {sentence}: check its address, its titles and whether it knows ours; until then reports wait"
        )),
        Asked::Nobody => chart.fault("restore.pacs was not asked"),
    }
}

/// The study that arrived last.
async fn study(config: &Config) -> Option<StudyUid> {
    let rows = look(config).await.ok()?;
    let found: Result<Option<String>, _> =
        sqlx::query_scalar("SELECT study_uid FROM study ORDER BY id DESC LIMIT 1")
            .fetch_optional(rows.read())
            .await;
    rows.close().await;
    found.ok().flatten()?.parse().ok()
}

/// Offers each destination a context for every form of a report (P8).
pub(super) async fn destinations<W: Write>(
    config: &Config,
    chart: &mut Chart<'_, W>,
) -> io::Result<()> {
    for destination in &config.destination {
        let name = &destination.name;
        match send::offer(destination, &REPORT_FORMS).await {
            Err(error) => chart.fault(format!(
                "{name}: {error}: check its address, its titles and whether it knows ours; until then reports wait"
            ))?,
            Ok(forms) => {
                for (form, taken) in &forms {
                    line(destination, form, *taken, chart)?;
                }
                verdict(destination, &forms, chart)?;
            }
        }
    }
    Ok(())
}

/// One form: what it is used for, and whether it is taken.
fn line<W: Write>(
    destination: &Destination,
    form: &Form,
    taken: bool,
    chart: &mut Chart<'_, W>,
) -> io::Result<()> {
    let used = match (form.class, destination.page_image) {
        (class, _) if class == causeway_proto::report::sr::SOP_CLASS => "the signed report",
        (derive::CLASS, PageImage::Always) => "the page image, always sent",
        (derive::CLASS, PageImage::IfRefused) => {
            "the page image, sent where structured reports are refused"
        }
        (derive::CLASS, PageImage::Never) => "the page image, never sent",
        _ => "not sent",
    };
    let (name, form) = (&destination.name, form.name);
    if taken {
        chart.good(format!("{name} takes {form} ({used})"))
    } else {
        chart.remark(format!("{name} does not take {form} ({used})"))
    }
}

/// What follows for reports.
fn verdict<W: Write>(
    destination: &Destination,
    forms: &[(Form, bool)],
    chart: &mut Chart<'_, W>,
) -> io::Result<()> {
    let takes = |class: &str| {
        forms
            .iter()
            .any(|(form, taken)| *taken && form.class == class)
    };
    let name = &destination.name;
    let images = takes(derive::CLASS);
    let wanted = destination.page_image;
    match (takes(causeway_proto::report::sr::SOP_CLASS), wanted) {
        (true, PageImage::Always) if !images => chart.fault(format!(
            "{name}: page_image is \"always\" and this PACS takes no Secondary Capture: allow it there for our title, or write page_image = \"never\""
        )),
        (true, _) => Ok(()),
        (false, PageImage::Never) => chart.fault(format!(
            "{name}: this PACS takes no structured reports, and page_image is \"never\": allow Enhanced SR there for our title, or write page_image = \"if-refused\""
        )),
        (false, _) if images => chart.remark(format!(
            "{name}: this PACS takes no structured reports: it gets page images; the signed reports stay at the gateway and at the agent"
        )),
        (false, _) => chart.fault(format!(
            "{name}: this PACS takes neither structured reports nor page images: allow one of them there for our title; until then print reports from the site page"
        )),
    }
}

/// The fonts with which page images are drawn.
pub(super) fn fonts<W: Write>(config: &Config, chart: &mut Chart<'_, W>) -> io::Result<()> {
    if config
        .destination
        .iter()
        .all(|it| it.page_image == PageImage::Never)
    {
        return Ok(());
    }
    let fonts = Fonts::of(&config.page_image);
    let (good, bad) = fonts.look();
    for file in bad {
        chart.fault(format!(
            "page_image.fonts: {} is no font that can be read: correct the path, or leave it out",
            file.display()
        ))?;
    }
    if good.is_empty() {
        return chart.fault(
            "there is no font for page images: install fonts-dejavu-core (and fonts-droid-fallback for Chinese, Japanese and Korean), or name files in page_image.fonts",
        );
    }
    good.iter()
        .try_for_each(|file| chart.good(format!("page images are drawn with {}", file.display())))
}
