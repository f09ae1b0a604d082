//! Where agents reach this gateway, and every bound of their connections.

use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, TransportConfig, VarInt};
use serde::Deserialize;

/// What fills the line towards an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Congestion {
    /// Loss means congestion.
    Cubic,
    /// Measures bandwidth and round trips instead; for lines that lose packets.
    Bbr,
}

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
    /// Connections of one site that may be in their handshake at one time.
    pub max_greeting_per_site: u32,
    /// Instances that one agent may send at the same time.
    pub max_streams: u32,
    /// Bytes that one instance may be sent ahead of what was taken.
    pub stream_window_bytes: u32,
    /// Bytes that all streams of one connection together may be sent ahead; times `max_connections` this bounds the memory.
    pub receive_window_bytes: u32,
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
    /// What fills the line towards an agent.
    pub congestion: Congestion,
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
            max_greeting_per_site: 4,
            max_streams: 32,
            stream_window_bytes: 4 << 20,
            receive_window_bytes: 16 << 20,
            send_window_bytes: 8 << 20,
            greeting_timeout_s: 10,
            idle_timeout_s: 30,
            keep_alive_s: 10,
            stalled_stream_s: 60,
            recheck_s: 10,
            drain_s: 10,
            come_back_ms: 2000,
            congestion: Congestion::Cubic,
            segmentation_offload: true,
        }
    }
}

impl Config {
    pub(super) fn greeting(&self) -> Duration {
        Duration::from_secs(self.greeting_timeout_s.max(1))
    }

    pub(super) fn stalled(&self) -> Duration {
        Duration::from_secs(self.stalled_stream_s.max(1))
    }

    pub(super) fn recheck(&self) -> Duration {
        Duration::from_secs(self.recheck_s.clamp(1, 15))
    }

    /// quinn's bounds, each set: its own default for the receive window of a connection is unlimited.
    pub(super) fn transport(&self) -> Arc<TransportConfig> {
        let idle = self.idle_timeout_s.min(3600).saturating_mul(1000);
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(1))
            .max_concurrent_uni_streams(VarInt::from_u32(self.max_streams))
            .stream_receive_window(VarInt::from_u32(self.stream_window_bytes))
            .receive_window(VarInt::from_u32(self.receive_window_bytes))
            .send_window(u64::from(self.send_window_bytes))
            .datagram_receive_buffer_size(None)
            .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle))))
            .keep_alive_interval(Some(Duration::from_secs(u64::from(self.keep_alive_s))))
            .enable_segmentation_offload(self.segmentation_offload);
        if self.congestion == Congestion::Bbr {
            let bbr = quinn::congestion::BbrConfig::default();
            transport.congestion_controller_factory(Arc::new(bbr));
        }
        Arc::new(transport)
    }
}
