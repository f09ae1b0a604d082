-- The first schema: every noun of the road out and the way home. Studies, requests, tasks and reports are n to m from the start,
-- and every row that belongs to a site carries its agreement. TEXT and BIGINT only, so that SQLite and PostgreSQL read the same
-- file; times are microseconds since 1970 in UTC (columns *_us); digests are hexadecimal; JSON is text.

-- room `rows`: facts about this gateway itself (epoch, receipt high-water marks)
CREATE TABLE gateway_fact (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- room `directory`
CREATE TABLE site (
    id              TEXT PRIMARY KEY,
    name            TEXT NOT NULL,
    country         TEXT NOT NULL,
    time_zone       TEXT NOT NULL,
    language        TEXT NOT NULL,
    phone           TEXT NOT NULL,
    legacy_headings BIGINT NOT NULL DEFAULT 0,
    receipt_number  BIGINT NOT NULL DEFAULT 0,
    session_spool   TEXT NOT NULL DEFAULT '',
    session_counter BIGINT NOT NULL DEFAULT 0,
    created_us      BIGINT NOT NULL,
    closed_us       BIGINT
);

-- options are words between spaces; in force from from_us (null: since it was made) until until_us or ended_us (null: open)
CREATE TABLE agreement (
    id             TEXT PRIMARY KEY,
    site_id        TEXT NOT NULL REFERENCES site (id),
    organisation   TEXT NOT NULL,
    identity       TEXT NOT NULL CHECK (identity IN ('identified', 'pseudonymous')),
    profile        TEXT NOT NULL DEFAULT '',
    options        TEXT NOT NULL DEFAULT '',
    language       TEXT NOT NULL,
    from_us        BIGINT,
    until_us       BIGINT,
    retention_days BIGINT NOT NULL DEFAULT 0,
    created_us     BIGINT NOT NULL,
    ended_us       BIGINT
);

CREATE TABLE enrolment_code (
    id          TEXT PRIMARY KEY,
    site_id     TEXT NOT NULL REFERENCES site (id),
    secret_hash TEXT NOT NULL,
    tries       BIGINT NOT NULL DEFAULT 0,
    created_us  BIGINT NOT NULL,
    expires_us  BIGINT NOT NULL,
    used_us     BIGINT
);

CREATE TABLE site_certificate (
    serial         TEXT PRIMARY KEY,
    site_id        TEXT NOT NULL REFERENCES site (id),
    not_before_us  BIGINT NOT NULL,
    not_after_us   BIGINT NOT NULL,
    issued_us      BIGINT NOT NULL,
    revoked_us     BIGINT,
    revoked_reason TEXT
);

-- room `archive`; blocked, remarks (a JSON list) and identity are what the site last said of the study in OPEN; deleted_us says when
-- its images were deleted, deleted_days after the report (null again when new ones have come)
CREATE TABLE study (
    site_id          TEXT NOT NULL REFERENCES site (id),
    agreement_id     TEXT NOT NULL REFERENCES agreement (id),
    study_uid        TEXT NOT NULL,
    purpose          TEXT NOT NULL CHECK (purpose IN ('read', 'comparison')),
    priority         TEXT NOT NULL CHECK (priority IN ('stat', 'urgent', 'routine', 'unstated')),
    case_code        TEXT NOT NULL,
    patient_id       TEXT NOT NULL DEFAULT '',
    patient_issuer   TEXT NOT NULL DEFAULT '',
    patient_name     TEXT NOT NULL DEFAULT '',
    name_folded      TEXT NOT NULL DEFAULT '',
    birth_date       TEXT NOT NULL DEFAULT '',
    sex              TEXT NOT NULL DEFAULT '',
    age              TEXT NOT NULL DEFAULT '',
    study_date       TEXT NOT NULL DEFAULT '',
    study_time       TEXT NOT NULL DEFAULT '',
    utc_offset       TEXT NOT NULL DEFAULT '',
    accession        TEXT NOT NULL DEFAULT '',
    study_id         TEXT NOT NULL DEFAULT '',
    description      TEXT NOT NULL DEFAULT '',
    referrer         TEXT NOT NULL DEFAULT '',
    at_site          BIGINT NOT NULL DEFAULT 0,
    held_at_site     BIGINT NOT NULL DEFAULT 0,
    manifest_version BIGINT NOT NULL DEFAULT 0,
    sealed_us        BIGINT,
    identity_version BIGINT NOT NULL DEFAULT 1,
    content_version  BIGINT NOT NULL DEFAULT 0,
    recalled_us      BIGINT,
    recall_reason    TEXT,
    deleted_us       BIGINT,
    deleted_days     BIGINT NOT NULL DEFAULT 0,
    blocked          TEXT NOT NULL DEFAULT '',
    remarks          TEXT NOT NULL DEFAULT '[]',
    identity         TEXT NOT NULL DEFAULT '',
    shifted_dates    BIGINT NOT NULL DEFAULT 0,
    first_us         BIGINT NOT NULL,
    last_us          BIGINT NOT NULL,
    PRIMARY KEY (site_id, agreement_id, study_uid)
);
CREATE INDEX study_by_uid ON study (study_uid);
CREATE INDEX study_by_patient ON study (site_id, agreement_id, patient_id);
CREATE INDEX study_by_accession ON study (accession);
CREATE INDEX study_by_name ON study (name_folded);
-- in the order in which searches answer
CREATE INDEX study_by_date ON study (study_date DESC, study_time DESC, study_uid, site_id, agreement_id);

-- how the identity in a study's images was removed (JSON), and the originals that only its site can open (hexadecimal); from the
-- first image that says so, for the header of reports
CREATE TABLE study_protection (
    site_id      TEXT NOT NULL,
    agreement_id TEXT NOT NULL,
    study_uid    TEXT NOT NULL,
    marks        TEXT NOT NULL,
    sealed_syntax TEXT NOT NULL DEFAULT '',
    sealed_set   TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (site_id, agreement_id, study_uid),
    FOREIGN KEY (site_id, agreement_id, study_uid) REFERENCES study (site_id, agreement_id, study_uid)
);

-- room `talk`: what the site says that a reader should know (P9), without what names the patient under a pseudonym; facts is JSON
CREATE TABLE study_context (
    site_id      TEXT NOT NULL,
    agreement_id TEXT NOT NULL,
    study_uid    TEXT NOT NULL,
    version      BIGINT NOT NULL,
    facts        TEXT NOT NULL,
    received_us  BIGINT NOT NULL,
    PRIMARY KEY (site_id, agreement_id, study_uid),
    FOREIGN KEY (site_id, agreement_id, study_uid) REFERENCES study (site_id, agreement_id, study_uid)
);

-- letters about the case of a code, in the order of seq; id is drawn at the writer's end. Of a reader's letter (account_id): the site
-- has it since heard_us, a person there has read it at read_us. Of a site's: a reader has read it at read_us, the site knows since known_us
CREATE TABLE letter (
    id           TEXT NOT NULL,
    site_id      TEXT NOT NULL REFERENCES site (id),
    agreement_id TEXT NOT NULL REFERENCES agreement (id),
    case_code    TEXT NOT NULL,
    seq          BIGINT NOT NULL,
    from_site    BIGINT NOT NULL,
    account_id   TEXT NOT NULL,
    who          TEXT NOT NULL,
    text         TEXT NOT NULL,
    written_us   BIGINT NOT NULL,
    came_us      BIGINT NOT NULL,
    heard_us     BIGINT,
    read_us      BIGINT,
    known_us     BIGINT,
    PRIMARY KEY (site_id, id),
    UNIQUE (site_id, agreement_id, case_code, seq)
);
CREATE INDEX letter_due ON letter (site_id, from_site, came_us);

CREATE TABLE series (
    site_id      TEXT NOT NULL,
    agreement_id TEXT NOT NULL,
    study_uid    TEXT NOT NULL,
    series_uid   TEXT NOT NULL,
    modality     TEXT NOT NULL DEFAULT '',
    number       BIGINT,
    description  TEXT NOT NULL DEFAULT '',
    body_part    TEXT NOT NULL DEFAULT '',
    laterality   TEXT NOT NULL DEFAULT '',
    series_date  TEXT NOT NULL DEFAULT '',
    series_time  TEXT NOT NULL DEFAULT '',
    instances    BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (site_id, agreement_id, study_uid, series_uid),
    FOREIGN KEY (site_id, agreement_id, study_uid) REFERENCES study (site_id, agreement_id, study_uid)
);

-- blob_key names the object that holds the dataset as sent (without group 0002); metadata is its DICOM JSON without bulk data;
-- pixels says where in the dataset the frames lie (written and read by archive::frames).
CREATE TABLE instance (
    site_id         TEXT NOT NULL,
    agreement_id    TEXT NOT NULL,
    sop_uid         TEXT NOT NULL,
    study_uid       TEXT NOT NULL,
    series_uid      TEXT NOT NULL,
    sop_class       TEXT NOT NULL,
    transfer_syntax TEXT NOT NULL,
    number          BIGINT,
    frames          BIGINT NOT NULL DEFAULT 0,
    image_rows      BIGINT,
    image_columns   BIGINT,
    bits_allocated  BIGINT,
    length          BIGINT NOT NULL,
    sent_digest     TEXT NOT NULL,
    source_tag      TEXT NOT NULL,
    blob_key        TEXT NOT NULL,
    pixels          TEXT NOT NULL DEFAULT '',
    metadata        TEXT NOT NULL,
    receipt_number  BIGINT NOT NULL DEFAULT 0,
    receipt_epoch   BIGINT NOT NULL DEFAULT 0,
    received_us     BIGINT NOT NULL,
    PRIMARY KEY (site_id, agreement_id, sop_uid),
    FOREIGN KEY (site_id, agreement_id, study_uid, series_uid) REFERENCES series (site_id, agreement_id, study_uid, series_uid)
);
-- in the order in which a series is answered
CREATE INDEX instance_by_series ON instance (site_id, agreement_id, study_uid, series_uid, (COALESCE(number, 2147483648)), sop_uid);
CREATE INDEX instance_by_blob ON instance (blob_key);

-- bytes on disk of instances that have not wholly arrived: which study they belong to
CREATE TABLE incoming_part (
    name         TEXT PRIMARY KEY,
    site_id      TEXT NOT NULL,
    agreement_id TEXT NOT NULL,
    study_uid    TEXT NOT NULL,
    begun_us     BIGINT NOT NULL
);
CREATE INDEX incoming_part_by_study ON incoming_part (study_uid);

CREATE TABLE manifest (
    site_id      TEXT NOT NULL,
    agreement_id TEXT NOT NULL,
    study_uid    TEXT NOT NULL,
    version      BIGINT NOT NULL,
    basis        TEXT NOT NULL,
    entries      TEXT NOT NULL,
    withheld     TEXT NOT NULL,
    sealed_us    BIGINT NOT NULL,
    received_us  BIGINT NOT NULL,
    PRIMARY KEY (site_id, agreement_id, study_uid, version),
    FOREIGN KEY (site_id, agreement_id, study_uid) REFERENCES study (site_id, agreement_id, study_uid)
);

-- room `ingest`: what came under a UID that other content already holds, and what could not be read; kept, shown, never served
CREATE TABLE quarantine (
    id           TEXT PRIMARY KEY,
    site_id      TEXT NOT NULL,
    agreement_id TEXT NOT NULL,
    study_uid    TEXT NOT NULL,
    sop_uid      TEXT NOT NULL,
    sent_digest  TEXT NOT NULL,
    source_tag   TEXT NOT NULL,
    length       BIGINT NOT NULL,
    blob_key     TEXT NOT NULL,
    reason       TEXT NOT NULL,
    receipt_number BIGINT NOT NULL,
    receipt_epoch  BIGINT NOT NULL,
    received_us  BIGINT NOT NULL,
    resolved_us  BIGINT,
    UNIQUE (site_id, agreement_id, sop_uid, sent_digest)
);
CREATE INDEX quarantine_by_blob ON quarantine (blob_key);

-- room `deletion`: studies whose bytes are to go, or are gone. ordered: nothing is gone yet; unlisted: the rows are, the bytes named
-- in deletion_blob and incoming_part are going; done. opened (a JSON list) is who had opened it; heard: the site has the receipt
CREATE TABLE deletion (
    site_id      TEXT NOT NULL,
    agreement_id TEXT NOT NULL,
    study_uid    TEXT NOT NULL,
    why          TEXT NOT NULL CHECK (why IN ('recalled', 'retention')),
    state        TEXT NOT NULL CHECK (state IN ('ordered', 'unlisted', 'done')),
    objects      BIGINT NOT NULL DEFAULT 0,
    bytes        BIGINT NOT NULL DEFAULT 0,
    parts        BIGINT NOT NULL DEFAULT 0,
    reports      BIGINT NOT NULL DEFAULT 0,
    opened       TEXT NOT NULL DEFAULT '[]',
    attempts     BIGINT NOT NULL DEFAULT 0,
    next_try_us  BIGINT NOT NULL DEFAULT 0,
    ordered_us   BIGINT NOT NULL,
    done_us      BIGINT,
    heard_us     BIGINT,
    PRIMARY KEY (site_id, agreement_id, study_uid)
);
CREATE INDEX deletion_open ON deletion (state, ordered_us);

CREATE TABLE deletion_blob (
    site_id      TEXT NOT NULL,
    agreement_id TEXT NOT NULL,
    study_uid    TEXT NOT NULL,
    blob_key     TEXT NOT NULL,
    PRIMARY KEY (site_id, agreement_id, study_uid, blob_key)
);

-- what the gateway held of a study whose time was over: offered again, it is known and not taken a second time
CREATE TABLE deleted_instance (
    site_id        TEXT NOT NULL,
    agreement_id   TEXT NOT NULL,
    sop_uid        TEXT NOT NULL,
    study_uid      TEXT NOT NULL,
    series_uid     TEXT NOT NULL,
    sop_class      TEXT NOT NULL,
    length         BIGINT NOT NULL,
    sent_digest    TEXT NOT NULL,
    source_tag     TEXT NOT NULL,
    receipt_number BIGINT NOT NULL,
    receipt_epoch  BIGINT NOT NULL,
    PRIMARY KEY (site_id, agreement_id, sop_uid)
);
CREATE INDEX deleted_instance_by_study ON deleted_instance (study_uid);

-- room `worklist`: a case is what a reader reports on; it has 1..n studies, a study 1..n requests
CREATE TABLE reading_case (
    id           TEXT PRIMARY KEY,
    site_id      TEXT NOT NULL REFERENCES site (id),
    agreement_id TEXT NOT NULL REFERENCES agreement (id),
    code         TEXT NOT NULL,
    created_us   BIGINT NOT NULL,
    UNIQUE (site_id, agreement_id, code)
);

CREATE TABLE case_study (
    case_id      TEXT NOT NULL REFERENCES reading_case (id),
    site_id      TEXT NOT NULL,
    agreement_id TEXT NOT NULL,
    study_uid    TEXT NOT NULL,
    PRIMARY KEY (case_id, site_id, agreement_id, study_uid),
    FOREIGN KEY (site_id, agreement_id, study_uid) REFERENCES study (site_id, agreement_id, study_uid)
);
CREATE INDEX case_study_by_study ON case_study (study_uid);

CREATE TABLE request (
    id                     TEXT PRIMARY KEY,
    site_id                TEXT NOT NULL,
    agreement_id           TEXT NOT NULL,
    accession              TEXT NOT NULL,
    issuer                 TEXT NOT NULL DEFAULT '',
    placer_number          TEXT NOT NULL DEFAULT '',
    filler_number          TEXT NOT NULL DEFAULT '',
    requested_procedure_id TEXT NOT NULL DEFAULT '',
    description            TEXT NOT NULL DEFAULT '',
    UNIQUE (site_id, agreement_id, accession, issuer, placer_number, requested_procedure_id)
);

CREATE TABLE study_request (
    site_id      TEXT NOT NULL,
    agreement_id TEXT NOT NULL,
    study_uid    TEXT NOT NULL,
    request_id   TEXT NOT NULL REFERENCES request (id),
    PRIMARY KEY (site_id, agreement_id, study_uid, request_id),
    FOREIGN KEY (site_id, agreement_id, study_uid) REFERENCES study (site_id, agreement_id, study_uid)
);

-- a UPS; states of PS3.4 CC.1.1
CREATE TABLE workitem (
    uid             TEXT PRIMARY KEY,
    case_id         TEXT NOT NULL REFERENCES reading_case (id),
    code            TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('SCHEDULED', 'IN PROGRESS', 'COMPLETED', 'CANCELED')),
    readiness       TEXT NOT NULL CHECK (readiness IN ('INCOMPLETE', 'READY', 'UNAVAILABLE')),
    priority        TEXT NOT NULL CHECK (priority IN ('stat', 'urgent', 'routine', 'unstated')),
    transaction_uid TEXT,
    claimed_by      TEXT,
    claimed_us      BIGINT,
    replaces_uid    TEXT,
    reason_code     TEXT,
    reason          TEXT,
    created_us      BIGINT NOT NULL,
    changed_us      BIGINT NOT NULL
);
CREATE INDEX workitem_by_case ON workitem (case_id);
CREATE INDEX workitem_by_state ON workitem (state, created_us);

