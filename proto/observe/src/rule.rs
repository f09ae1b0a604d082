//! What a rule is, and what a program finds about it.

use std::fmt;

use causeway_proto::ids::{CaseCode, SiteId};
use causeway_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A rule that a program is shipped with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name in the configuration and in everything that is told.
    pub name: &'static str,
    /// For how long, in seconds, it may be so before it is told; or how long before it comes about.
    pub bound_s: u64,
    /// The bound lies ahead: whoever finds something has counted it back from the end, and it is told at once.
    pub ahead: bool,
    /// What it watches, for people.
    pub meaning: &'static str,
}

impl Rule {
    /// The watch's own, of every program: its rows.
    pub const ROWS: Self = Self::new(
        "rows",
        60,
        "the rows cannot be read or written, or do not answer",
    );
    /// The watch's own, of every program: its channels.
    pub const CHANNEL: Self =
        Self::new("channel", 300, "alarms do not leave by one of the channels");

    /// One that tells what has been so for `bound_s` seconds.
    #[must_use]
    pub const fn new(name: &'static str, bound_s: u64, meaning: &'static str) -> Self {
        Self {
            name,
            bound_s,
            ahead: false,
            meaning,
        }
    }

    /// One that tells what comes about in `bound_s` seconds.
    #[must_use]
    pub const fn ahead(name: &'static str, bound_s: u64, meaning: &'static str) -> Self {
        Self {
            name,
            bound_s,
            ahead: true,
            meaning,
        }
    }
}

/// What an alarm is about. There is no way to make one of a name that was received.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct About(String);

impl About {
    /// A case.
    #[must_use]
    pub fn case(code: &CaseCode) -> Self {
        Self(code.as_str().to_owned())
    }

    /// A site.
    #[must_use]
    pub fn site(site: &SiteId) -> Self {
        Self(site.as_str().to_owned())
    }

    /// A part of the program, or a queue.
    #[must_use]
    pub fn part(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    /// Something that the operator has named in the configuration.
    #[must_use]
    pub fn configured(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// What stood in a row or on a command line: it finds an alarm, it makes none.
    #[must_use]
    pub fn kept(text: String) -> Self {
        Self(text)
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that is so, of which a rule says for how long it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// What it is about: with the rule, what makes it one alarm.
    pub about: About,
    /// Since when it is so.
    pub since: Timestamp,
    /// What is wrong and what to do, without anything that was received.
    pub sentence: String,
    /// How much it is, where more of it is to be told anew; else 0.
    pub weight: u64,
}

impl Finding {
    /// Of a rule, about something, since when, in a sentence without anything that was received; more of it is nothing new.
    pub fn new(
        rule: &'static str,
        about: About,
        since: Timestamp,
        sentence: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            about,
            since,
            sentence: sentence.into(),
            weight: 0,
        }
    }

    /// As much as that: more of it is told anew.
    #[must_use]
    pub fn weighing(self, weight: u64) -> Self {
        Self { weight, ..self }
    }
}

/// What one look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Everything that is so.
    pub findings: Vec<Finding>,
    /// Rules about which nothing, or not everything, could be found out: what stands of them goes on standing.
    pub blind: Vec<&'static str>,
}
