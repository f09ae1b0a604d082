-- What senders of the hospital have asked to hear: whether the gateway holds the instances that they named, so that they may delete them
-- (PS3.4 J). A request is open until its result was heard or is given up. Then its instances, pairs of class and UID as JSON, go; its
-- transaction UID is remembered, for none may be used twice. again marks a request whose UID had been used: all of it fails
CREATE TABLE commitment (
    id              INTEGER PRIMARY KEY,
    calling         TEXT NOT NULL,
    called          TEXT NOT NULL,
    transaction_uid TEXT NOT NULL,
    again           BIGINT NOT NULL DEFAULT 0,
    instances       TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('open', 'reported', 'given-up')),
    sentence        TEXT NOT NULL DEFAULT '',
    tries           BIGINT NOT NULL DEFAULT 0,
    asked_us        BIGINT NOT NULL,
    due_us          BIGINT NOT NULL,
    ended_us        BIGINT
);
CREATE INDEX commitment_by_uid ON commitment (calling, transaction_uid);
CREATE INDEX commitment_by_state ON commitment (state, due_us);
