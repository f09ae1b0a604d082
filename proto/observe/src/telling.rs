//! What is told: the same content for every channel.

use std::fmt;

use causeway_proto::time::Timestamp;
use serde_json::{Value, json};

use crate::rule::About;

/// Who tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The program.
    pub program: &'static str,
    /// Which of them: the site of an agent, the public name of a gateway.
    pub name: String,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.program, self.name)
    }
}

/// Why it is told now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It has begun, or has become more.
    Raised,
    /// It stands still, and nobody has acknowledged it.
    Again,
    /// It is no more.
    Over,
    /// Nothing is wrong: somebody tries the channels.
    Test,
}

impl Phase {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Again => "again",
            Self::Over => "over",
            Self::Test => "test",
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// Who tells.
    pub source: Source,
    /// Why now.
    pub phase: Phase,
    /// The rule's name.
    pub rule: String,
    /// What it is about.
    pub about: About,
    /// What else the same is so of: told in one message.
    pub also: Vec<About>,
    /// What is wrong.
    pub sentence: String,
    /// Since when.
    pub since: Timestamp,
    /// When this was said.
    pub at: Timestamp,
    /// How often it has been told with this.
    pub times: u64,
}

impl Telling {
    /// What a test of the channels says.
    #[must_use]
    pub fn test(source: Source, at: Timestamp) -> Self {
        Self {
            source,
            phase: Phase::Test,
            rule: "test".to_owned(),
            about: About::part("channels"),
            also: Vec::new(),
            sentence: "nothing is wrong: somebody tries whether alarms arrive".to_owned(),
            since: at,
            at,
            times: 1,
        }
    }

    /// For machines.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "alarm": self.rule, "phase": self.phase.word(), "about": self.about, "also": self.also, "sentence": self.sentence,
            "since": self.since.to_string(), "at": self.at.to_string(), "times": self.times,
            "program": self.source.program, "name": self.source.name,
        })
    }

    /// In one line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let also = match self.also.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(
            "{} {}, {}{also}: {}",
            self.rule,
            self.phase.word(),
            self.about,
            self.sentence
        )
    }

    /// In some lines for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}\n\nFrom   {}\nAlarm  {}, {}\nAbout  {}\n",
            self.sentence,
            self.source,
            self.rule,
            self.phase.word(),
            self.about
        );
        for one in &self.also {
            text.push_str(&format!("       {one}\n"));
        }
        text.push_str(&format!(
            "Since  {}\nTold   {}, {} time(s)\n",
            self.since, self.at, self.times
        ));
        text
    }
}
