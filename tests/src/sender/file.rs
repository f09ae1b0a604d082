//! A DICOM file taken apart by hand: the meta group is read, the dataset behind it is kept as it is.

use std::path::Path;

use anyhow::{Context as _, bail};

const IMPLICIT_LITTLE: &str = "1.2.840.10008.1.2";
const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";
const EXPLICIT_BIG: &str = "1.2.840.10008.1.2.2";
const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";

/// What a file holds.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// SOP class, from the dataset or the meta group (they differ in some files, and a receiver compares the command with the dataset); Secondary Capture when the file names none.
    pub class: String,
    /// SOP instance, likewise; made up when the file names none.
    pub instance: String,
    /// Transfer syntax, from the meta group or guessed from the first bytes.
    pub syntax: String,
    /// The dataset without group 0002, as it lies on disk.
    pub bytes: Vec<u8>,
    /// Whether the file itself named class and instance.
    pub named: bool,
}

/// Reads a file with or without preamble and meta group. `index` makes up a UID for a file that has none.
///
/// # Errors
/// When the file cannot be read or holds nothing.
pub fn read(path: &Path, index: usize) -> anyhow::Result<Dataset> {
    of(&std::fs::read(path)?, index)
}

/// The same, of bytes.
///
/// # Errors
/// When they hold nothing.
pub fn of(all: &[u8], index: usize) -> anyhow::Result<Dataset> {
    let start = if all.get(128..132) == Some(b"DICM") {
        132
    } else {
        0
    };
    let rest = all.get(start..).unwrap_or_default();
    let (meta, length) = meta_group(rest);
    let bytes = rest.get(length..).unwrap_or_default().to_vec();
    if bytes.is_empty() {
        bail!("the file holds no dataset");
    }
    let syntax = meta
        .syntax
        .unwrap_or_else(|| guess_syntax(&bytes).to_owned());
    let found = |element: u16| uid_in(&bytes, &syntax, element);
    let (class, instance) = (
        found(0x0016).or(meta.class),
        found(0x0018).or(meta.instance),
    );
    Ok(Dataset {
        named: class.is_some() && instance.is_some(),
        class: class.unwrap_or_else(|| SECONDARY_CAPTURE.to_owned()),
        instance: instance.unwrap_or_else(|| format!("2.25.99.{}", index + 1)),
        syntax,
        bytes,
    })
}

#[derive(Default)]
struct Meta {
    class: Option<String>,
    instance: Option<String>,
    syntax: Option<String>,
}

/// Reads group 0002 (PS3.10 7.1: explicit VR little endian) element by element, and says how many bytes it takes.
fn meta_group(bytes: &[u8]) -> (Meta, usize) {
    let (mut meta, mut at) = (Meta::default(), 0);
    while let Some(head) = bytes.get(at..at + 8) {
        if word(head, 0) != Some(0x0002) {
            break;
        }
        let long = matches!(head.get(4..6), Some(b"OB" | b"UN" | b"OW" | b"SQ" | b"UT"));
        let (from, length) = if long {
            (at + 12, double(bytes, at + 8))
        } else {
            (at + 8, word(head, 6).map(usize::from))
        };
        let Some(value) = length.and_then(|length| bytes.get(from..from.checked_add(length)?))
        else {
            break;
        };
        let text = uid_text(value);
        match word(head, 2) {
            Some(0x0002) => meta.class = text,
            Some(0x0003) => meta.instance = text,
            Some(0x0010) => meta.syntax = text,
            _ => {}
        }
        at = from + value.len();
    }
    (meta, at)
}

fn guess_syntax(bytes: &[u8]) -> &'static str {
    let letters = bytes
        .get(4..6)
        .is_some_and(|vr| vr.iter().all(u8::is_ascii_uppercase));
    match (letters, bytes.first()) {
        (true, Some(0)) if bytes.get(1).is_some_and(|low| *low != 0) => EXPLICIT_BIG,
        (true, _) => EXPLICIT_LITTLE,
        (false, _) => IMPLICIT_LITTLE,
    }
}

/// The value of (0008,`element`) near the front of a dataset, found by walking its first elements.
fn uid_in(bytes: &[u8], syntax: &str, element: u16) -> Option<String> {
    let big = syntax == EXPLICIT_BIG;
    let mut at = 0;
    for _ in 0..64 {
        let head = bytes.get(at..at + 8)?;
        let number = |from: usize| {
            if big {
                word(head, from).map(u16::swap_bytes)
            } else {
                word(head, from)
            }
        };
        let group = number(0)?;
        let explicit = syntax != IMPLICIT_LITTLE;
        let length = if explicit {
            usize::from(number(6)?)
        } else {
            double(head, 4)?
        };
        if explicit
            && matches!(
                head.get(4..6),
                Some(b"SQ" | b"OB" | b"UN" | b"OW" | b"UT" | b"UC" | b"UR")
            )
            || group > 8
        {
            return None;
        }
        let value = bytes.get(at + 8..(at + 8).checked_add(length)?)?;
        if (group, number(2)?) == (0x0008, element) {
            return uid_text(value);
        }
        at += 8 + length;
    }
    None
}

fn uid_text(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value)
        .ok()?
        .trim_end_matches(['\0', ' ']);
    (!text.is_empty()).then(|| text.to_owned())
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn double(bytes: &[u8], at: usize) -> Option<usize> {
    let value = u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?);
    usize::try_from(value).ok()
}

/// A Part 10 file around a dataset (PS3.10 7.1).
///
/// # Errors
/// When the meta group cannot be built.
pub fn part10(
    class: &str,
    instance: &str,
    syntax: &str,
    dataset: &[u8],
) -> anyhow::Result<Vec<u8>> {
    let meta = dicom_object::FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(class)
        .media_storage_sop_instance_uid(instance)
        .transfer_syntax(syntax);
    let mut file = vec![0; 128];
    file.extend_from_slice(b"DICM");
    meta.build()
        .context("building the meta group")?
        .write(&mut file)?;
    file.extend_from_slice(dataset);
    Ok(file)
}
