//! Dates put back by a constant (PS3.15 E.3.6, Modified Dates): whole days, so that intervals within a patient stay true. Times of day,
//! precision and offsets from UTC stay as they are.

use std::ops::{Range, RangeInclusive};

use jiff::ToSpan as _;
use jiff::civil::Date;

/// How far the dates of a study are put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// Days.
    pub days: u16,
    /// The same in every study of the patient; otherwise this study has it alone (P2).
    pub of_patient: bool,
}

/// Dates of earlier or later years are taken for none.
const YEARS: RangeInclusive<i16> = 1800..=2200;

impl Shift {
    /// A value of DA or DT, each of its values shifted, and how many of them are no dates: these are left empty.
    pub(super) fn value(self, value: &str) -> (String, u32) {
        let mut lost = 0;
        let shifted: Vec<String> = value
            .split('\\')
            .map(|one| match one.trim_matches([' ', '\0']) {
                "" => String::new(),
                one => self.one(one).unwrap_or_else(|| {
                    lost += 1;
                    String::new()
                }),
            })
            .collect();
        (shifted.join("\\"), lost)
    }

    /// A day as people type it into a form: `2026-03-12`.
    #[must_use]
    pub fn day(self, day: &str) -> Option<String> {
        let date = Date::strptime("%Y-%m-%d", day.trim()).ok()?;
        self.put_back(date).map(|date| date.to_string())
    }

    fn put_back(self, date: Date) -> Option<Date> {
        if !YEARS.contains(&date.year()) {
            return None;
        }
        date.checked_sub(i64::from(self.days).days()).ok()
    }

    /// A date, a date with a time, or a range of them (PS3.5 6.2).
    fn one(self, text: &str) -> Option<String> {
        if let Some(until) = text.strip_prefix('-') {
            let (until, rest) = self.point(until)?;
            return rest.is_empty().then(|| format!("-{until}"));
        }
        let (from, rest) = self.point(text)?;
        match rest {
            "" => Some(from),
            "-" => Some(format!("{from}-")),
            _ => {
                let (until, rest) = self.point(rest.strip_prefix('-')?)?;
                rest.is_empty().then(|| format!("{from}-{until}"))
            }
        }
    }

    /// A date, with a time of day and an offset where they stand; and what stands behind them.
    fn point(self, text: &str) -> Option<(String, &str)> {
        if let Some((date, rest)) = dotted(text) {
            let date = self.put_back(date)?;
            return Some((date.strftime("%Y%m%d").to_string(), rest));
        }
        let length = text.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = text.split_at_checked(length)?;
        let (date, time) = digits.split_at_checked(length.min(8))?;
        let part = |range: Range<usize>| -> Option<i8> { date.get(range)?.parse().ok() };
        // of a month its middle is shifted, of a year that of the year: nearer to the truth than its beginning
        let (month, day, form) = match date.len() {
            8 => (part(4..6)?, part(6..8)?, "%Y%m%d"),
            6 => (part(4..6)?, 15, "%Y%m"),
            4 => (7, 1, "%Y"),
            _ => return None,
        };
        let year: i16 = date.get(..4)?.parse().ok()?;
        let shifted = self.put_back(Date::new(year, month, day).ok()?)?;
        let kept = is_time(time).then(|| fraction(time, rest)).flatten()?;
        let (fraction, rest) = rest.split_at_checked(kept)?;
        let (offset, rest) = rest.split_at_checked(offset(rest))?;
        let date = shifted.strftime(form);
        Some((format!("{date}{time}{fraction}{offset}"), rest))
    }
}

/// `1993.08.22`, the form of before 1993 (PS3.5 6.2, note): it leaves in the form of today.
fn dotted(text: &str) -> Option<(Date, &str)> {
    let (date, rest) = text.split_at_checked(10)?;
    let date = Date::strptime("%Y.%m.%d", date).ok()?;
    Some((date, rest))
}

/// Hours, minutes and seconds, as many of them as there are.
fn is_time(time: &str) -> bool {
    let part = |range: Range<usize>, most: u8| match time.get(range) {
        None => true,
        Some(two) => two.parse().is_ok_and(|value: u8| value <= most),
    };
    matches!(time.len(), 0 | 2 | 4 | 6) && part(0..2, 23) && part(2..4, 59) && part(4..6, 60)
}

