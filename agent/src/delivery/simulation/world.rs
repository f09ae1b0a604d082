//! An agent's deliveries over real rows and a spool, with the gateway before them and the PACS behind, and all that moves them.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::task::Poll;

use anyhow::ensure;
use causeway_proto::link::message::DeliveryState;
use futures::future::BoxFuture;

use super::super::tests::{destination, fonts, open_with, rehomed};
use super::super::{
    AcceptError, Deliveries, Destination, PageImage, Ruling, SITE, SR, Untold, restoring, work,
};
use super::pacs::Pacs;
use super::papers::{Paper, cases};
use super::seen::{Key, Seen};
use crate::restore::sample::reader;
use crate::spool::Config;
use crate::spool::tests::{Bench, What};

/// The destinations of every run.
pub(super) const NAMES: [&str; 2] = ["archive", "pacs"];

/// What happens.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// A report comes: of which case, which one, and in which way.
    Arrive(usize, usize, Way),
    /// The worker of a destination goes on.
    Offer(usize),
    /// The worker that finds out whose reports are goes on.
    Find,
    /// A person has a case offered again.
    Retry(usize),
    /// A person decides about a report.
    Rule(i64, Ruling),
    /// A person has seen a withdrawal.
    Acknowledge(i64),
    /// The link says what is to be told; so many of the words arrive.
    Say(usize),
    /// The gateway's answer to a word arrives.
    Noted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Whole,
    /// Some byte of it is another.
    Damaged,
    /// With a list of revoked signers whose time is over.
    Late,
}

type Work = BoxFuture<'static, anyhow::Result<bool>>;

/// What came of it.
pub(super) enum Came {
    Accepted(Way, Result<(), AcceptError>),
    /// Whether there was anything to do.
    Offered(bool),
    Found(bool),
    Changed(u64),
    Said(Vec<Untold>),
    /// Somebody does not answer now: which worker waits, by its place in [`World::under_way`].
    Hangs(usize, Work),
}

/// The place of the worker that asks for patients.
const ASKING: usize = NAMES.len();

pub(super) struct World {
    bench: Bench,
    pub(super) deliveries: Deliveries,
    pub(super) papers: [Vec<Paper>; 2],
    /// The destinations, and the one that is asked for patients.
    pub(super) pacs: [Pacs; 3],
    /// What waits for one of them.
    pub(super) under_way: [Option<Work>; 3],
    page_image: PageImage,
    /// So many destinations are configured.
    pub(super) many: usize,
    pub(super) centre: Centre,
}

/// So many of them, the PACS first.
fn destinations(page_image: PageImage, many: usize) -> Vec<Destination> {
    let named = |name: &&str| Destination {
        name: (*name).to_owned(),
        page_image: match *name {
            "archive" => page_image,
            _ => PageImage::Never,
        },
        ..destination()
    };
    NAMES.iter().rev().take(many).map(named).collect()
}

impl World {
    pub(super) async fn new(seed: u64) -> Self {
        let renamed = seed % 3 == 2;
        // syncs cost nothing in memory: a kill of the process is tried here, not one of the power
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let bench = if renamed {
            let bench = Bench::within(folder.unwrap(), rehomed::replacing()).await;
            rehomed::sent(&bench).await;
            bench
        } else {
            let bench = Bench::within(folder.unwrap(), Config::default()).await;
            let stored = bench.store(&What::image("1.2.3", "1.2.3.1")).await;
            stored.unwrap();
            bench
        };
        let pages = [PageImage::Never, PageImage::IfRefused, PageImage::Always];
        let page_image = pages[usize::try_from(seed / 3 % 3).unwrap()];
        let deliveries = open_with(&bench, destinations(page_image, NAMES.len())).await;
        Self {
            papers: cases(&bench, renamed),
            pacs: [0, 1, 2].map(|n| Pacs::new(seed * 3 + n)),
            under_way: [None, None, None],
            page_image,
            many: NAMES.len(),
            centre: Centre::default(),
            bench,
            deliveries,
        }
    }

