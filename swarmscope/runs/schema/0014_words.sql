-- The words of docs/glossary.md in our own columns, parts and details; what locust-plugins named stays.
-- The histograms are rewritten in one pass, with their indexes: a million rows (0.3 GB) take less than
-- a minute, and as much disk again meanwhile. Columns of `request` are renamed at once, however many
-- rows it has, compressed or not. Views are dropped, because they use these columns, and come back
-- with the next step.
DROP VIEW IF EXISTS run, run_choice, run_summary, histogram;
DROP FUNCTION IF EXISTS bucket_of;

ALTER TABLE testrun RENAME COLUMN ramp_complete TO ramp_up_complete;
ALTER TABLE request RENAME COLUMN app_ms TO service_ms;
ALTER TABLE request RENAME COLUMN late_ms TO start_delay_ms;
ALTER TABLE run_worker RENAME COLUMN implausible TO clock_skewed;

ALTER TABLE histogram_closed
    DROP CONSTRAINT histogram_closed_part_check,
    ALTER COLUMN part TYPE text USING CASE part
        WHEN 'total' THEN 'response' WHEN 'app' THEN 'service' WHEN 'raw' THEN 'uncorrected'
        ELSE part END,
    ADD CONSTRAINT histogram_closed_part_check CHECK (
        part IN ('response', 'queue', 'service', 'receiving', 'outside', 'uncorrected')
    );
ALTER TABLE histogram_open
    DROP CONSTRAINT histogram_open_part_check,
    ALTER COLUMN part TYPE text USING CASE part
        WHEN 'total' THEN 'response' WHEN 'app' THEN 'service' WHEN 'raw' THEN 'uncorrected'
        ELSE part END,
    ADD CONSTRAINT histogram_open_part_check CHECK (
        part IN ('response', 'queue', 'service', 'receiving', 'outside', 'uncorrected')
    );

-- What a capacity search said: its levels, and its verdict.
UPDATE events SET details = details - 'app_p95_ms'
    || jsonb_build_object('service_p95_ms', details -> 'app_p95_ms')
WHERE kind = 'level' AND details ? 'app_p95_ms';
UPDATE events SET details = details - '{total,app,broken_part}'::text[] || jsonb_build_object(
    'response', details -> 'total', 'service', details -> 'app',
    'broken_part', CASE details ->> 'broken_part' WHEN 'app' THEN to_jsonb('service'::text)
        ELSE details -> 'broken_part' END
)
WHERE kind = 'verdict' AND details ? 'total';

UPDATE events SET kind = 'ramp_up_complete' WHERE kind = 'ramp_complete';
