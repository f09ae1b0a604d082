-- The first schema of the agent: what was received, what the gateway has, and where each report stands. Every row that travels
-- carries its agreement ('' until the gateway has named one). Times are microseconds since 1970 in UTC (columns *_us), digests
-- are hexadecimal. Names and numbers of patients stand in this file and nowhere else: it never leaves the site.

-- room `rows`: facts about this agent itself (spool identity, session counter, gateway epoch, hours of running)
CREATE TABLE agent_fact (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- room `spool`; options are words between spaces
CREATE TABLE agreement (
    id             TEXT PRIMARY KEY,
    organisation   TEXT NOT NULL,
    identity       TEXT NOT NULL CHECK (identity IN ('identified', 'pseudonymous')),
    profile        TEXT NOT NULL,
    options        TEXT NOT NULL,
    language       TEXT NOT NULL,
    from_us        BIGINT,
    until_us       BIGINT,
    retention_days BIGINT NOT NULL,
    in_force       BIGINT NOT NULL
);

-- silent_from_us is null while an association that brought something is still open; blocked says why a person at the site must
-- decide before the case may be signed ('' when nobody must); corrected, one a line, is what corrections changed that a reader sees; bound_* are the patient of the first object, for good: the pseudonym
-- is made of them, while patient_* follow corrections (P24); named says whether the gateway may hear of the study under its UID, where
-- its agreement lets no identity leave ('' as long as no object has told); uids says whether it leaves under its own UIDs, once for all
-- ('' while its agreement is not known)
CREATE TABLE study (
    id               INTEGER PRIMARY KEY,
    agreement        TEXT NOT NULL,
    study_uid        TEXT NOT NULL,
    purpose          TEXT NOT NULL CHECK (purpose IN ('read', 'comparison')),
    priority         TEXT NOT NULL CHECK (priority IN ('stat', 'urgent', 'routine', 'unstated')),
    case_code        TEXT NOT NULL UNIQUE,
    state            TEXT NOT NULL CHECK (state IN ('arriving', 'complete', 'handed-off', 'recalled')),
    kind             TEXT NOT NULL CHECK (kind IN ('pacs', 'modality')),
    paused           BIGINT NOT NULL DEFAULT 0,
    send_now         BIGINT NOT NULL DEFAULT 0,
    manifest_version BIGINT NOT NULL DEFAULT 0,
    bound_id         TEXT NOT NULL DEFAULT '',
    bound_issuer     TEXT NOT NULL DEFAULT '',
    patient_id       TEXT NOT NULL DEFAULT '',
    patient_issuer   TEXT NOT NULL DEFAULT '',
    patient_name     TEXT NOT NULL DEFAULT '',
    accession        TEXT NOT NULL DEFAULT '',
    description      TEXT NOT NULL DEFAULT '',
    first_us         BIGINT NOT NULL,
    last_us          BIGINT NOT NULL,
    silent_from_us   BIGINT,
    handed_off_us    BIGINT,
    recalled_us      BIGINT,
    recall_reason    TEXT,
    recall_heard_us  BIGINT,
    blocked          TEXT NOT NULL DEFAULT '',
    corrected        TEXT NOT NULL DEFAULT '',
    named            TEXT NOT NULL DEFAULT '' CHECK (named IN ('', 'may', 'must-not')),
    uids             TEXT NOT NULL DEFAULT '' CHECK (uids IN ('', 'kept', 'replaced')),
    UNIQUE (agreement, study_uid)
);
CREATE INDEX study_by_uid ON study (study_uid);
CREATE INDEX study_by_state ON study (state);

-- kinds of pictures that may carry a banner, as their headers say (P6); regions are the scan areas that they declared, as JSON
CREATE TABLE mask_device (
    id           INTEGER PRIMARY KEY,
    family       TEXT NOT NULL CHECK (family IN ('ultrasound', 'radiograph', 'angiography', 'section', 'photograph', 'overlay')),
    manufacturer TEXT NOT NULL,
    model        TEXT NOT NULL,
    image_rows   BIGINT NOT NULL,
    image_columns BIGINT NOT NULL,
    regions      TEXT NOT NULL DEFAULT '[]',
    first_us     BIGINT NOT NULL,
    UNIQUE (family, manufacturer, model, image_rows, image_columns)
);

-- what is black on them, as JSON: one rule in force for each, the others stay as they were; covers: a person has confirmed that it
-- hides what the device declares as scan area
CREATE TABLE mask_rule (
    id         INTEGER PRIMARY KEY,
    device_id  BIGINT NOT NULL REFERENCES mask_device (id),
    rectangles TEXT NOT NULL,
    covers     BIGINT NOT NULL,
    who        TEXT NOT NULL,
    reason     TEXT NOT NULL,
    at_us      BIGINT NOT NULL,
    gone_us    BIGINT,
    gone_who   TEXT NOT NULL DEFAULT '',
    gone_reason TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX mask_rule_in_force ON mask_rule (device_id) WHERE gone_us IS NULL;

-- handle is null when the bytes were removed after their time; lost marks a file that was found missing or short at a start.
-- source_digest is null until the object was read again (room `protect`) or compared, pixel_digest until it was compared or its bytes
-- are about to go; that of an object without pixels that can be reached is empty.
-- again_us: when it was last decided anew because a failure seemed to have passed.
-- sent_* name the form that leaves, null until it is decided; profile says by which version of the protection (0: as received);
-- sealed holds the originals of this object alone, remarks (one a line) what the reader is told of its protection; device_id,
-- mask_rule and overlay_rule say by which device's rule it was decided, mask holds the rectangles (JSON) that a person drew for it alone
CREATE TABLE instance (
    id              INTEGER PRIMARY KEY,
    study_id        BIGINT NOT NULL REFERENCES study (id),
    agreement       TEXT NOT NULL,
    sop_uid         TEXT NOT NULL,
    series_uid      TEXT NOT NULL,
    sop_class       TEXT NOT NULL,
    modality        TEXT NOT NULL,
    image           BIGINT NOT NULL,
    syntax          TEXT NOT NULL,
    length          BIGINT NOT NULL,
    source_digest   TEXT,
    pixel_digest    TEXT,
    sent_digest     TEXT,
    sent_length     BIGINT,
    sent_syntax     TEXT,
    profile         BIGINT NOT NULL DEFAULT 0,
    sealed          BLOB,
    remarks         TEXT NOT NULL DEFAULT '',
    handle          TEXT,
    lost            BIGINT NOT NULL DEFAULT 0,
    calling         TEXT NOT NULL,
    called          TEXT NOT NULL,
    address         TEXT NOT NULL,
    turn            BIGINT NOT NULL DEFAULT 1,
    state           TEXT NOT NULL CHECK (state IN ('waiting', 'receipted', 'withheld')),
    reason          TEXT NOT NULL DEFAULT '',
    quarantined     BIGINT NOT NULL DEFAULT 0,
    released        TEXT NOT NULL DEFAULT '',
    device_id       BIGINT REFERENCES mask_device (id),
    mask_rule       BIGINT REFERENCES mask_rule (id),
    overlay_rule    BIGINT REFERENCES mask_rule (id),
    mask            TEXT,
    refusals        BIGINT NOT NULL DEFAULT 0,
    next_try_us     BIGINT NOT NULL DEFAULT 0,
    again_us        BIGINT NOT NULL DEFAULT 0,
    received_us     BIGINT NOT NULL,
    seen_us         BIGINT NOT NULL,
    receipt_us      BIGINT,
    receipt_running BIGINT,
    receipt_number  BIGINT,
    receipt_epoch   BIGINT,
    UNIQUE (agreement, sop_uid)
);
CREATE INDEX instance_by_sop ON instance (sop_uid);
CREATE INDEX instance_by_study ON instance (study_id, state, turn, id);
CREATE INDEX instance_waiting ON instance (id) WHERE state = 'waiting';
CREATE INDEX instance_unprotected ON instance (study_id) WHERE state = 'waiting' AND sent_digest IS NULL;
CREATE INDEX instance_by_device ON instance (device_id) WHERE device_id IS NOT NULL;
CREATE INDEX instance_kept ON instance (receipt_us) WHERE state = 'receipted' AND handle IS NOT NULL;

-- how far the rows of the objects in a segment are written: what stands behind gets its rows at the next start
CREATE TABLE segment (
    name    TEXT PRIMARY KEY,
    entered BIGINT NOT NULL
);

-- pixels that had to be coded anew to be masked, beside what was received: made again neither at a restart nor when they are sent.
-- made holds (JSON) what stands before them and in the header, source_digest of what they were made
CREATE TABLE masked (
    instance_id   BIGINT PRIMARY KEY REFERENCES instance (id),
    source_digest TEXT NOT NULL,
    handle        TEXT NOT NULL UNIQUE,
    length        BIGINT NOT NULL,
    made          TEXT NOT NULL
);

-- the pseudonym and the originals of a study, sealed for the hospital alone: made once, before its first byte leaves, and the same
-- on every resend, whatever becomes of the keys; date_shift is by how many days its dates are put back, null while they stay
CREATE TABLE sealed_set (
    study_id  BIGINT PRIMARY KEY REFERENCES study (id),
    agreement TEXT NOT NULL,
    pseudonym TEXT NOT NULL,
    sealed    BLOB NOT NULL,
    date_shift BIGINT,
    made_us   BIGINT NOT NULL
);

-- what was said to the gateway in the place of which UID of the site. A UID of a report that names others has a home of its own
CREATE TABLE uid (
    agreement TEXT NOT NULL,
    said      TEXT NOT NULL,
    home      TEXT NOT NULL,
    PRIMARY KEY (agreement, said)
) WITHOUT ROWID;
CREATE INDEX uid_by_home ON uid (agreement, home);

-- other content under a UID that is held already (P24); the newest seen_us of these and of the instance serves restoration; handle
-- is null when the bytes were removed after their time
CREATE TABLE aside (
    id             INTEGER PRIMARY KEY,
    instance_id    BIGINT NOT NULL REFERENCES instance (id),
    kind           TEXT NOT NULL CHECK (kind IN ('correction', 'conflict')),
    study_uid      TEXT NOT NULL,
    syntax         TEXT NOT NULL,
    length         BIGINT NOT NULL,
    source_digest  TEXT NOT NULL,
    pixel_digest   TEXT,
    handle         TEXT,
    patient_id     TEXT NOT NULL,
    patient_issuer TEXT NOT NULL,
    patient_name   TEXT NOT NULL,
    accession      TEXT NOT NULL,
    calling        TEXT NOT NULL,
    received_us    BIGINT NOT NULL,
    seen_us        BIGINT NOT NULL,
    UNIQUE (instance_id, source_digest)
);

-- one row per sealed version; through_id is the last instance that belongs to it
CREATE TABLE manifest (
    study_id     BIGINT NOT NULL REFERENCES study (id),
    version      BIGINT NOT NULL,
    agreement    TEXT NOT NULL,
    basis        TEXT NOT NULL CHECK (basis IN ('silence', 'person', 'pacs-count')),
    through_id   BIGINT NOT NULL,
    sealed_us    BIGINT NOT NULL,
    next_try_us  BIGINT NOT NULL DEFAULT 0,
    confirmed_us BIGINT,
    PRIMARY KEY (study_id, version)
);

-- reports that this agent took in: their bytes, and how often the PACS has sent one back (P5); lost marks bytes that were found
-- missing or damaged, until the gateway has sent the report again
CREATE TABLE own_report (
    sop_uid   TEXT PRIMARY KEY,
    study_uid TEXT NOT NULL,
    handle    TEXT NOT NULL,
    length    BIGINT NOT NULL,
    lost      BIGINT NOT NULL DEFAULT 0,
    returned  BIGINT NOT NULL DEFAULT 0,
    noted_us  BIGINT NOT NULL
);

-- pages of those reports as pictures (P8), drawn anew for each offer: by these names they are recognised when the PACS sends one back
CREATE TABLE own_page (
    sop_uid    TEXT PRIMARY KEY,
    study_uid  TEXT NOT NULL,
    report_uid TEXT NOT NULL,
    returned   BIGINT NOT NULL DEFAULT 0,
    noted_us   BIGINT NOT NULL
);

-- files without a row, found at a start; removed after an hour of running
CREATE TABLE orphan (
    handle    TEXT PRIMARY KEY,
    running_s BIGINT NOT NULL
);

-- what the gateway said when the bytes of a study were gone there, as it stands; opened (JSON) is who had opened it
CREATE TABLE erasure (
    study_id BIGINT PRIMARY KEY REFERENCES study (id),
    why      TEXT NOT NULL,
    objects  BIGINT NOT NULL,
    bytes    BIGINT NOT NULL,
    parts    BIGINT NOT NULL,
    reports  BIGINT NOT NULL,
    at_us    BIGINT NOT NULL,
    opened   TEXT NOT NULL,
    more     BIGINT NOT NULL,
    heard_us BIGINT NOT NULL
);

-- what a person at the site decided: one row each, never changed. For a release, instance.released also names who
CREATE TABLE decision (
    id          INTEGER PRIMARY KEY,
    study_id    BIGINT NOT NULL REFERENCES study (id),
    instance_id BIGINT REFERENCES instance (id),
    what        TEXT NOT NULL CHECK (what IN ('release', 'mask', 'keep', 'unblock', 'keep-blocked', 'raise', 'send-now', 'recall',
                    'retry', 'context', 'print', 'file-ours', 'file-pacs', 'refuse', 'acknowledge')),
    who         TEXT NOT NULL,
    reason      TEXT NOT NULL,
    at_us       BIGINT NOT NULL
);
CREATE INDEX decision_by_study ON decision (study_id);
CREATE INDEX decision_by_instance ON decision (instance_id);

-- room `talk`: what a person at the site says about a case (P9), as typed: the newest row of a study is the one that counts. leaves
-- is what the reader gets under a pseudonym (JSON), heard_us when the gateway has said that it holds it
CREATE TABLE case_context (
    id          INTEGER PRIMARY KEY,
    study_id    BIGINT NOT NULL REFERENCES study (id),
    version     BIGINT NOT NULL,
    leaves      TEXT NOT NULL,
    heard_us    BIGINT,
    question    TEXT NOT NULL,
    contrast    TEXT NOT NULL,
    renal       TEXT NOT NULL,
    renal_date  TEXT NOT NULL,
    allergy     TEXT NOT NULL,
    pregnancy   TEXT NOT NULL,
    weight_kg   TEXT NOT NULL,
    call_role   TEXT NOT NULL,
    call_number TEXT NOT NULL,
    who         TEXT NOT NULL,
    at_us       BIGINT NOT NULL
);
CREATE INDEX case_context_by_study ON case_context (study_id, id);

-- what site and reader write to each other, in the order in which it stands here; text as typed or as it came, leaves what goes out
-- under a pseudonym. Of a letter of the site: the gateway holds it since heard_us, a reader has read it at read_us. Of a reader's: a
-- person of the site has read it at read_us, and the gateway knows since known_us
CREATE TABLE letter (
    seq        INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    study_id   BIGINT NOT NULL REFERENCES study (id),
    from_site  BIGINT NOT NULL,
    who        TEXT NOT NULL,
    says_who   TEXT NOT NULL,
    text       TEXT NOT NULL,
    leaves     TEXT NOT NULL,
    written_us BIGINT NOT NULL,
    came_us    BIGINT NOT NULL,
    heard_us   BIGINT,
    read_us    BIGINT,
    read_by    TEXT NOT NULL DEFAULT '',
    known_us   BIGINT
);
CREATE INDEX letter_by_study ON letter (study_id, seq);
CREATE INDEX letter_unheard ON letter (seq) WHERE from_site = 1 AND heard_us IS NULL;
CREATE INDEX letter_unread ON letter (seq) WHERE from_site = 0 AND read_us IS NULL;

-- room `page`: people of the site, and their sessions by the digest of what the cookie holds
CREATE TABLE site_user (
    name     TEXT PRIMARY KEY,
    password TEXT NOT NULL,
    role     TEXT NOT NULL CHECK (role IN ('radiographer', 'administrator')),
    made_us  BIGINT NOT NULL
);

CREATE TABLE site_session (
    token    TEXT PRIMARY KEY,
    name     TEXT NOT NULL REFERENCES site_user (name),
    form     TEXT NOT NULL,
    begun_us BIGINT NOT NULL,
    seen_us  BIGINT NOT NULL
);
CREATE INDEX site_session_by_name ON site_session (name);

-- room `delivery`; said_study is the study that the signed document names: another than study_uid where it left under another UID
CREATE TABLE report (
    id          INTEGER PRIMARY KEY,
    delivery    TEXT NOT NULL,
    agreement   TEXT NOT NULL,
    study_uid   TEXT NOT NULL,
    said_study  TEXT NOT NULL DEFAULT '',
    sop_uid     TEXT NOT NULL UNIQUE,
    sop_class   TEXT NOT NULL,
    syntax      TEXT NOT NULL,
    case_code   TEXT NOT NULL,
    status      TEXT NOT NULL,
    signed_us   BIGINT NOT NULL,
    signer      TEXT NOT NULL,
    received_us BIGINT NOT NULL
);
CREATE INDEX report_by_study ON report (study_uid);
CREATE INDEX report_by_delivery ON report (delivery);

-- one row per destination and form (P8), and one for the agent itself (destination 'site'); the gateway has heard of told_revision
CREATE TABLE delivery (
    report_id      BIGINT NOT NULL REFERENCES report (id),
    destination    TEXT NOT NULL,
    form           TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('at-site', 'delivered', 'waiting', 'not-taken', 'held', 'rejected')),
    sentence       TEXT NOT NULL,
    attempts       BIGINT NOT NULL DEFAULT 0,
    refusals       BIGINT NOT NULL DEFAULT 0,
    due_us         BIGINT,
    lease_until_us BIGINT NOT NULL DEFAULT 0,
    since_us       BIGINT NOT NULL,
    revision       BIGINT NOT NULL DEFAULT 1,
    told_revision  BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (report_id, destination, form)
);
CREATE INDEX delivery_due ON delivery (due_us) WHERE due_us IS NOT NULL;

-- the document that is filed at home in the place of a signed one that names other UIDs: under which UID, signed since when, and the
-- digest of what was offered last
CREATE TABLE home_report (
    report_id BIGINT PRIMARY KEY REFERENCES report (id),
    sop_uid   TEXT NOT NULL UNIQUE,
    made_us   BIGINT NOT NULL,
    digest    TEXT NOT NULL DEFAULT ''
);

-- room `restore`: a report under a pseudonym is offered to nobody before its row says 'done'. home, ours and theirs are JSON and for
-- people at the site alone; names says in words what of the patient stands in the report's own text (P33)
CREATE TABLE restoration (
    report_id  BIGINT PRIMARY KEY REFERENCES report (id),
    state      TEXT NOT NULL CHECK (state IN ('due', 'done', 'held', 'refused')),
    sentence   TEXT NOT NULL DEFAULT '',
    home       TEXT,
    ours       TEXT,
    theirs     TEXT NOT NULL DEFAULT '[]',
    decided_by TEXT NOT NULL DEFAULT '' CHECK (decided_by IN ('', 'pacs', 'original', 'person')),
    names      TEXT NOT NULL DEFAULT '',
    attempts   BIGINT NOT NULL DEFAULT 0,
    refusals   BIGINT NOT NULL DEFAULT 0,
    due_us     BIGINT,
    since_us   BIGINT NOT NULL,
    CHECK (state <> 'done' OR home IS NOT NULL)
);
CREATE INDEX restoration_by_state ON restoration (state, due_us);

-- room `audit`: chained, append only; head is in agent_fact
CREATE TABLE audit_event (
    seq      BIGINT NOT NULL PRIMARY KEY,
    at_us    BIGINT NOT NULL,
    event    TEXT NOT NULL,
    actor    TEXT NOT NULL,
    subject  TEXT NOT NULL,
    detail   TEXT NOT NULL,
    previous TEXT NOT NULL,
    chain    TEXT NOT NULL
);
CREATE INDEX audit_event_looks ON audit_event (actor, subject, at_us);
CREATE TRIGGER audit_event_stays BEFORE UPDATE ON audit_event BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_event_is_kept BEFORE DELETE ON audit_event BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;

-- heads of the gateway's trail, as it said them; void when a doubt about them was settled
CREATE TABLE audit_witness (
    seq      BIGINT NOT NULL,
    digest   TEXT NOT NULL,
    at_us    BIGINT NOT NULL,
    heard_us BIGINT NOT NULL,
    void_us  BIGINT,
    PRIMARY KEY (seq, digest)
);

CREATE TABLE audit_doubt (
    whose      TEXT NOT NULL CHECK (whose IN ('ours', 'theirs')),
    found_us   BIGINT NOT NULL,
    sentence   TEXT NOT NULL,
    settled_us BIGINT,
    reason     TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (whose, found_us)
);
