//! What was learnt of the path to a gateway, kept for the next connection; and the traffic of all connections since the agent began.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use causeway_line::pace::Known;
use causeway_line::quic::{self, Traffic};
use causeway_proto::time::Timestamp;
use quinn::Connection;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Link, State, Way};
use crate::rows;

/// How often what is known of the path is kept, for an agent that is killed.
const KEPT: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// How much of the bandwidth still counts, in percent, when it was measured less than so long ago. Older than all: nothing.
const COUNTS: [(Duration, u64); 3] = [
    (HOUR, 90),
    (HOUR.saturating_mul(24), 75),
    (HOUR.saturating_mul(24 * 30), 50),
];

/// What the last connection that went this way knew of the path, less with age. Rows that cannot be read cost only speed.
pub(super) async fn recall(link: &Link, way: Way) -> Option<Known> {
    let read = async {
        let mut connection = link.spool.rows().read().acquire().await?;
        rows::fact(&mut connection, &name(link, way)).await
    };
    match read.await {
        Ok(text) => believed(&text?, link.clock.now()),
        Err(error) => {
            tracing::warn!(%error, "what was learnt of the path could not be read");
            None
        }
    }
}

/// Keeps what a connection knows of the path, for the next one.
pub(super) async fn keep(link: &Link, way: Way, connection: &Connection) {
    let Some(known) = quic::known(connection) else {
        return;
    };
    let text = format!(
        "{} {} {}",
        known.bandwidth,
        known.round_trip.as_micros(),
        link.clock.now().0
    );
    let write = async {
        let mut tx = link.spool.rows().begin().await?;
        rows::set_fact(&mut tx, &name(link, way), text).await?;
        tx.commit().await
    };
    if let Err(error) = write.await {
        tracing::warn!(%error, "what was learnt of the path could not be kept");
    }
}

fn name(link: &Link, way: Way) -> String {
    match way {
        Way::Udp => format!("path udp {}", link.config.address),
        Way::Tcp => format!("path tcp {}", link.config.tcp_address()),
    }
}

fn believed(text: &str, now: Timestamp) -> Option<Known> {
    let mut words = text.split(' ');
    let bandwidth: u64 = words.next()?.parse().ok()?;
    let round_trip = Duration::from_micros(words.next()?.parse().ok()?);
    let measured = Timestamp(words.next()?.parse().ok()?);
    let age = now.since(measured);
    let (_, percent) = COUNTS.iter().find(|(younger, _)| age < *younger)?;
    Some(Known {
        bandwidth: bandwidth / 100 * percent,
        round_trip,
    })
}

/// Adds up the traffic of one connection after the other. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<Mutex<(u64, u64, u64)>>);

impl Meter {
    /// The connection as it stands, with what earlier ones sent, received and lost.
    pub(super) fn read(&self, connection: &Connection) -> Traffic {
        let (sent, received, lost) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut traffic = quic::traffic(connection);
        traffic.sent_bytes = traffic.sent_bytes.saturating_add(sent);
        traffic.received_bytes = traffic.received_bytes.saturating_add(received);
        traffic.lost_bytes = traffic.lost_bytes.saturating_add(lost);
        traffic
    }

    /// The connection has ended.
    pub(super) fn ended(&self, connection: &Connection) {
        let all = self.read(connection);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            (all.sent_bytes, all.received_bytes, all.lost_bytes);
    }
}

/// What a session reads of its connection now and then.
#[derive(Debug)]
pub(super) struct Gauge {
    meter: Meter,
    way: Way,
    keep_at: Instant,
}

impl Gauge {
    pub(super) fn new(meter: Meter, way: Way) -> Self {
        Self {
            meter,
            way,
            keep_at: Instant::now() + KEPT,
        }
    }

    /// Publishes the traffic; once a minute what is known of the path is kept.
    pub(super) async fn read(
        &mut self,
        link: &Link,
        connection: &Connection,
        state: &watch::Sender<State>,
    ) {
        let now = self.meter.read(connection);
        state.send_if_modified(|state| match state {
            State::Up { traffic, .. } if *traffic != now => {
                *traffic = now;
                true
            }
            _ => false,
        });
        if self.keep_at <= Instant::now() {
            self.keep_at = Instant::now() + KEPT;
            keep(link, self.way, connection).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_long_ago_counts_less() {
        let measured = Timestamp(1_000_000_000_000_000);
        let text = format!("1000000 80000 {}", measured.0);
        let after = |hours: u32| believed(&text, measured.plus(HOUR * hours));
        let bandwidth = |hours| after(hours).map(|known| known.bandwidth);
        assert_eq!(bandwidth(0), Some(900_000));
        assert_eq!(bandwidth(2), Some(750_000));
        assert_eq!(bandwidth(48), Some(500_000));
        assert_eq!(bandwidth(24 * 31), None);
        assert_eq!(after(0).unwrap().round_trip, Duration::from_millis(80));
        assert_eq!(believed("", measured), None);
        assert_eq!(believed("12 x", measured), None);
    }
}