CREATE TABLE workitem_study (
    workitem_uid TEXT NOT NULL REFERENCES workitem (uid),
    site_id      TEXT NOT NULL,
    agreement_id TEXT NOT NULL,
    study_uid    TEXT NOT NULL,
    PRIMARY KEY (workitem_uid, site_id, agreement_id, study_uid),
    FOREIGN KEY (site_id, agreement_id, study_uid) REFERENCES study (site_id, agreement_id, study_uid)
);

-- room `access`
CREATE TABLE account (
    id                  TEXT PRIMARY KEY,
    user_name           TEXT NOT NULL UNIQUE,
    password_hash       TEXT NOT NULL,
    family_name         TEXT NOT NULL,
    given_name          TEXT NOT NULL,
    title               TEXT NOT NULL DEFAULT '',
    registration_number TEXT NOT NULL DEFAULT '',
    organisation        TEXT NOT NULL,
    country             TEXT NOT NULL DEFAULT '',
    phone               TEXT NOT NULL DEFAULT '',
    is_reader           BIGINT NOT NULL DEFAULT 0,
    may_verify          BIGINT NOT NULL DEFAULT 0,
    is_operator         BIGINT NOT NULL DEFAULT 0,
    credentials         BIGINT NOT NULL DEFAULT 1,
    failed_logins       BIGINT NOT NULL DEFAULT 0,
    locked_until_us     BIGINT NOT NULL DEFAULT 0,
    created_us          BIGINT NOT NULL,
    disabled_us         BIGINT
);

