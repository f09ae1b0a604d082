//! An object of any length, not coded, written frame by frame: for proofs that no memory has to hold it.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_proto::dataset::{Dataset, Value};
use causeway_proto::digest::Digest;
use dicom_core::{Tag, VR};
use tokio::time::Instant;

use crate::hospital::Hospital;
use crate::pacs::Behaviour;
use crate::sender::Answer;

/// Pixels along each side of a frame of 8 bits: a frame is a mebibyte.
const SIDE: u16 = 1024;
const MAKER: &str = "Causeway TEST";
const MODEL: &str = "Long loop";

/// What an object is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Enhanced CT: its pixels name nobody.
    Section,
    /// A loop of ultrasound: its pixels leave masked, or not at all.
    Ultrasound,
}

/// What carrying an object took.
#[derive(Clone, Copy, Debug)]
pub struct Carried {
    /// The most memory of the agent, in MiB.
    pub agent_mib: u64,
    /// The most memory of the gateway, in MiB.
    pub gateway_mib: u64,
    /// From the first byte at the agent to a task that can be read.
    pub took: Duration,
}

/// Carries one object of so many frames from a PACS to a task at the gateway, its identity left at home.
///
/// # Errors
/// When it does not arrive within `limit`.
pub async fn carry(kind: Kind, frames: u16, limit: Duration) -> anyhow::Result<Carried> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let mask = [
        "masks",
        "add",
        "--family",
        "ultrasound",
        "--manufacturer",
        MAKER,
        "--model",
        MODEL,
        "--rows",
        "1024",
        "--columns",
        "1024",
        "--rectangle",
        "0,0,1024,64",
        "--reason",
        "its banner names the patient",
    ];
    hospital.stack.agent_cli(&mask).await?;
    let file = hospital.stack.options.folder.join("long.dcm");
    let study = write(&file, kind, frames)?;
    let start = Instant::now();
    let answers = hospital.send_files(&[file], "CAUSEWAY").await?;
    ensure!(answers.iter().all(Answer::stored), "{answers:?}");
    let ready = hospital.reader.wait_ready(&study, limit).await;
    ready.with_context(|| hospital.logs())?;
    let carried = Carried {
        agent_mib: hospital.stack.agent.peak_kib()? / 1024,
        gateway_mib: hospital.stack.gateway.peak_kib()? / 1024,
        took: start.elapsed(),
    };
    hospital.close().await?;
    Ok(carried)
}

/// Writes one object of so many frames, the only one of its study; answers the study's UID.
///
/// # Errors
/// When the file cannot be written, or the frames are more than one object of native pixels can hold.
pub fn write(path: &Path, kind: Kind, frames: u16) -> anyhow::Result<String> {
    let study = format!("2.25.8800.{frames}.{}", u8::from(kind == Kind::Section));
    let frame: Vec<u8> = (0..u32::from(SIDE) * u32::from(SIDE))
        .map(|pixel| (pixel.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let length = u32::from(frames)
        .checked_mul(u32::from(SIDE) * u32::from(SIDE))
        .context("too many frames")?;
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&header(kind, &study, frames).write())?;
    file.write_all(&[0xE0, 0x7F, 0x10, 0x00, b'O', b'B', 0, 0])?;
    file.write_all(&length.to_le_bytes())?;
    for _ in 0..frames {
        file.write_all(&frame)?;
    }
    file.flush()?;
    Ok(study)
}

/// Writes one object with so many rows and columns, one of many of its study; answers the study's UID.
///
/// # Errors
/// When the file cannot be written.
pub fn write_small(path: &Path, study: u32, instance: u32, side: u16) -> anyhow::Result<String> {
    let number = study.wrapping_mul(31).wrapping_add(instance);
    let study = format!("2.25.8801.{study}");
    let mut it = header(Kind::Section, &study, 1);
    it.put_text(
        Tag(0x0008, 0x0018),
        VR::UI,
        &format!("{study}.3.{instance}"),
    );
    it.put_text(Tag(0x0020, 0x0013), VR::IS, &instance.to_string());
    for element in [0x0010, 0x0011] {
        let value = Value::Bytes(side.to_le_bytes().to_vec());
        it.put(Tag(0x0028, element), VR::US, value);
    }
    // no two alike
    let pixels = (0..u32::from(side) * u32::from(side))
        .map(|pixel| (pixel.wrapping_add(number).wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    it.put(Tag(0x7FE0, 0x0010), VR::OB, Value::Bytes(pixels));
    std::fs::write(path, it.write())?;
    Ok(study)
}

/// Each study is of a patient of its own.
fn header(kind: Kind, study: &str, frames: u16) -> Dataset {
    let class = match kind {
        Kind::Section => "1.2.840.10008.5.1.4.1.1.2.1",
        Kind::Ultrasound => "1.2.840.10008.5.1.4.1.1.3.1",
    };
    // not what the UIDs say: that would be an identity in them
    let patient = Digest::of(study.as_bytes()).to_string();
    let patient = patient.get(..8).unwrap_or_default();
    let mut it = Dataset::new();
    for (tag, vr, text) in [
        ((0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY"),
        ((0x0008, 0x0016), VR::UI, class),
        ((0x0008, 0x0018), VR::UI, &format!("{study}.3")),
        ((0x0008, 0x0020), VR::DA, "20261121"),
        ((0x0008, 0x0030), VR::TM, "093000"),
        ((0x0008, 0x0050), VR::SH, "TEST-ACC-LONG"),
        (
            (0x0008, 0x0060),
            VR::CS,
            match kind {
                Kind::Section => "CT",
                Kind::Ultrasound => "US",
            },
        ),
        ((0x0008, 0x0070), VR::LO, MAKER),
        ((0x0008, 0x1090), VR::LO, MODEL),
        ((0x0010, 0x0010), VR::PN, "Blomqvist^Erika"),
        ((0x0010, 0x0020), VR::LO, &format!("HOSP-{patient}")),
        ((0x0020, 0x000D), VR::UI, study),
        ((0x0020, 0x000E), VR::UI, &format!("{study}.2")),
        ((0x0020, 0x0013), VR::IS, "1"),
        ((0x0028, 0x0004), VR::CS, "MONOCHROME2"),
        ((0x0028, 0x0008), VR::IS, &frames.to_string()),
    ] {
        it.put_text(Tag(tag.0, tag.1), vr, text);
    }
    for (element, number) in [
        (0x0002, 1),
        (0x0010, SIDE),
        (0x0011, SIDE),
        (0x0100, 8),
        (0x0101, 8),
        (0x0102, 7),
        (0x0103, 0),
    ] {
        let value = Value::Bytes(u16::to_le_bytes(number).to_vec());
        it.put(Tag(0x0028, element), VR::US, value);
    }
    it
}
