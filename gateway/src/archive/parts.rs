//! Bytes of instances that have not wholly arrived: one file each, named by site and digest, continued after a cut, dropped with age.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use causeway_proto::digest::Digest;
use causeway_proto::ids::SiteId;
use causeway_proto::time::Timestamp;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::blobs::BlobError;

/// Names a part by its site and a digest of its key, so that no received byte is in a path.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PartName {
    site: SiteId,
    key: Digest,
}

impl PartName {
    /// The name of the site's part whose key is `fields`.
    #[must_use]
    pub fn of(site: &SiteId, fields: &[&str]) -> Self {
        Self {
            site: site.clone(),
            key: Digest::of(fields.join("|").as_bytes()),
        }
    }
}

impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.site, self.key)
    }
}

impl FromStr for PartName {
    type Err = BlobError;

    fn from_str(text: &str) -> Result<Self, BlobError> {
        let (site, key) = text.rsplit_once('.').ok_or(BlobError::Key)?;
        match (site.parse(), key.parse()) {
            (Ok(site), Ok(key)) => Ok(Self { site, key }),
            _ => Err(BlobError::Key),
        }
    }
}

impl fmt::Debug for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartName({})", self.key)
    }
}

/// The folder of parts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Parts {
    folder: PathBuf,
}

/// One part, open for appending and reading.
#[derive(Debug)]
pub struct Part {
    file: tokio::fs::File,
    path: PathBuf,
    length: u64,
}

/// Opens a part for reading.
#[derive(Clone, Debug)]
pub struct PartReader(PathBuf);

impl PartReader {
    /// The part's file, at its beginning.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn open(&self) -> std::io::Result<std::fs::File> {
        std::fs::File::open(&self.0)
    }
}

fn failed(tried: &'static str) -> impl FnOnce(std::io::Error) -> BlobError {
    move |source| BlobError::File { tried, source }
}

impl Parts {
    /// Opens the folder, making it when it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: &Path) -> Result<Self, BlobError> {
        std::fs::create_dir_all(folder)
            .map_err(failed("making the folder of partial instances"))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    fn path(&self, name: &PartName) -> PathBuf {
        self.folder.join(name.to_string())
    }

    /// How many bytes of this part are there.
    ///
    /// # Errors
    /// When the file system cannot say.
    pub async fn length(&self, name: &PartName) -> Result<u64, BlobError> {
        match tokio::fs::metadata(self.path(name)).await {
            Ok(meta) => Ok(meta.len()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(failed("asking for a part's length")(error)),
        }
    }

    /// Opens a part for appending behind its first `keep` bytes; what lay behind them is dropped.
    ///
    /// # Errors
    /// When the file cannot be opened or cut.
    pub async fn resume(&self, name: &PartName, keep: u64) -> Result<Part, BlobError> {
        let path = self.path(name);
        let mut file = tokio::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .await
            .map_err(failed("opening a partial instance"))?;
        file.set_len(keep)
            .await
            .map_err(failed("cutting a partial instance"))?;
        file.seek(std::io::SeekFrom::Start(keep))
            .await
            .map_err(failed("finding the end of a partial instance"))?;
        Ok(Part {
            file,
            path,
            length: keep,
        })
    }

    /// `length` bytes of a part from `offset` on, fewer at its end.
    ///
    /// # Errors
    /// When the file system refuses.
    pub async fn read(
        &self,
        name: &PartName,
        offset: u64,
        length: u64,
    ) -> Result<Vec<u8>, BlobError> {
        read(&self.path(name), offset, length).await
    }

    /// Takes a part away, durably, and says how many bytes it had; none when it is gone already. Whoever still writes it writes to
    /// a file without a name.
    ///
    /// # Errors
    /// When the file system refuses.
    pub async fn remove(&self, name: &PartName) -> Result<Option<u64>, BlobError> {
        let path = self.path(name);
        let tried = "removing a partial instance";
        let length = match tokio::fs::metadata(&path).await {
            Ok(meta) => meta.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(tried)(error)),
        };
        let removed = async {
            tokio::fs::remove_file(&path).await?;
            tokio::fs::File::open(&self.folder).await?.sync_all().await
        };
        removed.await.map_err(failed(tried))?;
        Ok(Some(length))
    }

    /// Removes parts that nobody has added to for `age`, and says how many bytes the others hold, by site.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn sweep(
        &self,
        now: Timestamp,
        age: Duration,
    ) -> Result<HashMap<String, u64>, BlobError> {
        let mut held = HashMap::new();
        let mut entries = tokio::fs::read_dir(&self.folder)
            .await
            .map_err(failed("reading the folder of partial instances"))?;
        while let Some(entry) = entries
            .next_entry()
            .await
            .map_err(failed("reading the folder of partial instances"))?
        {
            let Ok(meta) = entry.metadata().await else {
                continue;
            };
            if now.since(modified(&meta)) >= age {
                let Err(error) = tokio::fs::remove_file(entry.path()).await else {
                    continue;
                };
                tracing::warn!(%error, "a partial instance that has aged out could not be removed");
            }
            let name = entry.file_name();
            let site = name.to_str().and_then(|name| name.rsplit_once('.'));
            let site = site.map_or_else(String::new, |(site, _)| site.to_owned());
            *held.entry(site).or_insert(0) += meta.len();
        }
        Ok(held)
    }
}

async fn read(path: &Path, offset: u64, length: u64) -> Result<Vec<u8>, BlobError> {
    let read = async {
        let mut file = tokio::fs::File::open(path).await?;
        file.seek(std::io::SeekFrom::Start(offset)).await?;
        let mut out = Vec::new();
        file.take(length).read_to_end(&mut out).await?;
        Ok(out)
    };
    read.await.map_err(failed("reading a partial instance"))
}

fn modified(meta: &std::fs::Metadata) -> Timestamp {
    let at = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

impl Part {
    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Adds bytes at its end.
    ///
    /// # Errors
    /// When the file system refuses; the part's end is then unknown and it must be opened anew.
    pub async fn append(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.file
            .write_all(bytes)
            .await
            .map_err(failed("adding to a partial instance"))?;
        self.length += u64::try_from(bytes.len()).unwrap_or(0);
        Ok(())
    }

    /// Hands what was added to the operating system.
    ///
    /// # Errors
    /// When the file system refuses.
    pub async fn flush(&mut self) -> Result<(), BlobError> {
        self.file
            .flush()
            .await
            .map_err(failed("adding to a partial instance"))
    }

    /// `length` bytes from `offset` on, fewer at its end.
    ///
    /// # Errors
    /// When the file system refuses.
    pub async fn piece(&self, offset: u64, length: u64) -> Result<Vec<u8>, BlobError> {
        read(&self.path, offset, length).await
    }

    /// A way to read it from the beginning, as often as needed, on a thread that may wait.
    #[must_use]
    pub fn reader(&self) -> PartReader {
        PartReader(self.path.clone())
    }

    /// Removes it: its content is durable elsewhere, or worth nothing.
    ///
    /// # Errors
    /// When the file system refuses.
    pub async fn remove(self) -> Result<(), BlobError> {
        drop(self.file);
        tokio::fs::remove_file(&self.path)
            .await
            .map_err(failed("removing a partial instance"))
    }
}
