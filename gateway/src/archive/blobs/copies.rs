//! Blobs in two places: what a backup keeps, and what comes back from it. All of it waits for the disk.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;

use causeway_proto::digest::{ContentHasher, Digest};
use causeway_proto::ids::TransferSyntaxUid;
use rustix::io::Errno;

use super::{BlobError, BlobKey, Blobs};

/// How much is read at once.
const STEP: usize = 1 << 20;

/// What a row says of a blob.
#[derive(Clone, Debug)]
pub struct Named {
    /// Where it is kept; ends in its digest.
    pub key: BlobKey,
    /// Its length in bytes.
    pub length: u64,
    /// The syntax that is part of its digest; none where it was not noted.
    pub syntax: Option<TransferSyntaxUid>,
}

/// How a blob stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is there, as long as its row says, and, where that was looked at, with the bytes of its digest.
    Whole,
    /// It is not there.
    Missing,
    /// It is shorter or longer, or has other bytes.
    Altered,
}

/// How a blob came to another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// As another name of the same file.
    Linked,
    /// As a copy whose digest was computed from the bytes that were written.
    Copied,
    /// Not: it is not whole.
    Not(State),
}

impl BlobKey {
    /// The digest of the blob.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.as_str().rsplit('/').next()?.parse().ok()
    }
}

/// Compares bytes, as they come, with what a row says of them.
pub(in crate::archive) struct Judge {
    named: Named,
    hasher: Option<ContentHasher>,
    length: u64,
}

impl Judge {
    pub(in crate::archive) fn update(&mut self, bytes: &[u8]) {
        self.length = self
            .length
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
    }

    /// What all of them are. Where the syntax was not noted only their length tells.
    pub(in crate::archive) fn verdict(self) -> State {
        let digest = self.hasher.map(ContentHasher::finish);
        let other = digest.is_some_and(|digest| Some(digest) != self.named.key.digest());
        if other || self.length != self.named.length {
            State::Altered
        } else {
            State::Whole
        }
    }
}

impl Named {
    pub(in crate::archive) fn judge(&self) -> Judge {
        Judge {
            named: self.clone(),
            hasher: self.syntax.as_ref().map(ContentHasher::new),
            length: 0,
        }
    }
}

fn refused(tried: &'static str) -> impl FnOnce(std::io::Error) -> BlobError {
    move |source| BlobError::File { tried, source }
}

impl Blobs {
    /// Whether a blob is there in its length, without reading it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn glance(&self, named: &Named) -> Result<State, BlobError> {
        match std::fs::metadata(self.root.join(named.key.as_str())) {
            Ok(facts) if facts.is_file() && facts.len() == named.length => Ok(State::Whole),
            Ok(_) => Ok(State::Altered),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(State::Missing),
            Err(error) => Err(refused("looking at a blob")(error)),
        }
    }

    /// Reads a blob and compares its digest.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn compare(&self, named: &Named) -> Result<State, BlobError> {
        self.pass(named, None)
    }

    fn pass(&self, named: &Named, mut copy: Option<&mut File>) -> Result<State, BlobError> {
        let mut file = match File::open(self.root.join(named.key.as_str())) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(State::Missing),
            Err(error) => return Err(refused("reading a blob")(error)),
        };
        let mut judge = named.judge();
        let mut buffer = vec![0; STEP];
        loop {
            let read = match file.read(&mut buffer) {
                Ok(0) => return Ok(judge.verdict()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(refused("reading a blob")(error)),
            };
            let bytes = buffer.get(..read).unwrap_or_default();
            judge.update(bytes);
            if let Some(copy) = &mut copy {
                copy.write_all(bytes).map_err(refused("copying a blob"))?;
            }
        }
    }

    /// Which file a blob is in; none when it is missing.
    pub(in crate::archive) fn identity(&self, key: &BlobKey) -> Result<Option<u64>, BlobError> {
        match std::fs::metadata(self.root.join(key.as_str())) {
            Ok(facts) => Ok(Some(facts.ino())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(refused("looking at a blob")(error)),
        }
    }

    /// Opens a blob for reading.
    pub(in crate::archive) fn file_of(&self, key: &BlobKey) -> Result<File, BlobError> {
        File::open(self.root.join(key.as_str())).map_err(refused("opening a blob"))
    }

    /// Takes a damaged blob out of what is served, durably. What there was is kept beside, until the blob is mended or deleted.
    pub(in crate::archive) async fn put_aside(&self, key: &BlobKey) -> Result<(), BlobError> {
        let (from, to) = (self.root.join(key.as_str()), self.aside.join(key.as_str()));
        let moving = move || -> std::io::Result<()> {
            if let Some(folder) = to.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::rename(&from, &to)?;
            for folder in [to.parent(), from.parent()].into_iter().flatten() {
                File::open(folder)?.sync_all()?;
            }
            Ok(())
        };
        match tokio::task::spawn_blocking(moving).await {
            Ok(moved) => moved.map_err(refused("putting a damaged blob aside")),
            Err(_) => Err(BlobError::Short),
        }
    }

    /// What was kept beside of a damaged blob goes.
    pub(crate) fn drop_aside(&self, key: &BlobKey) -> Result<(), BlobError> {
        match std::fs::remove_file(self.aside.join(key.as_str())) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(refused("removing what was damaged")(error))
            }
            _ => Ok(()),
        }
    }

    /// Gives a blob to another place that does not have it: as a link where both are on one file system, else as a synced copy. Names are
    /// durable after [`Self::settled`] there. With `read`, what is linked is read and compared as well.
    ///
    /// # Errors
    /// When a file system refuses.
    pub fn give(&self, to: &Self, named: &Named, read: bool) -> Result<Given, BlobError> {
        match self.glance(named)? {
            State::Whole => {}
            other => return Ok(Given::Not(other)),
        }
        let target = to.root.join(named.key.as_str());
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).map_err(refused("making a folder for blobs"))?;
        }
        match std::fs::hard_link(self.root.join(named.key.as_str()), &target) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) if is_elsewhere(&error) => return self.copy(to, named),
            Err(error) => return Err(refused("linking a blob")(error)),
        }
        let state = if read {
            to.compare(named)?
        } else {
            to.glance(named)?
        };
        if state == State::Whole {
            return Ok(Given::Linked);
        }
        std::fs::remove_file(&target).map_err(refused("taking a link away"))?;
        Ok(Given::Not(state))
    }

    /// Makes the names of all folders and of all that is in them durable.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn sync_tree(&self) -> Result<(), BlobError> {
        let mut level = vec![self.root.clone()];
        for depth in 0..4 {
            let mut next = Vec::new();
            for folder in level {
                let synced = File::open(&folder).and_then(|folder| folder.sync_all());
                synced.map_err(refused("syncing a folder of blobs"))?;
                if depth == 3 {
                    continue;
                }
                let read =
                    std::fs::read_dir(&folder).map_err(refused("looking through the blobs"))?;
                for entry in read {
                    let path = entry.map_err(refused("looking through the blobs"))?.path();
                    if path.is_dir() {
                        next.push(path);
                    }
                }
            }
            level = next;
        }
        Ok(())
    }

    fn copy(&self, to: &Self, named: &Named) -> Result<Given, BlobError> {
        let target = to.root.join(named.key.as_str());
        let draft = target.with_extension("draft");
        let mut file = File::create(&draft).map_err(refused("making a copy of a blob"))?;
        let state = self.pass(named, Some(&mut file))?;
        if state != State::Whole {
            std::fs::remove_file(&draft).map_err(refused("taking a copy away"))?;
            return Ok(Given::Not(state));
        }
        file.sync_all()
            .map_err(refused("syncing a copy of a blob"))?;
        std::fs::rename(&draft, &target).map_err(refused("naming a copy of a blob"))?;
        Ok(Given::Copied)
    }
}

