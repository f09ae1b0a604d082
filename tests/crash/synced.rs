//! R4: no success is said of bytes that are not synced. The agent runs under strace; between the last write to the spool and each answer
//! there has to be the sync of what was written, and of the folder in which a name was made. The same without syncs has to be found out.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use causeway_tests::hospital::Hospital;
use causeway_tests::long::write_small;
use causeway_tests::pacs::Behaviour;
use causeway_tests::sender::Answer;
use causeway_tests::tools;

/// Rows and columns: frames of a segment, and every tenth a file of its own.
const SIDES: (u16, u16) = (64, 1100);
const OBJECTS: u32 = 120;

/// What a system call log says of the answers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    answers: usize,
    /// What was not synced when an answer left, a line for each.
    faults: Vec<String>,
}

/// Reads a log of `strace -f -yy`, whose lines of calls that overlap come in two parts.
#[derive(Debug, Default)]
struct Log {
    begun: HashMap<String, String>,
    number: u64,
    /// Files of the spool with bytes that no sync has covered, and when the last of them began to be written.
    dirty: HashMap<String, u64>,
    /// Folders in which a name was made since their last sync.
    named: HashSet<String>,
    /// When each sync under way began, by thread.
    syncing: HashMap<String, u64>,
    written: bool,
    seen: Seen,
}

impl Log {
    fn read(text: &str) -> Seen {
        let mut log = Self::default();
        for line in text.lines() {
            log.number += 1;
            let Some((thread, call)) = line.trim_start().split_once(' ') else {
                continue;
            };
            let call = call.trim_start();
            if let Some(rest) = call.strip_prefix("<... ") {
                let end = rest.split_once("resumed>").map_or("", |(_, end)| end);
                if let Some(begun) = log.begun.remove(thread) {
                    log.ends(thread, &format!("{begun}{end}"));
                }
            } else if let Some(begun) = call.strip_suffix(" <unfinished ...>") {
                log.begins(thread, begun);
                log.begun.insert(thread.to_owned(), begun.to_owned());
            } else {
                log.begins(thread, call);
                log.ends(thread, call);
            }
        }
        log.seen
    }

    fn begins(&mut self, thread: &str, call: &str) {
        let (name, rest) = call.split_once('(').unwrap_or((call, ""));
        match name {
            "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" => {
                if let Some(file) = in_spool(rest) {
                    self.dirty.insert(file, self.number);
                    self.written = true;
                }
                if answers(rest) {
                    self.answer();
                }
            }
            "sendto" | "sendmsg" if answers(rest) => self.answer(),
            "fdatasync" | "fsync" => {
                self.syncing.insert(thread.to_owned(), self.number);
            }
            _ => {}
        }
    }

    fn ends(&mut self, thread: &str, call: &str) {
        let (name, rest) = call.split_once('(').unwrap_or((call, ""));
        let went_well = call
            .rsplit_once(" = ")
            .is_some_and(|(_, value)| !value.starts_with('-'));
        if !went_well {
            return;
        }
        match name {
            "openat" if rest.contains("O_CREAT") => {
                if let Some(file) = quoted(rest, 0).filter(|path| is_spools(path)) {
                    self.named.insert(folder(&file));
                }
            }
            "rename" | "renameat" | "renameat2" => {
                let (Some(from), Some(to)) = (quoted(rest, 0), quoted(rest, 1)) else {
                    return;
                };
                if let Some(dirty) = self.dirty.remove(&from) {
                    self.dirty.insert(to.clone(), dirty);
                }
                if is_spools(&to) {
                    self.named.insert(folder(&to));
                }
            }
            "fdatasync" | "fsync" => {
                let began = self.syncing.remove(thread).unwrap_or_default();
                let Some(file) = described(rest) else { return };
                self.named.remove(&file);
                if self.dirty.get(&file).is_some_and(|at| *at < began) {
                    self.dirty.remove(&file);
                }
            }
            _ => {}
        }
    }

