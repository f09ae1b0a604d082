//! The durable rows in which rooms meet: one writer and several readers over SQLite, or PostgreSQL, behind the same SQL.

mod memory;
#[cfg(test)]
mod postgres;
mod quiet;
mod version;

use std::path::Path;
use std::time::Duration;

use causeway_disk::{Reserve, write_again};
use causeway_proto::time::Timestamp;
use serde::Deserialize;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyPool, Connection as _, Executor, Transaction};
use thiserror::Error;

pub use memory::Memory;
pub use quiet::Quiet;
pub use version::Version;

/// Name of SQLite's file in the data folder.
const FILE: &str = "gateway.sqlite";

/// Where the rows live.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// PostgreSQL, as `postgres://user@host/database`. None: SQLite in the data folder.
    #[serde(default)]
    pub postgres_url: Option<String>,
    /// Connections that only read.
    #[serde(default = "readers")]
    pub readers: u32,
}

fn readers() -> u32 {
    4
}

impl Default for Config {
    fn default() -> Self {
        Self {
            postgres_url: None,
            readers: readers(),
        }
    }
}

/// Opening, migrating or using the rows failed.
#[derive(Debug, Error)]
pub enum RowsError {
    /// The database could not be opened or refused a statement.
    #[error("the database refused: {tried}")]
    Database {
        /// What was tried.
        tried: &'static str,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// The schema could not be brought to this program's version.
    #[error("the database schema could not be migrated")]
    Migrate(#[source] sqlx::migrate::MigrateError),
}

/// The two pools. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rows {
    write: AnyPool,
    read: AnyPool,
    sqlite: bool,
    versions: Option<version::Versions>,
    reserve: Option<Reserve>,
}

impl Rows {
    /// Opens the rows and brings the schema up to date. `folder` holds the SQLite file when no PostgreSQL is configured.
    ///
    /// # Errors
    /// When the database cannot be reached or its schema cannot be migrated.
    pub async fn open(config: &Config, folder: &Path) -> Result<Self, RowsError> {
        sqlx::any::install_default_drivers();
        let sqlite = config.postgres_url.is_none();
        let file = folder.join(FILE);
        let url = config
            .postgres_url
            .clone()
            .unwrap_or_else(|| format!("sqlite://{}?mode=rwc", file.display()));
        let options: AnyConnectOptions = url.parse().map_err(|source| RowsError::Database {
            tried: "reading its address",
            source,
        })?;
        let write = pool(sqlite, if sqlite { 1 } else { 8 });
        let write = replaced_when_stuck(write, sqlite)
            .connect_with(options.clone())
            .await;
        let write = write.map_err(|source| RowsError::Database {
            tried: "opening it for writing",
            source,
        })?;
        sqlx::migrate!("./migrations")
            .run(&write)
            .await
            .map_err(RowsError::Migrate)?;
        guard(&write, sqlite)
            .await
            .map_err(|source| RowsError::Database {
                tried: "guarding the audit trail",
                source,
            })?;
        let read = pool(sqlite, config.readers.max(1))
            .connect_with(options)
            .await;
        let read = read.map_err(|source| RowsError::Database {
            tried: "opening it for reading",
            source,
        })?;
        Ok(Self {
            write,
            read,
            sqlite,
            versions: sqlite.then(|| version::Versions::of(&file)),
            reserve: None,
        })
    }

    /// With so many bytes of the disk of `folder` for themselves; of no account on PostgreSQL. They are held from [`Reserve::hold`] on.
    #[must_use]
    pub fn with_reserve(self, folder: &Path, bytes: u64) -> Self {
        let reserve = (self.sqlite && bytes > 0).then(|| Reserve::new(folder, bytes));
        Self { reserve, ..self }
    }

    /// What is held for them, if anything is to be.
    #[must_use]
    pub fn reserve(&self) -> Option<&Reserve> {
        self.reserve.as_ref()
    }

