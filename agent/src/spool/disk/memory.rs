//! A disk in memory that fails when it is told to, and forgets in a crash whatever was not synced.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Appending, Folder, Found, Left, Seam};

/// The calls that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Making a file.
    Open,
    /// Writing at the end; half of the bytes are written before it fails.
    Append,
    /// Making data durable.
    Sync,
    /// Moving a file.
    Rename,
    /// Making names durable.
    SyncDir,
    /// Removing a file.
    Remove,
    /// Reading a piece of a file.
    Read,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Open,
        Self::Append,
        Self::Sync,
        Self::Rename,
        Self::SyncDir,
        Self::Remove,
    ];
}

type Names = BTreeMap<(Folder, String), u64>;

#[derive(Debug, Default)]
struct State {
    data: HashMap<u64, (Vec<u8>, usize)>,
    names: Names,
    durable: Names,
    next: u64,
    counts: HashMap<Call, u64>,
    faults: HashMap<Call, u64>,
    free: Option<u64>,
    free_files: Option<u64>,
    spoiled: Vec<(u64, Range<usize>)>,
    rots: Option<u64>,
}

impl State {
    /// Counts a call and fails the one that was asked to fail.
    fn call(&mut self, call: Call) -> io::Result<()> {
        let count = self.counts.entry(call).or_insert(0);
        *count += 1;
        if self.faults.get(&call) == Some(count) {
            return Err(io::Error::other("the disk was told to fail"));
        }
        Ok(())
    }

    fn named(&self, folder: Folder, name: &str) -> io::Result<u64> {
        self.names
            .get(&(folder, name.to_owned()))
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The disk; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

impl MemoryDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails the `nth` call of its kind from now on, once. 1 is the next one.
    pub fn fail(&self, call: Call, nth: u64) {
        let mut state = self.state();
        let so_far = state.counts.get(&call).copied().unwrap_or(0);
        state.faults.insert(call, so_far.saturating_add(nth));
    }

    /// How many calls of a kind there were.
    #[must_use]
    pub fn count(&self, call: Call) -> u64 {
        self.state().counts.get(&call).copied().unwrap_or(0)
    }

    /// No call fails any more.
    pub fn mend(&self) {
        self.state().faults.clear();
    }

    /// How many bytes the disk says are free; `None`: plenty.
    pub fn set_free(&self, free: Option<u64>) {
        self.state().free = free;
    }

    /// How many files the disk says can still be made; `None`: there is no such bound.
    pub fn set_free_files(&self, files: Option<u64>) {
        self.state().free_files = files;
    }

    /// Power is lost: names and data that were not synced are gone, but for what `survives` lets through.
    pub fn crash(&self, mut survives: impl FnMut() -> bool) {
        let mut state = self.state();
        let mut names = state.durable.clone();
        let pending: Vec<_> = state.names.clone().into_iter().collect();
        for (name, file) in pending {
            if !names.contains_key(&name) && survives() {
                names.insert(name, file);
            }
        }
        state.names.clone_from(&names);
        state.durable = names;
        for (data, synced) in state.data.values_mut() {
            if !survives() {
                // nothing of what was not synced, or half of it: a torn write
                let torn = if survives() {
                    (data.len() - *synced) / 2
                } else {
                    0
                };
                data.truncate(*synced + torn);
            }
            *synced = data.len();
        }
        state.faults.clear();
    }

    /// Where these bytes stand now, nothing can be read any more.
    pub fn spoil(&self, what: &[u8]) {
        let mut state = self.state();
        let mut found = Vec::new();
        for (file, (data, _)) in &state.data {
            let at = data.windows(what.len()).position(|there| there == what);
            found.extend(at.map(|at| (*file, at..at.saturating_add(what.len()))));
        }
        state.spoiled.extend(found);
    }

    /// The file that is moved by the `nth` call from now on rots as soon as it lies where it is moved to: one bit in its middle.
    pub fn rot_moved(&self, nth: u64) {
        let mut state = self.state();
        let so_far = state.counts.get(&Call::Rename).copied().unwrap_or(0);
        state.rots = Some(so_far.saturating_add(nth));
    }

    /// Changes the bytes of a kept file or of a segment behind the spool's back, or removes it.
    pub fn damage(&self, change: impl Fn(&mut Vec<u8>) -> bool) {
        let mut state = self.state();
        let kept: Vec<_> = state
            .names
            .iter()
            .filter(|((folder, _), _)| *folder != Folder::Partial)
            .map(|(name, file)| (name.clone(), *file))
            .collect();
        for (name, file) in kept {
            let stays = match state.data.get_mut(&file) {
                Some((data, _)) => change(data),
                None => true,
            };
            if !stays {
                state.names.remove(&name);
                state.durable.remove(&name);
            }
        }
    }
}

#[derive(Debug)]
struct MemoryFile {
    disk: MemoryDisk,
    file: u64,
}

impl Appending for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let outcome = state.call(Call::Append);
        let written = match outcome {
            Ok(()) => bytes,
            Err(_) => bytes.get(..bytes.len() / 2).unwrap_or_default(),
        };
        if let Some((data, _)) = state.data.get_mut(&self.file) {
            data.extend_from_slice(written);
        }
        outcome
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call(Call::Sync)?;
        if let Some((data, synced)) = state.data.get_mut(&self.file) {
            *synced = data.len();
        }
        Ok(())
    }
}

