//! Immutable bytes under create-only keys that end in their digest, in an object store that syncs before it answers.

mod copies;
mod reading;
mod stray;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use causeway_proto::digest::Digest;
use causeway_proto::ids::{AgreementId, SiteId};
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use thiserror::Error;

use super::parts::Part;

pub use copies::{Given, Named, State};
pub(super) use reading::read_quietly;
pub use stray::Stray;

/// How much of a part is stored at once.
const PIECE: u64 = 8 << 20;

/// Reading or writing bytes failed.
#[derive(Debug, Error)]
pub enum BlobError {
    /// The object store refused.
    #[error("the object store refused: {tried}")]
    Store {
        /// What was tried.
        tried: &'static str,
        /// What the store said.
        #[source]
        source: object_store::Error,
    },
    /// The file system refused.
    #[error("the file system refused: {tried}")]
    File {
        /// What was tried.
        tried: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A part is shorter than what was written to it.
    #[error("a partial instance is shorter than what was written to it")]
    Short,
    /// A row names a blob by something that is no key.
    #[error("a row names a blob by something that is no key")]
    Key,
}

impl BlobError {
    /// Whether there is no such blob.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Store { source, .. } => matches!(source, object_store::Error::NotFound { .. }),
            Self::File { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            Self::Short | Self::Key => false,
        }
    }
}

/// Where a blob is kept: `<site>/<agreement>/<first 2 digits>/<digest>` for a dataset, `<site>/<agreement>/reports/<digest>` for a
/// report. Made of checked identifiers and a digest; nothing received is part of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BlobKey(String);

impl BlobKey {
    /// The key of an instance's dataset.
    #[must_use]
    pub fn instance(site: &SiteId, agreement: &AgreementId, digest: &Digest) -> Self {
        let digest = digest.to_string();
        let fan = digest.get(..2).unwrap_or("00");
        Self(format!("{site}/{agreement}/{fan}/{digest}"))
    }

    /// The key of a signed report's dataset.
    #[must_use]
    pub fn report(site: &SiteId, agreement: &AgreementId, digest: &Digest) -> Self {
        Self(format!("{site}/{agreement}/reports/{digest}"))
    }

    /// As stored in a row.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobKey({})", self.0)
    }
}

impl FromStr for BlobKey {
    type Err = BlobError;

    fn from_str(text: &str) -> Result<Self, BlobError> {
        let mut parts = text.split('/');
        let (Some(site), Some(agreement), Some(fan), Some(digest), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(BlobError::Key);
        };
        let legal = site.parse::<SiteId>().is_ok()
            && agreement.parse::<AgreementId>().is_ok()
            && (fan == "reports" || digest.starts_with(fan) && fan.len() == 2)
            && digest.parse::<Digest>().is_ok();
        if legal {
            Ok(Self(text.to_owned()))
        } else {
            Err(BlobError::Key)
        }
    }
}

/// The bytes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Blobs {
    store: Arc<LocalFileSystem>,
    root: PathBuf,
    /// What was damaged.
    aside: PathBuf,
    pieces: reading::Pieces,
}

