//! An audit trail in memory and what its keeper holds of the other's: what both ends of the pair say and hear of it.

use std::collections::BTreeMap;

use crate::audit::{Doubt, Head, Record, judge, recollect};
use crate::digest::Digest;
use crate::link::message::AuditHead;
use crate::time::Timestamp;

#[derive(Clone, Default)]
pub(super) struct Trail {
    links: Vec<Digest>,
    pub(super) held: BTreeMap<u64, Digest>,
    pub(super) doubts: Vec<Doubt>,
}

impl Trail {
    pub(super) fn write(&mut self, event: &str) {
        let record = Record {
            seq: i64::try_from(self.links.len() + 1).unwrap(),
            at_us: 0,
            event: event.to_owned(),
            actor: String::new(),
            site: String::new(),
            subject: String::new(),
            detail: String::new(),
        };
        let previous = self.links.last().map_or(String::new(), Digest::to_string);
        self.links.push(record.chain(&previous));
    }

    /// Goes back to what it was after `length` records.
    pub(super) fn cut(&mut self, length: usize) {
        self.links.truncate(length);
    }

    pub(super) fn head(&self) -> Head {
        self.links.last().map_or_else(Head::empty, |digest| Head {
            sequence: u64::try_from(self.links.len()).unwrap(),
            digest: *digest,
        })
    }

    fn at(&self, sequence: u64) -> Option<Head> {
        let index = usize::try_from(sequence.checked_sub(1)?).unwrap();
        let digest = *self.links.get(index)?;
        Some(Head { sequence, digest })
    }

    fn newest(&self) -> Option<Head> {
        let (sequence, digest) = self.held.last_key_value()?;
        Some(Head {
            sequence: *sequence,
            digest: *digest,
        })
    }

    pub(super) fn say(&self, at: Timestamp, again: Option<Head>) -> AuditHead {
        let head = self.head();
        AuditHead {
            sequence: head.sequence,
            digest: head.digest,
            at,
            held: self.newest(),
            again,
        }
    }

    /// Takes what the other end says; the answer, when there is one.
    pub(super) fn hear(&mut self, at: Timestamp, said: &AuditHead) -> Option<AuditHead> {
        let asked = said.again.and_then(|again| {
            let digest = *self.held.get(&again.sequence)?;
            let sequence = again.sequence;
            Some(Head { sequence, digest })
        });
        let newest = self.newest();
        match judge(
            newest.as_ref(),
            &said.head(),
            asked.as_ref(),
            said.again.as_ref(),
        ) {
            Ok(()) => {
                self.held.insert(said.sequence, said.digest);
            }
            Err(doubt) => self.doubts.push(doubt),
        }
        let held = said.held.filter(|_| said.again.is_none())?;
        let head = self.head();
        let again = recollect(&held, self.at(held.sequence).as_ref(), &head);
        let shown = again.unwrap_or_else(|doubt| {
            self.doubts.push(doubt);
            doubt.said()
        });
        Some(self.say(at, Some(shown)))
    }
}
