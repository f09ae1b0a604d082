-- What stands against signing since the gateway was put back to a backup (H5): unheard, until the site has sealed the study again and
-- said which signed reports it has of it; elsewhere, while one of these is not in these rows and no person has decided on it.
ALTER TABLE study ADD COLUMN restored TEXT NOT NULL DEFAULT '' CHECK (restored IN ('', 'unheard', 'elsewhere'));

-- room `report`: signed documents that a site has and these rows do not: signed after the backup that the gateway was put back to
CREATE TABLE report_elsewhere (
    site_id      TEXT NOT NULL REFERENCES site (id),
    sop_uid      TEXT NOT NULL,
    agreement_id TEXT NOT NULL,
    study_uid    TEXT NOT NULL,
    heard_us     BIGINT NOT NULL,
    settled_us   BIGINT,
    reason       TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (site_id, sop_uid)
);
CREATE INDEX report_elsewhere_by_study ON report_elsewhere (site_id, agreement_id, study_uid);

-- the syntax of what is in quarantine: without it its digest cannot be computed again. Empty for what came before this
ALTER TABLE quarantine ADD COLUMN transfer_syntax TEXT NOT NULL DEFAULT '';
