//! Where the gateway is, and every bound of the connection to it.

use std::sync::Arc;
use std::time::Duration;

use causeway_proto::link::upload::Bounds;
use quinn::{IdleTimeout, TransportConfig, VarInt};
use serde::Deserialize;

use super::proxy::Proxy;
use super::way::Transport;

/// What fills the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Congestion {
    /// Loss means congestion.
    Cubic,
    /// Measures bandwidth and round trips instead; for lines that lose packets.
    Bbr,
}

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
    /// Bytes sent but not confirmed that are kept in memory.
    pub send_window_bytes: u32,
    /// Bytes of reports and answers that the gateway may send ahead, over all streams.
    pub receive_window_bytes: u32,
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
    /// The longest pause between two tries, in seconds.
    pub retry_longest_s: u64,
    /// What fills the line.
    pub congestion: Congestion,
    /// Make pixels that are not compressed smaller on the way; the gateway keeps them as they were.
    pub coding: Coding,
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
            send_window_bytes: 32 << 20,
            receive_window_bytes: 8 << 20,
            max_report_streams: 8,
            connect_timeout_s: 10,
            idle_timeout_s: 30,
            keep_alive_s: 10,
            retry_first_ms: 500,
            retry_longest_s: 60,
            congestion: Congestion::Cubic,
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

    pub(super) fn bounds(&self) -> Bounds {
        let size = |value: u32| usize::try_from(value.max(1)).unwrap_or(usize::MAX);
        Bounds {
            streams: size(self.streams),
            window: size(self.window_instances),
            held: size(self.window_instances).saturating_mul(2),
            ..Bounds::default()
        }
    }

    /// quinn's bounds, each set: its own default for the receive window of a connection is unlimited.
    pub(super) fn transport(&self) -> Arc<TransportConfig> {
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            .max_concurrent_uni_streams(VarInt::from_u32(self.max_report_streams))
            .stream_receive_window(VarInt::from_u32(self.receive_window_bytes / 4))
            .receive_window(VarInt::from_u32(self.receive_window_bytes))
            .send_window(u64::from(self.send_window_bytes))
            .datagram_receive_buffer_size(None)
            .max_idle_timeout(Some(idle(self.idle_timeout_s)))
            .keep_alive_interval(Some(Duration::from_secs(u64::from(self.keep_alive_s))))
            .enable_segmentation_offload(self.segmentation_offload);
        if self.congestion == Congestion::Bbr {
            let bbr = quinn::congestion::BbrConfig::default();
            transport.congestion_controller_factory(Arc::new(bbr));
        }
        Arc::new(transport)
    }
}

fn idle(seconds: u32) -> IdleTimeout {
    IdleTimeout::from(VarInt::from_u32(seconds.min(3600).saturating_mul(1000)))
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
        assert!(parse("congestion = \"reno\"").is_err());
        assert_eq!(parse("coding = \"off\"").unwrap().coding, Coding::Off);
        assert!(parse("coding = \"no\"").is_err());
        assert!(parse("adress = \"x\"").is_err());
    }
}
