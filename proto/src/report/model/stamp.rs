//! A moment as a report states it: to the second, with the offset of the place (PS3.5 6.2, DT).

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::time::Timestamp;

/// A second in time with the offset from UTC of the place where it was noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    at: Timestamp,
    offset_minutes: i16,
}

/// Text that is no DT with an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a date and time with its offset is written YYYYMMDDHHMMSS+HHMM")]
pub struct StampError;

impl Stamp {
    /// A point in time, cut to the second, seen `offset_minutes` east of UTC (kept within the 14 hours of PS3.5 6.2).
    #[must_use]
    pub fn new(at: Timestamp, offset_minutes: i16) -> Self {
        Self {
            at: Timestamp(at.0 - at.0.rem_euclid(1_000_000)),
            offset_minutes: offset_minutes.clamp(-12 * 60, 14 * 60),
        }
    }

    /// As [`Stamp::new`], of a whole second within the offsets that there are; `None` otherwise.
    #[must_use]
    pub const fn exact(at: Timestamp, offset_minutes: i16) -> Option<Self> {
        if at.0 % 1_000_000 != 0 || offset_minutes < -12 * 60 || offset_minutes > 14 * 60 {
            return None;
        }
        Some(Self { at, offset_minutes })
    }

    /// The point in time.
    #[must_use]
    pub fn at(self) -> Timestamp {
        self.at
    }

    /// The offset of the place from UTC, in minutes.
    #[must_use]
    pub fn offset_minutes(self) -> i16 {
        self.offset_minutes
    }

    /// DT with the offset inside the value (PS3.5 6.2).
    #[must_use]
    pub fn dicom_dt(self) -> String {
        let (sign, hours, minutes) = self.offset();
        format!("{}{sign}{hours:02}{minutes:02}", self.local("%Y%m%d%H%M%S"))
    }

    /// As people read it: `2026-03-02 23:10:05 +02:00`.
    #[must_use]
    pub fn spoken(self) -> String {
        let (sign, hours, minutes) = self.offset();
        format!(
            "{} {sign}{hours:02}:{minutes:02}",
            self.local("%Y-%m-%d %H:%M:%S")
        )
    }

    /// DA and TM of the same moment, in the same offset.
    #[must_use]
    pub fn date_and_time(self) -> (String, String) {
        (self.local("%Y%m%d"), self.local("%H%M%S"))
    }

    fn offset(self) -> (char, u16, u16) {
        let sign = if self.offset_minutes < 0 { '-' } else { '+' };
        let minutes = self.offset_minutes.unsigned_abs();
        (sign, minutes / 60, minutes % 60)
    }

    fn local(self, format: &str) -> String {
        let shift = i64::from(self.offset_minutes) * 60_000_000;
        let local = Timestamp(self.at.0.saturating_add(shift)).calendar();
        local.strftime(format).to_string()
    }
}

/// Reads a DT of our own writing: to the second, offset inside.
impl FromStr for Stamp {
    type Err = StampError;

    fn from_str(text: &str) -> Result<Self, StampError> {
        let at = jiff::fmt::strtime::parse("%Y%m%d%H%M%S%z", text)
            .ok()
            .and_then(|broken| broken.to_timestamp().ok())
            .ok_or(StampError)?;
        let offset = text.get(14..).ok_or(StampError)?;
        let (sign, digits) = offset.split_at_checked(1).ok_or(StampError)?;
        let digits: i16 = digits.parse().ok().ok_or(StampError)?;
        let minutes = digits / 100 * 60 + digits % 100;
        Ok(Self::new(
            at.into(),
            if sign == "-" { -minutes } else { minutes },
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_offset_is_part_of_the_value() {
        let at = Timestamp(1_772_478_605_999_999);
        assert_eq!(Stamp::new(at, 120).dicom_dt(), "20260302211005+0200");
        assert_eq!(Stamp::new(at, -210).dicom_dt(), "20260302154005-0330");
        assert_eq!(Stamp::new(at, 0).spoken(), "2026-03-02 19:10:05 +00:00");
        assert_eq!(Stamp::new(at, i16::MAX).dicom_dt(), "20260303091005+1400");
        let date_and_time = ("20260303".to_owned(), "091005".to_owned());
        assert_eq!(Stamp::new(at, 840).date_and_time(), date_and_time);
    }

    #[test]
    fn other_texts_are_no_stamps() {
        for text in [
            "",
            "2026",
            "20260302211005",
            "20260302211005+02",
            "20261302211005+0000",
            "20260302211005+0200x",
        ] {
            assert_eq!(text.parse::<Stamp>(), Err(StampError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_stamp_survives_the_round_trip(second in 0..4_000_000_000_i64, offset in -720..=840_i16) {
            let stamp = Stamp::new(Timestamp(second * 1_000_000), offset);
            prop_assert_eq!(stamp.dicom_dt().parse::<Stamp>(), Ok(stamp));
        }
    }
}
