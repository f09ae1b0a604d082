//! Who looks at what: one record for each person, thing and five minutes, durable before he sees a byte of it, many in one commit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use causeway_proto::time::Timestamp;
use sqlx::AnyConnection;
use tokio::sync::oneshot;

use super::{AuditError, record};
use crate::rows::Rows;

/// Within so many microseconds of the clock, looking again is the same look.
const WINDOW_US: i64 = 300 * 1_000_000;
/// So many looks are remembered; then the memory begins anew and the rows are asked.
const MOST: usize = 10_000;

/// Somebody is about to look at something.
#[derive(Clone, Debug)]
pub struct Look {
    /// Our word for it.
    pub event: &'static str,
    /// The account.
    pub actor: String,
    /// The site whose it is.
    pub site: String,
    /// What he looks at.
    pub subject: String,
    /// More of it.
    pub detail: serde_json::Value,
}

type Key = (&'static str, String, String, String);

impl Look {
    fn key(&self) -> Key {
        let (actor, site) = (self.actor.clone(), self.site.clone());
        (self.event, actor, site, self.subject.clone())
    }
}

struct Waiting {
    look: Look,
    at: Timestamp,
    tell: oneshot::Sender<Result<(), AuditError>>,
}

/// The door through which looks are recorded. Cheap to clone; all clones share one queue.
#[derive(Clone)]
pub struct Trail(Arc<Inner>);

struct Inner {
    rows: Rows,
    waiting: Mutex<Vec<Waiting>>,
    seen: Mutex<HashMap<Key, i64>>,
    turn: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trail")
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn window(at: Timestamp) -> i64 {
    at.0.div_euclid(WINDOW_US)
}

impl Trail {
    /// Records into these rows.
    #[must_use]
    pub fn new(rows: Rows) -> Self {
        Self(Arc::new(Inner {
            rows,
            waiting: Mutex::default(),
            seen: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }))
    }

    /// Whether this look stands in the trail already.
    #[must_use]
    pub fn has(&self, at: Timestamp, look: &Look) -> bool {
        held(&self.0.seen).get(&look.key()) == Some(&window(at))
    }

    /// Returns when the look is durable. Whoever comes while others are being written waits, and is written with all who wait.
    ///
    /// # Errors
    /// When it could not be written: then nothing may be shown.
    pub async fn looked(&self, at: Timestamp, look: Look) -> Result<(), AuditError> {
        while !self.has(at, &look) {
            let (tell, mut told) = oneshot::channel();
            held(&self.0.waiting).push(Waiting {
                look: look.clone(),
                at,
                tell,
            });
            let _turn = self.0.turn.lock().await;
            match told.try_recv() {
                Ok(outcome) => return outcome,
                // whoever wrote it was stopped in the middle: again
                Err(oneshot::error::TryRecvError::Closed) => continue,
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            let group = std::mem::take(&mut *held(&self.0.waiting));
            self.write(group).await;
            if let Ok(outcome) = told.try_recv() {
                return outcome;
            }
        }
        Ok(())
    }

    async fn write(&self, group: Vec<Waiting>) {
        let outcome = self.commit(&group).await.map_err(Arc::new);
        if let Err(error) = &outcome {
            tracing::error!(%error, looks = group.len(), "the audit trail could not be written: nothing is shown");
        } else {
            let mut seen = held(&self.0.seen);
            if seen.len() >= MOST {
                seen.clear();
            }
            for waiting in &group {
                seen.insert(waiting.look.key(), window(waiting.at));
            }
        }
        for waiting in group {
            let told = outcome.clone().map_err(AuditError::Group);
            // one who no longer waits needs no answer
            waiting.tell.send(told).ok();
        }
    }

    async fn commit(&self, group: &[Waiting]) -> Result<(), AuditError> {
        let mut tx = self.0.rows.begin().await?;
        for Waiting { look, at, .. } in group {
            if stands(&mut tx, look, *at).await? {
                continue;
            }
            record(
                &mut tx,
                *at,
                look.event,
                &look.actor,
                &look.site,
                &look.subject,
                &look.detail,
            )
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Whether there is a record of this look in its window, from this group or from before a restart.
async fn stands(
    connection: &mut AnyConnection,
    look: &Look,
    at: Timestamp,
) -> Result<bool, sqlx::Error> {
    let from = window(at).saturating_mul(WINDOW_US);
    let (found,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM audit_event WHERE actor = $1 AND subject = $2 AND event = $3 AND site_id = $4 AND at_us >= $5 AND at_us < $6",
    )
    .bind(&look.actor)
    .bind(&look.subject)
    .bind(look.event)
    .bind(&look.site)
    .bind(from)
    .bind(from.saturating_add(WINDOW_US))
    .fetch_one(connection)
    .await?;
    Ok(found > 0)
}
