//! What was made of blobs and can be made again: coded frames, pictures. Kept in files within a bound, the oldest dropped first, gone
//! with the blob and with the process. Nothing here is synced or promised.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use causeway_proto::digest::Digest;

use super::floor::{Floor, Level};
use super::{BlobError, BlobKey, Blobs};

/// The keeper. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Derived {
    blobs: Blobs,
    root: PathBuf,
    most: u64,
    floor: Option<Floor>,
    kept: Arc<Mutex<Kept>>,
    /// Held by all who write; alone by who takes away what was made of a blob.
    writing: Arc<RwLock<()>>,
}

/// A file. Its number is its name and no other file's ever: nobody takes away what somebody else has put in its place.
#[derive(Clone, Copy, Debug)]
struct File {
    number: u64,
    length: u64,
}

#[derive(Debug, Default)]
struct Kept {
    of: HashMap<BlobKey, HashMap<Digest, File>>,
    /// Under their numbers, the oldest first.
    order: BTreeMap<u64, (BlobKey, Digest)>,
    total: u64,
    last: u64,
}

impl Kept {
    fn file(&self, key: &BlobKey, name: &Digest) -> Option<File> {
        self.of.get(key)?.get(name).copied()
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Says whether nobody was quicker.
    fn add(&mut self, key: &BlobKey, name: Digest, file: File) -> bool {
        let all = self.of.entry(key.clone()).or_default();
        if all.contains_key(&name) {
            return false;
        }
        all.insert(name, file);
        self.order.insert(file.number, (key.clone(), name));
        self.total = self.total.saturating_add(file.length);
        true
    }

    /// What has to go, so that the rest is within the bound.
    fn surplus(&mut self, most: u64) -> Vec<(BlobKey, u64)> {
        let mut old = Vec::new();
        while self.total > most {
            let Some((number, (key, name))) = self.order.pop_first() else {
                break;
            };
            if let Some(all) = self.of.get_mut(&key) {
                let length = all.remove(&name).map_or(0, |file| file.length);
                self.total = self.total.saturating_sub(length);
                if all.is_empty() {
                    self.of.remove(&key);
                }
            }
            old.push((key, number));
        }
        old
    }

    fn forget(&mut self, key: &BlobKey) {
        for file in self.of.remove(key).unwrap_or_default().into_values() {
            self.order.remove(&file.number);
            self.total = self.total.saturating_sub(file.length);
        }
    }
}

impl Derived {
    /// Keeps at most `most` bytes in `folder`. Only what this process has put there is ever found.
    #[must_use]
    pub fn new(blobs: &Blobs, folder: &Path, most: u64) -> Self {
        Self {
            blobs: blobs.clone(),
            root: folder.to_owned(),
            most,
            floor: None,
            kept: Arc::default(),
            writing: Arc::default(),
        }
    }

    /// Keeps nothing while a floor is passed.
    #[must_use]
    pub fn above(self, floor: Floor) -> Self {
        let floor = Some(floor);
        Self { floor, ..self }
    }

    /// Throws everything away; says whether there was anything. Waits for the disk.
    pub fn clear(&self) -> bool {
        let _alone = self.writing.write().unwrap_or_else(PoisonError::into_inner);
        let any = {
            let mut kept = self.kept();
            let (any, last) = (!kept.order.is_empty(), kept.last);
            *kept = Kept {
                last,
                ..Kept::default()
            };
            any
        };
        if !any {
            return false;
        }
        if let Err(error) = self.empty() {
            tracing::warn!(%error, "what was made of blobs could not be thrown away");
        }
        true
    }

    /// Takes away what an earlier process has left.
    ///
    /// # Errors
    /// When the folder cannot be emptied.
    pub fn empty(&self) -> Result<(), BlobError> {
        match std::fs::remove_dir_all(&self.root) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                let tried = "emptying the folder of what was made of blobs";
                Err(BlobError::File { tried, source })
            }
            _ => Ok(()),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self, key: &BlobKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// What was made of a blob under a name of ours, if it is kept still.
    pub async fn get(&self, key: &BlobKey, name: &str) -> Option<Bytes> {
        let name = Digest::of(name.as_bytes());
        let file = self.kept().file(key, &name)?;
        let path = self.folder(key).join(file.number.to_string());
        let bytes = self.blobs.file(path, 0..file.length).await.ok()?;
        (bytes.len() as u64 == file.length).then_some(bytes)
    }