impl Seam for MemoryDisk {
    fn open(&self, folder: Folder, name: &str) -> io::Result<Box<dyn Appending>> {
        let mut state = self.state();
        state.call(Call::Open)?;
        let file = state.next;
        state.next += 1;
        state.data.insert(file, (Vec::new(), 0));
        state.names.insert((folder, name.to_owned()), file);
        Ok(Box::new(MemoryFile {
            disk: self.clone(),
            file,
        }))
    }

    fn rename(
        &self,
        name: &str,
        to: &str,
        from_folder: Folder,
        to_folder: Folder,
    ) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::Rename)?;
        let file = state.named(from_folder, name)?;
        state.names.remove(&(from_folder, name.to_owned()));
        state.names.insert((to_folder, to.to_owned()), file);
        if state.rots == state.counts.get(&Call::Rename).copied()
            && let Some((data, _)) = state.data.get_mut(&file)
        {
            let middle = data.len() / 2;
            data.iter_mut().skip(middle).take(1).for_each(|it| *it ^= 1);
        }
        Ok(())
    }

    fn sync_dir(&self, folder: Folder) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::SyncDir)?;
        let mut durable: Names = state
            .durable
            .iter()
            .filter(|((other, _), _)| *other != folder)
            .map(|(name, file)| (name.clone(), *file))
            .collect();
        let current = state.names.iter().filter(|((of, _), _)| *of == folder);
        durable.extend(current.map(|(name, file)| (name.clone(), *file)));
        state.durable = durable;
        Ok(())
    }

    fn remove(&self, folder: Folder, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::Remove)?;
        state.named(folder, name)?;
        state.names.remove(&(folder, name.to_owned()));
        Ok(())
    }

    fn punch(&self, folder: Folder, name: &str, offset: u64, length: u64) -> io::Result<()> {
        let mut state = self.state();
        let file = state.named(folder, name)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if let Some((data, _)) = state.data.get_mut(&file) {
            data.iter_mut()
                .skip(from)
                .take(length)
                .for_each(|byte| *byte = 0);
        }
        Ok(())
    }

    fn shorten(&self, folder: Folder, name: &str, length: u64) -> io::Result<()> {
        let mut state = self.state();
        let file = state.named(folder, name)?;
        if let Some((data, _)) = state.data.get_mut(&file) {
            data.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        }
        Ok(())
    }

    fn list(&self, folder: Folder) -> io::Result<Vec<Found>> {
        let state = self.state();
        let files = state.names.iter().filter(|((of, _), _)| *of == folder);
        Ok(files
            .map(|((_, name), file)| Found {
                name: name.clone(),
                length: state
                    .data
                    .get(file)
                    .map_or(0, |(data, _)| data.len() as u64),
            })
            .collect())
    }

    fn read(&self, folder: Folder, name: &str, offset: u64, max: usize) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        state.call(Call::Read)?;
        let file = state.named(folder, name)?;
        let data = state.data.get(&file).map(|(data, _)| data.as_slice());
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let to = from.saturating_add(max);
        let meets =
            |(of, bad): &(u64, Range<usize>)| *of == file && from < bad.end && bad.start < to;
        if state.spoiled.iter().any(meets) {
            return Err(io::Error::other("the disk cannot read this"));
        }
        let rest = data.unwrap_or_default().get(from..).unwrap_or_default();
        Ok(rest.get(..max.min(rest.len())).unwrap_or_default().to_vec())
    }

    fn left(&self) -> io::Result<Left> {
        let state = self.state();
        Ok(Left {
            bytes: state.free.unwrap_or(u64::MAX),
            files: state.free_files,
        })
    }
}
