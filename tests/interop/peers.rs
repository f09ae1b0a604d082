//! What two public de-identifiers take out of the public objects, beside what we do: whatever they remove and we keep has its reason
//! in the table below.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_agent::protect::{Options, Outcome, Piece, Plan, Stand, identifiers, transform};
use causeway_tests::sender::file;
use causeway_tests::shared;
use causeway_tests::stack::build::root;
use serde::Deserialize;
use serde_json::json;
use tokio::process::Command;

use crate::kept::KEPT;

/// Both peers need a good part of a minute.
const LIMIT: Duration = Duration::from_secs(600);

/// Series of many like images.
const LONG: [&str; 3] = ["ct-head-phantom", "mr-epi-phantom-ge", "ct-tiny-50"];

/// What `peers.py` prints.
#[derive(Deserialize)]
struct Found {
    took: BTreeMap<String, usize>,
    refused: BTreeMap<String, Vec<String>>,
    alone: BTreeMap<String, usize>,
    rows: Vec<Row>,
}

/// Peer, number of the element, VR, keyword, whether we keep it as it was, how often.
#[derive(Deserialize)]
struct Row(String, String, String, String, bool, usize);

/// The protected form of an object, as a file like the one that was received; what is withheld counts as released by a person, so
/// that its header is compared as well. None when it stays in any case.
fn protected(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let whole = std::fs::read(path)?;
    let object = file::read(path, 0)?;
    let Ok(syntax) = object.syntax.parse() else {
        return Ok(None);
    };
    let mut source = Cursor::new(&object.bytes);
    let Ok(found) = identifiers(&mut source, &syntax) else {
        return Ok(None);
    };
    let token = |kind: &str, _: &str| format!("T-{kind}");
    let stand = Stand {
        patient_id: "CWQ7X4M9KT3HRC3".to_owned(),
        patient_name: "CWQ7X4M9KT3HRC3".to_owned(),
        accession: "CXQ7X4M9KT3HRC3".to_owned(),
        token: &token,
        uid: &|_| None,
        age: None,
        shift: None,
    };
    let mut options = Options::default();
    options.released = true;
    let length = object.bytes.len() as u64;
    match transform(&mut source, length, &syntax, &found, &stand, &options) {
        Outcome::Leaves(plan) => {
            let head = whole.len() - object.bytes.len();
            let mut out = whole.get(..head).unwrap_or_default().to_vec();
            write(&plan, &object.bytes, &mut out)?;
            Ok(Some(out))
        }
        Outcome::Withheld(_) | Outcome::Shows(_) | Outcome::Unread => Ok(None),
    }
}

fn write(plan: &Plan, dataset: &[u8], out: &mut Vec<u8>) -> anyhow::Result<()> {
    for piece in &plan.pieces {
        match piece {
            Piece::Bytes(bytes) => out.extend_from_slice(bytes),
            Piece::Source(range) => {
                let (from, to) = (usize::try_from(range.start)?, usize::try_from(range.end)?);
                out.extend_from_slice(dataset.get(from..to).context("past its end")?);
            }
            Piece::Blacked(..) | Piece::Masked(_) => anyhow::bail!("masked without a mask"),
        }
    }
    Ok(())
}

/// Every public object that leaves, with its protected form in `folder`; and how many stay.
fn pairs(data: &Path, folder: &Path) -> anyhow::Result<(Vec<(PathBuf, PathBuf)>, usize)> {
    let (mut pairs, mut stay) = (Vec::new(), 0);
    for part in ["studies", "sr"] {
        for (number, path) in shared::files(&data.join(part)).into_iter().enumerate() {
            // a directory of a disc is no object that is sent
            if path.ends_with("DICOMDIR") {
                continue;
            }
            // of long series of like images, some
            if number % 10 != 0
                && LONG
                    .iter()
                    .any(|like| path.to_string_lossy().contains(like))
            {
                continue;
            }
            match protected(&path)? {
                Some(bytes) => {
                    let ours = folder.join(format!("{}.dcm", pairs.len()));
                    std::fs::write(&ours, bytes)?;
                    pairs.push((path, ours));
                }
                None => stay += 1,
            }
        }
    }
    Ok((pairs, stay))
}

async fn compare(
    pairs: &[(PathBuf, PathBuf)],
    folder: &Path,
    python: &Path,
) -> anyhow::Result<Found> {
    let list = folder.join("pairs.json");
    std::fs::write(&list, serde_json::to_vec(&json!(pairs))?)?;
    let script = root().join("tests/interop/peers.py");
    let mut command = Command::new(python);
    command.arg(script).arg(list).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find(|line| line.starts_with('{'));
    let complaint = || String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_str(line.with_context(complaint)?).context("reading what the peers did")
}

#[tokio::test]
async fn whatever_a_peer_removes_and_we_keep_has_its_reason() -> anyhow::Result<()> {
    let python = root().join("target/venv/bin/python");
    let Some(data) = shared::dicom("") else {
        return Ok(());
    };
    if !shared::installed(&python) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let (pairs, stay) = pairs(&data, folder.path())?;
    let found = compare(&pairs, folder.path(), &python).await?;
    println!(
        "{} objects leave, {stay} stay whatever is released",
        pairs.len()
    );
    let mut met = BTreeSet::new();
    let mut unexplained = Vec::new();
    for peer in ["dicognito", "deid"] {
        let refused = found.refused.get(peer).map_or(0, Vec::len);
        let (mut out, mut why) = (0, BTreeMap::<&str, usize>::new());
        for Row(by, number, vr, keyword, kept, count) in &found.rows {
            if by != peer {
                continue;
            }
            if !kept {
                out += count;
                continue;
            }
            match KEPT
                .iter()
                .find(|(_, numbers)| numbers.contains(&number.as_str()))
            {
                Some((reason, _)) => {
                    met.insert(number.as_str());
                    *why.entry(reason).or_default() += count;
                }
                None => unexplained.push(format!("{peer}: {number} {vr} {keyword}, {count} times")),
            }
        }
        let kept: usize = why.values().sum();
        println!(
            "{peer}: {} objects, {refused} it could not read",
            found.took[peer]
        );
        println!("  {:6} elements it removes or changes", out + kept);
        println!("  {out:6} of them removed or changed here too");
        println!(
            "  {:6} more that are removed or changed here alone",
            found.alone[peer]
        );
        for (reason, count) in &why {
            println!("  {count:6} kept: {reason}");
        }
        ensure!(found.took[peer] > 150 && refused < 5, "{:?}", found.refused);
    }
    let idle: Vec<_> = KEPT
        .iter()
        .flat_map(|(_, numbers)| numbers.iter())
        .filter(|number| !met.contains(**number))
        .collect();
    println!("  {:6} unexplained", unexplained.len());
    ensure!(
        unexplained.is_empty() && idle.is_empty(),
        "unexplained: {unexplained:#?}, explained, but in no object: {idle:?}"
    );
    Ok(())
}
