//! Open associations and what they have brought: while one is open, its studies are not silent (P30).

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use super::entry::{AeTitle, AssociationId, CallingKind};
use super::{Spool, SpoolError, refused_row};

/// An association that is open, and the studies it has brought something of.
#[derive(Debug)]
pub(super) struct Association {
    kind: CallingKind,
    studies: HashSet<i64>,
}

impl Spool {
    /// An association has begun that may bring instances.
    #[must_use]
    pub fn association_opened(&self, _calling: AeTitle, kind: CallingKind) -> AssociationId {
        let id = AssociationId(self.inner.next_association.fetch_add(1, Ordering::Relaxed));
        let studies = HashSet::new();
        self.associations()
            .insert(id, Association { kind, studies });
        id
    }

    /// An association has ended, in whatever way: the silence that completes its studies begins (P30).
    pub async fn association_closed(&self, association: AssociationId) {
        let silent: Vec<i64> = {
            let mut open = self.associations();
            let Some(closed) = open.remove(&association) else {
                return;
            };
            let others = |study: &i64| open.values().any(|other| other.studies.contains(study));
            closed
                .studies
                .iter()
                .filter(|s| !others(s))
                .copied()
                .collect()
        };
        if let Err(error) = self.silence(&silent).await {
            // the wait for senders that keep their association open takes over
            tracing::warn!(%error, "the end of an association was not noted");
        }
    }

    async fn silence(&self, studies: &[i64]) -> Result<(), SpoolError> {
        if studies.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin_rows().await?;
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
