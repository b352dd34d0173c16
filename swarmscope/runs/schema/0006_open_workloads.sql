-- Of an open workload, latency counts from when a request was due. Its time from the actual start is
-- response_time - late_ms, and a part of its own among the histograms: raw.
ALTER TABLE request ADD COLUMN late_ms double precision;  -- NULL: a closed workload
ALTER TABLE histogram_closed
    DROP CONSTRAINT histogram_closed_part_check,
    ADD CONSTRAINT histogram_closed_part_check
        CHECK (part IN ('total', 'queue', 'app', 'outside', 'raw')) NOT VALID;
ALTER TABLE histogram_open
    DROP CONSTRAINT histogram_closed_part_check,
    ADD CONSTRAINT histogram_open_part_check
        CHECK (part IN ('total', 'queue', 'app', 'outside', 'raw')) NOT VALID;
