//! Whether somebody tries what is due (reliability.md I14), in the queues that no person empties.

use std::collections::BTreeMap;
use std::time::Duration;

use causeway_observe::{About, Finding};
use causeway_proto::time::Timestamp;

use crate::rows::Rows;

/// A queue whose head has not moved for so long although it was due is one that nobody works on.
const STALLED: Duration = Duration::from_secs(15 * 60);
/// A study of which nothing has come for so long, and that its site has not called whole.
const UNSEALED: Duration = Duration::from_secs(24 * 3600);

/// One queue. Each row of its question is a site, since when its oldest item is due that is due at `$1`, and a number that changes whenever
/// one is tried. Without a site it does not need one to be connected.
struct Queue {
    name: &'static str,
    due: &'static str,
    patience: Duration,
}

const QUEUES: &[Queue] = &[
    Queue {
        name: "deliveries-waiting",
        due: "SELECT site_id, min(due_us), CAST(sum(attempts) AS BIGINT) FROM delivery WHERE state = 'waiting' AND due_us <= $1 \
              AND lease_until_us <= $1 GROUP BY site_id",
        patience: STALLED,
    },
    Queue {
        name: "letters",
        due: "SELECT site_id, min(came_us), count(*) FROM letter WHERE from_site = 0 AND heard_us IS NULL AND came_us <= $1 GROUP BY site_id",
        patience: STALLED,
    },
    Queue {
        name: "blobs-unasked",
        due: "SELECT site_id, min(found_us), count(*) FROM blob_fault WHERE asked_us IS NULL AND gone_us IS NULL AND found_us <= $1 \
              GROUP BY site_id",
        patience: STALLED,
    },
    Queue {
        name: "studies-open",
        due: "SELECT site_id, min(last_us), count(*) FROM study WHERE sealed_us IS NULL AND recalled_us IS NULL AND deleted_us IS NULL \
              AND last_us <= $1 GROUP BY site_id",
        patience: UNSEALED,
    },
    Queue {
        name: "deletions",
        due: "SELECT CAST('' AS TEXT), min(next_try_us), CAST(sum(attempts) AS BIGINT) FROM deletion WHERE state <> 'done' \
              AND next_try_us <= $1 HAVING count(*) > 0",
        patience: STALLED,
    },
];

/// Who watches whether what is due is tried.
#[derive(Clone, Debug, Default)]
pub(super) struct Watchdog {
    moved: BTreeMap<(&'static str, String), (i64, Timestamp)>,
}

impl Watchdog {
    /// Queues that nobody works on. `connected` are the sites that are connected, each since when.
    ///
    /// # Errors
    /// When the database refuses.
    pub(super) async fn look(
        &mut self,
        rows: &Rows,
        connected: &BTreeMap<String, Timestamp>,
        now: Timestamp,
    ) -> Result<Vec<Finding>, sqlx::Error> {
        let mut found = Vec::new();
        let mut seen = BTreeMap::new();
        for queue in QUEUES {
            let due: Vec<(String, i64, i64)> = sqlx::query_as(queue.due)
                .bind(now.0)
                .fetch_all(rows.read())
                .await?;
            for (site, due, mark) in due {
                let up = connected.get(&site).copied();
                if !site.is_empty() && up.is_none() {
                    continue;
                }
                let due = Timestamp(due).max(up.unwrap_or(Timestamp(due)));
                let key = (queue.name, site);
                let before = self.moved.get(&key);
                let still = before.filter(|(known, at)| *known == mark && *at <= now);
                let moved = still.map_or(now, |(_, at)| *at);
                let since = moved.max(due).plus(queue.patience);
                if since <= now {
                    found.push(untried(queue.name, &key.1, since));
                }
                seen.insert(key, (mark, moved));
            }
        }
        self.moved = seen;
        Ok(found)
    }
}

fn untried(queue: &'static str, site: &str, since: Timestamp) -> Finding {
    let about = match site {
        "" => About::part(queue),
        site => About::kept(format!("{queue} {site}")),
    };
    Finding {
        rule: "untried",
        about,
        since,
        sentence: "something in this queue is due, and nobody tries it: see the log; a restart of the gateway loses nothing"
            .to_owned(),
        weight: 0,
    }
}
