//! Every queue of the agent: how old its oldest item is, and whether somebody tries what is due (reliability.md I14). Queues belong to many
//! rooms; here they are only looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use causeway_observe::{About, Finding};
use causeway_proto::time::Timestamp;

use crate::rows::Rows;

/// A queue whose head has not moved for so long although it was due is one that nobody works on.
const STALLED: Duration = Duration::from_secs(15 * 60);
/// An item that has been due for so long was passed over again and again.
const STARVED: Duration = Duration::from_secs(4 * 3600);

/// One queue.
struct Queue {
    name: &'static str,
    /// Since when its oldest waits, in microseconds since 1970; null where nothing waits.
    oldest: &'static str,
    /// Since when its oldest item is due that is due at `$1`, and a number that changes whenever one is tried.
    due: &'static str,
    /// Nothing of it can be tried while the link is down.
    link: bool,
}

const QUEUES: &[Queue] = &[
    Queue {
        name: "to-protect",
        oldest: "SELECT MIN(received_us) FROM instance WHERE state = 'waiting' AND sent_digest IS NULL AND lost = 0",
        due: "SELECT MIN(i.received_us), COALESCE(MIN(i.id), 0) FROM instance i JOIN study s ON s.id = i.study_id \
              JOIN agreement a ON a.id = i.agreement AND a.in_force = 1 WHERE i.state = 'waiting' AND i.sent_digest IS NULL AND i.lost = 0 \
              AND i.handle IS NOT NULL AND (a.identity = 'pseudonymous' OR s.uids = 'replaced') AND i.received_us <= $1",
        link: false,
    },
    Queue {
        name: "to-send",
        oldest: "SELECT MIN(received_us) FROM instance WHERE state = 'waiting' AND lost = 0",
        due: "SELECT MIN(MAX(i.received_us, i.next_try_us)), \
              (SELECT COALESCE(MAX(receipt_us), 0) FROM instance WHERE state = 'receipted' AND handle IS NOT NULL) \
              FROM instance i JOIN study s ON s.id = i.study_id JOIN agreement a ON a.id = s.agreement AND a.in_force = 1 \
              WHERE i.state = 'waiting' AND i.lost = 0 AND i.handle IS NOT NULL AND i.sent_digest IS NOT NULL AND s.state <> 'recalled' \
              AND (a.identity = 'identified' OR s.named = 'may') AND i.next_try_us <= $1",
        link: true,
    },
    Queue {
        name: "studies-arriving",
        oldest: "SELECT MIN(first_us) FROM study WHERE state = 'arriving'",
        // sealed within minutes of the silence: only what is passed over is found
        due: "SELECT MIN(silent_from_us), $1 FROM study WHERE state = 'arriving' AND silent_from_us <= $1",
        link: false,
    },
    Queue {
        name: "manifests",
        oldest: "SELECT MIN(m.sealed_us) FROM manifest m JOIN study s ON s.id = m.study_id AND s.manifest_version = m.version \
                 WHERE s.state = 'complete' AND m.confirmed_us IS NULL",
        due: "SELECT MIN(MAX(m.sealed_us, m.next_try_us)), COALESCE(SUM(m.next_try_us), 0) FROM manifest m \
              JOIN study s ON s.id = m.study_id AND s.manifest_version = m.version JOIN agreement a ON a.id = m.agreement AND a.in_force = 1 \
              WHERE s.state = 'complete' AND (a.identity = 'identified' OR s.named = 'may') AND m.confirmed_us IS NULL AND m.next_try_us <= $1 \
              AND NOT EXISTS (SELECT 1 FROM instance i WHERE i.study_id = s.id AND i.state = 'waiting' AND i.id <= m.through_id)",
        link: true,
    },
    Queue {
        name: "recalls",
        oldest: "SELECT MIN(recalled_us) FROM study WHERE state = 'recalled' AND recall_heard_us IS NULL AND agreement <> ''",
        due: "SELECT MIN(s.recalled_us), COUNT(*) FROM study s JOIN agreement a ON a.id = s.agreement WHERE s.state = 'recalled' \
              AND s.recall_heard_us IS NULL AND (a.identity = 'identified' OR s.named = 'may') AND s.recalled_us <= $1",
        link: true,
    },
    Queue {
        name: "letters",
        oldest: "SELECT MIN(written_us) FROM letter WHERE from_site = 1 AND heard_us IS NULL",
        due: "SELECT MIN(written_us), COUNT(*) FROM letter WHERE from_site = 1 AND heard_us IS NULL AND written_us <= $1",
        link: true,
    },
    Queue {
        name: "restorations",
        oldest: "SELECT MIN(since_us) FROM restoration WHERE state IN ('due', 'held')",
        due: "SELECT MIN(due_us), (SELECT COALESCE(SUM(attempts), 0) FROM restoration) FROM restoration WHERE state = 'due' AND due_us <= $1",
        link: false,
    },
    Queue {
        name: "deliveries",
        oldest: "SELECT MIN(r.received_us) FROM delivery d JOIN report r ON r.id = d.report_id \
                 WHERE d.destination <> 'site' AND d.state IN ('at-site', 'waiting', 'held')",
        due: "SELECT MIN(d.due_us), COALESCE(SUM(d.attempts), 0) + (SELECT COALESCE(SUM(attempts), 0) FROM restoration) FROM delivery d \
              JOIN report r ON r.id = d.report_id JOIN own_report o ON o.sop_uid = r.sop_uid WHERE d.destination NOT IN ('site', 'none') \
              AND d.state IN ('at-site', 'waiting') AND d.due_us <= $1 AND d.lease_until_us <= $1 AND o.lost = 0 \
              AND NOT EXISTS (SELECT 1 FROM restoration x WHERE x.report_id = d.report_id AND x.state <> 'done') \
              AND NOT EXISTS (SELECT 1 FROM report w WHERE w.case_code = r.case_code AND w.status = 'withdrawn' AND w.signed_us > r.signed_us)",
        link: false,
    },
    Queue {
        name: "deliveries-untold",
        oldest: "SELECT MIN(since_us) FROM delivery WHERE revision > told_revision",
        due: "SELECT MIN(since_us), COALESCE(SUM(told_revision), 0) FROM delivery WHERE revision > told_revision AND since_us <= $1",
        link: true,
    },
    Queue {
        name: "commitments",
        oldest: "SELECT MIN(asked_us) FROM commitment WHERE state = 'open'",
        due: "SELECT MIN(due_us), COALESCE(SUM(tries), 0) FROM commitment WHERE state = 'open' AND due_us <= $1",
        link: false,
    },
    Queue {
        name: "rows-refused",
        oldest: "SELECT MIN(since_us) FROM unentered",
        // each is tried again by itself, and told by a rule of its own
        due: "SELECT NULL, 0",
        link: false,
    },
];

