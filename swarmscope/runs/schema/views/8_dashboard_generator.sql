-- For the dashboard `generator`: whether a run can be trusted.
--
--   workers(run) -> worker (its id, cut), samples, share (of all samples), dropped, clock_skewed,
--       clock_offset_ms (to be added to the worker's clock), state, corrected and after_stop as in
--       `run`
--   generator_summary(run) -> cpu_ratio, loop_lag_s (nine in ten reports of the worst worker
--       stayed below these), dispersion (median): of judged_span; no row without reports

CREATE FUNCTION workers(run timestamptz) RETURNS TABLE (
    worker text, samples bigint, share double precision, dropped bigint, clock_skewed bigint,
    clock_offset_ms double precision, state text, corrected bigint, after_stop bigint
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT regexp_replace(w.worker, '(_[0-9a-f]{6})[0-9a-f]{26}$', '\1'), w.samples,
        w.samples / nullif(sum(w.samples) OVER (), 0)::double precision, w.dropped, w.clock_skewed,
        w.clock_offset_s * 1000,
        CASE WHEN w.outcome = 'lost' THEN 'lost' WHEN w.stopped IS NOT NULL THEN 'delivered'
            WHEN r.status = 'running' THEN 'running' ELSE 'not delivered yet' END,
        w.corrected, w.after_stop
    FROM run_worker w LEFT JOIN testrun r ON r.id = w.run_id
    WHERE w.run_id = run
    ORDER BY w.worker
$$;

-- A run is saturated if more than a tenth of its reports are: hence the 90th percentile.
CREATE FUNCTION generator_summary(run timestamptz) RETURNS TABLE (
    cpu_ratio double precision, loop_lag_s double precision, dispersion double precision
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY h.cpu_ratio),
        percentile_cont(0.9) WITHIN GROUP (ORDER BY h.loop_lag_s),
        CASE WHEN count(judged.details) > 0 THEN max((judged.details ->> 'dispersion')::float8)
            ELSE percentile_cont(0.5) WITHIN GROUP (ORDER BY h.dispersion) END
    FROM generator_health h CROSS JOIN judged_span(run) span
    LEFT JOIN LATERAL (  -- once the run is over: over the time in which the objective held
        SELECT e.details FROM events e WHERE e.run_id = run AND e.kind = 'trust'
        ORDER BY e.time DESC LIMIT 1
    ) judged ON true
    WHERE h.run_id = run AND (span.since IS NULL OR h.time >= span.since)
    HAVING count(*) > 0
$$;
