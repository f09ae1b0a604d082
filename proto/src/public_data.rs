//! The public test data beside the project, for tests.

use std::path::{Path, PathBuf};

use crate::element::{Encoding, Header};

const IMPLICIT: &str = "1.2.840.10008.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// The public test data beside the project, or nothing (and then loudly, and never in CI).
pub(crate) fn public_data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/dicom");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "the public test data are missing"
    );
    eprintln!("NOT RUN: the public test data are missing at ../shared/dicom");
    None
}

/// Every file under a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                found.push(path)
            }
        }
    }
    found.sort();
    found
}

/// The transfer syntax and dataset of a file, as a sender would offer them; files without a header count as implicit VR.
pub(crate) fn dataset_of(file: &[u8]) -> (String, &[u8]) {
    let Some(meta) = file.get(128..).and_then(|rest| rest.strip_prefix(b"DICM")) else {
        return (IMPLICIT.to_owned(), file);
    };
    let (mut at, mut syntax) = (0, EXPLICIT.to_owned());
    while let Some(header) = Header::read(&meta[at..], Encoding::ExplicitLittle) {
        if header.tag.0 != 2 {
            break;
        }
        let value = at + usize::from(header.size);
        let end = value + usize::try_from(header.length.unwrap_or(0)).unwrap();
        let Some(bytes) = meta.get(value..end) else {
            break;
        };
        if header.tag.1 == 0x0010 {
            syntax = String::from_utf8_lossy(bytes)
                .trim_end_matches('\0')
                .to_owned();
        }
        at = end;
    }
    (syntax, &meta[at..])
}
