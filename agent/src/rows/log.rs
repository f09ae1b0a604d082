//! SQLite's write-ahead log on a disk that fails.
//!
//! A sync that failed is not made good by the next one ([`write_again`]). What SQLite was committing itself it writes again, to the same
//! place; what was committed before without a sync it does not, and whatever is committed later stands behind a gap, at which the log ends
//! when the power is cut. So every sync whose end is not known to be good puts the log in doubt, and before anything else is begun its bytes
//! are written again.

use std::io;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use causeway_disk::write_again;
use sqlx::{Row as _, Sqlite, SqliteConnection, Transaction};

/// With so many pages in the log it is taken over into the database: SQLite's own choice.
const PAGES: i64 = 1000;

/// The log, and whether everything in it may be relied on. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Log {
    file: Arc<Path>,
    doubt: Arc<Doubt>,
}

/// The number of what put the log in doubt; 0 for none.
#[derive(Debug)]
struct Doubt {
    now: AtomicU64,
    last: AtomicU64,
}

/// A start: the process before may have been ended between a failed sync and its mending.
const START: u64 = 1;
const NONE: u64 = 0;

impl Doubt {
    fn begin(&self) -> u64 {
        let number = self.last.fetch_add(1, Ordering::SeqCst) + 1;
        self.now.store(number, Ordering::SeqCst);
        number
    }

    fn now(&self) -> u64 {
        self.now.load(Ordering::SeqCst)
    }

    /// Ends this one, and no other that began since.
    fn end(&self, number: u64) {
        let ended = self
            .now
            .compare_exchange(number, NONE, Ordering::SeqCst, Ordering::SeqCst);
        // another has begun, or has mended it: both say more than this one
        ended.ok();
    }
}

impl Log {
    /// The log of the database behind this path; SQLite puts it beside the file, and not beside a link to it.
    pub(super) fn of(database: &Path) -> io::Result<Self> {
        let mut file = database.canonicalize()?.into_os_string();
        file.push("-wal");
        Ok(Self {
            file: PathBuf::from(file).into(),
            doubt: Arc::new(Doubt {
                now: AtomicU64::new(START),
                last: AtomicU64::new(START),
            }),
        })
    }

    /// Does what ends in a sync of the log. Until its good end is seen the log is in doubt, also when it is cut off.
    async fn doubting<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let number = self.doubt.begin();
        let done = work.await?;
        self.doubt.end(number);
        Ok(done)
    }

    /// Writes the whole log again and syncs it, if it is in doubt. `lock` holds the write lock: nothing is added meanwhile, also when nobody
    /// waits for the end of it any more.
    pub(super) async fn mended(
        &self,
        lock: Transaction<'static, Sqlite>,
    ) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        let number = self.doubt.now();
        if number == NONE {
            return Ok(lock);
        }
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || (write_again(&file), lock)).await;
        let Ok((written, lock)) = written else {
            return Err(sqlx::Error::WorkerCrashed);
        };
        written?;
        self.doubt.end(number);
        Ok(lock)
    }

    /// Takes a long log over into the database. SQLite would do that by itself after a commit, and keep to itself that a sync failed.
    pub(super) async fn take_over(&self, writer: &mut SqliteConnection) {
        if self.doubt.now() != NONE {
            return; // what is in doubt is mended first
        }
        let look = sqlx::query("PRAGMA wal_checkpoint(NOOP)").fetch_one(&mut *writer);
        let pages: Result<i64, sqlx::Error> = async { look.await?.try_get(1) }.await;
        if !matches!(pages, Ok(pages) if pages < PAGES) {
            let work = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(writer);
            if let Err(error) = self.doubting(work).await {
                tracing::warn!(%error, "the log of the rows could not be taken over into them");
            }
        }
    }
}

/// A write under way, the only one: a transaction of which the log knows how it ended. Dropped, it is rolled back.
#[derive(Debug)]
pub struct Write {
    transaction: Transaction<'static, Sqlite>,
    log: Log,
}

