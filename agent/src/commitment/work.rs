//! Judges open requests and says their results: of each sender one after the other, of several at the same time.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::rows::{self, Ended};
use super::{CommitmentError, Commitments, Edge, Failure, Heard, Inner, Report, Request, Saying};
use crate::spool::AeTitle;
use crate::spool::vouched::Vouched;

/// How often open requests are looked at when nothing rings.
const LOOK: Duration = Duration::from_secs(5);
/// Wake-ups closer than this are one.
const CALM: Duration = Duration::from_millis(200);
/// How often old transactions are forgotten.
const FORGET: Duration = Duration::from_secs(3600);
/// How long whoever asked may take to acknowledge a result on its own association.
const PATIENCE: Duration = Duration::from_secs(60);
/// A result is said so often.
const TRIES: i64 = 20;
const FIRST_WAIT_S: u64 = 10;
const LONGEST_WAIT_S: u64 = 3600;

/// See [`Commitments::run`].
pub(super) async fn run(commitments: &Commitments, edge: &Edge, cancel: &CancellationToken) {
    let inner = &commitments.inner;
    let mut saying: JoinSet<AeTitle> = JoinSet::new();
    let mut busy: HashSet<AeTitle> = HashSet::new();
    let mut forgot: Option<Instant> = None;
    if let Err(error) = rows::take_up(inner).await {
        tracing::error!(%error, "results that were being said when the agent ended wait for their lease");
    }
    loop {
        if forgot.is_none_or(|at| at.elapsed() > FORGET) {
            forgot = Some(Instant::now());
            if let Err(error) = rows::forget(inner).await {
                tracing::warn!(%error, "old transactions of commitments stay for now");
            }
        }
        let changed = inner.spool.changed();
        match ready(inner, &busy).await {
            Ok(ready) => {
                for (title, requests) in ready {
                    busy.insert(title.clone());
                    let (inner, edge) = (Arc::clone(inner), edge.clone());
                    saying.spawn(async move {
                        say_in_turn(&inner, &edge, requests).await;
                        title
                    });
                }
            }
            Err(error) => tracing::error!(%error, "requests for commitment are looked at later"),
        }
        let rings = async {
            tokio::select! {
                () = changed => {}
                () = inner.due.notified() => {}
            }
            tokio::time::sleep(CALM).await;
        };
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(done) = saying.join_next() => match done {
                Ok(title) => drop(busy.remove(&title)),
                Err(error) => {
                    tracing::error!(%error, "saying results of commitments failed");
                    busy.clear();
                }
            },
            () = rings => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    // what was not acknowledged is said again after the next start
    saying.shutdown().await;
}

/// Requests whose result can be said now, of senders that are not being told anything.
pub(super) async fn ready(
    inner: &Inner,
    busy: &HashSet<AeTitle>,
) -> Result<BTreeMap<AeTitle, Vec<rows::Open>>, CommitmentError> {
    let mut ready: BTreeMap<AeTitle, Vec<rows::Open>> = BTreeMap::new();
    for open in rows::due(inner).await? {
        if busy.contains(&open.calling) || (!open.late && waits(inner, open.id).await?) {
            continue;
        }
        ready.entry(open.calling.clone()).or_default().push(open);
    }
    Ok(ready)
}

/// Whether the instance that a request was seen to wait for still waits.
async fn waits(inner: &Inner, id: i64) -> Result<bool, CommitmentError> {
    let Some(one) = inner.waiting().get(&id).cloned() else {
        return Ok(false);
    };
    Ok(inner.spool.vouched(&[one]).await? == [Vouched::Waiting])
}

/// Until one is not acknowledged: whoever does not listen now does not listen to the next one either.
pub(super) async fn say_in_turn(inner: &Inner, edge: &Edge, requests: Vec<rows::Open>) {
    for open in requests {
        match say(inner, edge, &open).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::error!(%error, "the result of a request for commitment is said later");
                return;
            }
        }
    }
}

