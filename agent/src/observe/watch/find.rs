//! What is so and must not be. Sentences are made of our own words and of numbers alone: they leave the building.

use std::collections::BTreeMap;
use std::time::Duration;

use causeway_observe::{
    About, Asking, Bounds, ChannelState, Entry, Finding, Holding, Judged, LISTED, Program, Since,
};
use causeway_proto::time::Timestamp;

use super::{Watched, book};
use crate::audit;
use crate::delivery::late;
use crate::link;
use crate::observe::alarm;
use crate::observe::queue::{Line, Watchdog};
use crate::rows::Rows;
use crate::spool::{Admission, view, withheld};

/// What is looked at, and what was seen of it.
#[derive(Debug)]
pub struct Looking {
    watched: Watched,
    since: Since,
    holding: Holding,
    dog: Watchdog,
    queues: Option<(Timestamp, Vec<Finding>)>,
}

/// How often the queues are looked through: with many objects that is no small question.
const WATCH: Duration = Duration::from_secs(60);

impl Looking {
    pub(super) fn new(watched: Watched) -> Self {
        Self {
            watched,
            since: Since::default(),
            holding: Holding::default(),
            dog: Watchdog::default(),
            queues: None,
        }
    }

    /// What the watchdog found last: it looks once a minute.
    async fn untried(
        &mut self,
        line: Line,
        bounds: &Bounds,
        now: Timestamp,
    ) -> Result<Vec<Finding>, String> {
        let Some(bound) = bounds.of("untried") else {
            return Ok(Vec::new());
        };
        if let Some((at, found)) = &self.queues
            && *at <= now
            && now.since(*at) < WATCH
        {
            return Ok(found.clone());
        }
        let rows = self.watched.spool.rows();
        let found = self.dog.look(rows, line, bound, now).await;
        let found = found.map_err(refused)?;
        self.queues = Some((now, found.clone()));
        Ok(found)
    }
}

impl Program for Looking {
    type Refused = sqlx::Error;

    const AT_HAND: &'static [&'static str] = &["disk", "certificate"];

    fn at_hand(&mut self, bounds: &Bounds, now: Timestamp) -> Vec<Finding> {
        let disk = disk(&self.watched.spool, now, &mut self.since);
        let end = self.watched.certificate.get();
        disk.into_iter()
            .chain(certificate(end, bounds, now))
            .collect()
    }

    async fn ask(&mut self, asking: &mut Asking, bounds: &Bounds, now: Timestamp) {
        let (up, sent) = match &*self.watched.link.borrow() {
            link::State::Up { since, traffic, .. } => (Some(*since), Some(traffic.sent_bytes)),
            _ => (None, None),
        };
        self.holding.note(up, now);
        let (up, down) = (self.holding.up(), self.holding.down());
        let rows = self.watched.spool.rows().clone();
        asking.ask(&["link-down"], link_down(&rows, down)).await;
        let (withheld, mut whole) = (["urgent-held", "object-held"], true);
        asking.ask(&withheld, held(&rows, &mut whole)).await;
        if !whole {
            asking.more(&withheld);
        }
        let lost = lost(&rows, now, &mut self.since);
        asking.ask(&["object-lost"], lost).await;
        let reports = reports(&rows, bounds, now);
        asking.ask(&["report-late"], reports).await;
        let doubts = doubts(&rows, now, &mut self.since);
        asking.ask(&["audit-doubt"], doubts).await;
        let untried = self.untried(Line { up, sent }, bounds, now);
        asking.ask(&["untried"], untried).await;
    }

    async fn standing(&self) -> Result<Vec<Entry>, sqlx::Error> {
        book::standing(self.watched.spool.rows()).await
    }

    async fn keep(&self, owed: &Judged, _channels: &[ChannelState]) -> Result<(), sqlx::Error> {
        book::keep(self.watched.spool.rows(), owed).await
    }
}

fn refused(error: impl std::error::Error) -> String {
    error.to_string()
}

/// The link is down, or does not hold, and what is received or decided here waits for it.
async fn link_down(rows: &Rows, down: Option<Timestamp>) -> Result<Vec<Finding>, String> {
    let Some(since) = down else {
        return Ok(Vec::new());
    };
    let waiting = view::waits_for_link(rows).await.map_err(refused)?;
    if waiting == 0 {
        return Ok(Vec::new());
    }
    let sentence = format!(
        "the link to the gateway is down, or does not hold, with work waiting ({waiting} object(s) or messages): see `status`; the downtime sheet has the fallback"
    );
    let about = About::part("link");
    Ok(vec![Finding::new("link-down", about, since, sentence)])
}

