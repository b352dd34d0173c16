-- The objective that a run's own options named: its verdict, page, checks and alerts go by this one.
-- NULL: the run named none, so the figures of `setting` hold.
ALTER TABLE testrun
    ADD COLUMN objective_quantile double precision,
    ADD COLUMN objective_ms double precision,
    ADD COLUMN objective_fail_ratio double precision,
    -- it went beyond the objective on purpose, so the objective says nothing of it as a whole
    ADD COLUMN capacity_search boolean NOT NULL DEFAULT false;
UPDATE testrun r SET capacity_search = true,
    objective_quantile = 0.95,
    objective_ms = (e.details->>'limit_ms')::double precision,
    objective_fail_ratio = (e.details->>'fail_ratio')::double precision
FROM events e WHERE e.run_id = r.id AND e.kind = 'verdict';

-- From how much on the part of a run after its ramp-up is judged by itself.
INSERT INTO setting VALUES ('steady_s', 10), ('steady_requests', 59);
