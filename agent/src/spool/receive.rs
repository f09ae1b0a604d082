//! Taking an instance in: whether more is taken, its bytes, and the word that it is durable.

use std::io;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::entry::{Arrival, Header, Stored};
use super::floor::Admission;
use super::{Spool, SpoolError, StoreError, Writer, off_runtime, pending, store};

/// Why nothing is taken.
pub(super) const BELOW: &str = "the disk is below its hard floor";

impl Spool {
    /// Whether more is taken.
    #[must_use]
    pub fn admission(&self) -> Admission {
        if self.inner.recovery.safe_mode() {
            return Admission::Full;
        }
        match self.inner.disk.left() {
            Ok(left) => self.inner.config.disk.admission(left),
            Err(error) => {
                tracing::error!(%error, "the disk does not say how much is free");
                Admission::Full
            }
        }
    }

    /// Holds what is reserved for rows and audit until `cancel` fires: given back on a full disk, it is held again soon after there is
    /// room. A disk that refuses it is told of once.
    pub(super) async fn keep_reserve(&self, cancel: &CancellationToken) {
        let mut failing = false;
        while !cancel.is_cancelled() {
            let held = self.hold_reserve().await;
            if let (Err(error), false) = (&held, failing) {
                tracing::warn!(%error, "no room is held for rows and audit; tried again");
            }
            failing = held.is_err();
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    /// Holds what is reserved for rows and audit, where there is room for it beside the hard floor.
    pub(super) async fn hold_reserve(&self) -> io::Result<()> {
        let Some(reserve) = self.inner.rows.reserve().cloned() else {
            return Ok(());
        };
        let spare = self.inner.config.disk.hard_floor_bytes;
        let held = off_runtime(move || reserve.hold(spare)).await;
        held.unwrap_or(Ok(false)).map(drop)
    }

    /// Begins an instance.
    ///
    /// # Errors
    /// When nothing is taken now.
    pub async fn begin(&self, arrival: Arrival) -> Result<Writer, StoreError> {
        if self.inner.recovery.safe_mode() {
            return Err(StoreError::Full(
                "bytes that were promised are missing: safe mode",
            ));
        }
        if self.admission() == Admission::Full {
            return Err(StoreError::Full(BELOW));
        }
        if self.inner.pending.is_behind() {
            pending::settle(self).await?;
        }
        let bounds = self.inner.config.disk.clone();
        // what leaves as it was received needs its digest at once
        let hashed = !self.inner.config.agreement.identified.is_empty();
        let (disk, pressure) = (self.inner.disk.clone(), self.inner.pressure.clone());
        Ok(Writer::new(disk, pressure, arrival, bounds, hashed))
    }

    /// Makes an instance durable and says what became of it. Only after this returns may success be answered.
    ///
    /// # Errors
    /// When the disk or the rows refuse; nothing of the instance is then kept.
    pub async fn commit(&self, writer: Writer, header: Header) -> Result<Stored, StoreError> {
        match store::receive(self, writer, header).await? {
            store::Received::Entered(stored) => Ok(stored),
            store::Received::Queued(entered) => {
                pending::settle(self).await?;
                match entered.await {
                    Ok(stored) => Ok(stored),
                    Err(_) => Err(SpoolError::Ending.into()),
                }
            }
        }
    }

    /// Makes an instance durable, as [`Self::commit`] does, and leaves it to be found out what became of it: success may be answered,
    /// and its rows are written with those of whatever comes meanwhile.
    ///
    /// # Errors
    /// When the disk or the rows refuse; nothing of the instance is then kept.
    pub async fn receive(&self, writer: Writer, header: Header) -> Result<(), StoreError> {
        store::receive(self, writer, header).await.map(drop)
    }

    /// Writes the rows of everything that was acknowledged by now. Otherwise they follow by themselves while [`Self::run`] does.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn settle(&self) -> Result<(), SpoolError> {
        pending::settle(self).await
    }
}