impl Blobs {
    /// Opens the store, making its folder when it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(folder: &Path) -> Result<Self, BlobError> {
        std::fs::create_dir_all(folder).map_err(|source| BlobError::File {
            tried: "making the folder of the blobs",
            source,
        })?;
        let store =
            LocalFileSystem::new_with_prefix(folder).map_err(|source| BlobError::Store {
                tried: "opening the folder of the blobs",
                source,
            })?;
        Ok(Self {
            store: Arc::new(store.with_fsync(true)),
            root: folder.to_owned(),
            aside: folder.with_file_name("damaged"),
            pieces: reading::Pieces::default(),
        })
    }

    /// Stores bytes; durable when it returns. A blob that is there already is the same blob, since its key is its digest: unless it was
    /// damaged, which is looked at; then these take its place.
    ///
    /// # Errors
    /// When the store refuses; nothing half-written stays under the key.
    pub async fn put(&self, key: &BlobKey, bytes: impl Into<PutPayload>) -> Result<(), BlobError> {
        let bytes: PutPayload = bytes.into();
        match self.put_as(PutMode::Create, key, bytes.clone()).await {
            Err(object_store::Error::AlreadyExists { .. }) => {}
            done => return done.map_err(storing),
        }
        if self.holds(key, &bytes).await? {
            return self.settle(key).await;
        }
        tracing::error!(
            blob = key.as_str(),
            "a blob had other bytes than its key says: those that came now take their place"
        );
        self.put_as(PutMode::Overwrite, key, bytes)
            .await
            .map_err(storing)
    }

    async fn put_as(
        &self,
        mode: PutMode,
        key: &BlobKey,
        bytes: PutPayload,
    ) -> object_store::Result<()> {
        let options = PutOptions {
            mode,
            ..PutOptions::default()
        };
        let at = location(key);
        let put = self.store.put_opts(&at, bytes, options);
        put.await.map(drop)
    }

    /// Whether a blob has these bytes.
    async fn holds(&self, key: &BlobKey, bytes: &PutPayload) -> Result<bool, BlobError> {
        let length = u64::try_from(bytes.content_length()).unwrap_or(u64::MAX);
        if self.length(key).await? != Some(length) {
            return Ok(false);
        }
        match self.read(key).await {
            Ok(there) => Ok(there.iter().eq(bytes.iter().flatten())),
            // what cannot be read is not there
            Err(_) => Ok(false),
        }
    }

    /// Stores a part that is too long for memory; durable when it returns.
    ///
    /// # Errors
    /// When the store or the file system refuses; nothing half-written stays under the key.
    pub async fn put_part(&self, key: &BlobKey, part: &Part) -> Result<(), BlobError> {
        let store = |source| BlobError::Store {
            tried: "storing a long blob",
            source,
        };
        let at = location(key);
        let mut upload = self.store.put_multipart(&at).await.map_err(store)?;
        let mut offset = 0;
        while offset < part.length() {
            let piece = part.piece(offset, PIECE).await?;
            if piece.is_empty() {
                break;
            }
            offset += u64::try_from(piece.len()).unwrap_or(0);
            if let Err(source) = upload.put_part(Bytes::from(piece).into()).await {
                drop(upload.abort().await);
                return Err(store(source));
            }
        }
        if offset != part.length() {
            drop(upload.abort().await);
            return Err(BlobError::Short);
        }
        upload.complete().await.map(|_| ()).map_err(store)
    }

    /// Somebody else published this key, perhaps a process that died before the folder's entry was on disk: sync the folder,
    /// so that our own answer does not rest on his.
    async fn settle(&self, key: &BlobKey) -> Result<(), BlobError> {
        let path = self.root.join(key.as_str());
        let folder = path
            .parent()
            .map_or_else(|| self.root.clone(), Path::to_owned);
        let synced = match tokio::fs::File::open(folder).await {
            Ok(folder) => folder.sync_all().await,
            Err(error) => Err(error),
        };
        synced.map_err(|source| BlobError::File {
            tried: "syncing a blob's folder",
            source,
        })
    }

    /// The whole blob.
    ///
    /// # Errors
    /// When it is missing or cannot be read.
    pub async fn read(&self, key: &BlobKey) -> Result<Bytes, BlobError> {
        let got = match self.store.get(&location(key)).await {
            Ok(found) => found.bytes().await,
            Err(error) => Err(error),
        };
        got.map_err(|source| BlobError::Store {
            tried: "reading a blob",
            source,
        })
    }

    /// Takes blobs away; gone for good after [`Self::settled`]. One that is not there is gone already.
    ///
    /// # Errors
    /// When the file system refuses; some may be gone.
    pub async fn remove(&self, keys: &[BlobKey]) -> Result<(), BlobError> {
        for key in keys {
            match tokio::fs::remove_file(self.root.join(key.as_str())).await {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    let tried = "removing a blob";
                    return Err(BlobError::File { tried, source });
                }
                _ => {}
            }
            self.drop_aside(key)?;
        }
        Ok(())
    }

    /// What was removed under these keys does not come back with a power cut.
    ///
    /// # Errors
    /// When the file system refuses.
    pub async fn settled(&self, keys: &[BlobKey]) -> Result<(), BlobError> {
        let folders: BTreeSet<&str> = keys
            .iter()
            .filter_map(|key| key.as_str().rsplit_once('/'))
            .map(|(folder, _)| folder)
            .collect();
        for folder in folders {
            let synced = match tokio::fs::File::open(self.root.join(folder)).await {
                Ok(folder) => folder.sync_all().await,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            };
            synced.map_err(|source| BlobError::File {
                tried: "syncing a blob's folder",
                source,
            })?;
        }
        Ok(())
    }

    /// Whether the blob is there; asked by who may wait for the disk.
    pub(in crate::archive) fn is_there(&self, key: &BlobKey) -> bool {
        self.root.join(key.as_str()).is_file()
    }

    /// The blob's length in bytes; none when it is missing.
    ///
    /// # Errors
    /// When the store cannot say.
    pub async fn length(&self, key: &BlobKey) -> Result<Option<u64>, BlobError> {
        match self.store.head(&location(key)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(BlobError::Store {
                tried: "asking for a blob's length",
                source,
            }),
        }
    }
}

fn storing(source: object_store::Error) -> BlobError {
    BlobError::Store {
        tried: "storing a blob",
        source,
    }
}

fn location(key: &BlobKey) -> object_store::path::Path {
    object_store::path::Path::from(key.as_str())
}
