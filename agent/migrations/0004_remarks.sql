-- What a study leaves with is asked for each time the queue is looked at: without this every row of every waiting study was read.
CREATE INDEX instance_remarks ON instance (study_id, remarks) WHERE remarks <> '';
