//! Contexts and letters on one connection: ours are said until they are heard, those of readers are durable before they are answered.

use std::time::Duration;

use causeway_proto::link::codec::Message;
use causeway_proto::link::talk::Saying;

use crate::spool::Spool;
use crate::talk::{Talk, TalkError};

/// What was said on this connection.
#[derive(Debug)]
pub(super) struct Talking {
    talk: Talk,
    saying: Saying,
}

/// Whether a message was one of these.
pub(super) enum Heard {
    /// It was, and this is the answer to it.
    Taken(Option<Message>),
    /// It was not.
    Other(Message),
}

impl Talking {
    pub(super) fn new(spool: Spool) -> Self {
        Self {
            talk: Talk::new(spool),
            saying: Saying::new(),
        }
    }

    /// Appends to `say` what the gateway has not heard; `now` counts from the beginning of the connection.
    ///
    /// # Errors
    /// When the rows refuse.
    pub(super) async fn look(
        &mut self,
        now: Duration,
        say: &mut Vec<Message>,
    ) -> Result<(), TalkError> {
        for context in self.talk.contexts_to_say().await? {
            if self.saying.context(&context, now) {
                say.push(context.into());
            }
        }
        for letter in self.talk.letters_to_say().await? {
            if self.saying.letter(&letter, now) {
                say.push(letter.into());
            }
        }
        for state in self.talk.readings_to_say().await? {
            if self.saying.read(&state.id, now) {
                say.push(state.into());
            }
        }
        Ok(())
    }

    /// Takes a message of these.
    ///
    /// # Errors
    /// When the rows refuse: the gateway says it again on the next connection.
    pub(super) async fn hear(&mut self, message: Message) -> Result<Heard, TalkError> {
        let answer = match message {
            Message::ContextHeld(held) => {
                self.saying.held(&held);
                self.talk.context_held(&held).await?;
                None
            }
            Message::Letter(letter) => self.talk.take(&letter).await?.map(Message::from),
            Message::LetterState(state) => {
                self.saying.answered(&state);
                self.talk.heard(&state).await?.map(Message::from)
            }
            other => return Ok(Heard::Other(other)),
        };
        Ok(Heard::Taken(answer))
    }
}
