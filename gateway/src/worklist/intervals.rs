//! Days between studies, in words: where the site shifts dates (P11), they are all that is true of them.

use jiff::civil::Date;

use super::study::Study;

/// Where `other` lies, seen from `study`; none when either has no date, or their dates are not shifted alike.
#[must_use]
pub fn interval(study: &Study, other: &Study) -> Option<String> {
    if study.shifted_dates != other.shifted_dates {
        return None;
    }
    Some(words(days(&study.study_date, &other.study_date)?))
}

/// The same for a day that the site has typed and shifted (`2026-03-12`).
#[must_use]
pub(super) fn typed_interval(study: &Study, day: &str) -> Option<String> {
    Some(words(days(&study.study_date, &day.replace('-', ""))?))
}

/// From one day to another; negative when that is the earlier one.
fn days(from: &str, to: &str) -> Option<i32> {
    let date = |text: &str| Date::strptime("%Y%m%d", text).ok();
    Some((date(to)? - date(from)?).get_days())
}

fn words(days: i32) -> String {
    let side = if days < 0 { "before" } else { "after" };
    let count = days.unsigned_abs();
    let about = match count {
        0 => return "on the day of this study".to_owned(),
        1 => return format!("1 day {side} this study"),
        2..=90 => String::new(),
        // of the mean month and year; the days stand beside it
        91..=729 => format!(", about {} months", (count * 100 + 1_522) / 3_044),
        _ => format!(", about {} years", (count * 100 + 18_262) / 36_525),
    };
    format!("{count} days {side} this study{about}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_said_in_days() {
        for (from, to, said) in [
            ("20240312", "20240312", "on the day of this study"),
            ("20240312", "20240311", "1 day before this study"),
            ("20240301", "20240228", "2 days before this study"),
            ("20240312", "20240325", "13 days after this study"),
            (
                "20240312",
                "20230312",
                "366 days before this study, about 12 months",
            ),
            (
                "20240312",
                "20140312",
                "3653 days before this study, about 10 years",
            ),
        ] {
            assert_eq!(words(days(from, to).unwrap()), said, "{from} {to}");
        }
        assert_eq!(days("", "20240312"), None);
        assert_eq!(days("20240312", "20240230"), None);
    }
}
