//! The durable rows in which the agent's rooms meet: SQLite, one writer and several readers, every commit synced.

mod log;

use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use causeway_disk::Reserve;
use causeway_proto::time::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqliteConnection, SqlitePool};
use thiserror::Error;

use log::Log;
pub use log::Write;

/// Name of the database inside the spool folder.
const FILE: &str = "agent.sqlite";

/// Opening or using the rows failed.
#[derive(Debug, Error)]
pub enum RowsError {
    /// The database could not be opened or refused a statement.
    #[error("the agent's rows refused: {tried}")]
    Database {
        /// What was tried.
        tried: &'static str,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// There are none: no agent has run here.
    #[error("there is no spool here yet: `causeway-agent run` makes it")]
    None,
    /// The file could not be made for its owner only.
    #[error("the agent's rows cannot be kept from others")]
    Private(#[source] io::Error),
    /// The database was written by a newer program.
    #[error(
        "the agent's rows were written by a newer version of causeway-agent; install that version again"
    )]
    Newer,
    /// The schema could not be brought to this program's version.
    #[error("the schema of the agent's rows could not be migrated")]
    Migrate(#[source] sqlx::migrate::MigrateError),
}

/// The two pools. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rows {
    write: SqlitePool,
    read: SqlitePool,
    folder: Arc<Path>,
    log: Log,
    reserve: Option<Reserve>,
}

/// How a write begins whose commit is synced.
const SYNCED: &str = "PRAGMA synchronous = FULL; BEGIN IMMEDIATE";
/// How one begins whose commit is not: the next one that is makes both durable.
const UNSYNCED: &str = "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE";

impl Rows {
    /// Opens the rows in `folder` and brings the schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, is damaged, is newer than this program, or cannot be migrated.
    pub async fn open(folder: &Path) -> Result<Self, RowsError> {
        keep_private(&folder.join(FILE)).map_err(RowsError::Private)?;
        let options = options(folder);
        let log = Log::of(&folder.join(FILE)).map_err(RowsError::Private)?;
        let write = writer(options.clone(), log.clone()).await?;
        sqlx::migrate!("./migrations")
            .run(&write)
            .await
            .map_err(|source| match source {
                sqlx::migrate::MigrateError::VersionMissing(_) => RowsError::Newer,
                other => RowsError::Migrate(other),
            })?;
        let read = pool(4, options, "opening them for reading").await?;
        Ok(Self {
            write,
            read,
            folder: folder.into(),
            log,
            reserve: None,
        })
    }

    /// With so many bytes of its disk for themselves, from [`Reserve::hold`] on; 0 for none.
    #[must_use]
    pub(crate) fn with_reserve(self, bytes: u64) -> Self {
        let reserve = (bytes > 0).then(|| Reserve::new(&self.folder, bytes));
        Self { reserve, ..self }
    }

    /// What is held for them, if anything is to be.
    #[must_use]
    pub(crate) fn reserve(&self) -> Option<&Reserve> {
        self.reserve.as_ref()
    }

    /// Opens the rows of an agent that may be running, for reading only.
    ///
    /// # Errors
    /// When there are none, or they cannot be read.
    pub async fn look(folder: &Path) -> Result<Self, RowsError> {
        if !folder.join(FILE).exists() {
            return Err(RowsError::None);
        }
        let read = pool(
            1,
            options(folder).read_only(true),
            "opening them for reading",
        )
        .await?;
        Ok(Self {
            write: read.clone(),
            read,
            folder: folder.into(),
            log: Log::of(&folder.join(FILE)).map_err(RowsError::Private)?,
            reserve: None,
        })
    }

    /// Writes a fact of no meaning and commits it: whether that works is all that it is for.
    ///
    /// # Errors
    /// When they cannot be written, or the commit does not reach the disk.
    pub(crate) async fn try_to_commit(&self, now: Timestamp) -> Result<(), sqlx::Error> {
        let mut tx = self.begin().await?;
        set_fact(&mut tx, "probe", now).await?;
        tx.commit().await
    }

    /// Begins a write; it holds the one write lock from the start.
    ///
    /// # Errors
    /// When the writer does not come free in time, or the disk refuses.
    pub async fn begin(&self) -> Result<Write, sqlx::Error> {
        self.begin_with(SYNCED).await
    }

    /// As [`Self::begin`], for what can be written again from elsewhere: its commit is not synced. [`Self::sync`], or whatever is
    /// committed after it, makes it durable.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub(crate) async fn begin_unsynced(&self) -> Result<Write, sqlx::Error> {
        self.begin_with(UNSYNCED).await
    }

    async fn begin_with(&self, how: &'static str) -> Result<Write, sqlx::Error> {
        if let Some(reserve) = &self.reserve {
            reserve.make_way();
        }
        let transaction = self.write.begin_with(how).await?;
        let transaction = self.log.mended(transaction).await?;
        Ok(Write::new(transaction, self.log.clone()))
    }

    /// Makes everything that was committed durable.
    ///
    /// # Errors
    /// As the disk says.
    pub(crate) async fn sync(&self) -> Result<(), sqlx::Error> {
        // through SQLite's own file: another one is not told of what has failed before it was opened
        let mut write = self.begin().await?;
        set_fact(&mut write, "synced", "").await?;
        write.commit().await
    }

    /// For statements that only read.
    #[must_use]
    pub fn read(&self) -> &SqlitePool {
        &self.read
    }

    /// Closes both pools after what is under way has finished.
    pub async fn close(&self) {
        // the last to close takes the log over: not one that is in doubt. What cannot be mended is left to the next start
        if self.begin().await.is_err() {
            return;
        }
        self.read.close().await;
        self.write.close().await;
    }
}

