//! Every queue of the agent: how old its oldest item is, and whether somebody tries what is due (reliability.md I14). Queues belong to many
//! rooms; here they are only looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use causeway_observe::{About, Finding, Head};
use causeway_proto::time::Timestamp;

use crate::rows::Rows;

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
        due: "SELECT MIN(s.recalled_us), (SELECT COALESCE(MAX(recall_heard_us), 0) FROM study) FROM study s JOIN agreement a ON a.id = s.agreement WHERE s.state = 'recalled' \
              AND s.recall_heard_us IS NULL AND (a.identity = 'identified' OR s.named = 'may') AND s.recalled_us <= $1",
        link: true,
    },
    Queue {
        name: "letters",
        oldest: "SELECT MIN(written_us) FROM letter WHERE from_site = 1 AND heard_us IS NULL",
        due: "SELECT MIN(l.written_us), (SELECT COALESCE(MAX(heard_us), 0) FROM letter WHERE from_site = 1) FROM letter l \
              JOIN study s ON s.id = l.study_id JOIN agreement a ON a.id = s.agreement AND a.in_force = 1 WHERE l.from_site = 1 \
              AND l.heard_us IS NULL AND l.written_us <= $1 AND s.state <> 'recalled' AND (a.identity = 'identified' OR s.named = 'may')",
        link: true,
    },
    Queue {
        name: "restorations",
        oldest: "SELECT MIN(since_us) FROM restoration WHERE state IN ('due', 'held')",
        // one whose bytes are asked for is not tried
        due: "SELECT MIN(x.due_us), (SELECT COALESCE(SUM(attempts), 0) FROM restoration) FROM restoration x JOIN report r ON r.id = x.report_id \
              JOIN own_report o ON o.sop_uid = r.sop_uid WHERE x.state = 'due' AND x.due_us <= $1 AND o.lost = 0",
        link: false,
    },
    Queue {
        name: "deliveries",
        oldest: "SELECT MIN(r.received_us) FROM delivery d JOIN report r ON r.id = d.report_id \
                 WHERE d.destination <> 'site' AND d.state IN ('at-site', 'waiting', 'held')",
        // of the destination whose oldest it is: SQLite takes the row of the minimum. One that is busy hides no other
        due: "SELECT MIN(d.due_us), COALESCE((SELECT SUM(x.attempts) FROM delivery x WHERE x.destination = d.destination), 0) \
              + (SELECT COALESCE(SUM(attempts), 0) FROM restoration) FROM delivery d \
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
    seen: BTreeMap<&'static str, Seen>,
    sent: Option<u64>,
    carried: Option<Timestamp>,
}

/// What this process has seen of a queue in which something is due.
#[derive(Clone, Copy, Debug)]
struct Seen {
    mark: i64,
    first: Timestamp,
    /// When the mark changed last; none while it has not.
    moved: Option<Timestamp>,
}

/// The link, as far as it says whether something can be tried.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Line {
    /// Since when it is there.
    pub(crate) up: Option<Timestamp>,
    /// How many bytes it has sent since the agent began; none while it does not say.
    pub(crate) sent: Option<u64>,
}

impl Watchdog {
    /// Queues that nobody works on, and items that are passed over, each since when: `bound` after that it is told.
    ///
    /// # Errors
    /// When the rows refuse.
    pub(crate) async fn look(
        &mut self,
        rows: &Rows,
        line: Line,
        bound: Duration,
        now: Timestamp,
    ) -> Result<Vec<Finding>, sqlx::Error> {
        let mut found = Vec::new();
        let carried = self.carried(line, now);
        for queue in QUEUES {
            let (due, mark): (Option<i64>, i64) = sqlx::query_as(queue.due)
                .bind(now.0)
                .fetch_one(rows.read())
                .await?;
            let Some(due) = due else {
                self.seen.remove(queue.name);
                continue;
            };
            let seen = self.seen(queue.name, mark, now);
            let head = Head {
                due: Timestamp(due),
                moved: seen.moved.max(carried.filter(|_| queue.link)),
                watched: Some(seen.first),
                up: queue.link.then(|| line.up.unwrap_or(now)),
                patience: Duration::ZERO,
            };
            let since = head.untried(bound, now);
            found.extend(since.map(|since| untried(queue.name, since)));
        }
        Ok(found)
    }

    /// What this process has seen of a queue whose mark is this now.
    fn seen(&mut self, queue: &'static str, mark: i64, now: Timestamp) -> Seen {
        let new = Seen {
            mark,
            first: now,
            moved: None,
        };
        let seen = self.seen.entry(queue).or_insert(new);
        if seen.mark != mark {
            (seen.mark, seen.moved) = (mark, Some(now));
        }
        seen.first = seen.first.min(now);
        *seen
    }

    /// When the line carried bytes last: a large object takes its time.
    fn carried(&mut self, line: Line, now: Timestamp) -> Option<Timestamp> {
        /// What keeps an idle line alive between two looks, and more.
        const IDLE: u64 = 64 << 10;
        if let Some(sent) = line.sent {
            let before = self.sent.replace(sent);
            if before.is_some_and(|before| sent > before.saturating_add(IDLE)) {
                self.carried = Some(now);
            }
        }
        self.carried
    }
}

fn untried(queue: &'static str, since: Timestamp) -> Finding {
    let sentence = "something in this queue is due, and nobody tries it: see `status` and the log; a restart of the agent loses nothing";
    Finding::new("untried", About::part(queue), since, sentence)
}

#[cfg(test)]
mod tests;
