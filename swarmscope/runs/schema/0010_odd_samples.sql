-- Requests of which something was wrong: counted, so that a run can say so.
ALTER TABLE run_worker
    ADD COLUMN corrected bigint NOT NULL DEFAULT 0,  -- a start that could not be was replaced
    ADD COLUMN after_stop bigint NOT NULL DEFAULT 0;  -- finished after the stop record: not in samples
-- A histogram's count may be more than its buckets hold: what has no time is counted all the same.
COMMENT ON COLUMN histogram_closed.count IS 'requests, with or without a latency';
COMMENT ON COLUMN histogram_open.count IS 'requests, with or without a latency';