CREATE TABLE session (
    token_hash TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    created_us BIGINT NOT NULL,
    seen_us    BIGINT NOT NULL,
    ends_us    BIGINT NOT NULL,
    ended_us   BIGINT
);

-- room `sign`: a reader's key pair; the private key is wrapped by a random key that sits in slots
CREATE TABLE signing_key (
    serial          TEXT PRIMARY KEY,
    account_id      TEXT NOT NULL REFERENCES account (id),
    certificate_der TEXT NOT NULL,
    wrapped_key     TEXT,
    issued_us       BIGINT NOT NULL,
    usable_until_us BIGINT NOT NULL,
    revoked_us      BIGINT,
    revoked_reason  TEXT
);

CREATE TABLE signing_key_slot (
    serial     TEXT NOT NULL REFERENCES signing_key (serial),
    kind       TEXT NOT NULL,
    parameters TEXT NOT NULL,
    wrapped    TEXT NOT NULL,
    PRIMARY KEY (serial, kind)
);

-- room `report`
CREATE TABLE draft (
    case_id    TEXT PRIMARY KEY REFERENCES reading_case (id),
    version    BIGINT NOT NULL,
    author_id  TEXT NOT NULL REFERENCES account (id),
    content    TEXT NOT NULL,
    changed_us BIGINT NOT NULL
);

