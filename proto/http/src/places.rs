//! Who is connected: a place for each, given to the next when its holder asks nothing or keeps us waiting, and taken when he lets time run.
//!
//! An address may hold more than its share while there are places. When there are none, what it holds beyond its share is lent: it
//! goes to whoever comes from an address that has its share not yet, and it comes back from those who are silent first. Who never asked
//! anything has no share to speak of: after two seconds his place is anybody's.

mod standing;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bounds::Bounds;
use crate::near::Near;

use standing::{Standing, Turn, Waits};

/// How often it is looked whose time is over.
const LOOK: Duration = Duration::from_millis(500);
/// How often the log says who had to go.
const TELL: Duration = Duration::from_secs(60);
/// For so long nobody is expected to ask.
const PATIENCE: Duration = Duration::from_secs(2);

/// All places of one listener.
#[derive(Debug)]
pub(crate) struct Places {
    bounds: Bounds,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    connections: HashMap<u64, Arc<Connection>>,
    of: HashMap<Near, usize>,
    last: u64,
    told: Told,
}

/// What happened since the log last said so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Closed at once: everybody else was being answered.
    pub(crate) turned_away: u64,
    /// Closed for a newcomer.
    pub(crate) gave_way: u64,
    /// Closed when their time was over.
    pub(crate) overdue: u64,
}

impl Taken {
    fn free(&mut self, number: u64) -> Option<Arc<Connection>> {
        let gone = self.connections.remove(&number)?;
        for near in &gone.from {
            if let Some(count) = self.of.get_mut(near) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.of.remove(near);
                }
            }
        }
        Some(gone)
    }

    fn held(&self, near: &Near) -> usize {
        self.of.get(near).copied().unwrap_or_default()
    }

    /// In whose order it comes back when it is lent: first what is beyond the share of the nearest, then of them who have the most.
    fn lent(&self, one: &Connection, share: impl Fn(&Near) -> usize) -> Option<Reverse<usize>> {
        let (nearest, rest) = one.from.split_first()?;
        let held = self.held(nearest);
        match held > share(nearest) {
            true => Some(Reverse(usize::MAX)),
            false => {
                let lent = rest.iter().any(|near| self.held(near) > share(near));
                lent.then_some(Reverse(held))
            }
        }
    }

    /// Ends a connection for a newcomer; says whether there was one. In this order, and of each who waits for longest: who holds more
    /// than his share and waits; who never asked and had the time to; who holds more than his share, in the order in which they came; who
    /// else waits and had the time not to; who else waits. A newcomer who has his share already takes from nobody who is being answered, and of the last only from his own
    /// address, and then from whoever has asked nothing for a while. Where only a range that neighbours share holds too much, those go
    /// first who hold the most of it.
    fn give_way(&mut self, newcomer: &[Near], share: usize, now: Instant) -> bool {
        let share = |near: &Near| share.saturating_mul(usize::from(near.times()));
        let full = newcomer.iter().find(|near| self.held(near) >= share(near));
        let long = |since: Instant| now.saturating_duration_since(since) > PATIENCE;
        let rank = |one: &Arc<Connection>| {
            let lent = self.lent(one, share);
            let may = full.is_none_or(|full| one.from.contains(full));
            let waits = one.standing().waits();
            let order = match (lent, waits) {
                (Some(_), Some(_)) => 0,
                (None, Some(Waits::Silent(since))) if long(since) => 1,
                (Some(_), None) if full.is_none() => 2,
                (None, Some(waits)) if may && long(waits.since()) => 3,
                (None, Some(_)) if may => 4,
                (None, Some(Waits::Idle(since))) if long(since) => 5,
                _ => return None,
            };
            let kind = if order == 3 { None } else { waits };
            Some((order, lent, kind, waits.map(Waits::since), one.number))
        };
        let longest = self.connections.values().filter_map(rank).min();
        let Some(gone) = longest.and_then(|(.., number)| self.free(number)) else {
            return false;
        };
        self.told.gave_way = self.told.gave_way.saturating_add(1);
        gone.end.cancel();
        true
    }
}

