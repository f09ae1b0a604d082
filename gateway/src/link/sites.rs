//! Who is connected: one session of each site, by fencing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};

use causeway_proto::ids::SiteId;
use causeway_proto::link::close::Code;
use causeway_proto::link::message::HelloAgent;
use causeway_proto::link::session::{Farewell, Fence, Known, Verdict};
use causeway_proto::time::Timestamp;
use quinn::Connection;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::Config;
use super::handshakes::Handshake;
use crate::directory::{self, DirectoryError};
use crate::parts::Parts;

/// A site that is connected, for operators and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// The site.
    pub site: SiteId,
    /// Since when.
    pub since: Timestamp,
    /// From where.
    pub address: SocketAddr,
    /// Over TCP, because UDP does not pass.
    pub tunnelled: bool,
    /// The agent's program.
    pub software: String,
}

#[derive(Debug)]
struct Live {
    known: Known,
    connection: Connection,
    connected: Connected,
}

/// The live sessions. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    live: Arc<Mutex<BTreeMap<SiteId, Live>>>,
    greeting: Arc<StdMutex<BTreeMap<SiteId, u32>>>,
    tunnels: Arc<StdMutex<Tunnelled>>,
}

/// The tunnels, by their order.
#[derive(Debug, Default)]
struct Tunnelled {
    made: u64,
    open: BTreeMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    site: SiteId,
    /// The address from which it reaches the link.
    own: SocketAddr,
    from: SocketAddr,
    end: CancellationToken,
}

/// One tunnel, for as long as it is kept: what comes from its own address came from elsewhere.
#[derive(Debug)]
pub(super) struct Carried {
    sites: Sites,
    number: u64,
    end: CancellationToken,
}

impl Carried {
    /// Returns when newer ones of the site take its place.
    pub(super) async fn evicted(&self) {
        self.end.cancelled().await;
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.sites.tunnels().open.remove(&self.number);
    }
}

/// Counts one connection of a site that has not been admitted yet, for as long as it is kept.
#[derive(Debug)]
pub(super) struct Waiting {
    sites: Sites,
    site: SiteId,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut greeting = self.sites.greeting();
        if let Some(count) = greeting.get_mut(&self.site) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                greeting.remove(&self.site);
            }
        }
    }
}

/// Why a session was not admitted.
#[derive(Debug)]
pub(super) enum NotAdmitted {
    /// It is fenced.
    Fenced(Farewell),
    /// The directory refused.
    Directory(DirectoryError),
}

impl Sites {
    fn greeting(&self) -> MutexGuard<'_, BTreeMap<SiteId, u32>> {
        self.greeting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more connection of a site that wants to be admitted; none when `most` are waiting already.
    pub(super) fn waiting(&self, site: &SiteId, most: u32) -> Option<Waiting> {
        let mut greeting = self.greeting();
        let count = greeting.entry(site.clone()).or_insert(0);
        if *count >= most {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Waiting {
            sites: self.clone(),
            site: site.clone(),
        })
    }

    fn tunnels(&self) -> MutexGuard<'_, Tunnelled> {
        self.tunnels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more tunnel of a site, which reaches the link from `own` and comes from `from`. When it has `most` already the oldest is ended:
    /// its other end may be long gone, while whoever comes now is there.
    pub(super) fn carried(
        &self,
        site: &SiteId,
        own: SocketAddr,
        from: SocketAddr,
        most: u32,
    ) -> Carried {
        let mut tunnels = self.tunnels();
        let of_site = tunnels.open.iter().filter(|(_, open)| open.site == *site);
        let of_site: Vec<_> = of_site.map(|(number, _)| *number).collect();
        let before = usize::try_from(most.max(1) - 1).unwrap_or(usize::MAX);
        for number in of_site.iter().rev().skip(before) {
            if let Some(oldest) = tunnels.open.remove(number) {
                oldest.end.cancel();
            }
        }
        let (number, end) = (tunnels.made, CancellationToken::new());
        tunnels.made += 1;
        let open = Open {
            site: site.clone(),
            own: canonical(own),
            from,
            end: end.clone(),
        };
        tunnels.open.insert(number, open);
        Carried {
            sites: self.clone(),
            number,
            end,
        }
    }

    fn tunnel<T>(&self, own: SocketAddr, what: impl FnOnce(&Open) -> T) -> Option<T> {
        let (tunnels, own) = (self.tunnels(), canonical(own));
        let open = tunnels.open.values().rev().find(|open| open.own == own);
        open.map(what)
    }