    fn answer(&mut self) {
        self.seen.answers += 1;
        // a name among what is still arriving is no promise
        let names = self.named.iter().filter(|it| !it.ends_with("/partial"));
        let bare = self.dirty.keys().chain(names).cloned();
        let bare: Vec<_> = bare.filter(|it| !it.contains("/partial/")).collect();
        if !self.written || !bare.is_empty() {
            self.seen
                .faults
                .push(format!("answer {}: {bare:?}", self.seen.answers));
        }
        self.written = false;
    }
}

/// A P-DATA-TF (PS3.8 9.3.5) on a TCP socket.
fn answers(rest: &str) -> bool {
    rest.contains("<TCP") && quoted(rest, 0).is_some_and(|bytes| bytes.starts_with(r"\4\0"))
}

fn is_spools(path: &str) -> bool {
    ["/packed/", "/partial/", "/kept/"]
        .iter()
        .any(|folder| path.contains(folder))
}

/// `12</a/file>, …`: the file, when it is one of the spool's.
fn in_spool(rest: &str) -> Option<String> {
    described(rest).filter(|path| is_spools(path))
}

fn described(rest: &str) -> Option<String> {
    let (_, rest) = rest.split_once('<')?;
    Some(rest.split_once('>')?.0.to_owned())
}

/// The `which`th text in quotation marks.
fn quoted(rest: &str, which: usize) -> Option<String> {
    rest.split('"').nth(which * 2 + 1).map(str::to_owned)
}

fn folder(path: &str) -> String {
    path.rsplit_once('/')
        .map_or("", |(folder, _)| folder)
        .to_owned()
}

/// Sends so many objects to an agent that runs under strace; with `preload` in its process.
async fn traced(preload: Option<&Path>) -> anyhow::Result<Seen> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("calls");
    let mut words = vec![
        "strace", "-D", "-f", "--seccomp-bpf", "-yy", "-s", "32", "-e", "signal=none", "-e",
        "trace=write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,fdatasync,fsync,openat,rename,renameat,renameat2",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect::<Vec<_>>();
    words.extend(["-o".to_owned(), log.display().to_string()]);
    if let Some(preload) = preload {
        words.extend(["-E".to_owned(), format!("LD_PRELOAD={}", preload.display())]);
    }
    let hospital = Hospital::with_agent_under(Behaviour::default(), &words).await?;
    let mut files = Vec::new();
    for number in 0..OBJECTS {
        let path = folder.path().join(format!("{number}.dcm"));
        let side = if number % 10 == 9 { SIDES.1 } else { SIDES.0 };
        write_small(&path, number / 40, number, side)?;
        files.push(path);
    }
    let answers = hospital.send_files(&files, "CAUSEWAY").await?;
    ensure!(answers.iter().all(Answer::stored), "{answers:?}");
    hospital.close().await?;
    let text = std::fs::read(&log).context("strace left no log")?;
    Ok(Log::read(&String::from_utf8_lossy(&text)))
}

#[tokio::test]
async fn every_success_was_synced_before_it_was_said() -> anyhow::Result<()> {
    let seen = traced(None).await?;
    assert_eq!(seen.answers, usize::try_from(OBJECTS)?, "{seen:?}");
    assert_eq!(seen.faults, Vec::<String>::new());
    Ok(())
}

/// The mutant: a disk that is never asked to sync.
#[tokio::test]
async fn an_agent_that_syncs_nothing_is_found_out() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let library = never(folder.path()).await?;
    let seen = traced(Some(&library)).await?;
    assert_eq!(seen.faults.len(), seen.answers, "{seen:?}");
    Ok(())
}

/// A library in which a sync does nothing and says that it did.
async fn never(folder: &Path) -> anyhow::Result<PathBuf> {
    let (source, library) = (folder.join("never.c"), folder.join("never.so"));
    std::fs::write(
        &source,
        "int fsync(int fd) { (void)fd; return 0; }\nint fdatasync(int fd) { (void)fd; return 0; }\n",
    )?;
    let (from, to) = (source.display().to_string(), library.display().to_string());
    let said = tools::run("cc", &["-shared", "-fPIC", "-o", &to, &from]).await?;
    ensure!(said.code == Some(0), "{}", said.text);
    Ok(library)
}
