//! Indexing of every public file: nothing fails that is sound, and text comes out as it was meant.

use std::path::{Path, PathBuf};

use super::*;

/// The public test data beside the project; says loudly when they are missing, and fails where they must be there.
pub(crate) fn public_data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/dicom");
    let folder = if folder.is_dir() {
        folder
    } else {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/dicom")
    };
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no public test data at {}", folder.display());
    assert!(
        option_env!("CI").is_none(),
        "CI must have the public test data"
    );
    None
}

/// The transfer syntax and dataset of a file, its group 0002 taken off by hand; files without one count as implicit VR.
pub(crate) fn part10(path: &Path) -> Option<(TransferSyntaxUid, bytes::Bytes)> {
    let bytes = bytes::Bytes::from(std::fs::read(path).unwrap());
    if bytes.get(128..132) != Some(b"DICM") {
        let explicit = bytes
            .get(4..6)
            .is_some_and(|vr| vr.iter().all(u8::is_ascii_uppercase));
        let syntax = if explicit {
            "1.2.840.10008.1.2.1"
        } else {
            "1.2.840.10008.1.2"
        };
        return Some((syntax.parse().unwrap(), bytes));
    }
    let mut at = 132;
    let mut syntax = None;
    while bytes.get(at..at + 2) == Some(&[2, 0]) {
        let vr = &bytes[at + 4..at + 6];
        let (value, length) = if matches!(vr, b"OB" | b"UN" | b"OW" | b"SQ" | b"UT") {
            (
                at + 12,
                u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize,
            )
        } else {
            (
                at + 8,
                u16::from_le_bytes(bytes[at + 6..at + 8].try_into().unwrap()) as usize,
            )
        };
        if bytes[at + 2..at + 4] == [0x10, 0] {
            syntax = std::str::from_utf8(&bytes[value..value + length])
                .ok()?
                .parse()
                .ok();
        }
        at = value + length;
    }
    Some((syntax?, bytes.slice(at..)))
}

/// Every file below `folders` of the public data that is a DICOM instance (a DICOMDIR is none).
pub(crate) fn samples(folders: &[&str]) -> Vec<PathBuf> {
    let Some(root) = public_data() else {
        return Vec::new();
    };
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut out = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.file_name().is_none_or(|name| name != "DICOMDIR") {
                out.push(path);
            }
        }
    }
    out.sort();
    out
}

fn indexed(path: &Path) -> Result<Indexed, IndexError> {
    let (syntax, dataset) = part10(path).unwrap();
    let length = dataset.len() as u64;
    index(|| Ok(Content::Memory(dataset.clone())), length, &syntax)
}

/// Checks the order of the attributes of an item and of all below it, and counts them (PS3.18 F.2.2).
fn sorted(item: &serde_json::Value) -> usize {
    let attributes = item.as_object().unwrap();
    assert!(attributes.keys().is_sorted(), "{:?}", attributes.keys());
    let sequences = attributes.values().filter(|one| one["vr"] == "SQ");
    let items = sequences
        .filter_map(|one| one["Value"].as_array())
        .flatten();
    attributes.len() + items.map(sorted).sum::<usize>()
}

#[test]
fn every_sound_file_is_indexed() {
    let mut failed = Vec::new();
    let samples = samples(&["studies", "syntaxes", "charsets", "sr"]);
    for path in &samples {
        match indexed(path) {
            Ok(found) => {
                let tree: serde_json::Value = serde_json::from_str(&found.metadata).unwrap();
                let attributes = sorted(&tree);
                let written = found.metadata.matches("\":{\"vr\":").count();
                assert_eq!(attributes, written, "none twice: {}", path.display());
                let root = tree.as_object().unwrap();
                assert!(Facts::of(root) == found.facts, "{}", path.display());
                if found.frames == Frames::Invalid || matches!(found.frames, Frames::Whole(_)) {
                    eprintln!(
                        "{}: {:?}",
                        path.display(),
                        found.frames.to_string().get(..40)
                    );
                }
                if found.undecodable > 0 {
                    eprintln!("{}: {} undecodable", path.display(), found.undecodable);
                }
            }
            Err(error) => failed.push(format!("{}: {error}", path.display())),
        }
    }
    eprintln!("{} files", samples.len());
    assert!(failed.is_empty(), "{failed:#?}");
}

fn explicit(dataset: Vec<u8>) -> Result<Indexed, IndexError> {
    let dataset = bytes::Bytes::from(dataset);
    let length = dataset.len() as u64;
    let syntax = "1.2.840.10008.1.2.1".parse().unwrap();
    index(|| Ok(Content::Memory(dataset.clone())), length, &syntax)
}

/// A million elements are legal, and each says two characters at most: what is held of them is their JSON.
#[test]
fn the_densest_legal_header_is_indexed_within_the_bound() {
    let pair = [0x29, 0, 1, 0x10, b'O', b'B', 0, 0, 1, 0, 0, 0, 7];
    let dense = explicit(pair.repeat(1_000_000));
    // they all have one tag, so that the last counts
    let found = dense.unwrap();
    assert_eq!(
        found.metadata,
        r#"{"00291001":{"vr":"OB","InlineBinary":"Bw=="}}"#
    );
    let mut all = Vec::new();
    for element in 0..1_000_000_u32 {
        let group = 0x0029 + 2 * u16::try_from(element / 0xF000).unwrap();
        let number = 0x1000 + u16::try_from(element % 0xF000).unwrap();
        all.extend(group.to_le_bytes());
        all.extend(number.to_le_bytes());
        all.extend(b"OB\0\0\x01\0\0\0\x07");
    }
    let found = explicit(all).unwrap();
    assert!(
        found.metadata.len() > 40_000_000,
        "{}",
        found.metadata.len()
    );
    assert!(found.metadata.len() <= text::MAX_BYTES);
    let surplus = pair.repeat(1_000_001);
    assert!(matches!(explicit(surplus), Err(IndexError::Prescan(_))));
}

/// Every byte of these is many characters of JSON: what may be bulk data becomes it.
#[test]
fn numbers_beyond_the_bound_stay_in_the_dataset() {
    let mut all = Vec::new();
    for element in 0..8000_u16 {
        all.extend(0x0029_u16.to_le_bytes());
        all.extend((0x1000 + element).to_le_bytes());
        all.extend(b"US");
        all.extend(4096_u16.to_le_bytes());
        all.extend([0xFF; 4096]);
    }
    let found = explicit(all).unwrap();
    assert!(found.metadata.len() <= text::MAX_BYTES);
    let header: serde_json::Value = serde_json::from_str(&found.metadata).unwrap();
    assert_eq!(header["00291000"]["Value"][0], 65535);
    let last = &header["00292F3F"];
    assert!(last["BulkDataURI"].is_string(), "{last}");
}