    /// Keeps what was made of a blob. That it could not be kept harms nobody: it is made again. What was begun is ended, and known
    /// of, even when whoever asked has gone.
    pub async fn keep(&self, key: &BlobKey, name: &str, bytes: &Bytes) {
        let (length, name) = (bytes.len() as u64, Digest::of(name.as_bytes()));
        if length > self.most / 16 || self.kept().file(key, &name).is_some() {
            return;
        }
        let level = self.floor.as_ref().map_or(Level::Room, Floor::level);
        if level != Level::Room {
            return;
        }
        let (keeper, key, bytes) = (self.clone(), key.clone(), bytes.clone());
        let work = tokio::task::spawn_blocking(move || keeper.write(&key, name, &bytes));
        if let Err(error) = work.await {
            tracing::warn!(%error, "what was made of a blob was not kept");
        }
    }

    fn write(&self, key: &BlobKey, name: Digest, bytes: &[u8]) {
        let _writing = self.writing.read().unwrap_or_else(PoisonError::into_inner);
        // of a blob that has gone nothing is written any more; one that goes now waits until this is known
        if !self.blobs.is_there(key) {
            return;
        }
        let file = File {
            number: self.kept().number(),
            length: bytes.len() as u64,
        };
        let folder = self.folder(key);
        let path = folder.join(file.number.to_string());
        let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(path, bytes));
        let mut gone = Vec::new();
        if written.is_err() || !self.kept().add(key, name, file) {
            gone.push((key.clone(), file.number));
        }
        gone.extend(self.kept().surplus(self.most));
        for (key, number) in gone {
            self.unlink(&key, number);
        }
    }

