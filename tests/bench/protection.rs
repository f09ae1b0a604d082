//! How fast one core takes the identity out of the sample study: reading, transforming and hashing every object.

use std::io::Cursor;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use causeway_agent::protect::{Options, Outcome, Piece, Plan, Stand, identifiers, transform};
use causeway_proto::digest::ContentHasher;
use causeway_proto::ids::TransferSyntaxUid;
use causeway_tests::sender::file;
use tokio::time::Instant;

/// One time for all of `files`, without the disk.
pub(crate) fn round(files: &[PathBuf]) -> anyhow::Result<Duration> {
    let mut objects = Vec::new();
    for (index, path) in files.iter().enumerate() {
        objects.push(file::read(path, index)?);
    }
    let start = Instant::now();
    for object in &objects {
        protect(&object.bytes, &object.syntax.parse()?)?;
    }
    Ok(start.elapsed())
}

fn protect(dataset: &[u8], syntax: &TransferSyntaxUid) -> anyhow::Result<()> {
    let mut source = Cursor::new(dataset);
    let ids = identifiers(&mut source, syntax)?;
    let token = |kind: &str, _: &str| format!("T-{kind}");
    let stand = Stand {
        patient_id: "CWQ7X4M9KT3HRC3".to_owned(),
        patient_name: "CWQ7X4M9KT3HRC3".to_owned(),
        accession: "CXQ7X4M9KT3HRC3".to_owned(),
        uid: &|_| None,
        token: &token,
        age: None,
        shift: None,
    };
    let options = Options::default();
    let length = dataset.len() as u64;
    match transform(&mut source, length, syntax, &ids, &stand, &options) {
        Outcome::Leaves(plan) => hash(&plan, dataset),
        Outcome::Withheld(reason) => bail!("the sample study is withheld: {reason}"),
        Outcome::Shows(_) => bail!("the sample study shows something that has to be masked"),
        Outcome::Unread => bail!("the sample study could not be read"),
    }
}

fn hash(plan: &Plan, dataset: &[u8]) -> anyhow::Result<()> {
    let mut hasher = ContentHasher::new(&plan.syntax);
    for piece in &plan.pieces {
        match piece {
            Piece::Bytes(bytes) => hasher.update(bytes),
            Piece::Source(range) => {
                let (from, to) = (usize::try_from(range.start)?, usize::try_from(range.end)?);
                hasher.update(dataset.get(from..to).unwrap_or_default());
            }
            Piece::Blacked(..) | Piece::Masked(_) => bail!("the sample study was masked"),
        }
    }
    std::hint::black_box(hasher.finish());
    Ok(())
}
