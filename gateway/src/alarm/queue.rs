//! Whether somebody tries what is due (reliability.md I14), in the queues that no person empties.

use std::collections::BTreeMap;
use std::time::Duration;

use causeway_observe::{About, Finding, Head, Holding};
use causeway_proto::time::Timestamp;

use crate::rows::Rows;

/// A study of which nothing has come for so long, and that its site has not called whole.
const UNSEALED: Duration = Duration::from_secs(24 * 3600);

/// One queue. Each row of its question is a site, since when its oldest item is due that is due at `$1`, and when one of that site got through
/// last, 0 where none has.
struct Queue {
    name: &'static str,
    due: &'static str,
    patience: Duration,
    /// Nothing of it can be tried while the site is not connected.
    link: bool,
}

const QUEUES: &[Queue] = &[
    Queue {
        name: "deliveries-waiting",
        // with each lease its time begins anew
        due: "SELECT d.site_id, min(CASE WHEN d.lease_until_us > d.created_us THEN d.lease_until_us ELSE d.created_us END), \
              COALESCE((SELECT max(x.changed_us) FROM delivery x WHERE x.site_id = d.site_id AND x.state <> 'waiting'), 0) FROM delivery d \
              WHERE d.state = 'waiting' AND d.due_us <= $1 AND d.lease_until_us <= $1 GROUP BY d.site_id",
        patience: Duration::ZERO,
        link: true,
    },
    Queue {
        name: "letters",
        due: "SELECT l.site_id, min(l.came_us), COALESCE((SELECT max(x.heard_us) FROM letter x WHERE x.site_id = l.site_id AND x.from_site = 0), 0) \
              FROM letter l JOIN agreement a ON a.id = l.agreement_id WHERE l.from_site = 0 AND l.heard_us IS NULL AND l.came_us <= $1 \
              AND a.ended_us IS NULL AND (a.from_us IS NULL OR a.from_us <= $1) AND (a.until_us IS NULL OR a.until_us > $1) \
              AND EXISTS (SELECT 1 FROM study s WHERE s.site_id = l.site_id AND s.agreement_id = l.agreement_id \
                AND s.case_code = l.case_code AND s.recalled_us IS NULL) GROUP BY l.site_id",
        patience: Duration::ZERO,
        link: true,
    },
    Queue {
        name: "blobs-unasked",
        due: "SELECT f.site_id, min(f.found_us), COALESCE((SELECT max(x.asked_us) FROM blob_fault x WHERE x.site_id = f.site_id), 0) \
              FROM blob_fault f WHERE f.asked_us IS NULL AND f.gone_us IS NULL AND f.found_us <= $1 GROUP BY f.site_id",
        patience: Duration::ZERO,
        link: true,
    },
    Queue {
        name: "studies-open",
        due: "SELECT site_id, min(last_us), CAST(0 AS BIGINT) FROM study WHERE sealed_us IS NULL AND recalled_us IS NULL AND deleted_us IS NULL \
              AND last_us <= $1 GROUP BY site_id",
        patience: UNSEALED,
        link: true,
    },
    Queue {
        name: "deletions",
        due: "SELECT d.site_id, min(CASE WHEN d.next_try_us > d.ordered_us THEN d.next_try_us ELSE d.ordered_us END), \
              COALESCE((SELECT max(x.done_us) FROM deletion x WHERE x.site_id = d.site_id), 0) FROM deletion d \
              WHERE d.state <> 'done' AND d.next_try_us <= $1 GROUP BY d.site_id",
        patience: Duration::ZERO,
        link: false,
    },
];

/// Queues that nobody works on, each since when: `bound` after that it is told. `sites` are how the sites' connections stand; `begun` is when this
/// process did.
///
/// # Errors
/// When the database refuses.
pub(super) async fn look(
    rows: &Rows,
    sites: &BTreeMap<String, Holding>,
    begun: Timestamp,
    bound: Duration,
    now: Timestamp,
) -> Result<Vec<Finding>, sqlx::Error> {
    let mut found = Vec::new();
    for queue in QUEUES {
        let due: Vec<(String, i64, i64)> = sqlx::query_as(queue.due)
            .bind(now.0)
            .fetch_all(rows.read())
            .await?;
        for (site, due, moved) in due {
            let up = sites.get(&site).and_then(Holding::up).unwrap_or(now);
            let head = Head {
                due: Timestamp(due),
                moved: (moved > 0).then_some(Timestamp(moved)),
                watched: (!queue.link).then_some(begun),
                up: queue.link.then_some(up),
                patience: queue.patience,
            };
            let since = head.untried(bound, now);
            found.extend(since.map(|since| untried(queue.name, &site, since)));
        }
    }
    Ok(found)
}

fn untried(queue: &'static str, site: &str, since: Timestamp) -> Finding {
    let about = About::kept(format!("{queue} {site}"));
    let sentence = "something in this queue is due, and nobody tries it: see the log; a restart of the gateway loses nothing";
    Finding::new("untried", about, since, sentence)
}
