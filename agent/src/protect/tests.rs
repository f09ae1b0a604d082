//! What leaves of made-up and of public objects, and that it comes back whole.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use causeway_proto::dataset::Dataset;
use causeway_proto::element::{Encoding, Header};
use causeway_proto::ids::TransferSyntaxUid;

use super::*;

mod bounds;
mod dates;
mod judged;
mod leaks;
mod masked;
mod nobody;
mod overlays;
mod passing;
mod planted;
pub(crate) mod preview;
mod public;
mod renamed;
mod rot;
mod units;
mod worker;

/// A program that can be started. It is written by a child: while another child may have inherited the open file it could not be
/// started (ETXTBSY of execve(2)).
fn write_program(path: &Path, text: &str) {
    let write = "printf %s \"$1\" >\"$0\" && chmod 700 \"$0\"";
    let mut shell = std::process::Command::new("sh");
    let shell = shell.args(["-c", write]).arg(path).arg(text);
    assert!(shell.status().unwrap().success());
}

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";

fn uid(text: &str) -> TransferSyntaxUid {
    text.parse().unwrap()
}

/// A token without a secret: enough for tests.
fn token(kind: &str, _value: &str) -> String {
    format!("T-{kind}")
}

/// A UID without a secret.
#[expect(clippy::unnecessary_wraps, reason = "as the keys answer")]
fn other(uid: &str) -> Option<String> {
    Some(format!("2.25.{}", uid.bytes().map(u64::from).sum::<u64>()))
}

fn stand() -> Stand<'static> {
    Stand {
        patient_id: "CWQ7X4M9KT3HRC3".to_owned(),
        patient_name: "CWQ7X4M9KT3HRC3".to_owned(),
        accession: "A4MKT93X".to_owned(),
        token: &token,
        uid: &other,
        age: Some("063Y".to_owned()),
        shift: Some(Shift {
            days: 13,
            of_patient: true,
        }),
    }
}

fn protect(dataset: &[u8], syntax: &str, options: &Options) -> Outcome {
    let syntax = uid(syntax);
    let mut source = Cursor::new(dataset);
    match identifiers(&mut source, &syntax) {
        Ok(ids) => transform(
            &mut source,
            dataset.len() as u64,
            &syntax,
            &ids,
            &stand(),
            options,
        ),
        Err(error) => Outcome::Withheld(format!("could not be protected: {error}")),
    }
}

/// The bytes of a plan.
fn bytes(plan: &Plan, dataset: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in &plan.pieces {
        match piece {
            Piece::Bytes(bytes) => out.extend_from_slice(bytes),
            Piece::Source(range) => out.extend_from_slice(
                &dataset
                    [usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()],
            ),
            Piece::Blacked(range, black) => {
                let mut seen = dataset
                    [usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
                    .to_vec();
                black.apply(0, &mut seen);
                out.extend_from_slice(&seen);
            }
            Piece::Masked(_) => panic!("masked without a mask"),
        }
    }
    out
}

/// What leaves, which must be readable, in order and sealable.
fn leaves(dataset: &[u8], syntax: &str, options: &Options) -> (Plan, Vec<u8>) {
    match protect(dataset, syntax, options) {
        Outcome::Leaves(plan) => {
            let out = bytes(&plan, dataset);
            (*plan, out)
        }
        Outcome::Withheld(reason) => panic!("withheld: {reason}"),
        Outcome::Shows(shown) => panic!("withheld: {}", shown.reason),
        Outcome::Unread => panic!("could not be read"),
    }
}

fn reason(dataset: &[u8], options: &Options) -> String {
    match protect(dataset, EXPLICIT, options) {
        Outcome::Leaves(_) => "leaves".to_owned(),
        Outcome::Withheld(reason) => reason,
        Outcome::Shows(shown) => shown.reason,
        Outcome::Unread => "could not be read".to_owned(),
    }
}

/// The public test data beside the project, or nothing (and then loudly, and never in CI).
fn public_data() -> Option<PathBuf> {
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
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The syntax and dataset of a Part 10 file; a file without a header counts as implicit VR.
fn dataset_of(file: &[u8]) -> (String, &[u8]) {
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
