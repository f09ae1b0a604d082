//! `agent.toml`: one file, unknown keys denied, every fault named with its file, line, key, and what would be right.

mod place;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::error::Kind;
use figment::providers::{Format, Toml};
use serde::Deserialize;

use crate::delivery::{self, Destination};
use crate::restore::{self, Truth};
use crate::{commitment, derive, dicom, link, observe, page, spool};

/// The whole file. Each section belongs to its room.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder of the spool, its rows and its keys; on a disk of its own if possible.
    pub spool: PathBuf,
    /// `[gateway]`: where the link goes.
    pub gateway: link::Config,
    /// `[dicom]`: the listener, our titles, and who may call.
    pub dicom: dicom::config::Config,
    /// `[complete]`: when a study counts as complete.
    #[serde(default)]
    pub complete: spool::study::Config,
    /// `[agreement]`: under which agreement what leaves.
    #[serde(default)]
    pub agreement: spool::choice::Config,
    /// `[identity]`: which patient IDs establish nobody's identity.
    #[serde(default)]
    pub identity: spool::choice::Identity,
    /// `[commitment]`: bounds of what senders may ask for who hear whether the gateway holds what they sent.
    #[serde(default)]
    pub commitment: commitment::Config,
    /// `[disk]`: floors, and how long bytes are kept.
    #[serde(default)]
    pub disk: spool::floor::Config,
    /// `[[destination]]`: where reports are delivered.
    #[serde(default)]
    pub destination: Vec<Destination>,
    /// `[page_image]`: how a report is drawn for a PACS that takes no structured reports.
    #[serde(default)]
    pub page_image: derive::Config,
    /// `[restore]`: how a report under a pseudonym gets its patient back.
    #[serde(default)]
    pub restore: restore::Config,
    /// `[site_page]`: the page for people at the site.
    #[serde(default)]
    pub site_page: page::Config,
    /// `[health]`: a port that says whether the agent is ready, and what it holds.
    #[serde(default)]
    pub health: observe::health::Config,
    /// `[alarms]`: what is told when, and how it leaves the building.
    #[serde(default)]
    pub alarms: causeway_observe::Config,
    /// `[downtime]`: the sheet for when nothing works.
    #[serde(default)]
    pub downtime: observe::downtime::Config,
    /// `[log]`
    #[serde(default)]
    pub log: observe::log::Config,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, from 1; none when the key is missing or the place is not known.
    pub line: Option<usize>,
    /// Which key, with dots.
    pub key: String,
    /// What is wrong and what would be right.
    pub what: String,
}