    /// Begins a write. On SQLite it holds the one write lock from the start; on PostgreSQL the statements' own row locks and
    /// conditions decide.
    ///
    /// # Errors
    /// When no connection comes free in time.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        if let Some(reserve) = &self.reserve {
            reserve.make_way();
        }
        if self.sqlite {
            self.write.begin_with("BEGIN IMMEDIATE").await
        } else {
            self.write.begin().await
        }
    }

    /// Before a process serves. One before it that was ended between a commit whose sync failed and the next one has left a commit in SQLite's log
    /// that may not be on the disk: before anything is written behind it, it is written again.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn write_log_again(&self, folder: &Path) -> Result<(), sqlx::Error> {
        if !self.sqlite {
            return Ok(());
        }
        let alone = self.begin().await?;
        let mut log = folder.join(FILE).canonicalize()?.into_os_string();
        log.push("-wal");
        // whoever waits for it may leave: the write lock is held to its end
        let written = tokio::task::spawn_blocking(move || (write_again(log.as_ref()), alone));
        let Ok((written, alone)) = written.await else {
            return Err(sqlx::Error::WorkerCrashed);
        };
        written?;
        alone.rollback().await
    }

    /// Commits something, to see whether it can be.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn try_to_commit(&self, now: Timestamp) -> Result<(), sqlx::Error> {
        let mut tx = self.begin_quietly().await?;
        sqlx::query(
            "INSERT INTO gateway_fact (name, value) VALUES ('probe', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(now.to_string())
        .execute(&mut **tx)
        .await?;
        tx.commit().await
    }

    /// Whether they are in a file of the data folder.
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        self.sqlite
    }

    /// Writes a copy of all rows as they are at one moment into a file that is not there yet, while others go on reading and writing.
    /// Only of SQLite. Whoever wants it durable syncs it.
    ///
    /// # Errors
    /// When the database refuses, or on PostgreSQL.
    pub async fn copy_to(&self, file: &Path) -> Result<(), sqlx::Error> {
        let name = file.to_str().ok_or_else(|| {
            sqlx::Error::Configuration("the path of the copy is not in Unicode".into())
        })?;
        let copying = sqlx::query("VACUUM INTO $1").bind(name);
        copying.execute(&self.read).await.map(drop)
    }

    /// For statements that only read.
    #[must_use]
    pub fn read(&self) -> &AnyPool {
        &self.read
    }

    /// The state of the rows now, for [`Memory`]; none where it cannot be told: then nothing is remembered.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.versions.as_ref()?.now()
    }

    /// Closes both pools after what is under way has finished.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// No record of the audit trail is changed or taken away by a statement. The two databases have no trigger in common: that is why
/// these do not stand in the migrations.
async fn guard(write: &AnyPool, sqlite: bool) -> Result<(), sqlx::Error> {
    if sqlite {
        return write.execute(GUARD_SQLITE).await.map(drop);
    }
    let there = sqlx::query("SELECT 1 FROM pg_trigger WHERE tgname = 'audit_event_stays'");
    if there.fetch_optional(write).await?.is_none() {
        let mut tx = write.begin().await?;
        tx.execute(GUARD_POSTGRES).await?;
        tx.commit().await?;
    }
    Ok(())
}

const GUARD_SQLITE: &str = "\
    CREATE TRIGGER IF NOT EXISTS audit_event_stays BEFORE UPDATE ON audit_event \
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END; \
    CREATE TRIGGER IF NOT EXISTS audit_event_is_kept BEFORE DELETE ON audit_event \
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;";

const GUARD_POSTGRES: &str = "\
    CREATE OR REPLACE FUNCTION audit_event_refuses() RETURNS trigger AS $$ \
    BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END; $$ LANGUAGE plpgsql; \
    CREATE TRIGGER audit_event_stays BEFORE UPDATE ON audit_event FOR EACH ROW EXECUTE FUNCTION audit_event_refuses(); \
    CREATE TRIGGER audit_event_is_kept BEFORE DELETE ON audit_event FOR EACH ROW EXECUTE FUNCTION audit_event_refuses(); \
    CREATE TRIGGER audit_event_is_whole BEFORE TRUNCATE ON audit_event FOR EACH STATEMENT EXECUTE FUNCTION audit_event_refuses();";

fn pool(sqlite: bool, connections: u32) -> AnyPoolOptions {
    let options = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10));
    if !sqlite {
        return options;
    }
    options.after_connect(|connection, _| {
        Box::pin(async move {
            connection
                .execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000;")
                .await?;
            Ok(())
        })
    })
    // a file does not go away as a connection to a server does: nothing is to be asked before each statement
    .test_before_acquire(false)
}