CREATE TABLE report (
    id               TEXT PRIMARY KEY,
    case_id          TEXT NOT NULL REFERENCES reading_case (id),
    workitem_uid     TEXT NOT NULL REFERENCES workitem (uid),
    version          BIGINT NOT NULL,
    predecessor_id   TEXT REFERENCES report (id),
    status           TEXT NOT NULL CHECK (status IN ('preliminary', 'final', 'withdrawn')),
    author_id        TEXT NOT NULL REFERENCES account (id),
    verifier_id      TEXT REFERENCES account (id),
    draft_version    BIGINT NOT NULL,
    language         TEXT NOT NULL,
    content          TEXT NOT NULL,
    model            TEXT NOT NULL,
    manifest_version TEXT NOT NULL,
    identity_version TEXT NOT NULL,
    signing_serial   TEXT NOT NULL REFERENCES signing_key (serial),
    signed_us        BIGINT NOT NULL,
    UNIQUE (case_id, version),
    UNIQUE (workitem_uid, draft_version, status)
);

-- one signed copy under each study of the case
CREATE TABLE report_document (
    sop_uid         TEXT PRIMARY KEY,
    report_id       TEXT NOT NULL REFERENCES report (id),
    site_id         TEXT NOT NULL,
    agreement_id    TEXT NOT NULL,
    study_uid       TEXT NOT NULL,
    series_uid      TEXT NOT NULL,
    sop_class       TEXT NOT NULL,
    transfer_syntax TEXT NOT NULL,
    blob_key        TEXT NOT NULL,
    digest          TEXT NOT NULL,
    length          BIGINT NOT NULL,
    FOREIGN KEY (site_id, agreement_id, study_uid) REFERENCES study (site_id, agreement_id, study_uid)
);

