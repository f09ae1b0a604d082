//! What was made of blobs and can be made again: coded frames, pictures. Kept in files within a bound, the oldest dropped first, gone
//! with the blob and with the process. Nothing here is synced or promised.

use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use causeway_proto::digest::Digest;

use super::{BlobError, BlobKey, Blobs};

/// The keeper. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Derived {
    blobs: Blobs,
    root: PathBuf,
    most: u64,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    of: HashMap<BlobKey, HashMap<Digest, u64>>,
    order: VecDeque<(BlobKey, Digest)>,
    total: u64,
}

impl Kept {
    fn length(&self, key: &BlobKey, name: &Digest) -> Option<u64> {
        self.of.get(key)?.get(name).copied()
    }

    fn forget(&mut self, key: &BlobKey, name: &Digest) -> bool {
        let Some(all) = self.of.get_mut(key) else {
            return false;
        };
        let length = all.remove(name);
        if all.is_empty() {
            self.of.remove(key);
        }
        self.total -= length.unwrap_or(0).min(self.total);
        length.is_some()
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
            kept: Arc::default(),
        }
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
        let length = self.kept().length(key, &name)?;
        let path = self.folder(key).join(name.to_string());
        let bytes = self.blobs.file(path, 0..length).await.ok()?;
        (bytes.len() as u64 == length).then_some(bytes)
    }

    /// Keeps what was made of a blob. That it could not be kept harms nobody: it is made again.
    pub async fn keep(&self, key: &BlobKey, name: &str, bytes: &Bytes) {
        let (length, digest) = (bytes.len() as u64, Digest::of(name.as_bytes()));
        if length > self.most / 16 || self.kept().length(key, &digest).is_some() {
            return;
        }
        let (folder, bytes) = (self.folder(key), bytes.clone());
        let path = folder.join(digest.to_string());
        let written = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&folder)?;
            std::fs::write(&path, &bytes)
        });
        if !matches!(written.await, Ok(Ok(()))) {
            return;
        }
        let old = {
            let mut kept = self.kept();
            let all = kept.of.entry(key.clone()).or_default();
            if all.insert(digest, length).is_none() {
                kept.total += length;
                kept.order.push_back((key.clone(), digest));
            }
            self.surplus(&mut kept)
        };
        for (key, name) in old {
            self.given_up(self.unlink(&key, &name).await);
        }
        // whose blob has gone meanwhile goes too: either this sees that, or who removed the blob saw what is kept
        if !matches!(self.blobs.length(key).await, Ok(Some(_))) {
            self.given_up(self.remove(key).await);
        }
    }

    fn given_up(&self, done: Result<(), BlobError>) {
        if let Err(error) = done {
            tracing::warn!(%error, folder = %self.root.display(), "a file stays until the next start");
        }
    }

    /// What has to go, so that the rest is within the bound.
    fn surplus(&self, kept: &mut Kept) -> Vec<(BlobKey, Digest)> {
        let mut old = Vec::new();
        while kept.total > self.most {
            let Some((key, name)) = kept.order.pop_front() else {
                break;
            };
            if kept.forget(&key, &name) {
                old.push((key, name));
            }
        }
        old
    }

    async fn unlink(&self, key: &BlobKey, name: &Digest) -> Result<(), BlobError> {
        let path = self.folder(key).join(name.to_string());
        match tokio::fs::remove_file(path).await {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                let tried = "removing what was made of a blob";
                Err(BlobError::File { tried, source })
            }
            _ => Ok(()),
        }
    }

    /// Takes away all that was made of a blob; called when the blob itself is gone.
    ///
    /// # Errors
    /// When the file system refuses; what is left is taken away by the next call.
    pub async fn remove(&self, key: &BlobKey) -> Result<(), BlobError> {
        let names: Vec<Digest> = {
            let kept = self.kept();
            let all = kept.of.get(key);
            all.into_iter().flatten().map(|(name, _)| *name).collect()
        };
        for name in names {
            self.unlink(key, &name).await?;
            self.kept().forget(key, &name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(digit: char) -> BlobKey {
        let digest = digit.to_string().repeat(64);
        format!("s1/g1/{digit}{digit}/{digest}").parse().unwrap()
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
        let files = std::fs::read_dir(derived.folder(&key('a'))).unwrap();
        assert_eq!(files.count(), 16);
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
        let left = |key| std::fs::read_dir(derived.folder(key)).unwrap().count();
        assert_eq!((left(&key('a')), left(&key('b'))), (0, 1));
        let again = Derived::new(&blobs, &folder.path().join("derived"), 1600);
        again.empty().unwrap();
        assert!(again.get(&key('b'), "one").await.is_none());
        assert!(!folder.path().join("derived").exists());
    }
}
