//! What may be on the disk at a moment of a recording: changes that a sync has made durable, and any of the others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::draw;
use crate::calls::log::Asked;

/// A sector: a write is torn between two of these.
const SECTOR: usize = 512;

/// A change of what is on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    what: What,
    /// When it was made.
    at: usize,
    /// From when on it is durable.
    durable: usize,
}

#[derive(Clone, Debug)]
enum What {
    Write {
        file: usize,
        at: u64,
        bytes: Vec<u8>,
    },
    Length {
        file: usize,
        length: u64,
    },
    Name {
        path: String,
        file: usize,
    },
    /// The name is gone; with it the one that a rename has made in its place, if that is not there either.
    NoName {
        path: String,
        instead: Option<usize>,
    },
    Folder {
        path: String,
    },
}

impl What {
    fn is_of_a_name(&self) -> bool {
        !matches!(self, Self::Write { .. } | Self::Length { .. })
    }
}

/// A recording, put in order.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    pub(crate) changes: Vec<Change>,
    /// When each answer was about to leave, and its bytes.
    pub(crate) answers: Vec<(usize, Vec<u8>)>,
    /// How many moments there are.
    pub(crate) moments: usize,
    /// What the files held when the recording began.
    bases: Vec<Base>,
    first_names: BTreeMap<String, usize>,
    first_folders: BTreeSet<String>,
}

/// What a file held when the recording began.
#[derive(Debug)]
enum Base {
    /// Its bytes without the zeros at the end, and its length.
    Bytes(Vec<u8>, u64),
    /// The file itself: it is not written again.
    Whole(PathBuf),
}

/// Below this name each file is written once, and then only moved or removed.
pub(crate) const WRITTEN_ONCE: &str = "blobs";

/// While a recording is read.
#[derive(Default)]
struct Reading {
    it: Layout,
    /// What the numbers of the kernel stand for now.
    numbers: HashMap<u64, Number>,
    names: BTreeMap<String, usize>,
    folders: BTreeSet<String>,
    lengths: Vec<u64>,
    /// Changes of each file, and of the names in each folder, that no sync has covered.
    of_file: HashMap<usize, Vec<usize>>,
    of_folder: HashMap<String, Vec<usize>>,
    /// What each sync under way will have covered.
    syncs: HashMap<u64, Vec<usize>>,
}

#[derive(Clone, Debug)]
enum Number {
    File(usize),
    Folder(String),
}

impl Layout {
    /// What was asked of a folder that was this one before.
    pub(crate) fn of(base: &Path, all: &[Asked]) -> anyhow::Result<Self> {
        let mut reading = Reading::default();
        reading.base(base, "")?;
        reading.it.first_names.clone_from(&reading.names);
        reading.it.first_folders.clone_from(&reading.folders);
        for asked in all {
            reading.it.moments += 1;
            reading.asked(asked)?;
        }
        Ok(reading.it)
    }

