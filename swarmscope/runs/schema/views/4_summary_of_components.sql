-- What the service time was made of, by endpoint: for the terminal, the run page, checks, comparisons.
--
-- Shippers store only values that are not zero; CPU time always, zero or not. So a service with
-- 100 requests, 40 of which queried the database, has 100 values of `cpu` and 40 of `db`: the other 60
-- are zeros, which these functions add. Whatever reads parts cpu, db, pool, http, cache, other,
-- db_calls, http_calls or cache_calls calls one of them.
--
--   component_windows(run, since, until, width_s, names)
--       -> time, name, request_type, part, requests, used, total, max, buckets, cumulative: as merged()
--          (width_s NULL: one for all of [since, until)). *requests*: those whose components were
--          measured, over which every mean is (total / requests); *used*: those with any of this part.
--          Milliseconds; of db_calls, http_calls and cache_calls, numbers
--   component_percentile(quantile, part, requests, used, buckets, cumulative, max)
--       -> of a row of component_windows(), zeros included; numbers of calls are whole
--   component_summary(run, whole, names)
--       -> name, request_type, part, requests, used, mean, p50, p90, p95, p99, max, since, until,
--          scope, scope_text: of judged_span(), like summary()
--
-- No row: not measured, which is unknown, not 0. A part that no request of the run had, such as `http`
-- of a service that calls no other, has no rows at all. Where the CPU time is switched off, zeros are
-- counted by requests with a service time, and there is no `other`.

CREATE FUNCTION component_windows(
    run timestamptz, since timestamptz, until timestamptz, width_s double precision,
    names text[] DEFAULT '{""}'
) RETURNS TABLE (
    "time" timestamptz, name text, request_type text, part text, requests bigint, used bigint,
    total double precision, max double precision, buckets smallint[], cumulative double precision[]
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH measured AS (
        SELECT components_of(run) AS parts
    ), found AS MATERIALIZED (
        SELECT m.*, m.part = parts[1] AS is_base
        FROM measured CROSS JOIN LATERAL merged(
            run, component_windows.since, component_windows.until, width_s, parts,
            component_windows.names
        ) m
        WHERE parts IS NOT NULL
    )
    SELECT b.time, b.name, b.request_type, p.part, greatest(b.requests, f.requests),
        coalesce(f.requests, 0), coalesce(f.sum_ms, 0), coalesce(f.max_ms, 0), f.buckets, f.cumulative
    FROM found b CROSS JOIN measured
    CROSS JOIN unnest(array_remove(parts, 'service')) p (part)
    LEFT JOIN found f ON f.time = b.time AND f.name = b.name AND f.request_type = b.request_type
        AND f.part = p.part
    WHERE b.is_base
    ORDER BY b.time, b.name, b.request_type, p.part
$$;

CREATE FUNCTION component_percentile(
    quantile double precision, part text, requests bigint, used bigint, buckets smallint[],
    cumulative double precision[], max double precision
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN rank <= requests - used THEN 0 WHEN part LIKE '%\_calls' THEN round(value)
        ELSE value END
    FROM (SELECT greatest(ceil(quantile * requests), 1) AS rank) ranked
    CROSS JOIN LATERAL (
        SELECT least(component_percentile.max, bucket_ms(
            buckets[1 + width_bucket(rank - (requests - used) - 0.5, cumulative)]
        )) AS value
    ) found
$$;

CREATE FUNCTION component_summary(
    run timestamptz, whole boolean DEFAULT false, names text[] DEFAULT NULL
) RETURNS TABLE (
    name text, request_type text, part text, requests bigint, used bigint, mean double precision,
    p50 double precision, p90 double precision, p95 double precision, p99 double precision,
    max double precision, since timestamptz, until timestamptz, scope text, scope_text text
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT w.name, w.request_type, w.part, w.requests, w.used, w.total / w.requests,
        component_percentile(0.5, w.part, w.requests, w.used, buckets, cumulative, w.max),
        component_percentile(0.9, w.part, w.requests, w.used, buckets, cumulative, w.max),
        component_percentile(0.95, w.part, w.requests, w.used, buckets, cumulative, w.max),
        component_percentile(0.99, w.part, w.requests, w.used, buckets, cumulative, w.max),
        w.max, span.since, span.until, span.scope, span.scope_text
    FROM judged_span(run, whole) span
    CROSS JOIN component_windows(run, span.first, span.last, NULL, component_summary.names) w
    ORDER BY w.name, w.request_type, w.part
$$;
