-- For summaries and lists: the objective of a run, and which requests count for it.
--
--   objective_of(run) -> quantile, limit_ms, fail_ratio, requests (fewer do not decide it),
--       capacity_search: the objective of the run's own options, else that of `setting`
--   left_out(run, since, until) -> name, request_type, requests: those that do not count for the
--       objective, by --slo-requests or because they are not HTTP; as swarmscope.runs.selection
--   setting_of(name) -> value of a row of `setting`: objective_quantile, objective_ms, …

CREATE FUNCTION setting_of(name text) RETURNS double precision
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT value FROM setting s WHERE s.name = setting_of.name
$$;

-- With this many requests at least one lies above the true quantile with 95 % confidence, and is an
-- upper bound of it; with fewer there is none (Wilks, "Determination of sample sizes for setting
-- tolerance limits", Annals of Mathematical Statistics 12, 1941: 1 - quantile^n >= 0.95).
CREATE FUNCTION requests_needed(quantile double precision) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ceil(ln(0.05) / ln(quantile))::bigint
$$;

-- With fewer requests than 1 / fail_ratio, a single failure would exceed the objective.
CREATE FUNCTION objective_of(run timestamptz) RETURNS TABLE (
    quantile double precision, limit_ms double precision, fail_ratio double precision,
    requests bigint, capacity_search boolean
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT o.quantile, o.limit_ms, o.fail_ratio,
        greatest(requests_needed(o.quantile), ceil(1 / nullif(o.fail_ratio, 0))::bigint),
        o.capacity_search
    FROM (
        SELECT coalesce(r.objective_quantile, setting_of('objective_quantile')) AS quantile,
            coalesce(r.objective_ms, setting_of('objective_ms')) AS limit_ms,
            coalesce(r.objective_fail_ratio, setting_of('objective_fail_ratio')) AS fail_ratio,
            r.capacity_search
        FROM testrun r WHERE r.id = run
    ) o
$$;

-- The patterns of --slo-requests in the syntax of LIKE; NULL if the run's options named none.
CREATE FUNCTION selection_of(run timestamptz) RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT array_agg(
        replace(replace(replace(replace(btrim(p), '\', '\\'), '%', '\%'), '_', '\_'), '*', '%')
    )
    FROM (
        SELECT e.details->>'requests' AS patterns FROM events e
        WHERE e.run_id = run AND e.kind = 'note' AND e.details ? 'requests'
        ORDER BY e.time LIMIT 1
    ) said
    CROSS JOIN unnest(string_to_array(said.patterns, ',')) p
    WHERE btrim(p) <> ''
$$;

-- As `Selection.matches` of swarmscope.runs.selection.
CREATE FUNCTION is_selected(name text, request_type text, patterns text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN patterns IS NULL THEN upper(request_type) IN (
        'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'
    ) ELSE request_type LIKE ANY (patterns) OR name LIKE ANY (patterns)
        OR request_type || ' ' || name LIKE ANY (patterns) END
$$;

-- As `Selection.counted` of swarmscope.runs.selection: without patterns all count if none is HTTP, and
-- endpoints without their own names follow the rest.
CREATE FUNCTION left_out(run timestamptz, since timestamptz, until timestamptz)
RETURNS TABLE (name text, request_type text, requests bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH selection AS MATERIALIZED (
        SELECT selection_of(run) AS patterns
    ), endpoint AS (
        SELECT h.name, h.request_type, sum(h.count)::bigint AS requests
        FROM tiles(left_out.since, left_out.until) t CROSS JOIN LATERAL (
            SELECT i.name, i.request_type, i.count FROM histogram i
            WHERE i.run_id = run AND i.resolution = t.resolution
                AND i.time >= t.starts AND i.time < t.ends AND i.part = 'response'
                AND (i.name <> '' OR i.request_type <> '')
            OFFSET 0
        ) h
        GROUP BY h.name, h.request_type
    ), found AS MATERIALIZED (
        SELECT e.*, is_selected(e.name, e.request_type, patterns) AS selected
        FROM endpoint e CROSS JOIN selection
    )
    SELECT f.name, f.request_type, f.requests FROM found f
    WHERE NOT f.selected AND (
        (SELECT patterns IS NOT NULL FROM selection)
        OR (
            SELECT bool_or(selected)
                AND bool_or(NOT selected AND (o.name, o.request_type) <> ('(more names)', ''))
            FROM found o
        )
    )
$$;

-- More failures than allowed are decisive; any other result takes enough requests.
CREATE FUNCTION objective_met(
    requests bigint, failures bigint, measured_ms double precision, limit_ms double precision,
    fail_ratio double precision, needed bigint
) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN failures > fail_ratio * requests THEN false
        WHEN requests >= needed THEN measured_ms <= limit_ms END
$$;
