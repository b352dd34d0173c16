-- For `trend`, `check --against` and the dashboard `trend`: the runs of a plan, and a figure of them.
--
--   past_runs(plan, reference, more, most) -> run_id, run, environment, branch, commit_hash, version,
--       plan, scenario_hash, machine, host, duration_s, objective (as text), same_load, same_machine,
--       same_environment: the *most* latest complete runs of *plan* up to *reference*, and those of
--       *more* (ids as text) whenever they were; latest first. Without a reference all of them; without
--       a plan that of the reference, or of the latest run. What is the same is so of the reference,
--       or of the latest; a machine that is not known is taken for the same. No capacity searches, and no
--       others that `--check-abort` ended
--   figure_of(run, endpoint, part, measure) -> a measure (p95, mean, …, rate, failed) of a part of an
--       endpoint ("METHOD NAME"; '' is all together), from judged_span; NULL where it is unknown
--   trend_of(run, endpoint, part, measure, most) -> run, since, until (of a link), started, version,
--       branch, number, value, low and high: the smallest and the largest value of the 20 runs before,
--       beyond each of which one of 21 runs is if nothing changes; for runs like *run*, up to it

CREATE FUNCTION can_be_compared(run timestamptz) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT status <> 'running' AND NOT coalesce(capacity_search, false)
        AND NOT EXISTS (SELECT FROM run_worker w WHERE w.run_id = run AND w.stopped IS NULL)
        AND EXISTS (SELECT FROM histogram h WHERE h.run_id = run)
    FROM testrun WHERE id = run
$$;

-- What decides how much load there was, from a run's own options; objectives and checks do not.
CREATE FUNCTION load_of(run timestamptz) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT jsonb_build_array(scenario, profile_name, target_users, (
        SELECT jsonb_object_agg(key, value) FROM jsonb_each(settings::jsonb)
        WHERE key <> 'host' AND key !~ '^(slo|check)_'
    ))
    FROM testrun WHERE id = run
$$;

CREATE FUNCTION past_runs(plan text, reference timestamptz, more text[], most integer)
RETURNS TABLE (
    run_id timestamptz, run text, environment text, branch text, commit_hash text, version text,
    plan text, scenario_hash text, machine text, host text, duration_s double precision,
    objective text, same_load boolean, same_machine boolean, same_environment boolean
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH chosen AS MATERIALIZED (
        SELECT t.id, t.testplan, t.machine, t.env, load_of(t.id) AS load FROM testrun t
        WHERE can_be_compared(t.id) AND (past_runs.plan IS NULL OR t.testplan = past_runs.plan)
            AND (reference IS NULL OR t.id = reference)
        ORDER BY t.id DESC LIMIT 1
    )
    SELECT t.id, run_text(t.id), t.env, t.branch, t.commit_hash, t.changeset_guid, t.testplan,
        t.scenario_hash, t.machine, t.host,
        extract(epoch FROM t.end_time - t.id)::double precision,
        format('p%s %s ms, %s %% failed', (o.quantile * 100)::numeric::real, o.limit_ms,
            (o.fail_ratio * 100)::numeric::real),
        load_of(t.id) = c.load, coalesce(t.machine = c.machine, true), t.env = c.env
    FROM chosen c JOIN testrun t ON t.testplan = c.testplan CROSS JOIN LATERAL objective_of(t.id) o
    WHERE can_be_compared(t.id)
        AND (reference IS NULL OR t.id <= reference OR run_text(t.id) = ANY (more))
        AND (t.id = c.id OR NOT EXISTS (
            SELECT FROM events e WHERE e.run_id = t.id AND e.kind = 'ended_early'
        ))
    ORDER BY t.id DESC LIMIT most
$$;

CREATE FUNCTION figure_of(run timestamptz, endpoint text, part text, measure text)
RETURNS double precision
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH asked AS (
        SELECT ARRAY[endpoint, substr(endpoint, strpos(endpoint, ' ') + 1)] AS names,
            CASE WHEN measure IN ('rate', 'failed') THEN 'response' ELSE figure_of.part END AS part,
            figure_of.part IN ('response', 'queue', 'service', 'receiving', 'outside', 'uncorrected')
                OR measure IN ('rate', 'failed') AS is_part
    ), figures AS (
        SELECT s.request_type, s.name, s.part, to_jsonb(s)->>CASE measure WHEN 'rate'
            THEN 'requests_per_s' WHEN 'failed' THEN 'fail_ratio' ELSE measure || '_ms' END AS value
        FROM asked CROSS JOIN LATERAL summary(run, false, ARRAY[asked.part], asked.names) s
        WHERE asked.is_part
        UNION ALL
        SELECT s.request_type, s.name, s.part, to_jsonb(s)->>measure
        FROM asked CROSS JOIN LATERAL component_summary(run, false, asked.names) s
        WHERE NOT asked.is_part
    )
    SELECT f.value::double precision FROM figures f JOIN asked USING (part)
    WHERE btrim(f.request_type || ' ' || f.name) = endpoint
$$;

CREATE FUNCTION trend_of(
    run timestamptz, endpoint text, part text, measure text, most integer DEFAULT 50
) RETURNS TABLE (
    run text, since text, until text, started timestamptz, version text, branch text, number bigint,
    value double precision, low double precision, high double precision
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH figures AS (
        SELECT p.*, figure_of(
            p.run_id, CASE endpoint WHEN 'All endpoints' THEN '' ELSE endpoint END, part, measure
        ) AS value
        FROM past_runs(NULL, trend_of.run, '{}', most) p
        WHERE trend_of.run IS NOT NULL AND p.same_load AND p.same_machine AND p.same_environment
    )
    SELECT f.run, link.since, link.until, f.run_id, coalesce(f.version, left(f.commit_hash, 12), ''),
        coalesce(f.branch, ''), row_number() OVER earlier, f.value, min(f.value) OVER earlier,
        max(f.value) OVER earlier
    FROM figures f JOIN testrun t ON t.id = f.run_id CROSS JOIN LATERAL range_of(t.id, t.end_time) link
    WINDOW earlier AS (ORDER BY f.run_id ROWS BETWEEN 20 PRECEDING AND 1 PRECEDING)
    ORDER BY f.run_id
$$;