/// Whether a link is refused because the places are on two file systems, or on one that knows no links.
fn is_elsewhere(error: &std::io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP | Errno::MLINK | Errno::NOSYS)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNTAX: &str = "1.2.840.10008.1.2.1";

    async fn blob(blobs: &Blobs, bytes: &[u8]) -> Named {
        let syntax: TransferSyntaxUid = SYNTAX.parse().unwrap();
        let mut hasher = ContentHasher::new(&syntax);
        hasher.update(bytes);
        let digest = hasher.finish();
        let key = BlobKey::instance(&"s1".parse().unwrap(), &"g1".parse().unwrap(), &digest);
        blobs.put(&key, bytes.to_vec()).await.unwrap();
        Named {
            key,
            length: bytes.len() as u64,
            syntax: Some(syntax),
        }
    }

    #[tokio::test]
    async fn what_is_whole_is_given_and_what_is_not_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to, copies] =
            ["a", "b", "c"].map(|name| Blobs::open(&folder.path().join(name)).unwrap());
        let named = blob(&from, b"some bytes").await;
        assert_eq!(from.compare(&named).unwrap(), State::Whole);
        assert_eq!(from.give(&to, &named, true).unwrap(), Given::Linked);
        assert_eq!(
            from.give(&to, &named, true).unwrap(),
            Given::Linked,
            "again"
        );
        std::fs::create_dir_all(copies.root.join(named.key.as_str()).parent().unwrap()).unwrap();
        assert_eq!(from.copy(&copies, &named).unwrap(), Given::Copied);
        assert_eq!(copies.compare(&named).unwrap(), State::Whole);

        let path = from.root.join(named.key.as_str());
        std::fs::write(&path, b"some bytez").unwrap();
        assert_eq!(from.glance(&named).unwrap(), State::Whole, "not read");
        assert_eq!(from.compare(&named).unwrap(), State::Altered);
        let other = Blobs::open(&folder.path().join("d")).unwrap();
        let given = from.give(&other, &named, true).unwrap();
        assert_eq!(given, Given::Not(State::Altered));
        assert_eq!(
            other.glance(&named).unwrap(),
            State::Missing,
            "nothing stays"
        );
        assert_eq!(
            from.copy(&copies, &named).unwrap(),
            Given::Not(State::Altered)
        );
        std::fs::write(&path, b"some").unwrap();
        assert_eq!(from.glance(&named).unwrap(), State::Altered);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(from.compare(&named).unwrap(), State::Missing);
    }
}
