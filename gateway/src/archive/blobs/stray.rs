//! Looking through the folders of the blobs for files that have lain there for a while.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use causeway_proto::ids::SiteId;
use causeway_proto::time::Timestamp;

use super::{BlobError, BlobKey, Blobs};

/// A file among the blobs.
#[derive(Debug)]
pub enum Stray {
    /// A blob, and when it was last written to.
    Whole(BlobKey, Timestamp),
    /// What a writer that died has left.
    Half(PathBuf),
}

impl BlobKey {
    /// The site whose blob it is.
    #[must_use]
    pub fn site(&self) -> Option<SiteId> {
        self.as_str().split('/').next()?.parse().ok()
    }
}

fn refused(source: std::io::Error) -> BlobError {
    let tried = "looking through the blobs";
    BlobError::File { tried, source }
}

async fn inside(folder: &Path) -> Result<Vec<PathBuf>, BlobError> {
    let mut found = Vec::new();
    let mut entries = match tokio::fs::read_dir(folder).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(refused(error)),
    };
    while let Some(entry) = entries.next_entry().await.map_err(refused)? {
        found.push(entry.path());
    }
    found.sort_unstable();
    Ok(found)
}

impl Blobs {
    /// The folders that hold blobs: `<site>/<agreement>/<first 2 digits>`, and `…/reports`.
    ///
    /// # Errors
    /// When the file system refuses.
    pub async fn folders(&self) -> Result<Vec<PathBuf>, BlobError> {
        let mut level = vec![self.root.clone()];
        for _ in 0..3 {
            let mut next = Vec::new();
            for folder in level {
                let below = inside(&folder).await?;
                next.extend(below.into_iter().filter(|path| path.is_dir()));
            }
            level = next;
        }
        Ok(level)
    }

    /// The files of a folder that nobody has written to for `age`.
    ///
    /// # Errors
    /// When the file system refuses.
    pub async fn old(
        &self,
        folder: &Path,
        now: Timestamp,
        age: Duration,
    ) -> Result<Vec<Stray>, BlobError> {
        let mut found = Vec::new();
        for path in inside(folder).await? {
            let Ok(meta) = tokio::fs::metadata(&path).await else {
                continue;
            };
            let written = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let written = written.duration_since(SystemTime::UNIX_EPOCH);
            let written = i64::try_from(written.unwrap_or_default().as_micros());
            let written = Timestamp(written.unwrap_or(i64::MAX));
            if !meta.is_file() || now.since(written) < age {
                continue;
            }
            let key = path.strip_prefix(&self.root).ok().and_then(Path::to_str);
            found.push(match key.map(str::parse) {
                Some(Ok(key)) => Stray::Whole(key, written),
                _ => Stray::Half(path),
            });
        }
        Ok(found)
    }

    /// Takes away what a writer that died has left.
    ///
    /// # Errors
    /// When the file system refuses.
    pub async fn remove_half(&self, path: &Path) -> Result<(), BlobError> {
        match tokio::fs::remove_file(path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(refused(error)),
            _ => Ok(()),
        }
    }
}