/// A disk that is full or fails may end a transaction by itself: then no rollback succeeds, the connection counts as one inside a
/// transaction for ever, and every write after it is refused. It is replaced.
fn replaced_when_stuck(options: AnyPoolOptions, sqlite: bool) -> AnyPoolOptions {
    if !sqlite {
        return options;
    }
    options.after_release(|connection, _| {
        Box::pin(async move {
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) use super::postgres::on_both;

    /// Rows on SQLite in a folder that goes with the test.
    pub(crate) async fn on_sqlite() -> (tempfile::TempDir, Rows) {
        let folder = tempfile::tempdir().unwrap();
        let rows = Rows::open(&Config::default(), folder.path()).await.unwrap();
        (folder, rows)
    }

    #[tokio::test]
    async fn sqlite_opens_with_wal_full_sync_and_foreign_keys() {
        let (_folder, rows) = on_sqlite().await;
        let (journal,): (String,) = sqlx::query_as("PRAGMA journal_mode")
            .fetch_one(rows.read())
            .await
            .unwrap();
        let (sync,): (i64,) = sqlx::query_as("PRAGMA synchronous")
            .fetch_one(rows.read())
            .await
            .unwrap();
        let (keys,): (i64,) = sqlx::query_as("PRAGMA foreign_keys")
            .fetch_one(rows.read())
            .await
            .unwrap();
        assert_eq!((journal.as_str(), sync, keys), ("wal", 2, 1));
    }

    #[tokio::test]
    async fn a_disk_that_was_full_is_written_again_without_a_restart() {
        let (_folder, rows) = on_sqlite().await;
        let mut tx = rows.begin().await.unwrap();
        // less than there is counts as what there is: not a page more
        sqlx::query("PRAGMA max_page_count = 1")
            .execute(&mut *tx)
            .await
            .unwrap();
        let insert = "INSERT INTO gateway_fact (name, value) VALUES ($1, $2)";
        let mut written = 0;
        while sqlx::query(insert)
            .bind(format!("fact {written}"))
            .bind("x".repeat(4096))
            .execute(&mut *tx)
            .await
            .is_ok()
        {
            written += 1;
            assert!(written < 1000, "the disk never fills");
        }
        drop(tx);
        let mut tx = rows.begin().await.unwrap();
        let again = sqlx::query(insert).bind("a").bind("b").execute(&mut *tx);
        again.await.unwrap();
        tx.commit().await.unwrap();
        let (count,): (i64,) =
            sqlx::query_as("SELECT count(*) FROM gateway_fact WHERE value <> 'b'")
                .fetch_one(rows.read())
                .await
                .unwrap();
        assert_eq!(count, 0, "nothing of it was kept");
    }

    #[tokio::test]
    async fn no_statement_changes_the_audit_trail() {
        for (_folder, rows) in on_both().await {
            let mut tx = rows.begin().await.unwrap();
            tx.execute(
                "INSERT INTO audit_event (seq, at_us, event, actor, site_id, subject, detail, previous, chain) \
                 VALUES (1, 0, '', '', '', '', '', '', '')",
            )
            .await
            .unwrap();
            tx.commit().await.unwrap();
            for statement in [
                "UPDATE audit_event SET detail = 'another'",
                "DELETE FROM audit_event",
            ] {
                let mut tx = rows.begin().await.unwrap();
                let refused = tx.execute(statement).await.unwrap_err().to_string();
                assert!(refused.contains("append-only"), "{statement}: {refused}");
            }
            // opened again, the guards are there once
            guard(&rows.write, rows.sqlite).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_transaction_that_is_dropped_leaves_nothing() {
        let (_folder, rows) = on_sqlite().await;
        let mut tx = rows.begin().await.unwrap();
        sqlx::query("INSERT INTO gateway_fact (name, value) VALUES ($1, $2)")
            .bind("a")
            .bind("b")
            .execute(&mut *tx)
            .await
            .unwrap();
        drop(tx);
        let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM gateway_fact")
            .fetch_one(rows.read())
            .await
            .unwrap();
        assert_eq!(count, 0);
    }
}
