//! Open associations and what they have brought: while one is open, its studies are not silent (P30).

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use causeway_proto::time::Timestamp;
use serde_json::json;
use sqlx::SqliteConnection;

use super::entry::{AeTitle, AssociationId, CallingKind};
use super::{Spool, SpoolError, refused_row};
use crate::audit;

/// An association that is open, and the studies it has brought something of.
#[derive(Debug)]
pub(super) struct Association {
    calling: AeTitle,
    kind: CallingKind,
    studies: HashSet<i64>,
}

impl Spool {
    /// An association has begun that may bring instances.
    #[must_use]
    pub fn association_opened(&self, calling: AeTitle, kind: CallingKind) -> AssociationId {
        let id = AssociationId(self.inner.next_association.fetch_add(1, Ordering::Relaxed));
        let studies = HashSet::new();
        self.associations().insert(
            id,
            Association {
                calling,
                kind,
                studies,
            },
        );
        id
    }

    /// An association has ended, in whatever way: the silence that completes its studies begins (P30).
    pub async fn association_closed(&self, association: AssociationId) {
        if let Err(error) = super::pending::settle(self).await {
            tracing::warn!(%error, "what an association brought has no rows yet");
        }
        let (silent, closed): (Vec<i64>, Association) = {
            let mut open = self.associations();
            let Some(closed) = open.remove(&association) else {
                return;
            };
            let others = |study: &i64| open.values().any(|other| other.studies.contains(study));
            let silent = closed.studies.iter().filter(|s| !others(s));
            (silent.copied().collect(), closed)
        };
        if let Err(error) = self.silence(&silent, &closed).await {
            // the wait for senders that keep their association open takes over
            tracing::warn!(%error, "the end of an association was not noted");
        }
    }

    async fn silence(&self, studies: &[i64], closed: &Association) -> Result<(), SpoolError> {
        if closed.studies.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin_rows().await?;
        for study in &closed.studies {
            received(&mut tx, *study, closed.calling.as_str(), self.now())
                .await
                .map_err(refused_row("recording what an association brought"))?;
        }
        for study in studies {
            sqlx::query(
                "UPDATE study SET silent_from_us = $2 WHERE id = $1 AND state = 'arriving'",
            )
            .bind(study)
            .bind(self.inner.clock.now().0)
            .execute(&mut *tx)
            .await
            .map_err(refused_row("noting the end of an association"))?;
        }
        tx.commit()
            .await
            .map_err(refused_row("noting the end of an association"))?;
        self.inner.tick.notify_one();
        Ok(())
    }

    fn associations(&self) -> MutexGuard<'_, HashMap<AssociationId, Association>> {
        self.inner
            .associations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn kind_of(&self, association: AssociationId) -> CallingKind {
        self.associations()
            .get(&association)
            .map_or(CallingKind::Modality, |open| open.kind)
    }

    /// An open association has brought something of a study.
    pub(super) fn touched(&self, association: AssociationId, study: i64) {
        if let Some(open) = self.associations().get_mut(&association) {
            open.studies.insert(study);
        }
    }
}

/// One record for each study that an association brought something of.
async fn received(
    tx: &mut SqliteConnection,
    study: i64,
    calling: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let found: Option<(String, String, String)> =
        sqlx::query_as("SELECT study_uid, case_code, agreement FROM study WHERE id = $1")
            .bind(study)
            .fetch_optional(&mut *tx)
            .await?;
    let Some((uid, case, agreement)) = found else {
        return Ok(());
    };
    let detail = json!({ "case": case, "agreement": agreement });
    audit::record(tx, now, "study-received", calling, &uid, &detail).await
}