    /// Makes the folder that this choice is.
    pub(crate) fn lay_out(&self, choice: &Choice, to: &Path) -> anyhow::Result<()> {
        let (mut names, mut folders) = (self.first_names.clone(), self.first_folders.clone());
        let mut contents: HashMap<usize, Vec<&Change>> = HashMap::new();
        for index in &choice.kept {
            let Some(change) = self.changes.get(*index) else {
                continue;
            };
            match &change.what {
                What::Write { file, .. } | What::Length { file, .. } => {
                    contents.entry(*file).or_default().push(change);
                }
                What::Name { path, file } => {
                    names.insert(path.clone(), *file);
                }
                What::NoName { path, .. } => {
                    names.remove(path);
                }
                What::Folder { path } => {
                    folders.insert(path.clone());
                }
            }
        }
        for folder in &folders {
            std::fs::create_dir_all(to.join(folder))?;
            let mode = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(to.join(folder), mode)?;
        }
        for (path, file) in &names {
            let path = to.join(path);
            // its folder may be among what is missing
            if !path.parent().is_some_and(Path::is_dir) {
                continue;
            }
            let base = self.bases.get(*file);
            if let Some(Base::Whole(whole)) = base {
                let linked = std::fs::hard_link(whole, &path);
                linked.with_context(|| format!("linking {}", path.display()))?;
                continue;
            }
            let mut options = std::fs::OpenOptions::new();
            let made = options.write(true).create(true).truncate(true).open(&path);
            let made = made.with_context(|| format!("making {}", path.display()))?;
            made.set_permissions(std::fs::Permissions::from_mode(0o600))?;
            if let Some(Base::Bytes(base, length)) = base {
                made.write_all_at(base, 0)?;
                made.set_len(*length)?;
            }
            for change in contents.get(file).into_iter().flatten() {
                match &change.what {
                    What::Write { at, bytes, .. } => {
                        let torn = choice.torn.get(&change.at).copied();
                        let kept = torn.unwrap_or(bytes.len()).min(bytes.len());
                        made.write_all_at(bytes.get(..kept).unwrap_or_default(), *at)?;
                    }
                    What::Length { length, .. } => made.set_len(*length)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

impl Reading {
    fn base(&mut self, folder: &Path, inside: &str) -> anyhow::Result<()> {
        self.folders.insert(inside.to_owned());
        for entry in std::fs::read_dir(folder.join(inside))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = match inside {
                "" => name,
                inside => format!("{inside}/{name}"),
            };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.base(folder, &path)?;
            } else if kind.is_file() {
                let file = match Path::new(&path).starts_with(WRITTEN_ONCE) {
                    true => self.file(Base::Whole(entry.path()), entry.metadata()?.len()),
                    false => self.bytes(std::fs::read(entry.path())?),
                };
                self.names.insert(path, file);
            }
        }
        Ok(())
    }

    fn bytes(&mut self, mut base: Vec<u8>) -> usize {
        let length = base.len() as u64;
        let end = base.iter().rposition(|byte| *byte != 0);
        base.truncate(end.map_or(0, |end| end + 1));
        self.file(Base::Bytes(base, length), length)
    }

    fn file(&mut self, base: Base, length: u64) -> usize {
        self.lengths.push(length);
        self.it.bases.push(base);
        self.it.bases.len() - 1
    }

    /// The file has changed, and may only if it is not one that is written once.
    fn length_of(&mut self, file: usize) -> anyhow::Result<&mut u64> {
        let may = matches!(self.it.bases.get(file), Some(Base::Bytes(..)));
        ensure!(may, "a file that is written once was written again");
        self.lengths.get_mut(file).context("a file without length")
    }

    fn change(&mut self, what: What) -> usize {
        let index = self.it.changes.len();
        self.it.changes.push(Change {
            what,
            at: self.it.moments,
            durable: usize::MAX,
        });
        index
    }

    fn of_names(&mut self, path: &str, what: What) -> usize {
        let index = self.change(what);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let waiting = self.of_folder.entry(folder.to_owned()).or_default();
        waiting.push(index);
        index
    }

    fn name(&mut self, path: &str, file: usize) -> usize {
        self.names.insert(path.to_owned(), file);
        let path_of = path.to_owned();
        self.of_names(
            path,
            What::Name {
                path: path_of,
                file,
            },
        )
    }

    fn no_name(&mut self, path: &str, instead: Option<usize>) {
        self.names.remove(path);
        let path_of = path.to_owned();
        self.of_names(
            path,
            What::NoName {
                path: path_of,
                instead,
            },
        );
    }

    fn length(&mut self, file: usize, length: u64) -> anyhow::Result<()> {
        *self.length_of(file)? = length;
        let index = self.change(What::Length { file, length });
        self.of_file.entry(file).or_default().push(index);
        Ok(())
    }

    fn asked(&mut self, asked: &Asked) -> anyhow::Result<()> {
        match asked {
            Asked::Opened {
                number,
                path,
                made,
                emptied,
            } => self.opened(*number, path, *made, *emptied)?,
            Asked::Written {
                number,
                at,
                length_before,
                bytes,
            } => self.written(*number, *at, *length_before, bytes)?,
            Asked::Truncated { number, length } => {
                if let Some(Number::File(file)) = self.numbers.get(number).cloned() {
                    self.length(file, *length)?;
                }
            }
            Asked::SyncBegins { number, token } => {
                let waiting = match self.numbers.get(number) {
                    Some(Number::File(file)) => self.of_file.get_mut(file),
                    Some(Number::Folder(path)) => self.of_folder.get_mut(path),
                    None => None,
                };
                let covered = waiting.map(std::mem::take).unwrap_or_default();
                self.syncs.insert(*token, covered);
            }
            // after a failure it is never known to be there
            Asked::SyncEnds { token, well, .. } => {
                for index in self.syncs.remove(token).unwrap_or_default() {
                    if let Some(change) = self.it.changes.get_mut(index).filter(|_| *well) {
                        change.durable = self.it.moments;
                    }
                }
            }
            Asked::Renamed { from, to } => {
                if let Some(file) = self.names.get(from).copied() {
                    let instead = self.name(to, file);
                    self.no_name(from, Some(instead));
                }
            }
            Asked::Linked { from, to } => {
                if let Some(file) = self.names.get(from).copied() {
                    self.name(to, file);
                }
            }
            Asked::Removed { path } => {
                if self.names.contains_key(path) {
                    self.no_name(path, None);
                }
            }
            Asked::FolderMade { path } => {
                self.folders.insert(path.clone());
                let path_of = path.clone();
                self.of_names(path, What::Folder { path: path_of });
            }
            Asked::Answer(bytes) => self.it.answers.push((self.it.moments, bytes.clone())),
        }
        Ok(())
    }

    fn opened(&mut self, number: u64, path: &str, made: bool, emptied: bool) -> anyhow::Result<()> {
        let path = path.trim_end_matches('/');
        if self.folders.contains(path) {
            let folder = Number::Folder(path.to_owned());
            self.numbers.insert(number, folder);
            return Ok(());
        }
        let file = match self.names.get(path) {
            Some(file) if !made => *file,
            _ => {
                let file = self.bytes(Vec::new());
                self.name(path, file);
                file
            }
        };
        self.numbers.insert(number, Number::File(file));
        if emptied && self.lengths.get(file).is_some_and(|length| *length > 0) {
            self.length(file, 0)?;
        }
        Ok(())
    }

    fn written(&mut self, number: u64, at: u64, before: u64, bytes: &[u8]) -> anyhow::Result<()> {
        let Some(Number::File(file)) = self.numbers.get(&number).cloned() else {
            anyhow::bail!("a write into a file that was never opened");
        };
        let known = *self.length_of(file)?;
        ensure!(
            known <= before,
            "a file is shorter than what was seen of it"
        );
        if known < before {
            // by a call that does not go through libc
            self.length(file, before)?;
        }
        let index = self.change(What::Write {
            file,
            at,
            bytes: bytes.to_vec(),
        });
        self.of_file.entry(file).or_default().push(index);
        *self.length_of(file)? = before.max(at.saturating_add(bytes.len() as u64));
        Ok(())
    }
}

/// One of the states of a moment.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Choice {
    /// The changes that are on the disk, in order.
    kept: Vec<usize>,
    /// How many bytes of a torn write are there, by the moment of the write.
    pub(crate) torn: BTreeMap<usize, usize>,
    /// Whether something is missing.
    pub(crate) leaves_out: bool,
}

/// Which of the changes that may be missing are.
#[derive(Clone, Copy)]
enum Rule {
    All,
    None,
    AllButOne(usize),
    One(usize),
    Half,
    /// As a journal has it: names in order up to one, and any bytes.
    Journal(usize),
    Before(usize),
}

impl Choice {
    /// Draws a state of a moment: what is durable, and any of the rest.
    pub(crate) fn draw(layout: &Layout, moment: usize, random: &mut u64) -> Self {
        let open: Vec<usize> = made_until(layout, moment)
            .filter(|(_, change)| change.durable > moment)
            .map(|(index, _)| index)
            .collect();
        let one = open.get(draw(random, open.len())).copied();
        let one = one.unwrap_or_default();
        let rule = match draw(random, 9) {
            0 => Rule::All,
            1 => Rule::None,
            2 => Rule::AllButOne(one),
            3 => Rule::One(one),
            4 | 5 => Rule::Half,
            6 => Rule::Journal(one),
            _ => Rule::Before(one),
        };
        Self::by(layout, moment, rule, random)
    }

    /// The state at the end in which everything is missing that no sync has made durable.
    pub(crate) fn forgets_all(layout: &Layout) -> Self {
        Self::by(layout, layout.moments, Rule::None, &mut 0)
    }

    fn by(layout: &Layout, moment: usize, rule: Rule, random: &mut u64) -> Self {
        let mut choice = Self::default();
        let mut missing = BTreeSet::new();
        for (index, change) in made_until(layout, moment) {
            let stays = change.durable <= moment
                || match rule {
                    Rule::All => true,
                    Rule::None => false,
                    Rule::AllButOne(one) => index != one,
                    Rule::One(one) => index == one,
                    Rule::Before(one) => index <= one,
                    Rule::Journal(one) if change.what.is_of_a_name() => index <= one,
                    Rule::Half | Rule::Journal(_) => draw(random, 2) == 0,
                };
            // a rename is one step: the old name does not go without the new one
            let halved = matches!(&change.what, What::NoName { instead: Some(instead), .. } if missing.contains(instead));
            if !stays || halved {
                missing.insert(index);
                choice.leaves_out = true;
                continue;
            }
            choice.kept.push(index);
            if change.durable > moment
                && let What::Write { bytes, .. } = &change.what
                && bytes.len() > SECTOR
                && draw(random, 4) == 0
            {
                let kept = draw(random, bytes.len() / SECTOR) * SECTOR;
                choice.torn.insert(change.at, kept);
                choice.leaves_out = true;
            }
        }
        choice
    }

    /// Everything that was asked for, as the kernel shows it.
    pub(super) fn whole(layout: &Layout) -> Self {
        Self {
            kept: (0..layout.changes.len()).collect(),
            ..Self::default()
        }
    }
}

fn made_until(layout: &Layout, moment: usize) -> impl Iterator<Item = (usize, &Change)> {
    let made = layout.changes.iter().enumerate();
    made.take_while(move |(_, change)| change.at <= moment)
}
