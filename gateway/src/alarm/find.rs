//! What is so and must not be. Sentences are made of our own words and of numbers alone: they leave the building.

use std::collections::BTreeMap;
use std::time::Duration;

use causeway_observe::{About, Bounds, ChannelState, Finding, Looked};
use causeway_proto::time::Timestamp;

use super::Watched;
use super::queue::Watchdog;
use super::rules::{QUESTIONS, Question, WAITS_FOR_SITE};
use crate::archive::floor::{Floor, Level};
use crate::rows::Rows;

/// What is older is nobody's news any more.
const LONG_AGO: Duration = Duration::from_secs(30 * 24 * 3600);

/// Since when that is so of which no row says when it began: for as long as this process has seen it.
#[derive(Clone, Debug)]
pub(super) struct Since {
    begun: Timestamp,
    seen: BTreeMap<&'static str, Timestamp>,
    /// Since when a site is not connected; one that never was: since the process began.
    away: BTreeMap<String, Timestamp>,
    connected: BTreeMap<String, Timestamp>,
    dog: Watchdog,
    watched: Option<(Timestamp, Vec<Finding>)>,
}

/// How often the queues are looked through.
const WATCH: Duration = Duration::from_secs(60);

impl Since {
    pub(super) fn new(begun: Timestamp) -> Self {
        Self {
            begun,
            seen: BTreeMap::new(),
            away: BTreeMap::new(),
            connected: BTreeMap::new(),
            dog: Watchdog::default(),
            watched: None,
        }
    }

    /// Since when `what` is so; none when it is not.
    fn of(&mut self, what: &'static str, so: bool, now: Timestamp) -> Option<Timestamp> {
        if !so {
            self.seen.remove(what);
            return None;
        }
        let since = self.seen.entry(what).or_insert(now);
        // a clock that was set back
        *since = (*since).min(now);
        Some(*since)
    }

    /// Takes note of who is connected now.
    fn connected(&mut self, now: BTreeMap<String, Timestamp>, at: Timestamp) {
        let gone = self
            .connected
            .keys()
            .filter(|site| !now.contains_key(*site));
        self.away.extend(gone.map(|site| (site.clone(), at)));
        self.connected = now;
    }

    /// What the watchdog found last: it looks once a minute.
    async fn untried(&mut self, rows: &Rows, now: Timestamp) -> Result<Vec<Finding>, sqlx::Error> {
        if let Some((at, found)) = &self.watched
            && *at <= now
            && now.since(*at) < WATCH
        {
            return Ok(found.clone());
        }
        let found = self.dog.look(rows, &self.connected, now).await?;
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
    let parts = &watched.parts;
    let (rows, now) = (&parts.rows, parts.clock.now());
    let mut looked = Looked::default();
    let mut refused = None;
    let mut add = |rule: &'static str, found: Result<Vec<Finding>, sqlx::Error>| match found {
        Ok(found) => looked.findings.extend(found),
        Err(error) => {
            looked.blind.push(rule);
            refused = Some(error);
        }
    };
    let connected = watched.sites.connected().await.into_iter();
    let connected = connected.map(|one| (one.site.as_str().to_owned(), one.since));
    let connected = connected.collect();
    since.connected(connected, now);
    add("link-down", away(rows, since, now).await);
    add("untried", since.untried(rows, now).await);
    for question in QUESTIONS {
        add(question.rule, asked(rows, question, now).await);
    }
    add("disk", Ok(disk(&watched.archive.floor, since, now)));
    let ends = watched.certificates.ends();
    add("certificate", Ok(certificates(ends, since, bounds, now)));
    add("channel", Ok(failing(channels)));
    if let Some(error) = &refused {
        tracing::error!(%error, "whether something is wrong is not known");
    }
    let unread = since.of("rows", refused.is_some(), now);
    looked.findings.extend(unread.map(|since| Finding {
        rule: "rows",
        about: About::part("rows"),
        since,
        sentence: "the gateway's rows cannot be read: see the log and `doctor`".to_owned(),
        weight: 0,
    }));
    looked
}

pub(super) async fn asked(
    rows: &Rows,
    question: &Question,
    now: Timestamp,
) -> Result<Vec<Finding>, sqlx::Error> {
    let mut asking = sqlx::query_as(question.sql);
    if question.sql.contains("$1") {
        asking = asking.bind(now.minus(LONG_AGO).0);
    }
    let found: Vec<(String, i64, i64)> = asking.fetch_all(rows.read()).await?;
    let found = found.into_iter().map(|(about, since, count)| {
        let count = u64::try_from(count).unwrap_or(0);
        Finding {
            rule: question.rule,
            about: About::kept(about),
            since: Timestamp(since),
            sentence: format!("{count} {}", question.sentence),
            weight: if question.grows { count } else { 0 },
        }
    });
    Ok(found.collect())
}

/// Sites that are not connected, and for which something waits.
async fn away(rows: &Rows, since: &mut Since, now: Timestamp) -> Result<Vec<Finding>, sqlx::Error> {
    let waiting: Vec<(String, i64)> = sqlx::query_as(WAITS_FOR_SITE)
        .fetch_all(rows.read())
        .await?;
    let begun = since.begun.min(now);
    let away = waiting
        .into_iter()
        .filter(|(site, _)| !since.connected.contains_key(site));
    let found = away.map(|(site, count)| Finding {
        rule: "link-down",
        since: since.away.get(&site).copied().unwrap_or(begun).min(now),
        about: About::kept(site),
        sentence: format!(
            "this site is not connected, with work waiting ({count} document(s), letters or parts): call the site"
        ),
        weight: 0,
    });
    Ok(found.collect())
}

fn disk(floor: &Floor, since: &mut Since, now: Timestamp) -> Vec<Finding> {
    let level = floor.level();
    let since = since.of("disk", level != Level::Room, now);
    let (sentence, weight) = match level {
        Level::Full => (
            "no instances are taken: the disk is below its hard floor",
            2,
        ),
        _ => (
            "the disk is below its soft floor: new instances are put off; make room",
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

fn certificates(
    ends: Vec<(&'static str, Option<Timestamp>)>,
    since: &mut Since,
    bounds: &Bounds,
    now: Timestamp,
) -> Vec<Finding> {
    let before = bounds.of("certificate").unwrap_or_default();
    let mut found = Vec::new();
    for (what, end) in ends {
        let (since, sentence) = match end {
            Some(end) if now < end.minus(before) => continue,
            Some(end) => (
                end.minus(before),
                format!("this certificate ends at {end}: see `doctor`"),
            ),
            None => {
                let Some(since) = since.of(what, true, now) else {
                    continue;
                };
                let sentence = "this certificate cannot be read: see `doctor`";
                (since, sentence.to_owned())
            }
        };
        found.push(Finding {
            rule: "certificate",
            about: About::part(what),
            since,
            sentence,
            weight: 0,
        });
    }
    found
}

/// Channels that take nothing: the others say so.
fn failing(channels: &[ChannelState]) -> Vec<Finding> {
    let failing = channels.iter().filter_map(|one| {
        Some(Finding {
            rule: "channel",
            about: About::configured(&one.name),
            since: one.failing_since?,
            sentence: "alarms do not leave by this channel: see the log and `alarms`".to_owned(),
            weight: 0,
        })
    });
    failing.collect()
}
