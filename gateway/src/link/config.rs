//! Where agents reach this gateway, and every bound of their connections.

use std::sync::Arc;
use std::time::Duration;

use causeway_line::pace::Terms;
use causeway_line::quic::Settings;
use quinn::{TransportConfig, VarInt};
use serde::Deserialize;

pub use causeway_line::quic::Congestion;

/// What a connection may be sent ahead before it has its share, in bytes; also the least share.
const FIRST_WINDOW: u32 = 512 << 10;

/// `[link]` of gateway.toml.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port of the link (UDP); port 0 takes a free one.
    pub listen: String,
    /// Address and port of enrolment and renewal (TCP), and with `tcp` of the link; without, listened on only while somebody may come.
    /// Port 0 takes a free one.
    pub enrolment_listen: String,
    /// Take the link over TCP too, for sites whose firewall holds back UDP.
    pub tcp: bool,
    /// The names and addresses under which agents dial this gateway; its certificate carries them.
    pub names: Vec<String>,
    /// Connections at one time, of all sites; more are answered BUSY or not at all.
    pub max_connections: u32,
    /// From so many connections on, a newcomer first proves its address (a QUIC Retry).
    pub retry_from_connections: u32,
    /// Handshakes of one address from which a site came lately, of IPv6 of one /64, and four times as many of a /48; of a site that
    /// comes over TCP as many, whoever shares its address; and connections of one site that were let in. Who failed or was closed counts
    /// until its connection is forgotten. All other addresses together have half of the connections, and when they have a quarter one of
    /// them has no more than this.
    pub max_handshakes_per_address: u32,
    /// Connections of one site that may be in their handshake at one time.
    pub max_greeting_per_site: u32,
    /// Instances that one agent may send at the same time.
    pub max_streams: u32,
    /// Bytes that one instance may be sent ahead of what was taken.
    pub stream_window_bytes: u32,
    /// Bytes that all streams of one connection together may be sent ahead, when there is room.
    pub receive_window_bytes: u32,
    /// Bytes that all connections together may be sent ahead: when so many are connected that it does not suffice, each has its share.
    pub window_budget_bytes: u32,
    /// Bytes of reports sent but not confirmed that are kept in memory.
    pub send_window_bytes: u32,
    /// How long a handshake, and then HELLO, may take, in seconds.
    pub greeting_timeout_s: u64,
    /// After how long without a sign of life a connection is lost, in seconds.
    pub idle_timeout_s: u32,
    /// How often to show life when there is nothing to say, in seconds.
    pub keep_alive_s: u32,
    /// After how long without a new byte an instance's stream is ended, in seconds; what came of it is kept.
    pub stalled_stream_s: u64,
    /// How often the site and the certificate of a live connection are looked up again, in seconds; at most 15.
    pub recheck_s: u64,
    /// How long a draining gateway waits for instances that are under way, in seconds.
    pub drain_s: u64,
    /// When agents are asked to come back after GOAWAY, in milliseconds.
    pub come_back_ms: u64,
    /// What decides how much is sent to an agent: `measured`, `cubic` or `bbr`.
    pub congestion: Congestion,
    /// The most that is sent to one agent, in Mbit/s; none: what the line carries. Only `measured` keeps to it.
    pub max_mbit_s: Option<u32>,
    /// Hand packets to the kernel in bulk; off for network cards that fail at it.
    pub segmentation_offload: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:8443".to_owned(),
            enrolment_listen: "0.0.0.0:8443".to_owned(),
            tcp: true,
            names: vec!["localhost".to_owned()],
            max_connections: 256,
            retry_from_connections: 128,
            max_handshakes_per_address: 16,
            max_greeting_per_site: 4,
            max_streams: 128,
            stream_window_bytes: 8 << 20,
            receive_window_bytes: 32 << 20,
            window_budget_bytes: 128 << 20,
            send_window_bytes: 8 << 20,
            greeting_timeout_s: 10,
            idle_timeout_s: 15,
            keep_alive_s: 5,
            stalled_stream_s: 60,
            recheck_s: 10,
            drain_s: 10,
            come_back_ms: 2000,
            congestion: Congestion::Measured,
            max_mbit_s: None,
            segmentation_offload: true,
        }
    }
}

impl Config {
    /// Whether anybody can come in within these: no count is 0.
    #[must_use]
    pub fn holds(&self) -> bool {
        let counts = [
            self.max_connections,
            self.max_handshakes_per_address,
            self.max_greeting_per_site,
            self.max_streams,
        ];
        !counts.contains(&0)
    }

    pub(super) fn greeting(&self) -> Duration {
        Duration::from_secs(self.greeting_timeout_s.max(1))
    }

    pub(super) fn stalled(&self) -> Duration {
        Duration::from_secs(self.stalled_stream_s.max(1))
    }

    pub(super) fn recheck(&self) -> Duration {
        Duration::from_secs(self.recheck_s.clamp(1, 15))
    }

    /// What one of so many connections may be sent ahead.
    pub(super) fn share(&self, connections: usize) -> VarInt {
        let connections = u32::try_from(connections.max(1)).unwrap_or(u32::MAX);
        let share = self.window_budget_bytes / connections;
        VarInt::from_u32(share.min(self.receive_window_bytes).max(FIRST_WINDOW))
    }

    /// What quinn is told. A connection begins with little; once the site is admitted it has its share.
    pub(super) fn transport(&self) -> Arc<TransportConfig> {
        let settings = Settings {
            congestion: self.congestion,
            terms: Terms {
                ceiling: self.max_mbit_s.map(|most| u64::from(most.max(1)) * 125_000),
                known: None,
            },
            stream_window: self.stream_window_bytes,
            receive_window: FIRST_WINDOW,
            send_window: self.send_window_bytes,
            idle: Duration::from_secs(u64::from(self.idle_timeout_s.min(3600))),
            keep_alive: Duration::from_secs(u64::from(self.keep_alive_s)),
            segmentation_offload: self.segmentation_offload,
        };
        let mut transport = settings.transport();
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(1))
            .max_concurrent_uni_streams(VarInt::from_u32(self.max_streams));
        Arc::new(transport)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_share_the_windows() {
        let config = Config::default();
        let share = |connections| config.share(connections).into_inner();
        assert_eq!(share(1), 32 << 20);
        assert_eq!(share(4), 32 << 20);
        assert_eq!(share(64), 2 << 20);
        assert_eq!(share(256), 512 << 10);
        for connections in 1..=256 {
            assert!(share(connections) * u64::try_from(connections).unwrap() <= 128 << 20);
        }
    }
}
