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

use super::Config;
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
    tunnels: Arc<StdMutex<BTreeMap<SocketAddr, (SiteId, SocketAddr)>>>,
}

/// One tunnel, for as long as it is kept: what comes from `own` came from elsewhere.
#[derive(Debug)]
pub(super) struct Carried {
    sites: Sites,
    own: SocketAddr,
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.sites.tunnels().remove(&self.own);
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

    fn tunnels(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, (SiteId, SocketAddr)>> {
        self.tunnels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more tunnel of a site, which reaches the link from `own` and comes from `from`; none when it has `most` already.
    pub(super) fn carried(
        &self,
        site: &SiteId,
        own: SocketAddr,
        from: SocketAddr,
        most: u32,
    ) -> Option<Carried> {
        let mut tunnels = self.tunnels();
        let count = tunnels.values().filter(|(of, _)| of == site).count();
        if count >= usize::try_from(most).unwrap_or(usize::MAX) {
            return None;
        }
        let own = canonical(own);
        tunnels.insert(own, (site.clone(), from));
        Some(Carried {
            sites: self.clone(),
            own,
        })
    }

    /// Where what reaches the link from `own` came from, if through a tunnel.
    pub(super) fn behind(&self, own: SocketAddr) -> Option<SocketAddr> {
        self.tunnels().get(&canonical(own)).map(|(_, from)| *from)
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
        directory::session_admitted(&parts.rows, &parts.clock, &site, &known, remark)
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