/// The length of the fraction of a second that `rest` begins with; none when it begins with something else that is no date.
fn fraction(time: &str, rest: &str) -> Option<usize> {
    let Some(digits) = rest.strip_prefix('.') else {
        return Some(0);
    };
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    (time.len() == 6 && (1..=6).contains(&length)).then_some(length + 1)
}

/// The length of the offset from UTC that `rest` begins with. More than 14 hours are the year of a range (PS3.5 6.2, DT).
fn offset(rest: &str) -> usize {
    let Some(digits) = rest.strip_prefix(['+', '-']) else {
        return 0;
    };
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    let value: u16 = digits
        .get(..4)
        .and_then(|four| four.parse().ok())
        .unwrap_or(u16::MAX);
    if length == 4 && value <= 1400 && value % 100 < 60 {
        5
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shifted(value: &str, days: u16) -> (String, u32) {
        let of_patient = true;
        Shift { days, of_patient }.value(value)
    }

    #[test]
    fn dates_go_back_by_whole_days_and_times_stay() {
        for (value, days, expect) in [
            ("20240312", 1, "20240311"),
            ("20240301", 1, "20240229"),
            ("20230301", 1, "20230228"),
            ("20240229", 366, "20230228"),
            ("20240229", 365, "20230301"),
            ("20000301", 1, "20000229"),
            ("19000301", 1, "19000228"),
            ("20000101", 1, "19991231"),
            ("21000101", 3650, "20900103"),
            ("20240101", 3650, "20140103"),
            ("18000101", 1, "17991231"),
            ("2024.03.12", 12, "20240229"),
            ("20240312 ", 1, "20240311"),
            ("20240312\0", 1, "20240311"),
            ("20240312101500", 1, "20240311101500"),
            ("20240312101500.123456", 1, "20240311101500.123456"),
            ("20240312101500.1+0200", 1, "20240311101500.1+0200"),
            ("20240301003000-0500", 1, "20240229003000-0500"),
            ("2024031210", 1, "2024031110"),
            ("202403", 30, "202402"),
            ("202403", 1, "202403"),
            ("202401", 15, "202312"),
            ("2024", 365, "2023"),
            ("2024", 3650, "2014"),
            ("2024-0500", 365, "2023-0500"),
            ("", 1, ""),
            ("20240312\\20240313", 1, "20240311\\20240312"),
            ("20240312\\\\20240314", 1, "20240311\\\\20240313"),
            ("20240301-20240312", 1, "20240229-20240311"),
            ("-20240312", 1, "-20240311"),
            ("20240312-", 1, "20240311-"),
            (
                "20240301-0100-20240312-0100",
                1,
                "20240229-0100-20240311-0100",
            ),
            ("2024-2025", 365, "2023-2024"),
        ] {
            assert_eq!(shifted(value, days), (expect.to_owned(), 0), "{value}");
        }
    }

    #[test]
    fn what_is_no_date_is_left_empty() {
        for value in [
            "20240230",
            "20230229",
            "21000229",
            "00000000",
            "99991231",
            "20241301",
            "yesterday",
            "12.03.2024",
            "2024-03-12",
            "20240312x",
            "202403121",
            "2024031225",
            "20240312106100",
            "20240312.5",
            "20240312101500.",
            "20240312+",
            "20240301-20240230",
            "--20240312",
            "２０２４０３１２",
            "é",
        ] {
            assert_eq!(shifted(value, 1), (String::new(), 1), "{value}");
        }
        let some = shifted("20240312\\never\\20240314", 1);
        assert_eq!(some, ("20240311\\\\20240313".to_owned(), 1));
    }

    #[test]
    fn intervals_stay() {
        let date = |text: &str| Date::strptime("%Y%m%d", text).unwrap();
        for days in [1, 28, 365, 366, 3650] {
            for (first, second) in [("20240228", "20240301"), ("19991231", "20000301")] {
                let (a, b) = (shifted(first, days).0, shifted(second, days).0);
                let between = |a: &str, b: &str| (date(b) - date(a)).get_days();
                assert_eq!(between(&a, &b), between(first, second), "{days}");
            }
        }
    }

    #[test]
    fn a_typed_day_is_shifted_or_none() {
        let shift = Shift {
            days: 13,
            of_patient: true,
        };
        assert_eq!(shift.day("2024-03-12").as_deref(), Some("2024-02-28"));
        assert_eq!(shift.day("12.3.2024"), None);
    }
}
