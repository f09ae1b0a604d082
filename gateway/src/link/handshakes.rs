//! Whose places the connections take: who has shown no certificate yet does not take those of everybody else, nor does a site.
//!
//! | from | may have under way |
//! |---|---|
//! | an address from which a site came lately, or a tunnel | its own bound |
//! | any other address that is proved | half of all places together, less what is kept for sites that are away; one of them half of what is left, beyond a quarter of all places an eighth and its own bound |
//! | an address that is not proved | its own bound, an eighth of all places together; beyond that a proof is asked for |
//!
//! A handshake is under way until the directory knows its site. Then the connection is the site's, which has no more than its bound. One that
//! fails is under way until quinn has forgotten its connection, as one that was closed is the site's, for as long as that has its place:
//! three times the timeout that the peer himself suggests, a minute and more.
//!
//! From where the sites came is in their rows, for a restart to know them again among strangers.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant as At;

use causeway_http::Near;
use causeway_proto::ids::SiteId;
use quinn::{
    AsyncTimer, AsyncUdpSocket, Connecting, ConnectionError, Incoming, Runtime, TokioRuntime,
};

/// So many addresses of one site are remembered: it may have two lines.
const HOMES: usize = 2;

/// Who begins a handshake.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// Whoever has an address that he has proved to be his (RFC 9000, 8.1).
    Proved(IpAddr),
    /// Whoever writes an address that may be anybody's.
    Claimed(IpAddr),
    /// A site, through its tunnel.
    Tunnel(SiteId),
}

/// Who is counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Whose {
    Proved(Near),
    Claimed(Near),
    Tunnel(SiteId),
    /// All whose address is proved and from where no site came.
    Strangers,
    /// All whose address is not proved.
    Claimants,
}

impl Origin {
    /// Whose it is, and how many times the bound of one address each of them has.
    fn whose(&self) -> Vec<(Whose, u32)> {
        let near = |address: &IpAddr, whose: fn(Near) -> Whose| -> Vec<_> {
            let all = Near::of(*address).into_iter();
            all.map(|near| (whose(near), u32::from(near.times())))
                .collect()
        };
        match self {
            Self::Proved(address) => near(address, Whose::Proved),
            Self::Claimed(address) => near(address, Whose::Claimed),
            Self::Tunnel(site) => vec![(Whose::Tunnel(site.clone()), 1)],
        }
    }

    /// Where a site is that comes from there.
    fn home(&self) -> Option<Near> {
        match self {
            Self::Proved(address) | Self::Claimed(address) => Near::of(*address).into_iter().next(),
            Self::Tunnel(_) => None,
        }
    }
}

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    /// Connections at one time.
    pub(super) all: u32,
    /// Handshakes of one address, and connections of one site.
    pub(super) of_one: u32,
}

impl Most {
    fn strangers(self) -> u32 {
        (self.all / 2).max(1)
    }

    fn claimants(self) -> u32 {
        (self.all / 8).max(1)
    }
}

/// What is known of a site that has come before.
#[derive(Debug, Default)]
struct Site {
    connections: u32,
    /// From where it came, the latest last.
    homes: VecDeque<Near>,
}

#[derive(Debug, Default)]
struct All {
    under_way: HashMap<Whose, u32>,
    sites: HashMap<SiteId, Site>,
}

impl All {
    fn held(&self, whose: &Whose) -> u32 {
        self.under_way.get(whose).copied().unwrap_or_default()
    }

    fn is_home(&self, near: Option<Near>) -> bool {
        let here = |near| self.sites.values().any(|site| site.homes.contains(&near));
        near.is_some_and(here)
    }

    /// What is left for all strangers while so many connections are open: places for sites that are away are kept, a quarter of all at the most.
    fn left(&self, most: Most, open: usize) -> u32 {
        let away = self.sites.values().filter(|site| site.connections == 0);
        let kept = number(away.count()).min(most.all / 4);
        let places = most.all.saturating_sub(number(open)).saturating_sub(kept);
        let strangers = most
            .strangers()
            .saturating_sub(self.held(&Whose::Strangers));
        strangers.min(places)
    }

    /// Whether a stranger may have one more. Whoever comes first leaves something to all who come after him.
    fn has_room(&self, near: &[(Whose, u32)], most: Most, open: usize) -> bool {
        let left = self.left(most, open);
        let scarce = self.held(&Whose::Strangers) >= most.strangers().div_ceil(2);
        near.iter().all(|(one, times)| {
            let share = match scarce {
                true => left.div_ceil(8).min(most.of_one),
                false => left.div_ceil(2).saturating_mul(*times),
            };
            self.held(one) < share
        })
    }