/// Says the result of a request, unless it still waits. Answers whether the sender listens.
async fn say(inner: &Inner, edge: &Edge, open: &rows::Open) -> Result<bool, CommitmentError> {
    let Some(request) = rows::whole(inner, open.id).await? else {
        return Ok(true);
    };
    let Some(report) = judged(inner, open, request).await? else {
        return Ok(true);
    };
    let tries = rows::claim(inner, open.id).await?;
    let heard = told(inner, edge, open.id, &report).await;
    let listens = heard.is_ok();
    let ended = match heard {
        Ok(()) => Ended::Reported,
        Err(why) if tries >= TRIES => {
            tracing::error!(calling = %report.calling, why, tries, "the result of a request for commitment is given up");
            Ended::GivenUp(why)
        }
        Err(why) => {
            tracing::warn!(calling = %report.calling, why, tries, "the result of a request for commitment was not heard");
            Ended::Again(why, pause(inner, tries))
        }
    };
    if listens {
        let (committed, failed) = (report.committed.len(), report.failed.len());
        tracing::info!(calling = %report.calling, committed, failed, "a request for commitment is answered");
    }
    let over = !matches!(ended, Ended::Again(..));
    rows::ended(inner, open.id, &report, ended).await?;
    inner.waiting().remove(&open.id);
    if over {
        inner.lines().asked.remove(&open.id);
    }
    Ok(listens)
}

/// The result of a request as it is now; none while it waits.
pub(super) async fn judged(
    inner: &Inner,
    open: &rows::Open,
    request: Request,
) -> Result<Option<Report>, CommitmentError> {
    let known = match open.again {
        true => vec![Vouched::Unknown; request.instances.len()],
        false => inner.spool.vouched(&request.instances).await?,
    };
    let waits = known.iter().position(|one| *one == Vouched::Waiting);
    if let Some(at) = waits.filter(|_| !open.late) {
        if let Some(one) = request.instances.get(at) {
            inner.waiting().insert(open.id, one.clone());
        }
        return Ok(None);
    }
    let (mut committed, mut failed) = (Vec::new(), Vec::new());
    for (one, known) in request.instances.into_iter().zip(known) {
        match known {
            _ if open.again => failed.push((one, Failure::UsedTwice)),
            Vouched::Held => committed.push(one),
            Vouched::Unknown | Vouched::Gone => failed.push((one, Failure::NotHere)),
            Vouched::Waiting => failed.push((one, Failure::TooLate)),
            Vouched::OtherClass => failed.push((one, Failure::OtherClass)),
            Vouched::Stays(why) => failed.push((one, Failure::Stays(why))),
        }
    }
    Ok(Some(Report {
        calling: request.calling,
        called: request.called,
        transaction: request.transaction,
        committed,
        failed,
    }))
}

/// Over the association on which it was asked for while that is there, else over a new one.
async fn told(inner: &Inner, edge: &Edge, id: i64, report: &Report) -> Heard {
    if let Some(line) = line_of(inner, id) {
        let (heard, answer) = oneshot::channel();
        let saying = Saying {
            report: report.clone(),
            heard,
        };
        if line.try_send(saying).is_ok() {
            let heard = match tokio::time::timeout(PATIENCE, answer).await {
                Ok(Ok(heard)) => Some(heard),
                // the association has ended
                Ok(Err(_)) => None,
                Err(_) => Some(Err("it did not acknowledge the result".to_owned())),
            };
            // whoever does not take it here may take it where it is told to
            inner.lines().asked.remove(&id);
            if let Some(heard) = heard {
                return heard;
            }
        }
    }
    let Some(peer) = inner.peers.iter().find(|it| it.title == report.calling) else {
        return Err("it may not ask for commitment any more".to_owned());
    };
    (edge.0)(peer.clone(), report.clone()).await
}

fn line_of(inner: &Inner, id: i64) -> Option<mpsc::Sender<Saying>> {
    let lines = inner.lines();
    lines.open.get(lines.asked.get(&id)?).cloned()
}

/// Doubles from 10 s to an hour, give or take a quarter.
fn pause(inner: &Inner, tries: i64) -> Duration {
    let doublings = u32::try_from(tries.clamp(1, 10) - 1).unwrap_or(0);
    let seconds = (FIRST_WAIT_S << doublings).min(LONGEST_WAIT_S);
    Duration::from_millis(seconds * 750 + inner.random.below(seconds * 500))
}
