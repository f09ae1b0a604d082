//! The log: one line per event, text or JSON, on standard error. Never patient data.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `text` or `json`.
    pub format: Format,
    /// `error`, `warn`, `info`, `debug` or `trace`; may be set per room, such as `info,causeway_agent::dicom=debug`.
    pub level: String,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            format: Format::Text,
            level: "info".to_owned(),
        }
    }
}

/// Begins to log. A second call changes nothing.
pub fn begin(config: &Config) {
    let filter = EnvFilter::builder().parse_lossy(&config.level);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let begun = match config.format {
        Format::Text => lines.with_ansi(false).try_init(),
        Format::Json => lines.json().try_init(),
    };
    if begun.is_err() {
        tracing::debug!("the log has begun already");
    }
}
