-- What the service time was made of, in milliseconds and numbers of calls. A request without a part
-- has no sample of it, except of `cpu`: see component_summary() in views/4_summary_of_components.sql.
-- NULL: not measured; 0: none. One by one, as TimescaleDB adds columns to what is compressed.
ALTER TABLE request ADD COLUMN cpu_ms real;
ALTER TABLE request ADD COLUMN db_ms real;
ALTER TABLE request ADD COLUMN pool_ms real;
ALTER TABLE request ADD COLUMN http_ms real;
ALTER TABLE request ADD COLUMN cache_ms real;
ALTER TABLE request ADD COLUMN db_calls integer;
ALTER TABLE request ADD COLUMN http_calls integer;
ALTER TABLE request ADD COLUMN cache_calls integer;

ALTER TABLE histogram_closed
    DROP CONSTRAINT histogram_closed_part_check,
    ADD CONSTRAINT histogram_closed_part_check CHECK (part IN (
        'response', 'queue', 'service', 'receiving', 'outside', 'uncorrected',
        'cpu', 'db', 'pool', 'http', 'cache', 'other', 'db_calls', 'http_calls', 'cache_calls'
    )) NOT VALID;
ALTER TABLE histogram_open
    DROP CONSTRAINT histogram_open_part_check,
    ADD CONSTRAINT histogram_open_part_check CHECK (part IN (
        'response', 'queue', 'service', 'receiving', 'outside', 'uncorrected',
        'cpu', 'db', 'pool', 'http', 'cache', 'other', 'db_calls', 'http_calls', 'cache_calls'
    )) NOT VALID;
COMMENT ON COLUMN histogram_closed.sum_ms IS 'milliseconds; of parts *_calls, calls';
COMMENT ON COLUMN histogram_open.sum_ms IS 'milliseconds; of parts *_calls, calls';
