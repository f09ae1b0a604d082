//! What is so and must not be. Sentences are made of our own words and of numbers alone: they leave the building.

use std::collections::BTreeMap;
use std::time::Duration;

use causeway_observe::{About, Bounds, ChannelState, Finding, Looked};
use causeway_proto::time::Timestamp;

use super::Watched;
use crate::audit;
use crate::delivery::late;
use crate::link;
use crate::observe::alarm;
use crate::observe::queue::{Line, Watchdog};
use crate::rows::Rows;
use crate::spool::{Admission, view, withheld};

/// Since when that is so of which no row says when it began: for as long as this process has seen it.
#[derive(Clone, Debug, Default)]
pub(super) struct Since {
    begun: BTreeMap<&'static str, Timestamp>,
    dog: Watchdog,
    watched: Option<(Timestamp, Vec<Finding>)>,
}

/// How often the queues are looked through: with many objects that is no small question.
const WATCH: Duration = Duration::from_secs(60);

impl Since {
    /// Since when `what` is so; none when it is not.
    fn of(&mut self, what: &'static str, so: bool, now: Timestamp) -> Option<Timestamp> {
        if !so {
            self.begun.remove(what);
            return None;
        }
        let since = self.begun.entry(what).or_insert(now);
        // a clock that was set back
        *since = (*since).min(now);
        Some(*since)
    }

    /// What the watchdog found last: it looks once a minute.
    async fn untried(
        &mut self,
        rows: &Rows,
        line: Line,
        now: Timestamp,
    ) -> Result<Vec<Finding>, String> {
        if let Some((at, found)) = &self.watched
            && *at <= now
            && now.since(*at) < WATCH
        {
            return Ok(found.clone());
        }
        let found = self.dog.look(rows, line, now).await.map_err(refused)?;
        self.watched = Some((now, found.clone()));
        Ok(found)
    }
}

/// One look at everything.
pub(super) async fn all(
    watched: &Watched,
    since: &mut Since,
    bounds: &Bounds,
    channels: &[ChannelState],
) -> Looked {
    let now = watched.clock.now();
    let rows = watched.spool.rows();
    let mut looked = Looked::default();
    let mut refused = None;
    let mut add = |rules: &[&'static str], found: Result<Vec<Finding>, String>| match found {
        Ok(found) => looked.findings.extend(found),
        Err(error) => {
            looked.blind.extend(rules);
            refused = Some(error);
        }
    };
    let line = match &*watched.link.borrow() {
        link::State::Up { since, traffic, .. } => Some((*since, traffic.sent_bytes)),
        _ => None,
    };
    let down = since.of("link", line.is_none(), now);
    add(&["link-down"], link_down(rows, down).await);
    add(&["urgent-held", "object-held"], held(rows).await);
    add(&["object-lost"], lost(rows, now, since).await);
    add(&["report-late"], reports(rows, now).await);
    add(&["untried"], since.untried(rows, line, now).await);
    add(&["audit-doubt"], doubts(rows, now, since).await);
    add(&["disk"], Ok(disk(&watched.spool, now, since)));
    let end = watched.certificate.get();
    add(&["certificate"], Ok(certificate(end, bounds, now)));
    add(&["channel"], Ok(failing(channels)));
    if let Some(error) = &refused {
        tracing::error!(%error, "whether something is wrong is not known");
    }
    let unread = since.of("rows", refused.is_some(), now);
    looked.findings.extend(unread.map(|since| Finding {
        rule: "rows",
        about: About::part("rows"),
        since,
        sentence: "the agent's rows cannot be read: see the log and `doctor`".to_owned(),
        weight: 0,
    }));
    looked
}

fn refused(error: impl std::error::Error) -> String {
    error.to_string()
}

/// The link is down, and what is received or decided here waits for it.
async fn link_down(rows: &Rows, down: Option<Timestamp>) -> Result<Vec<Finding>, String> {
    let Some(since) = down else {
        return Ok(Vec::new());
    };
    let waiting = view::waits_for_link(rows).await.map_err(refused)?;
    if waiting == 0 {
        return Ok(Vec::new());
    }
    Ok(vec![Finding {
        rule: "link-down",
        about: About::part("link"),
        since,
        sentence: format!(
            "the link to the gateway is down with work waiting ({waiting} object(s) or messages): see `status`; the downtime sheet has the fallback"
        ),
        weight: 0,
    }])
}