    /// The process is gone with all that it had in memory; another one opens the same rows, with so many destinations.
    pub(super) async fn restart(self, many: usize) -> Self {
        let Self {
            bench,
            deliveries,
            pacs,
            under_way,
            mut centre,
            ..
        } = self;
        drop((under_way, deliveries));
        for one in &pacs {
            one.side().hangs = false;
        }
        centre.noted.clear();
        let bench = bench.restart().await;
        Self {
            deliveries: open_with(&bench, destinations(self.page_image, many)).await,
            bench,
            pacs,
            under_way: [None, None, None],
            centre,
            papers: self.papers,
            page_image: self.page_image,
            many,
        }
    }

    pub(super) fn now(&self) -> i64 {
        self.bench.clock().now().0
    }

    /// Time passes, or somebody sets the clock: nothing here can tell one from the other.
    pub(super) fn pass(&self, seconds: i64) {
        self.bench.pass(seconds);
    }

    pub(super) async fn seen(&self) -> Seen {
        Seen::of(self.bench.spool.rows()).await
    }

    /// What is kept of a report is cut short, or one bit of it is another.
    pub(super) fn rots(&self, paper: &Paper, short: bool) {
        let uid = paper.report.instance.as_str().as_bytes();
        self.bench.disk.damage(|data| {
            if data.windows(uid.len()).any(|there| there == uid) {
                data[9] ^= 1;
                data.truncate(if short { 9 } else { data.len() });
            }
            true
        });
    }

    /// Everybody who waits for this one hears from it when he is asked for the next time.
    pub(super) fn begin(&mut self, act: Act) -> BoxFuture<'static, anyhow::Result<Came>> {
        let deliveries = self.deliveries.clone();
        match act {
            Act::Arrive(case, n, way) => self.arrive(case, n, way),
            Act::Offer(at) => self.goes_on(at),
            Act::Find => self.goes_on(ASKING),
            Act::Retry(case) => {
                let case = self.papers[case][0].report.case.clone();
                Box::pin(async move { Ok(Came::Changed(deliveries.retry(&case, "rita").await?)) })
            }
            Act::Rule(report, ruling) => Box::pin(async move {
                match deliveries.rule(report, ruling, "rita").await {
                    Err(super::super::DeliveryError::Choice(_)) => Ok(Came::Changed(0)),
                    ruled => Ok(Came::Changed(ruled?)),
                }
            }),
            Act::Acknowledge(report) => Box::pin(async move {
                let seen = deliveries.acknowledge(report, "rita").await?;
                Ok(Came::Changed(u64::from(seen)))
            }),
            Act::Say(many) => Box::pin(async move {
                let mut untold = deliveries.messages().await?;
                untold.truncate(many);
                Ok(Came::Said(untold))
            }),
            Act::Noted => {
                let word = self.centre.noted.pop_front();
                Box::pin(async move {
                    deliveries.told(word.as_slice()).await?;
                    Ok(Came::Changed(u64::from(word.is_some())))
                })
            }
        }
    }

    fn arrive(&self, case: usize, n: usize, way: Way) -> BoxFuture<'static, anyhow::Result<Came>> {
        let (deliveries, paper) = (self.deliveries.clone(), &self.papers[case][n]);
        let (mut report, said) = (paper.report.clone(), paper.said.clone());
        report.delivery = self.centre.delivery(paper);
        let mut at = self.bench.clock().now();
        let mut bytes = paper.bytes.to_vec();
        match way {
            Way::Whole => {}
            Way::Damaged => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            Way::Late => at = at.minus(std::time::Duration::from_secs(100 * 86_400)),
        }
        report.signer_crl = Some(reader().list(None, at).into());
        Box::pin(async move {
            let taken = deliveries.accept_as(&report, &said, bytes.into()).await;
            Ok(Came::Accepted(way, taken))
        })
    }

    /// A worker does the next thing, or hears at last from whom it waits for.
    fn goes_on(&mut self, at: usize) -> BoxFuture<'static, anyhow::Result<Came>> {
        let (deliveries, pacs) = (self.deliveries.clone(), self.pacs[at].clone());
        pacs.side().hangs = false;
        let mut work = self.under_way[at].take().unwrap_or_else(|| {
            let pacs = pacs.clone();
            if at == ASKING {
                return Box::pin(asks(deliveries, pacs));
            }
            let mut all = destinations(self.page_image, NAMES.len()).into_iter();
            let to = all.find(|one| one.name == NAMES[at]).unwrap();
            Box::pin(async move {
                Ok(work::offer_next(&deliveries, &to, &pacs.store(), fonts()).await?)
            })
        });
        Box::pin(async move {
            let done = poll_fn(|context| match work.as_mut().poll(context) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending if pacs.side().hangs => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            match done.await {
                None => Ok(Came::Hangs(at, work)),
                Some(done) if at == ASKING => Ok(Came::Found(done?)),
                Some(done) => Ok(Came::Offered(done?)),
            }
        })
    }
}

