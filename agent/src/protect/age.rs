//! The age at the study (0010,1010), computed when an object does not say it: days, weeks and months for infants (practice.md P9).

use jiff::civil::Date;

/// The age on `study_date` of somebody born on `birth_date`, both DA, as AS; none when either is missing or no date, or when the
/// study is older than the patient.
pub(super) fn age(birth_date: &str, study_date: &str) -> Option<String> {
    let (born, then) = (date(birth_date)?, date(study_date)?);
    let days = (then - born).get_days();
    if days < 0 {
        return None;
    }
    let months = (i32::from(then.year()) - i32::from(born.year())) * 12 + i32::from(then.month())
        - i32::from(born.month())
        - i32::from(then.day() < born.day());
    // PS3.5 6.2: three digits and a unit
    Some(match (days, months) {
        (0..28, _) => format!("{days:03}D"),
        (_, 0..3) => format!("{:03}W", days / 7),
        (_, 3..24) => format!("{months:03}M"),
        _ => format!("{:03}Y", (months / 12).min(999)),
    })
}

fn date(text: &str) -> Option<Date> {
    Date::strptime("%Y%m%d", text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn an_age_is_said_in_the_unit_of_its_time_of_life() {
        for (born, then, said) in [
            ("20261101", "20261101", Some("000D")),
            ("20261101", "20261128", Some("027D")),
            ("20261001", "20261115", Some("006W")),
            ("20260115", "20261114", Some("009M")),
            ("20241115", "20261114", Some("023M")),
            ("20241115", "20261115", Some("002Y")),
            ("19551117", "20261116", Some("070Y")),
            ("19551117", "20261117", Some("071Y")),
            ("20270101", "20261117", None),
            ("", "20261117", None),
            ("1955", "20261117", None),
        ] {
            assert_eq!(age(born, then).as_deref(), said, "{born} {then}");
        }
    }
}