/// Withheld objects about which nobody has decided, by case. Of an urgent one more objects are told anew.
async fn held(rows: &Rows) -> Result<Vec<Finding>, String> {
    let groups = withheld::undecided(rows).await.map_err(refused)?;
    let mut cases: BTreeMap<_, (u64, Timestamp)> = BTreeMap::new();
    let urgent = alarm::of(&groups);
    for group in groups {
        let case = cases.entry(group.case).or_insert((0, group.since));
        case.0 = case.0.saturating_add(group.count);
        case.1 = case.1.min(group.since);
    }
    let found = cases.into_iter().map(|(case, (count, since))| {
        let priority = urgent.iter().find(|one| one.case == case);
        let level = priority.map_or("", |one| one.priority.as_str());
        let (rule, weight) = match priority {
            Some(_) => ("urgent-held", count),
            None => ("object-held", 0),
        };
        Finding {
            rule,
            about: About::case(&case),
            since,
            sentence: match level {
                "stat" => format!(
                    "{count} object(s) of this STAT study are withheld: decide on the site page"
                ),
                "urgent" => format!(
                    "{count} object(s) of this urgent study are withheld: decide on the site page"
                ),
                _ => {
                    format!("{count} object(s) of this study are withheld: decide on the site page")
                }
            },
            weight,
        }
    });
    Ok(found.collect())
}

/// Objects whose bytes are missing, and those that are refused their rows.
async fn lost(rows: &Rows, now: Timestamp, since: &mut Since) -> Result<Vec<Finding>, String> {
    let (lost, unentered) = view::lost(rows).await.map_err(refused)?;
    let mut found = Vec::new();
    if let Some(since) = since.of("lost", lost > 0, now) {
        found.push(Finding {
            rule: "object-lost",
            about: About::part("bytes"),
            since,
            sentence: format!("the bytes of {lost} received object(s) are missing or damaged: have the PACS send them again; see `held`"),
            weight: lost,
        });
    }
    if let Some(since) = since.of("unentered", unentered > 0, now) {
        found.push(Finding {
            rule: "object-lost",
            about: About::part("rows-refused"),
            since,
            sentence: format!("{unentered} received object(s) are kept and refused their rows, and go nowhere: see `held`"),
            weight: unentered,
        });
    }
    Ok(found)
}

/// Signed reports that the hospital's systems do not have, by case.
async fn reports(rows: &Rows, now: Timestamp) -> Result<Vec<Finding>, String> {
    let late = late::reports(rows, now).await.map_err(refused)?;
    let found = late.into_iter().map(|one| Finding {
        rule: "report-late",
        about: About::case(&one.case),
        since: one.signed,
        sentence: format!(
            "{} signed report(s) of this case are not in the hospital's systems: see `status` and `held`",
            one.reports
        ),
        weight: 0,
    });
    Ok(found.collect())
}

async fn doubts(rows: &Rows, now: Timestamp, since: &mut Since) -> Result<Vec<Finding>, String> {
    let doubts = audit::witness::standing(rows).await.map_err(refused)?;
    let since = since.of("doubt", !doubts.is_empty(), now);
    let found = since.map(|since| Finding {
        rule: "audit-doubt",
        about: About::part("audit"),
        since,
        sentence: "an audit trail went back or was changed: see `doctor`".to_owned(),
        weight: doubts.len() as u64,
    });
    Ok(found.into_iter().collect())
}

fn disk(spool: &crate::spool::Spool, now: Timestamp, since: &mut Since) -> Vec<Finding> {
    let admission = spool.admission();
    let since = since.of("disk", admission != Admission::Open, now);
    let (sentence, weight) = match admission {
        Admission::Full => (
            "nothing is received: the disk is below its hard floor, or promised bytes are missing; see `doctor`",
            2,
        ),
        _ => (
            "the disk is below its soft floor: new associations are turned away; make room",
            1,
        ),
    };
    let found = since.map(|since| Finding {
        rule: "disk",
        about: About::part("disk"),
        since,
        sentence: sentence.to_owned(),
        weight,
    });
    found.into_iter().collect()
}

fn certificate(end: Timestamp, bounds: &Bounds, now: Timestamp) -> Vec<Finding> {
    let before = bounds.of("certificate").unwrap_or_default();
    let since = end.minus(before);
    if now < since {
        return Vec::new();
    }
    vec![Finding {
        rule: "certificate",
        about: About::part("link"),
        since,
        sentence: format!(
            "the certificate of the link ends at {end}; it is renewed by itself while the link is up: see `doctor`"
        ),
        weight: 0,
    }]
}

/// Channels that take nothing: the others say so.
fn failing(channels: &[ChannelState]) -> Vec<Finding> {
    let failing = channels.iter().filter_map(|one| {
        Some(Finding {
            rule: "channel",
            about: About::configured(&one.name),
            since: one.failing_since?,
            sentence: "alarms do not leave by this channel: see `status` and the log".to_owned(),
            weight: 0,
        })
    });
    failing.collect()
}
