//! Who may come in: connections and associations are counted, in all and from each address, and what is too much is told so.
//!
//! Who has no association holds no place against others: he has not asked for one yet, or was refused and has not closed. When there is
//! none for a newcomer, one of those gives way: first who comes from where nobody may call, then whose address has the most of them, then
//! who has waited for longest. To one from where nobody may call only such a one gives way.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use causeway_http::Lines;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::config::Config;
use super::super::negotiate::Load;
use crate::commitment::Commitments;
use crate::spool::{Admission, Spool};

/// Connections beyond the associations: those that are still asking, or are being told that we are full.
pub(super) const WAITING_ROOM: usize = 32;
/// The same from one address: nobody fills the room alone.
pub(super) const WAITING_FROM_ONE: usize = 8;
/// How often it is said how many lines the log has not.
pub(super) const TELL: Duration = Lines::<About>::EVERY;
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
    lines: Lines<About>,
    counts: Mutex<Counts>,
    left: Notify,
}

/// What a line of the log is about. Who may call is hidden neither by those who may not nor by those who may under another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct About {
    kind: Kind,
    /// The first entry of those who may call that holds this address, from 0.
    calling: Option<usize>,
}

/// Why a line is written of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// There was no place, or another had more right to it.
    Crowded,
    /// What was asked for, or how, is not taken.
    Refused,
}

#[derive(Debug, Default)]
struct Counts {
    connections: usize,
    associations: usize,
    turned_away: usize,
    by_address: HashMap<IpAddr, Here>,
    waiting: HashMap<u64, Waiting>,
    last_number: u64,
}

/// A connection without an association.
#[derive(Debug)]
struct Waiting {
    address: IpAddr,
    /// Whether anybody may call from there.
    known: bool,
    /// Ends its waiting; says whether it may be told.
    end: oneshot::Sender<bool>,
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
    /// There is no place for it, and it is being told so.
    None,
    /// Not even that.
    Gone,
}

/// One connection is counted for as long as this lives; one association from [`Place::sit`] on.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) door: Arc<Door>,
    pub(super) address: IpAddr,
    pub(super) number: u64,
    seat: Seat,
    ended: Option<oneshot::Receiver<bool>>,
}

impl Counts {
    /// Ends the waiting of one connection, of this address or of any, for a newcomer who is `known` or not; says whether there was one.
    fn give_way(&mut self, of: Option<IpAddr>, known: bool) -> bool {
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for one in self.waiting.values() {
            *held.entry(one.address).or_default() += 1;
        }
        let rank = |(number, one): (&u64, &Waiting)| {
            let held = held.get(&one.address).copied().unwrap_or_default();
            (one.known, Reverse(held), *number)
        };
        let may = |(_, one): &(&u64, &Waiting)| {
            of.is_none_or(|of| of == one.address) && (known || !one.known)
        };
        let first = self.waiting.iter().filter(may).map(rank).min();
        let Some((.., number)) = first else {
            return false;
        };
        let Some(gone) = self.waiting.remove(&number) else {
            return false;
        };
        self.leave(gone.address, false);
        let told = self.turned_away < TURNED_AWAY;
        self.turned_away += usize::from(told);
        // an end that is not heard is one that has come by itself
        if gone.end.send(told).is_err() {
            self.turned_away -= usize::from(told);
        }
        true
    }

    /// One connection less, and one association where it was one.
    fn leave(&mut self, address: IpAddr, seated: bool) {
        let seated = usize::from(seated);
        self.connections = self.connections.saturating_sub(1);
        self.associations = self.associations.saturating_sub(seated);
        if let Some(here) = self.by_address.get_mut(&address) {
            here.connections = here.connections.saturating_sub(1);
            here.associations = here.associations.saturating_sub(seated);
            if here.connections == 0 {
                self.by_address.remove(&address);
            }
        }
    }
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
            lines: Lines::default(),
            counts: Mutex::default(),
            left: Notify::new(),
        }
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first entry of those who may call that holds this address.
    fn calling(&self, address: IpAddr) -> Option<usize> {
        let mut entries = self.config.calling.iter();
        entries.position(|one| one.addresses.iter().any(|origin| origin.holds(address)))
    }

    /// Whether the log may say this of one more, and how many lines were left out before.
    pub(super) fn may_tell(&self, kind: Kind, address: IpAddr) -> Option<u64> {
        let calling = self.calling(address);
        self.lines
            .more(About { kind, calling }, address, Instant::now())
    }

    /// Says how many lines were left out; to be asked each [`TELL`].
    pub(super) fn tell_the_rest(&self, now: Instant) {
        self.lines.rest(now);
    }

    /// None when there is not even room to say that there is none.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let config = &self.config;
        let known = self.calling(address).is_some();
        let mut counts = self.counts();
        let here = counts.by_address.get(&address).copied();
        let here = here.unwrap_or_default().connections;
        let room = if here >= config.max_associations_per_peer + WAITING_FROM_ONE {
            counts.give_way(Some(address), known)
        } else {
            counts.connections < config.max_associations + WAITING_ROOM
                || counts.give_way(None, known)
        };
        counts.last_number += 1;
        let number = counts.last_number;
        let mut place = Place {
            door: Arc::clone(self),
            address,
            number,
            seat: Seat::None,
            ended: None,
        };
        if room {
            let (end, ended) = oneshot::channel();
            let waiting = Waiting {
                address,
                known,
                end,
            };
            counts.connections += 1;
            counts.by_address.entry(address).or_default().connections += 1;
            counts.waiting.insert(number, waiting);
            (place.seat, place.ended) = (Seat::Waiting, Some(ended));
        } else if counts.turned_away < TURNED_AWAY {
            counts.turned_away += 1;
        } else {
            // nothing was counted for it
            place.seat = Seat::Gone;
            drop(counts);
            return None;
        }
        drop(counts);
        Some(place)
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
        if !counts.waiting.contains_key(&self.number) {
            return Load::AtLimit;
        }
        let all = counts.associations;
        let here = counts.by_address.entry(self.address).or_default();
        if all >= config.max_associations || here.associations >= config.max_associations_per_peer {
            return Load::AtLimit;
        }
        here.associations += 1;
        counts.associations += 1;
        counts.waiting.remove(&self.number);
        drop(counts);
        self.seat = Seat::Taken;
        Load::Free
    }

    /// Resolves when somebody else gets this place, and says whether there is room to tell so; never once it is taken.
    pub(super) async fn given_away(&mut self) -> bool {
        let told = match &mut self.ended {
            Some(ended) => ended.await,
            None => std::future::pending().await,
        };
        self.ended = None;
        let Ok(told) = told else {
            return std::future::pending().await;
        };
        self.seat = if told { Seat::None } else { Seat::Gone };
        told
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.door.counts();
        let left = match self.seat {
            Seat::Gone => return,
            Seat::None => true,
            Seat::Taken => false,
            Seat::Waiting if counts.waiting.remove(&self.number).is_some() => false,
            // it was given away before it heard so
            Seat::Waiting => match self.ended.as_mut().map(oneshot::Receiver::try_recv) {
                Some(Ok(true)) => true,
                _ => return,
            },
        };
        if left {
            counts.turned_away = counts.turned_away.saturating_sub(1);
            return;
        }
        counts.leave(self.address, self.seat == Seat::Taken);
        drop(counts);
        self.door.left.notify_waiters();
    }
}
