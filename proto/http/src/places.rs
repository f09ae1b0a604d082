//! Who is connected: a place for each, given to the next when its holder asks nothing or keeps us waiting, and taken when he lets time run.
//!
//! An address may hold more than its share while there are places. When there are none, what it holds beyond its share is lent: it
//! goes to whoever comes from an address that has its share not yet, and it comes back from those who are silent first.

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

    fn share_is_full(&self, from: IpAddr, share: usize) -> bool {
        self.of.get(&from).is_some_and(|held| *held >= share)
    }

    /// Ends a connection for a newcomer from this address; says whether there was one. Of those who hold more than their share, who
    /// waits for longest, or else the first that came; then, of all others, who waits for longest. Whoever has his share already takes
    /// only from those who have more than theirs, and from his own address, and nobody who is being answered.
    fn give_way(&mut self, newcomer: IpAddr, share: usize) -> bool {
        let greedy = self.share_is_full(newcomer, share);
        let rank = |one: &Arc<Connection>| {
            let lent = self.of.get(&one.from).is_some_and(|held| *held > share);
            let waits = one.standing().waits();
            let may = match (greedy, lent, waits.is_some()) {
                (_, true, true) | (false, true, false) | (false, false, true) => true,
                (true, false, true) => one.from == newcomer,
                (_, false, false) | (true, true, false) => false,
            };
            // `None` would be less than any time: who is being answered comes last
            may.then(|| (!lent, waits.is_none(), waits, one.number))
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
        let from = neighbourhood(address);
        let mut taken = self.taken();
        let share = self.bounds.max_connections_per_address;
        let room =
            taken.connections.len() < self.bounds.max_connections || taken.give_way(from, share);
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

    /// How many keep each of their answers waiting.
    #[cfg(test)]
    pub(crate) fn slow(&self) -> usize {
        let taken = self.taken();
        let slow = |one: &&Arc<Connection>| matches!(one.standing().waits(), Some(Waits::Slow(_)));
        taken.connections.values().filter(slow).count()
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
    /// What is being answered.
    answers: HashMap<u64, Turn>,
    /// Since when the socket takes nothing.
    full: Option<Instant>,
    last: u64,
}

/// On whom an answer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// On us.
    Ours,
    /// On the rest of the request's body, which was first asked for at that time.
    Body(Instant),
    /// On the peer, who has had a piece since then and has not asked for the next.
    Taking(Instant),
}

/// In whose order places are taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waits {
    /// Who never asked anything, since he came.
    Silent(Instant),
    /// Who asks nothing any more.
    Idle(Instant),
    /// Who keeps each of his answers waiting.
    Slow(Instant),
}

impl Standing {
    /// None while something is being answered that waits on us.
    fn waits(&self) -> Option<Waits> {
        if self.answers.is_empty() {
            return Some(match self.asked {
                true => Waits::Idle(self.since),
                false => Waits::Silent(self.since),
            });
        }
        let mut latest = None;
        for turn in self.answers.values() {
            match turn {
                Turn::Ours => return None,
                Turn::Body(since) | Turn::Taking(since) => latest = latest.max(Some(*since)),
            }
        }
        latest.map(Waits::Slow)
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
        let stuck = |turn: &Turn| matches!(turn, Turn::Taking(since) if untaken(since));
        (self.answers.is_empty() && over(self.since, silent))
            || (!self.answers.is_empty() && self.answers.values().all(stuck))
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

    fn turn(&self, answer: u64, turn: Turn) {
        if let Some(mine) = self.standing().answers.get_mut(&answer) {
            *mine = turn;
        }
    }

    /// A request's head is complete.
    pub(crate) fn begin(self: &Arc<Self>) -> Answering {
        let mut standing = self.standing();
        standing.asked = true;
        standing.last += 1;
        let number = standing.last;
        standing.answers.insert(number, Turn::Ours);
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
        let mut standing = self.connection.standing();
        standing.answers.remove(&self.number);
        if standing.answers.is_empty() {
            standing.since = Instant::now();
        }
    }
}
