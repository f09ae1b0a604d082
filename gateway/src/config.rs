//! gateway.toml: one file, each table owned by its room, unknown keys refused with file, line, key and what would be right.

use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::{access, alarm, archive, http, ingest, link, observe, rows, sign};

#[cfg(test)]
mod tests;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where everything is kept: rows (unless PostgreSQL), blobs, keys.
    pub data: PathBuf,
    /// The database.
    #[serde(default)]
    pub rows: rows::Config,
    /// What is kept of studies.
    #[serde(default)]
    pub archive: archive::Config,
    /// The reading room.
    #[serde(default)]
    pub http: http::Config,
    /// Sessions, tokens and passwords.
    #[serde(default)]
    pub access: access::Config,
    /// Signing keys.
    #[serde(default)]
    pub sign: sign::Config,
    /// What is received.
    #[serde(default)]
    pub ingest: ingest::Config,
    /// The agents.
    #[serde(default)]
    pub link: link::Config,
    /// Health and metrics.
    #[serde(default)]
    pub health: observe::HealthConfig,
    /// What is told when, and how it leaves the building.
    #[serde(default)]
    pub alarms: causeway_observe::Config,
    /// The log.
    #[serde(default)]
    pub log: observe::LogConfig,
}

/// A configuration that cannot be used. The sentence names the file, the line where there is one, and what would be right.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file} cannot be read: give the configuration with --config FILE")]
    Read {
        /// Which file.
        file: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML of ours.
    #[error("{file}:{line}: {key}{said}")]
    Parse {
        /// Which file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// The key at that place and a colon, or nothing.
        key: String,
        /// What is wrong and what would be right.
        said: String,
    },
    /// A value that cannot be.
    #[error("{file}: {key}: {right}")]
    Value {
        /// Which file.
        file: String,
        /// Which key, with its table.
        key: &'static str,
        /// What would be right.
        right: String,
    },
}

/// Reads and checks a file.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        file: file.clone(),
        source,
    })?;
    parse(&file, &text)
}

/// Reads and checks a text; `file` is for the sentences.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
    let config: Config = toml::from_str(text).map_err(|error| parse_error(file, text, &error))?;
    check(file, &config)?;
    Ok(config)
}

/// The message without the offending line: a line may hold a password.
fn parse_error(file: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count().saturating_add(1);
    let content = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let key = content
        .split_once('=')
        .map_or_else(String::new, |(key, _)| format!("{}: ", key.trim()));
    ConfigError::Parse {
        file: file.to_owned(),
        line,
        key,
        said: error.message().to_owned(),
    }
}

fn check(file: &str, config: &Config) -> Result<(), ConfigError> {
    let value = |key: &'static str, right: String, holds: bool| {
        if holds {
            Ok(())
        } else {
            Err(ConfigError::Value {
                file: file.to_owned(),
                key,
                right,
            })
        }
    };
    let addresses = [
        ("http.listen", &config.http.listen),
        ("link.listen", &config.link.listen),
        ("link.enrolment_listen", &config.link.enrolment_listen),
        ("health.listen", &config.health.listen),
    ];
    for (key, address) in addresses {
        let right = format!(
            "\"{address}\" is no address to listen on: write ADDRESS:PORT, such as 127.0.0.1:8080"
        );
        value(
            key,
            right,
            address
                .to_socket_addrs()
                .is_ok_and(|mut found| found.next().is_some()),
        )?;
    }
    value(
        "data",
        "the path of a folder".to_owned(),
        !config.data.as_os_str().is_empty(),
    )?;
    let names =
        "the names or addresses under which agents dial this gateway, at least one".to_owned();
    value(
        "link.names",
        names,
        !config.link.names.is_empty() && config.link.names.iter().all(|name| is_name(name)),
    )?;
    let counts = "max_connections, max_handshakes_per_address, max_greeting_per_site and max_streams are 1 at the least";
    value("link", counts.to_owned(), config.link.holds())?;
    let url = &config.http.public_url;
    let right = format!(
        "\"{url}\" is not how a browser reaches this gateway: write https://NAME or http://NAME:PORT, without a path"
    );
    value("http.public_url", right, is_origin(url))?;
    let floors = "the soft floors must not be below the hard ones".to_owned();
    value("archive.disk", floors, config.archive.disk.holds())?;
    let bounds = "none of these bounds can be 0".to_owned();
    value("http.bounds", bounds, config.http.bounds.holds())?;
    check_files(file, config)?;
    let level = format!(
        "\"{}\" is no level: error, warn, info, debug or trace",
        config.log.level
    );
    value(
        "log.level",
        level,
        config
            .log
            .level
            .parse::<tracing::level_filters::LevelFilter>()
            .is_ok(),
    )
}

fn check_files(file: &str, config: &Config) -> Result<(), ConfigError> {
    if let Some((key, what)) = config.alarms.fault(alarm::RULES) {
        return Err(ConfigError::Value {
            file: file.to_owned(),
            key: "alarms",
            right: format!("{key}: {what}"),
        });
    }
    let value = |key: &'static str, right: String, holds: bool| {
        if holds {
            Ok(())
        } else {
            Err(ConfigError::Value {
                file: file.to_owned(),
                key,
                right,
            })
        }
    };
    let pair = "tls_certificate and tls_key are given together or not at all".to_owned();
    value(
        "http.tls_key",
        pair,
        config.http.tls_certificate.is_some() == config.http.tls_key.is_some(),
    )?;
    for (key, path) in [
        ("http.tls_certificate", &config.http.tls_certificate),
        ("http.tls_key", &config.http.tls_key),
        ("http.viewer", &config.http.viewer),
    ] {
        if let Some(path) = path {
            value(
                key,
                format!("there is no file {}", path.display()),
                path.is_file(),
            )?;
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    rustls_pki_types::ServerName::try_from(name.to_owned()).is_ok()
}

fn is_origin(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']))
}
