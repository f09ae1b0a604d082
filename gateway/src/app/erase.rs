//! Keeps the queue of deletions going: at once when a study is taken back, every hour for what has had its time.

use std::time::Duration;

use tokio::time::Instant;

use crate::deletion::Deletions;
use crate::parts::Parts;
use crate::worklist::Events;

/// How often the queue is looked at when nothing rings.
const LOOK: Duration = Duration::from_secs(5);
/// How often it is asked whose time is over.
const HOUR: Duration = Duration::from_secs(3600);
/// How often bytes are looked for that nothing names.
const DAY: Duration = Duration::from_secs(86_400);

/// Runs until the process is to end.
pub(super) async fn run(parts: Parts, deletions: Deletions, events: Events) {
    let mut wakes = parts.wakes.deletion.listen();
    let (mut over, mut strays) = (None, None);
    while !parts.cancel.is_cancelled() {
        if is_due(over, HOUR) {
            over = Some(Instant::now());
            match deletions.order_what_is_over().await {
                Ok(0) => {}
                Ok(studies) => tracing::info!(studies, "the time of studies is over"),
                Err(error) => tracing::error!(%error, "it is not known whose time is over"),
            }
        }
        match deletions.turn().await {
            Ok(turn) => {
                events.announce(&turn.changed);
                if turn.done > 0 {
                    parts.wakes.deletion.ring();
                }
            }
            Err(error) => tracing::error!(%error, "the queue of deletions cannot be read"),
        }
        if is_due(strays, DAY) {
            strays = Some(Instant::now());
            match deletions.take_strays().await {
                Ok(0) => {}
                Ok(files) => tracing::warn!(files, "files that nothing named are taken away"),
                Err(error) => tracing::error!(%error, "the blobs could not be looked through"),
            }
        }
        tokio::select! {
            () = wakes.wait(LOOK) => {}
            () = parts.cancel.cancelled() => {}
        }
    }
}

fn is_due(last: Option<Instant>, every: Duration) -> bool {
    last.is_none_or(|at| at.elapsed() >= every)
}
