//! What cannot wait for somebody to look: objects withheld of a STAT or an urgent study, as `status` and the site page show them.
//! [`super::watch`] tells of them.

use causeway_proto::ids::CaseCode;
use serde::{Deserialize, Serialize};

use crate::rows::Rows;
use crate::spool::SpoolError;
use crate::spool::withheld::{self, Group};

/// Objects withheld of one urgent study, about which nobody has decided. Names no patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// The word for the case.
    pub case: CaseCode,
    /// `stat` or `urgent`.
    pub priority: String,
    /// How many objects.
    pub count: u64,
    /// Why the first of them.
    pub reason: String,
}

/// What stands now, the most urgent first.
///
/// # Errors
/// When the rows refuse.
pub async fn standing(rows: &Rows) -> Result<Vec<Alarm>, SpoolError> {
    Ok(of(&withheld::undecided(rows).await?))
}

/// One alarm for each urgent case; groups of a case stand together.
pub(crate) fn of(groups: &[Group]) -> Vec<Alarm> {
    let mut alarms: Vec<Alarm> = Vec::new();
    for group in groups {
        if !matches!(group.priority.as_str(), "stat" | "urgent") {
            continue;
        }
        match alarms.last_mut().filter(|last| last.case == group.case) {
            Some(last) => last.count = last.count.saturating_add(group.count),
            None => alarms.push(Alarm {
                case: group.case.clone(),
                priority: group.priority.clone(),
                count: group.count,
                reason: group.reason.clone(),
            }),
        }
    }
    alarms
}

#[cfg(test)]
mod tests {
    use causeway_proto::random::Random;
    use causeway_proto::time::Timestamp;

    use super::*;
    use crate::spool::Private;

    fn group(case: &str, priority: &str, count: u64) -> Group {
        Group {
            case: case.parse().unwrap(),
            patient: Private::new("Blomqvist^Zoe"),
            class: "1.2.840.10008.5.1.4.1.1.7".to_owned(),
            modality: "OT".to_owned(),
            count,
            reason: "a reason".to_owned(),
            since: Timestamp(0),
            priority: priority.to_owned(),
            released: String::new(),
        }
    }

    fn codes() -> [String; 2] {
        [3, 5].map(|seed| {
            let random = Random::new(move |bytes| bytes.fill(seed));
            CaseCode::draw(&random).to_string()
        })
    }

    #[test]
    fn an_urgent_case_is_one_alarm_and_a_routine_one_is_none() {
        let [a, b] = codes();
        let groups = [
            group(&a, "stat", 2),
            group(&a, "stat", 1),
            group(&b, "routine", 9),
        ];
        let alarms = of(&groups);
        assert_eq!(alarms.len(), 1);
        assert_eq!((alarms[0].case.as_str(), alarms[0].count), (a.as_str(), 3));
        assert!(!format!("{alarms:?}").contains("Blomqvist"));
    }
}
