//! Where the bytes lie. Callers append and get a handle, and read a range of a handle; how handles become files stays in here.
//!
//! Objects of up to a mebibyte lie one behind the other in segments ([`pack`]), so that one sync makes all of them durable that wait for
//! it; each longer one, and each report, has a file of its own, named by its digest or by chance alone, by chance, and by its checksum.
//! So all bytes are kept with a checksum, in the head of a frame or in a name, that [`Disk::checked`] compares them with. Every write
//! goes through [`Seam`], seven calls and a listing (house.md rule 5): the real one, and one in memory that can fail at any call and
//! forget what was not synced.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use causeway_proto::digest::Digest;
use causeway_proto::random::Random;
use flate2::Crc;

mod block;
pub(super) mod checked;
pub mod memory;
mod pack;
pub mod real;

pub(super) use block::Block;

/// Bytes that lie on the disk. Opaque outside of this file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(String);

/// Where the bytes of a handle lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// In a file of their own.
    File(&'a str),
    /// In a segment, from an offset on.
    Packed {
        /// Its name.
        segment: &'a str,
        /// Where they begin.
        offset: u64,
        /// How many there are.
        length: u64,
    },
}

impl Handle {
    /// The form that is stored in a row.
    #[must_use]
    pub(crate) fn as_row(&self) -> &str {
        &self.0
    }

    /// Whether a file under this name was made durable with this digest.
    #[must_use]
    pub(crate) fn is_of(&self, digest: &Digest) -> bool {
        let rest = self.0.strip_prefix(&digest.to_string());
        rest.is_some_and(|rest| rest.starts_with('-'))
    }

    /// From a row.
    #[must_use]
    pub(crate) fn from_row(text: String) -> Self {
        Self(text)
    }

    fn packed(segment: &str, offset: u64, length: u64) -> Self {
        Self(format!("{segment}:{offset}:{length}"))
    }

    /// A file of this name and checksum.
    fn file(stem: &str, checksum: u32) -> Self {
        Self(format!("{stem}.{checksum:08x}"))
    }

    /// The checksum of a file of its own; none when an earlier version kept it.
    fn checksum(&self) -> Option<u32> {
        let (_, checksum) = self.0.rsplit_once('.')?;
        u32::from_str_radix(checksum, 16).ok()
    }

    /// Where its bytes lie.
    #[must_use]
    pub(super) fn place(&self) -> Place<'_> {
        let packed = || {
            let (segment, rest) = self.0.split_once(':')?;
            let (offset, length) = rest.split_once(':')?;
            Some(Place::Packed {
                segment,
                offset: offset.parse().ok()?,
                length: length.parse().ok()?,
            })
        };
        packed().unwrap_or(Place::File(&self.0))
    }
}

/// The folders of the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Folder {
    /// What is still arriving; removed at the next start.
    Partial,
    /// What was kept.
    Kept,
    /// Segments.
    Packed,
}

impl Folder {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Partial, Self::Kept, Self::Packed];

    /// Its name on the disk.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Partial => "partial",
            Self::Kept => "kept",
            Self::Packed => "packed",
        }
    }
}

/// A file as the seam lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name inside its folder.
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
}

/// What may still be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Bytes.
    pub bytes: u64,
    /// Files that can still be made; none where there is no such bound.
    pub files: Option<u64>,
}

/// A file that is being written, from its beginning to its end.
pub trait Appending: Send + Sync + fmt::Debug {
    /// Writes at the end.
    ///
    /// # Errors
    /// As the disk says; the file is then of no more use.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything appended durable.
    ///
    /// # Errors
    /// As the disk says. A failure is final for this file: the kernel may have dropped what it could not write.
    fn sync(&mut self) -> io::Result<()>;
}

/// The calls by which the spool touches the disk.
pub trait Seam: Send + Sync + fmt::Debug {
    /// Makes a new, empty file.
    ///
    /// # Errors
    /// As the disk says.
    fn open(&self, folder: Folder, name: &str) -> io::Result<Box<dyn Appending>>;

    /// Moves a file from one folder to the other, keeping its name.
    ///
    /// # Errors
    /// As the disk says.
    fn rename(
        &self,
        name: &str,
        to: &str,
        from_folder: Folder,
        to_folder: Folder,
    ) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// As the disk says.
    fn sync_dir(&self, folder: Folder) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the disk says; a file that is not there is an error of kind `NotFound`.
    fn remove(&self, folder: Folder, name: &str) -> io::Result<()>;

    /// Gives the room of a stretch of a file back, where the file system can: it reads as zeros from then on.
    ///
    /// # Errors
    /// As the disk says.
    fn punch(&self, folder: Folder, name: &str, offset: u64, length: u64) -> io::Result<()>;

    /// Cuts a file to a length, in bytes.
    ///
    /// # Errors
    /// As the disk says.
    fn shorten(&self, folder: Folder, name: &str, length: u64) -> io::Result<()>;

    /// Every file of a folder.
    ///
    /// # Errors
    /// As the disk says.
    fn list(&self, folder: Folder) -> io::Result<Vec<Found>>;

    /// Up to `max` bytes from `offset`; fewer only at the end.
    ///
    /// # Errors
    /// As the disk says.
    fn read(&self, folder: Folder, name: &str, offset: u64, max: usize) -> io::Result<Vec<u8>>;

