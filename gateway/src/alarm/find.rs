//! What is so and must not be. Sentences are made of our own words and of numbers alone: they leave the building.

use std::collections::BTreeMap;
use std::time::Duration;

use causeway_observe::{
    About, Asking, Bounds, ChannelState, Entry, Finding, Holding, Judged, Program, Since,
};
use causeway_proto::time::Timestamp;

use super::rules::{QUESTIONS, Question, WAITS_FOR_SITE};
use super::{End, Watched, book, queue};
use crate::archive::floor::{Floor, Level};
use crate::link::Sites;
use crate::rows::Rows;

/// What is looked at, and what was seen of it.
#[derive(Debug)]
pub struct Looking {
    watched: Watched,
    begun: Timestamp,
    since: Since,
    /// How the connections of sites stand; one that never was is away since the process began.
    sites: BTreeMap<String, Holding>,
    queues: Option<(Timestamp, Vec<Finding>)>,
}

/// How often the queues are looked through.
const WATCH: Duration = Duration::from_secs(60);

impl Looking {
    pub(super) fn new(watched: Watched) -> Self {
        Self {
            begun: watched.parts.clock.now(),
            watched,
            since: Since::default(),
            sites: BTreeMap::new(),
            queues: None,
        }
    }

    /// Takes note of who is connected now.
    fn note(&mut self, connected: &BTreeMap<String, Timestamp>, now: Timestamp) {
        for site in connected.keys() {
            self.sites.entry(site.clone()).or_default();
        }
        for (site, holding) in &mut self.sites {
            holding.note(connected.get(site).copied(), now);
        }
    }

    /// Sites that are not connected, or not for long, and for which something waits.
    async fn away(&mut self, now: Timestamp) -> Result<Vec<Finding>, sqlx::Error> {
        let connected = connected(&self.watched.sites).await;
        self.note(&connected, now);
        let waiting: Vec<(String, i64)> = sqlx::query_as(WAITS_FOR_SITE)
            .fetch_all(self.watched.parts.rows.read())
            .await?;
        let begun = self.begun.min(now);
        let found = waiting.into_iter().filter_map(|(site, count)| {
            let since = self.sites.get(&site).map_or(Some(begun), Holding::down)?;
            let sentence = format!(
                "this site is not connected, or does not stay so, with work waiting ({count} document(s), letters or parts): call the site"
            );
            Some(Finding::new("link-down", About::kept(site), since, sentence))
        });
        Ok(found.collect())
    }

    /// What the watchdog found last: it looks once a minute.
    async fn untried(
        &mut self,
        bounds: &Bounds,
        now: Timestamp,
    ) -> Result<Vec<Finding>, sqlx::Error> {
        let Some(bound) = bounds.of("untried") else {
            return Ok(Vec::new());
        };
        if let Some((at, found)) = &self.queues
            && *at <= now
            && now.since(*at) < WATCH
        {
            return Ok(found.clone());
        }
        let rows = &self.watched.parts.rows;
        let found = queue::look(rows, &self.sites, self.begun, bound, now).await?;
        self.queues = Some((now, found.clone()));
        Ok(found)
    }
}

/// Which sites are connected, each since when.
async fn connected(sites: &Sites) -> BTreeMap<String, Timestamp> {
    let connected = sites.connected().await.into_iter();
    let connected = connected.map(|one| (one.site.as_str().to_owned(), one.since));
    connected.collect()
}

impl Program for Looking {
    type Refused = sqlx::Error;

    const AT_HAND: &'static [&'static str] = &["disk", "certificate"];

    fn at_hand(&mut self, bounds: &Bounds, now: Timestamp) -> Vec<Finding> {
        let disk = disk(&self.watched.archive.floor, &mut self.since, now);
        let ends = self.watched.certificates.ends();
        let ending = ends
            .into_iter()
            .filter_map(|end| certificate(end, &mut self.since, bounds, now));
        disk.into_iter().chain(ending).collect()
    }

    async fn ask(&mut self, asking: &mut Asking, bounds: &Bounds, now: Timestamp) {
        asking.ask(&["link-down"], self.away(now)).await;
        let rows = self.watched.parts.rows.clone();
        for question in QUESTIONS {
            let asked = asked(&rows, question, bounds, now);
            asking.ask(&[question.rule], asked).await;
        }
        asking.ask(&["untried"], self.untried(bounds, now)).await;
    }

    async fn standing(&self) -> Result<Vec<Entry>, sqlx::Error> {
        book::standing(&self.watched.parts.rows).await
    }

    async fn keep(&self, owed: &Judged, channels: &[ChannelState]) -> Result<(), sqlx::Error> {
        let rows = &self.watched.parts.rows;
        book::keep(rows, owed).await?;
        book::keep_channels(rows, channels).await
    }
}

pub(super) async fn asked(
    rows: &Rows,
    question: &Question,
    bounds: &Bounds,
    now: Timestamp,
) -> Result<Vec<Finding>, sqlx::Error> {
    let mut asking = sqlx::query_as(question.sql);
    if question.timed {
        let bound = bounds.of(question.rule).unwrap_or_default();
        asking = asking.bind(now.minus(bound).0).bind(now.0);
    }
    let found: Vec<(String, i64, i64)> = asking.fetch_all(rows.read()).await?;
    let found = found.into_iter().map(|(about, since, count)| {
        // it is there, although none of it may count yet
        let count = u64::try_from(count).unwrap_or(0).max(1);
        let sentence = format!("{count} {}", question.sentence);
        let found = Finding::new(
            question.rule,
            About::kept(about),
            Timestamp(since),
            sentence,
        );
        found.weighing(if question.grows { count } else { 0 })
    });
    Ok(found.collect())
}

fn disk(floor: &Floor, since: &mut Since, now: Timestamp) -> Option<Finding> {
    let level = floor.level();
    let since = since.of("disk", level != Level::Room, now)?;
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
    Some(Finding::new("disk", About::part("disk"), since, sentence).weighing(weight))
}

fn certificate(
    (what, end): End,
    since: &mut Since,
    bounds: &Bounds,
    now: Timestamp,
) -> Option<Finding> {
    let before = bounds.of("certificate")?;
    let unread = since.of(what, end.is_none(), now);
    let (since, sentence) = match end {
        Some(end) => (
            end.minus(before),
            format!("this certificate ends at {end}: see `doctor`"),
        ),
        None => (
            unread?,
            "this certificate cannot be read: see `doctor`".to_owned(),
        ),
    };
    (since <= now).then(|| Finding::new("certificate", About::part(what), since, sentence))
}