/// Reads a fact about this agent.
///
/// # Errors
/// When the rows refuse.
pub(crate) async fn fact(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT value FROM agent_fact WHERE name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await
}

/// Reads a fact that is a number; 0 when it is not there.
///
/// # Errors
/// When the rows refuse.
pub(crate) async fn number(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<u64, sqlx::Error> {
    let text = fact(connection, name).await?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Writes a fact about this agent.
///
/// # Errors
/// When the rows refuse.
pub(crate) async fn set_fact(
    connection: &mut SqliteConnection,
    name: &str,
    value: impl ToString,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO agent_fact (name, value) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

/// A count or length as a row holds it.
#[must_use]
pub(crate) fn to_row(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A count or length from a row.
#[must_use]
pub(crate) fn from_row(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Names of patients stand in the file: it is its owner's, and SQLite gives its log the same rights.
fn keep_private(file: &Path) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file)?
        .set_permissions(Permissions::from_mode(0o600))
}

/// What each of the five connections keeps of the file, in KiB, as SQLite wants it said; by itself 2,000. They fill in the first quarter of
/// an hour, and the system has the same pages in its own cache.
const CACHE: &str = "-512";

fn options(folder: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(folder.join(FILE))
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        // [`Log::take_over`] does it
        .pragma("wal_autocheckpoint", "0")
        .pragma("cache_size", CACHE)
}

/// A disk that is full or fails may end a transaction by itself (SQLite, "Response To Errors Within A Transaction"). Then no rollback
/// succeeds, the connection counts as one inside a transaction for ever, and every write after it is refused: it is replaced.
async fn is_usable(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if !connection.is_in_transaction() {
        return Ok(true);
    }
    // what was dropped is rolled back in its turn: the answer comes after it
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

fn connections(most: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(most)
        .acquire_timeout(Duration::from_secs(10))
        .test_before_acquire(false)
        // whoever closes the last one takes the log over, and SQLite says to nobody when that fails
        .idle_timeout(None)
        .max_lifetime(None)
}

async fn pool(
    most: u32,
    options: SqliteConnectOptions,
    tried: &'static str,
) -> Result<SqlitePool, RowsError> {
    connections(most)
        .after_release(|connection, _| Box::pin(is_usable(connection)))
        .connect_with(options)
        .await
        .map_err(|source| RowsError::Database { tried, source })
}

/// The pool of the one connection that writes.
async fn writer(options: SqliteConnectOptions, log: Log) -> Result<SqlitePool, RowsError> {
    connections(1)
        .after_release(move |connection, _| {
            let log = log.clone();
            Box::pin(async move {
                let usable = is_usable(connection).await?;
                if usable {
                    log.take_over(connection).await;
                }
                Ok(usable)
            })
        })
        .connect_with(options)
        .await
        .map_err(|source| RowsError::Database {
            tried: "opening them for writing",
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_commit_is_synced_and_the_file_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let rows = Rows::open(folder.path()).await.unwrap();
        let mut tx = rows.begin().await.unwrap();
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        let keys: i64 = sqlx::query_scalar("PRAGMA foreign_keys")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        assert_eq!((journal.as_str(), synchronous, keys), ("wal", 2, 1));
        set_fact(&mut tx, "a", 1).await.unwrap();
        tx.commit().await.unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", file.file_name());
        }
    }

    #[tokio::test]
    async fn rows_of_a_newer_program_and_of_none_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let none = Rows::look(folder.path()).await;
        assert!(matches!(none, Err(RowsError::None)), "{none:?}");
        let rows = Rows::open(folder.path()).await.unwrap();
        let mut tx = rows.begin().await.unwrap();
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'later', 1, x'00', 0)",
        )
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
        rows.close().await;
        let newer = Rows::open(folder.path()).await;
        assert!(matches!(newer, Err(RowsError::Newer)), "{newer:?}");
    }

    #[tokio::test]
    async fn a_disk_that_was_full_is_written_again_without_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let rows = Rows::open(folder.path()).await.unwrap();
        let mut tx = rows.begin().await.unwrap();
        sqlx::query("PRAGMA max_page_count = 1")
            .execute(&mut *tx)
            .await
            .unwrap();
        let mut written = 0;
        while set_fact(&mut tx, &format!("fact {written}"), "x".repeat(4096))
            .await
            .is_ok()
        {
            written += 1;
            assert!(written < 1000, "the disk never fills");
        }
        drop(tx);
        let mut tx = rows.begin().await.unwrap();
        set_fact(&mut tx, "a", 1).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(
            number(&mut rows.begin().await.unwrap(), "a").await.unwrap(),
            1
        );
        let none = number(&mut rows.begin().await.unwrap(), "fact 0").await;
        assert_eq!(none.unwrap(), 0, "nothing of it was kept");
    }

    #[tokio::test]
    async fn damaged_rows_do_not_open() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), vec![7; 8192]).unwrap();
        let damaged = Rows::open(folder.path()).await;
        assert!(
            matches!(damaged, Err(RowsError::Database { .. })),
            "{damaged:?}"
        );
    }
}
