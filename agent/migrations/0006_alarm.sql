-- room `observe`: alarms that were told and stand, so that a restart neither tells them anew nor forgets who knows of them. about is the
-- code of a case or a part of the agent, never a name; acknowledged_us: since when a person knows
CREATE TABLE alarm (
    rule            TEXT NOT NULL,
    about           TEXT NOT NULL,
    sentence        TEXT NOT NULL,
    since_us        BIGINT NOT NULL,
    raised_us       BIGINT NOT NULL,
    told_us         BIGINT NOT NULL,
    times           BIGINT NOT NULL,
    weight          BIGINT NOT NULL,
    acknowledged_us BIGINT,
    acknowledged_by TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (rule, about)
);
