//! Where the gateway is, and every bound of the connection to it.

use std::sync::Arc;
use std::time::Duration;

use causeway_line::pace::{Known, Terms};
use causeway_line::quic::Settings;
use causeway_proto::link::session::Pauses;
use causeway_proto::link::upload::Bounds;
use quinn::{TransportConfig, VarInt};
use serde::Deserialize;

use super::proxy::Proxy;
use super::way::Transport;

pub use causeway_line::quic::Congestion;

/// Whether pixels are made smaller on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    /// While the line is slower than that is done.
    Auto,
    /// Never.
    Off,
    /// Wherever the gateway can undo it.
    Always,
}

/// `[gateway]` of agent.toml.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The gateway's link, as `host:port` (UDP).
    pub address: String,
    /// The name that its certificate has to carry; none: the host of `address`.
    pub server_name: Option<String>,
    /// How the link is carried: `udp`, `tcp`, or `auto`: TCP only where UDP does not pass.
    pub transport: Transport,
    /// Where the gateway takes the link over TCP, as `host:port`; none: at `address`.
    pub tcp_address: Option<String>,
    /// The HTTP proxy for everything over TCP, as `http://[user:password@]host:port`.
    pub proxy: Option<Proxy>,
    /// How often a link over TCP asks whether UDP passes again, in seconds.
    pub udp_again_s: u64,
    /// Instances sent at the same time.
    pub streams: u32,
    /// Instances sent or being sent that have no receipt yet.
    pub window_instances: u32,
    /// Bytes that the connection may keep in memory: two thirds for what was sent and is not confirmed, the rest for what the gateway
    /// sends ahead.
    pub window_budget_bytes: u32,
    /// Reports that the gateway may send at the same time.
    pub max_report_streams: u32,
    /// How long to wait for the handshake, and then for HELLO, in seconds.
    pub connect_timeout_s: u64,
    /// After how long without a sign of life the connection is lost, in seconds.
    pub idle_timeout_s: u32,
    /// How often to show life when there is nothing to say, in seconds.
    pub keep_alive_s: u32,
    /// The pause after the first failure, in milliseconds; it doubles with each.
    pub retry_first_ms: u64,
    /// The longest pause between two tries while the link has not been down for `retry_often_s`, in milliseconds.
    pub retry_soon_ms: u64,
    /// For how long the link may be down before the pauses grow to `retry_longest_s`, in seconds.
    pub retry_often_s: u64,
    /// The longest pause between two tries, in seconds.
    pub retry_longest_s: u64,
    /// What decides how much is sent: `measured`, `cubic` or `bbr`.
    pub congestion: Congestion,
    /// Make pixels that are not compressed smaller on the way; the gateway keeps them as they were.
    pub coding: Coding,
    /// The most that is sent, in Mbit/s, so that the hospital's other traffic lives; none: what the line carries. Only `measured` keeps to it.
    pub max_mbit_s: Option<u32>,
    /// Hand packets to the kernel in bulk; off for network cards that fail at it.
    pub segmentation_offload: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: String::new(),
            server_name: None,
            transport: Transport::Auto,
            tcp_address: None,
            proxy: None,
            udp_again_s: 600,
            streams: 16,
            window_instances: 256,
            window_budget_bytes: 24 << 20,
            max_report_streams: 8,
            connect_timeout_s: 10,
            idle_timeout_s: 15,
            keep_alive_s: 5,
            retry_first_ms: 500,
            retry_soon_ms: 2000,
            retry_often_s: 120,
            retry_longest_s: 60,
            congestion: Congestion::Measured,
            max_mbit_s: None,
            coding: Coding::Auto,
            segmentation_offload: true,
        }
    }
}

impl Config {
    /// The name to ask for in the handshake: the configured one, else the host of the address.
    #[must_use]
    pub fn name(&self) -> &str {
        let host = self
            .address
            .rsplit_once(':')
            .map_or(self.address.as_str(), |(host, _)| host);
        self.server_name
            .as_deref()
            .unwrap_or_else(|| host.trim_start_matches('[').trim_end_matches(']'))
    }

    /// Where the link over TCP goes.
    #[must_use]
    pub fn tcp_address(&self) -> &str {
        self.tcp_address.as_deref().unwrap_or(&self.address)
    }

    /// How long a dial may take when the link has been down for so long: a line that comes back is not missed by a dial that began before.
    pub(super) fn dial_timeout(&self, down: Duration) -> Duration {
        let soon = down < Duration::from_secs(self.retry_often_s);
        let limit = if soon {
            self.connect_timeout_s.min(4)
        } else {
            self.connect_timeout_s
        };
        Duration::from_secs(limit.max(1))
    }

    pub(super) fn pauses(&self) -> Pauses {
        Pauses {
            first: Duration::from_millis(self.retry_first_ms),
            soon: Duration::from_millis(self.retry_soon_ms),
            often: Duration::from_secs(self.retry_often_s),
            longest: Duration::from_secs(self.retry_longest_s),
        }
    }

    pub(super) fn bounds(&self) -> Bounds {
        let size = |value: u32| usize::try_from(value.max(1)).unwrap_or(usize::MAX);
        Bounds {
            streams: size(self.streams),
            window: size(self.window_instances),
            held: size(self.window_instances).saturating_mul(2),
            ..Bounds::default()
        }
    }

    /// What quinn is told. `known`: what the last connection measured of the path.
    pub(super) fn transport(&self, known: Option<Known>) -> Arc<TransportConfig> {
        let receive = self.window_budget_bytes / 3;
        let settings = Settings {
            congestion: self.congestion,
            terms: Terms {
                ceiling: self.max_mbit_s.map(|most| u64::from(most.max(1)) * 125_000),
                known,
            },
            stream_window: receive / 2,
            receive_window: receive,
            send_window: self.window_budget_bytes - receive,
            idle: Duration::from_secs(u64::from(self.idle_timeout_s.min(3600))),
            keep_alive: Duration::from_secs(u64::from(self.keep_alive_s)),
            segmentation_offload: self.segmentation_offload,
        };
        let mut transport = settings.transport();
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            .max_concurrent_uni_streams(VarInt::from_u32(self.max_report_streams));
        Arc::new(transport)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(address: &str, server_name: Option<&str>) -> String {
        let config = Config {
            address: address.to_owned(),
            server_name: server_name.map(str::to_owned),
            ..Config::default()
        };
        config.name().to_owned()
    }

    #[test]
    fn the_name_is_the_host_unless_one_is_given() {
        assert_eq!(name("gateway.example:8443", None), "gateway.example");
        assert_eq!(name("[::1]:8443", None), "::1");
        assert_eq!(
            name("10.0.0.1:8443", Some("gateway.example")),
            "gateway.example"
        );
    }

    #[test]
    fn unknown_keys_and_congestion_controllers_are_refused() {
        let parse = |text: &str| toml::from_str::<Config>(text);
        assert_eq!(
            parse("congestion = \"bbr\"").unwrap().congestion,
            Congestion::Bbr
        );
        let measured = parse("max_mbit_s = 20").unwrap();
        assert_eq!(measured.congestion, Congestion::Measured);
        assert_eq!(measured.max_mbit_s, Some(20));
        assert!(parse("congestion = \"reno\"").is_err());
        assert_eq!(parse("coding = \"off\"").unwrap().coding, Coding::Off);
        assert!(parse("coding = \"no\"").is_err());
        assert!(parse("adress = \"x\"").is_err());
    }
}