    /// What may still be written.
    ///
    /// # Errors
    /// As the disk says.
    fn left(&self) -> io::Result<Left>;
}

/// The layout over a seam. Every call blocks; the spool makes them off the runtime.
#[derive(Clone, Debug)]
pub struct Disk {
    seam: Arc<dyn Seam>,
    random: Random,
    packs: Arc<Mutex<pack::Packs>>,
    spare: Arc<block::Spare>,
}

/// A file in the folder of what is still arriving.
#[derive(Debug)]
pub struct Partial {
    name: String,
    file: Box<dyn Appending>,
    sum: Crc,
}

impl Partial {
    /// Writes at the end.
    ///
    /// # Errors
    /// As the disk says.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.file.append(bytes)
    }

    /// As [`Self::append`], for bytes whose checksum was made when they were put into the block.
    pub(super) fn append_block(&mut self, block: &Block) -> io::Result<()> {
        self.sum.combine(block.checksum());
        self.file.append(block.content())
    }

    /// Its name, for reading it back before it is kept.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Disk {
    /// Over the given seam.
    #[must_use]
    pub fn new(seam: Arc<dyn Seam>, random: Random) -> Self {
        Self {
            seam,
            random,
            packs: Arc::default(),
            spare: Arc::default(),
        }
    }

    /// Begins a file.
    ///
    /// # Errors
    /// As the disk says.
    pub fn begin(&self) -> io::Result<Partial> {
        let name = self.random.token();
        let file = self.seam.open(Folder::Partial, &name)?;
        let sum = Crc::new();
        Ok(Partial { name, file, sum })
    }

    /// Makes a file durable under its final name: its data, then its name. On any failure nothing of it is kept.
    ///
    /// # Errors
    /// As the disk says.
    pub fn keep(&self, partial: Partial, digest: &Digest) -> io::Result<Handle> {
        let chance: String = self.random.token().chars().take(8).collect();
        self.keep_as(partial, &format!("{digest}-{chance}"))
    }

    /// As [`Self::keep`], for bytes whose digest is not known.
    ///
    /// # Errors
    /// As the disk says.
    pub fn keep_unnamed(&self, partial: Partial) -> io::Result<Handle> {
        self.keep_as(partial, &self.random.token())
    }

    fn keep_as(&self, mut partial: Partial, stem: &str) -> io::Result<Handle> {
        let handle = Handle::file(stem, partial.sum.sum());
        if let Err(error) = partial.file.sync() {
            self.discard(&partial.name);
            return Err(error);
        }
        if let Err(error) =
            self.seam
                .rename(&partial.name, &handle.0, Folder::Partial, Folder::Kept)
        {
            self.discard(&partial.name);
            return Err(error);
        }
        if let Err(error) = self.seam.sync_dir(Folder::Kept) {
            drop(self.seam.remove(Folder::Kept, &handle.0));
            return Err(error);
        }
        Ok(handle)
    }

    /// Removes a file that will not be kept; the next start removes what cannot be removed now.
    pub fn discard(&self, partial: &str) {
        if let Err(error) = self.seam.remove(Folder::Partial, partial) {
            tracing::debug!(%error, "a partial file stays until the next start");
        }
    }

    /// Removes kept bytes.
    ///
    /// # Errors
    /// As the disk says; bytes that are gone already are no error.
    pub fn remove(&self, handle: &Handle) -> io::Result<()> {
        let removed = match handle.place() {
            Place::File(name) => self.seam.remove(Folder::Kept, name),
            Place::Packed {
                segment,
                offset,
                length,
            } => self.remove_packed(segment, offset, length),
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Up to `max` bytes from `offset`; fewer only at the end.
    ///
    /// # Errors
    /// As the disk says.
    pub fn read(&self, handle: &Handle, offset: u64, max: usize) -> io::Result<Bytes> {
        let read = match handle.place() {
            Place::File(name) => self.seam.read(Folder::Kept, name, offset, max),
            Place::Packed {
                segment,
                offset: from,
                length,
            } => {
                let left = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
                let at = from.saturating_add(offset);
                self.seam.read(Folder::Packed, segment, at, max.min(left))
            }
        };
        read.map(Bytes::from)
    }

    /// Up to `max` bytes of what is still arriving.
    ///
    /// # Errors
    /// As the disk says.
    pub fn read_partial(&self, name: &str, offset: u64, max: usize) -> io::Result<Vec<u8>> {
        self.seam.read(Folder::Partial, name, offset, max)
    }

    /// Every file that was kept, with its length.
    ///
    /// # Errors
    /// As the disk says.
    pub fn kept(&self) -> io::Result<Vec<(Handle, u64)>> {
        let found = self.seam.list(Folder::Kept)?;
        Ok(found
            .into_iter()
            .map(|file| (Handle(file.name), file.length))
            .collect())
    }

    /// Removes everything that was still arriving when the last process ended; answers how many files.
    ///
    /// # Errors
    /// As the disk says.
    pub fn clear_partial(&self) -> io::Result<usize> {
        let found = self.seam.list(Folder::Partial)?;
        for file in &found {
            self.seam.remove(Folder::Partial, &file.name)?;
        }
        Ok(found.len())
    }

    /// What may still be written.
    ///
    /// # Errors
    /// As the disk says.
    pub fn left(&self) -> io::Result<Left> {
        self.seam.left()
    }
}
