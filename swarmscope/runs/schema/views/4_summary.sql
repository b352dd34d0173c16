-- For the terminal, the run page, checks and comparisons: one row per run, endpoint and part.
--
--   judged_span(run, whole) -> since, until, scope, scope_text, first, last (of its windows)
--       the span of a run that its figures cover, for every reader: after ramp-up, or the whole run,
--       because that was asked for or because there is too little after ramp-up; scope_text says so
--   summary(run, whole, parts, names)
--       -> name, request_type, part, requests, failures, fail_ratio, requests_per_s, mean_ms, p50_ms,
--          p90_ms, p95_ms, p99_ms, max_ms, since, until, scope, scope_text, objective_met, left_out
--       of judged_span(); objective_met is NULL where too few requests finished to judge it, and
--       where *left_out* of the requests do not count
--   run: a view for lists, a row per run: run_id, run (its id as text, for links), testplan,
--       profile_name, description, env, host, username, status, complete, started, ramp_up_complete,
--       ended, duration_s, target_users, peak_users, requests, failures, fail_ratio, requests_per_s,
--       mean_ms, p50_ms, p95_ms, p99_ms, max_ms (of judged_span), objective_met, scope, scope_text,
--       objective_quantile, objective_ms, objective_fail_ratio, objective_requests, capacity_search,
--       workers, unfinished_workers, lost_workers, dropped, clock_skewed, corrected (starts outside
--       the run), after_stop (requests behind a worker's stop record), left_out (of *requests*)
--   failures(run, since, until, most) -> failures, name, request_type, error, first, last:
--       by endpoint and error, of the *most* newest

-- The only definition of the span of a run that is judged, by the run's own times. *first* and *last*
-- bound its windows.
CREATE FUNCTION judged_span(run timestamptz, whole boolean DEFAULT false)
RETURNS TABLE (
    since timestamptz, until timestamptz, scope text, scope_text text, first timestamptz,
    last timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH steady AS (
        SELECT t.*, s.since, ramp_up_complete IS NOT NULL AS ramped,
            greatest(extract(epoch FROM ended - s.since), 0)::double precision AS seconds
        FROM times_of(run) t CROSS JOIN testrun
        CROSS JOIN LATERAL
            date_bin('1 s', ramp_up_complete + interval '999999 us', 'epoch') s (since)
        WHERE id = run
    ), counted AS (
        SELECT steady.*, (
            SELECT coalesce(sum(h.count), 0) FROM tiles(steady.since, last) t
            CROSS JOIN LATERAL (
                SELECT i.count FROM histogram i
                WHERE i.run_id = run AND i.resolution = t.resolution
                    AND i.time >= t.starts AND i.time < t.ends AND i.part = 'response'
                    AND i.name = '' AND i.request_type = ''
                OFFSET 0
            ) h
        ) AS requests
        FROM steady
    ), chosen AS (
        SELECT counted.*, CASE WHEN whole THEN 'whole' WHEN NOT ramped THEN 'ramp_up_incomplete'
            WHEN seconds < setting_of('steady_s') OR requests < setting_of('steady_requests')
            THEN 'steady_too_short' ELSE 'after_ramp_up' END AS scope
        FROM counted
    )
    SELECT CASE c.scope WHEN 'after_ramp_up' THEN c.since ELSE c.started END, c.ended, c.scope,
        CASE c.scope WHEN 'whole' THEN 'Whole run' WHEN 'after_ramp_up' THEN 'After ramp-up'
        WHEN 'ramp_up_incomplete' THEN 'Whole run: ramp-up was not complete'
        ELSE format(
            'Whole run: only %s s and %s requests after ramp-up; %s s and %s requests are needed',
            trim_scale(round(c.seconds::numeric, 1)), to_char(c.requests, 'FM999,999,999,990'),
            setting_of('steady_s'), setting_of('steady_requests')
        ) END,
        CASE c.scope WHEN 'after_ramp_up' THEN c.since ELSE c.first END, c.last
    FROM chosen c
$$;

-- Rates are over the run's own times, as everywhere: requests / (until - since).
CREATE FUNCTION summary(
    run timestamptz, whole boolean DEFAULT false,
    parts text[] DEFAULT '{response,queue,service,receiving,outside,uncorrected}',
    names text[] DEFAULT NULL
) RETURNS TABLE (
    name text, request_type text, part text, requests bigint, failures bigint,
    fail_ratio double precision, requests_per_s double precision, mean_ms double precision,
    p50_ms double precision, p90_ms double precision, p95_ms double precision,
    p99_ms double precision, max_ms double precision, since timestamptz, until timestamptz,
    scope text, scope_text text, objective_met boolean, left_out bigint
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH span AS MATERIALIZED (
        SELECT * FROM judged_span(run, whole)
    ), other AS MATERIALIZED (
        SELECT o.* FROM span CROSS JOIN LATERAL left_out(run, span.first, span.last) o
    )
    SELECT m.name, m.request_type, m.part, m.requests, m.failures,
        m.failures::double precision / m.requests,
        m.requests / nullif(extract(epoch FROM span.until - span.since), 0)::double precision,
        mean_ms(m.sum_ms, m.cumulative),
        percentile(0.5, buckets, cumulative, m.max_ms),
        percentile(0.9, buckets, cumulative, m.max_ms),
        percentile(0.95, buckets, cumulative, m.max_ms),
        percentile(0.99, buckets, cumulative, m.max_ms), m.max_ms, span.since, span.until,
        span.scope, span.scope_text,
        CASE WHEN NOT o.capacity_search AND others.requests IS NULL THEN objective_met(
            m.requests, m.failures, percentile(o.quantile, buckets, cumulative, m.max_ms),
            o.limit_ms, o.fail_ratio, o.requests
        ) END, coalesce(others.requests, 0)
    FROM span CROSS JOIN objective_of(run) o
    CROSS JOIN merged(run, span.first, span.last, NULL, summary.parts, summary.names) m
    LEFT JOIN (
        SELECT * FROM other
        UNION ALL SELECT '', '', sum(requests)::bigint FROM other HAVING count(*) > 0
    ) others ON others.name = m.name AND others.request_type = m.request_type
    ORDER BY m.name, m.request_type, m.part
$$;

-- A run's id as text, the same everywhere: label, link, file name.
CREATE FUNCTION run_text(run timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_char(run AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- Bounded, so that a run in which everything fails costs no more than one in which little does.
CREATE FUNCTION failures(
    run timestamptz, since timestamptz, until timestamptz, most integer
) RETURNS TABLE (
    failures bigint, name text, request_type text, error text, first timestamptz, last timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT count(*), f.name, f.request_type, f.error, min(f.time), max(f.time)
    FROM (
        SELECT r.time, r.name, r.request_type, left(r.exception, 200) AS error
        FROM request r
        WHERE r.run_id = run AND r.success = 0
            AND r.time >= failures.since AND r.time < failures.until
        ORDER BY r.time DESC LIMIT most
    ) f
    GROUP BY f.name, f.request_type, f.error
    ORDER BY count(*) DESC, f.name, f.request_type, f.error
$$;

CREATE VIEW run AS
    SELECT r.id AS run_id, run_text(r.id) AS run, r.testplan, r.scenario, r.profile_name,
        r.description, r.env, r.host, r.username, r.status,
        r.status <> 'running' AND unfinished_workers = 0 AS complete,
        r.id AS started, r.ramp_up_complete, r.end_time AS ended,
        extract(epoch FROM coalesce(r.end_time, s.until) - r.id)::double precision AS duration_s,
        r.target_users, r.peak_users, s.requests, s.failures, s.fail_ratio, s.requests_per_s,
        s.mean_ms, s.p50_ms, s.p95_ms, s.p99_ms, s.max_ms, s.objective_met,
        s.scope, s.scope_text, o.quantile AS objective_quantile, o.limit_ms AS objective_ms,
        o.fail_ratio AS objective_fail_ratio, o.requests AS objective_requests, o.capacity_search,
        w.workers, w.unfinished_workers, w.lost_workers, w.dropped, w.clock_skewed,
        w.corrected, w.after_stop, coalesce(s.left_out, 0) AS left_out
    FROM testrun r
    CROSS JOIN LATERAL (
        SELECT count(*) AS workers,
            count(*) FILTER (WHERE stopped IS NULL) AS unfinished_workers,
            count(*) FILTER (WHERE outcome = 'lost') AS lost_workers,
            coalesce(sum(dropped), 0)::bigint AS dropped,
            coalesce(sum(clock_skewed), 0)::bigint AS clock_skewed,
            coalesce(sum(corrected), 0)::bigint AS corrected,
            coalesce(sum(after_stop), 0)::bigint AS after_stop
        FROM run_worker WHERE run_id = r.id
    ) w
    CROSS JOIN LATERAL objective_of(r.id) o
    LEFT JOIN LATERAL summary(r.id, false, '{response}', '{""}') s ON true;
