-- Acknowledged objects whose rows were refused, for another reason than a busy database or a failing disk: what came behind them must
-- not wait for them. Their bytes are kept; each is tried again, and its row here goes when it has its rows. why names no patient; lost
-- marks bytes that were found missing at a start
CREATE TABLE unentered (
    id            INTEGER PRIMARY KEY,
    handle        TEXT NOT NULL UNIQUE,
    study_uid     TEXT NOT NULL,
    sop_uid       TEXT NOT NULL,
    calling       TEXT NOT NULL,
    called        TEXT NOT NULL,
    source_digest TEXT,
    length        BIGINT NOT NULL,
    why           TEXT NOT NULL,
    since_us      BIGINT NOT NULL,
    lost          BIGINT NOT NULL DEFAULT 0,
    UNIQUE (sop_uid, source_digest, calling, called)
);
