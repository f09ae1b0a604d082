//! `[alarms]` of both programs' configuration: bounds of the rules, and the channels.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::rule::Rule;

/// `[alarms]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often it is looked, in seconds.
    pub look_every_s: u64,
    /// After how many seconds an alarm that nobody has acknowledged is told again.
    pub again_every_s: u64,
    /// `[alarms.rules]`: other bounds than those that the rules are shipped with, by the name of the rule.
    pub rules: BTreeMap<String, Tuning>,
    /// `[[alarms.mail]]`
    pub mail: Vec<Mail>,
    /// `[[alarms.webhook]]`
    pub webhook: Vec<Webhook>,
    /// `[[alarms.syslog]]`
    pub syslog: Vec<Syslog>,
    /// `[[alarms.command]]`
    pub command: Vec<Command>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            look_every_s: 15,
            again_every_s: 3600,
            rules: BTreeMap::new(),
            mail: Vec::new(),
            webhook: Vec::new(),
            syslog: Vec::new(),
            command: Vec::new(),
        }
    }
}

/// What is different about a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tuning {
    /// For how many seconds it may be so before it is told.
    pub bound_s: Option<u64>,
    /// It is not watched.
    pub off: bool,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// It begins in the clear and must go over to TLS before anything else.
    #[default]
    Starttls,
    /// From the first byte.
    Implicit,
    /// Not at all: for a server on this machine, that is given no password.
    None,
}

/// A mail server and whom to write to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// What it is called here.
    pub name: String,
    /// `host:port`; 587 is usual with `starttls`, 465 with `implicit`.
    pub server: String,
    /// `starttls`, `implicit` or `none`.
    #[serde(default)]
    pub tls: MailTls,
    /// Certificates that the server's must lead to, PEM; else those that the system trusts.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Signs in with this name, if the server asks for one.
    #[serde(default)]
    pub user: Option<String>,
    /// A file with the password on its first line.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Who writes.
    pub from: String,
    /// Who reads.
    pub to: Vec<String>,
}

/// An address that takes a POST of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// What it is called here.
    pub name: String,
    /// `https://…`; `http://` for this machine and a network of one's own, without a secret.
    pub url: String,
    /// A file whose first line is the value of the header `Authorization`, such as `Bearer …`.
    #[serde(default)]
    pub authorization_file: Option<PathBuf>,
    /// Certificates that the server's must lead to, PEM; else those that the system trusts.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The proxy on the way, `http://host:port`.
    #[serde(default)]
    pub proxy: Option<String>,
}

/// How syslog travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// RFC 5426: one datagram, and nobody says whether it arrived.
    #[default]
    Udp,
    /// RFC 6587, counted octets.
    Tcp,
}

/// A syslog server (RFC 5424).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Syslog {
    /// What it is called here.
    pub name: String,
    /// `host:port`; 514 is usual.
    pub address: String,
    /// `udp` or `tcp`.
    #[serde(default)]
    pub transport: Transport,
    /// 0 to 23; 16 is `local0`.
    #[serde(default = "local0")]
    pub facility: u8,
}

fn local0() -> u8 {
    16
}

/// A program that gets the alarm as JSON at its standard input; 0 means that it is done.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// What it is called here.
    pub name: String,
    /// Its path. It is started as it is, never by a shell, with an empty environment.
    pub program: PathBuf,
    /// What follows it.
    #[serde(default)]
    pub arguments: Vec<String>,
}

/// For how long what a rule watches may be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    again: Duration,
    rules: BTreeMap<&'static str, (Duration, bool)>,
}

impl Bounds {
    /// After how long an alarm is told again.
    #[must_use]
    pub fn again(&self) -> Duration {
        self.again
    }

    /// The bound of a rule; none where it is not watched.
    #[must_use]
    pub fn of(&self, rule: &str) -> Option<Duration> {
        self.rules.get(rule).map(|(bound, _)| *bound)
    }

    /// For how long what a rule finds may stand before it is told; none where it is not watched.
    pub(crate) fn patience(&self, rule: &str) -> Option<Duration> {
        let (bound, ahead) = self.rules.get(rule)?;
        Some(if *ahead { Duration::ZERO } else { *bound })
    }
}

