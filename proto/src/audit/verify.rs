//! Reads a trail back and finds its first bad record. Written apart from what writes it: only the form of the bytes is shared.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use thiserror::Error;

use super::{Head, Stored};
use crate::digest::Digest;

/// What is wrong at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is no record of this number.
    Missing,
    /// A record stands there whose number has no place.
    Surplus,
    /// The record names another one before it than there is.
    Predecessor,
    /// The record is not the one that was chained.
    Changed,
    /// The row cannot be read as a record.
    Unreadable,
    /// Records were cut off the end, or the stored head was changed.
    End,
    /// The record is not the one that a witness remembers.
    Witnessed,
    /// A witness remembers a record here or later; the trail ends before.
    Rewound,
}

impl Why {
    fn words(self) -> &'static str {
        match self {
            Self::Missing => "it is missing",
            Self::Surplus => "another record stands in its place",
            Self::Predecessor => "it does not follow the record before it",
            Self::Changed => "it was changed",
            Self::Unreadable => "it cannot be read",
            Self::End => "the trail does not end where it was last written",
            Self::Witnessed => "it, or one before it, is not what a witness remembers",
            Self::Rewound => "a witness remembers it, and the trail ends before it",
        }
    }
}

/// The first bad record of a trail.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("record {position} of the audit trail: {}", .why.words())]
pub struct Break {
    /// Its number.
    pub position: u64,
    /// What is wrong with it.
    pub why: Why,
    /// The last record that a witness confirms, when `why` is about a witness: what was changed lies behind it.
    pub confirmed: u64,
}

/// Takes the records of a trail in order.
#[derive(Clone, Debug)]
pub struct Verifier {
    taken: u64,
    last: String,
    marks: BTreeMap<u64, Digest>,
    confirmed: u64,
    bytes: String,
}

impl Verifier {
    /// Begins at the first record; `heads` are what witnesses remember.
    #[must_use]
    pub fn new(heads: &[Head]) -> Self {
        let marks = heads.iter().filter(|head| head.sequence > 0);
        Self {
            taken: 0,
            last: String::new(),
            marks: marks.map(|head| (head.sequence, head.digest)).collect(),
            confirmed: 0,
            bytes: String::new(),
        }
    }

    /// How many records were taken.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether this is what a stored head must say after the records taken so far; `NUMBER:LINK`, and `0:` of none.
    #[must_use]
    pub fn ends_at(&self, head: &str) -> bool {
        head.split_once(':')
            .is_some_and(|(number, link)| number.parse() == Ok(self.taken) && link == self.last)
    }

    fn broken(&self, position: u64, why: Why) -> Break {
        Break {
            position,
            why,
            confirmed: self.confirmed,
        }
    }

    /// A row that could not be read stands where the next record should.
    #[must_use]
    pub fn unreadable(&self) -> Break {
        self.broken(self.taken.saturating_add(1), Why::Unreadable)
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// When it is not the one that must follow.
    pub fn take(&mut self, stored: &Stored) -> Result<(), Break> {
        let due = self.taken.saturating_add(1);
        match u64::try_from(stored.record.seq) {
            Ok(seq) if seq == due => {}
            Ok(seq) if seq > due => return Err(self.broken(due, Why::Missing)),
            _ => return Err(self.broken(due, Why::Surplus)),
        }
        if stored.previous != self.last {
            return Err(self.broken(due, Why::Predecessor));
        }
        let link = self.link(stored);
        if stored.chain != link.to_string() {
            return Err(self.broken(due, Why::Changed));
        }
        if let Some(mark) = self.marks.get(&due) {
            if *mark != link {
                return Err(self.broken(due, Why::Witnessed));
            }
            self.confirmed = due;
        }
        self.taken = due;
        self.last.clone_from(&stored.chain);
        Ok(())
    }

    /// SHA-256 over the parts, each as `length:text`.
    fn link(&mut self, stored: &Stored) -> Digest {
        let record = &stored.record;
        let out = &mut self.bytes;
        out.clear();
        let (seq, at) = (record.seq.to_string(), record.at_us.to_string());
        let texts = [&record.event, &record.actor, &record.site];
        let rest = [&record.subject, &record.detail];
        let parts = [&self.last, &seq, &at].into_iter();
        for part in parts.chain(texts).chain(rest) {
            // writing to memory does not fail
            if write!(out, "{}:{part}", part.len()).is_err() {
                out.clear();
            }
        }
        Digest::of(out.as_bytes())
    }

    /// There are no more records. `head` is the head as it is stored beside them, none when it is not there.
    ///
    /// # Errors
    /// When records are missing at the end, or there are more than were written.
    pub fn end(self, head: Option<&str>) -> Result<Head, Break> {
        let fits = match head {
            Some(head) => self.ends_at(head),
            None => self.taken == 0,
        };
        if !fits {
            let written = head
                .and_then(|head| head.split_once(':'))
                .and_then(|(number, _)| number.parse::<u64>().ok())
                .unwrap_or(self.taken);
            let position = written.min(self.taken).saturating_add(1);
            return Err(self.broken(position, Why::End));
        }
        if self.marks.keys().any(|mark| *mark > self.taken) {
            return Err(self.broken(self.taken.saturating_add(1), Why::Rewound));
        }
        let digest = self.last.parse().unwrap_or(Digest([0; 32]));
        Ok(Head {
            sequence: self.taken,
            digest,
        })
    }
}
