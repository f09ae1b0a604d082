//! What was withheld for a failure that may pass by itself, and is decided anew.

use std::time::Duration;

use super::decision::seal_again;
use super::entry::Unprotected;
use super::protection::{COLUMNS, NOT_KEPT, unprotected};
use super::{Spool, SpoolError, refused_row};
use crate::rows::to_row;

/// What was withheld for a failure that seemed to have passed, and failed again, is not decided anew before this.
const AGAIN: Duration = Duration::from_secs(3600);

impl Spool {
    /// Up to `limit` instances behind row `last` that are withheld for one of these reasons, and that nobody keeps back. One that was
    /// decided anew within the hour is not among them: what had seemed to pass has not passed.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn withheld_for(
        &self,
        reasons: [&str; 2],
        last: i64,
        limit: usize,
    ) -> Result<Vec<Unprotected>, SpoolError> {
        let now = self.inner.clock.now();
        let hour = i64::try_from(AGAIN.as_micros()).unwrap_or(i64::MAX);
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} WHERE i.state = 'withheld' AND i.reason IN ($1, $2) AND i.id > $3 AND i.lost = 0 \
             AND i.handle IS NOT NULL AND s.state <> 'recalled' AND {NOT_KEPT} AND (i.again_us <= $5 OR i.again_us > $6) \
             ORDER BY i.id LIMIT $4"
        )))
        .bind(reasons[0])
        .bind(reasons[1])
        .bind(last)
        .bind(to_row(limit as u64))
        .bind(now.0.saturating_sub(hour))
        .bind(now.0)
        .fetch_all(self.inner.rows.read())
        .await
        .map_err(refused_row("listing what is withheld for now"))?;
        rows.iter()
            .map(|row| unprotected(self, row))
            .collect::<Result<_, _>>()
            .map_err(refused_row("reading what is withheld for now"))
    }

    /// A withheld instance is decided anew; a sealed study gets another version. Answers whether it was still withheld.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn decide_again(&self, instance: &Unprotected) -> Result<bool, SpoolError> {
        let mut tx = self.begin_rows().await?;
        let work = async {
            let changed = sqlx::query(sqlx::AssertSqlSafe(format!(
                "UPDATE instance AS i SET state = 'waiting', reason = '', refusals = 0, next_try_us = 0, again_us = $2 WHERE id = $1 \
                 AND state = 'withheld' AND sent_digest IS NULL AND {NOT_KEPT}"
            )))
            .bind(instance.id)
            .bind(self.inner.clock.now().0)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if changed > 0 {
                seal_again(self, &mut tx, instance.study_row).await?;
            }
            tx.commit().await?;
            Ok(changed > 0)
        };
        let again = work
            .await
            .map_err(refused_row("having a withheld instance decided again"))?;
        self.inner.arrived.notify_one();
        Ok(again)
    }
}
