//! The calls by which a process of ours touches its disk: a library, preloaded into it, in which the n-th of a kind fails, and which
//! writes down what was asked of the disk in which order.

pub(crate) mod log;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use rustix::io::Errno;

use crate::states::layout::WRITTEN_ONCE;
use crate::tools;

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `open`.
    Open,
    /// `write`, `pwrite`, `writev`; half of it is written, in whole blocks, before it fails.
    Write,
    /// `fsync`, `fdatasync`; what was not synced before is gone when it fails, but for the files of SQLite.
    Sync,
    /// `rename`, `link`.
    Rename,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Open, Self::Write, Self::Sync, Self::Rename];

    /// As the table of a proof has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Write => "write",
            Self::Sync => "fsync",
            Self::Rename => "rename",
        }
    }
}

/// How a call fails.
pub const ERRORS: [(&str, Errno); 3] = [
    ("EIO", Errno::IO),
    ("ENOSPC", Errno::NOSPC),
    ("EDQUOT", Errno::DQUOT),
];

/// Where the numbers of the library's page stand.
const KIND: u64 = 0;
const ERROR: u64 = 8;
const LEFT: u64 = 16;
const MANY: u64 = 24;
const HITS: u64 = 32;
const SEEN: u64 = 40;
const LAST: u64 = 80;
const PAGE: usize = 336;

/// The library and the page by which it is told what fails.
#[derive(Debug)]
pub struct Calls {
    library: PathBuf,
    page: PathBuf,
    file: File,
}

impl Calls {
    /// Builds the library in an empty folder.
    ///
    /// # Errors
    /// When there is no C compiler.
    pub async fn build(folder: &Path) -> anyhow::Result<Self> {
        let library = library(folder).await?;
        Self::of(folder, library)
    }

    /// As [`Self::build`], of a library that is built.
    ///
    /// # Errors
    /// When the page cannot be made.
    pub fn of(folder: &Path, library: PathBuf) -> anyhow::Result<Self> {
        let page = folder.join("page");
        std::fs::write(&page, [0; PAGE])?;
        let file = File::options().read(true).write(true).open(&page)?;
        Ok(Self {
            library,
            page,
            file,
        })
    }

    /// The words that start a program with the library in it; the calls on files whose path contains `below` can fail.
    #[must_use]
    pub fn words(&self, below: &str) -> Vec<String> {
        let (library, page) = (self.library.display(), self.page.display());
        vec![
            "env".to_owned(),
            format!("LD_PRELOAD={library}"),
            format!("CALLS_BELOW={below}"),
            format!("CALLS_PAGE={page}"),
        ]
    }

    /// The page.
    #[must_use]
    pub fn page(&self) -> &Path {
        &self.page
    }

    fn put(&self, at: u64, value: u64) -> anyhow::Result<()> {
        Ok(self.file.write_all_at(&value.to_ne_bytes(), at)?)
    }

    fn get(&self, at: u64) -> anyhow::Result<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// From now on the `nth` call of a kind fails, and as many behind it as make `many`. 1 is the next one.
    ///
    /// # Errors
    /// When the page cannot be written.
    pub fn fail(&self, call: Call, how: Errno, nth: u64, many: u64) -> anyhow::Result<()> {
        self.arm(call, u64::try_from(how.raw_os_error())?, nth, many)
    }

    /// So many syncs forget what they should have made durable, and say that it is.
    ///
    /// # Errors
    /// When the page cannot be written.
    pub fn lie(&self, many: u64) -> anyhow::Result<()> {
        self.arm(Call::Sync, 0, 1, many)
    }

    fn arm(&self, call: Call, error: u64, nth: u64, many: u64) -> anyhow::Result<()> {
        self.mend()?;
        self.put(ERROR, error)?;
        self.put(LEFT, nth)?;
        self.put(MANY, many)?;
        self.put(HITS, 0)?;
        self.put(KIND, number(call))
    }

    /// No call fails any more.
    ///
    /// # Errors
    /// When the page cannot be written.
    pub fn mend(&self) -> anyhow::Result<()> {
        self.put(KIND, 0)
    }

    /// How many calls have failed since it was last told which.
    ///
    /// # Errors
    /// When the page cannot be read.
    pub fn hits(&self) -> anyhow::Result<u64> {
        self.get(HITS)
    }

    /// How many calls of a kind there were since the process began.
    ///
    /// # Errors
    /// When the page cannot be read.
    pub fn seen(&self, call: Call) -> anyhow::Result<u64> {
        self.get(SEEN + 8 * number(call))
    }

    /// The file of the last call that failed.
    ///
    /// # Errors
    /// When the page cannot be read.
    pub fn last(&self) -> anyhow::Result<String> {
        let mut bytes = [0; PAGE];
        self.file.read_exact_at(&mut bytes, 0)?;
        let from = usize::try_from(LAST)?;
        let name = bytes.get(from..).unwrap_or_default();
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(name).into_owned())
    }
}

fn number(call: Call) -> u64 {
    match call {
        Call::Open => 1,
        Call::Write => 2,
        Call::Sync => 3,
        Call::Rename => 4,
    }
}

/// Builds the library.
///
/// # Errors
/// When there is no C compiler.
pub async fn library(folder: &Path) -> anyhow::Result<PathBuf> {
    let (source, library) = (folder.join("calls.c"), folder.join("calls.so"));
    std::fs::write(&source, include_str!("calls/calls.c")).context("writing the library")?;
    let (from, to) = (source.display().to_string(), library.display().to_string());
    let words = ["-O2", "-shared", "-fPIC", "-o", &to, &from];
    let said = tools::run("cc", &words).await?;
    ensure!(said.code == Some(0), "{}", said.text);
    Ok(library)
}

/// Whether a start begins with a copy of the folder as it was before: what lies in it then is durable. What is written once is not copied
/// but linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    /// As `base.N`.
    Before,
    /// No.
    None,
}

/// The words that start a program with the library in it, one log of each start: `log.N` in `folder`. The calls below the folder with
/// this name, beside the configuration, are written down; `more` are variables for the library.
pub(crate) fn words_of_each_start(
    folder: &Path,
    library: &Path,
    (data, copies): (&str, Copies),
    more: &str,
) -> Vec<String> {
    let (folder, library) = (folder.display(), library.display());
    // no apostrophes: each word is put between two of them, in a script
    let copy = match copies {
        Copies::Before => format!(
            "mkdir {folder}/base.$n || exit 1; (set -e; cd \"$(dirname \"$3\")/{data}\"; for part in * .[!.]*; do how=-a; \
             if [ $part = {WRITTEN_ONCE} ]; then how=-al; fi; \
             if [ -e $part ]; then cp $how --sparse=always $part {folder}/base.$n/; fi; done) || exit 1; "
        ),
        Copies::None => String::new(),
    };
    let shell = format!(
        "n=$(ls -d {folder}/log.* 2>/dev/null | wc -l); {copy}\
         exec env LD_PRELOAD={library} CALLS_BELOW=/{data} {more} CALLS_LOG={folder}/log.$n \"$@\""
    );
    ["sh", "-c", &shell, "sh"].map(str::to_owned).to_vec()
}
