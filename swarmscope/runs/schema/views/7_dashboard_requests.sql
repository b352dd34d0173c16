-- For the dashboard `requests`: one run in detail.
--
--   endpoints_of(run) -> name, request_type, endpoint: both as one text, 'All endpoints' first
--   endpoints(run, since, until) -> endpoint, requests, requests_per_s, fail_ratio, mean_ms, p50_ms,
--       p95_ms, p99_ms, max_ms, service_p95_ms, queue_p95_ms, outside_p95_ms, objective
--   latency_heatmap(run, since, until, width_s, endpoint) -> time (a slot's end), up_to_ms,
--       requests: in bands of latency that grow by a fifth, including those without a request
--   slowest(run, since, until, endpoint, most) -> started, endpoint, response_ms, start_delay_ms,
--       queue_ms, service_ms, receiving_ms, outside_ms, error, worker, trace_id, cpu_ms, db_ms,
--       pool_ms, http_ms, cache_ms, other_ms, db_calls, http_calls, cache_calls: raw requests, slowest
--       first. Components of service_ms are NULL where they were not measured, else 0 or more
--   components_text(cpu_ms, db_ms, pool_ms, http_ms, cache_ms, other_ms, db_calls, http_calls,
--       cache_calls) -> those of a request that took long enough to matter, longest first
--   by_worker(run, since, until) -> worker, requests, share, requests_per_s, fail_ratio, mean_ms,
--       max_ms
--   decoded(encoded) -> the text behind percent-encoding: how Grafana passes a name

-- Percent-encoded UTF-8 (RFC 3986, 2.1): only with Grafana's format `percentencode` can nothing in a
-- value be taken for SQL; `sqlstring` turns " into \".
CREATE FUNCTION decoded(encoded text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(convert_from(string_agg(
        CASE WHEN piece ~ '^%' THEN decode(substr(piece, 2), 'hex') ELSE convert_to(piece, 'UTF8') END,
        '' ORDER BY number
    ), 'UTF8'), '')
    FROM regexp_matches(encoded, '%[0-9A-Fa-f]{2}|[^%]+', 'g') WITH ORDINALITY AS found (pieces, number)
    CROSS JOIN LATERAL unnest(pieces) AS piece
$$;

CREATE FUNCTION endpoints_of(run timestamptz)
RETURNS TABLE (name text, request_type text, endpoint text)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT DISTINCT h.name, h.request_type, endpoint_text(h.name, h.request_type)
    FROM histogram h
    WHERE h.run_id = run AND h.resolution = 60 AND h.part = 'response'
    ORDER BY h.name, h.request_type
$$;

CREATE FUNCTION endpoints(run timestamptz, since timestamptz, until timestamptz) RETURNS TABLE (
    endpoint text, requests bigint, requests_per_s double precision, fail_ratio double precision,
    mean_ms double precision, p50_ms double precision, p95_ms double precision,
    p99_ms double precision, max_ms double precision, service_p95_ms double precision,
    queue_p95_ms double precision, outside_p95_ms double precision, objective text
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH other AS MATERIALIZED (
        SELECT * FROM left_out(run, endpoints.since, endpoints.until)
    ), figures AS (
        SELECT m.*, percentile(0.5, buckets, cumulative, m.max_ms) AS p50_ms,
            percentile(0.95, buckets, cumulative, m.max_ms) AS p95_ms,
            percentile(0.99, buckets, cumulative, m.max_ms) AS p99_ms,
            CASE WHEN NOT o.capacity_search AND others.name IS NULL THEN objective_met(
                m.requests, m.failures, percentile(o.quantile, buckets, cumulative, m.max_ms),
                o.limit_ms, o.fail_ratio, o.requests
            ) END AS met
        FROM objective_of(run) o CROSS JOIN merged(
            run, endpoints.since, endpoints.until, NULL, '{response,queue,service,outside}', NULL
        ) m
        LEFT JOIN (
            SELECT name, request_type FROM other
            UNION ALL SELECT '', '' FROM other HAVING count(*) > 0
        ) others ON others.name = m.name AND others.request_type = m.request_type
    )
    SELECT endpoint_text(response.name, response.request_type), response.requests,
        response.requests / lasted.seconds, response.failures::double precision / response.requests,
        mean_ms(response.sum_ms, response.cumulative), response.p50_ms, response.p95_ms,
        response.p99_ms, response.max_ms, service.p95_ms, queue.p95_ms, outside.p95_ms,
        CASE WHEN response.met THEN 'met' WHEN NOT response.met THEN 'missed'
            ELSE 'not judged' END
    FROM seconds_of(run, endpoints.since, endpoints.until) AS lasted (seconds)
    CROSS JOIN (SELECT * FROM figures WHERE part = 'response') response
    LEFT JOIN (SELECT * FROM figures WHERE part = 'service') service USING (name, request_type)
    LEFT JOIN (SELECT * FROM figures WHERE part = 'queue') queue USING (name, request_type)
    LEFT JOIN (SELECT * FROM figures WHERE part = 'outside') outside USING (name, request_type)
    ORDER BY response.name, response.request_type
$$;

-- A band is four buckets; every slot has every band between the lowest and the highest.
CREATE FUNCTION latency_heatmap(
    run timestamptz, since timestamptz, until timestamptz, width_s double precision,
    endpoint text DEFAULT 'All endpoints'
) RETURNS TABLE ("time" timestamptz, up_to_ms double precision, requests bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH bar AS (
        SELECT slot, ceil(bucket / 4.0)::integer AS band, sum(n) AS requests
        FROM endpoints_of(run) chosen
        CROSS JOIN LATERAL (
            SELECT * FROM histogram i
            WHERE i.run_id = run AND i.resolution = resolution_for(width_s) AND i.part = 'response'
                AND i.name = chosen.name AND i.request_type = chosen.request_type
                AND i.time < latency_heatmap.until AND i.time >= date_bin(
                    make_interval(secs => slot_s(width_s)), latency_heatmap.since, 'epoch'
                )
        ) h
        CROSS JOIN LATERAL date_bin(make_interval(secs => slot_s(width_s)), h.time, 'epoch') AS slot
        CROSS JOIN LATERAL unnest(h.buckets, h.counts) AS one (bucket, n)
        WHERE chosen.endpoint = latency_heatmap.endpoint
        GROUP BY slot, band
    ), extent AS (
        SELECT min(slot) AS first, max(slot) AS last, min(band) AS lowest, max(band) AS highest
        FROM bar
    )
    SELECT slot + make_interval(secs => slot_s(width_s)), power(1.025::float8 / 0.975, 4 * band),
        coalesce(bar.requests, 0)
    FROM extent
    CROSS JOIN generate_series(first, last, make_interval(secs => slot_s(width_s))) AS slot
    CROSS JOIN generate_series(lowest, highest) AS band
    LEFT JOIN bar USING (slot, band)
    ORDER BY slot, band
$$;

-- Reads few of the raw requests, however many there are. The *most* slowest are within that many
-- windows with the largest maxima (minutes, then seconds), and there in the highest buckets: the
-- second in which a request finished and its bucket give its start almost to the second.
CREATE FUNCTION slowest(
    run timestamptz, since timestamptz, until timestamptz, endpoint text DEFAULT 'All endpoints',
    most integer DEFAULT 25
) RETURNS TABLE (
    started timestamptz, endpoint text, response_ms double precision,
    start_delay_ms double precision, queue_ms double precision, service_ms double precision,
    receiving_ms double precision, outside_ms double precision, error text, worker text,
    trace_id text, cpu_ms double precision, db_ms double precision, pool_ms double precision,
    http_ms double precision, cache_ms double precision, other_ms double precision,
    db_calls integer, http_calls integer, cache_calls integer
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH chosen AS (
        SELECT e.name, e.request_type FROM endpoints_of(run) e WHERE e.endpoint = slowest.endpoint
    ), "minute" AS (
        SELECT h.time
        FROM histogram h JOIN chosen USING (name, request_type)
        WHERE h.run_id = run AND h.resolution = 60 AND h.part = 'response'
            AND h.time > slowest.since - interval '60 s' AND h.time < slowest.until
        GROUP BY h.time
        ORDER BY max(h.max_ms) DESC LIMIT most + 2  -- the first and the last may be half outside
    ), found AS (
        SELECT h.time, h.max_ms, h.buckets, h.counts
        FROM chosen CROSS JOIN "minute" CROSS JOIN LATERAL (
            SELECT * FROM histogram i
            WHERE i.run_id = run AND i.resolution = 1 AND i.part = 'response'
                AND i.name = chosen.name AND i.request_type = chosen.request_type
                AND i.time >= "minute".time AND i.time < "minute".time + interval '60 s'
                AND i.time >= slowest.since AND i.time <= slowest.until - interval '1 s'
            OFFSET 0
        ) h
    ), "second" AS (
        SELECT f.time FROM found f GROUP BY f.time ORDER BY max(f.max_ms) DESC LIMIT most
    ), bar AS (
        SELECT f.time, bucket, sum(sum(n)) OVER (ORDER BY bucket DESC) AS so_far, sum(n) AS n
        FROM found f JOIN "second" USING (time)
        CROSS JOIN LATERAL unnest(f.buckets, f.counts) AS one (bucket, n)
        GROUP BY f.time, bucket
    ), window_of AS (  -- overlapping ones merged
        SELECT unnest(range_agg(tstzrange(
            b.time - make_interval(secs => power(1.025::float8 / 0.975, bucket) / 1000 + 0.01),
            b.time - make_interval(secs => power(1.025::float8 / 0.975, bucket - 1) / 1000 - 1.01)
        ))) AS began
        FROM bar b
        WHERE bucket >= (
            SELECT coalesce(max(c.bucket) FILTER (WHERE c.so_far >= most), min(c.bucket)) FROM bar c
        )
    )
    SELECT r.time, endpoint_text(r.name, r.request_type), r.response_time,
        coalesce(r.start_delay_ms, 0), r.queue_ms, r.service_ms, r.receiving_ms,
        r.response_time - coalesce(r.start_delay_ms, 0) - coalesce(r.receiving_ms, 0)
            - r.queue_ms - r.service_ms,
        coalesce(r.exception, ''), coalesce(sent_by.worker, r.loadgen), coalesce(r.trace_id, ''),
        r.cpu_ms, r.db_ms, r.pool_ms, r.http_ms, r.cache_ms,
        CASE WHEN r.cpu_ms IS NOT NULL THEN greatest(
            0, r.service_ms - r.cpu_ms - r.db_ms - r.pool_ms - r.http_ms - r.cache_ms
        ) END, r.db_calls, r.http_calls, r.cache_calls
    FROM window_of CROSS JOIN LATERAL (
        SELECT * FROM request i
        WHERE i.run_id = (SELECT run)  -- evaluated once, not for each request
            AND i.time >= lower(began) AND i.time < upper(began)
            AND slowest.endpoint IN ('All endpoints', endpoint_text(i.name, i.request_type))
            AND date_bin(
                '1 s', i.time + make_interval(secs => i.response_time / 1000), 'epoch'
            ) BETWEEN slowest.since AND slowest.until - interval '1 s'
        ORDER BY i.response_time DESC LIMIT most
    ) r
    LEFT JOIN (
        SELECT w.worker, j.host, j.pid
        FROM run_worker w JOIN journal j ON j.id = w.journal_id WHERE w.run_id = run
    ) sent_by ON sent_by.host = r.loadgen AND sent_by.pid = r.pid
    ORDER BY r.response_time DESC, r.time
    LIMIT most
$$;

-- Such as "database 74 ms in 41 calls · CPU 5.2 ms": what took a hundredth of the service time or more.
CREATE FUNCTION components_text(
    cpu_ms double precision, db_ms double precision, pool_ms double precision,
    http_ms double precision, cache_ms double precision, other_ms double precision,
    db_calls integer, http_calls integer, cache_calls integer
) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT string_agg(
        label || to_char(ms, CASE WHEN ms < 9.95 THEN ' FM0.0' ELSE ' FM999,999,990' END) || ' ms'
            || CASE WHEN calls = 1 THEN ' in 1 call' WHEN calls > 1 THEN format(' in %s calls', calls)
                ELSE '' END,
        ' · ' ORDER BY ms DESC
    )
    FROM (
        SELECT part.*, sum(ms) OVER () AS service_ms
        FROM (VALUES ('CPU', cpu_ms, 0), ('database', db_ms, db_calls), ('connection pool', pool_ms, 0),
            ('HTTP calls', http_ms, http_calls), ('cache', cache_ms, cache_calls),
            ('other', other_ms, 0)) AS part (label, ms, calls)
    ) parts
    WHERE ms > 0 AND ms >= service_ms / 100
$$;

-- From windows of a second, which are kept apart for each worker's journal.
CREATE FUNCTION by_worker(run timestamptz, since timestamptz, until timestamptz) RETURNS TABLE (
    worker text, requests bigint, share double precision, requests_per_s double precision,
    fail_ratio double precision, mean_ms double precision, max_ms double precision
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT h.worker, h.requests,
        (h.requests / sum(h.requests) OVER ())::double precision, h.requests / lasted.seconds,
        h.failures::double precision / h.requests, h.sum_ms / h.timed,
        CASE WHEN h.timed > 0 THEN h.max_ms END
    FROM (
        SELECT coalesce(w.worker, j.worker, 'unknown') AS worker,
            sum(count) AS requests, sum(i.failures) AS failures,
            nullif(sum((SELECT sum(c) FROM unnest(i.counts) c)), 0) AS timed,
            sum(i.sum_ms) AS sum_ms, max(i.max_ms) AS max_ms
        FROM histogram i
        LEFT JOIN run_worker w ON w.run_id = run AND w.journal_id = i.journal_id
        LEFT JOIN journal j ON j.id = i.journal_id  -- a removed journal is continued by another
        WHERE i.run_id = run AND i.resolution = 1 AND i.part = 'response'
            AND i.name = '' AND i.request_type = ''
            AND i.time >= by_worker.since AND i.time <= by_worker.until - interval '1 s'
        GROUP BY 1
    ) h
    CROSS JOIN seconds_of(run, by_worker.since, by_worker.until) AS lasted (seconds)
    ORDER BY 1
$$;