/// Finds out about one report.
async fn asks(deliveries: Deliveries, pacs: Pacs) -> anyhow::Result<bool> {
    let Some(due) = restoring::next(&deliveries, &[]).await? else {
        return Ok(false);
    };
    restoring::restore(&deliveries, &pacs.knows(), &due).await?;
    Ok(true)
}

/// The gateway: what it has signed, what it has heard, and its answers that are on their way.
#[derive(Default)]
pub(super) struct Centre {
    /// So many of each case are signed, and will be.
    pub(super) signed: [usize; 2],
    pub(super) most: [usize; 2],
    /// How often it was put back to what it was.
    pub(super) restored: u64,
    heard: BTreeMap<Key, (DeliveryState, String)>,
    noted: VecDeque<Untold>,
}

impl Centre {
    /// By which name it knows a report.
    fn delivery(&self, paper: &Paper) -> String {
        format!("{}/{}", paper.report.instance, self.restored)
    }

    /// Whether an answer of it is on its way.
    pub(super) fn waits(&self) -> bool {
        !self.noted.is_empty()
    }

    /// Its answers are lost with the connection.
    pub(super) fn cut_off(&mut self) {
        self.noted.clear();
    }

    /// It is put back to what it was, and has heard nothing.
    pub(super) fn put_back(&mut self) {
        self.restored += 1;
        self.heard.clear();
        self.noted.clear();
    }

    /// Whether it has to send this.
    pub(super) fn owes(&self, paper: &Paper) -> bool {
        let key = (self.delivery(paper), SITE.to_owned(), SR.to_owned());
        let heard = self.heard.get(&key).map(|(state, _)| *state);
        heard != Some(DeliveryState::AtSite)
    }

    pub(super) fn hears(&mut self, words: Vec<Untold>) -> anyhow::Result<()> {
        for word in words {
            let said = word.message.clone();
            let key = (said.delivery, said.destination, said.form);
            let before = self.heard.insert(key.clone(), (said.state, said.sentence));
            let was = before.is_some_and(|(state, _)| state == DeliveryState::Delivered);
            ensure!(
                !was || said.state == DeliveryState::Delivered,
                "{key:?} was said to be delivered, and now {:?}",
                said.state
            );
            self.noted.push_back(word);
        }
        Ok(())
    }

    /// Everything was told, as it stands.
    pub(super) fn knows(&self, seen: &Seen) -> anyhow::Result<()> {
        for line in seen.lines.values() {
            let key = (
                line.delivery.clone(),
                line.destination.clone(),
                line.form.clone(),
            );
            let heard = self.heard.get(&key);
            let heard = heard.map(|(state, sentence)| (state.as_str(), sentence.as_str()));
            let stands = (line.state.as_str(), line.sentence.as_str());
            ensure!(
                heard == Some(stands),
                "the gateway has heard {heard:?} of {line:?}"
            );
        }
        Ok(())
    }
}
