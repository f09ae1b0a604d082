//! The channels, each opened from its configuration and used one message at a time.

mod command;
mod mail;
mod syslog;
mod webhook;

use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::config::Config;
use crate::telling::Telling;

pub(crate) use command::CommandHook;
pub(crate) use mail::Mailer;
pub(crate) use syslog::SyslogWriter;
pub(crate) use webhook::Post;

/// A try that takes longer has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// A channel could not be opened, or did not take a message.
#[derive(Debug, Error)]
pub enum ChannelError {
    /// A file of its configuration.
    #[error("{} cannot be read", .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Something in the configuration cannot be used.
    #[error("{0}")]
    Configured(String),
    /// The mail server, or the way to it.
    #[error("the mail server did not take it")]
    Mail(#[source] lettre::transport::smtp::Error),
    /// The message could not be put together.
    #[error("the mail could not be written")]
    Message(#[source] lettre::error::Error),
    /// The way to the webhook. Without its address, which may hold a secret.
    #[error("the webhook could not be asked")]
    Webhook(#[source] reqwest::Error),
    /// The webhook said no.
    #[error("the webhook answered {0}")]
    Status(u16),
    /// A socket or a child.
    #[error("{tried}")]
    Io {
        /// What was tried.
        tried: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The program said that it did not do it.
    #[error("the program ended with {0}")]
    Ended(std::process::ExitStatus),
    /// It took too long.
    #[error("it was not done after {} s", .0.as_secs())]
    Late(Duration),
}

impl ChannelError {
    /// With all its causes, in one line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut sentence = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            sentence.push_str(&format!(": {cause}"));
            next = cause.source();
        }
        sentence
    }
}

pub(crate) fn io(tried: &'static str) -> impl FnOnce(std::io::Error) -> ChannelError {
    move |source| ChannelError::Io { tried, source }
}

/// One way out of the building.
#[derive(Debug)]
pub struct Channel {
    name: String,
    kind: &'static str,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Mail(Box<Mailer>),
    Webhook(Post),
    Syslog(SyslogWriter),
    Command(CommandHook),
    /// It could not be opened: what it says to every message.
    Closed(String),
}

impl Channel {
    /// Every channel of a configuration. One that cannot be opened says so to every message, and keeps no other from being used.
    #[must_use]
    pub fn all(config: &Config) -> Vec<Self> {
        let mut all = Vec::new();
        let mut add = |name: &str, kind, way: Result<Way, ChannelError>| {
            all.push(Self {
                name: name.to_owned(),
                kind,
                way: way.unwrap_or_else(|error| Way::Closed(error.sentence())),
            });
        };
        for one in &config.mail {
            let way = Mailer::open(one).map(|it| Way::Mail(Box::new(it)));
            add(&one.name, "mail", way);
        }
        for one in &config.webhook {
            add(&one.name, "webhook", Post::open(one).map(Way::Webhook));
        }
        for one in &config.syslog {
            let way = Way::Syslog(SyslogWriter::of(one));
            add(&one.name, "syslog", Ok(way));
        }
        for one in &config.command {
            let way = Way::Command(CommandHook::of(one));
            add(&one.name, "command", Ok(way));
        }
        all
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `mail`, `webhook`, `syslog` or `command`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Tries once, for at most ten seconds. It has left when somebody behind the channel took it; answers who did not, and why.
    ///
    /// # Errors
    /// When nobody took the message, or nobody knows.
    pub async fn send(&self, telling: &Telling) -> Result<Option<String>, ChannelError> {
        self.send_within(telling, LIMIT).await
    }

    async fn send_within(
        &self,
        telling: &Telling,
        limit: Duration,
    ) -> Result<Option<String>, ChannelError> {
        let sent = match &self.way {
            // each letter has this limit to itself
            Way::Mail(mailer) => return mailer.send(telling, limit).await,
            Way::Webhook(post) => within(limit, post.send(telling)).await,
            Way::Syslog(writer) => within(limit, writer.send(telling)).await,
            Way::Command(hook) => within(limit, hook.send(telling)).await,
            Way::Closed(sentence) => Err(ChannelError::Configured(sentence.clone())),
        };
        sent.map(|()| None)
    }
}

async fn within(
    limit: Duration,
    sending: impl Future<Output = Result<(), ChannelError>>,
) -> Result<(), ChannelError> {
    let sent = tokio::time::timeout(limit, sending).await;
    sent.unwrap_or(Err(ChannelError::Late(limit)))
}

pub(crate) fn read(file: &Path) -> Result<String, ChannelError> {
    std::fs::read_to_string(file).map_err(|source| ChannelError::File {
        file: file.to_owned(),
        source,
    })
}

/// The first line of a file that holds a secret.
pub(crate) fn secret(file: &Path) -> Result<String, ChannelError> {
    Ok(read(file)?.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
pub(crate) mod tests;