    /// Where what reaches the link from `own` came from, if through a tunnel.
    pub(super) fn behind(&self, own: SocketAddr) -> Option<SocketAddr> {
        self.tunnel(own, |open| open.from)
    }

    /// The site through whose tunnel it came.
    pub(super) fn site_behind(&self, own: SocketAddr) -> Option<SiteId> {
        self.tunnel(own, |open| open.site.clone())
    }

    /// Who is connected now.
    pub async fn connected(&self) -> Vec<Connected> {
        let live = self.live.lock().await;
        live.values().map(|live| live.connected.clone()).collect()
    }

    /// Admits a session if it is not fenced: durably counted, and the session before it closed with DUPLICATE_SITE.
    pub(super) async fn admit(
        &self,
        parts: &Parts,
        config: &Config,
        connected: Connected,
        handshake: &Handshake,
        half: &HelloAgent,
        connection: &Connection,
    ) -> Result<(), NotAdmitted> {
        let mut live = self.live.lock().await;
        let site = connected.site.clone();
        let newest = directory::newest_session(&parts.rows, &site)
            .await
            .map_err(NotAdmitted::Directory)?;
        let fence = Fence {
            live: live.get(&site).map(|live| live.known.clone()),
            newest,
        };
        let remark = match fence.judge(half) {
            Verdict::Admitted { remark } => remark,
            Verdict::Refused(farewell) => return Err(NotAdmitted::Fenced(farewell)),
        };
        let known = Known {
            spool: half.spool.clone(),
            session: half.session,
        };
        let came_from = handshake.came(&site);
        directory::session_admitted(&parts.rows, &parts.clock, &site, &known, &came_from, remark)
            .await
            .map_err(NotAdmitted::Directory)?;
        if let Some(remark) = remark {
            tracing::warn!(%site, remark, "a site has connected");
        }
        let next = Live {
            known,
            connection: connection.clone(),
            connected,
        };
        if let Some(before) = live.insert(site.clone(), next) {
            tracing::info!(%site, "a newer session of the site takes the place of the one before");
            close(&before.connection, &Farewell::from(Code::DuplicateSite));
        }
        share(config, &live);
        Ok(())
    }

    /// Forgets a session that has ended, unless a newer one has taken its place.
    pub(super) async fn ended(&self, config: &Config, site: &SiteId, connection: &Connection) {
        let mut live = self.live.lock().await;
        let same = |live: &Live| live.connection.stable_id() == connection.stable_id();
        if live.get(site).is_some_and(same) {
            live.remove(site);
            share(config, &live);
        }
    }
}

/// The same address, whether it was seen on a socket of one kind or of both.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Gives each connection its share of the windows: less when one joins, more when one has ended.
fn share(config: &Config, live: &BTreeMap<SiteId, Live>) {
    let window = config.share(live.len());
    for live in live.values() {
        live.connection.set_receive_window(window);
    }
}

/// Ends a connection with its code and sentence.
pub(super) fn close(connection: &Connection, farewell: &Farewell) {
    let code = quinn::VarInt::from_u32(farewell.code.number());
    connection.close(code, farewell.sentence.as_bytes());
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_site_that_comes_once_more_takes_the_place_of_its_oldest_tunnel() {
        let sites = Sites::default();
        let (north, south): (SiteId, SiteId) = ("north".parse().unwrap(), "south".parse().unwrap());
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let other = sites.carried(&south, at(9), at(109), 2);
        let first = sites.carried(&north, at(1), at(101), 2);
        let second = sites.carried(&north, at(2), at(102), 2);
        assert!(first.evicted().now_or_never().is_none());
        // the system may give the address of one that is ended to the next
        let third = sites.carried(&north, at(1), at(103), 2);
        assert!(first.evicted().now_or_never().is_some());
        drop(first);
        assert_eq!(sites.behind(at(1)), Some(at(103)));
        assert_eq!(sites.behind(at(2)), Some(at(102)));
        assert_eq!(sites.site_behind(at(9)), Some(south));
        for open in [&other, &second, &third] {
            assert!(open.evicted().now_or_never().is_none());
        }
        drop((second, third));
        assert_eq!(sites.behind(at(1)), None);
        assert_eq!(sites.behind(at(9)), Some(at(109)));
    }
}