impl Write {
    pub(super) fn new(transaction: Transaction<'static, Sqlite>, log: Log) -> Self {
        Self { transaction, log }
    }

    /// Commits, durably unless it was begun otherwise.
    ///
    /// # Errors
    /// As the rows say; then whoever asks finds nothing of it, though its pages may stay in the log until the next write.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.log.doubting(self.transaction.commit()).await
    }

    /// Leaves everything as it was.
    ///
    /// # Errors
    /// When the rows refuse; then too.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.transaction.rollback().await
    }
}

impl Deref for Write {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.transaction
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FILE, Rows, set_fact};
    use super::*;

    async fn write(rows: &Rows, value: &str) -> Result<(), sqlx::Error> {
        let mut tx = rows.begin_unsynced().await?;
        set_fact(&mut tx, "a", value).await?;
        tx.commit().await
    }

    #[tokio::test]
    async fn whatever_is_not_seen_to_end_well_is_written_again_before_the_next_write() {
        let folder = tempfile::tempdir().unwrap();
        let rows = Rows::open(folder.path()).await.unwrap();
        assert_ne!(rows.log.doubt.now(), NONE, "a start is a doubt");
        write(&rows, "first").await.unwrap();
        assert_eq!(rows.log.doubt.now(), NONE);

        let failed = rows.log.doubting(async {
            let failed: Result<(), _> = Err(sqlx::Error::Io(io::ErrorKind::Other.into()));
            failed
        });
        failed.await.unwrap_err();
        assert_ne!(rows.log.doubt.now(), NONE, "it failed");
        let log = folder.path().join(format!("{FILE}-wal"));
        let bytes = std::fs::read(&log).unwrap();
        let tx = rows.begin().await.unwrap();
        assert_eq!(rows.log.doubt.now(), NONE, "it is written again");
        assert!(std::fs::read(&log).unwrap() == bytes, "as it was");
        tx.rollback().await.unwrap();

        // nobody waits for its end
        let cut = rows
            .log
            .doubting(std::future::pending::<Result<(), sqlx::Error>>());
        assert!(futures::FutureExt::now_or_never(cut).is_none());
        assert_ne!(rows.log.doubt.now(), NONE, "nobody saw its end");
        rows.sync().await.unwrap();
        assert_eq!(rows.log.doubt.now(), NONE);

        // a log that cannot be written again lets nothing be written behind it
        rows.log.doubt.begin();
        let elsewhere = Rows {
            log: Log {
                file: folder.path().into(),
                doubt: rows.log.doubt.clone(),
            },
            ..rows.clone()
        };
        elsewhere.begin().await.unwrap_err();
        assert_ne!(rows.log.doubt.now(), NONE);
        write(&rows, "last").await.unwrap();
    }

    #[test]
    fn a_doubt_is_ended_by_its_own_end_and_by_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rows");
        Log::of(&file).unwrap_err();
        std::fs::write(&file, b"").unwrap();
        let log = Log::of(&file).unwrap();
        log.doubt.end(START);
        assert_eq!(log.doubt.now(), NONE);
        let first = log.doubt.begin();
        let second = log.doubt.begin();
        log.doubt.end(first);
        assert_eq!(log.doubt.now(), second);
        log.doubt.end(second);
        assert_eq!(log.doubt.now(), NONE);
    }

    #[tokio::test]
    async fn a_long_log_is_taken_over_and_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let rows = Rows::open(folder.path()).await.unwrap();
        let log = folder.path().join(format!("{FILE}-wal"));
        let long = "x".repeat(40_000);
        let mut most = 0;
        for _ in 0..2_000 {
            write(&rows, &long).await.unwrap();
            most = most.max(log.metadata().unwrap().len());
        }
        // 2,000 times some ten pages of 4 KiB
        assert!(most < 12 << 20, "{most} bytes");
    }
}
