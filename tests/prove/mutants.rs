//! Whether the proof of the kills would notice: the programs are built from a copy of the sources in which one promise is broken, and
//! that copy's own `prove kills` has to find it out.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use causeway_tests::stack::build::{cargo, root};
use tokio::process::Command;

use super::say;

/// A broken promise.
struct Mutant {
    name: &'static str,
    /// In which file what stands, once, and what stands there instead.
    changes: &'static [(&'static str, &'static str, &'static str)],
}

const MUTANTS: [Mutant; 3] = [
    Mutant {
        name: "answer before commit",
        changes: &[(
            "agent/src/dicom/store.rs",
            "match self.spool.receive(writer, header).await {",
            "let spool = self.spool.clone(); \
             tokio::task::spawn(async move { spool.receive(writer, header).await }); \
             match Ok::<(), StoreError>(()) {",
        )],
    },
    Mutant {
        name: "delete before receipt",
        changes: &[
            (
                "agent/src/spool.rs",
                "    async fn remove_bytes(",
                "    pub(crate) async fn remove_bytes(",
            ),
            (
                "agent/src/protect.rs",
                "    spool: Spool,\n    keys: Keys,",
                "    pub(crate) spool: Spool,\n    keys: Keys,",
            ),
            (
                "agent/src/link/sending.rs",
                "lane.write(end.into()).await?;",
                "lane.write(end.into()).await?; \
                 self.protector.spool.remove_bytes(&self.instance.source.handle).await;",
            ),
        ],
    },
    Mutant {
        name: "no idempotency",
        changes: &[
            (
                "gateway/src/ingest/have.rs",
                "let tag = key.source_tag.to_string();",
                "let tag = format!(\"not {}\", key.source_tag);",
            ),
            (
                "gateway/src/ingest/record.rs",
                "let is_this = |row: &ContentRow| {",
                "let is_this = |row: &ContentRow| row.length < 0 && {",
            ),
        ],
    },
];

/// Builds each mutant and lets its own proof run.
///
/// # Errors
/// When one is not found out, or a place to change is not there once.
pub(super) async fn run(count: u32, seed: u64) -> anyhow::Result<()> {
    let folder = root().join("target/mutants");
    let tree = folder.join("tree");
    let mut table = String::from("| mutant | found out |\n|---|---|\n");
    let mut missed = Vec::new();
    for mutant in &MUTANTS {
        copy(&tree, mutant).await?;
        let found = proof(&tree, &folder.join("target"), count, seed).await?;
        table.push_str(&format!("| {} | {found} |\n", mutant.name));
        say(&table);
        if found == "no" {
            missed.push(mutant.name);
        }
    }
    std::fs::write(folder.join("mutants.md"), &table)?;
    ensure!(missed.is_empty(), "not found out: {}", missed.join(", "));
    Ok(())
}

/// The sources with the mutant's changes; a file that stays as it is keeps its time, so that nothing is built again for it.
async fn copy(tree: &Path, mutant: &Mutant) -> anyhow::Result<()> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root())
        .output()
        .await?;
    ensure!(listed.status.success(), "git does not list the sources");
    for name in String::from_utf8(listed.stdout)?.split_terminator('\0') {
        let (from, to) = (root().join(name), tree.join(name));
        if !from.is_file() {
            continue;
        }
        let mut bytes = std::fs::read(&from)?;
        for (_, what, by) in mutant.changes.iter().filter(|(file, ..)| *file == name) {
            let text = String::from_utf8(bytes)?;
            let times = text.matches(what).count();
            ensure!(times == 1, "{name}: `{what}` stands there {times} times");
            bytes = text.replace(what, by).into_bytes();
        }
        if std::fs::read(&to).ok().as_ref() != Some(&bytes) {
            std::fs::create_dir_all(to.parent().context("a file has no folder")?)?;
            std::fs::write(&to, &bytes)?;
        }
    }
    Ok(())
}

/// What `prove kills` of this tree finds.
async fn proof(tree: &Path, target: &Path, count: u32, seed: u64) -> anyhow::Result<String> {
    let told = tree.join("target/prove/kills.md");
    if told.exists() {
        std::fs::remove_file(&told)?;
    }
    let mut command = Command::new(cargo());
    command.args(["run", "--locked", "--bin", "prove"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let ended = command
        .args(["--", "kills"])
        .args(["--count", &count.to_string(), "--seed", &seed.to_string()])
        .env("CARGO_TARGET_DIR", target)
        .current_dir(tree)
        .stdin(Stdio::null())
        .status()
        .await?;
    let Ok(table) = std::fs::read_to_string(&told) else {
        bail!("the mutant's proof gave no verdict");
    };
    let verdicts = table
        .lines()
        .filter(|line| line.contains("| agent |") || line.contains("| gateway |"));
    let found: Vec<_> = verdicts.filter_map(verdict).collect();
    Ok(match (ended.success(), found.is_empty()) {
        (false, false) => found.join("; "),
        _ => "no".to_owned(),
    })
}

/// `2 lost, 1 doubled when the agent is killed`, of a line of the table of kills; none when it says that nothing is.
fn verdict(line: &str) -> Option<String> {
    let cells: Vec<_> = line.split('|').map(str::trim).collect();
    let [_, victim, _, _, _, _, _, lost, doubled, altered, ..] = cells.as_slice() else {
        return None;
    };
    let wrong: Vec<_> = [(lost, "lost"), (doubled, "doubled"), (altered, "altered")]
        .into_iter()
        .filter(|(count, _)| **count != "0")
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    (!wrong.is_empty()).then(|| format!("{} when the {victim} is killed", wrong.join(", ")))
}
