//! What cannot wait for somebody to look: objects withheld of a STAT or an urgent study. Told in the log when they appear or become
//! more, and again every hour until a person has decided; shown by `status` and on the site page for as long.

use std::collections::BTreeMap;
use std::time::Duration;

use causeway_proto::ids::CaseCode;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::rows::Rows;
use crate::spool::SpoolError;
use crate::spool::withheld::{self, Group};

/// How often the rows are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How often an alarm is told again.
const AGAIN: Duration = Duration::from_secs(3600);

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

/// What was told, when, and how much it was.
#[derive(Debug, Default)]
struct Told(BTreeMap<String, (Instant, u64)>);

impl Told {
    /// Those of `standing` that are to be told at `now`: new ones, ones that have grown, ones that stand for an hour.
    fn due(&mut self, standing: Vec<Alarm>, now: Instant) -> Vec<Alarm> {
        self.0
            .retain(|case, _| standing.iter().any(|it| it.case.as_str() == case));
        let mut due = Vec::new();
        for alarm in standing {
            let before = self.0.get(alarm.case.as_str());
            let quiet =
                before.is_some_and(|(at, count)| now < *at + AGAIN && alarm.count <= *count);
            if !quiet {
                let case = alarm.case.as_str().to_owned();
                self.0.insert(case, (now, alarm.count));
                due.push(alarm);
            }
        }
        due
    }
}

/// Tells until `cancel` fires.
pub async fn run(rows: Rows, cancel: CancellationToken) {
    let mut told = Told::default();
    while !cancel.is_cancelled() {
        match standing(&rows).await {
            Ok(standing) => told.due(standing, Instant::now()).iter().for_each(tell),
            Err(error) => {
                tracing::error!(%error, "whether an urgent study is withheld is not known")
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = cancel.cancelled() => {}
        }
    }
}

fn tell(alarm: &Alarm) {
    let Alarm {
        case,
        priority,
        count,
        reason,
    } = alarm;
    tracing::error!(%case, priority, count, reason, "ALARM: objects of an urgent study are withheld; decide on the site page");
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

    #[test]
    fn it_is_told_once_then_when_it_grows_then_every_hour_and_not_when_it_is_over() {
        let [a, _] = codes();
        let (mut told, start) = (Told::default(), Instant::now());
        let minutes = |n: u64| start + Duration::from_secs(60 * n);
        let mut due = |count, at| told.due(of(&[group(&a, "urgent", count)]), at).len();
        assert_eq!(due(1, minutes(0)), 1);
        assert_eq!(due(1, minutes(1)), 0);
        assert_eq!(due(2, minutes(2)), 1, "it has grown");
        assert_eq!(due(1, minutes(3)), 0);
        assert_eq!(due(1, minutes(62)), 1, "an hour later");
        assert!(told.due(Vec::new(), minutes(63)).is_empty());
        assert_eq!(
            told.due(of(&[group(&a, "urgent", 1)]), minutes(64)).len(),
            1,
            "it came back"
        );
    }
}
