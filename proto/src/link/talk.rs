//! What is said until it is heard: once on a connection, and again there when no answer comes for long.
//!
//! | A line | Said by | Answered by |
//! |---|---|---|
//! | CONTEXT | the agent, once its study is open | CONTEXT_HELD |
//! | LETTER | the end where it was written | LETTER_STATE held |
//! | LETTER_STATE read | the end where it was read | LETTER_STATE known |
//!
//! Whoever takes one of these makes it durable before he answers, ends the connection when he cannot, and answers again what he has
//! already. So letters stand at the other end in the order in which they were written, each once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::message::{Context, ContextHeld, Letter, LetterState, LetterStep};
use crate::ids::{AgreementId, StudyUid};

/// After so long without an answer a line is said again on the same connection.
pub const AGAIN: Duration = Duration::from_secs(120);

/// Lines that may wait for their answer at the same time.
pub const WINDOW: usize = 256;

/// Names one line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    Context(StudyUid, AgreementId, u64),
    Letter(String),
    Read(String),
}

/// The lines said on one connection and not answered yet.
#[derive(Clone, Debug, Default)]
pub struct Saying {
    said: BTreeMap<Line, Duration>,
}

impl Saying {
    /// Nothing said yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether this context is to be said now.
    pub fn context(&mut self, context: &Context, now: Duration) -> bool {
        let (study, agreement) = (context.study.clone(), context.agreement.clone());
        self.due(Line::Context(study, agreement, context.version), now)
    }

    /// Whether this letter is to be said now.
    pub fn letter(&mut self, letter: &Letter, now: Duration) -> bool {
        self.due(Line::Letter(letter.id.clone()), now)
    }

    /// Whether it is to be said now that this letter was read.
    pub fn read(&mut self, id: &str, now: Duration) -> bool {
        self.due(Line::Read(id.to_owned()), now)
    }

    fn due(&mut self, line: Line, now: Duration) -> bool {
        match self.said.get(&line) {
            Some(at) if now.saturating_sub(*at) < AGAIN => return false,
            None if self.said.len() >= WINDOW => return false,
            _ => {}
        }
        self.said.insert(line, now);
        true
    }

    /// A context was heard.
    pub fn held(&mut self, held: &ContextHeld) {
        let (study, agreement) = (held.study.clone(), held.agreement.clone());
        self.said
            .remove(&Line::Context(study, agreement, held.version));
    }

    /// Something was said of a letter.
    pub fn answered(&mut self, state: &LetterState) {
        self.said.remove(&match state.step {
            LetterStep::Held | LetterStep::Read => Line::Letter(state.id.clone()),
            LetterStep::Known => Line::Read(state.id.clone()),
        });
    }
}

/// Words as they are kept and shown: without blanks at their ends, without control characters, and without those that turn the
/// direction of what follows them; cut to `most` characters. Line breaks stay where `lines` says so.
#[must_use]
pub fn plain(text: &str, lines: bool, most: usize) -> String {
    let turns = |c: char| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200B}' | '\u{FEFF}');
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let kept: String = text
        .chars()
        .filter(|c| !turns(*c))
        .map(|c| match c {
            '\n' if lines => '\n',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    let cut: String = kept.trim().chars().take(most).collect();
    cut.trim_end().to_owned()
}

/// The answer to a context that is durable.
#[must_use]
pub fn held(context: &Context) -> ContextHeld {
    ContextHeld {
        study: context.study.clone(),
        agreement: context.agreement.clone(),
        version: context.version,
    }
}
