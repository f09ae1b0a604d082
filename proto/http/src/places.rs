//! Who is connected: a place for each, given to the next when its holder asks nothing, and taken when he lets time run.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bounds::Bounds;

/// How often it is looked whose time is over.
const LOOK: Duration = Duration::from_millis(500);
/// How often the log says who had to go.
const TELL: Duration = Duration::from_secs(60);

/// All places of one listener.
#[derive(Debug)]
pub(crate) struct Places {
    bounds: Bounds,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    connections: HashMap<u64, Arc<Connection>>,
    of: HashMap<IpAddr, usize>,
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
        if let Some(count) = self.of.get_mut(&gone.from) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of.remove(&gone.from);
            }
        }
        Some(gone)
    }

    /// Ends the connection that has been asking nothing for longest, of this address or of any; says whether there was one.
    fn give_way(&mut self, from: Option<IpAddr>) -> bool {
        let longest = self
            .connections
            .values()
            .filter(|one| from.is_none_or(|from| one.from == from))
            .filter_map(|one| one.standing().waits().map(|since| (since, one.number)))
            .min();
        let Some(gone) = longest.and_then(|(_, number)| self.free(number)) else {
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

    /// A place for a new connection; none when everybody else is being answered.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let from = neighbourhood(address);
        let mut taken = self.taken();
        let held = taken.of.get(&from).copied().unwrap_or_default();
        let room = if held >= self.bounds.max_connections_per_address {
            taken.give_way(Some(from))
        } else {
            taken.connections.len() < self.bounds.max_connections || taken.give_way(None)
        };
        if !room {
            taken.told.turned_away = taken.told.turned_away.saturating_add(1);
            return None;
        }
        taken.last += 1;
        let connection = Arc::new(Connection::new(taken.last, from));
        taken
            .connections
            .insert(connection.number, Arc::clone(&connection));
        *taken.of.entry(from).or_default() += 1;
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
}

/// Those who share an address: of IPv6 the /64 that one subscriber has.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(long) => IpAddr::V6(Ipv6Addr::from_bits(long.to_bits() >> 64 << 64)),
        short => short,
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
    from: IpAddr,
    /// Cancelled when the place is taken away.
    pub(crate) end: CancellationToken,
    standing: Mutex<Standing>,
}

/// What a connection is about.
#[derive(Debug)]
struct Standing {
    /// Since when nothing is asked.
    since: Instant,
    /// Whether anything was ever asked.
    asked: bool,
    /// What is being answered, and since when its next piece is not taken; none while the next piece is awaited from us.
    answers: HashMap<u64, Option<Instant>>,
    /// Since when the socket takes nothing.
    full: Option<Instant>,
    last: u64,
}

impl Standing {
    /// In whose order places are taken away: who never asked anything first, then by time. None while something is answered.
    fn waits(&self) -> Option<(bool, Instant)> {
        self.answers.is_empty().then_some((self.asked, self.since))
    }

    fn overdue(&self, now: Instant, bounds: &Bounds) -> bool {
        let over = |since: Instant, limit| now.saturating_duration_since(since) > limit;
        let silent = if self.asked {
            bounds.idle()
        } else {
            bounds.head()
        };
        // one answer that nobody takes ends no others on the connection; a socket that takes nothing ends them all
        let untaken = |since: &Instant| over(*since, bounds.untaken());
        let mut answers = self.answers.values();
        (self.answers.is_empty() && over(self.since, silent))
            || (!self.answers.is_empty()
                && answers.all(|since| since.as_ref().is_some_and(untaken)))
            || self.full.iter().any(untaken)
    }
}

impl Connection {
    fn new(number: u64, from: IpAddr) -> Self {
        Self {
            number,
            from,
            end: CancellationToken::new(),
            standing: Mutex::new(Standing {
                since: Instant::now(),
                asked: false,
                answers: HashMap::new(),
                full: None,
                last: 0,
            }),
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The socket took something, or takes nothing at the moment.
    pub(crate) fn wrote(&self, taken: bool) {
        let mut standing = self.standing();
        if taken {
            standing.full = None;
            // the rest of the last answer is still under way
            if standing.asked && standing.answers.is_empty() {
                standing.since = Instant::now();
            }
        } else {
            standing.full.get_or_insert_with(Instant::now);
        }
    }

    /// A request's head is complete.
    pub(crate) fn begin(self: &Arc<Self>) -> Answering {
        let mut standing = self.standing();
        standing.asked = true;
        standing.last += 1;
        let number = standing.last;
        standing.answers.insert(number, None);
        Answering {
            connection: Arc::clone(self),
            number,
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
        let since = piece.then(Instant::now);
        let mut standing = self.connection.standing();
        if let Some(mine) = standing.answers.get_mut(&self.number) {
            *mine = since;
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut standing = self.connection.standing();
        standing.answers.remove(&self.number);
        if standing.answers.is_empty() {
            standing.since = Instant::now();
        }
    }
}
