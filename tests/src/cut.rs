//! Power that is cut while everything runs (R2): whoever is killed loses, of what it asked of its disk, what no sync had made durable, and
//! goes on with what is left. The same library and the same record as in [`crate::states`], for the gateway too.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::calls::log::{self, Asked};
use crate::calls::{self, Copies};
use crate::killed::{Victim, next};
use crate::states::layout::{Choice, Layout};

/// The disk of one process of a hospital.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: TempDir,
    library: PathBuf,
    data: &'static str,
    syncs: bool,
    random: u64,
    /// The life that ends next is the first: commands of the operator have written beside it.
    is_first: bool,
    /// Cuts that left something out.
    pub(crate) forgot: u64,
}

impl Disk {
    /// Whose disk it is; whether its syncs count, or those of blobs are struck out.
    ///
    /// # Errors
    /// When there is no C compiler.
    pub(crate) async fn of(victim: Victim, syncs: bool, seed: u64) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self {
            library: calls::library(folder.path()).await?,
            folder,
            data: match victim {
                Victim::Agent => "agent-spool",
                Victim::Gateway => "gateway-data",
            },
            syncs,
            random: seed,
            is_first: true,
            forgot: 0,
        })
    }

    /// The words before those of the process.
    pub(crate) fn words(&self) -> Vec<String> {
        calls::words_of_each_start(
            self.folder.path(),
            &self.library,
            (self.data, Copies::Before),
            "",
        )
    }

    /// Leaves what is durable, and by turns nothing else or any of the rest. The process has just been killed; `stack` is where its
    /// folder lies.
    ///
    /// # Errors
    /// When what it asked for was not written down.
    pub(crate) fn cut(&mut self, stack: &Path) -> anyhow::Result<()> {
        let part = |name: &str| self.folder.path().join(name);
        let (base, log) = (part("base.0"), part("log.0"));
        if !std::mem::take(&mut self.is_first) {
            let mut asked = log::read(&log, &format!("/{}", self.data))?;
            if !self.syncs {
                forget_syncs_of_blobs(&mut asked);
            }
            let layout = Layout::of(&base, &asked)?;
            let all = !self.syncs || next(&mut self.random).is_multiple_of(2);
            let choice = match all {
                true => Choice::forgets_all(&layout),
                false => Choice::draw(&layout, layout.moments, &mut self.random),
            };
            self.forgot += u64::from(choice.leaves_out);
            let (is, laid) = (stack.join(self.data), stack.join("laid-out"));
            layout.lay_out(&choice, &laid)?;
            std::fs::remove_dir_all(&is)?;
            std::fs::rename(laid, is)?;
        }
        if base.exists() {
            std::fs::remove_dir_all(base)?;
        }
        std::fs::remove_file(log)?;
        Ok(())
    }
}

/// As if blobs had never been synced, and their rows had.
fn forget_syncs_of_blobs(asked: &mut Vec<Asked>) {
    let mut blobs = HashSet::new();
    asked.retain(|one| match one {
        Asked::Opened { number, path, .. } => {
            match path.starts_with("blobs") {
                true => blobs.insert(*number),
                false => blobs.remove(number),
            };
            true
        }
        Asked::SyncBegins { number, .. } | Asked::SyncEnds { number, .. } => {
            !blobs.contains(number)
        }
        _ => true,
    });
}