/// A configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// Everything found wrong.
    pub faults: Vec<Fault>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.file.display())?;
            if let Some(line) = fault.line {
                write!(f, ":{line}")?;
            }
            if !fault.key.is_empty() {
                write!(f, ": {}", fault.key)?;
            }
            write!(f, ": {}", fault.what)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let refused = |faults| ConfigError {
            file: file.to_owned(),
            faults,
        };
        let text = std::fs::read_to_string(file).map_err(|error| {
            refused(vec![Fault {
                line: None,
                key: String::new(),
                what: format!("the file cannot be read: {error}"),
            }])
        })?;
        Self::parse(&text).map_err(refused)
    }

    /// Parses and checks the text of a file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        if let Err(error) = text.parse::<toml::Table>() {
            return Err(vec![Fault {
                line: error.span().map(|span| place::line_at(text, span.start)),
                key: String::new(),
                what: format!("this is no TOML: {}", error.message()),
            }]);
        }
        let config: Self = Figment::from(Toml::string(text))
            .extract()
            .map_err(|error| {
                error
                    .into_iter()
                    .map(|e| fault(text, e))
                    .collect::<Vec<_>>()
            })?;
        let faults = config.faults(text);
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(faults)
        }
    }

    /// What the types cannot check.
    fn faults(&self, text: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut wrong = |key: &str, what: String| {
            faults.push(Fault {
                line: place::line_of(text, key),
                key: key.to_owned(),
                what,
            });
        };
        if !has_port(&self.gateway.address) {
            wrong(
                "gateway.address",
                "write host:port, such as \"gateway.example:8443\"".to_owned(),
            );
        }
        if self.dicom.called.is_empty() {
            wrong(
                "dicom.called",
                "at least one title of ours is needed, with its purpose".to_owned(),
            );
        }
        if let Err(error) = self.dicom.check() {
            wrong(error_key(&error.to_string()), error.to_string());
        }
        if let Some((key, what)) = self.commitment.fault() {
            wrong(key, what.to_owned());
        }
        if self.disk.soft_floor_bytes < self.disk.hard_floor_bytes {
            wrong(
                "disk.soft_floor_bytes",
                "must not be below hard_floor_bytes".to_owned(),
            );
        }
        if self.disk.soft_floor_files < self.disk.hard_floor_files {
            wrong(
                "disk.soft_floor_files",
                "must not be below hard_floor_files".to_owned(),
            );
        }
        if let Some(pacs) = &self.restore.pacs
            && !has_port(&pacs.address)
        {
            wrong(
                "restore.pacs.address",
                "write host:port, such as \"10.0.0.5:104\"".to_owned(),
            );
        }
        if let Some(word) = self.agreement.unknown_requirement() {
            wrong(
                "agreement.require",
                format!("{word} is nothing that a site can ask for; replace-uids is"),
            );
        }
        if self.site_page.certificate.is_some() != self.site_page.key.is_some() {
            wrong(
                "site_page.certificate",
                "certificate and key belong together; leave both out to have one made".to_owned(),
            );
        }
        if !self.site_page.bounds.holds() {
            wrong(
                "site_page.bounds",
                "none of these bounds can be 0".to_owned(),
            );
        }
        self.outside_faults(&mut wrong);
        self.destination_faults(&mut wrong);
        faults
    }

    /// Of what is seen from outside.
    fn outside_faults(&self, wrong: &mut dyn FnMut(&str, String)) {
        if let Some(address) = &self.health.listen
            && address.parse::<SocketAddr>().is_err()
        {
            wrong(
                "health.listen",
                "write address:port, such as \"127.0.0.1:9091\"".to_owned(),
            );
        }
        if let Some((key, what)) = self.alarms.fault(observe::watch::RULES) {
            wrong(&format!("alarms.{key}"), what);
        }
    }

    fn destination_faults(&self, wrong: &mut dyn FnMut(&str, String)) {
        for (index, destination) in self.destination.iter().enumerate() {
            let key = |name: &str| format!("destination.{index}.{name}");
            if let Some(what) = destination_name(&destination.name) {
                wrong(&key("name"), what);
            }
            if self
                .destination
                .iter()
                .take(index)
                .any(|d| d.name == destination.name)
            {
                wrong(
                    &key("name"),
                    "stands twice; each destination has a name of its own".to_owned(),
                );
            }
            if !has_port(&destination.address) {
                wrong(
                    &key("address"),
                    "write host:port, such as \"10.0.0.5:104\"".to_owned(),
                );
            }
        }
    }

    /// What is allowed but hardly meant, for `check-config` and the log.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.dicom.calling.is_empty() {
            remarks.push("dicom.calling is empty: nobody may send anything".to_owned());
        }
        if self.destination.is_empty() {
            remarks.push("there is no destination: reports stay at the agent".to_owned());
        }
        if self.restore.pacs.is_none() && self.restore.truth == Truth::Pacs {
            remarks.push("restore.pacs is missing: every report under a pseudonym is held until a person decides".to_owned());
        }
        if self.disk.keep_after_receipt_h < 72 {
            remarks.push("disk.keep_after_receipt_h is below 72: a gateway restored from an older backup loses studies".to_owned());
        }
        if !self.alarms.leaves() {
            remarks.push("alarms has no channel: an alarm goes into the log, `status` and the site page, and reaches nobody who does not look".to_owned());
        }
        for peer in self.dicom.commitment_peers() {
            remarks.push(format!(
                "dicom.calling: {} may ask for storage commitment, and deletes what is committed to: nothing can be retrieved from here, \
                 and the gateway keeps images for a time only",
                peer.title
            ));
        }
        remarks
    }
}

fn has_port(address: &str) -> bool {
    address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0))
}

fn destination_name(name: &str) -> Option<String> {
    let legal = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !legal || name.is_empty() || name.len() > 40 {
        Some("use 1 to 40 lower-case letters, digits and hyphens".to_owned())
    } else if name == delivery::SITE || name == delivery::NONE {
        Some(format!(
            "\"{name}\" means the agent itself; choose another name"
        ))
    } else {
        None
    }
}

/// A room's own sentence begins with its key.
fn error_key(sentence: &str) -> &str {
    sentence.split(':').next().unwrap_or(sentence)
}

fn fault(text: &str, error: figment::Error) -> Fault {
    let mut path = error.path.clone();
    let what = match &error.kind {
        Kind::UnknownField(name, known) => {
            if path.last() != Some(name) {
                path.push(name.clone());
            }
            format!("there is no such key; there are: {}", known.join(", "))
        }
        Kind::MissingField(name) => {
            path.push(name.to_string());
            "is missing".to_owned()
        }
        Kind::InvalidType(got, wanted) => format!("is {got}; {wanted} would be right"),
        Kind::InvalidValue(got, wanted) => format!("is {got}; {wanted} would be right"),
        Kind::UnknownVariant(got, known) => {
            format!(
                "is \"{got}\"; one of these would be right: {}",
                known.join(", ")
            )
        }
        other => other.to_string(),
    };
    let key = path.join(".");
    Fault {
        line: place::line_of(text, &key),
        key,
        what,
    }
}

#[cfg(test)]
mod tests;
