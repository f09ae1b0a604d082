//! Who may come in: connections and associations are counted, in all and from each address, and what is too much is told so.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::config::Config;
use super::super::negotiate::Load;
use crate::commitment::Commitments;
use crate::spool::{Admission, Spool};

/// Connections beyond the associations: those that are still asking, or are being told that we are full.
const WAITING_ROOM: usize = 32;
/// The same from one address: nobody fills the room alone.
pub(super) const WAITING_FROM_ONE: usize = 8;
/// Connections for which there is no place, and which are being told so.
const TURNED_AWAY: usize = 64;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) config: Config,
    pub(super) spool: Spool,
    pub(super) commitments: Commitments,
    pub(super) tracker: TaskTracker,
    pub(super) threads: Vec<Handle>,
    pub(super) cancel: CancellationToken,
    counts: Mutex<Counts>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    connections: usize,
    associations: usize,
    turned_away: usize,
    by_address: HashMap<IpAddr, Here>,
    last_number: u64,
}

/// What one address has.
#[derive(Clone, Copy, Debug, Default)]
struct Here {
    connections: usize,
    associations: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seat {
    /// It has not asked yet, or is not taken.
    Waiting,
    /// An association.
    Taken,
    /// There is no place for it.
    None,
}

/// One connection is counted for as long as this lives; one association from [`Place::sit`] on.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) door: Arc<Door>,
    pub(super) address: IpAddr,
    pub(super) number: u64,
    seat: Seat,
}

impl Door {
    pub(super) fn new(
        config: Config,
        (spool, commitments): (Spool, Commitments),
        tracker: TaskTracker,
        threads: Vec<Handle>,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            config,
            spool,
            commitments,
            tracker,
            threads,
            cancel,
            counts: Mutex::default(),
            left: Notify::new(),
        }
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None when there is not even room to say that there is none.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let config = &self.config;
        let mut counts = self.counts();
        let here = counts.by_address.get(&address).copied();
        let here = here.unwrap_or_default().connections;
        let seat = if counts.connections < config.max_associations + WAITING_ROOM
            && here < config.max_associations_per_peer + WAITING_FROM_ONE
        {
            counts.connections += 1;
            counts.by_address.entry(address).or_default().connections += 1;
            Seat::Waiting
        } else if counts.turned_away < TURNED_AWAY {
            counts.turned_away += 1;
            Seat::None
        } else {
            return None;
        };
        counts.last_number += 1;
        let number = counts.last_number;
        drop(counts);
        Some(Place {
            door: Arc::clone(self),
            address,
            number,
            seat,
        })
    }

    /// Until we are told to end and the last association has ended: whoever asks meanwhile is told to come again.
    pub(super) async fn drained(&self) {
        self.cancel.cancelled().await;
        loop {
            let left = self.left.notified();
            if self.counts().associations == 0 {
                return;
            }
            left.await;
        }
    }
}

impl Place {
    /// Whether there is no place for this connection, and all that is left is to say so.
    pub(super) fn is_none(&self) -> bool {
        self.seat == Seat::None
    }

    /// How busy we are for a request from this address; when free, the association is counted from now on.
    pub(super) fn sit(&mut self) -> Load {
        if self.door.cancel.is_cancelled() || self.door.spool.admission() == Admission::Congested {
            return Load::Congested;
        }
        let config = &self.door.config;
        let mut counts = self.door.counts();
        let all = counts.associations;
        let here = counts.by_address.entry(self.address).or_default();
        if all >= config.max_associations || here.associations >= config.max_associations_per_peer {
            return Load::AtLimit;
        }
        here.associations += 1;
        counts.associations += 1;
        drop(counts);
        self.seat = Seat::Taken;
        Load::Free
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.door.counts();
        if self.seat == Seat::None {
            counts.turned_away = counts.turned_away.saturating_sub(1);
            return;
        }
        counts.connections = counts.connections.saturating_sub(1);
        let seated = usize::from(self.seat == Seat::Taken);
        counts.associations = counts.associations.saturating_sub(seated);
        if let Some(here) = counts.by_address.get_mut(&self.address) {
            here.connections = here.connections.saturating_sub(1);
            here.associations = here.associations.saturating_sub(seated);
            if here.connections == 0 {
                counts.by_address.remove(&self.address);
            }
        }
        drop(counts);
        self.door.left.notify_waiters();
    }
}