/// For how long the oldest of each queue has been waiting; zero where nothing waits.
///
/// # Errors
/// When the rows refuse.
pub(super) async fn ages(
    rows: &Rows,
    now: Timestamp,
) -> Result<Vec<(&'static str, Duration)>, sqlx::Error> {
    let mut ages = Vec::with_capacity(QUEUES.len());
    for queue in QUEUES {
        let oldest: Option<i64> = sqlx::query_scalar(queue.oldest)
            .fetch_one(rows.read())
            .await?;
        let age = oldest.map_or(Duration::ZERO, |since| now.since(Timestamp(since)));
        ages.push((queue.name, age));
    }
    Ok(ages)
}

/// Who watches whether what is due is tried.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watchdog {
    moved: BTreeMap<&'static str, (i64, Timestamp)>,
    sent: Option<(u64, Timestamp)>,
}

/// The link, as far as it says whether something can be tried: since when it is up, and how many bytes it has sent.
pub(crate) type Line = Option<(Timestamp, u64)>;

impl Watchdog {
    /// Queues that nobody works on, and items that are passed over.
    ///
    /// # Errors
    /// When the rows refuse.
    pub(crate) async fn look(
        &mut self,
        rows: &Rows,
        line: Line,
        now: Timestamp,
    ) -> Result<Vec<Finding>, sqlx::Error> {
        let mut found = Vec::new();
        let sending = self.sending(line, now);
        for queue in QUEUES {
            if queue.link && line.is_none() {
                self.moved.remove(queue.name);
                continue;
            }
            let (due, mark): (Option<i64>, i64) = sqlx::query_as(queue.due)
                .bind(now.0)
                .fetch_one(rows.read())
                .await?;
            let Some(due) = due else {
                self.moved.remove(queue.name);
                continue;
            };
            let up = line.filter(|_| queue.link).map(|(since, _)| since);
            let due = up.map_or(Timestamp(due), |up| up.max(Timestamp(due)));
            let mut moved = self.moved(queue.name, mark, now);
            if queue.link {
                moved = moved.max(sending.unwrap_or(moved));
            }
            let stalled = moved.max(due).plus(STALLED);
            let starved = due.plus(STARVED);
            let since = stalled.min(starved);
            if since <= now {
                found.push(untried(queue.name, since));
            }
        }
        Ok(found)
    }

    /// When the queue's mark changed last, as far as this process has seen.
    fn moved(&mut self, queue: &'static str, mark: i64, now: Timestamp) -> Timestamp {
        let seen = self.moved.entry(queue).or_insert((mark, now));
        if seen.0 != mark || seen.1 > now {
            *seen = (mark, now);
        }
        seen.1
    }

    /// When the line carried bytes last: a large object takes its time.
    fn sending(&mut self, line: Line, now: Timestamp) -> Option<Timestamp> {
        /// What keeps an idle line alive in a minute, and more.
        const IDLE: u64 = 64 << 10;
        let (_, sent) = line?;
        let seen = self.sent.get_or_insert((sent, now));
        if sent < seen.0 || sent > seen.0.saturating_add(IDLE) || seen.1 > now {
            *seen = (sent, now);
        }
        Some(seen.1)
    }
}

fn untried(queue: &'static str, since: Timestamp) -> Finding {
    Finding {
        rule: "untried",
        about: About::part(queue),
        since,
        sentence:
            "something in this queue is due, and nobody tries it: see `status` and the log; a restart of the agent loses nothing"
                .to_owned(),
        weight: 0,
    }
}

#[cfg(test)]
mod tests;
