//! Contexts and letters in memory: what both ends of the pair write, say, hear and remember of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Pipe;
use crate::ids::StudyUid;
use crate::link::codec::Message;
use crate::link::message::{Context, Facts, Letter, LetterState, LetterStep};
use crate::link::talk::{Saying, held};
use crate::time::Timestamp;

#[derive(Clone, Default)]
pub(super) struct Talk {
    /// What is to be said of studies, and whether it was heard.
    pub(super) contexts: BTreeMap<StudyUid, (Context, bool)>,
    /// What the other end said of them.
    pub(super) taken: BTreeMap<StudyUid, Context>,
    /// Own letters, and how far they have come.
    pub(super) out: Vec<(Letter, Option<LetterStep>)>,
    /// The other end's letters; read, and known to be read.
    pub(super) inbox: Vec<(Letter, Option<LetterStep>)>,
    saying: Saying,
}

impl Talk {
    pub(super) fn tell(&mut self, version: u64, question: &str) {
        let context = Context {
            study: "1.2".parse().unwrap(),
            agreement: "a1".parse().unwrap(),
            version,
            facts: Facts {
                question: question.to_owned(),
                ..Facts::default()
            },
        };
        self.contexts
            .insert(context.study.clone(), (context, false));
    }

    pub(super) fn write(&mut self, id: &str) {
        let letter = Letter {
            id: id.to_owned(),
            agreement: "a1".parse().unwrap(),
            case: "33333333".parse().unwrap(),
            written: Timestamp(1),
            who: String::new(),
            text: format!("text of {id}"),
        };
        self.out.push((letter, None));
    }

    /// A person reads everything that is there.
    pub(super) fn read(&mut self) {
        for (_, step) in &mut self.inbox {
            *step = step.or(Some(LetterStep::Read));
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.contexts.values().all(|(_, heard)| *heard)
            && self.out.iter().all(|(_, step)| step.is_some())
            && !self
                .inbox
                .iter()
                .any(|(_, step)| *step == Some(LetterStep::Read))
    }

    pub(super) fn disconnected(&mut self) {
        self.saying = Saying::new();
    }

    /// The other end was restored from a backup: everything is offered again.
    pub(super) fn forgotten(&mut self) {
        self.contexts
            .values_mut()
            .for_each(|(_, heard)| *heard = false);
        self.out.iter_mut().for_each(|(_, step)| *step = None);
        for (_, step) in &mut self.inbox {
            *step = step.map(|_| LetterStep::Read);
        }
    }

    pub(super) fn say(&mut self, now: Duration, pipe: &mut Pipe) {
        for (context, heard) in self.contexts.values() {
            if !heard && self.saying.context(context, now) {
                pipe.say(context.clone());
            }
        }
        for (letter, step) in &self.out {
            if step.is_none() && self.saying.letter(letter, now) {
                pipe.say(letter.clone());
            }
        }
        for (letter, step) in &self.inbox {
            if *step == Some(LetterStep::Read) && self.saying.read(&letter.id, now) {
                pipe.say(state(&letter.id, LetterStep::Read));
            }
        }
    }

    /// Takes a message of these; gives back what is none.
    pub(super) fn hear(&mut self, message: Message, pipe: &mut Pipe) -> Option<Message> {
        match message {
            Message::Context(context) => {
                pipe.say(held(&context));
                let newest = self.taken.get(&context.study).map_or(0, |it| it.version);
                if context.version > newest {
                    self.taken.insert(context.study.clone(), context);
                }
            }
            Message::ContextHeld(answer) => {
                self.saying.held(&answer);
                if let Some((context, heard)) = self.contexts.get_mut(&answer.study) {
                    *heard |= context.version == answer.version;
                }
            }
            Message::Letter(letter) => {
                pipe.say(state(&letter.id, LetterStep::Held));
                if !self.inbox.iter().any(|(one, _)| one.id == letter.id) {
                    self.inbox.push((letter, None));
                }
            }
            Message::LetterState(said) => {
                self.saying.answered(&said);
                let of = match said.step {
                    LetterStep::Known => &mut self.inbox,
                    LetterStep::Held | LetterStep::Read => &mut self.out,
                };
                let own = of.iter_mut().find(|(letter, _)| letter.id == said.id);
                if let Some((_, step)) = own {
                    *step = (*step).max(Some(said.step));
                }
                if said.step == LetterStep::Read {
                    pipe.say(state(&said.id, LetterStep::Known));
                }
            }
            other => return Some(other),
        }
        None
    }
}

fn state(id: &str, step: LetterStep) -> LetterState {
    LetterState {
        id: id.to_owned(),
        step,
        at: Timestamp(2),
    }
}
