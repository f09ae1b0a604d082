//! How the gateway shows itself: the log, and health, readiness and metrics on a port of their own. No identifiers of patients.

mod counts;
mod measure;
#[cfg(test)]
mod tests;

use serde::Deserialize;

pub use causeway_observe::{Cause, Found, Probe};
pub use measure::{Gauge, Gauges, Readiness};

/// `[health]` of gateway.toml.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// Address and port of `/healthz`, `/readyz` and `/metrics`; port 0 takes a free one. Not for the open network.
    pub listen: String,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9090".to_owned(),
        }
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `[log]` of gateway.toml. The log goes to standard error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `text` or `json`.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
        }
    }
}

/// Starts the log of this process. A second call does nothing.
pub fn start_log(config: &LogConfig) {
    let level = config
        .level
        .parse()
        .unwrap_or(tracing::level_filters::LevelFilter::INFO);
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr);
    // a second start, as tests do, leaves the first in place
    match config.format {
        LogFormat::Text => builder.with_ansi(false).try_init().ok(),
        LogFormat::Json => builder.json().try_init().ok(),
    };
}
