//! The dates of a dataset, which identify where dates leave shifted: found again in texts, in bytes and in UIDs.

use std::collections::BTreeSet;
use std::ops::Range;

use causeway_proto::element::{Header, implicit_vr};
use dicom_core::VR;

/// No dataset has more different dates, or nobody can look for all of them.
const MOST: usize = 4096;

/// Every date that stands in a dataset, as eight digits.
#[derive(Clone, Default)]
pub(super) struct Dates {
    all: BTreeSet<String>,
    /// There are some that are not among them.
    pub(super) more: bool,
}

impl Dates {
    /// Notes the dates of a value of DA or DT.
    pub(super) fn note(&mut self, value: &[u8]) {
        let text = String::from_utf8_lossy(value);
        for one in text.split(['\\', '-']) {
            let digits: String = one
                .chars()
                .filter(|c| *c != '.')
                .take_while(char::is_ascii_digit)
                .take(8)
                .collect();
            if digits.len() < 8 || !("1800".."2200").contains(&digits.get(..4).unwrap_or_default())
            {
                continue;
            }
            self.more |= self.all.len() >= MOST;
            if !self.more {
                self.all.insert(digits);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &String> {
        self.all.iter()
    }

    pub(super) fn contains(&self, date: &str) -> bool {
        self.all.contains(date)
    }

    pub(super) fn append(&mut self, other: &mut Self) {
        self.all.append(&mut other.all);
        self.more |= other.more;
    }

    /// Where these dates stand as eight digits, also inside longer numbers.
    pub(super) fn runs(&self, text: impl Iterator<Item = char>) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut run = String::new();
        for (at, character) in text.enumerate() {
            if !character.is_ascii_digit() {
                run.clear();
                continue;
            }
            if run.len() == 8 {
                run.remove(0);
            }
            run.push(character);
            if run.len() == 8 && self.all.contains(run.as_str()) {
                found.push(at - 7..at + 1);
            }
        }
        found
    }
}

/// Whether an element holds dates.
pub(super) fn is_date(header: &Header) -> bool {
    let of = |vr| matches!(vr, VR::DA | VR::DT);
    of(header.vr) || of(implicit_vr(header.tag))
}