impl Places {
    pub(crate) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            taken: Mutex::default(),
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection; none when everybody else is being answered and nobody has more than his share.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        self.take_at(address, Instant::now())
    }

    fn take_at(self: &Arc<Self>, address: IpAddr, now: Instant) -> Option<Place> {
        let from = Near::of(address);
        let mut taken = self.taken();
        let share = self.bounds.max_connections_per_address;
        let room = taken.connections.len() < self.bounds.max_connections
            || taken.give_way(&from, share, now);
        if !room {
            taken.told.turned_away = taken.told.turned_away.saturating_add(1);
            return None;
        }
        taken.last += 1;
        for near in &from {
            *taken.of.entry(*near).or_default() += 1;
        }
        let connection = Arc::new(Connection::new(taken.last, from));
        taken
            .connections
            .insert(connection.number, Arc::clone(&connection));
        Some(Place {
            places: Arc::clone(self),
            connection,
        })
    }

    /// Ends those whose time is over, again and again.
    pub(crate) async fn watch(&self) {
        let mut said = Instant::now();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = Instant::now();
            let mut taken = self.taken();
            let over: Vec<u64> = taken
                .connections
                .values()
                .filter(|one| one.standing().overdue(now, &self.bounds))
                .map(|one| one.number)
                .collect();
            for number in over {
                if let Some(gone) = taken.free(number) {
                    gone.end.cancel();
                    taken.told.overdue = taken.told.overdue.saturating_add(1);
                }
            }
            if now.duration_since(said) < TELL {
                continue;
            }
            said = now;
            let told = std::mem::take(&mut taken.told);
            let held = taken.connections.len();
            drop(taken);
            if told.turned_away > 0 || told.gave_way > 0 {
                tracing::warn!(
                    held,
                    turned_away = told.turned_away,
                    gave_way = told.gave_way,
                    overdue = told.overdue,
                    "there are more connections than places"
                );
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.taken().connections.len()
    }

    /// How many keep each of their answers waiting.
    #[cfg(test)]
    pub(crate) fn slow(&self) -> usize {
        let taken = self.taken();
        let slow = |one: &&Arc<Connection>| matches!(one.standing().waits(), Some(Waits::Slow(_)));
        taken.connections.values().filter(slow).count()
    }
}

/// A place, held for as long as this is not dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    pub(crate) connection: Arc<Connection>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().free(self.connection.number);
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    number: u64,
    from: Vec<Near>,
    /// Cancelled when the place is taken away.
    pub(crate) end: CancellationToken,
    standing: Mutex<Standing>,
}

impl Connection {
    fn new(number: u64, from: Vec<Near>) -> Self {
        Self {
            number,
            from,
            end: CancellationToken::new(),
            standing: Mutex::new(Standing::new(Instant::now())),
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The socket took something, or takes nothing at the moment.
    pub(crate) fn wrote(&self, taken: bool) {
        self.standing().wrote(taken, Instant::now());
    }

    /// The socket took all that there was to say.
    pub(crate) fn flushed(&self) {
        self.standing().flushed();
    }

    fn turn(&self, answer: u64, turn: Turn) {
        self.standing().turn(answer, turn);
    }

    /// A request's head is complete.
    pub(crate) fn begin(self: &Arc<Self>) -> Answering {
        Answering {
            connection: Arc::clone(self),
            number: self.standing().begin(),
        }
    }
}

/// A request that is being answered until this is dropped.
#[derive(Debug)]
pub(crate) struct Answering {
    connection: Arc<Connection>,
    number: u64,
}

impl Answering {
    /// A piece of the answer was handed over: now it is the peer's turn, until he asks for the next.
    pub(crate) fn handed_over(&self, piece: bool) {
        let turn = match piece {
            true => Turn::Taking(Instant::now()),
            false => Turn::Ours,
        };
        self.connection.turn(self.number, turn);
    }

    /// For the body of this request.
    pub(crate) fn asking(&self) -> Asking {
        Asking {
            connection: Arc::clone(&self.connection),
            number: self.number,
        }
    }
}

/// Says of a request that is being answered whether the rest of its body is awaited. From the first time on, however often a piece
/// comes: a trickle is slow too.
#[derive(Debug)]
pub(crate) struct Asking {
    connection: Arc<Connection>,
    number: u64,
}

impl Asking {
    /// The rest is awaited since then, or is not awaited at the moment.
    pub(crate) fn awaits(&self, since: Option<Instant>) {
        let turn = since.map_or(Turn::Ours, Turn::Body);
        self.connection.turn(self.number, turn);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.connection.standing().end(self.number, Instant::now());
    }
}

#[cfg(test)]
mod tests;