    fn give_back(&mut self, counted: &mut Counted) {
        match std::mem::take(counted) {
            Counted::UnderWay(whose) => {
                for one in whose {
                    if let Some(held) = self.under_way.get_mut(&one) {
                        *held = held.saturating_sub(1);
                        if *held == 0 {
                            self.under_way.remove(&one);
                        }
                    }
                }
            }
            Counted::Of(site) => {
                if let Some(site) = self.sites.get_mut(&site) {
                    site.connections = site.connections.saturating_sub(1);
                }
            }
            Counted::Nowhere => {}
        }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// All that have a place. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Handshakes {
    most: Most,
    all: Arc<Mutex<All>>,
}

/// Where a connection is counted.
#[derive(Debug, Default)]
enum Counted {
    UnderWay(Vec<Whose>),
    Of(SiteId),
    #[default]
    Nowhere,
}

/// One connection, from its handshake on until this is dropped.
#[derive(Debug)]
pub(super) struct Handshake {
    handshakes: Handshakes,
    home: Option<Near>,
    counted: Mutex<Counted>,
}

impl Handshakes {
    pub(super) fn new(most: Most) -> Self {
        Self {
            most,
            all: Arc::default(),
        }
    }

    /// A site came from these addresses before the start.
    pub(super) fn remember(&self, site: SiteId, came_from: &str) {
        let addresses = came_from.split_whitespace().flat_map(str::parse);
        let homes = addresses.filter_map(|address| Near::of(address).into_iter().next());
        let known = Site {
            connections: 0,
            homes: homes.take(HOMES).collect(),
        };
        self.all().sites.insert(site, known);
    }

    /// One more while so many connections are open, unless one of those whose it is has so many already.
    pub(super) fn begin(&self, from: &Origin, open: usize) -> Option<Arc<Handshake>> {
        let (near, home, most) = (from.whose(), from.home(), self.most);
        let mut all = self.all();
        let own = near
            .iter()
            .all(|(one, times)| all.held(one) < most.of_one.saturating_mul(*times));
        let among = match from {
            Origin::Tunnel(_) if own => None,
            Origin::Proved(_) if own && all.is_home(home) => None,
            Origin::Proved(_) if all.has_room(&near, most, open) => Some(Whose::Strangers),
            Origin::Claimed(_)
                if own
                    && all.left(most, open) > 0
                    && all.held(&Whose::Claimants) < most.claimants() =>
            {
                Some(Whose::Claimants)
            }
            _ => return None,
        };
        let whose: Vec<_> = near.into_iter().map(|(one, _)| one).chain(among).collect();
        for one in &whose {
            let held = all.under_way.entry(one.clone()).or_default();
            *held = held.saturating_add(1);
        }
        drop(all);
        Some(Arc::new(Handshake {
            handshakes: self.clone(),
            home,
            counted: Mutex::new(Counted::UnderWay(whose)),
        }))
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handshake {
    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory knows its site, whose connection it is from now on. False when the site has its own already: then it stays with its
    /// address.
    pub(super) fn is_of(&self, site: &SiteId) -> bool {
        let mut counted = self.counted();
        let mut all = self.handshakes.all();
        let known = all.sites.entry(site.clone()).or_default();
        if known.connections >= self.handshakes.most.of_one {
            return false;
        }
        known.connections += 1;
        all.give_back(&mut counted);
        *counted = Counted::Of(site.clone());
        true
    }

    /// A session of the site was admitted: it comes from here. Answers from where it came, as [`Handshakes::remember`] takes it.
    pub(super) fn came(&self, site: &SiteId) -> String {
        let mut all = self.handshakes.all();
        let known = all.sites.entry(site.clone()).or_default();
        if let Some(home) = self.home {
            known.homes.retain(|other| *other != home);
            known.homes.push_back(home);
            if known.homes.len() > HOMES {
                known.homes.pop_front();
            }
        }
        let homes = known.homes.iter();
        let homes: Vec<String> = homes.map(|home| home.first().to_string()).collect();
        homes.join(" ")
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut counted = self.counted();
        self.handshakes.all().give_back(&mut counted);
    }
}

tokio::task_local! {
    /// Of the connection that is being taken up.
    static TAKEN_UP: Arc<Handshake>;
}

/// Takes a connection up, which keeps its handshake for as long as quinn keeps the connection.
pub(super) fn take_up(
    incoming: Incoming,
    handshake: Arc<Handshake>,
) -> Result<Connecting, ConnectionError> {
    TAKEN_UP.sync_scope(handshake, || incoming.accept())
}

/// tokio for quinn, which says nothing when it forgets a connection; but what drives it ends then.
#[derive(Debug)]
pub(super) struct Keeping;

impl Runtime for Keeping {
    fn new_timer(&self, at: At) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        match TAKEN_UP.try_with(Arc::clone) {
            Ok(handshake) => TokioRuntime.spawn(Box::pin(async move {
                let _kept = handshake;
                future.await;
            })),
            // what drives the port itself
            Err(_) => TokioRuntime.spawn(future),
        }
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> At {
        TokioRuntime.now()
    }
}

#[cfg(test)]
mod tests;