CREATE TABLE report_request (
    report_id  TEXT NOT NULL REFERENCES report (id),
    request_id TEXT NOT NULL REFERENCES request (id),
    PRIMARY KEY (report_id, request_id)
);

-- room `delivery`: one row per signed document on its way to its site; leased by the link, with one row per destination and form
CREATE TABLE delivery (
    id             TEXT PRIMARY KEY,
    sop_uid        TEXT NOT NULL UNIQUE REFERENCES report_document (sop_uid),
    site_id        TEXT NOT NULL REFERENCES site (id),
    state          TEXT NOT NULL CHECK (state IN ('waiting', 'at-site', 'delivered', 'not-taken', 'held', 'rejected')),
    attempts       BIGINT NOT NULL DEFAULT 0,
    due_us         BIGINT NOT NULL,
    lease_owner    TEXT NOT NULL DEFAULT '',
    lease_until_us BIGINT NOT NULL DEFAULT 0,
    created_us     BIGINT NOT NULL,
    changed_us     BIGINT NOT NULL
);
CREATE INDEX delivery_due ON delivery (site_id, state, due_us);

CREATE TABLE delivery_form (
    delivery_id TEXT NOT NULL REFERENCES delivery (id),
    destination TEXT NOT NULL,
    form        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('at-site', 'delivered', 'waiting', 'not-taken', 'held', 'rejected')),
    sentence    TEXT NOT NULL,
    next_try_us BIGINT,
    since_us    BIGINT NOT NULL,
    PRIMARY KEY (delivery_id, destination, form)
);

