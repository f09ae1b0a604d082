-- A destination may hold a report although nobody has heard so: all of it was sent and no answer came, or the agent ended while it was
-- being offered. It is asked before the report is offered again; until then its row is shown as 'unknown' (I16). Earlier versions did
-- not tell such rows from those that never got through: all that were offered and are waiting count
ALTER TABLE delivery ADD COLUMN unknown BIGINT NOT NULL DEFAULT 0;
UPDATE delivery SET unknown = 1 WHERE destination <> 'site' AND state IN ('at-site', 'waiting') AND attempts > 0;
