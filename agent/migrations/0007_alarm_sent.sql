-- room `observe`: when a channel took an alarm last. Told is not heard: a restart in between must not hold it back. What was told before
-- this column counts as taken
ALTER TABLE alarm ADD COLUMN sent_us BIGINT;
UPDATE alarm SET sent_us = told_us;
