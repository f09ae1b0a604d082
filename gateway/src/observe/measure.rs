//! Whether the process takes work, why not, and how much it holds for how long.

use std::fmt;
use std::sync::Arc;

use causeway_observe::{Cause, Probe};
use causeway_proto::time::Clock;

use super::counts::{AGES, COUNTS};
use crate::rows::Rows;

/// A number at this moment: its name, what it is, and its value.
pub type Gauge = (&'static str, &'static str, u64);

/// Reads numbers that are not in rows.
pub type Gauges = Box<dyn Fn() -> Vec<Gauge> + Send + Sync>;

/// Whether the process takes work, and what it holds; shared between `app` and the health port. Cheap to clone.
#[derive(Clone)]
pub struct Readiness(Arc<Inner>);

struct Inner {
    ready: causeway_observe::Readiness,
    rows: Rows,
    clock: Clock,
    gauges: Gauges,
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field("ready", &self.0.ready)
            .finish_non_exhaustive()
    }
}

impl Readiness {
    /// Not ready yet. Looks are made in their order; the first that fails is the answer.
    #[must_use]
    pub fn new(rows: Rows, clock: Clock, probes: Vec<Probe>, gauges: Gauges) -> Self {
        Self(Arc::new(Inner {
            ready: causeway_observe::Readiness::new("the gateway", probes),
            rows,
            clock,
            gauges,
        }))
    }

    /// Of rows alone, which nothing else is asked about.
    #[cfg(test)]
    pub(crate) fn bare(rows: &Rows) -> Self {
        let clock = Clock::new(|| causeway_proto::time::Timestamp(2_000_000_000_000_000));
        Self::new(rows.clone(), clock, Vec::new(), Box::new(Vec::new))
    }

    /// Everything is up.
    pub fn open(&self) {
        self.0.ready.open();
    }

    /// The process finishes what it has begun and ends.
    pub fn drain(&self) {
        self.0.ready.drain();
    }

    /// Whether there is work to be given to this process, with what is to be said of it; or the first cause why not.
    ///
    /// # Errors
    /// The cause.
    pub async fn ask(&self) -> Result<Vec<Cause>, Cause> {
        self.0.ready.ask().await
    }

    /// The text of `/readyz`.
    ///
    /// # Errors
    /// The text when there is no work to be given to this process.
    pub async fn text(&self) -> Result<String, String> {
        self.0.ready.text().await
    }

    /// Counts and ages in the text form of Prometheus, without identifiers.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn metrics(&self) -> Result<String, sqlx::Error> {
        let mut out = String::new();
        let gauge = |out: &mut String, name, help| {
            out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
        };
        gauge(&mut out, "causeway_up", "the process answers");
        out.push_str("causeway_up 1\n");
        let ready = u8::from(self.ask().await.is_ok());
        gauge(&mut out, "causeway_ready", "what /readyz says");
        out.push_str(&format!("causeway_ready {ready}\n"));
        for (name, help, value) in (self.0.gauges)() {
            gauge(&mut out, name, help);
            out.push_str(&format!("{name} {value}\n"));
        }
        for &(name, help, label, sql) in COUNTS {
            let rows = self.0.rows.read();
            let found: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(rows).await?;
            gauge(&mut out, name, help);
            for (value, count) in found {
                let labels = if label.is_empty() {
                    String::new()
                } else {
                    format!("{{{label}=\"{value}\"}}")
                };
                out.push_str(&format!("{name}{labels} {count}\n"));
            }
        }
        let name = "causeway_queue_oldest_seconds";
        let help = "for how long the oldest of each queue has been waiting; 0 where nothing waits";
        gauge(&mut out, name, help);
        let now = self.0.clock.now();
        for &(queue, sql) in AGES {
            let rows = self.0.rows.read();
            let (oldest,): (Option<i64>,) = sqlx::query_as(sql).fetch_one(rows).await?;
            let age = oldest.map_or(0, |since| now.0.saturating_sub(since).max(0) / 1_000_000);
            out.push_str(&format!("{name}{{queue=\"{queue}\"}} {age}\n"));
        }
        Ok(out)
    }
}
