//! What was read from rows, remembered for as long as nothing is committed.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Rows, Version};

/// A memory of answers. Whatever any process commits empties it: what it holds is what the rows would say.
pub struct Memory<K, V> {
    held: Mutex<Held<K, V>>,
    /// The sum of the weights of what is remembered is at most this.
    most: usize,
}

struct Held<K, V> {
    version: Option<Version>,
    answers: HashMap<K, V>,
    weight: usize,
}

impl<K, V> fmt::Debug for Memory<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl<K: Hash + Eq, V: Clone> Memory<K, V> {
    /// An empty memory of at most so much weight.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            held: Mutex::new(Held {
                version: None,
                answers: HashMap::new(),
                weight: 0,
            }),
            most,
        }
    }

    fn held(&self) -> MutexGuard<'_, Held<K, V>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered under `key` at this version.
    #[must_use]
    pub fn get(&self, version: Option<Version>, key: &K) -> Option<V> {
        let held = self.held();
        if version.is_none() || held.version != version {
            return None;
        }
        held.answers.get(key).cloned()
    }

    /// Remembers an answer that was read after `version` was told. Nothing weighs nothing: its key is kept too.
    pub fn put(&self, version: Option<Version>, key: K, answer: V, weight: usize) {
        let (mut held, weight) = (self.held(), weight.max(1));
        if version.is_none() || weight > self.most {
            return;
        }
        if held.version != version || held.weight.saturating_add(weight) > self.most {
            held.answers.clear();
            held.weight = 0;
            held.version = version;
        }
        if held.answers.insert(key, answer).is_none() {
            held.weight += weight;
        }
    }

    /// The answer under `key`, remembered or read.
    ///
    /// # Errors
    /// When reading fails.
    pub async fn of<E>(
        &self,
        rows: &Rows,
        key: K,
        weight: usize,
        read: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E> {
        let version = rows.version();
        if let Some(answer) = self.get(version, &key) {
            return Ok(answer);
        }
        let answer = read.await?;
        self.put(version, key, answer.clone(), weight);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::rows::tests::on_sqlite;
    use crate::rows::{Config, Memory, Rows};

    async fn note(rows: &Rows, value: &str) {
        let mut tx = rows.begin().await.unwrap();
        sqlx::query("INSERT INTO gateway_fact (name, value) VALUES ('a', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
            .bind(value)
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    async fn read(rows: &Rows) -> Result<String, sqlx::Error> {
        sqlx::query_scalar("SELECT value FROM gateway_fact WHERE name = 'a'")
            .fetch_one(rows.read())
            .await
    }

    #[tokio::test]
    async fn what_is_committed_is_seen_at_once_whoever_commits_it() {
        let (folder, rows) = on_sqlite().await;
        let memory = Memory::new(100);
        // as a command line beside the running gateway does
        let other = Rows::open(&Config::default(), folder.path()).await.unwrap();
        for round in 0..200 {
            let writer = if round % 3 == 0 { &other } else { &rows };
            let value = format!("value {round}");
            note(writer, &value).await;
            for _ in 0..2 {
                let told = memory.of(&rows, (), 1, read(&rows)).await.unwrap();
                assert_eq!(told, value);
            }
        }
        assert!(memory.get(rows.version(), &()).is_some(), "it is a memory");
        let mut tx = rows.begin().await.unwrap();
        sqlx::query("DELETE FROM gateway_fact")
            .execute(&mut *tx)
            .await
            .unwrap();
        assert!(
            memory.get(rows.version(), &()).is_some(),
            "nothing is committed yet"
        );
        tx.commit().await.unwrap();
        assert!(memory.get(rows.version(), &()).is_none());
    }

    #[tokio::test]
    async fn a_log_that_begins_anew_is_another_version() {
        let (folder, rows) = on_sqlite().await;
        let memory = Memory::new(100);
        note(&rows, "before").await;
        assert_eq!(
            memory.of(&rows, (), 1, read(&rows)).await.unwrap(),
            "before"
        );
        let mut tx = rows.write.acquire().await.unwrap();
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut *tx)
            .await
            .unwrap();
        drop(tx);
        note(&rows, "after a checkpoint").await;
        assert_eq!(
            memory.of(&rows, (), 1, read(&rows)).await.unwrap(),
            "after a checkpoint"
        );
        // every connection gone, and with the last one the files beside the database
        rows.close().await;
        assert!(!shm(folder.path()).exists());
        let again = Rows::open(&Config::default(), folder.path()).await.unwrap();
        note(&again, "after a restart").await;
        assert_ne!(rows.version(), None);
        assert!(memory.get(rows.version(), &()).is_none());
        again.close().await;
        assert_eq!(rows.version(), None);
    }

    fn shm(folder: &Path) -> std::path::PathBuf {
        folder.join("gateway.sqlite-shm")
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let (_folder, rows) = on_sqlite().await;
        note(&rows, "x").await;
        let memory = Memory::new(10);
        for key in 0..100 {
            memory.put(rows.version(), key, key, 3);
            let held = (0..100).filter(|one| memory.get(rows.version(), one).is_some());
            assert!(held.count() <= 3);
            assert_eq!(memory.get(rows.version(), &key), Some(key));
        }
        memory.put(rows.version(), 200, 200, 11);
        assert_eq!(memory.get(rows.version(), &200), None);
        // that there is nothing weighs something too
        for key in 300..400 {
            memory.put(rows.version(), key, key, 0);
            let held = (300..400).filter(|one| memory.get(rows.version(), one).is_some());
            assert!(held.count() <= 10);
        }
    }
}