    /// Takes a file away that nobody knows of any more, and its folder with the last.
    fn unlink(&self, key: &BlobKey, number: u64) {
        let folder = self.folder(key);
        match std::fs::remove_file(folder.join(number.to_string())) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, "a file that was made of a blob stays with the blob");
            }
            _ => {}
        }
        if !self.kept().of.contains_key(key) {
            // where somebody is about to write into it, it stays, or he does without
            drop(std::fs::remove_dir(folder));
        }
    }

    /// Takes away all that was made of a blob, and waits for who is at it; called when the blob itself is gone.
    ///
    /// # Errors
    /// When the file system refuses; what is left is taken away by the next call.
    pub async fn remove(&self, key: &BlobKey) -> Result<(), BlobError> {
        let (keeper, key) = (self.clone(), key.clone());
        let work = tokio::task::spawn_blocking(move || {
            let _alone = keeper
                .writing
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            keeper.kept().forget(&key);
            std::fs::remove_dir_all(keeper.folder(&key))
        });
        let done = work.await.unwrap_or_else(|error| Err(error.into()));
        match done {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                let tried = "removing what was made of a blob";
                Err(BlobError::File { tried, source })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn key(digit: char) -> BlobKey {
        let digest = digit.to_string().repeat(64);
        format!("s1/g1/{digit}{digit}/{digest}").parse().unwrap()
    }

    impl Derived {
        fn files(&self, digit: char) -> usize {
            std::fs::read_dir(self.folder(&key(digit))).map_or(0, Iterator::count)
        }
    }

    async fn keeper(folder: &Path, most: u64) -> (Blobs, Derived) {
        let blobs = Blobs::open(&folder.join("blobs")).unwrap();
        for digit in ['a', 'b'] {
            blobs.put(&key(digit), vec![1, 2]).await.unwrap();
        }
        let derived = Derived::new(&blobs, &folder.join("derived"), most);
        (blobs, derived)
    }

    #[tokio::test]
    async fn what_is_kept_is_found_until_there_is_too_much_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let (_, derived) = keeper(folder.path(), 1600).await;
        for number in 0..20_u8 {
            let bytes = Bytes::from(vec![number; 100]);
            derived.keep(&key('a'), &number.to_string(), &bytes).await;
        }
        assert!(derived.get(&key('a'), "3").await.is_none(), "the oldest");
        assert_eq!(derived.get(&key('a'), "4").await.unwrap(), vec![4; 100]);
        assert!(derived.get(&key('b'), "4").await.is_none());
        derived.keep(&key('a'), "long", &vec![0; 101].into()).await;
        assert!(derived.get(&key('a'), "long").await.is_none(), "too long");
        assert_eq!(derived.files('a'), 16);
        // the folder of a blob goes with the last that was made of it
        for number in 0..16_u8 {
            let bytes = Bytes::from(vec![number; 100]);
            derived.keep(&key('b'), &number.to_string(), &bytes).await;
        }
        assert_eq!(derived.files('b'), 16);
        assert!(!derived.folder(&key('a')).exists());
    }

    /// Those who leave as soon as something is begun for them.
    async fn leave(derived: &Derived, key: &BlobKey, names: std::ops::Range<u8>) {
        for name in names {
            let bytes = Bytes::from(vec![name; 100]);
            let name = name.to_string();
            let _left = derived.keep(key, &name, &bytes).now_or_never();
        }
    }

    /// One thread for what may wait: all that was begun there is done before what comes next.
    fn in_turn(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(test);
    }

    #[test]
    fn what_was_begun_for_one_who_left_goes_with_its_blob_and_counts() {
        in_turn(async {
            let folder = tempfile::tempdir().unwrap();
            let (blobs, derived) = keeper(folder.path(), 1600).await;
            leave(&derived, &key('a'), 0..20).await;
            tokio::task::spawn_blocking(|| ()).await.unwrap();
            assert_eq!(derived.files('a'), 16, "within the bound");
            assert_eq!(derived.get(&key('a'), "19").await.unwrap(), vec![19; 100]);
            leave(&derived, &key('a'), 20..22).await;
            std::fs::remove_file(folder.path().join("blobs").join(key('a').as_str())).unwrap();
            leave(&derived, &key('a'), 22..24).await;
            derived.remove(&key('a')).await.unwrap();
            assert!(!derived.folder(&key('a')).exists());
            let kept = derived.kept();
            assert!(kept.of.is_empty() && kept.order.is_empty() && kept.total == 0);
            drop((kept, blobs));
        });
    }

    #[tokio::test]
    async fn two_at_once_keep_one_file_and_a_disk_that_refuses_none() {
        let folder = tempfile::tempdir().unwrap();
        let (_, derived) = keeper(folder.path(), 1600).await;
        let bytes = Bytes::from_static(b"picture");
        let keep = async |digit| derived.keep(&key(digit), "one", &bytes).await;
        tokio::join!(keep('a'), keep('a'), keep('a'));
        assert_eq!((derived.files('a'), derived.kept().total), (1, 7));
        let in_the_way = derived.folder(&key('b'));
        std::fs::create_dir_all(in_the_way.parent().unwrap()).unwrap();
        std::fs::write(&in_the_way, b"").unwrap();
        keep('b').await;
        assert!(derived.get(&key('b'), "one").await.is_none());
        assert_eq!(derived.kept().total, 7);
    }

    #[tokio::test]
    async fn nothing_outlives_its_blob_or_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let (blobs, derived) = keeper(folder.path(), 1600).await;
        let bytes = Bytes::from_static(b"picture");
        derived.keep(&key('a'), "one", &bytes).await;
        derived.keep(&key('b'), "one", &bytes).await;
        blobs.remove(&[key('a')]).await.unwrap();
        derived.remove(&key('a')).await.unwrap();
        assert!(derived.get(&key('a'), "one").await.is_none());
        // somebody was still at work on it
        derived.keep(&key('a'), "two", &bytes).await;
        assert!(derived.get(&key('a'), "two").await.is_none());
        assert_eq!((derived.files('a'), derived.files('b')), (0, 1));
        assert_eq!(derived.kept().order.len(), 1);
        let again = Derived::new(&blobs, &folder.path().join("derived"), 1600);
        again.empty().unwrap();
        assert!(again.get(&key('b'), "one").await.is_none());
        assert!(!folder.path().join("derived").exists());
    }
}
