//! Transactions about which nobody remembers anything: they leave memories as they are.

use std::ops::{Deref, DerefMut};

use sqlx::{Any, Transaction};

use super::Rows;
use super::version::{Version, Versions};

/// Such a transaction. It writes only what no [`super::Memory`] was ever filled from.
#[derive(Debug)]
pub struct Quiet {
    tx: Transaction<'static, Any>,
    before: Option<(Versions, Version)>,
}

impl Deref for Quiet {
    type Target = Transaction<'static, Any>;

    fn deref(&self) -> &Self::Target {
        &self.tx
    }
}

impl DerefMut for Quiet {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.tx
    }
}

impl Quiet {
    /// Commits it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.tx.commit().await?;
        if let Some((versions, before)) = self.before {
            versions.nothing_new_since(before);
        }
        Ok(())
    }
}

impl Rows {
    /// As [`Rows::begin`], for what nobody remembers anything of.
    ///
    /// # Errors
    /// When no connection comes free in time.
    pub async fn begin_quietly(&self) -> Result<Quiet, sqlx::Error> {
        let tx = self.begin().await?;
        let versions = self.versions.clone();
        let before = versions.and_then(|versions| {
            let before = versions.bare()?;
            Some((versions, before))
        });
        Ok(Quiet { tx, before })
    }
}

#[cfg(test)]
mod tests {
    use causeway_proto::time::Timestamp;

    use super::super::tests::on_sqlite;

    /// What is written has to be another than before: the same is not written at all.
    fn minute(n: i64) -> Timestamp {
        Timestamp(n * 60_000_000)
    }

    #[tokio::test]
    async fn a_probe_empties_no_memory_and_every_other_commit_does() {
        let (_folder, rows) = on_sqlite().await;
        let loud = async |value: &str| {
            let mut tx = rows.begin().await.unwrap();
            sqlx::query("INSERT INTO gateway_fact (name, value) VALUES ($1, '')")
                .bind(value)
                .execute(&mut *tx)
                .await
                .unwrap();
            tx.commit().await.unwrap();
        };
        loud("first").await;
        let first = rows.version().unwrap();
        for n in 0..5 {
            rows.try_to_commit(minute(n)).await.unwrap();
            assert_eq!(rows.version(), Some(first), "probe {n}");
        }
        loud("second").await;
        let second = rows.version().unwrap();
        assert_ne!(second, first);
        rows.try_to_commit(minute(9)).await.unwrap();
        assert_eq!(rows.version(), Some(second));

        // one that was committed beside a probe is not hidden by it
        let versions = rows.versions.clone().unwrap();
        let before = versions.bare().unwrap();
        loud("third").await;
        rows.try_to_commit(minute(10)).await.unwrap();
        versions.nothing_new_since(before);
        let third = rows.version().unwrap();
        assert!(third != second && third != first);
    }
}
