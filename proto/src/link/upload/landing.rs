//! The gateway's side of one instance stream: the bytes begin where it stopped, stay within the bound, and end where announced.

use super::super::close::Code;
use super::super::message::{Instance, Trailer};

/// The bytes as they are.
pub const CODING_NONE: u16 = 0;
/// The bytes as records of [`crate::coding`].
pub const CODING_RECORDS: u16 = 1;
/// The codings that this version undoes, for HELLO.
pub const CODINGS: [u16; 1] = [CODING_RECORDS];

/// Counts the bytes of one stream, as they are when no coding is left on them. The digest is the archive's to verify, over what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landing {
    next: u64,
    max: u64,
}

impl Landing {
    /// Begins with the first frame; `max` is the largest instance taken, in bytes.
    ///
    /// # Errors
    /// CODING_UNKNOWN, or TOO_LARGE when the offset alone is beyond the bound.
    pub fn begin(instance: &Instance, max: u64) -> Result<Self, Code> {
        if instance.coding != CODING_NONE && !CODINGS.contains(&instance.coding) {
            return Err(Code::CodingUnknown);
        }
        if instance.offset > max {
            return Err(Code::TooLarge);
        }
        Ok(Self {
            next: instance.offset,
            max,
        })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// TOO_LARGE.
    pub fn data(&mut self, length: usize) -> Result<(), Code> {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let next = self.next.saturating_add(length);
        if next > self.max {
            return Err(Code::TooLarge);
        }
        self.next = next;
        Ok(())
    }

    /// How many bytes of the whole there are by now.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.next
    }

    /// Takes the end.
    ///
    /// # Errors
    /// TRUNCATED when fewer bytes came than were announced, BAD_OFFSET when more.
    pub fn trailer(&self, trailer: &Trailer) -> Result<(), Code> {
        match self.next.cmp(&trailer.length) {
            std::cmp::Ordering::Less => Err(Code::Truncated),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(Code::BadOffset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn head(offset: u64, coding: u16) -> Instance {
        Instance {
            study: "1.2".parse().unwrap(),
            series: "1.3".parse().unwrap(),
            instance: "1.4".parse().unwrap(),
            class: "1.5".parse().unwrap(),
            syntax: "1.2.840.10008.1.2.1".parse().unwrap(),
            agreement: "a".parse().unwrap(),
            source_tag: Digest([0; 32]),
            coding,
            offset,
        }
    }

    fn check(offset: u64, data: &[usize], length: u64, expect: Result<(), Code>) {
        let outcome = Landing::begin(&head(offset, 0), 100).and_then(|mut landing| {
            for bytes in data {
                landing.data(*bytes)?;
            }
            landing.trailer(&Trailer {
                length,
                digest: Digest([0; 32]),
            })
        });
        assert_eq!(outcome, expect, "{offset} {data:?} {length}");
    }

    #[test]
    fn bytes_must_end_exactly_where_announced() {
        check(0, &[60, 40], 100, Ok(()));
        check(40, &[60], 100, Ok(()));
        check(100, &[], 100, Ok(()));
        check(0, &[60, 41], 101, Err(Code::TooLarge));
        check(101, &[], 101, Err(Code::TooLarge));
        check(0, &[60], 61, Err(Code::Truncated));
        check(0, &[60], 59, Err(Code::BadOffset));
        assert!(Landing::begin(&head(0, CODING_RECORDS), 100).is_ok());
        assert_eq!(Landing::begin(&head(0, 2), 100), Err(Code::CodingUnknown));
    }
}