-- room `audit`: chained, append only
CREATE TABLE audit_event (
    seq      BIGINT NOT NULL PRIMARY KEY,
    at_us    BIGINT NOT NULL,
    event    TEXT NOT NULL,
    actor    TEXT NOT NULL,
    site_id  TEXT NOT NULL,
    subject  TEXT NOT NULL,
    detail   TEXT NOT NULL,
    previous TEXT NOT NULL,
    chain    TEXT NOT NULL
);
CREATE INDEX audit_event_looks ON audit_event (actor, subject, at_us);

-- heads of the agents' trails, as they said them; void when a doubt about them was settled
CREATE TABLE audit_witness (
    site_id  TEXT NOT NULL,
    seq      BIGINT NOT NULL,
    digest   TEXT NOT NULL,
    at_us    BIGINT NOT NULL,
    heard_us BIGINT NOT NULL,
    void_us  BIGINT,
    PRIMARY KEY (site_id, seq, digest)
);

CREATE TABLE audit_doubt (
    site_id    TEXT NOT NULL,
    whose      TEXT NOT NULL CHECK (whose IN ('ours', 'theirs')),
    found_us   BIGINT NOT NULL,
    sentence   TEXT NOT NULL,
    settled_us BIGINT,
    reason     TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (site_id, whose, found_us)
);
