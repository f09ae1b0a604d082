//! The machine of [`crate::pace`] behind quinn's trait, and the settings of a connection that both ends have in common.

use std::any::Any;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::congestion::{BbrConfig, Controller, ControllerFactory, CubicConfig};
use quinn::{Connection, IdleTimeout, TransportConfig, VarInt};
use quinn_proto::RttEstimator;
use serde::{Deserialize, Serialize};

use crate::pace::{Known, Pace, Terms};

/// What decides how much is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Congestion {
    /// Our own: bandwidth and round trip are measured, loss alone says nothing.
    Measured,
    /// Loss means congestion (RFC 9438).
    Cubic,
    /// quinn's BBR, which its authors call experimental.
    Bbr,
}

/// What both ends set alike. Everything has a bound; quinn's own default for what a connection may buffer has none.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What decides how much is sent.
    pub congestion: Congestion,
    /// What the measured kind begins with, and its ceiling.
    pub terms: Terms,
    /// Bytes that one stream may be sent ahead of what was read.
    pub stream_window: u32,
    /// Bytes that all streams together may be sent ahead.
    pub receive_window: u32,
    /// Bytes sent but not confirmed that are kept.
    pub send_window: u32,
    /// After how long without a sign of life the connection is lost.
    pub idle: Duration,
    /// How often to show life.
    pub keep_alive: Duration,
    /// Hand packets to the kernel in bulk. Where the kernel cannot, quinn finds out and goes on without.
    pub segmentation_offload: bool,
}

impl Settings {
    /// A configuration with these settings. Datagrams grow as far as the path lets them (quinn probes by itself).
    #[must_use]
    pub fn transport(&self) -> TransportConfig {
        let idle = u32::try_from(self.idle.as_millis()).unwrap_or(3_600_000);
        let mut transport = TransportConfig::default();
        transport
            .stream_receive_window(VarInt::from_u32(self.stream_window))
            .receive_window(VarInt::from_u32(self.receive_window))
            .send_window(u64::from(self.send_window))
            .datagram_receive_buffer_size(None)
            .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle))))
            .keep_alive_interval(Some(self.keep_alive))
            .enable_segmentation_offload(self.segmentation_offload)
            .congestion_controller_factory(self.controllers());
        if let Some(known) = self.terms.known {
            // what is lost of the handshake is sent again after three of these (RFC 9002 6.2.2)
            let least = Duration::from_millis(50);
            transport.initial_rtt(known.round_trip.clamp(least, Duration::from_millis(333)));
        }
        transport
    }

    fn controllers(&self) -> Arc<dyn ControllerFactory + Send + Sync> {
        match self.congestion {
            Congestion::Measured => Arc::new(Measured(self.terms)),
            Congestion::Cubic => Arc::new(CubicConfig::default()),
            Congestion::Bbr => Arc::new(BbrConfig::default()),
        }
    }
}

struct Measured(Terms);

impl ControllerFactory for Measured {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        Box::new(Steering {
            pace: Pace::new(self.0, mtu),
            begun: now,
            first: Pace::new(self.0, mtu).window(),
        })
    }
}

/// The machine with the moment from which its times count.
#[derive(Clone, Debug)]
struct Steering {
    pace: Pace,
    begun: Instant,
    first: u64,
}

impl Steering {
    fn since(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.begun)
    }
}

impl Controller for Steering {
    fn on_sent(&mut self, now: Instant, _bytes: u64, _last: u64) {
        let now = self.since(now);
        self.pace.sent(now);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        _limited: bool,
        _round_trip: &RttEstimator,
    ) {
        let (now, sent) = (self.since(now), self.since(sent));
        self.pace.delivered(now, sent, bytes);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, limited: bool, _largest: Option<u64>) {
        let now = self.since(now);
        self.pace.settled(now, in_flight, limited);
    }

    fn on_congestion_event(&mut self, _now: Instant, _sent: Instant, _dead: bool, lost: u64) {
        if lost == 0 {
            // not lost, but marked by a router whose queue is long (RFC 3168)
            self.pace.marked();
        } else {
            self.pace.lost(lost);
        }
    }

    fn on_mtu_update(&mut self, mtu: u16) {
        self.pace.resized(mtu);
    }

    fn window(&self) -> u64 {
        self.pace.window()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.first
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// What a connection has measured of its path; none with another controller, or before anything was measured.
#[must_use]
pub fn known(connection: &Connection) -> Option<Known> {
    steering(connection)?.pace.known()
}

fn steering(connection: &Connection) -> Option<Box<Steering>> {
    let state = connection.congestion_state().into_any();
    state.downcast::<Steering>().ok()
}

/// How a connection stands, for people and for measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Bytes of datagrams sent.
    pub sent_bytes: u64,
    /// Bytes of datagrams received.
    pub received_bytes: u64,
    /// Bytes that counted as lost and were sent again.
    pub lost_bytes: u64,
    /// The round trip, in microseconds.
    pub round_trip_us: u64,
    /// The fastest that was lately delivered to the other end, in kbit/s; 0 with another controller.
    pub kbit_s: u64,
    /// The largest datagram that the path takes, in bytes.
    pub datagram_bytes: u16,
}

/// How a connection stands now.
#[must_use]
pub fn traffic(connection: &Connection) -> Traffic {
    let stats = connection.stats();
    Traffic {
        sent_bytes: stats.udp_tx.bytes,
        received_bytes: stats.udp_rx.bytes,
        lost_bytes: stats.path.lost_bytes,
        round_trip_us: u64::try_from(stats.path.rtt.as_micros()).unwrap_or(u64::MAX),
        kbit_s: steering(connection).map_or(0, |steering| steering.pace.bandwidth() / 125),
        datagram_bytes: stats.path.current_mtu,
    }
}

/// What the kernel may hold of one socket, in bytes; it gives as much of it as the system allows.
const SOCKET: usize = 4 << 20;

/// A UDP socket that holds what arrives while the processor is elsewhere.
///
/// # Errors
/// As the system says.
pub fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET)?;
    rustix::net::sockopt::set_socket_send_buffer_size(&socket, SOCKET)?;
    Ok(socket)
}
