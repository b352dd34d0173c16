-- For the dashboard `swarm` and the run page: a run's figures over time.
--
--   latency(run, since, until, width_s, part, names)
--       -> time, name, request_type, requests, failures, requests_per_s, failures_per_s, fail_ratio,
--          mean_ms, p50_ms, p90_ms, p95_ms, p99_ms, max_ms
--   latency_parts(run, since, until, width_s, names)
--       -> time, name, request_type, queue_ms, service_ms, undivided_ms, cpu_ms, db_ms, pool_ms,
--          http_ms, cache_ms, other_ms, receiving_ms, outside_ms (means per request, to be stacked:
--          either service_ms, or the seven of which it is the sum), covered (share of the requests
--          that came with their parts, 0 to 1), db_calls, http_calls, cache_calls (per request);
--          *undivided*: service time of which nothing more is known; NULL: not measured
--   users_over_time(run, since, until, width_s) -> time, users
--   times_of(run) -> started, ended, first, last: a run's own times, and those of its windows
--   seconds_of(run, since, until) -> how long the run lasted in between: what rates are over

-- A run's own times, over which all rates are: from its start until its last worker had stopped its
-- users. That is before the end that its leader recorded if that waited for the workers, and after it
-- otherwise. While the run is running, until the last that is known. *first* and *last* bound its
-- windows, which are whole seconds.
CREATE FUNCTION times_of(run timestamptz)
RETURNS TABLE (started timestamptz, ended timestamptz, first timestamptz, last timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT id, greatest(latest, CASE
            WHEN status = 'running' THEN
                coalesce((SELECT max(u.time) FROM user_count u WHERE u.run_id = run), last)
            ELSE coalesce(worked.until, end_time, last)
        END), first, last
    FROM testrun CROSS JOIN (
        SELECT min(h.time) AS first, max(h.time) AS latest, max(h.time) + interval '1 s' AS last
        FROM histogram h
        WHERE h.run_id = run AND h.resolution = 1 AND h.part = 'response'
            AND h.name = '' AND h.request_type = ''
    ) finished CROSS JOIN (
        SELECT CASE WHEN count(*) = count(stopped) THEN max(stopped) END AS until
        FROM run_worker WHERE run_id = run
    ) worked
    WHERE id = run
$$;

-- How long a run lasted within [since, until): in whole seconds, except at its own start and end.
CREATE FUNCTION seconds_of(run timestamptz, since timestamptz, until timestamptz)
RETURNS double precision
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(greatest(0, extract(epoch FROM
        least(ended, CASE WHEN isfinite(seconds_of.until)
            THEN date_bin('1 s', seconds_of.until, 'epoch') END)
        - greatest(started, CASE WHEN isfinite(seconds_of.since)
            THEN date_bin('1 s', seconds_of.since + interval '999999 us', 'epoch') END)
    )), 0)::double precision
    FROM times_of(run)
$$;

-- A slot in which nothing finished has 0 requests and no latencies, so that a stall is visible.
CREATE FUNCTION latency(
    run timestamptz, since timestamptz, until timestamptz, width_s double precision,
    part text DEFAULT 'response', names text[] DEFAULT '{""}'
) RETURNS TABLE (
    "time" timestamptz, name text, request_type text, requests bigint, failures bigint,
    requests_per_s double precision, failures_per_s double precision, fail_ratio double precision,
    mean_ms double precision, p50_ms double precision, p90_ms double precision,
    p95_ms double precision, p99_ms double precision, max_ms double precision
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH asked AS (
        SELECT make_interval(secs => slot_s(width_s)) AS slot, id AS started,
            -- after the end, requests count in their own slot; the latest may not have arrived yet
            greatest(id, coalesce(end_time, now() - interval '3 s')) AS ended,
            CASE status WHEN 'running' THEN now() - interval '3 s' ELSE t.ended END AS lasted,
            end_time IS NULL AS is_on
        FROM testrun CROSS JOIN times_of(run) t WHERE id = run
    ), point AS MATERIALIZED (
        SELECT m.time AS slot_start, m.name, m.request_type, m.requests, m.failures, m.sum_ms,
            m.max_ms, m.buckets, m.cumulative
        FROM merged(
            run, latency.since, latency.until, width_s, ARRAY[latency.part], latency.names
        ) m
    ), axis AS (
        SELECT slot_start, endpoint.name, endpoint.request_type
        FROM asked
        CROSS JOIN generate_series(
            date_bin(slot, greatest(latency.since, started), 'epoch'),
            least(latency.until - interval '1 us', ended), slot
        ) AS slot_start
        CROSS JOIN (SELECT DISTINCT p.name, p.request_type FROM point p) AS endpoint
    ), filled AS (
        SELECT slot_start, name, request_type, coalesce(p.requests, 0) AS requests,
            coalesce(p.failures, 0) AS failures, p.sum_ms, p.max_ms, p.buckets, p.cumulative,
            greatest(1, extract(epoch FROM
                least(slot_start + slot, CASE WHEN lasted > slot_start THEN lasted END)
                    - greatest(slot_start, started)
            ))::double precision AS seconds
        FROM point p FULL JOIN axis USING (slot_start, name, request_type)
        CROSS JOIN asked
    )
    SELECT slot_start, f.name, f.request_type, f.requests, f.failures,
        f.requests / seconds, f.failures / seconds,
        f.failures::double precision / nullif(f.requests, 0), mean_ms(f.sum_ms, f.cumulative),
        percentile(0.5, buckets, cumulative, f.max_ms),
        percentile(0.9, buckets, cumulative, f.max_ms),
        percentile(0.95, buckets, cumulative, f.max_ms),
        percentile(0.99, buckets, cumulative, f.max_ms), f.max_ms
    FROM filled f CROSS JOIN asked
    WHERE NOT is_on OR slot_start + slot <= ended  -- the last one, half full, would look like a drop
    ORDER BY slot_start, f.name, f.request_type
$$;

-- The parts that a run's components were measured by: first the one that all measured requests have,
-- `cpu` or, where the CPU time is switched off, `service`. NULL where no components were measured.
CREATE FUNCTION components_of(run timestamptz) RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN 'cpu' = ANY (found) THEN array_prepend('cpu', array_remove(found, 'cpu'))
        ELSE array_prepend('service', found) END
    FROM (
        SELECT array_agg(DISTINCT part) AS found FROM histogram h
        WHERE h.run_id = run AND h.resolution = 60 AND h.name = '' AND h.request_type = ''
            AND part = ANY ('{cpu,db,pool,http,cache,other,db_calls,http_calls,cache_calls}')
    ) _
    WHERE found IS NOT NULL
$$;

-- Means, because percentiles of parts do not add up to that of the response time.
CREATE FUNCTION latency_parts(
    run timestamptz, since timestamptz, until timestamptz, width_s double precision,
    names text[] DEFAULT '{""}'
) RETURNS TABLE (
    "time" timestamptz, name text, request_type text, queue_ms double precision,
    service_ms double precision, undivided_ms double precision, cpu_ms double precision,
    db_ms double precision, pool_ms double precision, http_ms double precision,
    cache_ms double precision, other_ms double precision, receiving_ms double precision,
    outside_ms double precision, covered double precision, db_calls double precision,
    http_calls double precision, cache_calls double precision
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH asked AS MATERIALIZED (
        SELECT make_interval(secs => slot_s(width_s)) AS slot, components_of(run) AS parts
    ), sums AS (
        SELECT date_bin(slot, h.time, 'epoch') AS slot_start, h.name, h.request_type, h.part,
            sum(h.sum_ms) AS total, sum(h.count) AS requests
        FROM histogram h CROSS JOIN asked
        WHERE h.run_id = run AND h.resolution = resolution_for(width_s)
            AND h.time >= date_bin(slot, latency_parts.since, 'epoch')
            AND h.time < latency_parts.until
            AND h.part = ANY ('{response,queue,service,receiving,outside}' || parts)
            AND (latency_parts.names IS NULL OR h.name = ANY (latency_parts.names)
                AND (h.name <> '' OR h.request_type = ''))
        GROUP BY 1, 2, 3, 4
    ), wide AS (
        SELECT slot_start, s.name, s.request_type,
            sum(total / requests) FILTER (WHERE part = 'queue') AS queue,
            sum(total / requests) FILTER (WHERE part = 'service') AS service,
            sum(total / requests) FILTER (WHERE part = 'receiving') AS receiving,
            sum(total / requests) FILTER (WHERE part = 'outside') AS outside,
            coalesce(sum(requests) FILTER (WHERE part = 'outside'), 0)::double precision
                / sum(requests) FILTER (WHERE part = 'response') AS covered,
            sum(requests) FILTER (WHERE part = parts[1]) AS measured,
            jsonb_object_agg(part, total) AS totals
        FROM sums s CROSS JOIN asked
        GROUP BY slot_start, s.name, s.request_type
    ), component AS (
        SELECT slot_start, w.name, w.request_type, p.part,
            coalesce((totals ->> p.part)::double precision, 0) / measured AS mean
        FROM wide w CROSS JOIN asked CROSS JOIN unnest(parts) p (part)
        WHERE measured > 0
    ), components AS (
        SELECT slot_start, c.name, c.request_type,
            sum(mean) FILTER (WHERE part = 'cpu') AS cpu,
            sum(mean) FILTER (WHERE part = 'db') AS db,
            sum(mean) FILTER (WHERE part = 'pool') AS pool,
            sum(mean) FILTER (WHERE part = 'http') AS http,
            sum(mean) FILTER (WHERE part = 'cache') AS cache,
            sum(mean) FILTER (WHERE part = 'other') AS other,
            sum(mean) FILTER (WHERE part = 'db_calls') AS db_calls,
            sum(mean) FILTER (WHERE part = 'http_calls') AS http_calls,
            sum(mean) FILTER (WHERE part = 'cache_calls') AS cache_calls
        FROM component c
        GROUP BY slot_start, c.name, c.request_type
    )
    SELECT slot_start, w.name, w.request_type, queue, service,
        CASE WHEN cpu IS NULL THEN greatest(0, service - coalesce(db, 0) - coalesce(pool, 0)
            - coalesce(http, 0) - coalesce(cache, 0)) END,
        cpu, db, pool, http, cache,
        CASE WHEN cpu IS NOT NULL THEN coalesce(other, 0) END,
        receiving, outside, covered, db_calls, http_calls, cache_calls
    FROM wide w LEFT JOIN components c USING (slot_start, name, request_type)
    ORDER BY slot_start, w.name, w.request_type
$$;

CREATE FUNCTION users_over_time(
    run timestamptz, since timestamptz, until timestamptz, width_s double precision
) RETURNS TABLE ("time" timestamptz, users integer)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT slot, max(user_count)
    FROM user_count u
    CROSS JOIN LATERAL date_bin(make_interval(secs => greatest(1, width_s)), u.time, 'epoch') AS slot
    WHERE (u.run_id, u.time) >= (run, date_bin(  -- compared as rows, which uses the one index on both
            make_interval(secs => greatest(1, width_s)), users_over_time.since, 'epoch'
        ))
        AND (u.run_id, u.time) < (run, users_over_time.until)
    GROUP BY slot
    ORDER BY slot
$$;
