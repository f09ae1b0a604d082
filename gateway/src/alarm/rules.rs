//! The rules that a gateway is shipped with, and what of them is asked of the rows.

use causeway_observe::Rule;

/// What the gateway is shipped with.
pub const RULES: &[Rule] = &[
    Rule::new(
        "link-down",
        300,
        "a site is not connected, or not for a minute at a time, and something waits for it",
    ),
    Rule::new(
        "stat-unopened",
        600,
        "nobody has taken a STAT reading task, counted from when it was made",
    ),
    Rule::new(
        "urgent-held",
        0,
        "the site withholds objects of an urgent study",
    ),
    Rule::new("object-held", 0, "received objects are in quarantine"),
    Rule::new(
        "report-late",
        900,
        "a signed report is not in the hospital's systems, counted from its signature",
    ),
    Rule::new("blobs-damaged", 0, "kept bytes are not what they were"),
    Rule::new("disk", 0, "the disk is filling"),
    Rule::ahead(
        "certificate",
        14 * 24 * 3600,
        "a certificate of the gateway ends, counted back from its end",
    ),
    Rule::new(
        "audit-doubt",
        0,
        "the audit trail of either end is in doubt",
    ),
    Rule::new(
        "untried",
        900,
        "something in a queue is due, and nobody tries anything of that queue for so long, or this one for 4 h; a day for a study that is not whole",
    ),
    Rule::ROWS,
    Rule::CHANNEL,
];

/// What the rows are asked about a rule: each row of the answer is what it is about, since when, and how much it is.
pub(super) struct Question {
    pub(super) rule: &'static str,
    pub(super) sql: &'static str,
    /// What is said of it, after how much it is.
    pub(super) sentence: &'static str,
    /// More of it is told anew.
    pub(super) grows: bool,
    /// What began after `$1`, and not after `$2`, does not count yet: the rule's bound lies between the two.
    pub(super) timed: bool,
}

pub(super) const QUESTIONS: &[Question] = &[
    Question {
        rule: "stat-unopened",
        sql: "SELECT c.code, min(w.created_us), count(*) FROM workitem w JOIN reading_case c ON c.id = w.case_id \
              WHERE w.state = 'SCHEDULED' AND w.priority = 'stat' GROUP BY c.code ORDER BY 2 LIMIT 200",
        sentence: "STAT reading task(s) of this case that nobody has taken: call a reader",
        grows: false,
        timed: false,
    },
    Question {
        rule: "urgent-held",
        sql: "SELECT c.code, min(w.created_us), CAST(max(s.held_at_site) AS BIGINT) FROM workitem w JOIN reading_case c ON c.id = w.case_id \
              JOIN workitem_study t ON t.workitem_uid = w.uid \
              JOIN study s ON s.site_id = t.site_id AND s.agreement_id = t.agreement_id AND s.study_uid = t.study_uid \
              WHERE w.state IN ('SCHEDULED', 'IN PROGRESS') AND w.priority IN ('stat', 'urgent') AND s.held_at_site > 0 \
              AND s.recalled_us IS NULL GROUP BY c.code ORDER BY 2 LIMIT 200",
        sentence: "object(s) of this urgent case are withheld at the site: somebody there must decide",
        grows: true,
        timed: false,
    },
    Question {
        rule: "object-held",
        sql: "SELECT COALESCE(s.case_code, q.site_id), min(q.received_us), count(*) FROM quarantine q \
              LEFT JOIN study s ON s.site_id = q.site_id AND s.agreement_id = q.agreement_id AND s.study_uid = q.study_uid \
              WHERE q.resolved_us IS NULL GROUP BY 1 ORDER BY 2 LIMIT 200",
        sentence: "object(s) are in quarantine: see `quarantine list`",
        grows: false,
        timed: false,
    },
    // what a later report takes back is not late, nor what its site delivers nowhere and has said so; beside the oldest, which may
    // stay for ever, those of which something has become late last
    Question {
        rule: "report-late",
        sql: "WITH late AS (SELECT c.code AS code, min(d.created_us) AS since, \
              count(CASE WHEN d.created_us > $1 AND d.created_us <= $2 THEN NULL ELSE 1 END) AS documents, \
              max(CASE WHEN d.created_us > $1 AND d.created_us <= $2 THEN 0 ELSE d.created_us END) AS last_us \
              FROM delivery d JOIN report_document k ON k.sop_uid = d.sop_uid \
              JOIN report r ON r.id = k.report_id JOIN reading_case c ON c.id = r.case_id WHERE d.state <> 'delivered' \
              AND (NOT EXISTS (SELECT 1 FROM delivery_form f WHERE f.delivery_id = d.id AND f.destination = 'none') \
                OR EXISTS (SELECT 1 FROM delivery_form f WHERE f.delivery_id = d.id AND f.destination NOT IN ('site', 'none'))) \
              AND NOT EXISTS (SELECT 1 FROM report w WHERE w.case_id = r.case_id AND w.version > r.version AND w.status = 'withdrawn') \
              GROUP BY c.code) \
              SELECT code, since, documents FROM (SELECT * FROM late ORDER BY since LIMIT 200) AS oldest \
              UNION SELECT code, since, documents FROM (SELECT * FROM late ORDER BY last_us DESC LIMIT 200) AS newest ORDER BY 2",
        sentence: "signed document(s) of this case are not in the hospital's systems: see the list of what is on its way, and call the site",
        grows: true,
        timed: true,
    },
    Question {
        rule: "blobs-damaged",
        sql: "SELECT CAST('blobs' AS TEXT), min(found_us), count(*) FROM blob_fault HAVING count(*) > 0",
        sentence: "blob(s) are damaged or missing, and are asked for again: see `doctor`",
        grows: true,
        timed: false,
    },
    Question {
        rule: "audit-doubt",
        sql: "SELECT site_id, min(found_us), count(*) FROM audit_doubt WHERE settled_us IS NULL GROUP BY site_id ORDER BY 2 LIMIT 200",
        sentence: "doubt(s) about an audit trail stand: see `doctor`",
        grows: true,
        timed: false,
    },
];

/// What waits for which site: documents, letters, receipts of deletions, and instances of which a part is here. Each row is a site and
/// how much.
pub(super) const WAITS_FOR_SITE: &str = "SELECT site_id, CAST(sum(n) AS BIGINT) FROM ( \
     SELECT site_id, count(*) AS n FROM delivery WHERE state = 'waiting' GROUP BY site_id \
     UNION ALL SELECT site_id, count(*) FROM letter WHERE from_site = 0 AND heard_us IS NULL GROUP BY site_id \
     UNION ALL SELECT site_id, count(*) FROM deletion WHERE state = 'done' AND heard_us IS NULL GROUP BY site_id \
     UNION ALL SELECT site_id, count(*) FROM incoming_part GROUP BY site_id) AS waiting \
     WHERE site_id IN (SELECT id FROM site WHERE closed_us IS NULL) GROUP BY site_id";
