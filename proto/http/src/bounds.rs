//! The bounds that a configuration may set, and those that are the same everywhere.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;

/// A head's fields, names and values together, in bytes.
pub(crate) const LONGEST_HEAD: usize = 32 << 10;
/// How many fields a head has.
pub(crate) const MOST_FIELDS: usize = 100;
/// What stands between method and version, in bytes.
pub(crate) const LONGEST_TARGET: usize = 8 << 10;
/// Requests of one HTTP/2 connection that are answered at the same time.
pub(crate) const STREAMS: u32 = 64;
/// An answer is handed over in pieces of at most so many bytes: whoever takes one after the other is slow, and not gone.
pub(crate) const PIECE: usize = 64 << 10;
/// HTTP/2: what one request may have on the way to us before it is read, in bytes.
pub(crate) const STREAM_WINDOW: u32 = 64 << 10;
/// HTTP/2: what all requests of a connection may have on the way to us before they are read, in bytes.
pub(crate) const CONNECTION_WINDOW: u32 = 256 << 10;

/// Who may hold a place, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// Connections at the same time.
    pub max_connections: usize,
    /// The share of one address, of IPv6 of one /64, and four times that of a /48: what it holds beyond this goes to others when there are
    /// no more places. A proxy is one address.
    pub max_connections_per_address: usize,
    /// Within how many seconds a new connection has sent its first request's head.
    pub head_timeout_s: u64,
    /// How many seconds a connection is kept for its next request.
    pub idle_timeout_s: u64,
    /// Within how many seconds a request's body is there.
    pub body_timeout_s: u64,
    /// Within how many seconds a peer has taken the next 64 KiB of an answer.
    pub untaken_timeout_s: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_connections_per_address: 128,
            head_timeout_s: 10,
            idle_timeout_s: 60,
            body_timeout_s: 30,
            untaken_timeout_s: 60,
        }
    }
}

impl Bounds {
    /// Whether something can be served within these: no bound is 0.
    #[must_use]
    pub fn holds(&self) -> bool {
        let counts = [self.max_connections, self.max_connections_per_address];
        let times = [
            self.head_timeout_s,
            self.idle_timeout_s,
            self.body_timeout_s,
            self.untaken_timeout_s,
        ];
        !counts.contains(&0) && !times.contains(&0)
    }

    pub(crate) fn head(&self) -> Duration {
        Duration::from_secs(self.head_timeout_s)
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_s)
    }

    pub(crate) fn body(&self) -> Duration {
        Duration::from_secs(self.body_timeout_s)
    }

    pub(crate) fn untaken(&self) -> Duration {
        Duration::from_secs(self.untaken_timeout_s)
    }
}

/// Lets this process open as many files as it may at all, up to 65,536, and answers how many that are: what a service manager grants
/// unasked is often 1,024, fewer than there are places, and whoever takes the last takes it from the database.
pub fn raise_open_files() -> u64 {
    const ENOUGH: u64 = 65_536;
    let found = getrlimit(Resource::Nofile);
    let most = found.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if found.current.is_none_or(|now| now >= most) {
        return found.current.unwrap_or(ENOUGH);
    }
    let wanted = Rlimit {
        current: Some(most),
        maximum: found.maximum,
    };
    match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => most,
        Err(_) => found.current.unwrap_or(most),
    }
}