impl Config {
    /// The bounds of these rules as configured.
    #[must_use]
    pub fn bounds(&self, rules: &[Rule]) -> Bounds {
        let watched = rules.iter().filter_map(|rule| {
            let tuning = self.rules.get(rule.name);
            let bound = tuning.and_then(|tuning| tuning.bound_s);
            let off = tuning.is_some_and(|tuning| tuning.off);
            let bound = Duration::from_secs(bound.unwrap_or(rule.bound_s));
            (!off).then_some((rule.name, (bound, rule.ahead)))
        });
        Bounds {
            again: Duration::from_secs(self.again_every_s.max(60)),
            rules: watched.collect(),
        }
    }

    /// How often it is looked.
    #[must_use]
    pub fn look(&self) -> Duration {
        Duration::from_secs(self.look_every_s.max(1))
    }

    /// Whether alarms go anywhere but into the log.
    #[must_use]
    pub fn leaves(&self) -> bool {
        self.names().next().is_some()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let mail = self.mail.iter().map(|one| one.name.as_str());
        let webhook = self.webhook.iter().map(|one| one.name.as_str());
        let syslog = self.syslog.iter().map(|one| one.name.as_str());
        let command = self.command.iter().map(|one| one.name.as_str());
        mail.chain(webhook).chain(syslog).chain(command)
    }

    /// The first thing that cannot be: which key below `alarms`, and what would be right.
    #[must_use]
    pub fn fault(&self, rules: &[Rule]) -> Option<(&'static str, String)> {
        if self.look_every_s == 0 || self.again_every_s < 60 {
            let what = "look_every_s is at least 1, again_every_s at least 60";
            return Some(("again_every_s", what.to_owned()));
        }
        let unknown = |name: &&String| !rules.iter().any(|rule| rule.name == name.as_str());
        if let Some(name) = self.rules.keys().find(unknown) {
            let known: Vec<_> = rules.iter().map(|rule| rule.name).collect();
            let what = format!("there is no rule {name}; there are: {}", known.join(", "));
            return Some(("rules", what));
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some(name) = self
            .names()
            .find(|name| !named(name) || !seen.insert(*name))
        {
            let what = format!(
                "\"{name}\": each channel has a name of its own, of 1 to 40 lower-case letters, digits and hyphens"
            );
            return Some(("name", what));
        }
        self.channel_fault()
    }

    fn channel_fault(&self) -> Option<(&'static str, String)> {
        for one in &self.mail {
            if !has_port(&one.server) {
                return Some(("mail.server", right(&one.name, "write host:port")));
            }
            if one.to.is_empty() {
                return Some(("mail.to", right(&one.name, "write at least one address")));
            }
            if one.user.is_some() != one.password_file.is_some() {
                let what = "user and password_file belong together";
                return Some(("mail.user", right(&one.name, what)));
            }
            if one.user.is_some() && one.tls == MailTls::None {
                let what = "a password does not go over a line that anybody can read: write tls = \"starttls\" or \"implicit\", or leave user and password_file out";
                return Some(("mail.tls", right(&one.name, what)));
            }
        }
        for one in &self.webhook {
            if !one.url.starts_with("https://") && !one.url.starts_with("http://") {
                return Some(("webhook.url", right(&one.name, "write https://…")));
            }
            if has_secret(one) && one.url.starts_with("http://") {
                let what = "a secret does not go over a line that anybody can read: write https://…, or leave authorization_file and the name before the @ out";
                return Some(("webhook.url", right(&one.name, what)));
            }
        }
        for one in &self.syslog {
            if !has_port(&one.address) {
                return Some(("syslog.address", right(&one.name, "write host:port")));
            }
            if one.facility > 23 {
                return Some(("syslog.facility", right(&one.name, "write 0 to 23")));
            }
        }
        for one in &self.command {
            if !one.program.is_absolute() {
                let what = "write the whole path of a program";
                return Some(("command.program", right(&one.name, what)));
            }
        }
        None
    }
}

fn right(name: &str, what: &str) -> String {
    format!("{name}: {what}")
}

fn named(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=40).contains(&name.len()) && name.bytes().all(legal)
}

/// Whether it says who asks, in a header or in the address.
fn has_secret(hook: &Webhook) -> bool {
    let (_, place) = hook.url.split_once("://").unwrap_or_default();
    let host = place.split(['/', '?', '#']).next().unwrap_or_default();
    hook.authorization_file.is_some() || host.contains('@')
}

fn has_port(address: &str) -> bool {
    address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0))
}
