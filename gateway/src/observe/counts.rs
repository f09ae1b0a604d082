//! What is counted of the rows, and what may have to wait there.

/// Name, help, and the rows behind it: a label (or nothing) and a count.
pub(super) const COUNTS: &[(&str, &str, &str, &str)] = &[
    (
        "causeway_sites",
        "sites in the directory",
        "",
        "SELECT CAST('' AS TEXT), count(*) FROM site WHERE closed_us IS NULL",
    ),
    (
        "causeway_studies",
        "studies received",
        "",
        "SELECT CAST('' AS TEXT), count(*) FROM study",
    ),
    (
        "causeway_instances",
        "instances held",
        "",
        "SELECT CAST('' AS TEXT), count(*) FROM instance",
    ),
    (
        "causeway_quarantine",
        "instances in quarantine",
        "",
        "SELECT CAST('' AS TEXT), count(*) FROM quarantine WHERE resolved_us IS NULL",
    ),
    (
        "causeway_blobs_damaged",
        "blobs that are not what their rows say: asked for again, or gone at their site too",
        "state",
        "SELECT CASE WHEN gone_us IS NULL THEN 'asked' ELSE 'gone' END AS state, count(*) FROM blob_fault GROUP BY 1 ORDER BY 1",
    ),
    (
        "causeway_workitems",
        "reading tasks by state",
        "state",
        "SELECT state, count(*) FROM workitem GROUP BY state ORDER BY state",
    ),
    (
        "causeway_urgent_withheld",
        "open reading tasks, urgent or STAT, of which the site withholds objects",
        "priority",
        "SELECT w.priority, count(DISTINCT w.uid) FROM workitem w JOIN workitem_study t ON t.workitem_uid = w.uid \
         JOIN study s ON s.site_id = t.site_id AND s.agreement_id = t.agreement_id AND s.study_uid = t.study_uid \
         WHERE w.state IN ('SCHEDULED', 'IN PROGRESS') AND w.priority IN ('stat', 'urgent') AND s.held_at_site > 0 \
         AND s.recalled_us IS NULL GROUP BY w.priority ORDER BY w.priority",
    ),
    (
        "causeway_deliveries",
        "report deliveries by state",
        "state",
        "SELECT state, count(*) FROM delivery GROUP BY state ORDER BY state",
    ),
    (
        "causeway_alarms",
        "alarms that were told and stand",
        "rule",
        "SELECT rule, count(*) FROM alarm GROUP BY rule ORDER BY rule",
    ),
    (
        "causeway_reports",
        "signed reports",
        "",
        "SELECT CAST('' AS TEXT), count(*) FROM report",
    ),
];

/// Every queue, and since when its oldest waits, in microseconds since 1970; null where nothing waits.
pub(super) const AGES: &[(&str, &str)] = &[
    // studies of which the site has not yet said that they are whole
    (
        "studies-open",
        "SELECT min(first_us) FROM study WHERE sealed_us IS NULL AND recalled_us IS NULL AND deleted_us IS NULL",
    ),
    // instances of which a part is there
    ("incoming", "SELECT min(begun_us) FROM incoming_part"),
    (
        "quarantine",
        "SELECT min(received_us) FROM quarantine WHERE resolved_us IS NULL",
    ),
    // reading tasks that nobody has, and those that somebody has
    (
        "workitems-unclaimed",
        "SELECT min(created_us) FROM workitem WHERE state = 'SCHEDULED'",
    ),
    (
        "workitems-claimed",
        "SELECT min(claimed_us) FROM workitem WHERE state = 'IN PROGRESS'",
    ),
    // signed documents that their site has not yet, and those that are there and not in its archive
    (
        "deliveries-waiting",
        "SELECT min(created_us) FROM delivery WHERE state = 'waiting'",
    ),
    (
        "deliveries-at-site",
        "SELECT min(created_us) FROM delivery WHERE state IN ('at-site', 'not-taken', 'held')",
    ),
    (
        "deletions",
        "SELECT min(ordered_us) FROM deletion WHERE state <> 'done'",
    ),
    // readers' letters that their site has not yet
    (
        "letters",
        "SELECT min(came_us) FROM letter WHERE from_site = 0 AND heard_us IS NULL",
    ),
    (
        "audit-doubts",
        "SELECT min(found_us) FROM audit_doubt WHERE settled_us IS NULL",
    ),
];