/// Withheld objects about which nobody has decided, by case. Of an urgent one more objects are told anew. `whole`: whether that is all of
/// them.
async fn held(rows: &Rows, whole: &mut bool) -> Result<Vec<Finding>, String> {
    let groups = withheld::undecided(rows).await.map_err(refused)?;
    *whole = groups.len() < LISTED;
    let mut cases: BTreeMap<_, (u64, Timestamp)> = BTreeMap::new();
    let urgent = alarm::of(&groups);
    for group in groups {
        let case = cases.entry(group.case).or_insert((0, group.since));
        case.0 = case.0.saturating_add(group.count);
        case.1 = case.1.min(group.since);
    }
    let found = cases.into_iter().map(|(case, (count, since))| {
        let priority = urgent.iter().find(|one| one.case == case);
        let (rule, level, weight) = match priority.map(|one| one.priority.as_str()) {
            Some("stat") => ("urgent-held", "STAT study", count),
            Some(_) => ("urgent-held", "urgent study", count),
            None => ("object-held", "study", 0),
        };
        let sentence =
            format!("{count} object(s) of this {level} are withheld: decide on the site page");
        Finding::new(rule, About::case(&case), since, sentence).weighing(weight)
    });
    Ok(found.collect())
}

/// Objects whose bytes are missing, and those that are refused their rows.
async fn lost(rows: &Rows, now: Timestamp, since: &mut Since) -> Result<Vec<Finding>, String> {
    let (lost, unentered) = view::lost(rows).await.map_err(refused)?;
    let mut found = Vec::new();
    if let Some(since) = since.of("lost", lost > 0, now) {
        let sentence = format!(
            "the bytes of {lost} received object(s) are missing or damaged: have the PACS send them again; see `held`"
        );
        let about = About::part("bytes");
        found.push(Finding::new("object-lost", about, since, sentence).weighing(lost));
    }
    if let Some(since) = since.of("unentered", unentered > 0, now) {
        let sentence = format!(
            "{unentered} received object(s) are kept and refused their rows, and go nowhere: see `held`"
        );
        let about = About::part("rows-refused");
        found.push(Finding::new("object-lost", about, since, sentence).weighing(unentered));
    }
    Ok(found)
}

/// Signed reports that the hospital's systems do not have, by case. One more that is late is told although somebody knows of the first.
async fn reports(rows: &Rows, bounds: &Bounds, now: Timestamp) -> Result<Vec<Finding>, String> {
    let bound = bounds.of("report-late").unwrap_or_default();
    let late = late::reports(rows, bound, now).await.map_err(refused)?;
    let found = late.into_iter().map(|one| {
        let sentence = format!(
            "{} signed report(s) of this case are not in the hospital's systems: see `status` and `held`",
            one.reports
        );
        let found = Finding::new("report-late", About::case(&one.case), one.signed, sentence);
        found.weighing(one.late)
    });
    Ok(found.collect())
}

async fn doubts(rows: &Rows, now: Timestamp, since: &mut Since) -> Result<Vec<Finding>, String> {
    let doubts = audit::witness::standing(rows).await.map_err(refused)?;
    let since = since.of("doubt", !doubts.is_empty(), now);
    let sentence = "an audit trail went back or was changed: see `doctor`";
    let found = since.map(|since| {
        let found = Finding::new("audit-doubt", About::part("audit"), since, sentence);
        found.weighing(doubts.len() as u64)
    });
    Ok(found.into_iter().collect())
}

fn disk(spool: &crate::spool::Spool, now: Timestamp, since: &mut Since) -> Option<Finding> {
    let admission = spool.admission();
    let since = since.of("disk", admission != Admission::Open, now)?;
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
    Some(Finding::new("disk", About::part("disk"), since, sentence).weighing(weight))
}

fn certificate(end: Timestamp, bounds: &Bounds, now: Timestamp) -> Option<Finding> {
    let since = end.minus(bounds.of("certificate")?);
    let sentence = format!(
        "the certificate of the link ends at {end}; it is renewed by itself while the link is up: see `doctor`"
    );
    (since <= now).then(|| Finding::new("certificate", About::part("link"), since, sentence))
}
